"""One network, trained the same way, fits true labels, random labels and noise; only the error on new digits tells them apart.

The randomization tests of Zhang, Bengio, Hardt, Recht and Vinyals 2017 (arXiv 1611.03530, section 2): a growing share of the
labels replaced by random classes, pixels in one shuffled order, and pictures of Gaussian noise.

Axes: seed, condition (what was done to the training set), step (updates made).
Deviations: digits and a network with one hidden layer instead of CIFAR-10, ImageNet and convolutional networks; Adam instead
of stochastic gradient descent; a few hundred digits, so that everything fits; the test digits get the same shuffled order.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor
from torch.nn import functional

from heldout.claims import Claim, Control
from heldout.data import Samples, digit_task, mnist
from heldout.devices import generator
from heldout.ensemble import Snapshot, TrainingData, log_spaced_steps, train
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.interpolation import random_labels_checks as checks
from heldout.interpolation.random_labels_checks import NOISE, SHUFFLED
from heldout.losses import stable_cross_entropy
from heldout.networks import MLP

DAMAGES = ("random", "left_out")
FITTED = 0.01  # training error below which a run counts as fitted, for the number of steps


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the randomization tests."""

    digits: str = "bundled"
    num_train: int = 400
    num_test: int = 1500
    shrink: int = 2  # pictures are averaged over squares of this many pixels
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the labels
    damage: str = "random"  # or left_out: the digits in question are replaced by copies of the others
    hidden_size: int = 256
    steps: int = 800
    batch_size: int = 50
    learning_rate: float = 5e-3
    num_probes: int = 40
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        digit_task.check_sizes(self.digits, self.num_train, 1, self.num_test)
        require(self.shrink in (1, 2, 4, 7, 14), "shrink", self.shrink, "a divisor of 28 below it")
        require(self.damage in DAMAGES, "damage", self.damage, f"one of {', '.join(DAMAGES)}")
        inside = 0.0 in self.shares and all(0 <= share <= 1 for share in self.shares)
        require(inside, "shares", self.shares, "from 0 to 1, with 0 among them")
        require(list(self.shares) == sorted(set(self.shares)), "shares", self.shares, "increasing")
        rest = self.damage == "random" or max(self.shares) < 1
        require(rest, "shares", self.shares, "below 1 where digits are left out")
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(1 <= self.batch_size <= self.num_train, "batch_size", self.batch_size, "from 1 to num_train")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")

    @property
    def conditions(self) -> tuple[str, ...]:
        """The shares of random labels by name, then what is done to the pictures."""
        return (*(f"{share:.0%}" for share in self.shares), SHUFFLED, NOISE)


SMOKE = Config(num_train=60, num_test=100, shrink=4, shares=(0.0, 0.5), steps=150, hidden_size=64, batch_size=20, num_seeds=2,
               num_probes=12, first_seed=0)  # fmt: skip
BOOK = Config()
PAPER = Config(
    digits="full", num_train=1500, num_test=3000, shrink=1, steps=1600, batch_size=100, learning_rate=2e-3, num_probes=50,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train one network for each seed and condition, all from the seed's own initial weights.

    Returns:
        train_error, test_error (seed, condition, step): shares of wrong answers, against the labels the network was given
        and against the true ones; train_loss (seed, condition, step) in nats; steps_to_fit (seed, condition), the first
        probed step with a training error of at most 1 %, NaN where there is none.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    sets = [named for seed in seeds for named in conditions(config, seed)]
    members = [_network(config, seed) for seed in seeds for _ in config.conditions]
    x, y, test_x, test_y = (torch.stack(part).to(device) for part in zip(*sets, strict=True))

    def probe(snapshot: Snapshot) -> dict[str, Tensor]:
        outputs, asked = snapshot.predict(x, per_stream=True), snapshot.predict(test_x, per_stream=True)
        given, true = y[snapshot.members], test_y[snapshot.members]
        return {
            "train_error": (outputs.argmax(-1) != given).double().mean(1),
            "test_error": (asked.argmax(-1) != true).double().mean(1),
            "train_loss": stable_cross_entropy(outputs, given).mean(1),
        }

    history = train(
        members,
        TrainingData(inputs=x, targets=y, streams=range(len(x)), keys=[seed for seed in seeds for _ in config.conditions]),
        steps=config.steps, learning_rate=config.learning_rate, batch_size=config.batch_size, probe=probe,
        probe_steps=log_spaced_steps(config.steps, config.num_probes), device=device, progress=progress,
    )  # fmt: skip
    steps = np.array(history.steps)
    curves = {
        name: values.T.reshape(len(seeds), len(config.conditions), len(steps))
        for name, values in history.values.items()
    }
    fitted = curves["train_error"] <= FITTED
    first = np.where(fitted.any(-1), steps[fitted.argmax(-1)], np.nan)
    dims, error = ("seed", "condition", "step"), "share of wrong answers"
    return xr.Dataset(
        {
            "train_error": variable(dims, curves["train_error"], "training error, against the labels given", error),
            "test_error": variable(dims, curves["test_error"], "test error, against the true labels", error),
            "train_loss": variable(dims, curves["train_loss"], "training loss", "nats"),
            "steps_to_fit": variable(dims[:2], first, "first step with a training error of at most 1 %", "updates"),
        },
        {
            "seed": seeds,
            "condition": list(config.conditions),
            "step": variable("step", steps, "updates made", "updates"),
        },
        {"num_train": config.num_train},
    )


def _network(config: Config, seed: int) -> MLP:
    draw = generator("random labels network", seed, config.hidden_size)
    return MLP((mnist.SIDE // config.shrink) ** 2, (config.hidden_size,), digit_task.CLASSES, generator=draw)


def conditions(config: Config, seed: int) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Training inputs, labels, test inputs and true test labels of each condition, in the order of ``config.conditions``.

    Random labels are uniform over all ten classes, the true one included, as in the paper; a larger share replaces all that
    a smaller one does. With ``left_out``, the digits in question are replaced by copies of others, with their true labels.
    """
    shown, _, asked = digit_task.split(config.digits, seed, config.num_train, 1, config.num_test)
    draw = generator("randomization tests", seed)
    chance = torch.rand(config.num_train, generator=draw)
    classes = torch.randint(digit_task.CLASSES, (config.num_train,), generator=draw)
    x, test_x = _shrunk(shown, config.shrink), _shrunk(asked, config.shrink)
    order = torch.randperm(x.shape[1], generator=draw)
    noise, test_noise = (torch.randn(like.shape, generator=draw) * x.std() + x.mean() for like in (x, test_x))
    sets = []
    for share in config.shares:
        kept = chance >= share
        if config.damage == "random":
            sets.append((x, torch.where(kept, shown.y, classes), test_x, asked.y))
        else:
            rest = kept.nonzero().flatten()
            copies = rest[torch.randint(len(rest), (config.num_train,), generator=draw)]
            rows = torch.where(kept, torch.arange(config.num_train), copies)
            sets.append((x[rows], shown.y[rows], test_x, asked.y))
    return [*sets, (x[:, order], shown.y, test_x[:, order], asked.y), (noise, shown.y, test_noise, asked.y)]


def _shrunk(samples: Samples, factor: int) -> Float[Tensor, "samples pixels"]:
    images = samples.x.view(-1, 1, mnist.SIDE, mnist.SIDE)
    return functional.avg_pool2d(images, factor).flatten(1)


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Final training and test error of every condition: median mark, line over all seeds."""
    ax = style.axes(ax)
    places = np.arange(result.sizes["condition"])
    for name, label, marker, color in (
        ("train_error", "training error", "o", style.GREEN),
        ("test_error", "test error", "s", style.BLUE),
    ):
        last = result[name].isel(step=-1)
        ax.vlines(places, last.min("seed"), last.max("seed"), color=color, linewidth=3, alpha=0.4)
        ax.plot(places, last.median("seed"), marker, color=color, label=label)
    names = {SHUFFLED: "pixels\nshuffled", NOISE: "noise\npictures"}
    ax.set_xticks(places, [names.get(str(condition), str(condition)) for condition in result.condition.values])
    ax.set(xlabel="random labels, or what was done to the pictures", ylabel="share of wrong answers", ylim=(-0.04, 1.0))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: final errors and steps to fit, medians over seeds, by condition (percent signs left out)."""
    found: dict[str, float | int | str] = {"n": int(result.num_train), "seeds": result.sizes["seed"]}
    for condition in result.condition.values:
        mine, name = result.sel(condition=condition), str(condition).rstrip("%")
        found[f"train_{name}"] = float(mine.train_error.isel(step=-1).max())
        found[f"test_{name}"] = float(mine.test_error.isel(step=-1).median())
        found[f"lowest_{name}"] = float(mine.test_error.min("step").median())
        found[f"steps_{name}"] = float(mine.steps_to_fit.median())
    found["steps"] = int(result.step[-1])
    found["slower"] = float(checks.slowdown(result).median())
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    last = result.isel(step=-1)
    rows = "; ".join(f"{c}: {float(last.test_error.sel(condition=c).median()):.2f}" for c in result.condition.values)
    return (
        f"Training and test error after {int(result.step[-1])} updates, by condition. The largest training error of any run is "
        f"{float(last.train_error.max()):.3f}. Test errors: {rows}. They climb with the share of random labels to chance and "
        "stay low when only the pixels are shuffled."
    )


_LEFT_OUT = Control(
    says="as large shares, up to three quarters, replaced by copies of other digits with true labels, and half the updates",
    config=replace(BOOK, damage="left_out", shares=(0.0, 0.25, 0.5, 0.75), steps=400),
    manipulation=checks.all_fit,
)

CLAIMS = (
    Claim(
        id="random_labels.all_fit",
        says="One network with one recipe reaches zero training error on true labels, random labels, shuffled pixels and noise.",
        rows=("S0.1", "S0.2"),
        source="Zhang et al. 2017, arXiv 1611.03530, section 2",
        check=checks.all_fit,
        control=Control(
            says="the same recipe with too few hidden units",
            config=replace(BOOK, hidden_size=6),
            manipulation=checks.true_fit,
        ),
    ),
    Claim(
        id="random_labels.only_the_test_tells",
        says="At zero training error, random labels cost at least sixty points of test error.",
        rows=("S0.1", "S0.2"),
        source="Zhang et al. 2017, arXiv 1611.03530, section 2",
        check=checks.gap,
        control=_LEFT_OUT,
    ),
    Claim(
        id="random_labels.graded",
        says="Each further quarter of random labels, up to three quarters, costs at least five points of test error.",
        rows=("S0.2",),
        source="Zhang et al. 2017, arXiv 1611.03530, section 2",
        check=checks.steps_up,
        control=_LEFT_OUT,
    ),
    Claim(
        id="random_labels.slower",
        says="Random labels take at least one and a half times as many updates to fit as true ones.",
        rows=("S0.2",),
        source="Zhang et al. 2017, arXiv 1611.03530, introduction",
        paper_value="training time grows by a small constant factor",
        check=checks.slower,
        control=_LEFT_OUT,
    ),
)
