"""Equal loss on all pairs, and what is said of the function: new names from two ends of the dial, two starts, and with lessons.

Decoders learn every pair of every new name to one loss, which is also the loss that is trained. They differ in how fast a name's
row learns beside all other weights, in where the rows start, and in whether definitions are read beside the pairs, true or
false ones. After Byrnes's comment on Treutlein et al. 2024 (arXiv 2406.14546), and a reply by an author.

Axes: seed (of language, decoder, rows and lines), model, pair (of models), set (train: the pairs of the new names; test: lines
about old names; elsewhere: definitions, inversions and compositions of the new names), task.
Deviations: the paper fine-tunes GPT-3.5; no noise is added to names in fine-tuning, otherwise the loss that is matched would not
be the one that is trained. The panel is this book's.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from torch import Tensor

from heldout import distances
from heldout.claims import Claim, Control
from heldout.connecting_dots import closing_panel_checks as checks
from heldout.connecting_dots.closing_panel_checks import ELSEWHERE, MODELS, PAIRS, RULER
from heldout.connecting_dots.matched_training import Matched, joined, with_rows_of
from heldout.connecting_dots.named_functions import NAMED
from heldout.connecting_dots.pretraining import Pretrained, Recipe, pretrain
from heldout.connecting_dots.row_training import Tuned
from heldout.connecting_dots.told_or_not import Arm, arrive, circle, new_answers, old_answers
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import panel


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """How the decoders are pretrained, and how new names are trained."""

    undefined: int = 0
    unseen: int = 0
    steps: int = 1000
    fast: float = 0.03  # learning rate of the new rows
    slow: float = 0.0006
    rest: float = 2e-3  # of all old weights
    level: float = 0.01  # nats a pair, where training is stopped
    most_updates: int = 600
    words_updates: int = 100  # where definitions are read without the pairs
    look_every: int = 10  # updates
    start: float = 0.5  # of the new rows about the mean of the old ones, in standard deviations of these
    replay: int = 80  # lines an update
    replay_weight: float = 2.0  # beside the pairs
    num_seeds: int = 5
    first_seed: int = 140

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_seeds", "most_updates", "words_updates", "look_every", "replay"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("fast", "slow", "rest", "level"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        for name in ("start", "replay_weight"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(self.fast > self.slow, "slow", self.slow, f"below fast={self.fast}")
        require(self.undefined == self.unseen == 0, "undefined", (self.undefined, self.unseen), "0, as unseen")
        require(self.layers >= 2, "layers", self.layers, "at least 2")

    def arms(self) -> tuple[list[Arm], list[Arm]]:
        """The arms with a fast row and those with a slow one, in the order of the models."""
        fast, slow = partial(Arm, row=self.fast, rest=self.rest), partial(Arm, row=self.slow, rest=self.rest)
        return (
            [fast(), fast(other_start=True), fast(lessons="true"), fast(lessons="false")],
            [slow(), slow(other_start=True), slow(other_lines=True)],
        )

    def words_alone(self) -> list[Arm]:
        """False definitions without the pairs."""
        return [Arm(row=self.fast, rest=self.rest, lessons="false", pairs=False)]


SMOKE = Config(
    modulus=5, synonyms=2, width=8, heads=2, hidden=16, steps=40, batch=32, warm_up=5, fast=0.05, slow=0.01, level=1.55,
    most_updates=120, words_updates=10, replay=20, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(level=1e-3, most_updates=1500, num_seeds=20)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Pretrain all seeds as one ensemble, train the arms as two others, and compare.

    Returns:
        distance (seed, pair, set), loss_difference (seed, pair), yardstick (seed, set), natural (pair) of the panel; apart
        (seed, pair, task) for lines about new names; right (seed, model, task): shares of them; old (seed, model, task): of lines
        about old names; loss (nats a pair), updates (seed, model). By reader of false lessons, beside the pairs or without
        them: as_told, definitions given back; follows_pairs, follows_words, inversions that undo the function of the pairs
        and that of the words. With the fast row put among the other weights of the slow end: graft_apart (seed), from the
        fast model elsewhere, and graft_right (seed), pairs right. NaN where a training does not come down so far.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    total, groups = 4 * config.most_updates, config.arms()

    def advance(first: int, span: int) -> Progress:
        return lambda done, whole: progress(round(config.most_updates * (first + span * done / whole)), total)

    started = pretrain(config, seeds, device=device, progress=advance(0, 1))
    how = partial(
        arrive, started, seeds, level=config.level, look_every=config.look_every, start=config.start, replay=config.replay,
        replay_weight=config.replay_weight, shares=config.by_task(),
    )  # fmt: skip
    found = [
        how(arms, most_updates=config.most_updates, progress=advance(first, span))
        for arms, first, span in zip(groups, (1, 3), (2, 1), strict=True)
    ]
    _, words = how(config.words_alone(), most_updates=config.words_updates)
    return _dataset(config, seeds, started, [look for look, _ in found], joined([tuned for _, tuned in found]), words)


def _dataset(
    config: Config, seeds: list[int], started: Pretrained, looks: list[Matched], tuned: Tuned, words: Tuned
) -> xr.Dataset:
    loss = torch.cat([look.loss[0] for look in looks]).T.double().numpy()
    answers, outputs = _by_model(tuned, len(seeds)), started.languages[0].outputs
    old = old_answers(tuned).view(len(MODELS), len(seeds), -1, outputs)
    graft = with_rows_of(tuned, MODELS.index(checks.FAST))
    grafted, place = _by_model(graft, len(seeds)), MODELS.index(checks.SLOW)
    alone, measured = _by_model(words, len(seeds)), list[dict[str, np.ndarray]]()
    for number, seed in enumerate(seeds):
        own = {task: dict(zip(MODELS, value[:, number], strict=True)) for task, value in answers.items()}
        losses = dict(zip(MODELS, loss[number].tolist(), strict=True))
        one = _compared(own, dict(zip(MODELS, old[:, number], strict=True)), losses)
        one["graft"] = np.array([_distance(own[task][checks.FAST], grafted[task][place, number]) for task in ELSEWHERE])
        readers = (
            {task: own[task][checks.TOLD_OTHERWISE] for task in NAMED},
            {task: alone[task][0, number] for task in NAMED},
        )
        one["lessons"] = np.array([_after_lessons(started, each, seed) for each in readers])
        measured.append(one)
    every = {name: np.stack([one[name] for one in measured]) for name in measured[0]}
    record = distances.panel_dataset(PAIRS, seeds, measured, every["ruler"], "loss on the pairs, in nats")
    model, reader = ("seed", "model"), ("seed", "reader")
    right, known, hybrid = (
        np.stack([value[task].T.numpy() for task in NAMED], -1)
        for value in (_right(tuned), tuned.old_names(), _right(graft))
    )
    updates = torch.cat([look.step[0] for look in looks]).T.numpy()
    added = {
        "apart": variable(("seed", "pair", "task"), every["apart"], "distance on lines about new names"),
        "right": variable((*model, "task"), right, "share of lines about new names right"),
        "old": variable((*model, "task"), known, "share of lines about old names right"),
        "loss": variable(model, loss, "cross-entropy of the pairs", "nats a pair"),
        "updates": variable(model, updates, "updates to the level", "updates"),
        "as_told": variable(reader, every["lessons"][..., 0], "definitions as the false lessons have them"),
        "follows_pairs": variable(reader, every["lessons"][..., 1], "inversions as the pairs have them"),
        "follows_words": variable(reader, every["lessons"][..., 2], "inversions as the lessons have them"),
        "graft_apart": variable("seed", every["graft"].mean(1), "distance elsewhere with the fast row put in"),
        "graft_right": variable("seed", hybrid[:, place, 0], "share of pairs right with the fast row put in"),
    }
    coords = {"model": list(MODELS), "task": list(NAMED), "reader": list(checks.READERS)}
    facts = {
        "level": config.level, "modulus": config.modulus, "functions": len(started.languages[0].functions),
        "ratio": config.fast / config.slow,
    }  # fmt: skip
    return record.assign_coords(coords).assign(added).assign_attrs(facts)


def _right(tuned: Tuned) -> dict[str, Tensor]:
    return {task: tuned.correct(task).mean((2, 3)) for task in NAMED}


def _by_model(tuned: Tuned, seeds: int) -> dict[str, Tensor]:
    """By task, answers (model, seed, line, outcome) about new names."""
    found = {task: new_answers(tuned, task) for task in NAMED}
    return {task: value.view(tuned.modes, seeds, *value.shape[1:]) for task, value in found.items()}


def _distance(f: Tensor, g: Tensor) -> float:
    return distances.total_variation(f, g)


def _compared(
    own: dict[str, dict[str, Tensor]], before: dict[str, Tensor], losses: dict[str, float]
) -> dict[str, np.ndarray]:
    """One seed's panel, and each pair's distance by task; NaN where one of the two has not come down to the level."""
    table = []
    for pair in (*PAIRS, RULER):
        apart = [_distance(own[task][pair.first], own[task][pair.second]) for task in NAMED]
        test = _distance(before[pair.first], before[pair.second])
        matched = np.isfinite(losses[pair.first] - losses[pair.second])
        row = np.array([apart[0], test, float(np.mean(apart[1:])), *apart])
        table.append(row if matched else np.full_like(row, np.nan))
    values = np.stack(table)
    return {
        "distance": values[:-1, :3],
        "apart": values[:-1, 3:],
        "ruler": values[-1, :3],
        "loss_difference": np.array([abs(losses[pair.first] - losses[pair.second]) for pair in PAIRS]),
    }


def _after_lessons(started: Pretrained, own: dict[str, Tensor], seed: int) -> list[float]:
    """Of one model: false definitions given back, and inversions of the function of the pairs, and of that of the words."""
    language = started.languages[0]
    other = circle(len(language.functions), seed)
    operation, constant = language.definitions[other].T
    told = (operation - language.modulus) * language.outputs + constant
    undone = own["invert"].argmax(-1).view(len(language.functions), language.modulus)
    compared = (
        (own["define"].argmax(-1), told), (undone, language.inverses), (undone, language.inverses[other]),
    )  # fmt: skip
    return [float((f == g).double().mean()) for f, g in compared]


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The closing panel; see :func:`heldout.figures.panel.plot`."""
    return panel.plot(result, ax)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes; see :func:`heldout.connecting_dots.closing_panel_checks.numbers`."""
    return checks.numbers(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    return panel.describe(result)


_SOURCE = "this book, after S. Byrnes's comment on Treutlein et al. 2024, arXiv 2406.14546, and a reply"

CLAIMS = (
    Claim(
        id="closing_panel.ends_part",
        says="Two models from the ends of the dial, at one loss on all pairs, are less than 0.05 apart on the pairs, less than "
        "0.1 on lines about old names, and more than 0.5 in what they say of new names elsewhere, in at least 4 of 5 seeds.",
        rows=("S1.5", "S1.6"),
        source=_SOURCE,
        check=checks.ends_part,
        control=Control(
            says="two models of the slow end from one start, with another draw of the replayed lines", change=checks.one_end,
            manipulation=checks.lines_matched,
        ),
    ),
    Claim(
        id="closing_panel.slow_starts_part",
        says="Two models with slow rows that start from different draws are as near on the pairs and on old names, and more than "
        "0.5 apart elsewhere, in at least 4 of 5 seeds.",
        rows=("S1.6",),
        source="this book",
        check=checks.starts_part,
        control=Control(
            says="the same start, and another draw of the replayed lines", change=checks.same_start,
            manipulation=checks.lines_matched,
        ),
    ),
    Claim(
        id="closing_panel.uses_follow_pairs",
        says="A model that reads false definitions beside the pairs comes to the same loss on them, gives back at least 95 % of "
        "the false definitions, and inverts the new names as the pairs have it in at least 20 lines of 100 more than as the "
        "words have it, in at least 4 of 5 seeds.",
        rows=("S1.3", "S1.6"),
        source="this book",
        check=checks.uses_follow_pairs,
        control=Control(
            says="the same false definitions without the pairs", change=checks.without_pairs, manipulation=checks.words_learned
        ),
    ),
)  # fmt: skip
