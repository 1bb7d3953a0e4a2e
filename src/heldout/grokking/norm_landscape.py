"""With the norm of the weights held fixed, the best held-out loss against the norm is a U, the best training loss an L.

Liu, Michaud and Tegmark 2023 (arXiv 2210.01117, section 2 and Figure 1b, the LU mechanism): train without weight decay, scale
the parameters back to their initial norm after every update, and keep the lowest loss of each run.

Axes: seed, scale (the norm held, as a factor on that of PyTorch's initial draw).
Deviations: 200 digits of 14 x 14 averaged pixels and 400 updates, where the paper has up to 60,000 digits of 28 x 28 and 10,000
updates: too few for the largest norms to be fitted, so the right arm of the L is not flat here. The network whose outputs are
divided, and its learning rate multiplied to match, is ours.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.data import digit_task
from heldout.ensemble import log_spaced_steps
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import digit_networks
from heldout.grokking.norm_probe import progress_from

GUESSING = 0.09  # squared error, mean over ten outputs, of the best constant answer: 0.1 for every class


@dataclass(frozen=True, kw_only=True)
class Config:
    """Digits, network and the norms at which it is held."""

    digits: str = "bundled"  # or full, which must be fetched
    num_train: int = 200
    num_test: int = 1000
    shrink: int = 2  # pixels averaged along each side
    hidden_size: int = 200
    scales: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    # The usual network in other units: outputs divided by the cube of the scale, learning rate multiplied by the scale.
    divide_outputs: bool = False
    steps: int = 400
    batch_size: int = 40
    learning_rate: float = 3e-3
    num_probes: int = 25  # the lowest losses are sought at these updates
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        digit_task.check_sizes(self.digits, self.num_train, 1, self.num_test)
        require(self.shrink in digit_networks.SHRINKS, "shrink", self.shrink, f"one of {digit_networks.SHRINKS}")
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        rising = list(self.scales) == sorted(set(self.scales)) and min(self.scales, default=0) > 0
        require(rising and len(self.scales) >= 3, "scales", self.scales, "three or more, increasing, above 0")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(1 <= self.batch_size <= self.num_train, "batch_size", self.batch_size, "from 1 to num_train")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    num_train=40, num_test=100, shrink=4, hidden_size=48, scales=(0.25, 1.0, 4.0), steps=80, batch_size=20, num_probes=8,
    num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    digits="full", num_train=1000, num_test=5000, shrink=1, learning_rate=1e-3, steps=10_000, batch_size=100, num_probes=60,
    scales=(0.1, 0.18, 0.32, 0.56, 1.0, 1.8, 3.2, 5.6, 10.0),
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed at every norm, and keep the lowest losses and the highest accuracies over the probed updates.

    Returns:
        train_loss, test_loss (mean squared error per output), train_accuracy, test_accuracy, norm (seed, scale).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    data = digit_networks.load(config.digits, seeds, config.num_train, config.num_test, config.shrink)
    probes = log_spaced_steps(config.steps, config.num_probes)
    words = {
        "train_loss": "lowest squared error on training digits, mean over outputs",
        "test_loss": "lowest squared error on held-out digits, mean over outputs",
        "train_accuracy": "highest accuracy on training digits",
        "test_accuracy": "highest accuracy on held-out digits",
        "norm": "Euclidean norm of all parameters, held",
    }
    found = {name: np.empty((len(seeds), len(config.scales))) for name in words}
    for number, scale in enumerate(config.scales):
        networks = digit_networks.members(
            seeds, data.x.shape[-1], config.hidden_size, scale, divide=config.divide_outputs
        )
        history = digit_networks.train_on_digits(
            networks, data, seeds, steps=config.steps, probe_steps=probes, batch_size=config.batch_size,
            learning_rate=config.learning_rate * (scale if config.divide_outputs else 1.0),
            weight_decay=0.0, constant_norm=True, device=device,
            progress=partial(progress_from, progress, number * config.steps, len(config.scales) * config.steps),
        )  # fmt: skip
        for name in words:
            curve = history.values[name]
            found[name][:, number] = curve.max(0) if name.endswith("accuracy") else curve.min(0)
    return xr.Dataset(
        {name: variable(("seed", "scale"), found[name], words[name]) for name in words},
        {"seed": seeds, "scale": variable("scale", config.scales, "norm held, as a factor on the usual initial one")},
        {"num_train": config.num_train, "num_test": config.num_test, "steps": config.steps},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Lowest training and held-out losses against the norm at which the weights are held; bands are all seeds."""
    ax = style.axes(ax)
    norm = result.norm.median("seed").values
    for values, color, label in (
        (result.test_loss, style.VERMILION, "held-out digits"),
        (result.train_loss, style.BLUE, "training digits"),
    ):
        style.band(ax, norm, values.values, color=color, label=label, interval=(0.0, 1.0), marker="o", markersize=4)
    style.mark_threshold(ax, float(norm[int(np.abs(np.log(result.scale.values)).argmin())]), "usual initial norm")
    ax.set(xscale="log", yscale="log", xlabel="norm of the weights, held (log scale)")
    ax.set_ylabel("lowest squared error (log scale)")
    ax.legend(loc="lower left")
    return ax


def lowest_scale(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the scale with the lowest held-out loss."""
    best: xr.DataArray = result.scale[result.test_loss.argmin("scale")]
    return best


def end_rise(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the held-out loss at the better of the two ends over the lowest between them."""
    ends = np.minimum(result.test_loss.isel(scale=0), result.test_loss.isel(scale=-1))
    rise: xr.DataArray = ends / result.test_loss.isel(scale=slice(1, -1)).min("scale")
    return rise


def is_a_u(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`end_rise`."""
    return across_seeds(end_rise(result), above=2.0)


def left_arm(result: xr.Dataset) -> Evidence:
    """Per seed, the training loss at the smallest norm; minus infinity where no norm brings it below a thousandth."""
    fits = result.train_loss.min("scale") < 1e-3
    return across_seeds(result.train_loss.isel(scale=0).where(fits, -np.inf), above=GUESSING / 2)


def same_norms_and_reads(result: xr.Dataset) -> Evidence:
    """A manipulation check: norms differ more than tenfold, and at every one more than 70 % of held-out digits are read."""
    spread = result.norm.isel(scale=-1) / result.norm.isel(scale=0)
    return across_seeds(result.test_accuracy.min("scale").where(spread > 10, 0.0), above=0.7)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds; first and last are the smallest and the largest norm."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "train": int(result.num_train),
        "steps": int(result.steps),
        "norms": result.sizes["scale"],
        "best_scale": float(lowest_scale(result).median()),
        "best_scale_least": float(lowest_scale(result).min()),
        "best_scale_most": float(lowest_scale(result).max()),
        "best_test": float(result.test_loss.min("scale").median()),
        "end_rise": float(end_rise(result).median()),
        "least_train": float(result.train_loss.min("scale").median()),
        "guessing": GUESSING,
    }
    for name, place in (("first", 0), ("last", -1)):
        mine = result.isel(scale=place)
        found |= {
            f"scale_{name}": float(mine.scale),
            f"norm_{name}": float(mine.norm.median()),
            f"train_{name}": float(mine.train_loss.median()),
            f"test_{name}": float(mine.test_loss.median()),
            f"read_{name}": float(mine.test_accuracy.median()),
            f"fitted_{name}": float(mine.train_accuracy.median()),
        }
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Lowest losses against the norm at which the weights are held, both axes logarithmic. The held-out loss is a U with its "
        f"lowest point near {n['best_scale']:g} times the usual norm and {n['end_rise']:.1f} times as much at the better of its "
        f"ends. The training loss falls from {n['train_first']:.2f} at the smallest norm to nearly nothing, and ends at "
        f"{n['train_last']:.1g} at the largest."
    )


DIVIDED = replace(BOOK, divide_outputs=True)
CLAIMS = (
    Claim(
        id="norm_landscape.u",
        says="The lowest held-out loss against the held norm has its minimum inside the range, and both ends are at least "
        "twice as high.",
        rows=("S3.6",),
        source="Liu, Michaud and Tegmark 2023, arXiv 2210.01117, section 2, Figure 1b",
        check=is_a_u,
        control=Control(
            says="the same norms, held, in other units: outputs divided by the cube of the scale, learning rate times it",
            config=DIVIDED,
            manipulation=same_norms_and_reads,
        ),
    ),
    Claim(
        id="norm_landscape.left_arm",
        says="Held at a quarter of the usual norm, the training loss stays above half of what guessing costs; at another norm it "
        "falls below a thousandth.",
        rows=("S3.6",),
        source="Liu, Michaud and Tegmark 2023, arXiv 2210.01117, section 2, Figure 1b",
        check=left_arm,
        control=Control(
            says="the same norms, held, in other units: outputs divided by the cube of the scale, learning rate times it",
            config=DIVIDED,
            manipulation=same_norms_and_reads,
        ),
    ),
)
