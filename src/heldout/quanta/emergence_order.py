"""A quantum is learned in the order of its frequency, at a time about in proportion to 1/frequency, and later the harder it is.

Michaud et al. 2023 (arXiv 2303.13506, section 3) on multitask sparse parity: that quanta are learned in the order of their
use is their hypothesis QH2, and that rank k is used with probability proportional to k^-(alpha + 1) is QH3. Each arm changes
one thing: how frequencies are given to tasks, how many bits a task has, or how many samples an update sees.

Axes: arm, seed, task (in the order in which the tasks were drawn). An emergence time is the first look at which a task's
held-out loss is at most half of chance, as everywhere in this chapter; infinite where training ends first.
Deviations: 30 tasks of 24 bits, width 128 and batches of 1,000, where the paper
has 500, 100, widths to 1,000 and 20,000; a larger learning rate.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from heldout.claims import Claim, Control
from heldout.devices import generator, numpy_generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.quanta import emergence
from heldout.quanta import emergence_order_checks as checks
from heldout.quanta.parity import online, random_tasks, zipf
from heldout.quanta.parity_networks import ByTask, ParityMLP, Together, train

ARMS = ("zipf", "permuted", "equal", "mixed", "small batch")
SIZES = (2, 3, 4)  # bits of a task in the mixed arm


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the five arms."""

    num_tasks: int = 30
    num_bits: int = 24
    alpha: float = 0.5  # frequencies go as rank^-(alpha + 1)
    subset: int = 3  # bits of a task in every arm but the mixed one
    equal_tasks: int = 10  # tasks that share all samples in the equal arm; the others are never drawn
    width: int = 128
    batch_size: int = 1000
    small_batch: int = 100
    learning_rate: float = 1e-2
    steps: int = 2000  # updates of the zipf arm
    permuted_steps: int = 1500
    equal_steps: int = 600
    mixed_steps: int = 1500
    small_steps: int = 2000
    first_look: int = 10  # looks are spaced evenly in the logarithm of the update from here on
    looks: int = 90
    held_out: int = 100  # samples a task
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.num_tasks >= 4, "num_tasks", self.num_tasks, "at least 4")
        require(self.num_bits >= max(SIZES), "num_bits", self.num_bits, f"at least {max(SIZES)}")
        require(self.alpha > 0, "alpha", self.alpha, "above 0")
        require(1 <= self.subset <= self.num_bits, "subset", self.subset, "from 1 to num_bits")
        require(2 <= self.equal_tasks <= self.num_tasks, "equal_tasks", self.equal_tasks, "from 2 to num_tasks")
        require(self.width >= 1, "width", self.width, "at least 1")
        batches = 1 <= self.small_batch < self.batch_size
        require(batches, "small_batch", self.small_batch, f"from 1 to below batch_size={self.batch_size}")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.first_look >= 1, "first_look", self.first_look, "at least 1")
        for field in ("steps", "permuted_steps", "equal_steps", "mixed_steps", "small_steps"):
            require(getattr(self, field) > self.first_look, field, getattr(self, field), "above first_look")
        require(self.looks >= 2, "looks", self.looks, "at least 2")
        require(self.held_out >= 20, "held_out", self.held_out, "at least 20")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    num_tasks=6, num_bits=8, equal_tasks=3, width=48, batch_size=200, small_batch=40, steps=400, permuted_steps=300,
    equal_steps=250, mixed_steps=300, small_steps=400, looks=40, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    num_tasks=40, num_bits=32, alpha=0.4, width=256, batch_size=4000, small_batch=400, learning_rate=3e-3, steps=12_000,
    permuted_steps=8000, equal_steps=2500, mixed_steps=8000, small_steps=12_000, looks=160, held_out=200,
)  # fmt: skip


class Arm(NamedTuple):
    """What one arm is made of."""

    frequencies: list[Float[np.ndarray, " task"]]  # one array a seed
    sizes: list[list[int]]
    batch_size: int
    steps: int


def _arms(config: Config, seeds: list[int]) -> dict[str, Arm]:
    """Frequencies, bits a task, batch and length of every arm."""
    count, falling = config.num_tasks, zipf(config.num_tasks, config.alpha)
    permuted = [falling[numpy_generator("frequencies", seed, count).permutation(count)] for seed in seeds]
    equal = np.where(np.arange(count) < config.equal_tasks, 1 / config.equal_tasks, 0.0)
    plain = [[config.subset] * count for _ in seeds]
    # Shifted by one rank a seed, so that every rank has every size in some seed.
    mixed = [[SIZES[(task + seed) % len(SIZES)] for task in range(count)] for seed in seeds]
    large, same = config.batch_size, [falling] * len(seeds)
    return {
        "zipf": Arm(same, plain, large, config.steps),
        "permuted": Arm(permuted, plain, large, config.permuted_steps),
        "equal": Arm([equal] * len(seeds), plain, large, config.equal_steps),
        "mixed": Arm(same, mixed, large, config.mixed_steps),
        "small batch": Arm(same, plain, config.small_batch, config.small_steps),
    }


def _times(
    config: Config, arm: Arm, seeds: list[int], device: torch.device, advance: Progress
) -> Float[np.ndarray, "measure seed task"]:
    """Train one network a seed and find when each task is learned, by half of chance and by .95 right."""
    tasks = [
        random_tasks(seed, config.num_tasks, config.num_bits, sizes, shares)
        for seed, sizes, shares in zip(seeds, arm.sizes, arm.frequencies, strict=True)
    ]
    shape = (config.num_tasks, config.num_bits, config.width)
    networks = [[ParityMLP(*shape, generator=generator("emergence order", seed))] for seed in seeds]
    asked = [
        t.balanced(config.held_out, numpy_generator("held out", seed)) for t, seed in zip(tasks, seeds, strict=True)
    ]
    looks = sorted({round(step) for step in np.geomspace(config.first_look, arm.steps, config.looks)})
    streams = [online(t, arm.batch_size, "emergence order", seed) for t, seed in zip(tasks, seeds, strict=True)]
    found = train(
        Together(networks, device), streams,
        steps=arm.steps, learning_rate=config.learning_rate,
        probe=ByTask(asked, config.num_tasks, device, slices=emergence.SLICES), probe_steps=looks, progress=advance,
    )  # fmt: skip
    return np.stack(emergence.measured(found, looks))


def _advance(progress: Progress, before: int, total: int, done: int, _: int) -> None:
    progress(before + done, total)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train all arms, each with one network a seed; tasks and initial weights of a seed are the same in all but the mixed arm.

    Returns:
        time (arm, seed, task): updates until the task is learned, infinite if it is not by the end; sure_time, the same by a
        stricter measure; frequency and bits (arm, seed, task); budget and batch (arm).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    arms, times, before = _arms(config, seeds), [], 0
    total = sum(arm.steps for arm in arms.values())
    for arm in arms.values():
        times.append(_times(config, arm, seeds, device, partial(_advance, progress, before, total)))
        before += arm.steps
    dims = ("arm", "seed", "task")
    return xr.Dataset(
        {
            "time": variable(dims, np.stack(times)[:, 0], "updates until half of chance", "updates"),
            "sure_time": variable(dims, np.stack(times)[:, 1], "updates until .95 are right", "updates"),
            "frequency": variable(dims, [arm.frequencies for arm in arms.values()], "share of all samples"),
            "bits": variable(dims, [arm.sizes for arm in arms.values()], "bits in a task's parity", "bits"),
            "budget": variable("arm", [arm.steps for arm in arms.values()], "updates in all", "updates"),
            "batch": variable("arm", [arm.batch_size for arm in arms.values()], "samples an update", "samples"),
        },
        {"arm": list(arms), "seed": seeds, "task": np.arange(1, config.num_tasks + 1)},
        {"alpha": config.alpha},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Time against frequency in three arms, every learned task of every seed a mark, and the line of slope -1."""
    ax = style.axes(ax)
    for arm, color, marker, label in (
        ("zipf", style.BLUE, "o", "falls with the number"),
        ("permuted", style.VERMILION, "x", "the same, permuted"),
        ("equal", style.GREEN, "s", "equal"),
    ):
        mine = result.sel(arm=arm)
        ax.scatter(
            mine.frequency.values, mine.time.values, s=18, color=color, marker=marker, label=label, linewidths=1.2
        )
    shares = np.array([0.02, 0.5])
    ax.plot(
        shares,
        _constant(result) / shares,
        color=style.MUTED,
        linestyle=(0, (4, 3)),
        label="slope -1",
    )
    _log_axes(ax, "share of samples that are the task's own (log scale)", (0.02, 0.05, 0.1, 0.2, 0.4))
    ax.legend(loc="lower left")
    return ax


def _log_axes(ax: Axes, label: str, ticks: tuple[float, ...]) -> None:
    ax.set(xscale="log", yscale="log", xlabel=label, ylabel="updates until learned (log scale)")
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())


def _constant(result: xr.Dataset) -> float:
    """Median time x frequency over what is learned in the zipf arm."""
    product = (result.time * result.frequency).sel(arm="zipf")
    return float(product.where(np.isfinite(product)).median())


def plot_bits(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Time against rank in the mixed arm, by the number of bits, every learned task of every seed a mark."""
    ax, mine = style.axes(ax), result.sel(arm="mixed")
    rank = np.broadcast_to(result.task.values, mine.time.shape)
    for size, color, marker in zip(SIZES, (style.GREEN, style.BLUE, style.VERMILION), "so^", strict=True):
        here = (mine.bits.values == size) & np.isfinite(mine.time.values)
        ax.scatter(rank[here], mine.time.values[here], s=22, color=color, marker=marker, label=f"{size} bits")
    _log_axes(ax, "rank of the task's frequency (log scale)", (1, 2, 5, 10, 20))
    ax.legend(loc="lower right")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, with the smallest and largest seed as ``_low`` and ``_high``."""
    return checks.quoted(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        "Updates until a task is learned against the share of samples that are its own, on log axes. The times fall along "
        f"a line, from {n['time_4']:.0f} for the fourth task to {n['time_1']:.0f} for the most frequent, also with frequencies "
        f"permuted. With equal frequencies all lie together, near {n['equal_time']:.0f}."
    )


CLAIMS = (
    Claim(
        id="emergence_order.follows_frequency",
        says="With frequencies permuted over tasks, the rank correlation of time and rarity over the tasks learned is above 0.9 "
        "in four of five seeds.",
        rows=("S3.2",),
        source="Michaud et al. 2023, arXiv 2303.13506, hypothesis QH2 and section 3",
        check=checks.order_follows_frequency,
        control=Control(
            says="the same tasks drawn equally often, their times held against those frequencies",
            change=checks.equal_for_permuted,
            manipulation=checks.equal_is_learned,
        ),
    ),
    Claim(
        id="emergence_order.not_the_number",
        says="Where frequency and number disagree on a pair, more than nine pairs of ten are learned in the order of frequency.",
        rows=("S3.2",),
        source="this book",
        check=checks.frequency_beats_number,
        control=Control(
            says="the same tasks drawn equally often, their times held against those frequencies",
            change=checks.equal_for_permuted,
            manipulation=checks.equal_is_learned,
        ),
    ),
    Claim(
        id="emergence_order.slope",
        says="The slope of log time on log rank, over the ranks learned in every seed, is within 0.15 of alpha + 1.",
        rows=("S3.2",),
        source="Michaud et al. 2023, arXiv 2303.13506, hypotheses QH2 and QH3 with time in proportion to 1/p",
        paper_value="alpha + 1 by the argument",
        check=checks.slope_is_alpha_plus_one,
        control=Control(
            says="tasks drawn equally often, in the place of the ranks",
            change=checks.equal_for_zipf,
            manipulation=checks.prefix_is_long,
        ),
    ),
    Claim(
        id="emergence_order.harder_is_later",
        says="At one frequency, a task of three bits takes more than 1.15 times as long as one of two, and four bits as three "
        "(shown: the least of these factors).",
        rows=("S3.2",),
        source="this book",
        check=checks.harder_is_later,
        expected="not reproduced",
        control=Control(
            says="tasks of three bits only, read as if they had two, three and four",
            change=checks.three_bits_for_mixed,
            manipulation=checks.mixed_is_learned,
        ),
    ),
)
