"""A small language model of characters, and the windows of text it reads."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heldout.data import moby_dick
from heldout.devices import generator
from heldout.experiment import require

ALPHABET = " abcdefghijklmnopqrstuvwxyz."  # a space for every gap, a full stop for every other mark
TARGETS = ("next", "echo")


class CharacterMLP(nn.Module):
    """Logits for one character from the ``context`` before it: embedded, side by side, through one hidden ReLU layer.

    A fixed-window network in the manner of Bengio et al. 2003. Every weight starts normal with variance 1 / fan-in (the
    hidden layer's with 2 / fan-in), the embedding with variance 1.

    Raises:
        ValueError: a size is below 1.
    """

    def __init__(
        self, vocabulary: int, context: int, *, embedding: int, hidden_size: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        smallest = min(vocabulary, context, embedding, hidden_size)
        require(smallest >= 1, "sizes", smallest, "positive")

        def weight(rows: int, columns: int, scale: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, columns, generator=generator) * scale)

        self.embed = weight(vocabulary, embedding, 1.0)
        self.hidden_in = weight(hidden_size, context * embedding, math.sqrt(2 / (context * embedding)))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden_size))
        self.out = weight(vocabulary, hidden_size, 1 / math.sqrt(hidden_size))
        self.out_bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, tokens: Int[Tensor, "batch context"]) -> Float[Tensor, "batch vocabulary"]:
        """Logits of the character that follows."""
        read = self.embed[tokens].flatten(-2)
        hidden = torch.relu(read @ self.hidden_in.mT + self.hidden_bias)
        return hidden @ self.out.mT + self.out_bias


def plain(text: str) -> str:
    """Lower case; every run of blanks one space; every character that is no letter a full stop."""
    letters = " ".join(text.lower().split())
    return "".join(c if c in ALPHABET else "." for c in letters)


def pieces(length: int) -> Int[Tensor, "pieces length"]:
    """Moby-Dick in :data:`ALPHABET`, cut into pieces of ``length`` characters, the rest left out."""
    place = {character: position for position, character in enumerate(ALPHABET)}
    tokens = torch.tensor([place[c] for c in plain(moby_dick.text())])
    return tokens[: len(tokens) // length * length].view(-1, length)


def windows(
    cut: Int[Tensor, "pieces length"], context: int, target: str
) -> tuple[Int[Tensor, "window context"], Int[Tensor, " window"]]:
    """Every stretch of ``context`` characters within a piece, and what is to be told from it.

    ``next`` is the character that follows; ``echo`` is the first character of the stretch itself, so that it is certain.
    """
    stretches = cut.unfold(1, context + 1, 1).reshape(-1, context + 1)
    told = stretches[:, -1] if target == "next" else stretches[:, 0]
    return stretches[:, :-1].contiguous(), told.contiguous()


def shares(
    seed: int, cut: Int[Tensor, "pieces length"], train: int, test: int
) -> tuple[Int[Tensor, "train length"], Int[Tensor, "test length"]]:
    """Pieces for training and others for testing, drawn by the seed from the whole book.

    Raises:
        ValueError: the book has fewer pieces.
    """
    require(train + test <= len(cut), "train + test", train + test, f"at most the {len(cut)} pieces of the book")
    order = torch.randperm(len(cut), generator=generator("pieces of text", seed))
    return cut[order[:train]], cut[order[train : train + test]]


def members(seeds: Sequence[int], context: int, *, embedding: int, hidden_size: int) -> list[CharacterMLP]:
    """One network a seed, the same for every amount of text."""
    return [
        CharacterMLP(
            len(ALPHABET),
            context,
            embedding=embedding,
            hidden_size=hidden_size,
            generator=generator("character model", seed, context, embedding, hidden_size),
        )
        for seed in seeds
    ]
