"""Sequences that begin alike, as one tree: every prefix is read once, however many sequences hold it.

After a prefix a decoder gives one distribution, whichever sequence it is reading. The loss on a list of sequences is therefore
a sum over its *different* prefixes, each weighted with how often each token follows. For a^n b^n with n up to 10 these are 66,
where the padded rows have 210 places.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.experiment import require

IGNORED = -1  # a target that costs nothing


@dataclass(frozen=True)
class PrefixTree:
    """The different prefixes of some sequences, each as the node where it ends.

    Attributes:
        tokens: (node) the last token read.
        places: (node) its place in the sequence, from 0.
        future: (node, node) 0 where the second is a prefix of the first or the first itself, else minus infinity.
        counts: (node, outputs) how often each token is to be written next.
    """

    tokens: Int[Tensor, " node"]
    places: Int[Tensor, " node"]
    future: Float[Tensor, "node node"]
    counts: Float[Tensor, "node outputs"]

    def to(self, like: Tensor) -> "PrefixTree":
        """The same on the device of a tensor, with its type of number."""
        tokens, places = self.tokens.to(like.device), self.places.to(like.device)
        return PrefixTree(tokens, places, self.future.to(like), self.counts.to(like))


def prefix_tree(read: Int[Tensor, "sequence place"], wanted: Int[Tensor, "sequence place"], outputs: int) -> PrefixTree:
    """The tree of sequences given as what is read and what is to be written; places after the last target are left out.

    Raises:
        ValueError: a sequence has no target.
    """
    lines: dict[tuple[int, ...], list[int]] = {}  # of each prefix, the nodes on its way
    counts: list[list[int]] = []
    for tokens, targets in zip(read.tolist(), wanted.tolist(), strict=True):
        ends = [place for place, target in enumerate(targets) if target != IGNORED]
        require(bool(ends), "wanted", targets, "at least one target a sequence")
        way: list[int] = []
        for place in range(ends[-1] + 1):
            prefix = tuple(tokens[: place + 1])
            if prefix not in lines:
                lines[prefix] = [*way, len(counts)]
                counts.append([0] * outputs)
            way = lines[prefix]
            if targets[place] != IGNORED:
                counts[way[-1]][targets[place]] += 1
    future = torch.full((len(lines), len(lines)), -math.inf)
    for node, way in enumerate(lines.values()):
        future[node, way] = 0
    last, places = zip(*((prefix[-1], len(prefix) - 1) for prefix in lines), strict=True)
    return PrefixTree(torch.tensor(last), torch.tensor(places), future, torch.tensor(counts, dtype=torch.float64))
