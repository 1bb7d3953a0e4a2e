"""At one weight decay, amplifying the slow part of the gradient does not bring generalization forward; weight decay does.

Lee et al. 2024 (arXiv 2405.20233, Grokfast-EMA) add to the gradient a multiple of its exponential average. The commands that
their repository publishes (ironjr/grokfast, README) compare a baseline with weight decay 0, the default, to filtered
runs with weight decay 0.005 or more. Here filter and weight decay are crossed: each weight decay with and without a filter, with
the repository's constants and with shorter memory, and without a filter at twice the learning rate.

Axes: seed, weight_decay, arm (filter and learning rate), step.
Deviations from the paper: a quadratic network with one hidden layer, a modulus of 31 and full batches under AdamW, where the
paper trains a two-layer transformer in mini-batches; a far larger weight decay; the filter's constants are tuned in a few
tries only.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import gradient_filter_checks as checks
from heldout.grokking.grokked import members, splits, stage
from heldout.grokking.modular import require_decay, require_modulus, require_train_fraction
from heldout.grokking.training import ADAMW, train_on_pairs

ARMS = ("no filter", "published filter", "shorter filter", "no filter, faster")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the runs."""

    modulus: int = 31
    hidden_size: int = 64
    train_fraction: float = 0.65
    weight_decays: tuple[float, ...] = (0.3, 1.0)
    steps: tuple[int, ...] = (1400, 700)  # one a weight decay
    learning_rate: float = 1e-2
    faster: float = 2.0  # times the learning rate, in the arm without a filter that is faster
    amplify: float = 2.0  # lambda of the filter: how many times the slow gradient is added
    published_memory: float = 0.98  # alpha of the filter
    shorter_memory: float = 0.9
    probe_every: int = 20  # updates
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require_train_fraction(self.train_fraction, self.modulus)
        rising = len(self.weight_decays) >= 2 and list(self.weight_decays) == sorted(set(self.weight_decays))
        require(rising, "weight_decays", self.weight_decays, "two or more, increasing")
        require(len(self.steps) == len(self.weight_decays), "steps", self.steps, "one number a weight decay")
        require(min(self.steps) >= 1, "steps", self.steps, "at least 1")
        require(self.faster > 0, "faster", self.faster, "above 0")
        for decay in self.weight_decays:
            require_decay(self.learning_rate * max(self.faster, 1.0), decay)
        require(self.amplify > 0, "amplify", self.amplify, "above 0")
        for name in ("published_memory", "shorter_memory"):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "from 0 to below 1")
        whole = self.probe_every >= 1 and all(steps % self.probe_every == 0 for steps in self.steps)
        require(whole, "probe_every", self.probe_every, f"a divisor of steps={self.steps}")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    modulus=23, hidden_size=48, train_fraction=0.8, steps=(160, 120), probe_every=20, num_seeds=2, first_seed=0
)
BOOK = Config()
PAPER = Config(
    modulus=97, hidden_size=128, train_fraction=0.5, weight_decays=(0.1, 0.3, 1.0), steps=(12000, 6000, 3000), num_seeds=5,
    probe_every=50,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed at each weight decay in each arm, from the same weights and on the same pairs.

    Returns:
        train_accuracy, test_accuracy (seed, weight_decay, arm, step); NaN after the last step of a weight decay.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    data = splits(config.modulus, config.train_fraction, seeds)
    filters = {
        "no filter": (ADAMW, 1.0),
        "published filter": (replace(ADAMW, slow_gradient=config.amplify, slow_decay=config.published_memory), 1.0),
        "shorter filter": (replace(ADAMW, slow_gradient=config.amplify, slow_decay=config.shorter_memory), 1.0),
        "no filter, faster": (ADAMW, config.faster),
    }
    probed = list(range(0, max(config.steps) + 1, config.probe_every))
    shape = (len(seeds), len(config.weight_decays), len(ARMS), len(probed))
    found = {name: np.full(shape, np.nan) for name in ("train_accuracy", "test_accuracy")}
    done, total = 0, len(ARMS) * sum(config.steps)
    for i, (decay, steps) in enumerate(zip(config.weight_decays, config.steps, strict=True)):
        mine = [step for step in probed if step <= steps]
        for j, arm in enumerate(ARMS):
            optimizer, times = filters[arm]
            history = train_on_pairs(
                members(config.modulus, config.hidden_size, seeds), data, steps=steps, probe_steps=mine,
                learning_rate=config.learning_rate * times, weight_decay=decay, optimizer=optimizer, device=device,
                progress=stage(progress, done, steps, total),
            )  # fmt: skip
            done += steps
            for name, values in found.items():
                values[:, i, j, : len(mine)] = history.values[name].T
    dims, words = ("seed", "weight_decay", "arm", "step"), {"train": "training", "test": "held-out"}
    return xr.Dataset(
        {name: variable(dims, v, f"accuracy on {words[name.split('_')[0]]} pairs") for name, v in found.items()}
        | {"budget": variable("weight_decay", list(config.steps), "updates made", "updates")},
        {
            "seed": seeds,
            "weight_decay": variable("weight_decay", list(config.weight_decays), "weight decay"),
            "arm": list(ARMS),
            "step": variable("step", probed, "updates", "updates"),
        },
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Updates until 95 % of the held-out pairs are right, every seed; triangles at the budget never got there."""
    ax = style.axes(ax)
    steps = checks.reached(result)
    count = result.sizes["weight_decay"]
    for i, decay in enumerate(result.weight_decay.values):
        color = style.COLORS[i % len(style.COLORS)]
        for j, arm in enumerate(result.arm.values):
            one = steps.sel(weight_decay=decay, arm=arm).values
            x = j + (i - (count - 1) / 2) * 0.22 + np.linspace(-0.05, 0.05, len(one))
            label = f"weight decay {decay:g}" if j == 0 else None
            ax.plot(x, one, "o", color=color, alpha=0.7, markersize=5, label=label)
            missed = np.isnan(one)
            budget = float(result.budget.sel(weight_decay=decay))
            ax.plot(x[missed], np.full(missed.sum(), budget), "^", color=color, markerfacecolor="none", markersize=7)
    ax.set_xticks(range(result.sizes["arm"]), [str(arm).replace(", ", ",\n") for arm in result.arm.values])
    ax.set(xlabel="what is done to the gradient", ylabel="updates until 95 % of held-out pairs", ylim=(0, None))
    ax.legend(loc="upper right")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, in which a run that never got there is later than all; numbered from 0."""
    steps = checks.reached(result)
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "most": float(result.weight_decay[-1]),
        "least": float(result.weight_decay[0]),
        "censored": int(steps.isnull().sum()),
        "runs": int(steps.size),
        "slowed_low": float(checks.slowed(result).min()),
        "slowed_high": float(checks.slowed(result).max()),
        "gain_high": float(checks.gain(result).max()),
        "gain_kept": int((checks.gain(result) < 1.25).sum()),
        "decay_gain": float(checks.decay_gain(result).median()),
        "decay_gain_low": float(checks.decay_gain(result).min()),
        "confounded": float(checks.confounded(result).median()),
        "confounded_low": float(checks.confounded(result).min()),
    }
    for i in range(result.sizes["weight_decay"]):
        found[f"decay_{i}"] = float(result.weight_decay[i])
        found |= {
            f"steps_{i}_{j}": float(steps.isel(weight_decay=i, arm=j).fillna(np.inf).median())
            for j in range(result.sizes["arm"])
        }
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n, last = numbers(result), result.sizes["weight_decay"] - 1
    return (
        f"Updates until 95 % of the held-out pairs are right, by treatment of the gradient and weight decay, one dot a seed. "
        f"Without a filter the median is {n['steps_0_0']:.0f} at weight decay {n['least']:g} and {n[f'steps_{last}_0']:.0f} at "
        f"{n['most']:g}; with the published filter {n['steps_0_1']:.0f} and {n[f'steps_{last}_1']:.0f}; with a shorter memory "
        f"{n['steps_0_2']:.0f} and {n[f'steps_{last}_2']:.0f}."
    )


SOURCE = "Lee et al. 2024, arXiv 2405.20233; this book's design and thresholds"
CLAIMS = (
    Claim(
        id="gradient_filter.published_slows",
        says="At either weight decay, the filter with the published constants takes more than 1.1 times as many updates.",
        rows=("S2.1",),
        source=SOURCE,
        check=checks.published_slows,
        control=Control(
            says="the filter with a shorter memory",
            change=checks.shorter_as_published,
            manipulation=checks.memorized,
        ),
    ),
    Claim(
        id="gradient_filter.little_gain",
        says="At either weight decay, neither filter needs less than 1/1.25 of the updates that no filter needs.",
        rows=("S2.1",),
        source=SOURCE,
        check=checks.little_gain,
        expected="in part",
        control=Control(
            says="more weight decay in the place of the filter",
            change=checks.decay_as_filter,
            manipulation=checks.memorized,
        ),
    ),
    Claim(
        id="gradient_filter.confounded",
        says="Compared as filter with more decay against no filter with less, the same filter looks more than 1.1 times faster.",
        rows=("S2.1",),
        source=SOURCE,
        check=checks.looks_faster,
        control=Control(
            says="the same weight decay on both sides",
            change=checks.one_decay,
            manipulation=checks.memorized,
        ),
    ),
)
