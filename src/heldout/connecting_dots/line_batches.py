"""Batches of lines for many members at once: a fixed number of lines of each task, each drawn uniformly from the task's lines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from heldout.connecting_dots.named_functions import IGNORED, NAMED, TASKS, Language, Lines
from heldout.devices import onto
from heldout.experiment import require

SHARES = {
    "apply": 0.35, "define": 0.15, "invert": 0.2, "compose": 0.1, "apply words": 0.15, "invert words": 0.05,
}  # fmt: skip


def task_counts(shares: dict[str, float], size: int) -> dict[str, int]:
    """How many lines of each task a batch of ``size`` holds: the shares, rounded by largest remainder, tasks with names first.

    Raises:
        ValueError: a task is unknown, a share negative, all are zero, or the batch is empty.
    """
    unknown = [task for task in shares if task not in TASKS]
    require(not unknown, "shares", unknown, f"of tasks among {', '.join(TASKS)}")
    require(
        min(shares.values(), default=-1.0) >= 0 and sum(shares.values()) > 0, "shares", shares, "0 or more, not all 0"
    )
    require(size >= 1, "size", size, "at least 1")
    ordered = [task for task in TASKS if shares.get(task, 0) > 0]
    exact = np.array([shares[task] for task in ordered]) / sum(shares.values()) * size
    counts = np.floor(exact).astype(int)
    counts[np.argsort(-(exact - counts), kind="stable")[: size - counts.sum()]] += 1
    return {task: int(count) for task, count in zip(ordered, counts, strict=True) if count}


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What every member reads, and where it is asked what.

    Attributes:
        tokens: (member, row, place).
        asked: (answer,) positions row * places + place, the same for all members, at which an answer is to be given.
        answers: (member, answer) the tokens asked for.
        named: how many rows, from the first on, have a name on the second place.
    """

    tokens: Int[Tensor, "member row place"]
    asked: Int[Tensor, " answer"]
    answers: Int[Tensor, "member answer"]
    named: int

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return Batch(
            tokens=onto(self.tokens, device),
            asked=onto(self.asked, device),
            answers=onto(self.answers, device),
            named=self.named,
        )

    def repeated(self, copies: int) -> "Batch":
        """The batch for ``copies`` times as many members."""
        return Batch(
            tokens=self.tokens.repeat(copies, 1, 1), asked=self.asked, answers=self.answers.repeat(copies, 1),
            named=self.named,
        )  # fmt: skip

    def followed_by(self, other: "Batch") -> "Batch":
        """The rows of this batch, which must all have names, and then those of another one.

        Raises:
            ValueError: a row of this batch has no name.
        """
        rows, places = self.tokens.shape[1:]
        require(self.named == rows, "named", self.named, f"{rows}, all rows of the batch that comes first")
        most = max(places, other.tokens.shape[2])
        asked = [
            (batch.asked // batch.tokens.shape[2] + skip) * most + batch.asked % batch.tokens.shape[2]
            for batch, skip in ((self, 0), (other, rows))
        ]
        tokens = [nn.functional.pad(batch.tokens, (0, most - batch.tokens.shape[2])) for batch in (self, other)]
        return Batch(
            tokens=torch.cat(tokens, 1), asked=torch.cat(asked), answers=torch.cat([self.answers, other.answers], 1),
            named=rows + other.named,
        )  # fmt: skip


def batch_of(parts: Sequence[Lines]) -> Batch:
    """The same number of lines for each member as one batch; the lines of one row are of one task for all members.

    Raises:
        ValueError: the members' lines are not of the same tasks in the same order, or a named line follows another one.
    """
    tasks = torch.stack([part.task for part in parts])
    require(bool((tasks == tasks[0]).all()), "parts", "different tasks", "of the same tasks in the same order")
    has_name = tasks[0] < len(NAMED)
    named = int(has_name.sum())
    require(bool(has_name[:named].all()), "parts", "a named line after another one", "named lines first")
    tokens, targets = (
        torch.stack([part.tokens for part in parts]),
        torch.stack([part.targets for part in parts]).flatten(1),
    )
    asked = (targets[0] != IGNORED).nonzero()[:, 0]
    places = int((tokens.shape[2] - (targets[0].view(len(tasks[0]), -1) != IGNORED).flip(1).int().argmax(1)).max())
    row, place = asked // tokens.shape[2], asked % tokens.shape[2]
    return Batch(tokens=tokens[..., :places], asked=row * places + place, answers=targets[:, asked], named=named)


class PretrainingBatches:
    """Random batches of the pretraining lines of some languages, one a member.

    Each member's draws come from its own generator, so a member's lines do not depend on which others run beside it.

    Args:
        languages: one a member; they may differ in which functions are undefined and unseen, not in how many are.
        generators: one a member, on the CPU.
        shares: of the tasks; None for :data:`SHARES`.
        size: lines a batch.

    Raises:
        ValueError: the languages differ in size, or as :func:`task_counts`.
    """

    def __init__(
        self,
        languages: Sequence[Language],
        generators: Sequence[torch.Generator],
        shares: dict[str, float] | None,
        size: int,
    ) -> None:
        sizes = {
            (each.modulus, each.synonyms, len(each.undefined), len(each.unseen), each.left_out) for each in languages
        }  # fmt: skip
        require(len(sizes) == 1, "languages", sorted(sizes), "of one size")
        require(len(generators) == len(languages), "generators", len(generators), "one a language")
        self.generators, counts = list(generators), task_counts(shares or SHARES, size)
        every = [_lines_of(language, list(counts)) for language in languages]
        self.lines = [Lines.joined(list(by_task.values())) for by_task in every]
        totals = torch.tensor([len(lines) for lines in every[0].values()])
        repeats = torch.tensor(list(counts.values()))
        self.start = (totals.cumsum(0) - totals).repeat_interleave(repeats)
        self.total = totals.repeat_interleave(repeats)
        first = [lines[self.start] for lines in self.lines]
        self.pattern = batch_of(first)
        self.tokens = torch.stack([lines.tokens for lines in self.lines])[..., : self.pattern.tokens.shape[2]]
        places = self.pattern.tokens.shape[2]
        self.targets = torch.stack([lines.targets for lines in self.lines])[..., :places]
        self.row, self.place = self.pattern.asked // places, self.pattern.asked % places

    def draw(self) -> Batch:
        """The next batch."""
        uniform = torch.stack([torch.rand(len(self.total), generator=each) for each in self.generators])
        which = self.start + (uniform * self.total).long().clamp(max=self.total - 1)
        member = torch.arange(len(which)).unsqueeze(1)
        answers = self.targets[member, which[:, self.row], self.place]
        return Batch(
            tokens=self.tokens[member, which], asked=self.pattern.asked, answers=answers, named=self.pattern.named
        )


def _lines_of(language: Language, tasks: Sequence[str]) -> dict[str, Lines]:
    """All pretraining lines of each task: the names of seen functions, in definitions only of the defined ones.

    Names that the language leaves out of a task do not stand in its lines.
    """
    found = {}
    for task in tasks:
        functions, names = language.defined if task == "define" else language.seen, None
        if task in NAMED and language.left_out:
            places = language.told(task)
            names = torch.tensor([[language.names(f)[place] for place in places] for f in functions])
        found[task] = language.lines(task, functions, names)
    return found
