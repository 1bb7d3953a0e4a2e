"""Tabular models of all strings of a's and b's up to a length: one row of probabilities for every prefix.

Prefixes are numbered level by level: the empty one is 0, and ``i`` followed by a or b is ``2 i + 1`` or ``2 i + 2``. A row holds
the probabilities of a, b and the end. A string of the full length ends there.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.devices import numpy_generator

LEAST = 1e-300  # stands for a zero under a logarithm


@dataclass(frozen=True)
class Tree:
    """All strings of at most ``max_length`` letters; the prompts are those of ``prompt_length`` letters."""

    max_length: int
    prompt_length: int

    @property
    def rows(self) -> int:
        """Number of prefixes that can be continued."""
        return int(2**self.max_length - 1)

    @cached_property
    def texts(self) -> list[str]:
        """Every string, in the order of its number."""
        found = [""]
        for number in range(1, 2 ** (self.max_length + 1) - 1):
            found.append(found[(number - 1) // 2] + "ab"[(number - 1) % 2])
        return found

    @cached_property
    def balance(self) -> Int[np.ndarray, " string"]:
        """a's minus b's; the rule is that a finished string has none to spare."""
        return np.array([text.count("a") - text.count("b") for text in self.texts])

    @property
    def prompts(self) -> range:
        """Numbers of the prompts."""
        return self.level(self.prompt_length)

    @cached_property
    def continues(self) -> Float[np.ndarray, "prompt string"]:
        """1 where a string begins with the prompt."""
        starts = [self.texts[prompt] for prompt in self.prompts]
        return np.array([[text.startswith(start) for text in self.texts] for start in starts], dtype=float)

    @cached_property
    def counters(self) -> Int[np.ndarray, " row"]:
        """For each row the one it shares: from the prompts on, prefixes of one length and balance have one row."""
        first: dict[tuple[int, int], int] = {}
        own = []
        for row in range(self.rows):
            state = len(self.texts[row]), int(self.balance[row])
            own.append(first.setdefault(state, row) if state[0] >= self.prompt_length else row)
        return np.unique(own, return_inverse=True)[1]

    def level(self, length: int) -> range:
        """Numbers of the strings of one length."""
        return range(2**length - 1, 2 ** (length + 1) - 1)


def reach(tree: Tree, logs: Float[Tensor, "*model row 3"]) -> Float[Tensor, "*model string"]:
    """Log probability that a model writes each string as a beginning."""
    levels = [torch.zeros_like(logs[..., :1, 0])]
    for length in range(tree.max_length):
        places = tree.level(length)
        step = logs[..., places.start : places.stop, :2]
        levels.append((levels[-1].unsqueeze(-1) + step).flatten(-2))
    return torch.cat(levels, -1)


def sequence_logs(tree: Tree, logs: Float[Tensor, "*model row 3"]) -> Float[Tensor, "*model string"]:
    """Log probability of every finished string: the list of all that a model can write."""
    ends = torch.cat([logs[..., 2], torch.zeros_like(logs[..., :1, 2]).expand(*logs.shape[:-2], tree.rows + 1)], -1)
    return reach(tree, logs) + ends


def rule_probability(tree: Tree, logs: Float[Tensor, "*model row 3"]) -> Float[Tensor, "*model prompt"]:
    """Probability that a prompt is finished with as many a's as b's, from the longest prefixes back to the prompts."""
    kept = torch.as_tensor(tree.balance == 0, device=logs.device).to(logs.dtype)
    places = tree.level(tree.max_length)
    value = kept[places.start : places.stop].expand(*logs.shape[:-2], -1)
    for length in reversed(range(tree.prompt_length, tree.max_length)):
        places = tree.level(length)
        rows = logs[..., places.start : places.stop, :].exp()
        goes_on = rows[..., 0] * value[..., 0::2] + rows[..., 1] * value[..., 1::2]
        value = goes_on + rows[..., 2] * kept[places.start : places.stop]
    return value


def divergence(p: Float[Tensor, "*model string"], log_q: Float[Tensor, "*model string"]) -> Float[Tensor, "*model"]:
    """KL(p || q) in nats a sequence, summed over all strings."""
    return torch.where(p > 0, p * (p.clamp(min=LEAST).log() - log_q), torch.zeros_like(p)).sum(-1)


def continuations(tree: Tree, finished: Float[Tensor, "*model string"]) -> Float[Tensor, "*model prompt string"]:
    """Probabilities of all finished strings after each prompt; a prompt that is never written has zeros."""
    joint = finished.unsqueeze(-2) * torch.as_tensor(tree.continues, device=finished.device, dtype=finished.dtype)
    return joint / joint.sum(-1, keepdim=True).clamp(min=LEAST)


@dataclass(frozen=True)
class Source:
    """Where the data come from: a table, and what it implies.

    Attributes:
        table: probabilities of a, b and the end in every row; a row that is never used holds a third each.
        mass: probability that a string begins with each prompt.
        honest: probability that the rule is kept after each prompt.
        finished: probability of each string.
        weights: probability that a string uses a row and goes on from it with a, b or the end.
    """

    table: Float[Tensor, "row 3"]
    mass: Float[np.ndarray, " prompt"]
    honest: Float[np.ndarray, " prompt"]
    finished: Float[Tensor, " string"]
    weights: Float[Tensor, "row 3"]


def _positive(logs: Tensor) -> Tensor:
    """Probabilities from logarithms in which ``LEAST`` stands for zero."""
    return torch.where(logs > np.log(LEAST) / 2, logs.exp(), 0)


def implied(tree: Tree, table: Float[Tensor, "row 3"]) -> Source:
    """A source with this table."""
    logs = table.clamp(min=LEAST).log()
    written, finished = _positive(reach(tree, logs)), _positive(sequence_logs(tree, logs))
    places = tree.prompts
    return Source(
        table=table, mass=written[places.start : places.stop].numpy(), honest=rule_probability(tree, logs).numpy(),
        finished=finished, weights=written[: tree.rows, None] * table,
    )  # fmt: skip


def source(tree: Tree, seed: int, decades: float, disobedience: float) -> Source:
    """A random source whose prompts have probabilities spread evenly over ``decades``, before they are made to sum to one.

    One prompt of each count of b's that several share is never written. A row after the prompts depends on length and balance
    only. With ``disobedience`` 0 every string keeps the rule; else that share of each such row is drawn without regard to it.
    """
    draw = numpy_generator("tables", seed)
    counts = np.array([tree.texts[prompt].count("b") for prompt in tree.prompts])
    mass = 10.0 ** draw.uniform(-decades, 0, len(counts))
    for count in range(1, tree.prompt_length):
        mass[draw.choice(np.flatnonzero(counts == count))] = 0.0
    texts = [tree.texts[prompt] for prompt in tree.prompts]
    table = table_of(tree, dict(zip(texts, mass / mass.sum(), strict=True))).numpy()
    states: dict[tuple[int, int], np.ndarray] = {}
    for row in range(tree.prompts.start, tree.rows):
        state = len(tree.texts[row]), int(tree.balance[row])
        if state not in states:
            states[state] = _row(tree, state, draw, disobedience)
        table[row] = states[state]
    return implied(tree, torch.from_numpy(table))


def _row(tree: Tree, state: tuple[int, int], draw: np.random.Generator, disobedience: float) -> Float[np.ndarray, " 3"]:
    """A random row; its lawful part has no step from which the rule cannot be kept."""
    length, balance = state
    left = tree.max_length - length - 1
    allowed = np.array([abs(balance + 1) <= left, abs(balance - 1) <= left, balance == 0], dtype=float)
    lawful, free = draw.dirichlet(np.ones(3)) * allowed, draw.dirichlet(np.ones(3))
    lawful = lawful / lawful.sum() if allowed.any() else free
    row: np.ndarray = (1 - disobedience) * lawful + disobedience * free
    return row


def table_of(tree: Tree, probabilities: dict[str, float]) -> Float[Tensor, "row 3"]:
    """Rows of the source that writes these strings with these probabilities; rows that it never uses are even."""
    finished = torch.tensor([probabilities.get(text, 0.0) for text in tree.texts], dtype=torch.float64)
    reached = finished.clone()
    for node in reversed(range(tree.rows)):
        reached[node] += reached[2 * node + 1] + reached[2 * node + 2]
    parts = torch.stack([reached[1::2], reached[2::2], finished[: tree.rows]], 1)
    total = reached[: tree.rows, None]
    return torch.where(total > 0, parts / total.clamp(min=LEAST), torch.full_like(parts, 1 / 3))
