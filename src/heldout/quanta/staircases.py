"""The loss of each task falls as a step, and the mean over tasks falls as a power law: many stairs make one smooth slope.

Michaud et al. 2023 (arXiv 2303.13506, section 3) train one network on many sparse parities, drawn with frequencies
p_k proportional to k^-(alpha + 1), and draw the loss of single tasks beside the mean loss along training.

Axes: seed, task (rank of its frequency), step (updates made). A task's time is the first look at which its held-out loss is at
most half of chance, the middle of its stair; it is infinite where training ends first. Losses are in nats.
Deviations: 30 tasks of 24 bits, width 128 and batches of 1,000, where the paper has 500, 100, 500 and 20,000 (AUTHORS); bits of
-1 and +1, where the paper has 0 and 1; one logit instead of two; learning rate 5e-3 instead of 1e-3. PAPER is larger than BOOK:
40 tasks, of which about half are learned.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.devices import generator, numpy_generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.quanta import emergence
from heldout.quanta import staircase_checks as checks
from heldout.quanta.parity import CHANCE, online, random_tasks, zipf
from heldout.quanta.parity_networks import ByTask, ParityMLP, Together, train


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the training."""

    num_tasks: int = 30
    num_bits: int = 24
    subset: int = 3  # bits of a task
    alpha: float = 0.5  # frequencies go as rank^-(alpha + 1); -1 makes them equal
    width: int = 128
    batch_size: int = 1000
    learning_rate: float = 5e-3
    steps: int = 4000
    first_look: int = 10  # looks are spaced evenly in the logarithm of the update from here on
    looks: int = 90
    held_out: int = 200  # samples a task
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.num_tasks >= 3, "num_tasks", self.num_tasks, "at least 3")
        require(self.num_bits >= 1, "num_bits", self.num_bits, "at least 1")
        require(1 <= self.subset <= self.num_bits, "subset", self.subset, "from 1 to num_bits")
        require(self.alpha >= -1, "alpha", self.alpha, "at least -1")
        require(self.width >= 1, "width", self.width, "at least 1")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.first_look >= 1, "first_look", self.first_look, "at least 1")
        require(self.steps > self.first_look, "steps", self.steps, "above first_look")
        require(self.looks >= 2, "looks", self.looks, "at least 2")
        require(self.held_out >= 20, "held_out", self.held_out, "at least 20")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    num_tasks=6, num_bits=8, width=48, batch_size=200, steps=600, looks=50, held_out=100, num_seeds=2, first_seed=0
)
BOOK = Config()
EQUAL = replace(BOOK, alpha=-1.0, num_seeds=3)
STEEP = replace(BOOK, alpha=1.0, num_seeds=3)
PAPER = Config(
    num_tasks=40, alpha=0.4, width=256, batch_size=2000, learning_rate=3e-3, steps=14_000, looks=120,
)  # fmt: skip
AUTHORS = Config(  # the size of Michaud et al., for a GPU; no record of it is committed
    num_tasks=500, num_bits=100, alpha=0.4, width=500, batch_size=20_000, learning_rate=1e-3, steps=200_000,
    first_look=100, looks=160, held_out=1000,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train one network a seed on fresh samples, all seeds side by side; tasks of a seed are the same at every alpha.

    Returns:
        task_loss (seed, task, step) in nats, and time and sure_time (seed, task) in updates, from held-out samples: to half of
        chance, and to .95 of the answers right; mean_loss (seed, step), task losses weighted by frequency; frequency (task).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    shares = zipf(config.num_tasks, config.alpha)
    tasks = [random_tasks(seed, config.num_tasks, config.num_bits, config.subset, shares) for seed in seeds]
    sizes = (config.num_tasks, config.num_bits, config.width)
    networks = [[ParityMLP(*sizes, generator=generator("staircases", seed))] for seed in seeds]
    asked = [
        t.balanced(config.held_out, numpy_generator("held out", seed)) for t, seed in zip(tasks, seeds, strict=True)
    ]
    looks = sorted({round(step) for step in np.geomspace(config.first_look, config.steps, config.looks)})
    found = train(
        Together(networks, device),
        [online(t, config.batch_size, "staircases", seed) for t, seed in zip(tasks, seeds, strict=True)],
        steps=config.steps, learning_rate=config.learning_rate,
        probe=ByTask(asked, config.num_tasks, device, slices=emergence.SLICES), probe_steps=looks, progress=progress,
    )  # fmt: skip
    losses = found["task_loss"][:, :, 0].transpose(1, 2, 0)
    times = emergence.measured(found, looks)
    return xr.Dataset(
        {
            "task_loss": variable(("seed", "task", "step"), losses, "loss of a task", "nats"),
            "mean_loss": variable(("seed", "step"), np.einsum("skt,k->st", losses, shares), "mean loss", "nats"),
            "time": variable(("seed", "task"), times[0], "updates until half of chance", "updates"),
            "sure_time": variable(("seed", "task"), times[1], "updates until .95 are right", "updates"),
            "frequency": variable("task", shares, "share of all samples"),
        },
        {
            "seed": seeds,
            "task": variable("task", np.arange(1, config.num_tasks + 1), "rank of a task by frequency"),
            "step": variable("step", looks, "updates made", "updates"),
        },
        {"alpha": config.alpha},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Stairs of the first seed's learned tasks, thin; the mean loss as a median with all seeds as its band, thick."""
    ax = style.axes(ax)
    first, steps = result.isel(seed=0), result.step.values
    for number, task in enumerate(result.task.values[np.isfinite(first.time.values)]):
        line = first.task_loss.sel(task=task).values
        ax.plot(steps, line, color=style.SKY, linewidth=0.9, label="one task each, one seed" if number == 0 else None)
    style.band(
        ax, steps, result.mean_loss.values, color=style.VERMILION, label="mean over samples, all seeds",
        interval=(0.0, 1.0), linewidth=2.6,
    )  # fmt: skip
    start, end = (int(t) for t in checks.window(result))
    line = checks.fitted(result)
    inside = steps[(steps >= start) & (steps <= end)]
    ax.plot(inside, line(inside), color=style.INK, linestyle=(0, (4, 3)), linewidth=1.2, label="straight line fitted")
    ax.axhline(CHANCE, color=style.MUTED, linewidth=1, linestyle=(0, (1, 2)))
    ax.annotate("chance", (steps[-1], CHANCE), xytext=(0, 3), textcoords="offset points", ha="right", color=style.MUTED)
    ax.set(xscale="log", yscale="log", xlabel="updates (log scale)", ylabel="loss, nats (log scale)")
    ax.set_ylim(2e-3, 1.6)
    ax.legend(loc="lower left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, slopes of time on rank means, unless the name says otherwise."""
    slopes, learned, order = checks.slopes(result), checks.learned(result), checks.rank_correlation(result)
    slope, low, high = emergence.slope_interval(result.time.values)
    widths, mean, ratio = checks.widths(result), checks.mean_width(result), checks.width_ratio(result)
    bend, exponent = checks.bend(result), checks.exponents(result)
    prefix = checks.shared_ranks(result)
    start, end = checks.window(result)
    last = result.isel(step=-1)
    untaught = (last.frequency * ~np.isfinite(last.time)).sum("task")
    return {
        "seeds": result.sizes["seed"], "tasks": result.sizes["task"], "steps": int(result.step[-1]),
        "alpha": float(result.alpha), "predicted": float(result.alpha) + 1, "chance": CHANCE,
        "learned": float(np.median(learned)), "learned_least": int(learned.min()), "learned_most": int(learned.max()),
        "half": result.sizes["task"] // 2, "half_learned": int((learned >= result.sizes["task"] // 2).sum()),
        "spearman": checks.middle(order), "spearman_least": float(np.min(order)), "shared": prefix,
        "slope": slope, "slope_low": low, "slope_high": high,
        "slope_least": float(np.min(slopes)), "slope_most": float(np.max(slopes)),
        "sure": float(np.median(checks.learned(result, "sure_time"))),
        "sure_slope": emergence.slope_interval(result.sure_time.values)[0],
        "sure_shared": checks.shared_ranks(result, "sure_time"),
        "width": checks.middle(widths), "width_factor": 10 ** checks.middle(widths),
        "mean_width": checks.middle(mean), "mean_factor": 10 ** checks.middle(mean),
        "ratio": checks.middle(ratio), "ratio_most": float(np.max(ratio)),
        "bend": checks.middle(bend), "bend_percent": 10 ** checks.middle(bend) - 1, "bend_most": 10 ** float(np.max(bend)) - 1,
        "exponent": checks.middle(exponent), "exponent_least": float(np.min(exponent)),
        "exponent_most": float(np.max(exponent)), "asymptotic": checks.asymptotic(result),
        "finite": checks.finite_exponent(result),
        "finite_before": checks.finite_exponent(result, "before"), "finite_after": checks.finite_exponent(result, "after"),
        "start": int(start), "end": int(end),
        "first_time": float(result.time.isel(task=0).median()), "common": float(result.frequency[0]),
        "rare": float(result.frequency[-1]), "end_loss": float(last.mean_loss.median()),
        "end_share": float(last.mean_loss.median()) / CHANCE, "untaught": float(untaught.median()),
    }  # fmt: skip


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Loss against updates on log axes. Each task's line stays at {CHANCE:.2f} nats and then drops within a factor of "
        f"{n['width_factor']:.1f} in updates, the frequent tasks first; {n['learned']:.0f} of {n['tasks']} drop. The mean "
        f"loss runs down through the stairs close to a straight line of slope {-float(n['exponent']):.2f}."
    )


PAPER_SAYS = "Michaud et al. 2023, arXiv 2303.13506, section 3"
MERGED = Control(
    says="all tasks equally frequent: the stairs stand at one place and their mean is one more stair",
    config=EQUAL,
    manipulation=checks.many_learned,
)

CLAIMS = (
    Claim(
        id="staircases.stairs",
        says="The loss of the median task falls from .9 to .1 of chance in less than half of the decades that the mean takes.",
        rows=("S3.1",),
        source=PAPER_SAYS,
        check=checks.steep_stairs,
        control=MERGED,
    ),
    Claim(
        id="staircases.straight_mean",
        says="From .9 of chance on, the mean loss stays within 6 % (root mean square) of a straight line on log-log axes.",
        rows=("S3.1",),
        source=PAPER_SAYS,
        check=checks.straight,
        expected_at_paper="in part",
        control=Control(
            says="all tasks equally frequent: one common stair bends more (so does a mean of few stairs far apart, at alpha = 1)",
            config=EQUAL,
            manipulation=checks.many_learned,
        ),
    ),
    Claim(
        id="staircases.count_and_order",
        says="At least eight tasks are learned, and over them the rank correlation of rank and time is at least .95.",
        rows=("S3.1", "S3.2"),
        source=PAPER_SAYS,
        check=checks.ordered,
        control=MERGED,
        expected="in part",
    ),
    Claim(
        id="staircases.slope",
        says="The slope of log time against log rank, over the ranks learned in every seed, is within .15 of alpha + 1.",
        rows=("S3.1", "S3.2"),
        source=f"{PAPER_SAYS}; the slope is alpha + 1 if time goes as 1 / frequency",
        paper_value="alpha + 1 by the argument",
        check=checks.predicted_slope,
        control=Control(
            says="frequencies that fall as rank^-2 instead: the slope goes where it is then predicted, near 2",
            config=STEEP,
            manipulation=checks.follows_alpha,
        ),
    ),
)
