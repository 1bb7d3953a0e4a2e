"""Test error on real digits as the number of random features passes the number of training digits.

Least squares on one-hot labels with the first N of one draw of random Fourier features; for N > n the interpolant of smallest
norm. After Belkin, Hsu, Ma and Mandal 2019 (arXiv 1812.11118), random Fourier features on MNIST.

Axes: seed (digits and features), noise (share of training labels replaced by another class), feature_count (N); for ridge
regression also ridge (lambda) and ridge_feature_count.
Deviations: real features cos(omega . x + b) in place of complex exponentials; BOOK has n = 1,000 where the paper has 10,000. Two
more fits of the same designs serve as controls: labels that a model of n/2 features can produce exactly (the teacher), and at
the largest N an interpolant of 8 times the smallest norm (inflated).
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.data.digit_task import check_sizes, replace_labels, split
from heldout.double_descent import fourier
from heldout.double_descent import random_feature_checks as checks
from heldout.double_descent.random_feature_fits import Problem, interpolants, ridge_models
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style

RATIOS = (
    0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.94, 0.96, 0.98, 0.99,
    1.0, 1.01, 1.02, 1.04, 1.06, 1.1, 1.15, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0,
)  # fmt: skip
RIDGE_RATIOS = (0.1, 0.2, 0.4, 0.6, 0.8, 0.96, 1.0, 1.04, 1.1, 1.4, 2.0, 4.0, 8.0)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the sweep. Ratios are feature counts over ``num_train``."""

    digits: str = "bundled"  # "bundled": 5,000 digits; "full": all of MNIST, fetched beforehand
    num_train: int = 1000
    num_validation: int = 500
    num_test: int = 1500
    ratios: tuple[float, ...] = RATIOS
    noise: tuple[float, ...] = (0.0, 0.2)
    ridge_ratios: tuple[float, ...] = RIDGE_RATIOS
    ridges: tuple[float, ...] = (1e-6, 10.0, 100.0, 1000.0, 10_000.0)
    num_seeds: int = 8
    first_seed: int = 100

    def __post_init__(self) -> None:
        check_sizes(self.digits, self.num_train, self.num_validation, self.num_test)
        for name in ("ratios", "ridge_ratios"):
            values = getattr(self, name)
            require(bool(values) and list(values) == sorted(set(values)), name, values, "increasing")
            require(values[0] > 0 and values[-1] <= 100, name, values, "above 0 and at most 100")
            require(1.0 in values, name, values, "ratios with the threshold 1.0 among them")
        require(self.ratios[-1] > fourier.GRAM_FROM, "ratios", self.ratios, "ratios that go beyond the threshold")
        require(self.ratios[0] <= 0.5, "ratios", self.ratios, "ratios that begin at 0.5 or below")
        require(all(0 <= share < 1 for share in self.noise), "noise", self.noise, "shares from 0 to below 1")
        require(0.0 in self.noise, "noise", self.noise, "shares with 0.0 among them")
        require(bool(self.ridges) and min(self.ridges) > 0, "ridges", self.ridges, "positive")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")

    def counts(self, ratios: tuple[float, ...]) -> list[int]:
        """Feature counts at these ratios, at least 1 and without repeats."""
        return sorted({max(1, round(ratio * self.num_train)) for ratio in ratios})


SMOKE = Config(num_train=100, num_validation=200, num_test=500, num_seeds=5, first_seed=0)
BOOK = Config()
PAPER = Config(
    digits="full", num_train=10_000, num_validation=5_000, num_test=10_000,
    ratios=tuple(ratio for ratio in RATIOS if ratio <= 6), ridge_ratios=(*RIDGE_RATIOS[:-1], 6.0),
    ridges=(1e-6, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0), num_seeds=5,
)  # fmt: skip

CURVE, SHEET = ("noise", "feature_count"), ("noise", "ridge_feature_count", "ridge")
VARIABLES: dict[str, tuple[tuple[str, ...], str]] = {
    "test_error": (CURVE, "share of test digits classified wrongly"),
    "test_mse": (CURVE, "test squared error, summed over the ten outputs"),
    "train_residual": (CURVE, "largest training residual"),
    "weight_norm": (CURVE, "Frobenius norm of the weights"),
    "teacher_mse": (("feature_count",), "test squared error against the teacher"),
    "teacher_residual": (("feature_count",), "largest training residual on the teacher's labels"),
    "inflated_error": ((), "test error of an interpolant of 8 times the smallest norm"),
    "inflated_residual": ((), "its largest training residual"),
    "ridge_test_error": (SHEET, "share of test digits classified wrongly"),
    "ridge_validation_error": (SHEET, "share of validation digits classified wrongly"),
    "ridge_train_error": (SHEET, "share of training digits classified wrongly"),
    "ridge_train_residual": (SHEET, "largest training residual"),
}


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Fit every feature count, noise level and ridge on every seed.

    Returns:
        The variables of ``VARIABLES``, each with seed as its first dimension.

    Raises:
        DataError: the full MNIST is asked for and was not fetched.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    counts, ridge_counts = config.counts(config.ratios), config.counts(config.ridge_ratios)
    found: list[dict[str, np.ndarray]] = []
    for done, seed in enumerate(seeds):
        problem = prepare(config, seed, counts[-1], device)
        found.append(interpolants(problem, counts))
        progress(2 * done + 1, 2 * len(seeds))
        found[-1] |= ridge_models(problem, ridge_counts, config.ridges)
        progress(2 * done + 2, 2 * len(seeds))
    return xr.Dataset(
        {
            name: variable(("seed", *dims), [one[name] for one in found], says)
            for name, (dims, says) in VARIABLES.items()
        },
        {
            "seed": seeds,
            "noise": variable("noise", config.noise, "share of labels replaced"),
            "feature_count": variable("feature_count", counts, "random features N"),
            "ridge_feature_count": variable("ridge_feature_count", ridge_counts, "random features N"),
            "ridge": variable("ridge", config.ridges, "ridge parameter lambda"),
        },
        {"num_train": config.num_train},
    )


def prepare(config: Config, seed: int, feature_count: int, device: torch.device) -> Problem:
    """Draw one seed's digits, label noise and features."""
    train, validation, test = split(config.digits, seed, config.num_train, config.num_validation, config.num_test)
    frequencies, phases = (part.to(device) for part in fourier.draw(feature_count, seed))
    design, held_out, tested = (
        fourier.features(s.x.to(device), frequencies, phases) for s in (train, validation, test)
    )
    labels, held_out_labels = (
        torch.stack([replace_labels(samples.y, share, name, seed) for share in config.noise], dim=1).to(device)
        for name, samples in (("train", train), ("validation", validation))
    )
    return Problem(seed, design, held_out, tested, labels, held_out_labels, test.y[:, None].to(device))


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error against the number of features, by label noise; dashed with a ridge tuned on validation digits."""
    ax = style.axes(ax)
    with_ridge = checks.tuned(result, "ridge_test_error")
    for noise, color in zip(result.noise.values, (style.BLUE, style.VERMILION, style.GREEN, style.PINK), strict=False):
        label = "labels as they are" if noise == 0 else f"{noise:.0%} of labels replaced"
        curve, smooth = result.test_error.sel(noise=noise), with_ridge.sel(noise=noise)
        style.band(ax, result.feature_count.values, curve.values, color=color, label=label)
        style.band(
            ax,
            result.ridge_feature_count.values,
            smooth.values,
            color=color,
            label="the same, tuned ridge",
            linestyle="dashed",
        )
    style.mark_threshold(ax, int(result.num_train), "N = n")
    ax.set(xscale="log", ylim=(0, 1), xlabel="random features N (log scale)", ylabel="share of test digits wrong")
    ax.legend(loc="upper left", fontsize=9)
    return ax


def plot_norm(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Norm of the weights against the number of features, by label noise."""
    ax = style.axes(ax)
    for noise, color in zip(result.noise.values, (style.BLUE, style.VERMILION, style.GREEN, style.PINK), strict=False):
        values = result.weight_norm.sel(noise=noise).values
        style.band(ax, result.feature_count.values, values, color=color, label=f"{noise:.0%} of labels replaced")
    style.mark_threshold(ax, int(result.num_train), "N = n")
    ax.set(xscale="log", yscale="log", xlabel="random features N (log scale)", ylabel="norm of the weights (log scale)")
    ax.legend(loc="upper left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes, by noise in percent: medians over seeds."""
    n, last = int(result.num_train), int(result.feature_count[-1])
    found: dict[str, float | int | str] = {
        "n": n,
        "seeds": result.sizes["seed"],
        "last_count": last,
        "last_ratio": last / n,
    }
    found["residual"] = float(result.train_residual.sel(feature_count=slice(n, None)).max())
    smooth, chosen = checks.tuned(result, "ridge_test_error"), result.ridge_validation_error.idxmin("ridge")
    for noise in result.noise.values:
        key, one = f"noise{100 * noise:.0f}", result.sel(noise=noise)
        curve, at_n = one.test_error.median("seed"), one.sel(feature_count=n)
        before = curve.where(curve.feature_count < n, drop=True)
        found |= {
            f"{key}_valley": float(before.min()),
            f"{key}_valley_count": int(before.idxmin()),
            f"{key}_peak": float(at_n.test_error.median()),
            f"{key}_end": float(curve[-1]),
            f"{key}_peak_mse": float(at_n.test_mse.median()),
            f"{key}_peak_mse_low": float(at_n.test_mse.min()),
            f"{key}_peak_mse_high": float(at_n.test_mse.max()),
            f"{key}_norm_peak": float(at_n.weight_norm.median()),
            f"{key}_norm_end": float(one.weight_norm.isel(feature_count=-1).median()),
            f"{key}_ridge_at_n": float(smooth.sel(noise=noise, ridge_feature_count=n).median()),
            f"{key}_ridge_end": float(smooth.sel(noise=noise).isel(ridge_feature_count=-1).median()),
            f"{key}_ridge": float(chosen.sel(noise=noise, ridge_feature_count=n).median()),
        }
    found["ridge_train_error"] = float(
        checks.tuned(result, "ridge_train_error").sel(noise=0, ridge_feature_count=n).median()
    )
    found["teacher_peak_mse"] = float(result.teacher_mse.sel(feature_count=n).median())
    found["inflated"] = float(result.inflated_error.median())
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n, replaced = numbers(result), ""
    for noise in result.noise.values[result.noise.values > 0]:
        end, valley = (float(n[f"noise{100 * noise:.0f}_{where}"]) for where in ("end", "valley"))
        side = "below" if end < valley else "above"
        replaced += f"With {noise:.0%} of the labels replaced it lies higher, peaks at the same place and "
        replaced += f"ends at {end:.2f}, {side} its valley of {valley:.2f}. "
    return (
        f"Share of test digits classified wrongly against the number of random features, on a log scale. It falls to "
        f"{n['noise0_valley']:.2f} at {n['noise0_valley_count']} features, rises to {n['noise0_peak']:.2f} at {n['n']}, as many "
        f"as training digits, and falls again to {n['noise0_end']:.3f} at {n['last_count']}. {replaced}With a tuned ridge, "
        "dashed, there is no peak."
    )


BELKIN = "Belkin et al. 2019, arXiv 1812.11118, random Fourier features on MNIST"
CLAIMS = (
    Claim(
        id="random_features.peak_at_n",
        says="The test error is largest where features equal training digits in number, within 3 %, at both noise levels.",
        rows=("S0.6", "S2.3"),
        source=BELKIN,
        paper_value="N = n",
        check=checks.peak_at_threshold,
        control=Control(
            says="a ridge tuned on validation digits",
            change=checks.by_tuned_ridge,
            manipulation=checks.ridge_fits_the_digits,
        ),
    ),
    Claim(
        id="random_features.second_descent",
        says="At the largest number of features the error lies below the lowest error before the peak, at both noise levels.",
        rows=("S0.6", "S2.3"),
        source=BELKIN,
        check=checks.end_below_valley,
        expected_at_paper="in part",
        control=Control(
            says="an interpolant of 8 times the smallest norm there",
            change=checks.inflated_at_the_end,
            manipulation=checks.interpolates,
        ),
    ),
    Claim(
        id="random_features.peak_without_noise",
        says="With every label correct, the squared error at N = n is still more than twice that at the largest N.",
        rows=("S0.6",),
        source="this book",
        check=checks.peaks_without_noise,
        control=Control(
            says="labels that n/2 of the features produce exactly",
            change=checks.labels_from_a_teacher,
            manipulation=checks.interpolates,
        ),
    ),
    Claim(
        id="random_features.ridge_removes_peak",
        says="At N = n a ridge tuned on validation digits brings the error below 0.35 of what it is without.",
        rows=("S0.6",),
        source="this book, after Nakkiran et al. 2021, arXiv 2003.01897",
        check=checks.ridge_removes,
        control=Control(
            says="the smallest ridge of the grid in its place",
            change=checks.smallest_ridge,
            manipulation=checks.ridge_fits_the_digits,
        ),
    ),
    Claim(
        id="random_features.interpolates",
        says="From N = n on every training label is met to within 1e-8, replaced labels too.",
        rows=("S0.6",),
        source=BELKIN,
        check=checks.interpolates,
        control=Control(
            says="a ridge tuned on validation digits",
            change=checks.by_tuned_ridge,
            manipulation=checks.ridge_fits_the_digits,
        ),
    ),
)
