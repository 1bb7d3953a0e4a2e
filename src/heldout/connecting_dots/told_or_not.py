"""New names trained on all their pairs in several arms at once, which differ in rates, in the start of the rows, and in lessons.

A lesson is a definition line of a new name, true or of another function. All arms of a seed read the same pairs; the lessons of
an arm that has none cost it nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.connecting_dots.dots_networks import answer_loss
from heldout.connecting_dots.line_batches import Batch, PretrainingBatches, batch_of
from heldout.connecting_dots.matched_training import Matched, joined
from heldout.connecting_dots.named_functions import NAMED, Lines
from heldout.connecting_dots.pretraining import Pretrained
from heldout.connecting_dots.row_optimizer import Adam
from heldout.connecting_dots.row_training import Tuned, begin, new_lines
from heldout.devices import generator
from heldout.experiment import Progress, require, silent

OTHER_DRAW = 1_000_000  # added to a seed for other first rows
DEFINED_PLACE = 2  # of a definition's first word, where it is read


@dataclass(frozen=True, kw_only=True)
class Arm:
    """How the new names of one arm are trained.

    Attributes:
        row: learning rate of the new rows.
        rest: learning rate of all old weights.
        other_start: whether the new rows start from another draw.
        other_lines: whether another draw of lines is replayed.
        lessons: definitions that are read beside the pairs, if any.
        pairs: whether the pairs are read.
    """

    row: float
    rest: float
    other_start: bool = False
    other_lines: bool = False
    lessons: Literal["none", "true", "false"] = "none"
    pairs: bool = True


def circle(functions: int, seed: int) -> Int[Tensor, " function"]:
    """For each function the position of another one, each once: the next in a circle drawn for the seed."""
    order = torch.randperm(functions, generator=generator("connecting dots", "circle", seed))
    following = torch.empty_like(order)
    following[order] = order.roll(-1)
    return following


def arrive(
    pretrained: Pretrained,
    seeds: Sequence[int],
    arms: Sequence[Arm],
    *,
    level: float,
    most_updates: int,
    look_every: int,
    start: float,
    replay: int,
    replay_weight: float,
    shares: dict[str, float],
    progress: Progress = silent,
) -> tuple[Matched, Tuned]:
    """Train all arms of all seeds as one ensemble and keep each member where its loss on the pairs first comes down to a level.

    Args:
        pretrained: what to start from; left as it is.
        seeds: of its members.
        arms: one or more.
        level: nats a pair.
        most_updates: after which a member that has not arrived is given up.
        look_every: updates between looks at the loss.
        start: distance of the new rows from the mean of the old ones, in standard deviations of the old names' rows.
        replay: lines of pretraining an update.
        replay_weight: of their loss beside that of the pairs; lessons have the weight of the pairs.
        shares: of the tasks in what is replayed.
        progress: called with (updates done, updates in all).

    Returns:
        The looks, with shape (arm, seed) after one level, and the members, arm * seeds + seed.

    Raises:
        ValueError: there is no arm, or a number is out of range.
    """
    require(len(arms) >= 1, "arms", list(arms), "one or more")
    require(most_updates >= 1, "most_updates", most_updates, "at least 1")
    require(look_every >= 1, "look_every", look_every, "at least 1")
    tuned = _begun(pretrained, seeds, arms, start)
    optimizer, look = _optimizer(tuned, arms), Matched([level], (len(arms), len(seeds)))
    lines = _LinesRead(pretrained, seeds, arms, _Replayed(pretrained, seeds, arms, shares, replay))
    for step in range(most_updates):
        if step % look_every == 0 and look(step, tuned):
            break
        optimizer.step(lines.loss(tuned, replay_weight))
        progress(step + 1, most_updates)
    else:
        look(most_updates, tuned)
    progress(most_updates, most_updates)
    return look, look.members(tuned)


class _LinesRead:
    """What all members read at an update: pairs, definitions, and replayed lines; and what it costs them."""

    def __init__(
        self, pretrained: Pretrained, seeds: Sequence[int], arms: Sequence[Arm], replayed: "_Replayed"
    ) -> None:
        pairs = new_lines(pretrained, "apply")
        lessons = _lessons(pretrained, seeds, arms)
        self.own = batch_of([pairs] * len(lessons)).followed_by(batch_of(lessons))
        self.reads = torch.tensor([[arm.pairs, arm.lessons != "none"] for arm in arms]).repeat_interleave(len(seeds), 0)
        first, second = len(pairs), len(pairs) + 2 * len(lessons[0])
        self.parts, self.replayed = (slice(first), slice(first, second), slice(second, None)), replayed

    def loss(self, tuned: Tuned, replay_weight: float) -> Tensor:
        """The sum over members of the mean losses of the parts that each reads."""
        batch = self.own.followed_by(self.replayed.draw()).to(tuned.models.embed.device)
        logits = tuned.models.answers(batch)
        pairs, lessons, replayed = (answer_loss(logits[:, part], batch.answers[:, part]) for part in self.parts)
        pair_weight, lesson_weight = self.reads.to(pairs).T
        whole: Tensor = pair_weight * pairs + lesson_weight * lessons + replay_weight * replayed
        return whole.sum()


class _Replayed:
    """Lines of pretraining for all arms, from one of two draws a seed."""

    def __init__(
        self, pretrained: Pretrained, seeds: Sequence[int], arms: Sequence[Arm], shares: dict[str, float], size: int
    ) -> None:
        languages, members = pretrained.languages, torch.arange(len(arms) * len(seeds))
        self.sources = [
            PretrainingBatches(
                languages, [generator("connecting dots", "tuning", *key, s) for s in seeds], shares, size
            )
            for key in (("replay",), ("replay", "other"))
        ]
        second = torch.tensor([arm.other_lines for arm in arms]).repeat_interleave(len(seeds))
        self.rows = members % len(seeds) + len(seeds) * second

    def draw(self) -> Batch:
        first, second = (source.draw() for source in self.sources)
        tokens, answers = torch.cat([first.tokens, second.tokens]), torch.cat([first.answers, second.answers])
        return replace(first, tokens=tokens[self.rows], answers=answers[self.rows])


def _begun(pretrained: Pretrained, seeds: Sequence[int], arms: Sequence[Arm], start: float) -> Tuned:
    """Copies of all seeds for each arm, with the first rows of its draw."""
    return joined([begin(pretrained, [s + OTHER_DRAW * arm.other_start for s in seeds], start) for arm in arms])


def _optimizer(tuned: Tuned, arms: Sequence[Arm]) -> Adam:
    """Adam with each arm's two rates."""
    new, copies = tuned.vectors.shape[1], len(tuned.pretrained.languages)

    def each(rates: list[float]) -> Float[Tensor, "member 1 1"]:
        return torch.tensor(rates, dtype=torch.float64).repeat_interleave(copies).view(-1, 1, 1)

    rest, row = each([arm.rest for arm in arms]), each([arm.row for arm in arms])
    parts = []
    for name, value in tuned.models.named_parameters():
        rate = rest.expand(value.shape).clone()
        if name == "embed":
            rate[:, -new:] = row
        parts.append((value, rate))
    return Adam(parts)


def _lessons(pretrained: Pretrained, seeds: Sequence[int], arms: Sequence[Arm]) -> list[Lines]:
    """Definitions of all new names for each member, true unless its arm is told false ones."""
    true, definitions = new_lines(pretrained, "define"), pretrained.languages[0].definitions
    found = []
    for arm in arms:
        for seed in seeds:
            if arm.lessons != "false":
                found.append(true)
                continue
            words = definitions[circle(len(definitions), seed)]
            tokens, targets = true.tokens.clone(), true.targets.clone()
            tokens[:, DEFINED_PLACE], targets[:, 1], targets[:, 2] = words[:, 0], words[:, 0], words[:, 1]
            found.append(replace(true, tokens=tokens, targets=targets))
    return found


@torch.no_grad()
def new_answers(tuned: Tuned, task: str) -> Float[Tensor, "member line outcome"]:
    """Distributions of the answer to each line about a new name; of a definition, over both of its words at once."""
    batch, _ = tuned.batch(task)
    if task != "define":
        return tuned.models.answers(batch).softmax(-1).double().cpu()
    language, found = tuned.pretrained.languages[0], []
    for word in range(language.modulus, language.outputs):  # the operations
        tokens = batch.tokens.clone()
        tokens[..., DEFINED_PLACE] = word
        chances = tuned.models.answers(replace(batch, tokens=tokens)).softmax(-1).double()
        first, second = chances[:, 0::2], chances[:, 1::2]
        found.append(first[..., word : word + 1] * second)
    whole = torch.cat(found, -1)
    return torch.cat([whole, (1 - whole.sum(-1, keepdim=True)).clamp(min=0)], -1).cpu()


@torch.no_grad()
def old_answers(tuned: Tuned) -> Float[Tensor, "member answer outputs"]:
    """Distributions where lines about old names of defined functions ask; a definition's second word after its first."""
    languages = list(tuned.pretrained.languages) * tuned.modes
    found = []
    for task in NAMED:
        batch: Batch = batch_of([language.lines(task, language.defined) for language in languages])
        found.append(tuned.models.answers(batch.to(tuned.models.embed.device)).softmax(-1).double().cpu())
    return torch.cat(found, 1)
