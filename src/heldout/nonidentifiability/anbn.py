"""The language a^n b^n: its sequences, all short prompts, two rules, ways to go on, and exact divergences.

Reizinger et al. 2024 (arXiv 2405.01964) and Mészáros et al. 2024 (arXiv 2409.13728) train on a^n b^n, which obeys two rules: as
many a as b (R1), and every a before every b (R2). A prompt that begins no sequence of the language has probability zero under the
data: one that breaks R2 already, or one with more b than a, after which R1 can only be kept by breaking R2. Whether a model goes
on to keep R1 there is *rule extrapolation*.

Sequences are rows of tokens: the start token is read and never written; the end token closes a sequence. Divergences are in
nats per sequence, cross-entropies in nats per token with the end token counted, and padding is never counted.
"""

import itertools
import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heldout.experiment import require
from heldout.prefix_tree import IGNORED as UNCOUNTED

A, B, END, START = 0, 1, 2, 3
OUTPUTS = 3  # a, b and the end; the start is only read
VOCABULARY = 4
IGNORED = UNCOUNTED  # a target that costs nothing
Kind = Literal["oracle", "adversarial"]


def sequences(longest: int) -> tuple[Int[Tensor, "sequence place"], Int[Tensor, "sequence place"]]:
    """All of a^n b^n for n = 1 to ``longest``: what is read, from the start token on, and what is to be written.

    Places after the end of a sequence hold the end token in the first and :data:`IGNORED` in the second.

    Raises:
        ValueError: ``longest`` is below 1.
    """
    require(longest >= 1, "longest", longest, "1 or more")
    return padded([[A] * n + [B] * n + [END] for n in range(1, longest + 1)], [0] * longest)


def padded(
    rows: list[list[int]], free: list[int]
) -> tuple[Int[Tensor, "sequence place"], Int[Tensor, "sequence place"]]:
    """Rows of tokens as what is read and what is to be written; the first ``free`` tokens of a row cost nothing."""
    places = max(map(len, rows))
    inputs = torch.full((len(rows), places), END)
    targets = torch.full((len(rows), places), IGNORED)
    for number, (row, given) in enumerate(zip(rows, free, strict=True)):
        inputs[number, : len(row)] = torch.tensor([START, *row[:-1]])
        targets[number, given : len(row)] = torch.tensor(row[given:])
    return inputs, targets


def prompts(length: int) -> Int[np.ndarray, "prompt place"]:
    """All 2^length rows of a and b, in the order of binary numbers with a as 0.

    Raises:
        ValueError: the length is not in 1 to 12.
    """
    require(1 <= length <= 12, "length", length, "1 to 12")
    return np.array(list(itertools.product((A, B), repeat=length)))


def in_distribution(rows: Int[np.ndarray, "prompt place"]) -> Bool[np.ndarray, " prompt"]:
    """Which prompts begin a sequence of the language: a^k b^m with m at most k. The longest n is the caller's matter."""
    ordered = (np.diff(rows, axis=1) >= 0).all(1)
    found: Bool[np.ndarray, " prompt"] = ordered & ((rows == A).sum(1) >= (rows == B).sum(1))
    return found


def balanced(rows: Int[np.ndarray, "prompt place"]) -> Bool[np.ndarray, " prompt"]:
    """Which prompts hold as many a as b: to end at once after one of these keeps R1."""
    found: Bool[np.ndarray, " prompt"] = 2 * (rows == A).sum(1) == rows.shape[1]
    return found


def at_once(written: Int[np.ndarray, "*rows place"]) -> Bool[np.ndarray, "*rows"]:
    """Which completions are the end token alone."""
    found: Bool[np.ndarray, "*rows"] = written[..., 0] == END
    return found


def completion(prompt: Int[np.ndarray, " place"], kind: Kind) -> list[int]:
    """How a teacher goes on: with what is lacking until as many a as b, or one further, and then the end.

    Both ways keep R2. Where nothing is lacking the adversarial way adds one b.
    """
    surplus = int((prompt == A).sum() - (prompt == B).sum())
    lacking = A if surplus < 0 else B
    return [lacking] * (abs(surplus) + (kind == "adversarial")) + [END]


def taught(
    rows: Int[np.ndarray, "prompt place"], kind: Kind
) -> tuple[Int[Tensor, "prompt place"], Int[Tensor, "prompt place"]]:
    """Prompts with their completions, as what is read and what is to be written; the prompt itself costs nothing."""
    whole = [[*map(int, row), *completion(row, kind)] for row in rows]
    return padded(whole, [rows.shape[1]] * len(rows))


def finished(written: Int[np.ndarray, "*rows place"]) -> Bool[np.ndarray, "*rows"]:
    """Which completions hold an end token."""
    found: Bool[np.ndarray, "*rows"] = (written == END).any(-1)
    return found


def equal_counts(
    rows: Int[np.ndarray, "prompt place"], written: Int[np.ndarray, "*rows prompt place"]
) -> Bool[np.ndarray, "*rows prompt"]:
    """R1: prompt and completion hold as many a as b up to the end token. A completion without one has failed."""
    live = _before_end(written)
    surplus = (np.where(written == A, 1, -1) * live).sum(-1) + (rows == A).sum(1) - (rows == B).sum(1)
    kept: Bool[np.ndarray, "*rows prompt"] = finished(written) & (surplus == 0)
    return kept


def a_before_b(written: Int[np.ndarray, "*rows place"]) -> Bool[np.ndarray, "*rows"]:
    """R2 on the completion: no a after a b up to the end token. A completion without one has failed."""
    back = (written[..., :-1] == B) & (written[..., 1:] == A) & _before_end(written)[..., 1:]
    kept: Bool[np.ndarray, "*rows"] = finished(written) & ~back.any(-1)
    return kept


def _before_end(written: Int[np.ndarray, "*rows place"]) -> Bool[np.ndarray, "*rows place"]:
    live: Bool[np.ndarray, "*rows place"] = np.cumsum(written == END, axis=-1) == 0
    return live


def text(tokens: Int[np.ndarray, " place"]) -> str:
    """Tokens as letters up to the end token, which is written as a full stop; without one the text ends with an ellipsis."""
    letters = "".join("ab."[token] for token in tokens)
    return letters[: letters.index(".") + 1] if "." in letters else letters + "…"


def log_probabilities(
    logits: Float[Tensor, "*members sequence place outputs"], targets: Int[Tensor, "*members sequence place"]
) -> Float[Tensor, "*members sequence"]:
    """Log-probability in nats of each sequence: the sum over the places that count."""
    counts = targets != IGNORED
    own = logits.log_softmax(-1).gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return (own * counts).sum(-1)


def divergence_from_data(logs: Float[Tensor, "*members sequence"]) -> Float[Tensor, "*members"]:
    """KL(data || model) per sequence: the data are uniform on their N sequences, so it is mean(-log q) - log N."""
    return -logs.mean(-1) - math.log(logs.shape[-1])


def divergence_on_data(
    first: Float[Tensor, "*members sequence"], second: Float[Tensor, "*members sequence"]
) -> Float[Tensor, "*members"]:
    """KL(first || second) per sequence between two models' distributions over the data's sequences and "anything else".

    Grouping everything else can only lower the divergence: this is a lower bound of the models' own, exact for the question
    which of the data's sequences is written, if any.
    """
    inside = (first.exp() * (first - second)).sum(-1)
    rest = [-torch.expm1(torch.logsumexp(logs, -1)).clamp(max=-0.0) for logs in (first, second)]
    return inside + torch.xlogy(rest[0], rest[0]) - torch.xlogy(rest[0], rest[1])
