"""The U-shaped curve and what comes after it, in three polynomial bases.

Least squares on the first ``p`` basis functions, n samples in [-1, 1]; for p > n the interpolant of minimum norm in that basis.
One function space and zero training error, but the basis decides which norm is small, and with it whether the error comes
down again. After Schaeffer et al. 2023 (arXiv 2303.14151), who use Legendre polynomials.

Axes: seed, basis, feature_count (p, the number of basis functions).
Deviations: the constant is among the basis functions; the inputs are drawn once a seed and shared by all p and bases.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style

BASES = ("monomial", "legendre", "weighted_legendre")
TARGETS = ("sine", "runge")
NAMES = {"monomial": "monomials", "legendre": "Legendre", "weighted_legendre": "Legendre / (k + 1)"}
COLORS = (style.VERMILION, style.BLUE, style.GREEN)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and noise of the polynomial sweep."""

    num_train: int = 15
    feature_counts: tuple[int, ...] = (
        1,
        2,
        3,
        4,
        5,
        6,
        8,
        10,
        12,
        13,
        14,
        15,
        16,
        17,
        18,
        20,
        24,
        30,
        40,
        60,
        100,
        200,
    )
    target: str = "runge"
    noise_std: float = 0.05  # standard deviation of the training targets' noise, in units of the target
    num_test: int = 500
    relative_cutoff: float = 1e-13  # singular values below this share of the largest count as zero
    num_seeds: int = 50
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.num_train >= 2, "num_train", self.num_train, "at least 2")
        sizes = self.feature_counts or (0,)
        require(min(sizes) >= 1 and max(sizes) <= 1000, "feature_counts", self.feature_counts, "counts from 1 to 1000")
        require(self.target in TARGETS, "target", self.target, f"one of {', '.join(TARGETS)}")
        places = set(self.feature_counts)
        around = min(places) < self.num_train and self.num_train in places
        require(
            around, "feature_counts", self.feature_counts, f"counts with num_train={self.num_train} and a smaller one"
        )
        require(0 <= self.noise_std < float("inf"), "noise_std", self.noise_std, "0 or more, and finite")
        require(self.num_test >= 2, "num_test", self.num_test, "at least 2")
        require(0 < self.relative_cutoff < 1, "relative_cutoff", self.relative_cutoff, "between 0 and 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(feature_counts=(4, 15, 60), num_seeds=6, first_seed=0)
BOOK = Config(first_seed=300)  # 100 to 299 were seen before the bounds were written
PAPER = Config(feature_counts=(*range(1, 41), 44, 50, 60, 80, 100, 140, 200), num_seeds=200, first_seed=300)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Fit every basis and feature count on every seed.

    Returns:
        test_mse, train_mse (seed, basis, feature_count), in squared units of the target; coefficient_norm, the Euclidean
        norm of the coefficients in their own basis; and, for the first seed, train_x, train_y (sample) and the fitted
        functions fit (basis, feature_count, x) beside the truth (x).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    x_SN, y_SN = (torch.stack(column).to(device) for column in zip(*(sample(config, s) for s in seeds), strict=True))
    test_x = torch.linspace(-1, 1, config.num_test, dtype=torch.float64, device=device)
    test_y = target(config.target, test_x)
    drawn = slice(None, None, max(1, config.num_test // 200))
    fit = np.empty((len(BASES), len(config.feature_counts), len(test_x[drawn])))
    shape = (len(seeds), len(BASES), len(config.feature_counts))
    test_mse, train_mse, norm = np.empty(shape), np.empty(shape), np.empty(shape)
    for b, basis in enumerate(BASES):
        train_all, test_all = (features(basis, x, max(config.feature_counts)) for x in (x_SN, test_x))
        for k, count in enumerate(config.feature_counts):
            weights_SP = minimum_norm(train_all[..., :count], y_SN, config.relative_cutoff)
            residual = (train_all[..., :count] @ weights_SP[..., None]).squeeze(-1) - y_SN
            predicted = weights_SP @ test_all[:, :count].T
            error = predicted - test_y
            fit[b, k] = predicted[0, drawn].cpu()
            test_mse[:, b, k] = error.square().mean(-1).cpu()
            train_mse[:, b, k] = residual.square().mean(-1).cpu()
            norm[:, b, k] = weights_SP.norm(dim=-1).cpu()
            progress(b * len(config.feature_counts) + k + 1, len(BASES) * len(config.feature_counts))
    dims, units, squared = ("seed", "basis", "feature_count"), "units of the target", "squared units of the target"
    return xr.Dataset(
        {
            "test_mse": variable(dims, test_mse, "test mean squared error", squared),
            "train_mse": variable(dims, train_mse, "training mean squared error", squared),
            "coefficient_norm": variable(dims, norm, "norm of the coefficients"),
            "fit": variable((*dims[1:], "x"), fit, "fitted function, first seed", units),
            "truth": variable("x", test_y[drawn], "true function", units),
            "train_x": variable("sample", x_SN[0], "training inputs, first seed"),
            "train_y": variable("sample", y_SN[0], "training targets, first seed", units),
        },
        {
            "seed": seeds,
            "basis": list(BASES),
            "x": variable("x", test_x[drawn], "input"),
            "feature_count": variable("feature_count", config.feature_counts, "basis functions p"),
        },
        {"num_train": config.num_train},
    )


def sample(config: Config, seed: int) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Training inputs, uniform in [-1, 1], and noisy targets of one seed (float64, CPU)."""
    draw = generator("polynomials", config.target, seed)
    x = torch.rand(config.num_train, generator=draw, dtype=torch.float64) * 2 - 1
    noise = torch.randn(config.num_train, generator=draw, dtype=torch.float64)
    return x, target(config.target, x) + config.noise_std * noise


def target(name: str, x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """The true function: ``runge`` is 1/(1 + 25 x^2), ``sine`` is sin(2 pi x)."""
    return 1 / (1 + 25 * x**2) if name == "runge" else torch.sin(2 * torch.pi * x)


def features(basis: str, x: Float[Tensor, "*batch n"], count: int) -> Float[Tensor, "*batch n count"]:
    """The first ``count`` basis functions at ``x``: monomials, Legendre P_k, or Legendre P_k / (k + 1).

    The weights 1 / (k + 1) make the minimum-norm interpolant prefer low degrees. P_k by Bonnet's recursion.
    """
    if basis == "monomial":
        return torch.stack([x**k for k in range(count)], dim=-1)
    columns = [torch.ones_like(x), x]
    for k in range(1, count - 1):
        columns.append(((2 * k + 1) * x * columns[k] - k * columns[k - 1]) / (k + 1))
    weight = torch.arange(1, count + 1, dtype=x.dtype, device=x.device) if basis == "weighted_legendre" else 1
    return torch.stack(columns[:count], dim=-1) / weight


def minimum_norm(
    design: Float[Tensor, "batch n p"], y: Float[Tensor, "batch n"], relative_cutoff: float
) -> Float[Tensor, "batch p"]:
    """Least squares, and among its solutions the one of smallest norm, by the singular value decomposition."""
    left, values, right = torch.linalg.svd(design, full_matrices=False)
    kept = values > relative_cutoff * values[..., :1]
    inverse = torch.where(kept, 1 / values.clamp(min=torch.finfo(values.dtype).tiny), 0.0)
    weights: Tensor = right.mT @ (inverse * (left.mT @ y[..., None]).squeeze(-1))[..., None]
    return weights.squeeze(-1)


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error against the number of basis functions, one line a basis, with the central 80 % of seeds as a band."""
    ax = style.axes(ax)
    x = result.feature_count.values
    for basis, color in zip(BASES, COLORS, strict=True):
        style.band(ax, x, result.test_mse.sel(basis=basis).values, color=color, label=NAMES[basis])
    style.mark_threshold(ax, int(result.num_train), "p = n")
    ax.set(
        xscale="log", yscale="log", xlabel="basis functions p (log scale)", ylabel="test mean squared error (log scale)"
    )
    ax.legend(loc="upper left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: valley, peak and last error of each basis (median over seeds)."""
    found: dict[str, float | int | str] = {"n": int(result.num_train), "seeds": result.sizes["seed"]}
    for basis in BASES:
        curve = result.test_mse.sel(basis=basis).median("seed")
        before = curve.where(curve.feature_count < result.num_train, drop=True)
        found |= {
            f"{basis}_valley": float(before.min()),
            f"{basis}_valley_p": int(before.idxmin()),
            f"{basis}_peak": float(curve.max()),
            f"{basis}_peak_p": int(curve.idxmax()),
            f"{basis}_end": float(curve[-1]),
        }
    found["last_p"] = int(result.feature_count[-1])
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Test error against the number of basis functions, both on log scales. In all three bases it falls to a valley near "
        f"{n['legendre_valley_p']} and then rises steeply to {n['n']} training points. Beyond, Legendre comes down to "
        f"{n['legendre_end']:.2g} and weighted Legendre to {n['weighted_legendre_end']:.2g} at {n['last_p']} functions; the "
        f"monomials stay at {n['monomial_end']:.2g}."
    )


def plot_norm(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Norm of the coefficients against the number of basis functions."""
    ax = style.axes(ax)
    for basis, color in zip(BASES, COLORS, strict=True):
        values = result.coefficient_norm.sel(basis=basis).values
        style.band(ax, result.feature_count.values, values, color=color, label=NAMES[basis])
    style.mark_threshold(ax, int(result.num_train), "p = n")
    ax.set(xscale="log", yscale="log", xlabel="basis functions p (log scale)", ylabel="coefficient norm (log scale)")
    ax.legend(loc="upper left")
    return ax


def _end_over(result: xr.Dataset, basis: str, reference: str) -> xr.DataArray:
    """Per seed, the last error over the error at the threshold, or over the lowest error before it."""
    curve = result.test_mse.sel(basis=basis)
    before = curve.where(curve.feature_count < result.num_train)
    ratio: xr.DataArray = curve.isel(feature_count=-1) / (
        curve.sel(feature_count=result.num_train) if reference == "threshold" else before.min("feature_count")
    )
    return ratio


def _peak_place(result: xr.Dataset) -> Evidence:
    """Per seed, how far from p = n the Legendre error is largest, as a share of n."""
    place = result.test_mse.sel(basis="legendre").idxmax("feature_count")
    return across_seeds(abs(place / result.num_train - 1), below=0.07, share=0.9)


def _interpolates(result: xr.Dataset) -> Evidence:
    """The manipulation check: at the largest p every basis still fits the training points."""
    return across_seeds(result.train_mse.isel(feature_count=-1).max("basis"), below=1e-8)


def _exchange(basis: str) -> Callable[[xr.Dataset], xr.Dataset]:
    """The same interpolation problems, every basis (and so every norm) exchanged for one."""

    def change(result: xr.Dataset) -> xr.Dataset:
        return result.sel(basis=[basis] * len(BASES)).assign_coords(basis=list(BASES))

    return change


_MONOMIAL_NORM = Control(says="minimum norm in the monomials", change=_exchange("monomial"), manipulation=_interpolates)

CLAIMS = (
    Claim(
        id="polynomials.second_descent",
        says="With Legendre polynomials the error falls at least a hundredfold from p = n to the largest p.",
        rows=("S0.6", "S2.3"),
        source="Schaeffer et al. 2023, arXiv 2303.14151, polynomial regression",
        check=lambda result: across_seeds(_end_over(result, "legendre", "threshold"), below=0.01, share=0.9),
        control=_MONOMIAL_NORM,
    ),
    Claim(
        id="polynomials.monomials_stay",
        says="With monomials it does not come down: at the largest p it is more than a hundred times the valley's.",
        rows=("S0.2", "S0.6"),
        source="this book",
        check=lambda result: across_seeds(_end_over(result, "monomial", "valley"), above=100, share=0.9),
        control=Control(
            says="the interpolant of minimum norm in the Legendre basis",
            change=_exchange("legendre"),
            manipulation=_interpolates,
        ),
    ),
    Claim(
        id="polynomials.end_below_valley",
        says="With smoothness weights the largest model beats the best small one in more than half of the seeds.",
        rows=("S2.3",),
        source="this book",
        check=lambda result: across_seeds(_end_over(result, "weighted_legendre", "valley"), below=1, share=0.51),
        control=_MONOMIAL_NORM,
    ),
    Claim(
        id="polynomials.peak_at_n",
        says="The Legendre error is largest where the number of functions equals the number of points, give or take one.",
        rows=("S0.6", "S0.7"),
        source="Schaeffer et al. 2023, arXiv 2303.14151",
        check=_peak_place,
        control=_MONOMIAL_NORM,
    ),
)
