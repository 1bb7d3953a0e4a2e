"""Convolutional networks: the test error over the number of channels, when a share of the training labels is wrong.

A stack of convolutions, each halving the picture and doubling the channels, a mean over places and a linear map; the number
of channels w of the first swept through the threshold; cross-entropy, Adam, errors recorded along training. After Nakkiran
et al. 2020 (arXiv 1912.02292), whose five-layer convolutional network has w, 2w, 4w and 8w channels. Test labels are clean;
early stopping uses a validation split whose labels are as noisy as the training ones.

Axes: seed (split, noise, initial weights), noise (share of wrong labels), width (channels of the first convolution), epoch.
Deviations: gray pictures of 8 x 8 or 28 x 28 pixels, few of them, in place of color photographs; two or three convolutions
with steps of two pixels in place of pooling; no batch normalization, residual connections or data augmentation.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor, nn
from torch.nn.utils import skip_init

from heldout.data import Samples, digits, fashion_mnist
from heldout.data.digit_task import CLASSES
from heldout.devices import generator
from heldout.double_descent import convolutional_checks, noisy_sweep
from heldout.double_descent.convolutional_checks import CLAIMS
from heldout.double_descent.trained_networks import plot as plot_over_width
from heldout.ensemble import log_spaced_steps
from heldout.experiment import Progress, recorded, require

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "ConvolutionalNetwork", "describe", "numbers", "plot", "run"]

DATA = {"digits": (1797, 0), "fashion-mnist": (60_000, 10_000)}  # pictures to learn from, and a test set of its own
TICKS = (1, 2, 3, 4, 5, 7, 10, 16, 25, 36)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the sweep. The digits of one seed are split into training, validation and test."""

    data: str = "digits"
    num_train: int = 300
    num_validation: int = 200
    num_test: int = 1200
    layers: int = 2  # convolutions
    widths: tuple[int, ...] = (1, 2, 3, 4, 5, 7, 10, 16)  # channels of the first convolution
    noises: tuple[float, ...] = (0.0, 0.2)  # share of labels moved to another class, uniformly
    steps: int = 960  # updates
    probes: int = 14  # epochs, evenly spaced in their logarithm, at which the errors are recorded
    learning_rate: float = 8e-3
    batch_size: int = 50
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        noisy_sweep.require_sweep(self)
        require(self.data in DATA, "data", self.data, f"one of {', '.join(DATA)}")
        pool, apart = DATA[self.data]
        used = self.num_train + self.num_validation + (0 if apart else self.num_test)
        require(50 <= self.num_test <= (apart or pool), "num_test", self.num_test, f"50 to {apart or pool}")
        require(used <= pool, "num_train + num_validation + num_test", used, f"at most the {pool:,} pictures")
        require(1 <= self.layers <= 3, "layers", self.layers, "1 to 3")
        require(self.steps >= 2, "steps", self.steps, "at least 2")
        require(self.probes >= 2, "probes", self.probes, "at least 2")


SMOKE = Config(
    num_train=100, num_validation=50, num_test=300, widths=(1, 3, 8), steps=80, probes=5, num_seeds=2, first_seed=0
)
BOOK = Config()
PAPER = Config(
    data="fashion-mnist",
    num_train=2000,
    num_validation=500,
    num_test=1500,
    layers=3,
    widths=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 21, 25, 30, 36),
    steps=8000,
    probes=30,
    learning_rate=3e-3,
    batch_size=100,
)


class ConvolutionalNetwork(nn.Module):
    """3 x 3 convolutions of w, 2w, ... channels with steps of two pixels, ReLU, a mean over places, a linear map.

    Weights and biases start uniform in +-1 / sqrt(fan_in), PyTorch's own default for both kinds of layer.

    Args:
        side: pixels along an edge of the square picture.
        width: channels of the first convolution.
        layers: convolutions.
        generator: draws the initial weights.
    """

    def __init__(self, side: int, width: int, layers: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.side = side
        channels = [1, *(width * 2**layer for layer in range(layers))]
        self.convolutions = nn.ModuleList(
            skip_init(nn.Conv2d, fan_in, fan_out, 3, stride=2, padding=1)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            for fan_in, fan_out in itertools.pairwise(channels)
        )
        self.read_out = skip_init(nn.Linear, channels[-1], CLASSES)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        with torch.no_grad():
            for layer in (*self.convolutions, self.read_out):
                bound = 1 / math.sqrt(layer.weight[0].numel())
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.uniform_(-bound, bound, generator=generator)

    def forward(self, x: Float[Tensor, "batch pixels"]) -> Float[Tensor, "batch classes"]:
        """Outputs before any softmax."""
        x = x.reshape(-1, 1, self.side, self.side)
        for convolution in self.convolutions:
            x = convolution(x).relu()
        return self.read_out(x.mean((-2, -1)))  # type: ignore[no-any-return]  # a submodule is typed as Module


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every width and noise on every seed, all at once.

    Returns:
        train_error (on the labels as given, wrong ones included), validation_error (labels as noisy), test_error (clean
        labels), all shares misclassified, and train_loss in nats, all (seed, noise, width, epoch); and parameters (width).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    inputs, labels = sample(config, seeds)
    side = math.isqrt(inputs.shape[-1])

    def network(seed: int, width: int) -> ConvolutionalNetwork:
        source = generator("convolutional", "weights", seed, width)
        return ConvolutionalNetwork(side, width, config.layers, generator=source)

    per_epoch = config.num_train // config.batch_size
    looks = {epoch * per_epoch for epoch in log_spaced_steps(config.steps // per_epoch, config.probes)} - {0}
    probe_steps = sorted(looks | {config.steps})
    found = noisy_sweep.trained(
        network, config, inputs, labels, steps=config.steps, probe_steps=probe_steps, device=device, progress=progress
    )
    epochs = [step / per_epoch for step in probe_steps]
    parameters = [sum(p.numel() for p in network(0, width).parameters()) for width in config.widths]
    result = noisy_sweep.dataset(
        config, found, epochs, parameters, pictures="pictures", width="channels of the first convolution"
    )
    return result.assign_attrs(num_test=config.num_test)


def sample(config: Config, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Pictures (seed, picture, pixel): training, validation, test; labels (seed, noise, picture), the test's all correct."""
    used = config.num_train + config.num_validation
    drawn = [
        noisy_sweep.prepared(
            pictures(config.data, seed, used, config.num_test),
            config.noises,
            config.num_train,
            used,
            "convolutional",
            seed,
        )
        for seed in seeds
    ]
    return torch.stack([inputs for inputs, _ in drawn]), torch.stack([labels for _, labels in drawn])


def pictures(data: str, seed: int, used: int, num_test: int) -> Samples:
    """``used`` pictures to learn from, then ``num_test`` others: of clothes, from the canonical test set.

    Raises:
        DataError: the pictures of clothes were not fetched.
    """
    if data == "digits":
        return digits.load(seed)[: used + num_test]
    pool, test = fashion_mnist.full()
    chosen, held_out = pool.shuffled(data, seed)[:used], test[:num_test]
    return Samples(torch.cat([chosen.x, held_out.x]), torch.cat([chosen.y, held_out.y]))


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error after training against channels: noisy labels, the same stopped early, correct labels; training error dashed."""
    ax = plot_over_width(result, ax)
    ax.set(xlabel="channels of the first convolution (log scale)", ylim=(0, 0.7))
    inside = [tick for tick in TICKS if result.width[0] <= tick <= result.width[-1]]
    ax.set_xticks(inside, [str(tick) for tick in inside])
    ax.minorticks_off()
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=2, fontsize=9)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, rises of the mean over seeds."""
    return convolutional_checks.numbers(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Share of test pictures misclassified against the channels of the first convolution, on a log scale. With "
        f"{n['noise']:.0%} wrong labels it falls to {n['valley']:.2f} at {n['valley_width']} channels, stands at {n['peak']:.2f} "
        f"at {n['peak_width']} and ends at {n['end']:.2f} at {n['last_width']}; from {n['fit_width']:.0f} channels on networks "
        f"fit their labels. Stopped early, it ends at {n['stopped_end']:.2f}; without wrong labels at {n['clean_end']:.3f}."
    )
