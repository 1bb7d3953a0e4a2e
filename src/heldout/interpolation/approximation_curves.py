"""Depth resolves a Cantor set level by level, and learns nothing when all the negatives lie in its finest gaps.

The same points, the same networks, the same training; only the share of the negatives on each level changes: even, halved from
level to level (coarse), or all on the last level (fine). After Malach and Shalev-Shwartz 2019 (arXiv 1903.03488), whose
*approximation curve* says how much of a distribution is right once the first j levels are known, and who prove that gradient
descent is likely to fail where that curve stays low until the end.

Axes: seed (data and initial weights), mass (how the negatives are spread), depth (hidden layers), level (1 the coarsest).
Deviations: one input dimension, logistic loss, a falling learning rate; three curves.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.interpolation.cantor_fits import SPREAD_SCALE, Course, Schedule, balanced, fit
from heldout.interpolation.cantor_sets import INPUTS, encoded, judged_points, sample
from heldout.networks import MLP

MASSES = ("coarse", "even", "fine")
NAMES = {"coarse": "coarse: halved from level to level", "even": "even", "fine": "fine: all on the last level"}
COLORS = (style.BLUE, style.GREEN, style.VERMILION)
SOURCE = "Malach and Shalev-Shwartz 2019, arXiv 1903.03488"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Data, networks and training."""

    levels: int = 5
    depths: tuple[int, ...] = (1, 2, 3, 5)  # hidden layers
    width: int = 32  # hidden units a layer
    inputs: str = "position"
    num_train: int = 20_000
    num_judged: int = 128  # points in the set, and in the gaps of each level
    steps: tuple[int, ...] = (900, 400, 200)  # updates at each learning rate
    learning_rates: tuple[float, ...] = (0.005, 0.002, 0.0005)
    batch_size: int = 256
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(3 <= self.levels <= 8, "levels", self.levels, "3 to 8")
        rising = self.depths == tuple(sorted(set(self.depths))) and len(self.depths) > 1
        require(
            rising and {1, 3} <= set(self.depths), "depths", self.depths, "increasing, with 1 and 3, which are compared"
        )
        require(self.width >= 2, "width", self.width, "at least 2")
        require(self.inputs in INPUTS, "inputs", self.inputs, f"one of {', '.join(INPUTS)}")
        require(1 <= self.batch_size <= self.num_train, "batch_size", self.batch_size, f"1 to {self.num_train}")
        fits = self.num_judged >= 1 and self.num_judged % 2**self.levels == 0
        require(fits, "num_judged", self.num_judged, f"a positive multiple of {2**self.levels}")
        stages = len(self.steps) == len(self.learning_rates) > 0 and min(self.steps) >= 1
        require(stages, "steps", self.steps, "positive numbers, one for each of learning_rates")
        require(min(self.learning_rates) > 0, "learning_rates", self.learning_rates, "above 0")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")

    def masses(self) -> dict[str, tuple[float, ...]]:
        """The share of the negatives on each level, by name."""
        halved = [2.0**-level for level in range(1, self.levels)]
        return {
            "coarse": (*halved, halved[-1]),
            "even": (1 / self.levels,) * self.levels,
            "fine": (0.0,) * (self.levels - 1) + (1.0,),
        }


SMOKE = Config(
    levels=3, depths=(1, 3), width=12, num_train=2000, num_judged=16, steps=(120, 60), learning_rates=(0.01, 0.003),
    num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
UNFOLDED = Config(depths=(1, 3), inputs="unfolded")
PAPER = Config(depths=(1, 2, 3, 4, 5), width=64, steps=(4000, 1500, 1000))


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every depth on every seed and spread of the negatives, depth by depth.

    Returns:
        level_accuracy (seed, mass, depth, level), the balanced accuracy of a level after the last step; own_accuracy (seed,
        mass, depth), the accuracy on the distribution that the network was trained on; train_loss (seed, mass, depth) in
        nats; and curve (mass, known), the accuracy of a classifier that knows the first ``known`` levels only.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    gaps, masses = (1 / 3,) * config.levels, config.masses()
    drawn = [sample(gaps, mass, config.num_train, seed) for seed in seeds for mass in masses.values()]
    positions, labels = (torch.stack(column) for column in zip(*drawn, strict=True))
    judged = encoded(judged_points(gaps, config.num_judged)[..., None], config.inputs, config.levels)
    inputs = encoded(positions, config.inputs, config.levels)
    courses = []
    for number, depth in enumerate(config.depths):
        members = [network(config, seed, depth) for seed in seeds for _ in masses]

        def advance(done: int, total: int, number: int = number) -> None:
            progress(number * total + done, len(config.depths) * total)

        schedule = Schedule(
            steps=config.steps, learning_rates=config.learning_rates, batch_size=config.batch_size, probes=2
        )
        courses.append(
            fit(
                members, inputs, labels, list(range(len(members))), schedule, seeds=list(range(len(members))),
                judged=judged, shown=inputs[0, :1], device=device, progress=advance,
            )
        )  # fmt: skip
    return _dataset(config, seeds, courses)


def network(config: Config, seed: int, depth: int) -> MLP:
    """An untrained member; the same for every spread of the negatives."""
    features = 1 if config.inputs == "position" else config.levels
    start = generator("approximation_curves", "weights", seed, depth, config.width)
    return MLP(features, (config.width,) * depth, 1, generator=start, init_scale=SPREAD_SCALE)


def _dataset(config: Config, seeds: list[int], courses: list[Course]) -> xr.Dataset:
    shape = (len(seeds), len(MASSES))
    accepted = np.stack([course.accepted[-1].reshape(*shape, -1) for course in courses], axis=2)
    weights = np.array([config.masses()[name] for name in MASSES])
    own = accepted[..., 0] / 2 + ((1 - accepted[..., 1:]) * weights[None, :, None]).sum(-1) / 2
    curve = np.concatenate([np.zeros((len(MASSES), 1)), weights.cumsum(-1)], axis=-1) / 2 + 0.5
    loss = np.stack([course.loss.reshape(shape) for course in courses], axis=2)
    dims = ("seed", "mass", "depth")
    return xr.Dataset(
        {
            "level_accuracy": variable((*dims, "level"), balanced(accepted), "balanced accuracy of the level"),
            "own_accuracy": variable(dims, own, "accuracy on the distribution trained on"),
            "train_loss": variable(dims, loss, "training loss", "nats"),
            "curve": variable(("mass", "known"), curve, "accuracy of a classifier that knows the first levels"),
        },
        {
            "seed": seeds,
            "mass": list(MASSES),
            "depth": variable("depth", config.depths, "hidden layers"),
            "level": variable("level", range(1, config.levels + 1), "level"),
            "known": variable("known", range(config.levels + 1), "levels known"),
        },
        {"width": config.width, "inputs": config.inputs},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Accuracy on the own distribution against depth for each spread of the negatives, with the range of all seeds."""
    ax = style.axes(ax)
    for mass, color in zip(MASSES, COLORS, strict=True):
        values = result.own_accuracy.sel(mass=mass).values
        style.band(
            ax, result.depth.values, values, color=color, label=NAMES[mass], interval=(0.0, 1.0), marker="o", ms=3.5
        )
    ax.axhline(0.5, color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.set(xlabel="hidden layers", ylabel="accuracy on the data trained on", ylim=(0.42, 1.28))
    ax.set_yticks([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    ax.set_xticks(result.depth.values)
    ax.legend(loc="upper left", title="gap points", alignment="left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """Median accuracies by spread, depth and level, their extremes over seeds and depths, and the approximation curve."""
    found: dict[str, float | int | str] = {"seeds": result.sizes["seed"], "width": int(result.width)}
    deepest = int(result.depth[-1])
    found |= {"deepest": deepest, "parameters": _parameters(int(result.width), deepest)}
    for mass in MASSES:
        own = result.own_accuracy.sel(mass=mass)
        found |= {f"{mass}_low": float(own.min()), f"{mass}_high": float(own.max())}
        for depth in result.depth.values:
            found[f"{mass}_depth{depth}"] = float(own.sel(depth=depth).median())
            for level in result.level.values:
                value = result.level_accuracy.sel(mass=mass, depth=depth, level=level).median()
                found[f"{mass}_depth{depth}_level{level}"] = float(value)
        for known in result.known.values:
            found[f"{mass}_curve{known}"] = float(result.curve.sel(mass=mass, known=known))
    return found


def _parameters(width: int, depth: int) -> int:
    return 2 * width + (depth - 1) * (width + 1) * width + width + 1


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    shallow, deep = int(result.depth[0]), n["deepest"]
    return (
        f"Accuracy on the data trained on, against depth. With coarse mass it is {n[f'coarse_depth{shallow}']:.2f} at depth "
        f"{shallow} and {n[f'coarse_depth{deep}']:.2f} at depth {deep}; with even mass {n[f'even_depth{shallow}']:.2f} and "
        f"{n[f'even_depth{deep}']:.2f}. With all negatives on the finest level it stays between {n['fine_low']:.2f} and "
        f"{n['fine_high']:.2f} at every depth and seed, where chance is one half."
    )


def _fine_at_chance(result: xr.Dataset) -> Evidence:
    """Per seed, the accuracy that is farthest from one half over all depths, trained on the finest gaps only."""
    own = result.own_accuracy.sel(mass="fine")
    return across_seeds(abs(own - 0.5).max("depth"), below=0.06)


def _coarse_instead(result: xr.Dataset) -> xr.Dataset:
    """The record with the coarse spread in the place of the fine one."""
    return result.sel(mass=["coarse", "even", "coarse"]).assign_coords(mass=list(MASSES))


def _on_curve(result: xr.Dataset) -> Evidence:
    """The manipulation check: at the largest depth at least what the approximation curve predicts for two known levels."""
    own = result.own_accuracy.sel(mass="fine").isel(depth=-1)
    return across_seeds(own - float(result.curve.sel(mass="fine", known=2)), above=-0.03)


def _depth_helps(result: xr.Dataset) -> Evidence:
    """Per seed, by how much level 2 is better at depth 3 than at depth 1, negatives spread evenly."""
    level = result.level_accuracy.sel(mass="even", level=2)
    return across_seeds(level.sel(depth=3) - level.sel(depth=1), above=0.15, share=0.8)


def _even_learned(result: xr.Dataset) -> Evidence:
    """The manipulation check of unfolded inputs: level 2 is learned at every depth."""
    return across_seeds(result.level_accuracy.sel(mass="even", level=2).min("depth"), above=0.75)


CLAIMS = (
    Claim(
        id="approximation_curves.fine_at_chance",
        says="With all negatives on the finest level, networks of every depth stay within .06 of chance.",
        rows=("S0.5",),
        source=f"{SOURCE}, the failure of gradient descent on fine distributions",
        check=_fine_at_chance,
        control=Control(
            says="the same networks and positives, the negatives on coarse levels",
            change=_coarse_instead,
            manipulation=_on_curve,
        ),
    ),
    Claim(
        id="approximation_curves.depth_resolves_level_two",
        says="At equal width the second level needs depth: three hidden layers beat one by more than .15.",
        rows=("S0.5",),
        source=f"{SOURCE}, depth separation on fractal distributions",
        check=_depth_helps,
        expected_at_paper="in part",  # wider and longer training brings level 2 to one hidden layer too
        control=Control(
            says="inputs unfolded: each level is the middle third of an input of its own",
            config=UNFOLDED,
            manipulation=_even_learned,
        ),
    ),
)
