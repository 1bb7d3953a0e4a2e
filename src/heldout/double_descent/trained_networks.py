"""Trained networks: the test error over width peaks where training first reaches zero error, if labels are wrong.

One hidden ReLU layer, cross-entropy, Adam, mini-batches; a share of the training labels exchanged for another class; width
swept through the threshold and the errors recorded along training. Early stopping uses a validation split whose labels are
as noisy as the training ones; test labels are clean. After Nakkiran et al. 2020 (arXiv 1912.02292), who sweep the width of
convolutional networks and transformers; here small networks on scikit-learn's digits, so that every reader can run them.

Axes: seed (split, noise, initial weights), noise (share of wrong labels), width (hidden units), epoch.
Deviations: architecture, data, number of epochs and optimizer settings; no data augmentation.
"""

from dataclasses import dataclass

import torch
import xarray as xr
from matplotlib.axes import Axes
from torch import Tensor

from heldout.data import digits
from heldout.data.digit_task import CLASSES
from heldout.devices import generator
from heldout.double_descent import noisy_sweep, trained_network_checks
from heldout.double_descent.trained_network_checks import CLAIMS, at_best_epoch, at_end, interpolation_width, turns
from heldout.ensemble import log_spaced_steps
from heldout.experiment import Progress, recorded, require
from heldout.figures import style
from heldout.networks import MLP

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "describe", "numbers", "plot", "run"]

PIXELS = 64


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the sweep. What is left of the 1,797 digits after training and validation is the test set."""

    num_train: int = 1000
    num_validation: int = 250
    widths: tuple[int, ...] = (2, 4, 6, 8, 12, 16, 24, 36, 64, 128, 256)
    noises: tuple[float, ...] = (0.0, 0.2)  # share of labels moved to another class, uniformly
    epochs: int = 500
    probes: int = 30  # epochs, evenly spaced in their logarithm, at which the errors are recorded
    learning_rate: float = 3e-3
    batch_size: int = 100
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        noisy_sweep.require_sweep(self)
        used = self.num_train + self.num_validation
        require(used <= 1600, "num_train + num_validation", used, "at most 1600 of the 1,797 digits")
        require(self.epochs >= 5, "epochs", self.epochs, "at least 5")
        require(self.probes >= 3, "probes", self.probes, "at least 3")


SMOKE = Config(num_train=200, widths=(2, 8, 64), epochs=40, probes=6, num_seeds=2, first_seed=0, batch_size=50)
BOOK = Config()
PAPER = Config(
    widths=(1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 50, 64, 100, 160, 256, 400),
    epochs=1500,
    probes=50,
    learning_rate=1e-3,
    num_seeds=10,
)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every width and noise on every seed, all at once.

    Returns:
        train_error (on the labels as given, wrong ones included), validation_error (labels as noisy), test_error (clean
        labels), all shares misclassified, and train_loss in nats, all (seed, noise, width, epoch); and parameters (width).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    inputs, labels = sample(config, seeds)
    epochs = log_spaced_steps(config.epochs, config.probes)
    per_epoch = config.num_train // config.batch_size
    found = noisy_sweep.trained(
        network, config, inputs, labels, steps=config.epochs * per_epoch,
        probe_steps=[epoch * per_epoch for epoch in epochs], device=device, progress=progress,
    )  # fmt: skip
    parameters = [width * (PIXELS + 1) + CLASSES * (width + 1) for width in config.widths]
    result = noisy_sweep.dataset(config, found, epochs, parameters, pictures="digits", width="hidden units")
    return result.assign_attrs(num_test=inputs.shape[1] - config.num_train - config.num_validation)


def network(seed: int, width: int) -> MLP:
    """One network as it starts."""
    return MLP(PIXELS, [width], CLASSES, generator=generator("trained_networks", "weights", seed, width))


def sample(config: Config, seeds: list[int]) -> tuple[Tensor, Tensor]:
    """Digits (seed, digit, pixel): training, validation, test; labels (seed, noise, digit), the test's all correct."""
    used = config.num_train + config.num_validation
    drawn = [
        noisy_sweep.prepared(digits.load(seed), config.noises, config.num_train, used, "trained_networks", seed)
        for seed in seeds
    ]
    return torch.stack([inputs for inputs, _ in drawn]), torch.stack([labels for _, labels in drawn])


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error after training against width: noisy labels, the same stopped early, correct labels; training error dashed."""
    ax = style.axes(ax)
    x = result.width.values
    final, stopped = at_end(result), at_best_epoch(result)
    noisy = f"{float(result.noise[-1]):.0%} wrong labels"
    style.band(ax, x, final.test_error.isel(noise=-1).values, color=style.VERMILION, label=noisy)
    style.band(ax, x, stopped.test_error.isel(noise=-1).values, color=style.GREEN, label=f"{noisy}, stopped early")
    style.band(ax, x, final.test_error.sel(noise=0).values, color=style.BLUE, label="no wrong labels")
    fitted = final.train_error.isel(noise=-1).median("seed")
    ax.plot(x, fitted, color=style.MUTED, linestyle=(0, (4, 3)), label=f"training error, {noisy}")
    style.mark_threshold(ax, float(interpolation_width(final.isel(noise=-1)).median()), "fits its labels")
    ax.set(xscale="log", xlabel="hidden units (log scale)", ylabel="share misclassified", ylim=(0, 0.7))
    ax.legend(loc="upper right", bbox_to_anchor=(1, 0.93), fontsize=9)
    return ax


def plot_epochs(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error along training under noise, at four widths: the narrowest, the peak's, twice the peak's, the widest."""
    ax = style.axes(ax)
    noisy = result.isel(noise=-1)
    peak = int(turns(at_end(noisy)).peak_width.median())
    chosen = dict.fromkeys(int(noisy.width.sel(width=w, method="nearest")) for w in (4, peak, 2 * peak, 1000))
    for width, color in zip(chosen, style.COLORS, strict=False):
        values = noisy.test_error.sel(width=width).values
        style.band(ax, noisy.epoch.values + 1, values, color=color, label=f"{width} hidden units")
    ax.set(xscale="log", xlabel="1 + epochs (log scale)", ylabel="share of test digits misclassified", ylim=(0, 0.6))
    ax.legend(loc="upper right", fontsize=9)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds; end minus valley with its bootstrap interval."""
    return trained_network_checks.numbers(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Share of test digits misclassified against the number of hidden units, on a log scale. With {n['noise']:.0%} wrong "
        f"labels it falls to {n['valley']:.2f} at {n['valley_width']} units, rises to {n['peak']:.2f} at {n['peak_width']}, near "
        f"where the training error reaches zero, and falls to {n['end']:.2f} at {n['last_width']}. Stopped early, it ends at "
        f"{n['stopped_end']:.2f} and its mean rises by at most {n['stopped_rise']:.3f}; without wrong labels it ends at "
        f"{n['clean_end']:.3f} and its mean rises by at most {n['clean_rise']:.3f}."
    )
