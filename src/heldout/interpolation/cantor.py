"""Coarse to fine: as width or training grows, a network learns a Cantor set one level after the other, the coarse ones first.

The points of a Cantor set with five levels against the points of the gaps that the levels removed, told apart by ReLU
networks of one depth and many widths. After Malach and Shalev-Shwartz 2019 (arXiv 1903.03488), who vary the depth and how the
negatives are spread over the levels (:mod:`heldout.interpolation.approximation_curves`); the width sweep, the order in time,
the network built by hand and the unfolded inputs are this book's.

Axes: seed (data and initial weights), width (hidden units a layer), step (updates), level (1 the coarsest), set.
Deviations: one input dimension (the authors' code has five); logistic loss instead of the hinge; a falling learning rate; each
level judged by itself, on evenly spaced points.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.devices import generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.interpolation import cantor_checks
from heldout.interpolation.cantor_checks import at_end, first_steps
from heldout.interpolation.cantor_fits import SPREAD_SCALE, Course, Schedule, balanced, fit, training_loss
from heldout.interpolation.cantor_sets import (
    INPUTS,
    built_network,
    built_width,
    encoded,
    intervals,
    judged_points,
    sample,
)
from heldout.networks import MLP

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "UNFOLDED", "Config", "describe", "numbers", "plot", "plot_steps", "run"]

THIRDS = (1 / 3,) * 5
EVEN = (0.2,) * 5
SHARPNESS = (
    100.0  # factor on the built network's output: its loss falls as 1 / SHARPNESS, its signs do not depend on it
)
COLORS = (style.BLUE, style.VERMILION, style.GREEN, style.PINK, style.GOLD)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Data, networks and training of the sweep."""

    depth: int = 4  # hidden layers
    widths: tuple[int, ...] = (4, 8, 16, 32, 64)  # hidden units a layer
    gap_shares: tuple[float, ...] = THIRDS  # share of each interval that a level removes
    masses: tuple[float, ...] = EVEN  # share of the negatives that lies in the gaps of each level
    inputs: str = "position"
    num_train: int = 20_000
    num_judged: int = 128  # points in the set, and in the gaps of each level
    steps: tuple[int, ...] = (1500, 700, 300)  # updates at each learning rate
    learning_rates: tuple[float, ...] = (0.005, 0.002, 0.0005)
    batch_size: int = 256
    probes: int = 40  # recorded steps, evenly spaced in their logarithm
    num_seeds: int = 6
    first_seed: int = 100

    def __post_init__(self) -> None:
        levels = len(self.gap_shares)
        require(1 <= self.depth <= levels + 1, "depth", self.depth, f"1 to {levels + 1} for {levels} levels")
        rising = self.widths == tuple(sorted(set(self.widths))) and len(self.widths) > 0
        require(rising and self.widths[0] >= 1, "widths", self.widths, "increasing positive numbers")
        require(
            levels >= 3 and all(0 < s < 1 for s in self.gap_shares),
            "gap_shares",
            self.gap_shares,
            "3 or more in (0, 1)",
        )
        spread = len(self.masses) == levels and min(self.masses) >= 0 and sum(self.masses) > 0
        require(spread, "masses", self.masses, f"{levels} numbers, one a level, not negative and not all zero")
        require(self.inputs in INPUTS, "inputs", self.inputs, f"one of {', '.join(INPUTS)}")
        thirds = self.inputs != "unfolded" or set(self.gap_shares) == {1 / 3}
        require(thirds, "gap_shares", self.gap_shares, "thirds for unfolded inputs")
        require(1 <= self.batch_size <= self.num_train, "batch_size", self.batch_size, f"1 to {self.num_train}")
        require(self.num_judged % 2**levels == 0, "num_judged", self.num_judged, f"a multiple of {2**levels}")
        stages = len(self.steps) == len(self.learning_rates) > 0 and min(self.steps) >= 1
        require(stages, "steps", self.steps, "positive numbers, one for each of learning_rates")
        require(min(self.learning_rates) > 0, "learning_rates", self.learning_rates, "above 0")
        require(self.probes >= 2, "probes", self.probes, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")

    @property
    def schedule(self) -> Schedule:
        """The training's part of the settings."""
        return Schedule(
            steps=self.steps, learning_rates=self.learning_rates, batch_size=self.batch_size, probes=self.probes
        )


SMOKE = Config(
    widths=(8, 16), gap_shares=(1 / 3,) * 3, masses=(1.0,) * 3, num_train=2000, num_judged=16, steps=(120, 60),
    learning_rates=(0.01, 0.003), probes=8, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
UNFOLDED = Config(widths=(16, 64), inputs="unfolded", num_seeds=5)
PAPER = Config(widths=(2, 4, 8, 16, 32, 64, 128), steps=(8000, 3000, 1500), num_seeds=5)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every width on every seed, width by width, and build by hand the network that is right everywhere.

    Returns:
        accuracy (seed, width, step, level), the balanced accuracy of a level: mean of the share of the set accepted and the
        share of that level's gaps refused; train_loss (seed, width) in nats after the last step; built_accuracy (width,
        level) and built_loss (seed, width) of the built network, NaN where it does not fit; and for the first seed
        output (width, step, x), with in_set (x), at one point of each of the 3^5 (3^levels) thirds.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    levels = len(config.gap_shares)
    drawn = [sample(config.gap_shares, config.masses, config.num_train, seed) for seed in seeds]
    positions, labels = (torch.stack(column) for column in zip(*drawn, strict=True))
    judged = judged_points(config.gap_shares, config.num_judged)[..., None]
    shown = (torch.arange(3**levels, dtype=torch.float64)[:, None] + 0.5) / 3**levels
    inputs, judged_inputs, shown_inputs = (encoded(x, config.inputs, levels) for x in (positions, judged, shown))
    courses = []
    for number, width in enumerate(config.widths):
        members = [network(config, seed, width) for seed in seeds]

        def advance(done: int, total: int, number: int = number) -> None:
            progress(number * total + done, len(config.widths) * total)

        courses.append(
            fit(
                members, inputs, labels, list(range(len(seeds))), config.schedule, seeds=seeds, judged=judged_inputs,
                shown=shown_inputs, device=device, progress=advance,
            )
        )  # fmt: skip
    built = [built_by_hand(config, width, positions, labels, judged) for width in config.widths]
    return _dataset(config, seeds, shown, courses, built)


def network(config: Config, seed: int, width: int) -> MLP:
    """An untrained member."""
    features = 1 if config.inputs == "position" else len(config.gap_shares)
    start = generator("cantor", "weights", seed, config.depth, width)
    return MLP(features, (width,) * config.depth, 1, generator=start, init_scale=SPREAD_SCALE)


@torch.no_grad()
def built_by_hand(
    config: Config, width: int, positions: torch.Tensor, labels: torch.Tensor, judged: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy (level) and loss (seed) in nats of the network built for these levels; NaN where it needs more width."""
    levels = len(config.gap_shares)
    if width < built_width(levels, config.depth):
        return np.full(levels, np.nan), np.full(len(positions), np.nan)
    made = built_network(config.gap_shares, config.depth, width, sharpness=SHARPNESS)
    accepted = (made(encoded(judged, "position", levels))[..., 0] > 0).float().mean(-1)
    inputs = encoded(positions, "position", levels)
    streams = list(range(len(positions)))
    return balanced(accepted.numpy()), training_loss([made] * len(streams), inputs, labels, streams)


def _dataset(
    config: Config,
    seeds: list[int],
    shown: torch.Tensor,
    courses: list[Course],
    built: list[tuple[np.ndarray, np.ndarray]],
) -> xr.Dataset:
    accuracy = np.stack([balanced(course.accepted).swapaxes(0, 1) for course in courses], axis=1)
    output = np.stack([course.outputs[:, 0] for course in courses])
    kept, _ = intervals(config.gap_shares)
    in_set = [any(low <= x <= high for low, high in kept) for x in shown[:, 0].tolist()]
    return xr.Dataset(
        {
            "accuracy": variable(
                ("seed", "width", "step", "level"), accuracy.astype(np.float32), "balanced accuracy of the level"
            ),
            "train_loss": variable(
                ("seed", "width"), np.stack([c.loss for c in courses], axis=1), "training loss", "nats"
            ),
            "built_accuracy": variable(
                ("width", "level"), np.stack([a for a, _ in built]), "balanced accuracy, built by hand"
            ),
            "built_loss": variable(
                ("seed", "width"), np.stack([b for _, b in built], axis=1), "training loss, built by hand", "nats"
            ),
            "output": variable(("width", "step", "x"), output.astype(np.float32), "output, first seed", "log odds"),
            "in_set": variable("x", np.array(in_set, dtype=np.int8), "whether a position is in the set"),
        },
        {
            "seed": seeds,
            "width": variable("width", config.widths, "hidden units a layer"),
            "step": variable("step", courses[0].steps, "updates"),
            "level": variable("level", range(1, len(config.gap_shares) + 1), "level"),
            "x": variable("x", shown[:, 0], "position"),
        },
        {"depth": config.depth, "inputs": config.inputs},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Accuracy of each level at the end against the width, with the central 80 % of seeds as a band."""
    ax = style.axes(ax)
    final = at_end(result)
    for color, level in zip(COLORS, final.level.values, strict=False):
        style.band(
            ax,
            final.width.values,
            final.sel(level=level).values,
            color=color,
            label=f"level {level}",
            marker="o",
            ms=3.5,
        )
    _finish(ax)
    ax.set(xscale="log", xlabel="hidden units a layer (log scale)")
    ax.set_xticks(result.width.values, [str(width) for width in result.width.values])
    ax.minorticks_off()
    return ax


def plot_steps(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Accuracy of each level of the widest networks against the step, with the central 80 % of seeds as a band."""
    ax = style.axes(ax)
    widest = result.accuracy.isel(width=-1, step=slice(1, None))
    for color, level in zip(COLORS, widest.level.values, strict=False):
        style.band(ax, widest.step.values, widest.sel(level=level).values, color=color, label=f"level {level}")
    _finish(ax)
    ax.set(xscale="log", xlabel="updates (log scale)")
    return ax


def _finish(ax: Axes) -> None:
    ax.axhline(0.5, color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.set(ylabel="balanced accuracy of the level", ylim=(0.3, 1.19))
    ax.set_yticks([0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    ax.legend(loc="upper center", ncols=5, columnspacing=0.9, handlelength=1.0, fontsize=9)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes; see :func:`heldout.interpolation.cantor_checks.numbers`."""
    return cantor_checks.numbers(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    final = at_end(result).median("seed")
    first, last = final.isel(width=0), final.isel(width=-1)
    reached = ", ".join(f"level {int(k)} {float(last.sel(level=k)):.2f}" for k in final.level)
    steps = first_steps(result).isel(width=-1).median("seed") - 1
    learned = ", ".join(
        f"level {int(k)} after {float(steps.sel(level=k)):.0f}" for k in steps.level if np.isfinite(steps.sel(level=k))
    )
    return (
        f"Balanced accuracy of each level of a Cantor set against the width of networks of depth {int(result.depth)}. At "
        f"width {int(first.width)} level 1 is at {float(first.isel(level=0)):.2f}; at width {int(last.width)}: {reached}. "
        f"Chance is one half. Levels learned by the widest networks: {learned or 'none'} updates."
    )


CLAIMS = cantor_checks.claims(UNFOLDED)
