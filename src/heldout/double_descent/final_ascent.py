"""Does the error rise once more at large width when many labels are wrong? With a fixed ridge it does; the ridge decides.

Random ReLU features of real digits, a share of the training labels exchanged for wrong classes, ridge regression on one-hot
labels, test labels clean. Three ways to set the ridge as the width N grows: ``fixed``; ``proportional`` to N, which is the fixed
ridge on features divided by sqrt(N); ``tuned`` at each width on held-out clean digits that are not used again. After Xue,
Whitecross and Mirzasoleiman 2024 (arXiv 2208.08003), who report a final ascent of the test loss of random-feature regression and
of trained networks under a large ratio of label noise to sample size.

Axes: seed, noise (share of wrong labels), ridge_rule, width (N).
Deviations: the abstract is all of that paper we could read, so data, features and scaling are our own; nothing is trained.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.data import digits
from heldout.data.digit_task import CLASSES, one_hot
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require
from heldout.figures import style

RIDGE_RULES = ("fixed", "proportional", "tuned")
COLORS = {"fixed": style.VERMILION, "proportional": style.BLUE, "tuned": style.GREEN}
NAMES = {"fixed": "fixed ridge", "proportional": "ridge proportional to N", "tuned": "ridge tuned at each N"}
REFERENCE_WIDTH = 100  # where the fixed and the proportional ridge agree


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the sweep; ``widths`` must include the reference width 100, ``noises`` must begin with 0."""

    num_train: int = 800
    num_validation: int = 400
    widths: tuple[int, ...] = (10, 20, 50, 100, 200, 400, 800, 1600, 3200, 6400)
    noises: tuple[float, ...] = (0, 0.2, 0.6)  # share of training labels moved to another class, uniformly
    ridge: float = 100.0  # for inputs of root-mean-square norm 1 and standard normal weights
    tuning: tuple[float, ...] = (
        1,
        3,
        10,
        30,
        100,
        300,
        1e3,
        3e3,
        1e4,
        3e4,
    )  # ridges that the tuned rule tries at each width
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        used = self.num_train + self.num_validation
        require(self.num_train >= 50, "num_train", self.num_train, "at least 50")
        require(self.num_validation >= 50, "num_validation", self.num_validation, "at least 50")
        require(used <= 1600, "num_train + num_validation", used, "at most 1600 of the 1,797 digits")
        require(REFERENCE_WIDTH in self.widths, "widths", self.widths, f"a tuple with {REFERENCE_WIDTH}")
        require(self.widths == tuple(sorted(set(self.widths))), "widths", self.widths, "strictly increasing")
        require(self.widths[0] >= 1, "widths", self.widths, "at least 1")
        require(len(self.noises) > 1 and self.noises[0] == 0, "noises", self.noises, "at least two shares, the first 0")
        require(all(0 <= share < 0.9 for share in self.noises), "noises", self.noises, "shares from 0 to below 0.9")
        require(self.ridge > 0, "ridge", self.ridge, "above 0")
        require(bool(self.tuning) and min(self.tuning) > 0, "tuning", self.tuning, "ridges above 0")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(num_train=200, widths=(20, 100, 200, 1000), num_seeds=2, first_seed=0)
BOOK = Config()
PAPER = Config(widths=(*BOOK.widths, 12_800, 25_600, 51_200, 102_400), num_seeds=20)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Fit every width, noise and ridge rule on every seed.

    Returns:
        test_mse, train_mse (mean over digits of the squared distance to the one-hot label; the training labels as given, wrong
        ones included), test_error (share misclassified) and ridge, all (seed, noise, ridge_rule, width).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    names = ("test_mse", "train_mse", "test_error", "ridge")
    shape = (len(seeds), len(config.noises), len(RIDGE_RULES), len(config.widths))
    found = {name: np.empty(shape) for name in names}
    for s, seed in enumerate(seeds):
        x, labels, clean = (part.to(device) for part in sample(config, seed))
        draw = generator("final_ascent", "weights", seed)
        weights = torch.randn(config.widths[-1], x.shape[1], generator=draw, dtype=torch.float64).to(device)
        kernel, done = torch.zeros(len(x), config.num_train, dtype=torch.float64, device=device), 0
        for w, width in enumerate(config.widths):
            features = (x @ weights[done:width].T).relu()
            kernel.addmm_(features, features[: config.num_train].T)
            done = width
            for (i, j), one in fits(config, kernel, labels, clean, width).items():
                for name in names:
                    found[name][s, i, j, w] = one[name]
            progress(s * len(config.widths) + w + 1, len(seeds) * len(config.widths))
    return _dataset(config, seeds, found)


def sample(config: Config, seed: int) -> tuple[Float[Tensor, "all pixels"], Tensor, Tensor]:
    """Centered digits (train, validation, test), training labels for every noise (noise, n), clean labels (all,)."""
    both = digits.load(0).shuffled("final ascent", seed)
    x, n = both.x.double(), config.num_train
    x = x - x[:n].mean(0)
    x = x / x[:n].square().sum(1).mean().sqrt()
    draw = generator("final_ascent", "labels", seed)
    order = torch.randperm(n, generator=draw)
    moved = (both.y[:n] + torch.randint(1, CLASSES, (n,), generator=draw)) % CLASSES
    labels = both.y[:n].repeat(len(config.noises), 1)
    for i, share in enumerate(config.noises):
        wrong = order[: round(share * n)]
        labels[i, wrong] = moved[wrong]
    return x, labels, both.y


def fits(
    config: Config, kernel: Float[Tensor, "all n"], labels: Tensor, clean: Tensor, width: int
) -> dict[tuple[int, int], dict[str, float]]:
    """Errors for every (noise, ridge rule) at one width, from one eigendecomposition of the kernel of its features."""
    n, held = config.num_train, config.num_train + config.num_validation
    values, vectors = torch.linalg.eigh(kernel[:n])
    values = values.clamp(min=0)
    basis = kernel @ vectors
    found = {}
    for i in range(len(config.noises)):
        targets = one_hot(labels[i]) - 1 / CLASSES
        scores = vectors.T @ targets

        def fit(ridge: float, scores: Tensor = scores, targets: Tensor = targets) -> tuple[float, dict[str, float]]:
            predicted = basis @ (scores / (values + ridge)[:, None])
            away = (predicted - one_hot(clean) + 1 / CLASSES).square().sum(1)
            return float(away[n:held].mean()), {
                "test_mse": float(away[held:].mean()),
                "train_mse": float((predicted[:n] - targets).square().sum(1).mean()),
                "test_error": float((predicted[held:].argmax(1) != clean[held:]).double().mean()),
                "ridge": ridge,
            }

        found[i, 0] = fit(config.ridge)[1]
        found[i, 1] = fit(config.ridge * width / REFERENCE_WIDTH)[1]
        found[i, 2] = min((fit(ridge) for ridge in config.tuning), key=lambda tried: tried[0])[1]
    return found


def _dataset(config: Config, seeds: list[int], found: dict[str, np.ndarray]) -> xr.Dataset:
    dims = ("seed", "noise", "ridge_rule", "width")
    words = {
        "test_mse": "test error (squared)",
        "train_mse": "training error (squared)",
        "test_error": "share of test digits misclassified",
        "ridge": "ridge",
    }
    return xr.Dataset(
        {name: (dims, found[name], {"long_name": words[name], "units": "1"}) for name in words},
        {
            "seed": seeds,
            "noise": ("noise", list(config.noises), {"long_name": "share of wrong training labels", "units": "1"}),
            "ridge_rule": list(RIDGE_RULES),
            "width": ("width", list(config.widths), {"long_name": "random ReLU features N", "units": "1"}),
        },
        {"num_train": config.num_train},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error against width under the heaviest noise, one line a ridge rule; the fixed ridge without noise dashed."""
    ax = style.axes(ax)
    x = result.width.values
    for rule, color in COLORS.items():
        values = result.test_mse.isel(noise=-1).sel(ridge_rule=rule).values
        style.band(ax, x, values, color=color, label=NAMES[rule])
    clean = result.test_mse.sel(noise=0, ridge_rule="fixed").values
    style.band(ax, x, clean, color=style.MUTED, label="fixed ridge, no wrong labels", linestyle=(0, (4, 3)))
    style.mark_threshold(ax, int(result.num_train), "N = n")
    ax.set(xscale="log", xlabel="random ReLU features N (log scale)", ylabel="test error, squared")
    ax.set_ylim(0, max(1.0, 1.1 * float(result.test_mse.isel(noise=-1).median("seed").max())))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=9)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes (medians over seeds), at the heaviest noise."""
    noisy = result.isel(noise=-1).median("seed")
    found: dict[str, float | int | str] = {
        "n": int(result.num_train),
        "noise": float(result.noise[-1]),
        "seeds": result.sizes["seed"],
        "last_width": int(result.width[-1]),
    }
    for rule in RIDGE_RULES:
        one = noisy.sel(ridge_rule=rule)
        found |= {
            f"{rule}_best": float(one.test_mse.min()),
            f"{rule}_best_width": int(one.test_mse.idxmin()),
            f"{rule}_end": float(one.test_mse[-1]),
            f"{rule}_error_best": float(one.test_error.min()),
            f"{rule}_error_best_width": int(one.test_error.idxmin()),
            f"{rule}_error_end": float(one.test_error[-1]),
        }
    found["tuned_ridge_end"] = float(noisy.ridge.sel(ridge_rule="tuned")[-1])
    quiet = result.sel(noise=0, ridge_rule="fixed").median("seed")
    found |= {"clean_end": float(quiet.test_mse[-1]), "clean_best_width": int(quiet.test_mse.idxmin())}
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    m = numbers(result)
    return (
        f"Test error against width, on a log scale, with {m['noise']:.0%} of the training labels wrong. With a fixed ridge it "
        f"falls to {m['fixed_best']:.2f} at width {m['fixed_best_width']} and then rises to {m['fixed_end']:.2f} at "
        f"{m['last_width']}. With a ridge proportional to the width it ends at {m['proportional_end']:.2f}, with a tuned one at "
        f"{m['tuned_end']:.2f}. Without wrong labels the fixed ridge falls to {m['clean_end']:.2f}."
    )


def _rise(result: xr.Dataset, rule: str) -> xr.DataArray:
    """Per seed, at the heaviest noise: error at the largest width over the least error of any width, minus 1."""
    curve = result.test_mse.isel(noise=-1).sel(ridge_rule=rule)
    return xr.DataArray(curve.isel(width=-1) / curve.min("width") - 1)


def _fits_better(result: xr.Dataset) -> Evidence:
    """The largest width fits its training labels at least as closely as the reference width."""
    fitted = result.train_mse.isel(noise=-1).sel(ridge_rule="fixed")
    return across_seeds(fitted.isel(width=-1) / fitted.sel(width=REFERENCE_WIDTH), below=1.0)


def _without_noise(result: xr.Dataset) -> xr.Dataset:
    return result.isel(noise=[0] * result.sizes["noise"]).assign_coords(noise=result.noise)


def _fixed_everywhere(result: xr.Dataset) -> xr.Dataset:
    return result.sel(ridge_rule=["fixed"] * len(RIDGE_RULES)).assign_coords(ridge_rule=list(RIDGE_RULES))


CLAIMS = (
    Claim(
        id="final_ascent.fixed_ridge",
        says="With a fixed ridge and 60 % wrong labels the largest width has an error 5 % or more above that of the best width.",
        rows=("S0.4", "S0.6"),
        source="Xue, Whitecross & Mirzasoleiman 2024, arXiv 2208.08003, abstract",
        check=lambda result: across_seeds(_rise(result, "fixed"), above=0.05),
        control=Control(says="no wrong labels", change=_without_noise, manipulation=_fits_better),
    ),
    Claim(
        id="final_ascent.proportional_ridge",
        says="With a ridge proportional to the width the rise is at most 2 %: the ascent is gone.",
        rows=("S0.4", "S0.6"),
        source="this book",
        check=lambda result: across_seeds(_rise(result, "proportional"), below=0.02),
        control=Control(says="the fixed ridge", change=_fixed_everywhere, manipulation=_fits_better),
    ),
)
