"""Arithmetic and stories in A, then stories in B: all seeds as one ensemble, and all conditions and seeds as another.

The second ensemble starts from copies of the first. Only what belongs to B's words can change, their rows of the embedding and
their columns of the output. Some stories of A are read again beside B's, so that B's words are not said where A's belong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.connecting_dots import two_languages_world as world
from heldout.connecting_dots.dots_networks import Readers, answer_loss
from heldout.connecting_dots.line_batches import Batch
from heldout.connecting_dots.pretraining import clipped, cosine, flattened
from heldout.connecting_dots.row_optimizer import Adam
from heldout.connecting_dots.two_languages_world import A, B
from heldout.devices import generator, onto
from heldout.experiment import Progress, require, silent

NOISY = (world.HAS_PLACE, world.NOUN_PLACE, world.VERB_PLACE)
UNTRAINED, EXCHANGED = "no stories", "verbs exchanged"
WHO_DRAWN, VERB_DRAWN = "who at random", "verbs at random"
CONDITIONS = ("half shared", "quarter shared", EXCHANGED, "nothing shared", WHO_DRAWN, VERB_DRAWN, UNTRAINED)
SHARED = {"quarter shared": 0.25, "nothing shared": 0.0}  # of the words; half in all others


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The decoders and how they are trained on A, then on B. A Config of an experiment may extend it."""

    width: int = 32
    layers: int = 2
    heads: int = 4
    hidden: int = 128
    steps: int = 800
    sums: int = 24  # lines an update
    stories: int = 40  # lines an update
    learning_rate: float = 1e-2
    warm_up: int = 50  # updates
    weight_decay: float = 0.1
    clip: float = 1.0
    noise: float = 0.9  # on rows of a language's own words, in standard deviations of A's
    held_out: int = 1  # x of each operation that A's arithmetic never shows
    later_steps: int = 250
    later_stories: int = 24  # lines of B an update
    reread: int = 8  # lines of A's stories an update
    later_rate: float = 3e-2
    start: float = 0.2  # of B's rows about the mean of A's, in standard deviations of A's

    def __post_init__(self) -> None:
        counted = ("width", "layers", "heads", "hidden", "steps", "sums", "stories", "later_steps", "later_stories")
        for name in counted:
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.width % self.heads == 0, "heads", self.heads, f"a divisor of width={self.width}")
        for name in ("learning_rate", "clip", "later_rate"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        for name in ("warm_up", "weight_decay", "noise", "start", "reread"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(0 <= self.held_out < world.INPUTS, "held_out", self.held_out, f"0 to {world.INPUTS - 1}")


def taught_cells(recipe: Recipe, seed: int) -> tuple[Tensor, Tensor]:
    """The cells (operation, x) that A's arithmetic shows a seed, and those that it never does."""
    draw = generator("two languages", "cells", seed)
    order = torch.stack([torch.randperm(world.INPUTS, generator=draw) for _ in world.CHANGES])
    hidden = (order < recipe.held_out).flatten()
    return world.all_cells()[~hidden], world.all_cells()[hidden]


def batch_of(sums: Int[Tensor, "member row 10"] | None, stories: Int[Tensor, "member row 10"]) -> Batch:
    """Lines of arithmetic, then stories, and their answers."""
    lines = stories if sums is None else torch.cat([sums, stories], 1)
    first = 0 if sums is None else sums.shape[1]
    rows = torch.arange(lines.shape[1]).unsqueeze(1)
    places = torch.arange(world.QUESTION, world.PLACES)
    asked = ((rows >= first) | (places < world.PLACES - 1)).nonzero()
    return Batch(
        tokens=lines[..., : world.PLACES], asked=asked[:, 0] * world.PLACES + places[asked[:, 1]],
        answers=lines[:, asked[:, 0], places[asked[:, 1]] + 1], named=0,
    )  # fmt: skip


def pretrain(
    recipe: Recipe, seeds: Sequence[int], *, device: torch.device, progress: Progress = silent
) -> tuple[Readers, Float[Tensor, " member"]]:
    """Train one decoder a seed on A's arithmetic and stories; also the mean loss over the last tenth, in nats a token."""
    models = Readers(
        [generator("two languages", "weights", seed) for seed in seeds], vocabulary=world.VOCABULARY,
        outputs=world.ANSWERABLE, context=world.PLACES, width=recipe.width, layers=recipe.layers, heads=recipe.heads,
        hidden=recipe.hidden,
    ).to(device)  # fmt: skip
    models.first_name = int(world.has(A, 0))
    drawn = [_lines_of_a(recipe, seed) for seed in seeds]
    sums, stories = (torch.stack(part, 1) for part in zip(*drawn, strict=True))
    noises = [generator("two languages", "noise", seed) for seed in seeds]
    parameters = list(models.parameters())
    whole = flattened(parameters)
    optimizer = torch.optim.AdamW(
        [whole], lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay,
        fused=whole.device.type in ("cpu", "cuda"),
    )  # fmt: skip
    last, total = max(1, recipe.steps // 10), torch.zeros(len(seeds), device=device)
    for step in range(recipe.steps):
        batch = batch_of(sums[step].long(), stories[step].long()).to(device)
        loss = noisy_loss(models, batch, noises, _size(recipe, models))
        gradients = torch.autograd.grad(loss.sum(), parameters, materialize_grads=True)
        whole.grad = clipped(torch.cat([part.reshape(len(part), -1) for part in gradients], 1), recipe.clip)
        rise = min(1.0, (step + 1) / (recipe.warm_up + 1))
        optimizer.param_groups[0]["lr"] = recipe.learning_rate * rise * cosine(step, recipe.steps)
        optimizer.step()
        if step >= recipe.steps - last:
            total += loss.detach() / last
        progress(step + 1, recipe.steps)
    return models, total.cpu()


def _lines_of_a(recipe: Recipe, seed: int) -> tuple[Tensor, Tensor]:
    """All lines (step, row, 10) of a seed's training in A; arithmetic never uses the last verb of an operation."""
    draw = generator("two languages", "A", seed)
    taught, _ = taught_cells(recipe, seed)
    sums = world.drawn_events(draw, recipe.steps, recipe.sums, cells=taught, synonyms=world.SYNONYMS - 1)
    stories = world.drawn_events(draw, recipe.steps, recipe.stories)
    return sums.sums(A).to(torch.uint8), stories.stories(A).to(torch.uint8)


def noisy_loss(
    models: Readers, batch: Batch, noises: Sequence[torch.Generator], size: Float[Tensor, "member 1 1"] | None
) -> Float[Tensor, " member"]:
    """Each member's loss with noise on the rows of a language's own words before the question.

    There may be several members a generator, in whole rounds: they have the same noise. Without a size there is none.
    """
    rows, width = batch.tokens.shape[1], models.width
    if size is None:
        return answer_loss(models.answers(batch), batch.answers)
    drawn = torch.stack([torch.randn(rows, len(NOISY), width, generator=each) for each in noises])
    added = onto(drawn, size.device).repeat(models.count // len(noises), 1, 1, 1) * size.unsqueeze(-1)

    def add(depth: int, stream: Tensor) -> Tensor:
        return stream.index_add(2, torch.tensor(NOISY, device=stream.device), added) if depth == 0 else stream

    return answer_loss(models.answers(batch, edit=add), batch.answers)


def _size(recipe: Recipe, models: Readers) -> Float[Tensor, "member 1 1"] | None:
    """The noise of each member; none where the recipe has none."""
    return recipe.noise * spread(models.embed) if recipe.noise > 0 else None


def spread(embed: Float[Tensor, "member token width"]) -> Float[Tensor, "member 1 1"]:
    """Each member's standard deviation of the numbers in the rows of A's own words."""
    rows = onto(world.own_words(A).nonzero()[:, 0], embed.device)  # a mask's size would be asked of the device
    return embed.detach()[:, rows].std((1, 2), keepdim=True)


def later(
    models: Readers, recipe: Recipe, seeds: Sequence[int], conditions: Sequence[str], *, progress: Progress = silent
) -> Readers:
    """Copies of the members, condition by condition, with B's words new and trained on the condition's stories."""
    trained = [name for name in conditions if name != UNTRAINED]
    device = models.embed.device
    copies = models.select(list(range(len(seeds))) * len(conditions))
    _new_words(copies, recipe, seeds)
    if not trained:
        return copies
    each = [_lines_of_b(recipe, seed, trained) for seed in seeds]
    stories = torch.stack(each, 2).flatten(1, 2)  # (step, condition and seed, row, 10)
    chosen = [conditions.index(name) * len(seeds) + k for name in trained for k in range(len(seeds))]
    students = copies.select(chosen)
    noises = [generator("two languages", "later noise", seed) for seed in seeds]
    size = _size(recipe, students)
    words = world.own_words(B).to(device)
    outputs = words[: world.ANSWERABLE].float()
    adam = Adam(
        [
            (students.embed, words.float().unsqueeze(1).expand_as(students.embed) * recipe.later_rate),
            (students.unembed, outputs.expand_as(students.unembed) * recipe.later_rate),
            (students.unembed_bias, outputs.expand_as(students.unembed_bias) * recipe.later_rate),
        ]
    )
    for step in range(recipe.later_steps):
        batch = batch_of(None, stories[step].long()).to(device)
        adam.step(noisy_loss(students, batch, noises, size).sum(), cosine(step, recipe.later_steps))
        progress(step + 1, recipe.later_steps)
    with torch.no_grad():
        for name in ("embed", "unembed", "unembed_bias"):
            getattr(copies, name)[chosen] = getattr(students, name)
    return copies


@torch.no_grad()
def _new_words(models: Readers, recipe: Recipe, seeds: Sequence[int]) -> None:
    """Put B's rows and columns near the mean of A's; all conditions of a seed have the same."""
    rounds, device = models.count // len(seeds), models.embed.device
    old, new = world.own_words(A).to(device), world.own_words(B).to(device)
    said, say = old[: world.ANSWERABLE], new[: world.ANSWERABLE]
    draws = [generator("two languages", "B", seed) for seed in seeds]

    def near(rows: Tensor) -> Tensor:
        noise = (
            torch.stack([torch.randn(*rows.shape[1:], generator=draw) for draw in draws])
            .to(device)
            .repeat(rounds, 1, 1)
        )
        return rows.mean(1, keepdim=True) + recipe.start * rows.std((1, 2), keepdim=True) * noise

    models.embed[:, new] = near(models.embed[:, old])
    models.unembed[:, :, say] = near(models.unembed[:, :, said].transpose(1, 2)).transpose(1, 2)
    models.unembed_bias[:, :, say] = models.unembed_bias[:, :, said].mean(2, keepdim=True)


def meanings(seed: int) -> Int[Tensor, " operation"]:
    """What B's verbs of each operation mean where verbs are exchanged, a derangement of a seed."""
    return world.derangement(generator("two languages", "meanings", seed))


def _lines_of_b(recipe: Recipe, seed: int, conditions: Sequence[str]) -> Int[Tensor, "step condition row 10"]:
    """The same events for all conditions, told in each condition's words, and after them the same stories in A."""
    draw = generator("two languages", "stories", seed)
    events = world.drawn_events(draw, recipe.later_steps, recipe.later_stories)
    again = world.drawn_events(draw, recipe.later_steps, recipe.reread).stories(A)
    lines = [torch.cat([told(events, name, seed), again], 1) for name in conditions]
    return torch.stack(lines, 1).to(torch.uint8)


def told(events: world.Events, condition: str, seed: int) -> Int[Tensor, "... 10"]:
    """Events as a condition's stories in B."""
    draw = generator("two languages", condition, seed)
    lines = in_words(events.stories(B), condition)
    if condition == EXCHANGED:
        lines = world.exchanged_verbs(meanings(seed))[lines]
    if condition == WHO_DRAWN:
        coin = torch.randint(2, events.who.shape, generator=draw).bool()
        lines[..., world.FIRST_ANSWER] = torch.where(coin, events.who, events.other)
    if condition == VERB_DRAWN:
        drawn = world.drawn_events(draw, *events.who.shape)
        lines[..., world.VERB_PLACE] = torch.as_tensor(world.verb(B, drawn.operation, drawn.synonym))
    return lines


def in_words(lines: Int[Tensor, "... 10"], condition: str) -> Int[Tensor, "... 10"]:
    """Lines with the words that a condition's B shares with A in place of B's own."""
    return world.shared_words(SHARED.get(condition, 0.5))[lines]
