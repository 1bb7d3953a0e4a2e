"""Members kept where their loss on the trained pairs first comes down to a level, and parts of them put into each other."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from heldout.connecting_dots.dots_networks import answer_loss, name_noise
from heldout.connecting_dots.line_batches import Batch
from heldout.connecting_dots.named_functions import NAME_PLACE, NAMED
from heldout.connecting_dots.row_training import Tuned
from heldout.devices import generator

OLD_ROWS, FIRST_LAYER, LAST_LAYER, READING = "old rows", "first layer", "last layer", "unembedding"
PARTS = (OLD_ROWS, FIRST_LAYER, LAST_LAYER, READING)
Measure = Callable[[Tuned], Float[Tensor, "mode seed"]]


def clean_loss(tuned: Tuned) -> Float[Tensor, "mode seed"]:
    """Mean cross-entropy over all pairs of all functions, in nats a pair, without noise."""
    return tuned.losses().mean((2, 3))


class NoisyLoss:
    """The mean cross-entropy over all pairs, in nats a pair, with noise on the names' rows: a few draws, always the same.

    Args:
        seeds: of the members.
        noise: in standard deviations of the old names' rows.
        draws: how many.
    """

    def __init__(self, seeds: Sequence[int], noise: float, draws: int) -> None:
        self.seeds, self.noise, self.draws = list(seeds), noise, draws

    def __call__(self, tuned: Tuned) -> Float[Tensor, "mode seed"]:
        """The loss of all members."""
        return self._mean(tuned, lambda logits, answers: answer_loss(logits, answers))

    def right(self, tuned: Tuned) -> Float[Tensor, "mode seed"]:
        """The share of pairs right under this noise."""
        return self._mean(tuned, lambda logits, answers: (logits.argmax(-1) == answers).to(logits.dtype).mean(-1))

    @torch.no_grad()
    def _mean(self, tuned: Tuned, value: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        batch, edit = tuned.batch("apply")
        unit = self.noise * tuned.pretrained.models.name_spread()
        makers = [generator("connecting dots", "looks", seed) for seed in self.seeds]
        total = torch.zeros(tuned.models.count).to(unit)
        for _ in range(self.draws):
            noise = (name_noise(makers, tuned.models.embed, batch.named) * unit).repeat(tuned.modes, 1, 1)
            total += value(tuned.models.answers(batch, noise=noise, edit=edit), batch.answers) / self.draws
        return total.view(tuned.modes, -1).cpu()


class Matched:
    """A probe of :func:`~heldout.connecting_dots.row_training.tune` that keeps each member where its loss reaches each level.

    Training ends when all members are at the last level.

    Args:
        levels: falling, in nats a pair.
        shape: modes and seeds.
        measure: the loss that is looked at; by default over all pairs of all functions, without noise.

    Attributes:
        loss: (level, mode, seed) at the first look at or below the level; NaN where there was none.
        step: (level, mode, seed) updates made by then; NaN likewise.
        right: by task, (level, mode, seed) share of lines about new names right by then; NaN likewise.
        nearest: at the last look, the smallest loss over the last level of those that were not there before.
    """

    def __init__(self, levels: Sequence[float], shape: tuple[int, int], measure: Measure = clean_loss) -> None:
        self.levels, self.kept, self.measure, self.nearest = list(levels), dict[str, Tensor](), measure, 0.0
        whole = (len(self.levels), *shape)
        self.loss, self.step = torch.full(whole, torch.nan), torch.full(whole, torch.nan)
        self.right = {task: torch.full(whole, torch.nan) for task in NAMED}

    def __call__(self, step: int, tuned: Tuned) -> bool:
        """Look at all members; true once all are at the last level."""
        if self.done():
            return True
        loss = self.measure(tuned)
        self.nearest = float((loss[self.loss[-1].isnan()] / self.levels[-1]).min())
        arrived = torch.stack([(loss <= level) & self.loss[place].isnan() for place, level in enumerate(self.levels)])
        if bool(arrived.any()):
            self.loss, self.step = torch.where(arrived, loss, self.loss), self.step.masked_fill(arrived, step)
            for task in NAMED:
                self.right[task] = torch.where(arrived, tuned.correct(task).mean((2, 3)), self.right[task])
        state = {name: value.detach() for name, value in tuned.models.named_parameters()}
        if not self.kept:
            self.kept = {name: value.clone() for name, value in state.items()}
        going = (arrived[-1] | self.loss[-1].isnan()).flatten()
        for name, value in state.items():
            self.kept[name][going] = value[going]
        return self.done()

    def done(self) -> bool:
        """Whether all members are at the last level."""
        return not bool(self.loss[-1].isnan().any())

    def members(self, tuned: Tuned) -> Tuned:
        """The members at the last level; one that has not reached it is as it stood at the last look."""
        models = tuned.models.select(range(tuned.models.count))
        models.load_state_dict(self.kept)
        return replace(tuned, models=models)


def looks(most: int, finest: int) -> list[int]:
    """Updates at which to look: every ``finest`` at first, later at gaps of a hundred-and-fiftieth of the updates made."""
    found, step = [0], 0
    while step < most:
        step = min(most, step + max(finest, step // 150))
        found.append(step)
    return found


def joined(parts: Sequence[Tuned]) -> Tuned:
    """Modes after modes, of the same seeds."""
    state = {
        name: torch.cat([dict(part.models.named_parameters())[name].detach() for part in parts])
        for name, _ in parts[0].models.named_parameters()
    }  # fmt: skip
    models = parts[0].models.select([0] * sum(part.models.count for part in parts))
    models.load_state_dict(state)
    return replace(
        parts[0], models=models, modes=sum(part.modes for part in parts), depths=torch.cat([part.depths for part in parts]),
        vectors=torch.cat([part.vectors.detach() for part in parts]),
    )  # fmt: skip


def with_rows_of(tuned: Tuned, mode: int) -> Tuned:
    """All modes with the new rows of one mode, seed by seed: row from one, all other weights from each."""
    new = tuned.vectors.shape[1]
    rows = _by_mode(tuned.models.embed, tuned.modes)[mode, :, -new:]
    return _changed(tuned, {"embed": _with_new_rows(tuned.models.embed.detach(), rows.repeat(tuned.modes, 1, 1))})


def restored(tuned: Tuned, part: str) -> Tuned:
    """All members with one part of the old weights as it was in pretraining."""
    models, copies = tuned.models, tuned.modes
    before = {name: value.detach().repeat(copies, 1, 1) for name, value in tuned.pretrained.models.named_parameters()}
    new = tuned.vectors.shape[1]
    if part == OLD_ROWS:
        rows = models.embed.detach()[:, -new:]
        return _changed(
            tuned, {"embed": torch.cat([before["embed"], rows], 1), "position": before["position"]}
        )  # fmt: skip
    layers = range(models.layers - 1) if part == FIRST_LAYER else range(models.layers - 1, models.layers)
    ends = [str(layer) for layer in layers]
    inside = {
        name for name in before
        if (name.startswith("unembed") if part == READING else name.removesuffix("_bias")[-1] in ends)
    }  # fmt: skip
    return _changed(tuned, {name: before[name] for name in inside})


def right_shares(tuned: Tuned) -> dict[str, Float[Tensor, "mode seed"]]:
    """Share of lines about new names right, by task."""
    return {task: tuned.correct(task).mean((2, 3)) for task in NAMED}


def moved(tuned: Tuned) -> Float[Tensor, "mode seed"]:
    """Length of the change of all old weights over their length in pretraining."""
    new, seeds = tuned.vectors.shape[1], len(tuned.pretrained.languages)
    change = torch.zeros(tuned.modes, seeds).to(tuned.models.embed)
    length = change[0].clone()
    for name, before in tuned.pretrained.models.named_parameters():
        after = _by_mode(dict(tuned.models.named_parameters())[name], tuned.modes)
        after = after[:, :, :-new] if name == "embed" else after
        change = change + (after - before.detach()).square().sum((2, 3))
        length = length + before.detach().square().sum((1, 2))
    return (change / length).sqrt().cpu()


def drift(tuned: Tuned) -> Float[Tensor, "depth mode seed"]:
    """Mean cosine of a new name with the mean of its function's old names, both from the mean of all old names.

    At depth 0 these are rows; at depth l the streams at the name's place after l layers, as read in ``apply NAME``.
    """
    language = tuned.pretrained.languages[0]
    count = len(language.functions)
    names = torch.arange(language.first_name, language.vocabulary + count)
    marker = language.lines("apply", [0]).tokens[0, 0].expand(len(names))
    streams = _at_names(tuned, torch.stack([marker, names], 1))
    depths, members, _, width = streams.shape
    old = streams[:, :, :-count].reshape(depths, members, count, -1, width).mean(3)
    center = old.mean(2, keepdim=True)
    cosines = cosine_similarity(streams[:, :, -count:] - center, old - center, dim=-1).mean(-1)
    return cosines.view(depths, tuned.modes, -1).cpu()


@torch.no_grad()
def _at_names(tuned: Tuned, tokens: Tensor) -> Tensor:
    """Streams (depth, member, name, width) at the second place of lines that all members read."""
    models = tuned.models
    answers = torch.zeros(models.count, len(tokens), dtype=torch.long)
    batch = Batch(
        tokens=tokens.expand(models.count, -1, -1), asked=torch.arange(len(tokens)) * 2 + 1, answers=answers, named=len(tokens)
    )  # fmt: skip
    return models.streams(batch.to(models.embed.device))[..., NAME_PLACE, :]


def _by_mode(value: Tensor, modes: int) -> Tensor:
    """One weight of all members, (mode, seed, ...)."""
    return value.detach().view(modes, -1, *value.shape[1:])


def _with_new_rows(embed: Tensor, rows: Tensor) -> Tensor:
    return torch.cat([embed[:, : -rows.shape[1]], rows], 1)


def _changed(tuned: Tuned, values: dict[str, Tensor]) -> Tuned:
    """Copies of all members with some weights put in."""
    models = tuned.models.select(range(tuned.models.count))
    state = {name: value.detach() for name, value in models.named_parameters()}
    models.load_state_dict(state | values)
    return replace(tuned, models=models)
