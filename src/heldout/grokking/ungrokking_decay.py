"""Wait long enough in units of the decay's own time, and the decay hardly moves the place where a grokked network forgets.

Varma et al. 2023 (arXiv 2309.02390) explain ungrokking by which solution is the cheaper one under weight decay. Under a penalty
on the squared norm its strength does not decide that; here the decay is AdamW's own. Grokked networks are trained on with several
weight decays, learning rate times decay held fixed, so that all have the same clock: one decay time is 1 / (learning rate x
decay) updates. Fresh networks learn the same pairs with the largest decay; near the place they end in between, which the paper
calls semi-grokking.

Axes: weight_decay, fraction (of all pairs), seed, step (updates); draw (of the fresh networks).
Deviations from the paper: a quadratic network with one hidden layer and a modulus of 31, not a transformer and 113; rates are
ours; AdamW's moments start anew with the second training.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.ensemble import History, log_spaced_steps
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import ungrokking_decay_checks as checks
from heldout.grokking.grokked import grokked_members, members, splits, stage
from heldout.grokking.modular import require_decay, require_modulus, require_train_fraction
from heldout.grokking.training import train_on_pairs

DEGREE = 3  # of the network, as a function of its weights
_KINDS = ("train_accuracy", "test_accuracy")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the trainings."""

    modulus: int = 31
    hidden_size: int = 48
    first_fraction: float = 0.7  # of all pairs, in the training that groks
    first_steps: int = 400
    first_rate: float = 0.02  # learning rate of that training; its weight decay is 1
    weight_decays: tuple[float, ...] = (0.5, 1.0, 2.0)  # in the second training; fresh networks have the largest
    fractions: tuple[float, ...] = (0.15, 0.25, 0.3, 0.35)  # of all pairs, in the second training
    decay_rate: float = 0.0625  # learning rate times weight decay, the same for all
    decay_times: float = 80.0  # how long, in units of 1 / decay_rate updates
    num_probes: int = 40
    num_draws: int = 10  # fresh networks
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require_train_fraction(self.first_fraction, self.modulus)
        require_decay(self.first_rate, 1.0)
        require(self.first_steps >= 1, "first_steps", self.first_steps, "at least 1")
        decays = self.weight_decays
        rising = len(decays) >= 2 and list(decays) == sorted(set(decays)) and decays[0] > 0
        require(rising, "weight_decays", decays, "two or more, increasing, above 0")
        fractions = self.fractions
        inside = (
            len(fractions) >= 2 and list(fractions) == sorted(set(fractions)) and fractions[-1] <= self.first_fraction
        )
        require(
            inside, "fractions", fractions, f"two or more, increasing, at most first_fraction={self.first_fraction}"
        )
        for fraction in fractions:
            require_train_fraction(fraction, self.modulus)
        require(0 < self.decay_rate <= 1, "decay_rate", self.decay_rate, "above 0, at most 1")
        least = checks.EARLY * 2
        require(
            self.decay_times >= least, "decay_times", self.decay_times, f"at least {least:g}, twice the early reading"
        )
        require(self.num_probes >= 6, "num_probes", self.num_probes, "at least 6")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")
        require(self.num_draws >= self.num_seeds, "num_draws", self.num_draws, f"at least num_seeds={self.num_seeds}")


SMOKE = Config(
    modulus=11, hidden_size=16, first_fraction=0.8, first_steps=100, weight_decays=(1.0, 2.0), fractions=(0.2, 0.4, 0.6),
    decay_times=20.0, num_probes=10, num_draws=3, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    modulus=113, hidden_size=128, first_fraction=0.3, first_steps=1500, first_rate=0.01,
    fractions=(0.03, 0.05, 0.06, 0.07, 0.08, 0.1, 0.15), decay_rate=0.02, decay_times=200.0, num_probes=80, num_draws=20,
    num_seeds=10,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed until it has grokked; then on, one ensemble a fraction, all weight decays and the fresh ones in it.

    Returns:
        train_accuracy, test_accuracy (weight_decay, fraction, seed, step) on the pairs of the second training and on all
        others; fresh_train_accuracy, fresh_test_accuracy (fraction, draw, step) of the fresh networks, whose first draws are
        the seeds; first_test_accuracy (seed) before the second training.
    """
    draws = list(range(config.first_seed, config.first_seed + config.num_draws))
    seeds = draws[: config.num_seeds]
    steps = round(config.decay_times / config.decay_rate)
    total = config.first_steps + len(config.fractions) * steps
    start, reached = grokked_members(
        config.modulus, config.hidden_size, seeds, fraction=config.first_fraction, steps=config.first_steps,
        learning_rate=config.first_rate, weight_decay=1.0, device=device, progress=stage(progress, 0, total),
    )  # fmt: skip
    networks = [*start * len(config.weight_decays), *members(config.modulus, config.hidden_size, draws)]
    decays = [decay for decay in config.weight_decays for _ in seeds] + [config.weight_decays[-1]] * len(draws)
    probed = sorted({*log_spaced_steps(steps, config.num_probes), round(checks.EARLY / config.decay_rate)})
    found = []
    for number, fraction in enumerate(config.fractions):
        data = splits(config.modulus, fraction, seeds) * len(config.weight_decays)
        history = train_on_pairs(
            networks, data + splits(config.modulus, fraction, draws), steps=steps, probe_steps=probed,
            learning_rate=[config.decay_rate / decay for decay in decays], weight_decay=decays, device=device,
            progress=stage(progress, config.first_steps + number * steps, total),
        )  # fmt: skip
        found.append(_arranged(history, len(config.weight_decays), len(seeds)))
    return _dataset(
        config, draws, probed, {name: np.stack([one[name] for one in found], -3) for name in found[0]}, reached
    )


def _arranged(history: History, decays: int, seeds: int) -> dict[str, np.ndarray]:
    """The curves of one fraction: (weight_decay, seed, step) of the grokked ones, (draw, step) of the fresh ones."""
    count, found = decays * seeds, {}
    for name in _KINDS:
        values = history.values[name].T
        found[name] = values[:count].reshape(decays, seeds, -1)
        found[f"fresh_{name}"] = values[count:]
    return found


def _dataset(
    config: Config, draws: list[int], probed: list[int], found: dict[str, np.ndarray], reached: list[float]
) -> xr.Dataset:
    words = {"train_accuracy": "accuracy on the pairs trained on", "test_accuracy": "accuracy on all other pairs"}
    dims = ("weight_decay", "fraction", "seed", "step")
    return xr.Dataset(
        {name: variable(dims, found[name], words[name]) for name in _KINDS}
        | {
            f"fresh_{name}": variable(
                ("fraction", "draw", "step"), found[f"fresh_{name}"], f"{words[name]}, fresh networks"
            )
            for name in _KINDS
        }
        | {"first_test_accuracy": variable("seed", reached, "held-out accuracy before the second training")},
        {
            "weight_decay": variable("weight_decay", list(config.weight_decays), "weight decay of the second training"),
            "fraction": variable("fraction", list(config.fractions), "fraction of pairs in the second training"),
            "seed": draws[: config.num_seeds],
            "draw": draws,
            "step": variable("step", probed, "updates of the second training", "updates"),
        },
        {"pairs": config.modulus**2, "decay_rate": config.decay_rate},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Held-out accuracy against the fraction, early and at the end, one color a weight decay; circles are fresh networks."""
    ax = style.axes(ax)
    x, early = result.fraction.values, checks.early(result)
    for number, decay in enumerate(result.weight_decay.values):
        color = style.COLORS[number % len(style.COLORS)]
        last, first = (
            r.test_accuracy.sel(weight_decay=decay).isel(step=-1).transpose("seed", "fraction") for r in (result, early)
        )
        style.band(ax, x, last.values, color=color, label=f"weight decay {decay:g}", interval=(0.0, 1.0), marker="o")
        ax.plot(x, first.median("seed"), color=color, linestyle=":", label="_")
    fresh = result.fresh_test_accuracy.isel(step=-1)
    width = 0.01 * float(x[-1] - x[0])
    shifts = np.linspace(2 * width, 4 * width, fresh.sizes["draw"])
    for number, fraction in enumerate(x):
        label = "fresh networks, largest decay" if number == 0 else "_"
        ends = fresh.isel(fraction=number).values
        ax.plot(fraction + shifts, ends, "o", color=color, markerfacecolor="none", markersize=4, label=label)
    ax.plot([], [], color=style.MUTED, linestyle=":", label=f"after {checks.EARLY:g} decay times")
    ax.axhline(0.5, color=style.MUTED, linewidth=0.8)
    ax.set(xlabel="fraction of pairs it is trained on with", ylabel="accuracy on all other pairs", ylim=(-0.03, 1.05))
    ax.legend(loc="upper left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, ranges where named low and high; ``near`` is the last fraction but one."""
    early, near = checks.early(result), checks.NEAR
    fresh = result.fresh_test_accuracy.isel(fraction=near, step=-1)
    fall = checks.return_after_fall(result)
    decays = result.weight_decay.values
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "draws": result.sizes["draw"], "fractions": result.sizes["fraction"],
        "first_least": float(result.first_test_accuracy.min()),
        "train_least": float(checks.fitted(result).low), "updates": int(result.step[-1]),
        "times": float(result.step[-1]) * float(result.attrs["decay_rate"]),
        "early": float(early.step[-1]) * float(result.attrs["decay_rate"]),
        "near": float(result.fraction[near]), "near_pairs": int(float(result.fraction[near]) * result.attrs["pairs"]),
        "decays": ", ".join(f"{decay:g}" for decay in decays),
        "places": ", ".join(_place(checks.place(result, d)) for d in decays),
        "places_early": ", ".join(_place(checks.place(early, d)) for d in decays),
        "temperature": float((decays[-1] / decays[0]) ** DEGREE),
        "lost": float(result.test_accuracy.isel(fraction=0, step=-1).max()),
        "kept": float(result.test_accuracy.isel(weight_decay=len(decays) // 2, fraction=-1, step=-1).median()),
        "shift": float(checks.shift(result).median()), "shift_high": float(checks.shift(result).max()),
        "fall": float(fall.median()), "fall_low": float(fall.min()),
        "apart": float(checks.apart(result).median()), "apart_high": float(checks.apart(result).max()),
        "apart_early": float(checks.apart(early).median()),
        "fresh_low": float(fresh.min()), "fresh": float(fresh.median()), "fresh_high": float(fresh.max()),
        "fresh_at_fit": float(checks.at_fit(result).max()),
        "fit_step": float(checks.fit_step(result).median()),
        "partial": int(checks.partial_ends(result).notnull().sum()),
        "fresh_late": float(checks.late_change(result).median()),
    }  # fmt: skip
    for number, fraction in enumerate(result.fraction.values):
        ends = result.fresh_test_accuracy.isel(fraction=number, step=-1)
        found |= {
            f"fraction_{number}": float(fraction), f"fresh_{number}": float(ends.median()),
            f"fresh_{number}_low": float(ends.min()), f"fresh_{number}_high": float(ends.max()),
        }  # fmt: skip
    for name, index in (("low", 0), ("middle", len(decays) // 2), ("high", -1)):
        curve = result.test_accuracy.isel(weight_decay=index, fraction=near)
        found |= {
            f"{name}_decay": float(decays[index]), f"{name}_end": float(curve.isel(step=-1).median()),
            f"{name}_least": float(curve.min("step").median()),
            f"{name}_late": float(checks.late(curve).median()),
            f"{name}_early": float(early.test_accuracy.isel(weight_decay=index, fraction=near, step=-1).median()),
        }  # fmt: skip
    return found


def _place(values: xr.DataArray) -> str:
    """The median in words; a place that most seeds lack is not there."""
    return f"{float(values.median()):.3f}" if int(values.notnull().sum()) * 2 > values.size else "none"


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Accuracy on the other pairs against the fraction trained on, at weight decays {n['decays']}. After {n['early']:.0f} "
        f"decay times half of them are right at fractions of {n['places_early']}; after {n['times']:.0f}, at {n['places']}. "
        f"Fresh networks at a fraction of {n['near']:g} end between {n['fresh_low']:.2f} and {n['fresh_high']:.2f}."
    )  # fmt: skip


_EARLY = "the same runs read after five decay times"
_PAPER = "Varma et al. 2023, arXiv 2309.02390"

CLAIMS = (
    Claim(
        id="ungrokking_decay.place_stays",
        says="After 80 decay times the place where half of the other pairs are right differs by less than a quarter among weight "
        "decays of 0.5, 1 and 2.",
        rows=("S2.1",),
        source=f"implied by the account of {_PAPER}; thresholds ours",
        check=checks.place_stays,
        control=Control(says=_EARLY, change=checks.early, manipulation=checks.fitted),
    ),
    Claim(
        id="ungrokking_decay.falls_then_returns",
        says="Near the place and at weight decay 1, held-out accuracy falls and then comes back by more than 0.3.",
        rows=("S2.1",),
        source="this book",
        check=checks.falls_then_returns,
        control=Control(
            says="the largest weight decay in the place of the middle one",
            change=checks.largest_decay,
            manipulation=checks.fitted,
        ),
    ),
    Claim(
        id="ungrokking_decay.both_starts",
        says="At the largest weight decay grokked and fresh networks end less than 0.1 apart, on average over the fractions.",
        rows=("S2.1",),
        source="this book",
        check=checks.both_starts,
        control=Control(says=_EARLY, change=checks.early, manipulation=checks.fitted),
    ),
    Claim(
        id="ungrokking_decay.semi_grokking",
        says="Near the place fresh networks generalize after they have fitted, and end between 0.2 and 0.9.",
        rows=("S2.1",),
        source=f"{_PAPER}, abstract: delayed generalization to partial test accuracy; thresholds ours",
        check=checks.semi_grokking,
        control=Control(
            says="the smallest fraction in the place of the one near",
            change=checks.smallest_fraction,
            manipulation=checks.fitted,
        ),
    ),
)  # fmt: skip
