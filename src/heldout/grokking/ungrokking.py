"""A network that has grokked forgets the rule when it is trained on with too few of the pairs, though it fits them all.

Ungrokking, predicted and found by Varma et al. 2023 (arXiv 2309.02390): below a critical amount of data the memorizing
solution is the more efficient one, and weight decay leads back to it. A grokked network with one hidden layer is trained on
with a fraction of the pairs that it was first trained on; all fractions and all weight decays start from the same weights.

Axes: seed, weight_decay (of the second training), fraction (of all pairs, in the second training), step (of the second).
Deviations from the paper: a quadratic network with one hidden layer and a modulus of 59, not a one-layer transformer and 113;
a learning rate of 0.01; AdamW's moments start anew with the second training.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.ensemble import log_spaced_steps
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import ungrokking_checks as checks
from heldout.grokking.grokked import grokked_members, splits, stage
from heldout.grokking.modular import require_decay, require_modulus, require_train_fraction
from heldout.grokking.training import train_on_pairs

CURVES = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the two trainings."""

    modulus: int = 59
    hidden_size: int = 96
    first_fraction: float = 0.5  # of all pairs, in the first training
    first_steps: int = 500
    first_decay: float = 1.0
    fractions: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2)  # of all pairs, in the second training
    weight_decays: tuple[float, ...] = (0.0, 1.0)  # in the second training
    steps: int = 800
    learning_rate: float = 1e-2
    num_probes: int = 24
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require_train_fraction(self.first_fraction, self.modulus)
        require_decay(self.learning_rate, self.first_decay)
        require(min(self.first_steps, self.steps) >= 1, "steps", (self.first_steps, self.steps), "at least 1")
        fractions = self.fractions or (1.0,)
        rising = list(fractions) == sorted(set(fractions)) and fractions[-1] <= self.first_fraction
        require(rising, "fractions", self.fractions, f"increasing, at most first_fraction={self.first_fraction}")
        for fraction in fractions:
            require_train_fraction(fraction, self.modulus)
        decays = self.weight_decays or (-1.0,)
        require(list(decays) == sorted(set(decays)), "weight_decays", self.weight_decays, "increasing")
        for decay in decays:
            require_decay(self.learning_rate, decay)
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    modulus=23, hidden_size=48, first_fraction=0.8, first_steps=250, fractions=(0.1, 0.5), steps=150, num_probes=8, num_seeds=2,
    first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    hidden_size=128, first_steps=900, fractions=(0.05, 0.075, 0.1, 0.125, 0.15, 0.2), weight_decays=(0.0, 0.5, 1.0, 2.0),
    steps=2000, num_seeds=10,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed until it has grokked, then on with each fraction and weight decay.

    Returns:
        train_accuracy, test_accuracy, train_loss, test_loss (seed, weight_decay, fraction, step) on the pairs of the second
        training and on all others; first_test_accuracy (seed) before it.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    grid = [(i, j) for i in range(len(config.weight_decays)) for j in range(len(config.fractions))]
    total = config.first_steps + len(grid) * config.steps
    start, reached = grokked_members(
        config.modulus, config.hidden_size, seeds, fraction=config.first_fraction, steps=config.first_steps,
        learning_rate=config.learning_rate, weight_decay=config.first_decay, device=device,
        progress=stage(progress, 0, config.first_steps, total),
    )  # fmt: skip
    probed = log_spaced_steps(config.steps, config.num_probes)
    shape = (len(seeds), len(config.weight_decays), len(config.fractions), len(probed))
    found = {name: np.empty(shape) for name in CURVES}
    for number, (i, j) in enumerate(grid):
        history = train_on_pairs(
            start, splits(config.modulus, config.fractions[j], seeds), steps=config.steps, probe_steps=probed,
            learning_rate=config.learning_rate, weight_decay=config.weight_decays[i], device=device,
            progress=stage(progress, config.first_steps + number * config.steps, config.steps, total),
        )  # fmt: skip
        for name in CURVES:
            found[name][:, i, j] = history.values[name].T
    dims = ("seed", "weight_decay", "fraction", "step")
    words = {"train": "the second training's pairs", "test": "all other pairs"}
    return xr.Dataset(
        {
            name: variable(
                dims, values, f"{name.split('_')[1]} on {words[name.split('_')[0]]}",
                "nats" if name.endswith("loss") else "1",
            )
            for name, values in found.items()
        }
        | {"first_test_accuracy": variable("seed", reached, "held-out accuracy before the second training")},
        {
            "seed": seeds,
            "weight_decay": variable("weight_decay", list(config.weight_decays), "weight decay of the second training"),
            "fraction": variable("fraction", list(config.fractions), "fraction of pairs in the second training"),
            "step": variable("step", probed, "updates of the second training", "updates"),
        },
        {"pairs": config.modulus**2},
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Accuracy at the end against the fraction, one line a weight decay; the band is all seeds."""
    ax = style.axes(ax)
    last = result.isel(step=-1)
    style.band(
        ax, result.fraction.values, last.train_accuracy.min("weight_decay").values, color=style.MUTED,
        label="training pairs, least of all", interval=(0.0, 1.0), linestyle="--",
    )  # fmt: skip
    for number, decay in enumerate(result.weight_decay.values):
        values = last.test_accuracy.sel(weight_decay=decay).values
        color = style.COLORS[number % len(style.COLORS)]
        label = f"other pairs, weight decay {decay:g}"
        style.band(ax, result.fraction.values, values, color=color, label=label, interval=(0.0, 1.0), marker="o")
    ax.set(xlabel="fraction of pairs it is trained on with", ylabel="accuracy at the end", ylim=(-0.03, 1.05))
    ax.legend(loc="lower right")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes, at the weight decay nearest to 1: medians over seeds unless said otherwise."""
    decayed = checks.decayed(result)
    last = decayed.isel(step=-1)
    place = checks.place(decayed)
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "steps": int(result.step[-1]),
        "pairs": int(result.attrs["pairs"]),
        "first_least": float(result.first_test_accuracy.min()),
        "train_least": float(result.train_accuracy.isel(step=-1).min()),
        "train_at_fewest": float(last.train_accuracy.isel(fraction=0).min()),
        "place": float(place.median()),
        "place_low": float(place.min()),
        "place_high": float(place.max()),
        "place_pairs": round(float(place.median()) * int(result.attrs["pairs"])),
        "decays": ", ".join(f"{decay:g}" for decay in result.weight_decay.values if decay),
        "places": ", ".join(
            f"{float(checks.place(result.sel(weight_decay=d)).median()):.3f}" for d in result.weight_decay.values if d
        ),
    }
    if 0.0 in result.weight_decay:
        without = result.sel(weight_decay=0.0).isel(step=-1)
        found["without_least"] = float(without.test_accuracy.min())
    for number, fraction in enumerate(result.fraction.values):
        found |= {
            f"fraction_{number}": float(fraction),
            f"count_{number}": int(float(fraction) * int(result.attrs["pairs"])),
            f"test_{number}": float(last.test_accuracy.isel(fraction=number).median()),
            f"test_low_{number}": float(last.test_accuracy.isel(fraction=number).min()),
            f"test_high_{number}": float(last.test_accuracy.isel(fraction=number).max()),
            f"late_{number}": float(checks.late_change(decayed).isel(fraction=number).median()),
        }
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    lines = [f"at fraction {n[f'fraction_{k}']:g} {n[f'test_{k}']:.2f}" for k in range(result.sizes["fraction"])]
    return (
        f"Accuracy after {n['steps']} more updates against the fraction of pairs trained on. On the training pairs it "
        f"stays at 1. On the other pairs, with weight decay, it ends {', '.join(lines)}; the median crosses "
        f"one half at {n['place']:.3f}. "
        "Without weight decay it hardly falls at any fraction."
    )  # fmt: skip


CLAIMS = (
    Claim(
        id="ungrokking.forgets",
        says="Trained on with 5 % of the pairs, all fitted, a grokked network ends less than 10 % right on the others.",
        rows=("S2.1",),
        source="Varma et al. 2023, arXiv 2309.02390; thresholds ours",
        check=checks.forgets,
        control=Control(
            says="the same pairs and updates without weight decay",
            change=checks.without_decay,
            manipulation=checks.fits,
        ),
    ),
    Claim(
        id="ungrokking.keeps",
        says="Trained on with 20 % of the pairs, it ends more than 95 % right on the others.",
        rows=("S2.1",),
        source="Varma et al. 2023, arXiv 2309.02390; thresholds ours",
        check=checks.keeps,
        control=Control(
            says="the fewest pairs in the place of the most",
            change=checks.fewest_as_most,
            manipulation=checks.fits,
        ),
    ),
    Claim(
        id="ungrokking.one_place",
        says="Seeds agree on the fraction at which half of the others are right: the largest is at most 1.15 times the smallest.",
        rows=("S2.1",),
        source="this book",
        check=checks.one_place,
        control=Control(
            says="without weight decay, where no fraction loses the rule",
            change=checks.without_decay,
            manipulation=checks.fits,
        ),
    ),
)
