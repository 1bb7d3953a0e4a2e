"""Models of a^n b^n compared at one loss: the factor that matches it, and how far apart two are on the data and elsewhere.

Distances are total variations in [0, 1]; see :mod:`heldout.distances`. Over sequences and completions they are taken between
outcomes of which the rare ones are put together as "anything else", which can only lower them.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.decoders import Members, Transformers
from heldout.distances import total_variation
from heldout.experiment import require
from heldout.nonidentifiability import anbn

BISECTIONS = 60
FEWEST = 3  # prompts of one surplus below which a profile is silent


@dataclass(frozen=True)
class Answers:
    """What a network says once its loss is matched, in probabilities.

    Attributes:
        divergence: of the data from it before matching, nats a sequence.
        matched: the same after; NaN where it cannot be matched.
        factor: on its logits.
        tokens: of the next token, at every place of the data that counts (token, outputs).
        sequences: of each of the data's sequences, and of anything else (outcomes).
        completions: of outcomes after each prompt (prompt, outcomes).
        others: the same after prompts of other lengths, by length.
    """

    divergence: float
    matched: float
    factor: float
    tokens: Tensor
    sequences: Tensor
    completions: Tensor
    others: dict[int, Tensor]

    def on(self, prompts: Int[np.ndarray, " prompt"]) -> dict[str, Tensor]:
        """The predictions on the three sets of a closing panel, with these prompts as elsewhere."""
        return {"train": self.tokens, "test": self.sequences.unsqueeze(0), "elsewhere": self.completions[prompts]}


@torch.no_grad()
def answers(
    models: Transformers,
    parts: int,
    *,
    rows: Int[np.ndarray, "prompt place"],
    others: dict[int, Int[np.ndarray, "prompt place"]],
    longest: int,
    divergence: float,
) -> list[list[Answers]]:
    """What every member says at one divergence, in equal parts of members (part, member of it)."""
    device = models.embed.device
    read, wanted = (part.to(device) for part in anbn.sequences(longest))
    logits, targets = models(read.expand(models.count, -1, -1)).double(), wanted.expand(models.count, -1, -1)
    before = anbn.divergence_from_data(anbn.log_probabilities(logits, targets))
    factors = temperature_factors(logits, targets, divergence)
    logits = factors.view(-1, 1, 1, 1) * logits
    after = anbn.divergence_from_data(anbn.log_probabilities(logits, targets))
    own = [part.cpu() for part in (next_tokens(logits, wanted), whole_sequences(logits, wanted))]
    written = completions(models, rows, factors).cpu()
    elsewhere = {letters: completions(models, asked, factors).cpu() for letters, asked in others.items()}
    found = [
        Answers(
            float(before[member]), float(after[member]), float(factors[member]), own[0][member], own[1][member],
            written[member], {letters: outcomes[member] for letters, outcomes in elsewhere.items()},
        )
        for member in range(models.count)
    ]  # fmt: skip
    size = models.count // parts
    return [found[start : start + size] for start in range(0, models.count, size)]


def farthest(f: Float[Tensor, "row outcomes"], g: Float[Tensor, "row outcomes"]) -> float:
    """The most that two models can be apart if the last outcome, "anything else", is told apart: lumping hides at most the
    smaller of the two rests. NaN where a network cannot be matched.
    """
    return distance(f, g) + float(torch.minimum(f[..., -1], g[..., -1]).mean())


def distance(f: Tensor, g: Tensor) -> float:
    """Total variation; NaN where a network cannot be matched."""
    return total_variation(f, g) if bool(f.isfinite().all() and g.isfinite().all()) else math.nan


def surpluses(rows: Int[np.ndarray, "prompt place"]) -> list[int]:
    """Every number of letters a less letters b that a prompt has, rising."""
    return sorted({int(each) for each in surplus_of(rows)})


def surplus_of(rows: Int[np.ndarray, "prompt place"]) -> Int[np.ndarray, " prompt"]:
    """Letters a of each prompt less its letters b."""
    found: Int[np.ndarray, " prompt"] = (rows == anbn.A).sum(1) - (rows == anbn.B).sum(1)
    return found


def _outcome(outcomes: int, surplus: Int[np.ndarray, " prompt"]) -> Int[np.ndarray, " prompt"]:
    """Which outcome of :func:`completions` makes up for a surplus of a."""
    room = (outcomes - 2) // 2  # outcomes with a letter a; as many with b, ending at once, and anything else
    return np.where(surplus > 0, room + surplus, -surplus)


def share_right(found: Float[Tensor, "prompt outcomes"], rows: Int[np.ndarray, "prompt place"]) -> float:
    """Share of prompts whose likeliest outcome keeps R1; NaN where there are no probabilities."""
    if not bool(found.isfinite().all()):
        return math.nan
    return float((found.argmax(-1).numpy() == _outcome(found.shape[1], surplus_of(rows))).mean())


def share_as_taught(found: Float[Tensor, "prompt outcomes"], surplus: Int[np.ndarray, " prompt"]) -> float:
    """Share of prompts whose likeliest outcome is the teacher's answer to a prompt with that surplus of a; NaN for none."""
    if not len(surplus) or not bool(found.isfinite().all()):
        return math.nan
    return float((found.argmax(-1).numpy() == _outcome(found.shape[1], surplus)).mean())


def profiles(
    first: Float[Tensor, "prompt outcomes"],
    second: Float[Tensor, "prompt outcomes"],
    rows: Int[np.ndarray, "prompt place"],
) -> Float[np.ndarray, "surplus 2"]:
    """Mean distance of two networks, and mean probability that the first gives to R1, by a prompt's surplus of a.

    All surpluses from -places to places in steps of 2; NaN where fewer than FEWEST prompts have one.
    """
    apart = ((first - second).abs().sum(-1) / 2).numpy()
    right = first.numpy()[np.arange(len(rows)), _outcome(first.shape[1], surplus_of(rows))]
    found = np.full((rows.shape[1] + 1, 2), np.nan)
    for place, surplus in enumerate(range(-rows.shape[1], rows.shape[1] + 1, 2)):
        own = surplus_of(rows) == surplus
        if own.sum() >= FEWEST:
            found[place] = apart[own].mean(), right[own].mean()
    return found


def temperature_factors(
    logits: Float[Tensor, "member sequence place outputs"],
    targets: Int[Tensor, "member sequence place"],
    divergence: float,
) -> Float[Tensor, " member"]:
    """For each member the factor in (0, 1] on its logits with which the data's divergence from it is ``divergence``.

    At factor 0 all tokens are equally likely, and the loss is convex in the factor: where a member is below ``divergence``
    at 1 there is exactly one such factor. NaN where it is not.

    Raises:
        ValueError: ``divergence`` is not above 0.
    """
    require(divergence > 0, "divergence", divergence, "above 0")

    def found(factor: Tensor) -> Tensor:
        logs = anbn.log_probabilities(factor.view(-1, 1, 1, 1) * logits, targets)
        return anbn.divergence_from_data(logs)

    low, high = (torch.full((len(logits),), value, dtype=logits.dtype, device=logits.device) for value in (0.0, 1.0))
    below = found(high) <= divergence
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        above = found(middle) > divergence
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return torch.where(below & (found(torch.zeros_like(low)) > divergence), high, math.nan)


def next_tokens(
    logits: Float[Tensor, "member sequence place outputs"], targets: Int[Tensor, "sequence place"]
) -> Float[Tensor, "member token outputs"]:
    """Probabilities of the next token at every place of the sequences that counts."""
    return logits.softmax(-1)[:, targets != anbn.IGNORED]


def whole_sequences(
    logits: Float[Tensor, "member sequence place outputs"], targets: Int[Tensor, "sequence place"]
) -> Float[Tensor, "member outcomes"]:
    """Probability of each of the data's sequences, and last that of anything else."""
    logs = anbn.log_probabilities(logits, targets.expand(len(logits), -1, -1))
    return _with_rest(logs.exp())


def completions(
    models: Members, rows: Int[np.ndarray, "prompt place"], factors: Float[Tensor, " member"]
) -> Float[Tensor, "member prompt outcomes"]:
    """Probabilities of what a model writes after each prompt: only letters a, only letters b, or nothing, then the end.

    Outcomes: ending at once; 1, 2, ... a and the end, as far as the context goes; the same of b; anything else, last.
    """
    room = models.context - rows.shape[1]  # places after the last letter of a prompt, its own included
    device = factors.device
    parts = []
    for letter in (anbn.A, anbn.B):
        written = np.full((len(rows), room - 1), letter)
        start = np.full((len(rows), 1), anbn.START)
        read = torch.from_numpy(np.concatenate([start, rows, written], 1)).to(device)
        logits = models(read.expand(models.count, -1, -1))[:, :, -room:].double()
        logs = (factors.view(-1, 1, 1, 1) * logits).log_softmax(-1)
        before = logs[..., :-1, letter].cumsum(-1)
        ends = logs[..., anbn.END]
        parts.append(torch.cat([ends[..., :1], before + ends[..., 1:]], -1))
    return _with_rest(torch.cat([parts[0], parts[1][..., 1:]], -1).exp())


def _with_rest(found: Tensor) -> Tensor:
    rest = (1 - found.sum(-1, keepdim=True)).clamp(min=0.0)
    return torch.cat([found, rest], -1)
