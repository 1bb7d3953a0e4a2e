"""More data hurts: the error of one model on real digits as its training set grows through the number of its features.

Least squares on a fixed number p of random Fourier features, of minimum norm where n < p, and ridge regression tuned on
validation digits. Nakkiran et al. 2020 (arXiv 1912.02292) call it sample-wise double descent, in deep networks; Nakkiran 2019
(arXiv 1912.07242) in linear regression.

Axes: estimator ("minimum_norm", "tuned_ridge"), seed (digits and features), train_count (n).
Deviations: random features and squared error on one-hot labels in place of trained networks.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.data import Samples
from heldout.data.digit_task import check_sizes, one_hot, split
from heldout.double_descent import fourier
from heldout.experiment import Progress, recorded, require
from heldout.figures import style

ESTIMATORS = ("minimum_norm", "tuned_ridge")
NAMES = {"minimum_norm": "least squares of minimum norm", "tuned_ridge": "ridge tuned on validation digits"}
NEAR = 0.03  # the peak counts as being at n = p when it lies within this share of p


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the sweep. Ratios are training-set sizes over ``num_features``."""

    digits: str = "bundled"  # "bundled": 5,000 digits; "full": all of MNIST, fetched beforehand
    num_features: int = 300
    ratios: tuple[float, ...] = (
        0.1,
        0.2,
        0.3,
        0.5,
        0.7,
        0.8,
        0.9,
        0.95,
        0.98,
        1.0,
        1.02,
        1.05,
        1.1,
        1.2,
        1.4,
        2.0,
        3.0,
        4.0,
    )
    ridges: tuple[float, ...] = (1.0, 10.0, 30.0, 100.0, 300.0)
    num_validation: int = 1000
    num_test: int = 2000
    num_seeds: int = 10
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.num_features >= 20, "num_features", self.num_features, "at least 20")
        require(list(self.ratios) == sorted(set(self.ratios)), "ratios", self.ratios, "increasing")
        require({0.5, 1.0} <= set(self.ratios), "ratios", self.ratios, "ratios with 0.5 and 1.0 among them")
        require(self.ratios[0] * self.num_features >= 1, "ratios", self.ratios, "ratios that give at least one sample")
        require(self.ratios[-1] >= 2, "ratios", self.ratios, "ratios that go to 2 or beyond")
        require(bool(self.ridges) and min(self.ridges) > 0, "ridges", self.ridges, "positive")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")
        check_sizes(self.digits, max(self.train_counts()), self.num_validation, self.num_test)

    def train_counts(self) -> list[int]:
        """Training-set sizes at the ratios."""
        return [round(ratio * self.num_features) for ratio in self.ratios]


SMOKE = Config(
    num_features=100, ratios=(0.2, 0.5, 0.9, 1.0, 1.1, 2.0, 4.0), ridges=(1.0, 10.0, 100.0),
    num_validation=300, num_test=600, num_seeds=5, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(digits="full", num_features=5000, num_validation=5000, num_test=10_000, num_seeds=5)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Fit both estimators on the first n digits of every seed, for every n.

    Returns:
        test_error (estimator, seed, train_count), the share of test digits classified wrongly; test_mse, the squared error summed
        over the ten outputs; train_mse, the same in training; ridge (seed, train_count), the one chosen on validation digits.
    """
    seeds, counts = range(config.first_seed, config.first_seed + config.num_seeds), config.train_counts()
    shape = (len(ESTIMATORS), len(seeds), len(counts))
    test_error, test_mse, train_mse = np.empty(shape), np.empty(shape), np.empty(shape)
    ridge = np.empty(shape[1:])
    for s, seed in enumerate(seeds):
        parts = split(config.digits, seed, max(counts), config.num_validation, config.num_test)
        frequencies, phases = fourier.draw(config.num_features, seed)
        train, validation, test = (Design.of(part, frequencies, phases, device) for part in parts)
        for i, n in enumerate(counts):
            first = Design(train.features[:n], train.targets[:n])
            chosen, weights = tuned_ridge(first, validation, config.ridges)
            ridge[s, i] = chosen
            for e, fitted in enumerate((minimum_norm(first), weights)):
                test_error[e, s, i], test_mse[e, s, i] = test.errors(fitted)
                train_mse[e, s, i] = first.errors(fitted)[1]
            progress(s * len(counts) + i + 1, len(seeds) * len(counts))
    dims = ("estimator", "seed", "train_count")
    summed = {"units": "squared error summed over ten outputs"}
    return xr.Dataset(
        {
            "test_error": (dims, test_error, {"long_name": "share of test digits classified wrongly", "units": "1"}),
            "test_mse": (dims, test_mse, {"long_name": "test squared error", **summed}),
            "train_mse": (dims, train_mse, {"long_name": "training squared error", **summed}),
            "ridge": (dims[1:], ridge, {"long_name": "ridge chosen", "units": "1"}),
        },
        {
            "estimator": list(ESTIMATORS),
            "seed": list(seeds),
            "train_count": ("train_count", counts, {"long_name": "training digits n", "units": "1"}),
        },
        {"num_features": config.num_features},
    )


@dataclass(frozen=True)
class Design:
    """Features of some digits and their one-hot labels."""

    features: Float[Tensor, "n p"]
    targets: Float[Tensor, "n classes"]

    @classmethod
    def of(cls, digits: Samples, frequencies: Tensor, phases: Tensor, device: torch.device) -> "Design":
        """The random features of ``digits``, on the device."""
        features = fourier.features(digits.x.to(device), frequencies, phases)
        return cls(features, one_hot(digits.y).to(device))

    def errors(self, weights: Float[Tensor, "p classes"]) -> tuple[float, float]:
        """Share classified wrongly, and squared error summed over the outputs."""
        outputs = self.features @ weights
        wrong = (outputs.argmax(1) != self.targets.argmax(1)).double().mean()
        return float(wrong), float((outputs - self.targets).square().sum(1).mean())


def minimum_norm(train: Design) -> Float[Tensor, "p classes"]:
    """Least squares, of smallest norm where it is not unique."""
    (_, weights), *_ = fourier.minimum_norm_path(train.features, train.targets, [train.features.shape[1]])
    return weights


def tuned_ridge(
    train: Design, validation: Design, ridges: tuple[float, ...]
) -> tuple[float, Float[Tensor, "p classes"]]:
    """The ridge that classifies the validation digits best (of equals the largest), and its weights."""
    (_, candidates), *_ = fourier.ridge_path(train.features, train.targets, [train.features.shape[1]], ridges)
    wrong = [validation.errors(weights)[0] for weights in candidates]
    best = min(range(len(ridges)), key=lambda k: (wrong[k], -ridges[k]))
    return ridges[best], candidates[best]


# --- reading a record ----------------------------------------------------------------------------------------------------


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error against the number of training digits, for both estimators, with the central 80 % of seeds as a band."""
    ax = style.axes(ax)
    for estimator, color in zip(ESTIMATORS, (style.VERMILION, style.BLUE), strict=True):
        values = result.test_error.sel(estimator=estimator).values
        style.band(ax, result.train_count.values, values, color=color, label=NAMES[estimator])
    style.mark_threshold(ax, int(result.attrs["num_features"]), "n = p")
    ax.set(xlabel="training digits n", ylabel="share of test digits wrong", ylim=(0, 1))
    ax.legend(loc="upper right")
    return ax


def _at(result: xr.Dataset, ratio: float, estimator: str = "minimum_norm") -> xr.DataArray:
    """Test error of every seed at the training-set size nearest to ``ratio`` times the number of features."""
    n = ratio * int(result.attrs["num_features"])
    errors: xr.DataArray = result.test_error.sel(estimator=estimator).sel(train_count=n, method="nearest")
    return errors


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: the errors at half as many digits as features, at as many, and at the end."""
    counts, p = result.train_count.values, int(result.attrs["num_features"])
    peak = result.test_error.sel(estimator="minimum_norm").median("seed").values
    after = [
        int(n) for n, error in zip(counts, peak, strict=True) if n > p and error < float(_at(result, 0.5).median())
    ]
    found: dict[str, float | int | str] = {
        "p": p,
        "seeds": result.sizes["seed"],
        "half_n": int(_at(result, 0.5).train_count),
        "last_n": int(counts[-1]),
        "regained_n": after[0] if after else "none of those tried",
    }
    for estimator in ESTIMATORS:
        for name, ratio in (("half", 0.5), ("at_p", 1.0), ("end", float(counts[-1]) / p)):
            found[f"{estimator}_{name}"] = float(_at(result, ratio, estimator).median())
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Share of test digits wrong against the number of training digits, with {n['p']} features. Least squares of minimum "
        f"norm goes from {n['minimum_norm_half']:.2f} at {n['half_n']} digits up to {n['minimum_norm_at_p']:.2f} at {n['p']} and "
        f"down to {n['minimum_norm_end']:.2f} at {n['last_n']}. Tuned ridge only falls, from {n['tuned_ridge_half']:.2f} over "
        f"{n['tuned_ridge_at_p']:.2f} to {n['tuned_ridge_end']:.2f}."
    )


def _peak_offset(result: xr.Dataset) -> xr.DataArray:
    """Per seed, distance from n = p of the largest test squared error, as a share of p."""
    place = result.test_mse.sel(estimator="minimum_norm").idxmax("train_count")
    offset: xr.DataArray = np.abs(place / int(result.attrs["num_features"]) - 1)
    return offset


def _ridge_shown_as_minimum_norm(result: xr.Dataset) -> xr.Dataset:
    altered = result.sel(estimator=["tuned_ridge", "tuned_ridge"]).assign_coords(estimator=list(ESTIMATORS))
    altered["untouched_end"] = result.test_error.sel(estimator="minimum_norm").isel(train_count=-1)
    return altered


def _as_good_with_many(result: xr.Dataset) -> Evidence:
    """The manipulation check: at the largest n the ridge model is as good as plain least squares, within a tenth."""
    ends = result.test_error.sel(estimator="tuned_ridge").isel(train_count=-1)
    worst = float((ends / result.untouched_end).max())
    return Evidence(value=worst, bound="< 1.1 times the error at the largest n", holds=worst < 1.1)


TUNED_RIDGE = Control(
    says="the same features and digits, with a ridge tuned on validation digits",
    change=_ridge_shown_as_minimum_norm,
    manipulation=_as_good_with_many,
)

CLAIMS = (
    Claim(
        id="sample_wise.more_data_hurts",
        says="With as many digits as features, more test digits are wrong than with half as many, in every seed.",
        rows=("S0.6", "S2.3"),
        source="Nakkiran 2019, arXiv 1912.07242; Nakkiran et al. 2020, arXiv 1912.02292, sample-wise",
        check=lambda result: across_seeds(_at(result, 1.0) / _at(result, 0.5), above=1.0),
        control=TUNED_RIDGE,
    ),
    Claim(
        id="sample_wise.peak",
        says="The test squared error is largest at n = p, give or take 3 %, in every seed.",
        rows=("S0.6",),
        source="Nakkiran 2019, arXiv 1912.07242",
        check=lambda result: across_seeds(_peak_offset(result), below=NEAR),
        control=TUNED_RIDGE,
    ),
)
