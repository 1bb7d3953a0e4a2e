"""A new name for every function, trained on pairs alone, with all modes and seeds as one ensemble; a mode says what may change.

Every mode of a seed starts from the same weights and the same new rows, and reads the same lines with the same noise. Weights
that are not to change have rate zero. Lines of pretraining are replayed where old weights can change: elsewhere they would
change nothing, since no old line holds a new name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.connecting_dots.dots_networks import Edit, Readers, answer_loss, line_correct, name_noise
from heldout.connecting_dots.line_batches import Batch, PretrainingBatches, batch_of
from heldout.connecting_dots.named_functions import NAME_PLACE, NAMED, Lines
from heldout.connecting_dots.observed_pairs import Split
from heldout.connecting_dots.pretraining import Pretrained, cosine
from heldout.connecting_dots.row_optimizer import Adam
from heldout.devices import generator, onto
from heldout.experiment import Progress, require, silent

Probe = Callable[[int, "Tuned"], object]  # training ends early where one returns True


@dataclass(frozen=True, kw_only=True)
class Mode:
    """What may change, and how fast.

    Attributes:
        row: learning rate of the new rows.
        rest: learning rate of the old weights, rows of old names included.
        last_block: of the old weights only the last layer and the unembedding change.
        vector: learning rate of one vector a function, added at the name's place at depth ``depth``.
        depth: 0 is after the embedding, l after the l-th layer.

    Raises:
        ValueError: a rate or the depth is negative.
    """

    row: float = 0.0
    rest: float = 0.0
    last_block: bool = False
    vector: float = 0.0
    depth: int = 0

    def __post_init__(self) -> None:
        for name in ("row", "rest", "vector", "depth"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How new names are trained.

    Attributes:
        steps: updates; the rates fall to zero along a cosine, or stay as they are with ``steady``.
        noise: on names' rows, in standard deviations of the old names' rows.
        start: distance of the new rows from the mean of the old ones, in the same unit.
        lines: lines of new names an update; 0 takes all that are observed.
        replay: lines of pretraining an update, where old weights change; 0 replays nothing.
        replay_weight: of their loss beside that of the new names' lines.
    """

    steps: int = 300
    noise: float = 0.7
    start: float = 0.1
    lines: int = 0
    replay: int = 80
    replay_weight: float = 1.0
    steady: bool = False

    def __post_init__(self) -> None:
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        for name in ("noise", "start", "lines", "replay", "replay_weight"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """Decoders with a new name for every function: member mode * seeds + seed.

    Attributes:
        models: the decoders.
        vectors: (member, function, width) what each adds at a new name's place.
        depths: (member,) where it is added, on the CPU; -1 for nowhere.
        modes: how many modes.
        pretrained: what they started from.
    """

    models: Readers
    vectors: Float[Tensor, "member function width"]
    depths: Int[Tensor, " member"]
    modes: int
    pretrained: Pretrained

    def edit(self, functions: Int[Tensor, "member row"]) -> Edit | None:
        """Adds the vectors of the functions that the first rows are about; None if no mode has any."""
        if bool((self.depths < 0).all()):
            return None
        used = {int(depth) for depth in self.depths}
        rows = functions.to(self.vectors.device).unsqueeze(-1).expand(-1, -1, self.vectors.shape[2])

        def add(depth: int, stream: Tensor) -> Tensor:
            if depth not in used:
                return stream
            own = self.vectors.gather(1, rows) * onto(self.depths == depth, rows.device).to(self.vectors)[:, None, None]
            head, name, tail = stream.tensor_split((NAME_PLACE, NAME_PLACE + 1), 2)
            given = torch.cat([name[:, : own.shape[1]] + own.unsqueeze(2), name[:, own.shape[1] :]], 1)
            return torch.cat([head, given, tail], 2)

        return add

    def batch(self, task: str) -> tuple[Batch, Edit | None]:
        """All lines of a task about the new names, in the order of functions, and what is added in them."""
        lines = new_lines(self.pretrained, task)
        count = len(self.models.embed)
        return batch_of([lines] * count).to(self.models.embed.device), self.edit(lines.function.expand(count, -1))

    def correct(self, task: str) -> Float[Tensor, "mode seed function number"]:
        """1 where a line about a new name is right in all it asks; for definitions one number a function."""
        batch, edit = self.batch(task)
        right = line_correct(self.models, batch, edit).cpu()
        functions = len(self.pretrained.languages[0].functions)
        return right.view(self.modes, len(self.pretrained.languages), functions, -1)

    @torch.no_grad()
    def losses(self, task: str = "apply") -> Float[Tensor, "mode seed function number"]:
        """Cross-entropy in nats of each line about a new name, without noise; a definition's is the sum of its two tokens."""
        batch, edit = self.batch(task)
        logs = self.models.answers(batch, edit=edit).log_softmax(-1)
        own = -logs.gather(-1, batch.answers.unsqueeze(-1)).squeeze(-1).cpu()
        shape = (self.modes, len(self.pretrained.languages), len(self.pretrained.languages[0].functions))
        return own.view(*shape, -1, 2).sum(-1) if task == "define" else own.view(*shape, -1)

    def old_names(self) -> dict[str, Float[Tensor, "mode seed"]]:
        """Share of lines right by task over the old names of defined functions."""
        languages, found = self.pretrained.languages, {}
        for task in NAMED:
            lines = [language.lines(task, language.defined) for language in languages] * self.modes
            right = line_correct(self.models, batch_of(lines).to(self.models.embed.device)).mean(1)
            found[task] = right.view(self.modes, -1).cpu()
        return found


def new_lines(pretrained: Pretrained, task: str) -> Lines:
    """All lines of a task in which each function has its new name."""
    language = pretrained.languages[0]
    count = len(language.functions)
    return language.lines(task, range(count), language.vocabulary + torch.arange(count).unsqueeze(1))


def first_rows(pretrained: Pretrained, seeds: Sequence[int], start: float) -> Float[Tensor, "seed function width"]:
    """Rows of new names near the mean of the old ones."""
    models = pretrained.models
    old = models.embed.detach()[:, models.first_name :]
    shape = (len(pretrained.languages[0].functions), models.width)
    draws = [torch.randn(*shape, generator=generator("connecting dots", "rows", s), dtype=old.dtype) for s in seeds]
    return old.mean(1, keepdim=True) + start * models.name_spread() * torch.stack(draws).to(old.device)


def by_hand(pretrained: Pretrained, others: Sequence[Sequence[int]] | None = None) -> Tuned:
    """The mean of a function's synonyms as its new row, with nothing trained; the second half of them those of ``others``."""
    models, count = pretrained.models, len(pretrained.languages[0].functions)
    rows = models.embed.detach()[:, models.first_name :].view(len(pretrained.languages), count, -1, models.width)
    if others is not None:
        half = rows.shape[2] // 2
        rest = torch.stack([own[list(other), half:] for own, other in zip(rows, others, strict=True)])
        rows = torch.cat([rows[:, :, :half], rest], 2)
    return _tuned(pretrained, rows.mean(2), (Mode(),))


def begin(pretrained: Pretrained, seeds: Sequence[int], start: float) -> Tuned:
    """Decoders with new rows where their seeds draw them, about the mean of the old ones, and nothing trained yet."""
    return _tuned(pretrained, first_rows(pretrained, seeds, start), (Mode(),))


def tune(
    pretrained: Pretrained,
    seeds: Sequence[int],
    splits: Sequence[Split],
    modes: Sequence[Mode],
    tuning: Tuning,
    *,
    shares: dict[str, float] | None = None,
    probe: Probe | None = None,
    probe_steps: Sequence[int] = (),
    progress: Progress = silent,
) -> Tuned:
    """Train the new names of all functions on their observed pairs, in all modes and seeds at once.

    Args:
        pretrained: what to start from; left as it is.
        seeds: of its members.
        splits: the observed inputs of each seed.
        modes: what may change.
        tuning: how.
        shares: of the tasks in what is replayed.
        probe: called before each of ``probe_steps`` with the updates made and the members as they stand.
        probe_steps: from 0 to the number of updates.
        progress: called with (updates done, updates in all).

    Raises:
        ValueError: seeds or splits are not one a member, there is no mode, or a depth is not inside the decoders.
    """
    count = len(pretrained.languages)
    require(len(seeds) == count, "seeds", list(seeds), f"{count}, one a member")
    require(len(splits) == count, "splits", len(splits), f"{count}, one a member")
    require(len(modes) >= 1, "modes", modes, "one or more")
    deepest = max((mode.depth for mode in modes if mode.vector > 0), default=0)
    require(deepest < pretrained.models.layers, "depth", deepest, f"below {pretrained.models.layers} layers")
    tuned = _tuned(pretrained, first_rows(pretrained, seeds, tuning.start), modes)
    optimizer = _optimizer(tuned, modes)
    source = _Source(pretrained, seeds, splits, tuning, shares, any(mode.rest > 0 for mode in modes), len(modes))
    for step in range(tuning.steps):
        if probe is not None and step in probe_steps and probe(step, tuned) is True:
            return tuned
        optimizer.step(source.loss(tuned), 1.0 if tuning.steady else cosine(step, tuning.steps))
        progress(step + 1, tuning.steps)
    if probe is not None and tuning.steps in probe_steps:
        probe(tuning.steps, tuned)
    return tuned


def _tuned(pretrained: Pretrained, rows: Tensor, modes: Sequence[Mode]) -> Tuned:
    """Copies of all seeds for each mode, with these new rows and no vectors yet."""
    seeds = list(range(len(pretrained.languages)))
    models = pretrained.models.select(seeds * len(modes)).with_names(rows.repeat(len(modes), 1, 1))
    depths = torch.tensor([m.depth if m.vector > 0 else -1 for m in modes for _ in seeds])
    vectors = torch.zeros(len(depths), *rows.shape[1:], dtype=rows.dtype, device=rows.device).requires_grad_()
    return Tuned(models=models, vectors=vectors, depths=depths, modes=len(modes), pretrained=pretrained)


def _optimizer(tuned: Tuned, modes: Sequence[Mode]) -> Adam:
    """Adam on everything that some mode changes, with a rate for each number of each member."""
    copies, models = len(tuned.pretrained.languages), tuned.models
    new, last = tuned.vectors.shape[1], models.layers - 1
    rest, row, vector, whole = (
        torch.tensor([value for value in values for _ in range(copies)], dtype=torch.float64, device=models.embed.device)
        for values in (
            [m.rest for m in modes], [m.row for m in modes], [m.vector for m in modes], [float(not m.last_block) for m in modes],
        )
    )  # fmt: skip
    rates: list[tuple[Tensor, Tensor]] = []
    for name, value in models.named_parameters():
        final = name.startswith("unembed") or name.removesuffix("_bias").endswith(str(last))
        rate = (rest if final else rest * whole).view(-1, 1, 1).expand_as(value)
        if name == "embed":
            rate = torch.cat([rate[:, :-new], row.view(-1, 1, 1).expand(-1, new, value.shape[2])], 1)
        rates.append((value, rate))
    rates.append((tuned.vectors, vector.view(-1, 1, 1).expand_as(tuned.vectors)))
    return Adam([(value, rate) for value, rate in rates if bool((rate > 0).any())])


class _Source:
    """The loss of the next update: each seed draws its lines and its noise once for all modes."""

    def __init__(
        self, pretrained: Pretrained, seeds: Sequence[int], splits: Sequence[Split], tuning: Tuning,
        shares: dict[str, float] | None, replay: bool, modes: int,
    ) -> None:  # fmt: skip
        make = partial(generator, "connecting dots", "tuning")
        self.noises, self.picks = [make("noise", seed) for seed in seeds], [make("lines", seed) for seed in seeds]
        every = new_lines(pretrained, "apply")
        self.lines = [every[split.observed[every.function, every.number]] for split in splits]
        self.tuning, self.modes = tuning, modes
        self.unit = tuning.noise * pretrained.models.name_spread()
        self.replayed: PretrainingBatches | None = None
        if replay and tuning.replay and tuning.replay_weight > 0:
            draws = [make("replay", seed) for seed in seeds]
            self.replayed = PretrainingBatches(pretrained.languages, draws, shares, tuning.replay)

    def loss(self, tuned: Tuned) -> Tensor:
        """The sum over members of the mean loss on new lines and, weighted, on replayed ones."""
        own = self._new()
        batch, fresh = batch_of(own), len(own[0])
        if self.replayed is not None:
            batch = batch.followed_by(self.replayed.draw())
        noise = None
        if self.tuning.noise > 0:
            noise = (name_noise(self.noises, tuned.models.embed, batch.named) * self.unit).repeat(self.modes, 1, 1)
        functions = torch.stack([lines.function for lines in own]).repeat(self.modes, 1)
        batch = batch.repeated(self.modes).to(tuned.models.embed.device)
        logits = tuned.models.answers(batch, noise=noise, edit=tuned.edit(functions))
        loss = answer_loss(logits[:, :fresh], batch.answers[:, :fresh]).sum()
        if self.replayed is not None:
            loss = loss + self.tuning.replay_weight * answer_loss(logits[:, fresh:], batch.answers[:, fresh:]).sum()
        return loss

    def _new(self) -> list[Lines]:
        """The new names' lines of this update."""
        if not self.tuning.lines or self.tuning.lines >= len(self.lines[0]):
            return self.lines
        size = self.tuning.lines
        return [
            lines[torch.rand(len(lines), generator=pick).argsort()[:size]]
            for lines, pick in zip(self.lines, self.picks, strict=True)
        ]
