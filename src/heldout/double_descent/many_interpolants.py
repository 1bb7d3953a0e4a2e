"""One interpolant at the threshold, then many, some good and some bad.

Random Fourier features on real digits, as in :mod:`random_features`. With N = n features there is one weight matrix that fits
the n training digits. With more, the fits form a plane: the interpolant of smallest norm plus anything in the null space of
the design. Here are its members with a random null-space part, k times as large in norm as the smallest, and one fitted on
purpose to wrong labels on further digits as well. Source text 0, row S0.7; the adversarial fit is this book's.

Axes: seed, feature_count (N), norm_factor (k). All errors are shares of test digits classified wrongly.
Deviations: none from a paper; n = 300 so that many N and k are quick.
"""

from dataclasses import dataclass

import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.data.digit_task import check_sizes
from heldout.double_descent import interpolant_fits as fits
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the sweep. Ratios are feature counts over ``num_train``."""

    digits: str = "bundled"  # "bundled": 5,000 digits; "full": all of MNIST, fetched beforehand
    num_train: int = 300
    num_extra: int = 600  # further digits, to which the adversarial interpolant gives wrong labels
    num_test: int = 1000
    ratios: tuple[float, ...] = (1.0, 1.02, 1.1, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)
    norm_factors: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
    num_draws: int = 5  # random interpolants of each norm
    num_seeds: int = 10
    first_seed: int = 100

    def __post_init__(self) -> None:
        check_sizes(self.digits, self.num_train, self.num_extra, self.num_test)
        require(self.ratios[:1] == (1.0,), "ratios", self.ratios, "ratios that begin with the threshold 1.0")
        require(list(self.ratios) == sorted(set(self.ratios)), "ratios", self.ratios, "increasing")
        largest = self.num_train + max(self.num_test, self.num_extra)
        enough = self.counts()[-1] > largest
        require(enough, "ratios", self.ratios, f"ratios whose last gives more than {largest} features")
        require(self.norm_factors[:1] == (1.0,), "norm_factors", self.norm_factors, "factors that begin with 1.0")
        require(
            list(self.norm_factors) == sorted(set(self.norm_factors)), "norm_factors", self.norm_factors, "increasing"
        )
        require(self.num_draws >= 1, "num_draws", self.num_draws, "at least 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")

    def counts(self) -> list[int]:
        """Feature counts at the ratios."""
        return [round(ratio * self.num_train) for ratio in self.ratios]


SMOKE = Config(
    num_train=60,
    num_extra=60,
    num_test=200,
    ratios=(1.0, 2.0, 10.0),
    norm_factors=(1.0, 2.0, 8.0),
    num_seeds=5,
    first_seed=0,
)
BOOK = Config()
PAPER = Config(digits="full", num_train=1000, num_extra=2000, num_test=5000, num_draws=10, num_seeds=20)


CURVE, SHEET = ("feature_count",), ("feature_count", "norm_factor")
VARIABLES: dict[str, tuple[tuple[str, ...], str]] = {
    "null_dimension": (CURVE, "directions of weight space that no training digit sees"),
    "condition_number": (CURVE, "largest over smallest singular value of the design"),
    "test_error": (SHEET, "share of test digits classified wrongly, mean over random interpolants"),
    "train_residual": (CURVE, "largest training residual of any of them"),
    "adversarial_error": (CURVE, "share of test digits wrong when wrong labels of extra digits are fitted too"),
    "adversarial_norm": (CURVE, "its norm over the smallest"),
    "adversarial_residual": (CURVE, "its largest residual on training and extra digits"),
    "informed_error": (CURVE, "share of test digits wrong when right labels of extra digits are fitted too"),
    "informed_norm": (CURVE, "its norm over the smallest"),
    "informed_residual": (CURVE, "its largest residual on training and extra digits"),
    "unseen_error": (("norm_factor",), "share of test digits wrong when the added part vanishes on them too"),
    "unseen_residual": ((), "its largest training residual"),
}


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Count the interpolants, draw some and build others, at every number of features and on every seed.

    Returns:
        The variables of ``VARIABLES``, each with seed as its first dimension. test_error is NaN for norm factors above 1 at
        N = n, where there is one interpolant; the adversarial and informed fits are NaN with fewer features than digits.

    Raises:
        DataError: the full MNIST is asked for and was not fetched.
    """
    seeds, counts = list(range(config.first_seed, config.first_seed + config.num_seeds)), config.counts()
    sizes, found = (config.num_train, config.num_extra, config.num_test), []
    for done, seed in enumerate(seeds):
        problem = fits.prepare(config.digits, sizes, counts[-1], seed, device)
        rows = []
        for count in counts:
            part = problem.first(count)
            drawn = fits.random_interpolants(part, config.num_draws, config.norm_factors)
            rows.append(fits.spectrum(part.design) | drawn | fits.fitted_along(part))
        by_count = {name: [row[name] for row in rows] for name in rows[0]}
        found.append(by_count | fits.unseen(problem, config.norm_factors))
        progress(done + 1, len(seeds))
    return xr.Dataset(
        {
            name: variable(("seed", *dims), [one[name] for one in found], says)
            for name, (dims, says) in VARIABLES.items()
        },
        {
            "seed": seeds,
            "feature_count": variable("feature_count", counts, "random features N"),
            "norm_factor": variable("norm_factor", config.norm_factors, "norm over the smallest"),
        },
        {"num_train": config.num_train, "num_extra": config.num_extra},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error against the norm of random interpolants, one line a number of features, and the adversarial fit."""
    ax = style.axes(ax)
    n, shown = int(result.num_train), result.feature_count.values[1:]
    chosen = [shown[round(i * (len(shown) - 1) / 3)] for i in range(4)] if len(shown) > 4 else list(shown)
    for count, color in zip(chosen, (style.VERMILION, style.ORANGE, style.GREEN, style.BLUE), strict=False):
        values = result.test_error.sel(feature_count=count).values
        style.band(ax, result.norm_factor.values, values, color=color, label=f"N = {count / n:.3g} n")
    last, label = result.isel(feature_count=-1), f"N = {shown[-1] / n:.3g} n, adversarial"
    ax.plot(last.adversarial_norm.values, last.adversarial_error.values, "x", color=style.PINK, label=label)
    ax.set(xlabel="norm of the weights over the smallest, k", ylabel="share of test digits wrong", ylim=(0, 1))
    ax.legend(loc="lower right", fontsize=9)
    return ax


def plot_threshold(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Condition number of the design against the number of features."""
    ax = style.axes(ax)
    x = result.feature_count.values / int(result.num_train)
    style.band(ax, x, result.condition_number.values, color=style.BLUE)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="features over digits, N / n (log scale)",
        ylabel="condition number (log scale)",
    )
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds."""
    middle = result.median("seed")
    at_n, last = middle.isel(feature_count=0), middle.isel(feature_count=-1)
    found: dict[str, float | int | str] = {
        "n": int(result.num_train),
        "extra": int(result.num_extra),
        "seeds": result.sizes["seed"],
        "last_count": int(last.feature_count),
        "null_at_n": int(at_n.null_dimension),
        "null_at_end": int(last.null_dimension),
        "condition_at_n": float(at_n.condition_number),
        "condition_at_end": float(last.condition_number),
        "error_at_n": float(at_n.test_error[0]),
        "largest_factor": float(result.norm_factor[-1]),
        "error_smallest": float(last.test_error[0]),
        "error_largest": float(last.test_error[-1]),
        "adversarial_error": float(last.adversarial_error),
        "adversarial_norm": float(last.adversarial_norm),
        "informed_error": float(last.informed_error),
        "informed_norm": float(last.informed_norm),
        "unseen_error": float(middle.unseen_error[-1]),
        "residual": float(
            max(result[name].max() for name in ("train_residual", "adversarial_residual", "unseen_residual"))
        ),
    }
    for factor in (2.0, 4.0):
        if factor in result.norm_factor:
            found[f"error_{factor:.0f}"] = float(last.test_error.sel(norm_factor=factor))
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Test error against the norm of random interpolants, from the smallest norm to {n['largest_factor']:g} times it. "
        f"All lines rise; with {n['last_count']} features from {n['error_smallest']:.2f} to {n['error_largest']:.2f}, with fewer "
        f"features faster. Crosses mark interpolants that also fit wrong labels: error {n['adversarial_error']:.2f} at only "
        f"{n['adversarial_norm']:.1f} times the smallest norm."
    )


def _unique(result: xr.Dataset) -> Evidence:
    return across_seeds(result.null_dimension.isel(feature_count=0), below=0.5)


def _error_grows(result: xr.Dataset) -> Evidence:
    """Smallest step in error from one norm to the next, at the largest N."""
    return across_seeds(result.test_error.isel(feature_count=-1).diff("norm_factor").min("norm_factor"), above=0.0)


def _adversarial_fails(result: xr.Dataset) -> Evidence:
    return across_seeds(result.adversarial_error.isel(feature_count=-1), above=0.5)


def _all_interpolate(result: xr.Dataset) -> Evidence:
    last = result.isel(feature_count=-1)
    names = ("train_residual", "adversarial_residual", "unseen_residual")
    return across_seeds(xr.concat([last[name] for name in names], "fit").max("fit"), below=1e-8)


def _last_count_first(result: xr.Dataset) -> xr.Dataset:
    """Ten times as many features in place of N = n."""
    return result.isel(feature_count=[-1])


def _added_part_unseen(result: xr.Dataset) -> xr.Dataset:
    """Norms as large, with the added part in the null space of the test digits too."""
    changed = result.copy(deep=True)
    changed.test_error[{"feature_count": -1}] = result.unseen_error
    return changed


def _right_labels(result: xr.Dataset) -> xr.Dataset:
    """The extra digits fitted as exactly, with their right labels."""
    return result.assign(adversarial_error=result.informed_error, adversarial_residual=result.informed_residual)


CLAIMS = (
    Claim(
        id="many_interpolants.unique_at_threshold",
        says="With as many features as training digits no direction of weight space is free: there is one interpolant.",
        rows=("S0.7",),
        source="this book; linear algebra, here counted",
        check=_unique,
        control=Control(says="ten times as many features", change=_last_count_first, manipulation=_all_interpolate),
    ),
    Claim(
        id="many_interpolants.error_grows_with_norm",
        says="At the largest N the test error of random interpolants rises with every step in their norm.",
        rows=("S0.7",),
        source="this book",
        check=_error_grows,
        control=Control(
            says="the same norms, the added part invisible on the test digits too",
            change=_added_part_unseen,
            manipulation=_all_interpolate,
        ),
    ),
    Claim(
        id="many_interpolants.adversarial",
        says="At the largest N an interpolant that also fits wrong labels of twice as many digits errs on over half of the test.",
        rows=("S0.7",),
        source="this book",
        check=_adversarial_fails,
        control=Control(
            says="the extra digits with their right labels", change=_right_labels, manipulation=_all_interpolate
        ),
    ),
)
