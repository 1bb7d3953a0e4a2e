"""Equal mean loss, different skills: networks stopped at one mean loss, and which tasks they know.

All learn the same small parities (Michaud et al. 2023, arXiv 2303.13506, section 3) and differ in how often they meet each task:
the low numbers often, the high numbers often, or all alike. Each is stopped where its loss, the mean over all tasks and all
strings of bits, first comes down to half of chance. The rule is the same for all and leaves no difference of loss.

Axes: seed (of tasks, networks and samples), model, task, pair (of models), set and mixture (weights of the tasks: all alike,
where losses are matched; low numbers often; high numbers often), level (mean loss along training, as a share of chance).
Deviations: 10 tasks of 14 bits, so that the loss is computed over all inputs there are and is no estimate; samples are drawn
online, yet a string may be drawn again. The panel is this book's. Losses are in nats.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control
from heldout.devices import generator, numpy_generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.quanta import closing_panel_figures as figures
from heldout.quanta import closing_panel_measures as measures
from heldout.quanta.closing_panel_measures import (
    EVEN,
    HIGH,
    LOW,
    MIXTURES,
    MODELS,
    OTHER_EVEN,
    OTHER_LOW,
    PAIRS,
    RULER,
)
from heldout.quanta.matched_networks import Everything, Snapshots, State, along, stopped_at
from heldout.quanta.parity import CHANCE, Tasks, online, random_tasks, zipf
from heldout.quanta.parity_networks import ByTask, ParityMLP, Together, train

OTHER_DRAW = 1_000_000  # added to a seed for other initial weights and samples
LEVELS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the panel."""

    num_tasks: int = 10
    num_bits: int = 14  # every string of them is asked about
    subset: int = 3  # bits of a task
    alpha: float = 0.5  # unequal frequencies go as rank^-(alpha + 1)
    width: int = 96
    batch_size: int = 500
    learning_rate: float = 1e-2
    steps: int = 1300  # with unequal frequencies
    even_steps: int = 600  # with equal ones
    look_every: int = 10  # updates
    held_out: int = 100  # samples a task at a look
    level: float = 0.5  # of chance, where training is stopped
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.num_tasks >= 2, "num_tasks", self.num_tasks, "at least 2")
        require(1 <= self.num_bits <= 20, "num_bits", self.num_bits, "from 1 to 20, since every string is asked about")
        require(1 <= self.subset <= self.num_bits, "subset", self.subset, "from 1 to num_bits")
        require(self.alpha >= -1, "alpha", self.alpha, "at least -1")
        require(self.width >= 1, "width", self.width, "at least 1")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.look_every >= 1, "look_every", self.look_every, "at least 1")
        for name in ("steps", "even_steps"):
            require(getattr(self, name) >= self.look_every, name, getattr(self, name), "at least look_every")
        require(self.held_out >= 20, "held_out", self.held_out, "at least 20")
        require(0 < self.level < 1, "level", self.level, "between 0 and 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    num_tasks=4, num_bits=8, width=48, batch_size=200, steps=500, even_steps=300, held_out=50, num_seeds=2, first_seed=0
)
BOOK = Config()
EQUAL = replace(BOOK, alpha=-1.0, steps=BOOK.even_steps, num_seeds=3)
PAPER = Config(
    num_tasks=50, num_bits=18, width=500, batch_size=10_000, learning_rate=3e-3, steps=20_000, even_steps=5000,
    look_every=100, held_out=200, num_seeds=10,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every network of every seed, stop it, and compare.

    Returns:
        task_loss (nats), accuracy (seed, model, task) of the networks that were stopped, over all inputs; stopped (seed, model)
        at which they were; distance (seed, pair, set), yardstick (seed, set), loss_difference (seed, pair), natural (pair) of
        the panel; disagreement (seed, pair), all tasks alike; path_loss (seed, model, level, task) along the way, nats, from
        samples; frequency (mixture, task). NaN where a training does not come down so far.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    rising = zipf(config.num_tasks, config.alpha)
    mixtures = np.stack([zipf(config.num_tasks, -1.0), rising, rising[::-1]])
    stopped, paths = dict[tuple[int, str], tuple[State, int] | None](), dict[tuple[int, str], np.ndarray]()
    total = 3 * config.steps + 2 * config.even_steps
    for models, steps, before in (
        ((LOW, OTHER_LOW, HIGH), config.steps, 0),
        ((EVEN, OTHER_EVEN), config.even_steps, 3 * config.steps),
    ):
        report = partial(_report, progress, before, len(models), total)
        for key, found, path in _trained(config, seeds, models, mixtures, steps, device, report):
            stopped[key], paths[key] = found, path
    measured = []
    for seed in seeds:
        asked = Everything(_tasks(config, seed, mixtures[0]), device)
        measured.append(_compared(asked, {model: stopped[seed, model] for model in MODELS}, mixtures))
    every = {name: np.stack([one[name] for one in measured]) for name in measured[0]}
    every["path_loss"] = np.stack([[paths[seed, model] for model in MODELS] for seed in seeds])
    return _dataset(config, seeds, mixtures, every)


def _report(progress: Progress, before: int, models: int, total: int, done: int, _: int) -> None:
    progress(before + models * done, total)


def _tasks(config: Config, seed: int, frequencies: Float[np.ndarray, " task"]) -> Tasks:
    return random_tasks(seed, config.num_tasks, config.num_bits, config.subset, frequencies)


def _trained(
    config: Config, seeds: list[int], models: tuple[str, ...], mixtures: np.ndarray, steps: int, device: torch.device,
    progress: Progress,
) -> list[tuple[tuple[int, str], tuple[State, int] | None, np.ndarray]]:  # fmt: skip
    """For every seed and model: the key, the network stopped with its update, and task losses at each of LEVELS."""
    weights = {LOW: mixtures[1], OTHER_LOW: mixtures[1], HIGH: mixtures[2], EVEN: mixtures[0], OTHER_EVEN: mixtures[0]}
    keys = [(seed, model) for seed in seeds for model in models]
    networks, sources, asked = list[list[ParityMLP]](), [], []
    for seed, model in keys:
        draw = seed + (OTHER_DRAW if model in (OTHER_LOW, OTHER_EVEN) else 0)
        tasks = _tasks(config, seed, weights[model])
        sizes = (config.num_tasks, config.num_bits, config.width)
        networks.append([ParityMLP(*sizes, generator=generator("quanta panel", draw))])
        sources.append(online(tasks, config.batch_size, "quanta panel", draw, model))
        asked.append(tasks.balanced(config.held_out, numpy_generator("held out", seed)))
    looks = list(range(0, steps + 1, config.look_every))
    together = Together(networks, device)
    snapshots = Snapshots(ByTask(asked, config.num_tasks, device), len(looks))
    found = train(
        together, sources, steps=steps, learning_rate=config.learning_rate, probe=snapshots, probe_steps=looks,
        progress=progress,
    )["task_loss"].astype(float)  # fmt: skip
    results = []
    for row, (seed, model) in enumerate(keys):
        everything = Everything(_tasks(config, seed, mixtures[0]), device)
        pick = partial(snapshots.network, together, row=row)
        stop = stopped_at(pick, found[:, row].mean(1), everything.mean_loss, config.level * CHANCE)
        path = np.stack([along(found[:, row], level * CHANCE) for level in LEVELS])
        results.append(((seed, model), stop and (stop[0], looks[stop[1]]), path))
    return results


def _compared(
    asked: Everything, stopped: dict[str, tuple[State, int] | None], mixtures: Float[np.ndarray, "mixture task"]
) -> dict[str, np.ndarray]:
    """Everything about one seed's networks but their paths."""
    unknown = torch.full_like(asked.labels, float("nan"))
    logits = {model: unknown if found is None else asked.logits(found[0]) for model, found in stopped.items()}
    losses = {model: asked.losses(each) for model, each in logits.items()}
    ended = np.array([found is not None for found in stopped.values()])
    accuracy = np.stack([asked.accuracies(each) for each in logits.values()])
    apart = [_apart(logits[pair.first], logits[pair.second]) for pair in (*PAIRS, RULER)]
    return {
        "task_loss": np.stack(list(losses.values())),
        "accuracy": np.where(ended[:, None], accuracy, np.nan),
        "stopped": np.array([np.nan if found is None else found[1] for found in stopped.values()]),
        "distance": np.stack([mixtures @ variation for variation, _ in apart[:-1]]),
        "yardstick": mixtures @ apart[-1][0],
        "disagreement": np.array([other.mean() for _, other in apart]),
        "loss_difference": np.array([abs(losses[pair.first].mean() - losses[pair.second].mean()) for pair in PAIRS]),
    }


def _apart(f: Tensor, g: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Total variation of two networks' answers and share of inputs with different ones, by task."""
    variation = (f.sigmoid() - g.sigmoid()).abs().mean(1, dtype=torch.float64)
    other = ((f > 0) != (g > 0)).double().mean(1).where(variation.isfinite(), torch.nan)
    return variation.cpu().numpy(), other.cpu().numpy()


def _dataset(config: Config, seeds: list[int], mixtures: np.ndarray, every: dict[str, np.ndarray]) -> xr.Dataset:
    model, pair = ("seed", "model"), ("seed", "pair")
    return xr.Dataset(
        {
            "task_loss": variable((*model, "task"), every["task_loss"], "loss of a task over all strings", "nats"),
            "accuracy": variable((*model, "task"), every["accuracy"], "share of right answers over all strings"),
            "stopped": variable(model, every["stopped"], "update by which the network is stopped", "updates"),
            "path_loss": variable((*model, "level", "task"), every["path_loss"], "loss on held-out samples", "nats"),
            "distance": variable((*pair, "set"), every["distance"], "distance as functions"),
            "yardstick": variable(("seed", "set"), every["yardstick"], "distance between two draws of one recipe"),
            "loss_difference": variable(pair, every["loss_difference"], "absolute difference of mean loss", "nats"),
            "disagreement": variable(pair, every["disagreement"][:, :-1], "share of different answers"),
            "twin_disagreement": variable("seed", every["disagreement"][:, -1], "the same for two draws of one recipe"),
            "natural": variable("pair", [each.kind == "natural" for each in PAIRS], "both found by training alone"),
            "frequency": variable(("mixture", "task"), mixtures, "share of a task in a mixture"),
        },
        {
            "seed": seeds, "model": list(MODELS), "pair": [each.name for each in PAIRS], "mixture": list(MIXTURES),
            "set": list(MIXTURES), "task": variable("task", np.arange(1, config.num_tasks + 1), "number of a task"),
            "level": variable("level", list(LEVELS), "mean loss as a share of chance"),
        },
        {"loss": config.level * CHANCE, "strings": 2**config.num_bits},
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The closing panel; see :func:`heldout.quanta.closing_panel_figures.bars`."""
    return figures.bars(result, ax)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes; see :func:`heldout.quanta.closing_panel_figures.numbers`."""
    return figures.numbers(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    return figures.words(result)


TWIN = Control(
    says="another draw of the recipe with low numbers often, at the same loss, in the place of the other network",
    change=measures.twin_for_opposite,
    manipulation=measures.matched,
)

CLAIMS = (
    Claim(
        id="closing_panel.skills_part",
        says="Networks of one mean loss, trained with opposite frequencies, are half of chance or more apart on at least six "
        "tasks of ten.",
        rows=("S3.1", "S3.2"),
        source="this book",
        check=measures.skills_part,
        control=Control(
            says="all tasks equally frequent for both, which start from the same weights and are stopped at the same loss: no "
            "task is far apart",
            config=EQUAL,
            manipulation=measures.matched,
        ),
    ),
    Claim(
        id="closing_panel.mixtures_reverse",
        says="Each of the two is at least 0.3 nats better on the mixture that it was trained on than the other.",
        rows=("S3.1", "S3.2"),
        source="this book",
        check=measures.mixtures_reverse,
        control=TWIN,
    ),
    Claim(
        id="closing_panel.answers_part",
        says="At one mean loss, the network trained on all tasks alike gives right answers to at least 7 of 100 inputs more.",
        rows=("S3.1",),
        source="this book",
        check=measures.answers_part,
        control=TWIN,
    ),
    Claim(
        id="closing_panel.frequency_decides",
        says="Two draws of the recipe with unequal frequencies, stopped at one mean loss, have task losses with a correlation "
        "above .85.",
        rows=("S3.2",),
        source="this book",
        check=measures.recipe_decides,
        control=Control(
            says="the tasks of the second draw renumbered at random: losses as different between tasks, in no common order",
            change=measures.renumbered_twin,
            manipulation=measures.matched_and_spread,
        ),
    ),
)
