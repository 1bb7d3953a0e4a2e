"""How many points must be drawn before a fresh one falls inside their convex hull: exponentially many in the dimension.

n points and some queries, all standard normal in d dimensions; the share of queries inside the hull, by :mod:`heldout.hull`,
beside the exact probability for a query scaled by s (Kabluchko and Zaporozhets 2020, arXiv 1704.04968). At s = 0 it is
Wendel's: the center is inside with probability 1/2 when n = 2 d. At s = 1 half of the queries are inside when n is exp(d / 2)
up to powers of d, so that the dimension in which half are inside grows like 2 log n.

Axes: seed, num_train (n), dimension (d); exact_count is an n for which only the formula is evaluated.
Deviations: the points of all n and d of a seed are nested, so they share their noise; Balestriero et al. 2021 (arXiv 2110.09485)
draw each afresh and ask n for which a share of queries is inside.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from scipy.optimize import minimize_scalar
from scipy.special import erfc, gammaln, log_ndtr

from heldout import hull
from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style

EXACT_COUNTS = tuple(10**k for k in range(2, 13))
COLORS = (style.GREEN, style.VERMILION, style.BLUE, style.ORANGE, style.PINK, style.GOLD)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Numbers of points, dimensions, and how far from the center the queries are."""

    train_counts: tuple[int, ...] = (100, 1000, 10_000)
    dimensions: tuple[int, ...] = (2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 30)
    query_scale: float = 1.0  # queries are this times a standard normal point
    num_queries: int = 100
    num_seeds: int = 6
    first_seed: int = 200  # 100 to 109 were judged first, at ten seeds, which took too long

    def __post_init__(self) -> None:
        counts, dimensions = self.train_counts, self.dimensions
        require(len(counts) >= 2, "train_counts", counts, "at least two numbers")
        require(len(dimensions) >= 2, "dimensions", dimensions, "at least two numbers")
        for name, values in (("train_counts", counts), ("dimensions", dimensions)):
            require(values == tuple(sorted(set(values))) and values[0] >= 1, name, values, "increasing and positive")
        require(dimensions[-1] <= 70, "dimensions", dimensions, "at most 70, as far as the formula keeps its digits")
        require(counts[0] > dimensions[-1], "train_counts", counts, f"above the largest dimension, {dimensions[-1]}")
        require(0 <= self.query_scale <= 100, "query_scale", self.query_scale, "from 0 to 100")
        require(self.num_queries >= 1, "num_queries", self.num_queries, "at least 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(train_counts=(20, 200), dimensions=(2, 6, 10), num_queries=30, num_seeds=5, first_seed=0)
BOOK = Config()
PAPER = Config(
    train_counts=(100, 300, 1000, 3000, 10_000, 30_000),
    dimensions=(2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 30),
    num_queries=200,
    num_seeds=10,
    first_seed=100,
)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Draw the largest cloud of every seed and look at its first n points in the first d coordinates.

    Returns:
        inside (seed, num_train, dimension), share of queries in the hull; exact (num_train, dimension), its expectation, and
        ceiling, the bound of the page's theorem; half_dimension (seed, num_train), where the share falls through a half, by
        interpolation (infinite where it does not); exact_half (exact_count), the same from the formula.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    counts, dimensions = config.train_counts, config.dimensions
    inside = np.empty((len(seeds), len(counts), len(dimensions)))
    for s, seed in enumerate(seeds):
        cloud, queries = sample(config, seed)
        for i, n in enumerate(counts):
            for j, d in enumerate(dimensions):
                found = hull.membership(cloud[:n, :d], queries[:, :d], device=device)
                inside[s, i, j] = found.inside.double().mean()
            progress(s * len(counts) + i + 1, len(seeds) * len(counts))
    exact = np.array([[inside_probability(n, d, config.query_scale) for d in dimensions] for n in counts])
    top = np.array([[ceiling(n, d, config.query_scale) for d in dimensions] for n in counts])
    half = [[crossing(dimensions, row) for row in one] for one in inside]
    exact_half = [exact_crossing(n, config.query_scale) for n in EXACT_COUNTS]
    dims = ("seed", "num_train", "dimension")
    return xr.Dataset(
        {
            "inside": variable(dims, inside, "share of queries inside the hull"),
            "exact": variable(dims[1:], exact, "probability that a query is inside the hull"),
            "ceiling": variable(dims[1:], top, "upper bound on that probability"),
            "half_dimension": variable(dims[:2], half, "dimension in which half of the queries are inside"),
            "exact_half": variable("exact_count", exact_half, "dimension in which half are inside, from the formula"),
        },
        {
            "seed": seeds,
            "num_train": variable("num_train", counts, "points n"),
            "dimension": variable("dimension", dimensions, "dimension d"),
            "exact_count": variable("exact_count", [float(n) for n in EXACT_COUNTS], "points n"),
        },
    )


def sample(config: Config, seed: int) -> tuple[Float[torch.Tensor, "n d"], Float[torch.Tensor, "q d"]]:
    """The cloud and the queries of one seed (float64, CPU)."""
    draw = generator("gaussian_hull", seed)
    d = config.dimensions[-1]
    queries = torch.randn(config.num_queries, d, generator=draw, dtype=torch.float64) * config.query_scale
    return torch.randn(config.train_counts[-1], d, generator=draw, dtype=torch.float64), queries


def inside_probability(n: int, d: int, scale: float) -> float:
    """Chance that scale times a standard normal point of R^d lies in the hull of n others (Kabluchko and Zaporozhets 2020).

    Outside: 2 (b_{d-1} + b_{d-3} + ...) with b_k = C(n, k) g_k(-a) g_{n-k}(a) and a = scale^2 / (1 + k scale^2).
    """
    outside = 0.0
    for k in range(d - 1, -1, -2):
        share = scale**2 / (1 + k * scale**2)
        choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
        outside += 2 * np.exp(choose + _log_orthant(k, -share) + _log_orthant(n - k, share))
    return float(min(1.0, max(0.0, 1 - outside)))


@functools.cache
def _log_orthant(count: int, covariance: float) -> float:
    """log g: the chance that ``count`` centered normals of variance 1 + c and covariance c are all negative, -1/count < c.

    It is the mean of Phi(sqrt(c) x)^count over a normal x. For c < 0 the root is imaginary; the path of integration is moved to
    where the integrand is largest on the imaginary axis, since on the real one its parts cancel.
    """
    if count == 0:
        return 0.0
    root, steps = np.sqrt(abs(covariance)), np.linspace(-1.0, 1.0, 3001)
    if covariance >= 0:
        peak = minimize_scalar(lambda x: x**2 / 2 - count * log_ndtr(root * x), bracket=(0.0, 1.0)).x
        x = peak + 12 * steps  # the exponent is at least as curved as that of the normal density
        exponent = count * log_ndtr(root * x) - x**2 / 2
    else:
        reach = 3 * np.sqrt(count) + 5
        shift = minimize_scalar(lambda c: count * log_ndtr(-root * c) + c**2 / 2, bounds=(0, reach), method="bounded").x
        x = 12 * np.sqrt(count + 1) * steps
        tail = 0.5 * erfc((root * shift - 1j * root * x) / np.sqrt(2))
        exponent = count * np.log(tail) - (x + 1j * shift) ** 2 / 2
    largest = exponent.real.max()
    total = np.exp(exponent - largest).sum().real * (x[1] - x[0]) / np.sqrt(2 * np.pi)
    return float(np.log(total) + largest)


def ceiling(n: int, d: int, scale: float) -> float:
    """Mean over queries x of 1 - (1 - Phi(-|x|))^n: no point may lie beyond x in its own direction."""
    radius = (np.arange(4000) + 0.5) * (np.sqrt(d) + 12) / 4000
    weight = np.exp((d - 1) * np.log(radius) - radius**2 / 2 - (d / 2 - 1) * np.log(2) - gammaln(d / 2))
    reached = -np.expm1(n * np.log1p(-np.exp(log_ndtr(-scale * radius))))
    return float((weight * reached).sum() * (radius[1] - radius[0]))


def crossing(dimensions: tuple[int, ...], shares: Float[np.ndarray, " dimension"]) -> float:
    """The dimension in which a falling share goes through one half, by interpolation; infinite if it stays above."""
    below = np.flatnonzero(shares < 0.5)
    if not len(below):
        return float("inf")
    j = int(below[0])
    if j == 0:
        return float(dimensions[0])
    high, low = shares[j - 1], shares[j]
    return float(dimensions[j - 1] + (high - 0.5) / (high - low) * (dimensions[j] - dimensions[j - 1]))


def exact_crossing(n: int, scale: float, limit: int = 60) -> float:
    """The same from the formula, over all dimensions up to ``limit``."""
    low, high = 1, min(limit, n - 1)
    if inside_probability(n, high, scale) >= 0.5:
        return float("inf")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if inside_probability(n, middle, scale) >= 0.5 else (low, middle)
    return crossing((low, high), np.array([inside_probability(n, d, scale) for d in (low, high)]))


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Share of fresh points inside against dimension, one color a number of points; the exact probability dashed."""
    ax = style.axes(ax)
    d = result.dimension.values
    for n, color in zip(result.num_train.values, COLORS * 2, strict=False):
        style.band(ax, d, result.inside.sel(num_train=n).values, color=color, label=f"n = {n:,}")
        ax.plot(d, result.exact.sel(num_train=n), color=style.INK, linestyle=(0, (2, 2)), linewidth=1)
    ax.set(xlabel="dimension d", ylabel="share of fresh points inside", ylim=(-0.02, 1.02))
    ax.legend(loc="upper right")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: the dimension in which half are inside, its slope, and how far the runs are from the formula."""
    first, last = int(result.num_train[0]), int(result.num_train[-1])
    exact_half = result.exact_half
    gap = abs(result.inside.mean("seed") - result.exact)
    return {
        "seeds": result.sizes["seed"],
        "first_n": first,
        "last_n": last,
        "half_first": float(result.half_dimension[:, 0].median()),
        "half_last": float(result.half_dimension[:, -1].median()),
        "slope": float(slope(result).median()),
        "largest_gap": float(gap.max()),
        "half_million": float(exact_half.sel(exact_count=1e6)),
        "half_trillion": float(exact_half.sel(exact_count=1e12)),
        "asymptote": 2 * float(np.log(10)),
        "last_exact_slope": float(exact_half[-1] - exact_half[-2]),
        "last_d": int(result.dimension[-1]),
    }


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    m = numbers(result)
    return (
        f"Share of fresh Gaussian points inside the hull of n others, against the dimension. Every curve falls from nearly 1 to "
        f"0; with {m['first_n']:,} points it passes one half near dimension {m['half_first']:.1f}, with {m['last_n']:,} near "
        f"{m['half_last']:.1f}. The exact probabilities, dashed, lie on the measured curves."
    )


def slope(result: xr.Dataset) -> xr.DataArray:
    """Per seed: dimensions gained with each tenfold of points, from the first to the last n."""
    half, n = result.half_dimension, result.num_train
    return xr.DataArray(
        (half.isel(num_train=-1) - half.isel(num_train=0)) / np.log10(float(n[-1]) / float(n[0])), dims="seed"
    )


def _as_predicted(result: xr.Dataset) -> Evidence:
    """The control takes the value that the formula gives it: mean gap over all n and d."""
    return across_seeds(abs(result.inside.mean("seed") - result.exact).mean().values[None], below=0.1)


_CENTER = Config(train_counts=(40, 60), dimensions=(12, 20, 25, 30, 38), query_scale=0.0, num_queries=1, num_seeds=20)
_HALFWAY = Config(train_counts=(1000, 10_000), dimensions=(10, 20, 30), query_scale=0.5, num_seeds=5)

CLAIMS = (
    Claim(
        id="gaussian_hull.logarithmic",
        says="The dimension in which half of the fresh points are inside grows with n more slowly than 2 log n.",
        rows=("S0.9", "S0.11"),
        source="this book, from Kabluchko and Zaporozhets 2020, arXiv 1704.04968",
        check=lambda result: across_seeds(slope(result), below=float(2 * np.log(10))),
        control=Control(
            says="ask for the center of the same clouds: Wendel's theorem puts its half at d = n / 2",
            config=_CENTER,
            manipulation=_as_predicted,
        ),
    ),
    Claim(
        id="gaussian_hull.far_out",
        says="In 30 dimensions fewer than .05 of the fresh points are inside, at every n of the run.",
        rows=("S0.9", "S0.11"),
        source="this book",
        check=lambda result: across_seeds(result.inside.sel(dimension=30).max("num_train"), below=0.05),
        control=Control(
            says="the same directions at half the distance from the center",
            config=_HALFWAY,
            manipulation=_as_predicted,
        ),
    ),
)
