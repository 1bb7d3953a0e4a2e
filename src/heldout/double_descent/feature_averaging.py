"""Averaging models that share the data and differ only in their random features: how much of the peak is the draw's fault.

K independent draws of N random Fourier features, each fitted by least squares (minimum norm beyond N = n) to the same n digits;
their predictions are averaged. Over draws, E |mean of K - y|^2 = rest + variance / K: the variance of a single draw's
prediction is what averaging removes, and the rest (bias, and the variance due to the sample) is what it cannot. After
d'Ascoli, Refinetti, Biroli and Krzakala 2020 (arXiv 2003.01054) and Adlam and Pennington 2020 (arXiv 2011.03321).

Axes: seed (of the data), combine (mean or median over draws, of an even number the lower middle value), num_draws (K),
num_features (N).
Deviations: real digits and finite sizes where the papers take limits; at N = n itself a draw's variance need not be finite.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.data.digit_task import one_hot
from heldout.devices import derive_seed
from heldout.double_descent import fourier
from heldout.double_descent.effective_parameters import split
from heldout.experiment import Progress, recorded, require
from heldout.figures import style

COMBINE = ("mean", "median")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the sweep; ``feature_ratios`` are values of N / n and must include 0.9, 1 and 1.1."""

    num_train: int = 300
    num_test: int = 1000
    feature_ratios: tuple[float, ...] = (0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2, 3, 5)
    draw_counts: tuple[int, ...] = (1, 2, 5, 10, 20)  # K; the last is the number of draws that are made
    frequency_std: float = fourier.SCALE  # standard deviation of the random frequencies, for pixels in [0, 1]
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        ratios, draws = self.feature_ratios, self.draw_counts
        require(self.num_train >= 20, "num_train", self.num_train, "at least 20")
        require(self.num_test >= 2, "num_test", self.num_test, "at least 2")
        require(set(ratios) >= {0.9, 1, 1.1}, "feature_ratios", ratios, "a tuple with 0.9, 1 and 1.1")
        require(ratios == tuple(sorted(set(ratios))), "feature_ratios", ratios, "strictly increasing")
        require(ratios[0] * self.num_train >= 1, "feature_ratios", ratios, "at least 1 / num_train")
        require(
            draws[:1] == (1,) and len(draws) > 1, "draw_counts", draws, "a tuple of at least two that starts with 1"
        )
        require(draws == tuple(sorted(set(draws))), "draw_counts", draws, "strictly increasing")
        require(self.frequency_std > 0, "frequency_std", self.frequency_std, "above 0")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    num_train=100,
    num_test=200,
    feature_ratios=(0.2, 0.5, 0.9, 1, 1.1, 2, 5),
    draw_counts=(1, 5, 20),
    num_seeds=2,
    first_seed=0,
)
BOOK = Config()
PAPER = Config(num_train=2000, num_test=3000, draw_counts=(1, 2, 5, 10, 20, 50))


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Fit every draw at every feature count on every seed, and combine the draws.

    Returns:
        test_mse (mean over digits of the squared distance to the one-hot label) and test_error (share misclassified), both
        (seed, combine, num_draws, num_features); variance and rest (seed, num_features), the parts of test_mse; train_mse
        (seed, num_features), the largest over draws.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    counts = [round(ratio * config.num_train) for ratio in config.feature_ratios]
    shape = (len(seeds), len(COMBINE), len(config.draw_counts), len(counts))
    test_mse, test_error = np.empty(shape), np.empty(shape)
    variance, rest, train_mse = (np.empty((len(seeds), len(counts))) for _ in range(3))
    total = config.draw_counts[-1]
    for s, seed in enumerate(seeds):
        data = [part.to(device) for part in split(config.num_train, config.num_test, "feature averaging", seed)]
        labels, targets = data[3], one_hot(data[3])
        predicted = torch.empty(total, len(counts), *targets.shape, dtype=torch.float64, device=device)
        fitted = np.empty((total, len(counts)))
        for k in range(total):
            for c, (prediction, residual) in enumerate(members(config, data, counts, derive_seed(seed, k))):
                predicted[k, c], fitted[k, c] = prediction, residual
            progress(s * total + k + 1, len(seeds) * total)
        for i, draws in enumerate(config.draw_counts):
            for j, combined in enumerate((predicted[:draws].mean(0), predicted[:draws].median(0).values)):
                test_mse[s, j, i] = squared(combined - targets).cpu()
                test_error[s, j, i] = (combined.argmax(-1) != labels).double().mean(-1).cpu()
        variance[s] = predicted.var(0).sum(-1).mean(-1).cpu().numpy()
        rest[s] = squared(predicted - targets).mean(0).cpu().numpy() - variance[s]
        train_mse[s] = fitted.max(0)
    return _dataset(config, seeds, counts, test_mse, test_error, variance, rest, train_mse)


def members(
    config: Config, data: list[Tensor], counts: list[int], seed: int
) -> Iterator[tuple[Float[Tensor, "test classes"], float]]:
    """One draw's test predictions and training error at every feature count."""
    x, labels, test_x, _ = data
    targets = one_hot(labels)
    drawn = fourier.draw(counts[-1], seed, dimension=x.shape[1], scale=config.frequency_std)
    train, test = fourier.features(x, *drawn), fourier.features(test_x, *drawn)
    for count, weights in fourier.minimum_norm_path(train, targets, counts):
        yield test[:, :count] @ weights, float(squared(train[:, :count] @ weights - targets))


def squared(difference: Float[Tensor, "*any samples classes"]) -> Float[Tensor, "*any"]:
    """Mean over samples of the squared distance over classes."""
    return difference.square().sum(-1).mean(-1)


def _dataset(config: Config, seeds: list[int], counts: list[int], *found: np.ndarray) -> xr.Dataset:
    dims, short = ("seed", "combine", "num_draws", "num_features"), ("seed", "num_features")
    test_mse, test_error, variance, rest, train_mse = found
    return xr.Dataset(
        {
            "test_mse": (dims, test_mse, {"long_name": "test error (squared)", "units": "1"}),
            "test_error": (dims, test_error, {"long_name": "share of test digits misclassified", "units": "1"}),
            "variance": (short, variance, {"long_name": "variance over feature draws", "units": "1"}),
            "rest": (short, rest, {"long_name": "error of infinitely many draws", "units": "1"}),
            "train_mse": (short, train_mse, {"long_name": "training error (squared), worst draw", "units": "1"}),
        },
        {
            "seed": seeds,
            "combine": list(COMBINE),
            "num_draws": ("num_draws", list(config.draw_counts), {"long_name": "feature draws K", "units": "1"}),
            "num_features": ("num_features", counts, {"long_name": "random features N of each", "units": "1"}),
        },
        {"num_train": config.num_train},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error against N, one line for each number of averaged draws, the central 80 % of seeds as a band."""
    ax = style.axes(ax)
    x = result.num_features.values
    for k, color in zip(result.num_draws.values, (style.VERMILION, *style.COLORS[2:6], style.BLUE), strict=False):
        values = result.test_mse.sel(combine="mean", num_draws=k).values
        style.band(ax, x, values, color=color, label=f"K = {k}")
    style.mark_threshold(ax, int(result.num_train), "N = n")
    ax.set(xscale="log", yscale="log", xlabel="random features N of each draw (log scale)")
    ax.set_ylabel("test error, squared (log scale)")
    ax.legend(loc="upper right")
    return ax


def plot_parts(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The parts of one draw's error: its variance over draws and the rest, without N = n, where the first may be infinite."""
    ax = style.axes(ax)
    away = result.where(result.num_features != result.num_train, drop=True)
    x = away.num_features.values
    style.band(ax, x, away.variance.values, color=style.VERMILION, label="variance over feature draws")
    style.band(ax, x, away.rest.values, color=style.BLUE, label="rest: bias, and variance of the sample")
    style.mark_threshold(ax, int(result.num_train), "N = n")
    ax.set(
        xscale="log", yscale="log", xlabel="random features N (log scale)", ylabel="part of the test error (log scale)"
    )
    ax.set_ylim(bottom=0.02)
    ax.legend(loc="lower left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes (medians over seeds): errors just below, at and just above N = n for one draw and for all."""
    n, many = int(result.num_train), int(result.num_draws[-1])
    middle = result.median("seed")
    found: dict[str, float | int | str] = {"n": n, "K": many, "seeds": result.sizes["seed"]}
    found["last_N"] = int(result.num_features[-1])
    for name, share in (("below", 0.9), ("at", 1), ("above", 1.1)):
        here = middle.sel(num_features=round(share * n))
        for combine, k, label in (("mean", 1, "one"), ("mean", many, "many"), ("median", many, "median")):
            found[f"mse_{name}_{label}"] = float(here.test_mse.sel(combine=combine, num_draws=k))
            found[f"error_{name}_{label}"] = float(here.test_error.sel(combine=combine, num_draws=k))
        found |= {f"variance_{name}": float(here.variance), f"rest_{name}": float(here.rest)}
    last = middle.isel(num_features=-1)
    found |= {"variance_end": float(last.variance), "rest_end": float(last.rest)}
    for k, label in ((1, "one"), (many, "many")):
        found[f"error_end_{label}"] = float(last.test_error.sel(combine="mean", num_draws=k))
    at_n = result.test_mse.sel(combine="mean", num_features=n)
    found["mse_at_rises"] = int((at_n.sel(num_draws=many) > at_n.sel(num_draws=1)).sum())
    found["gain"] = float((1 / _reduction(result, 1.1)).median())
    found["variance_share_above"] = float(
        (result.variance / (result.variance + result.rest)).sel(num_features=round(1.1 * n)).median()
    )
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    m = numbers(result)
    return (
        f"Test error against the number of random features, both on log scales, for averages of 1 to {m['K']} feature draws. "
        f"One draw peaks at N = {m['n']}. With {m['K']} draws the sides of the peak are gone: at 1.1 n the error falls from "
        f"{m['mse_above_one']:.2g} to {m['mse_above_many']:.2g}. At N = n exactly a spike stays, {m['mse_at_many']:.2g}."
    )


def _reduction(result: xr.Dataset, share: float) -> xr.DataArray:
    """Per seed: error of the average of all draws over that of one, at N = share * n."""
    here = result.test_mse.sel(combine="mean", num_features=round(share * int(result.num_train)))
    return xr.DataArray(here.isel(num_draws=-1) / here.isel(num_draws=0))


def _sides_fall(result: xr.Dataset) -> Evidence:
    """The worse of the two sides, 0.9 n and 1.1 n."""
    return across_seeds(np.maximum(_reduction(result, 0.9), _reduction(result, 1.1)), below=1 / 3)


def _threshold_falls(result: xr.Dataset) -> Evidence:
    """At N = n: classification error of the average over that of a single draw."""
    here = result.test_error.sel(combine="mean", num_features=int(result.num_train))
    return across_seeds(here.isel(num_draws=-1) / here.isel(num_draws=0), below=0.5)


def _copies(result: xr.Dataset) -> xr.Dataset:
    """K copies of the first draw: an average of as many interpolants, without independent features."""
    return result.isel(num_draws=[0] * result.sizes["num_draws"]).assign_coords(num_draws=result.num_draws)


def _interpolates(result: xr.Dataset) -> Evidence:
    beyond = result.train_mse.where(result.num_features > result.num_train, drop=True)
    return across_seeds(beyond.max("num_features"), below=1e-8)


CLAIMS = (
    Claim(
        id="feature_averaging.sides",
        says="Averaging all feature draws cuts the squared test error at 0.9 n and at 1.1 n to less than a third.",
        rows=("S0.6", "S0.7"),
        source="d'Ascoli et al. 2020, arXiv 2003.01054, and Adlam & Pennington 2020, arXiv 2011.03321, abstracts",
        check=_sides_fall,
        control=Control(says="the average of K copies of one draw", change=_copies, manipulation=_interpolates),
    ),
    Claim(
        id="feature_averaging.threshold",
        says="At N = n exactly, averaging all draws halves the share of misclassified digits.",
        rows=("S0.6", "S0.7"),
        source="Adlam & Pennington 2020, arXiv 2011.03321, abstract: the divergence is eliminated by ensembles (in the limit)",
        check=_threshold_falls,
        control=Control(says="the average of K copies of one draw", change=_copies, manipulation=_interpolates),
        expected="not reproduced",
    ),
)
