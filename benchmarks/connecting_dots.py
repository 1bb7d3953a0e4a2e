"""New names on pretrained decoders, all fine-tuning modes and seeds as one ensemble, against one model after another.

The plain code is the textbook: ``nn.Embedding`` and ``nn.Linear`` layers, torch's own causal attention on all lines of an
update, ``cross_entropy`` with an ignored index, parameters that do not change frozen, ``torch.optim.Adam`` with a rate a group.
Same weights, lines, noise and updates; the lines are drawn by the same code, for each model anew.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness import Growth, Row, compare, grown
from benchmarks.rule_extrapolation import Decoder
from heldout.connecting_dots.line_batches import PretrainingBatches
from heldout.connecting_dots.named_functions import IGNORED, NAME_PLACE, Lines
from heldout.connecting_dots.observed_pairs import Split
from heldout.connecting_dots.one_row import BOOK, Config
from heldout.connecting_dots.pretraining import Pretrained, cosine, pretrain
from heldout.connecting_dots.row_training import Mode, Tuned, Tuning, first_rows, new_lines, tune
from heldout.devices import generator

CHAPTER = "connecting_dots"
TARGET, TOLERANCE = 4.0, 1e-3  # of the relative difference of a new row after a few updates
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Problem:
    """What both start from."""

    started: Pretrained
    seeds: list[int]
    splits: list[Split]
    modes: list[Mode]
    tuning: Tuning


def problem(updates: int, config: Config = BOOK, modes: list[Mode] | None = None) -> Problem:
    """The page's modes on decoders that were pretrained for a moment, which changes no cost."""
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    started = pretrain(replace(config, steps=2), seeds, device=CPU)
    language = started.languages[0]
    splits = [Split.drawn(language, generator("connecting dots", "observed", s), config.observed) for s in seeds]
    chosen = modes if modes is not None else list(config.modes().values())
    return Problem(started, seeds, splits, chosen, replace(config.tuning(), steps=updates))


def ours(given: Problem) -> dict[bool, Tuned]:
    """As the page does: one program for the modes that change old weights, and one for those that do not."""
    return {
        changes: tune(given.started, given.seeds, given.splits, modes, given.tuning)
        for changes, modes in by_kind(given).items()
    }


def by_kind(given: Problem) -> dict[bool, list[Mode]]:
    """The modes by whether they change old weights."""
    found: dict[bool, list[Mode]] = {}
    for mode in given.modes:
        found.setdefault(mode.rest > 0, []).append(mode)
    return found


class Named(nn.Module):
    """One decoder with new rows, and a vector a function that is added after the first layer."""

    def __init__(self, given: Problem, member: int, mode: Mode) -> None:
        super().__init__()
        self.decoder = Decoder(given.started.models, member)
        self.rows = nn.Parameter(first_rows(given.started, given.seeds, given.tuning.start)[member].clone())
        self.vectors = nn.Parameter(torch.zeros_like(self.rows))
        self.mode = mode
        late = [self.decoder.blocks[-1], self.decoder.unembed]
        old = list(nn.ModuleList(late).parameters()) if mode.last_block else list(self.decoder.parameters())
        groups = ((old, mode.rest), ([self.rows], mode.row), ([self.vectors], mode.vector))
        self.requires_grad_(False)
        self.groups = [{"params": values, "lr": rate} for values, rate in groups if rate]
        for group in self.groups:
            for value in group["params"]:  # type: ignore[attr-defined]
                value.requires_grad_()

    def forward(self, tokens: Tensor, functions: Tensor, noise: Tensor) -> Tensor:
        table = torch.cat([self.decoder.embed.weight, self.rows])
        stream = functional.embedding(tokens, table) + self.decoder.position[: tokens.shape[1]]
        extra = torch.zeros_like(stream)
        extra[: len(noise), NAME_PLACE] = noise
        stream = stream + extra
        for depth, block in enumerate(self.decoder.blocks):
            if self.mode.vector and depth == self.mode.depth:
                given = torch.zeros_like(stream)
                given[: len(functions), NAME_PLACE] = self.vectors[functions]
                stream = stream + given
            stream = block(stream)
        logits: Tensor = self.decoder.unembed(functional.layer_norm(stream, stream.shape[-1:]))
        return logits


def plain(given: Problem, member: int, mode: Mode) -> Named:
    """What a reader would write for one model."""
    model, tuning, seed = Named(given, member, mode), given.tuning, given.seeds[member]
    make = {name: generator("connecting dots", "tuning", name, seed) for name in ("noise", "replay")}
    every = new_lines(given.started, "apply")
    lines: Lines = every[given.splits[member].observed[every.function, every.number]]
    unit = tuning.noise * float(given.started.models.name_spread()[member])
    languages = [given.started.languages[member]]
    source = PretrainingBatches(languages, [make["replay"]], None, tuning.replay) if mode.rest > 0 else None
    optimizer = torch.optim.Adam(model.groups, betas=(0.9, 0.98))
    rates = [group["lr"] for group in optimizer.param_groups]
    for step in range(tuning.steps):
        old = source.draw() if source is not None else None
        named = len(lines) + (old.named if old is not None else 0)
        noise = unit * torch.randn(named, model.rows.shape[1], generator=make["noise"])
        logits = model(lines.tokens, lines.function, noise[: len(lines)])
        loss = functional.cross_entropy(logits.flatten(0, 1), lines.targets.flatten(), ignore_index=IGNORED)
        if old is not None:
            again = model(old.tokens[0], lines.function[:0], noise[len(lines) :]).flatten(0, 1)[old.asked]
            loss = loss + tuning.replay_weight * functional.cross_entropy(again, old.answers[0])
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * cosine(step, tuning.steps)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
    return model


def one_by_one(given: Problem, members: int) -> list[Named]:
    """All modes of the first members."""
    return [
        plain(given, member, mode) for modes in by_kind(given).values() for mode in modes for member in range(members)
    ]


def difference(given: Problem) -> float:
    """Largest relative difference of new rows, vectors or unembedding between together and alone."""
    apart, found = one_by_one(given, len(given.seeds)), []
    for tuned in ours(given).values():
        for place in range(len(tuned.vectors)):
            model, new = apart.pop(0), tuned.vectors.shape[1]
            pairs = (
                (tuned.models.embed[place, -new:], model.rows),
                (tuned.models.unembed[place].T, model.decoder.unembed.weight),
            )
            found += [float(((mine - own).norm() / own.norm()).detach()) for mine, own in pairs]
            apart_by = (tuned.vectors[place] - model.vectors).norm() / (model.vectors.norm() + 1e-3)
            found.append(float(apart_by.detach()))
    return max(found)


def connecting_dots() -> Iterator[Row | Growth]:
    """All modes and seeds of the page; the plain code does one seed of each mode. And how ours grows."""
    given = problem(20)
    apart = difference(problem(8))
    assert apart < TOLERANCE, f"weights differ by {apart:.1e}"
    yield compare(
        f"new rows, {len(given.modes)} modes, {len(given.seeds)} seeds, {given.tuning.steps} updates",
        lambda: ours(given),
        lambda: one_by_one(given, 1),
        chapter=CHAPTER,
        target=TARGET,
        rounds=3,
        plain_share=1 / len(given.seeds),
        note=f"plain is one seed, times {len(given.seeds)}; weights equal to {apart:.0e} relative after 8 updates",
    )
    what = "fine-tuning of new rows"
    for axis, sizes in (("members", (1, 2, 4, 8)), ("width", (32, 64, 128)), ("steps", (5, 10, 20))):
        yield grown(CHAPTER, what, axis, sizes, lambda size, axis=axis: _prepared(**{axis: size}))  # type: ignore[misc]


def _prepared(members: int = 2, width: int = 32, steps: int = 6) -> Callable[[], object]:
    given = problem(steps, replace(BOOK, num_seeds=members, width=width, hidden=4 * width))
    return lambda: ours(given)
