"""Real digits grok when a network starts with large weights, and only if weight decay then takes them away.

Liu, Michaud and Tegmark 2023 (arXiv 2210.01117, Omnigrok): a perceptron with three layers learns few MNIST digits by squared
error; at eight times the usual initial weights it fits them long before it reads others, with weight decay only.

Axes: seed, scale (factor on all initial parameters), decay (weight decay), step (updates made).
Deviations: 200 digits of 14 x 14 averaged pixels where the paper has 1,000 of 28 x 28; batches of 40, learning rate 8e-3 and
weight decay 0.1 where it has 200, 1e-3 and 0.01, which shortens 100,000 updates to some thousand; float32, not float64. The
network whose outputs are divided is ours.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.data import digit_task
from heldout.ensemble import log_spaced_steps
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import digit_networks
from heldout.grokking import digit_norms_checks as checks
from heldout.grokking.modular import require_decay
from heldout.grokking.norm_probe import progress_from

MEASURES = {
    "train_accuracy": ("accuracy on training digits", "1"),
    "test_accuracy": ("accuracy on held-out digits", "1"),
    "train_loss": ("squared error on training digits, mean over outputs", "1"),
    "test_loss": ("squared error on held-out digits, mean over outputs", "1"),
    "norm": ("Euclidean norm of all parameters", "1"),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Digits, network and the grid of initial scales and weight decays."""

    digits: str = "bundled"  # or full, which must be fetched
    num_train: int = 200
    num_test: int = 1000
    shrink: int = 2  # pixels averaged along each side
    hidden_size: int = 200
    scales: tuple[float, ...] = (1.0, 8.0)
    decays: tuple[float, ...] = (0.0, 0.1)
    divide_outputs: bool = False  # by the cube of the scale, so that the outputs start as at scale 1
    read: float = 0.7  # held-out accuracy from which digits count as read
    steps: int = 1500
    batch_size: int = 40
    learning_rate: float = 8e-3
    num_probes: int = 40
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        digit_task.check_sizes(self.digits, self.num_train, 1, self.num_test)
        require(self.shrink in digit_networks.SHRINKS, "shrink", self.shrink, f"one of {digit_networks.SHRINKS}")
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require(_rises(self.scales) and self.scales[0] > 0, "scales", self.scales, "increasing, above 0")
        require(_rises(self.decays) and self.decays[0] >= 0, "decays", self.decays, "increasing, 0 or more")
        require_decay(self.learning_rate, self.decays[-1])
        require(0.1 < self.read < 1, "read", self.read, "above 0.1, which is guessing, and below 1")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(1 <= self.batch_size <= self.num_train, "batch_size", self.batch_size, "from 1 to num_train")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


def _rises(values: tuple[float, ...]) -> bool:
    return len(values) > 0 and list(values) == sorted(set(values))


SMOKE = Config(
    num_train=40, num_test=100, shrink=4, hidden_size=64, scales=(1.0, 4.0), read=0.3, steps=120, batch_size=20,
    num_probes=10, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
# The paper's decay of 0.01 would take ten times as many updates.
PAPER = Config(
    digits="full", num_train=1000, num_test=5000, shrink=1, scales=(1.0, 3.0, 8.0), decays=(0.0, 0.03, 0.1), read=0.8,
    steps=40_000, batch_size=200, learning_rate=1e-3, num_probes=80,
)  # fmt: skip
# What separates the norm of the weights from the size of the outputs: the norm of scale 8, outputs as at scale 1.
DIVIDED = replace(BOOK, scales=(8.0,), divide_outputs=True)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed at every initial scale and weight decay; a seed has the same draw at all scales.

    Returns:
        train_accuracy, test_accuracy, train_loss, test_loss, norm (seed, scale, decay, step).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    data = digit_networks.load(config.digits, seeds, config.num_train, config.num_test, config.shrink)
    probes = log_spaced_steps(config.steps, config.num_probes)
    shape = (len(seeds), len(config.scales), len(config.decays), len(probes))
    found = {name: np.empty(shape) for name in MEASURES}
    cells = [(i, j) for i in range(shape[1]) for j in range(shape[2])]
    for number, (i, j) in enumerate(cells):
        networks = digit_networks.members(
            seeds, data.x.shape[-1], config.hidden_size, config.scales[i], divide=config.divide_outputs
        )
        history = digit_networks.train_on_digits(
            networks, data, seeds, steps=config.steps, probe_steps=probes, batch_size=config.batch_size,
            learning_rate=config.learning_rate, weight_decay=config.decays[j], constant_norm=False, device=device,
            progress=partial(progress_from, progress, number * config.steps, len(cells) * config.steps),
        )  # fmt: skip
        for name in MEASURES:
            found[name][:, i, j] = history.values[name].T
    dims = ("seed", "scale", "decay", "step")
    return xr.Dataset(
        {name: variable(dims, found[name], *words) for name, words in MEASURES.items()},
        {
            "seed": seeds,
            "scale": variable("scale", config.scales, "factor on the initial parameters"),
            "decay": variable("decay", config.decays, "weight decay"),
            "step": variable("step", probes, "updates made", "updates"),
        },
        {"read": config.read, "num_train": config.num_train, "num_test": config.num_test},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Held-out accuracy along training at the largest scale with and without decay, and at the smallest; bands: all seeds."""
    ax = style.axes(ax)
    step = result.step.values[1:]
    large, small, most, least = result.scale[-1], result.scale[0], result.decay[-1], result.decay[0]
    for scale, decay, color, words in (
        (small, most, style.BLUE, f"scale {float(small):g}"),
        (large, most, style.VERMILION, f"scale {float(large):g}"),
        (large, least, style.PINK, f"scale {float(large):g}, decay {float(least):g}"),
    ):
        mine = result.sel(scale=scale, decay=decay).isel(step=slice(1, None))
        style.band(ax, step, mine.test_accuracy.values, color=color, label=f"{words}: held out", interval=(0.0, 1.0))
        ax.plot(step, mine.train_accuracy.median("seed"), color=color, linestyle=":", label=f"{words}: training")
    ax.axhline(float(result.attrs["read"]), color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.set(xscale="log", xlabel="updates (log scale)", ylabel="accuracy", ylim=(0, 1.02))
    ax.legend(fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds; ``large`` is the largest scale with the largest decay."""
    large, small, bare = checks.large(result), checks.small(result), checks.bare(result)
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "train": int(result.num_train),
        "test": int(result.num_test),
        "steps": int(result.step[-1]),
        "scale": float(result.scale[-1]),
        "decay": float(result.decay[-1]),
        "read": float(result.read),
        "ratio": float(checks.delay(large).median()),
        "ratio_least": float(checks.delay(large).min()),
        "ratio_small": float(checks.delay(small).median()),
        "norm_share": float(checks.norm_share_when_read(large).median()),
    }
    for name, mine in (("large", large), ("small", small), ("bare", bare)):
        found |= {
            f"memorized_{name}": float(checks.first_step(mine.train_accuracy, checks.FITTED).median()),
            f"read_{name}": float(checks.first_step(mine.test_accuracy, float(result.read)).median()),
            f"then_{name}": float(checks.when_fitted(mine, "test_accuracy").median()),
            f"end_{name}": float(mine.test_accuracy.isel(step=-1).median()),
            f"best_{name}": float(mine.test_accuracy.max()),
            f"loss_start_{name}": float(mine.test_loss.isel(step=0).median()),
            f"loss_then_{name}": float(checks.when_fitted(mine, "test_loss").median()),
            f"norm_start_{name}": float(mine.norm.isel(step=0).median()),
            f"norm_end_{name}": float(mine.norm.isel(step=-1).median()),
        }
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Accuracy against updates on a log axis. At the usual initial weights training and held-out accuracy rise together. At "
        f"{n['scale']:g} times those, training accuracy is complete after about {n['memorized_large']:,.0f} updates, with "
        f"held-out accuracy near {n['then_large']:.2f}, which then climbs to {n['end_large']:.2f}; without decay at "
        f"{n['end_bare']:.2f}."
    )


CLAIMS = (
    Claim(
        id="digit_norms.delay",
        says="From eight times the usual weights, with decay, fewer than half of the held-out digits are read when the training "
        "digits are fitted, and it takes at least twice as many updates until 70 % are.",
        rows=("S3.6",),
        source="Liu, Michaud and Tegmark 2023, arXiv 2210.01117, MNIST experiment",
        check=checks.reads_later,
        control=Control(
            says="the same weights, eight times as large, with outputs divided by the cube of eight",
            config=DIVIDED,
            manipulation=checks.large_and_reads,
        ),
    ),
    Claim(
        id="digit_norms.no_delay",
        says="From the usual weights, 70 % of the held-out digits are read no later than the training digits are fitted.",
        rows=("S3.6",),
        source="Liu, Michaud and Tegmark 2023, arXiv 2210.01117, MNIST experiment",
        check=checks.reads_in_time,
        control=Control(
            says="the largest initial weights in the place of the usual ones",
            change=checks.largest_as_smallest,
            manipulation=checks.reads_in_the_end,
        ),
    ),
    Claim(
        id="digit_norms.never_without_decay",
        says="From eight times the usual weights without decay, fewer than half of the held-out digits are read at any probed "
        "update.",
        rows=("S3.6",),
        source="this book; the dependence on weight decay in Liu, Michaud and Tegmark 2023, arXiv 2210.01117, MNIST experiment",
        check=checks.never_reads,
        control=Control(
            says="with weight decay",
            change=checks.decay_in_its_place,
            manipulation=checks.fits_without_decay,
        ),
    ),
    Claim(
        id="digit_norms.norm_falls",
        says="When the network that started large comes to read 70 % of the held-out digits, its norm is below 60 % of the "
        "initial one.",
        rows=("S3.6",),
        source="this book; the curve of the norm in Liu, Michaud and Tegmark 2023, arXiv 2210.01117, MNIST experiment",
        check=checks.norm_has_fallen,
        control=Control(
            says="the usual initial weights in the place of the largest",
            change=checks.smallest_as_largest,
            manipulation=checks.large_cell_reads,
        ),
    ),
)
