"""What decoders of two languages answer: problems in A and in B, and the loss of stories."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from heldout.connecting_dots import two_languages_world as world
from heldout.connecting_dots.dots_networks import Readers
from heldout.connecting_dots.line_batches import Batch
from heldout.connecting_dots.two_languages_training import batch_of, in_words, told
from heldout.connecting_dots.two_languages_world import A, B
from heldout.devices import generator

OTHER = len(world.CHANGES)  # the position of an answer that no operation gives
TEST_STORIES = 240
AT_ONCE = 40  # members that are read together


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Greedy answers to all problems, (member, operation, x, synonym): the position of the operation that gives the number, and
    whether the noun after it is the problem's own."""

    applied: Int[Tensor, "member operation x synonym"]
    noun: Float[Tensor, "member operation x synonym"]

    def right(
        self, meaning: Int[Tensor, "member operation"] | None = None
    ) -> Float[Tensor, "member operation x synonym"]:
        """1 where the number is the verb's, or that of what it is said to mean."""
        count = len(world.CHANGES)
        meant = torch.arange(count).expand(len(self.applied), -1) if meaning is None else meaning
        return (self.applied == meant[:, :, None, None]).float()

    def direction(self) -> Float[Tensor, "member operation x synonym"]:
        """1 where the number is that of some operation that gains as the verb does."""
        return self._like(self.applied // world.SIZES, torch.arange(OTHER) // world.SIZES)

    def size(self) -> Float[Tensor, "member operation x synonym"]:
        """1 where the number is that of some operation that changes as much as the verb does."""
        return self._like(self.applied % world.SIZES, torch.arange(OTHER) % world.SIZES)

    def _like(self, found: Tensor, wanted: Tensor) -> Tensor:
        return ((found == wanted[:, None, None]) & (self.applied < OTHER)).float()

    def shares(self, where: Bool[Tensor, "member operation x 1"]) -> Float[Tensor, "member operation given"]:
        """Of the answers to each operation's verbs where ``where``, the share that each operation gives, and none."""
        given = functional.one_hot(self.applied, OTHER + 1) * where.unsqueeze(-1)
        return given.sum((2, 3)) / given.sum((2, 3, 4)).unsqueeze(-1)

    def favorite(self, where: Bool[Tensor, "member operation x 1"]) -> Int[Tensor, "member operation synonym"]:
        """The change that each verb's answers follow most often where ``where``; 0 for none."""
        given = functional.one_hot(self.applied, OTHER + 1) * where.unsqueeze(-1)
        return torch.tensor((*world.CHANGES, 0))[given.sum(2).argmax(-1)]

    def known(self, taught: Bool[Tensor, "member operation x"]) -> Float[Tensor, "verbs member"]:
        """Exact answers to what was taught, for verbs of A's arithmetic and for those that only its stories use."""
        exact = self.right() * self.noun * taught.unsqueeze(-1)
        sums = exact.sum((1, 2)) / taught.sum((1, 2)).unsqueeze(-1)
        return torch.stack([sums[:, :-1].mean(1), sums[:, -1]])

    def held_out(self, taught: Bool[Tensor, "member operation x"]) -> Float[Tensor, " member"]:
        """Exact answers to what was not taught, NaN where everything was."""
        exact = self.right() * self.noun * ~taught.unsqueeze(-1)
        return exact.mean(3).sum((1, 2)) / (~taught).sum((1, 2))


def by_cell(cells: Int[Tensor, "cell 2"]) -> Bool[Tensor, "operation x"]:
    """Which cells are among some."""
    found = torch.zeros(len(world.CHANGES), world.INPUTS, dtype=torch.bool)
    found[cells[:, 0], cells[:, 1] - world.FIRST_X] = True
    return found


@torch.no_grad()
def answers(models: Readers, lines: Int[Tensor, "member problem 10"]) -> Answers:
    """What the members answer to lines of arithmetic in the order of ``world.problems``."""
    tokens, rows = lines[..., : world.PLACES].clone(), torch.arange(lines.shape[1])

    def said(place: int) -> Tensor:
        asked = rows * world.PLACES + place
        return _logits(models, Batch(tokens=tokens, asked=asked, answers=tokens[..., place], named=0)).argmax(-1)

    number, x = said(world.QUESTION), lines[..., world.X_PLACE]
    tokens[..., world.FIRST_ANSWER] = number
    noun = said(world.FIRST_ANSWER)
    applied = torch.full_like(number, OTHER)
    for operation, change in enumerate(world.CHANGES):
        applied[(number == x + change) & (number >= world.PEOPLE) & (number < world.PEOPLE + world.NUMERALS)] = (
            operation
        )
    shape = (len(lines), len(world.CHANGES), world.INPUTS, world.SYNONYMS)
    return Answers(applied=applied.view(shape), noun=(noun == lines[..., world.NOUN_PLACE]).float().view(shape))


def problems_in(language: int, seeds: Sequence[int], conditions: Sequence[str]) -> Int[Tensor, "member problem 10"]:
    """All problems for members condition by condition; in B with nouns that are B's own in every condition."""
    found = []
    for condition in conditions:
        for seed in seeds:
            draw = generator("two languages", "problems", seed)
            events = world.problems(draw, first_noun=world.NOUNS // 2 if language == B else 0)
            lines = events.sums(language)
            found.append(in_words(lines, condition) if language == B else lines)
    return torch.stack(found)


@torch.no_grad()
def story_losses(
    models: Readers, language: int, seeds: Sequence[int], conditions: Sequence[str]
) -> Float[Tensor, "member answer"]:
    """Cross-entropy in nats of who, word for how much and noun in new stories, without noise."""
    found = []
    for condition in conditions:
        for seed in seeds:
            events = world.drawn_events(generator("two languages", "test stories", seed), TEST_STORIES)
            found.append(events.stories(A) if language == A else told(events, condition, seed))
    batch = batch_of(None, torch.stack(found))
    logs = _logits(models, batch).log_softmax(-1).gather(-1, batch.answers.unsqueeze(-1)).squeeze(-1)
    return -logs.view(len(found), TEST_STORIES, -1).mean(1)


def _logits(models: Readers, batch: Batch) -> Float[Tensor, "member answer outputs"]:
    """What all members answer, some members at a time so that memory does not grow with them."""
    found = []
    for first in range(0, models.count, AT_ONCE):
        part = slice(first, first + AT_ONCE)
        own = Batch(tokens=batch.tokens[part], asked=batch.asked, answers=batch.answers[part], named=0)
        members = range(models.count)[part]
        found.append(models.select(members).answers(own.to(models.embed.device)).cpu())
    return torch.cat(found)
