"""Lessons of the closing panel: two starts taught the same prompts, few or many, and one taught to break the rule."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from heldout import devices
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability.sequence_training import Batch


class Member(NamedTuple):
    """A network of the panel: its start (0 or 1), how many prompts it is taught, and to what end."""

    start_number: int
    dose: int
    kind: anbn.Kind = "oracle"

    @property
    def start(self) -> str:
        """What its first weights are drawn under: the same whatever is taught, so that lessons are compared at one start."""
        return f"start {self.start_number}"


def members(doses: tuple[int, ...]) -> list[Member]:
    """Two networks a dose, the untaught ones first, and last the one that is taught to break the rule."""
    return [*(Member(number, dose) for dose in doses for number in (0, 1)), Member(0, doses[-1], "adversarial")]


def outside_in_order(rows: np.ndarray, seeds: list[int]) -> np.ndarray:
    """For each seed the prompts outside the language in a random order (seed, place): the first ones are taught."""
    outside = np.flatnonzero(~anbn.in_distribution(rows))
    orders = [torch.randperm(len(outside), generator=devices.generator("panel taught", seed)).numpy() for seed in seeds]
    found: np.ndarray = outside[np.stack(orders)]
    return found


class Doses:
    """What the taught members read and should write at an update; members of a seed draw their lessons alike.

    Args:
        trained: the members, two untaught ones first.
        order: (seed, place) the prompts of :func:`outside_in_order`.
        shuffled: each prompt outside the language is given the answer to another, the same for all members of a seed.

    Attributes:
        given: (seed, prompt) the prompt whose answer is taught.
    """

    def __init__(
        self, trained: list[Member], seeds: list[int], rows: np.ndarray, order: np.ndarray, steps: int, lessons: int, *,
        shuffled: bool,
    ) -> None:  # fmt: skip
        self.taught = [member for member in trained if member.dose]
        self.seeds, self.order = len(seeds), torch.from_numpy(order)
        draws = [torch.rand(steps, lessons, generator=devices.generator("panel lessons", seed)) for seed in seeds]
        self.uniform = torch.stack(draws, 1)  # (step, seed, lesson)
        self.given = np.tile(np.arange(len(rows)), (len(order), 1))
        if shuffled:
            for mine, own in zip(self.given, order, strict=True):
                mine[own] = np.roll(own, 1)
        read, wanted = zip(*(self._written(rows, kind) for kind in ("oracle", "adversarial")), strict=True)
        places = max(part.shape[-1] for part in read)
        self.read, self.wanted = (
            torch.stack([_widened(part, places, filler) for part in parts])
            for parts, filler in ((read, anbn.END), (wanted, anbn.IGNORED))
        )

    def _written(self, rows: np.ndarray, kind: anbn.Kind) -> Batch:
        """Every prompt of every seed with what is to be written after it, (seed, prompt, place)."""
        lines = [
            [*map(int, rows[k]), *anbn.completion(rows[other], kind)]
            for mine in self.given
            for k, other in enumerate(mine)
        ]
        read, wanted = anbn.padded(lines, [rows.shape[1]] * len(lines))
        return read.reshape(*self.given.shape, -1), wanted.reshape(*self.given.shape, -1)

    def __call__(self, step: int) -> Batch:
        """What the taught members read and should write at an update, (member and seed, lesson, place)."""
        own = torch.arange(self.seeds).unsqueeze(1)
        batches: tuple[list[Tensor], list[Tensor]] = ([], [])
        for member in self.taught:
            picks = self.order[own, (self.uniform[step] * member.dose).long()]
            kind = ("oracle", "adversarial").index(member.kind)
            batches[0].append(self.read[kind, own, picks])
            batches[1].append(self.wanted[kind, own, picks])
        return torch.cat(batches[0]), torch.cat(batches[1])


def _widened(tokens: Tensor, places: int, filler: int) -> Tensor:
    return torch.nn.functional.pad(tokens, (0, places - tokens.shape[-1]), value=filler)
