"""More points make the polynomial through them worse at even nodes and better at Chebyshev nodes; a trained network stays calm.

Runge's function 1 / (1 + 25 x^2) and its relatives with poles at +-ib, through n points: the polynomial, two splines and a
trained ReLU network, judged where its training error is zero. After Runge 1901 and Trefethen 2013, chapters 13 and 15; the
network's measure, the total variation of its slope, after Savarese et al. 2019 (arXiv 1902.05040).

Axes: seed (of the nodes' places, of the noise and of the networks), nodes, curve, count (points n), pole (height b).
Deviations: each inner node is moved along by up to 5 % of a spacing, so that seeds differ; there is nothing to redraw otherwise.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.devices import numpy_generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.interpolation import runge_checks as checks
from heldout.interpolation import runge_networks
from heldout.interpolation.interpolants import CURVES, NODES, cardinals, limiting_rate, moved_places, witch

POLE = checks.POLE
SHOWN = 11  # points in the picture of the first seed
_UNITS = "units of the target"
MEASURES = {
    "rmse": ("root mean squared error on [-1, 1]", _UNITS),
    "lebesgue": ("Lebesgue constant", "1"),
    "noise_gain": ("largest value between the points over the largest at the points, for noise", "1"),
}
# Curve, node set, color, label; the network has its own variables.
LINES = (
    ("polynomial", "equispaced", style.VERMILION, "polynomial, even points"),
    ("polynomial", "chebyshev", style.BLUE, "polynomial, Chebyshev points"),
    ("linear spline", "equispaced", style.GREEN, "linear spline, even points"),
    ("cubic spline", "equispaced", style.PINK, "cubic spline, even points"),
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The points, the targets' poles, and the networks."""

    counts: tuple[int, ...] = tuple(range(5, 42, 2))
    poles: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)  # heights b above the interval
    jitter: float = 0.05  # of the spacing, by which an inner node moves at most
    network_counts: tuple[int, ...] = (11, 21)
    width: int = 400
    init_scale: float = 0.5  # standard deviation of the first weights, see relu_fits.relu_curve
    antisymmetric: bool = False
    steps: int = 2500  # at each learning rate
    learning_rates: tuple[float, ...] = (1e-2, 3e-3, 1e-3, 1e-4)  # one after the other
    grid: int = 2001
    num_seeds: int = 10
    first_seed: int = 100

    def __post_init__(self) -> None:
        sizes, trained = self.counts or (0,), self.network_counts or (0,)
        require(min(sizes) >= 3 and max(sizes) <= 81, "counts", self.counts, "numbers of points from 3 to 81")
        require(list(sizes) == sorted(set(sizes)), "counts", sizes, "increasing")
        judged, poles = {*checks.WINDOW, checks.FROM}, {POLE, checks.OUTSIDE}
        require(judged <= set(sizes), "counts", sizes, f"with {sorted(judged)}, where claims are judged, among them")
        require(poles <= set(self.poles), "poles", self.poles, f"with {sorted(poles)} among them")
        require(min(self.poles) > 0, "poles", self.poles, "above 0")
        require(0 <= self.jitter < 0.25, "jitter", self.jitter, "from 0 to below 0.25")
        require(set(trained) <= set(self.counts), "network_counts", trained, f"one or more of counts={self.counts}")
        require(self.width >= 2, "width", self.width, "at least 2")
        require(self.init_scale > 0, "init_scale", self.init_scale, "above 0")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(min(self.learning_rates or (0.0,)) > 0, "learning_rates", self.learning_rates, "one or more, above 0")
        require(self.grid >= 3, "grid", self.grid, "at least 3")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    counts=(5, 11, 21, 31), poles=(0.2, 1.0), network_counts=(11, 21), width=40, steps=40, num_seeds=2, first_seed=0
)
BOOK = Config()
PAPER = Config(
    counts=tuple(range(5, 62, 2)),
    poles=(0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9, 1.0),
    network_counts=(5, 11, 21, 31),
    steps=4000,
    num_seeds=30,
    first_seed=200,
)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Pass polynomials and splines through the points of every seed, node set and count, then train the networks.

    Returns:
        rmse, lebesgue, noise_gain (seed, nodes, curve, count), the first for Runge's function; largest_error (seed, pole,
        nodes, count) of the polynomial; rate (seed, pole, nodes), the slope of its logarithm over the counts of WINDOW, and
        limiting_rate (pole, nodes); five measures of the networks (seed, nodes, network_count); and for the first seed the
        curves fit (nodes, drawn, x) through train_x, train_y (nodes, point), at the networks' count nearest to 11.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    grid, poles = np.linspace(-1, 1, config.grid), np.array(config.poles)
    main = config.poles.index(POLE)
    targets = witch(grid[:, None], poles)
    shape = (len(seeds), len(NODES), len(CURVES), len(config.counts))
    found = {name: np.empty(shape) for name in MEASURES}
    largest = np.empty((len(seeds), len(poles), len(NODES), len(config.counts)), dtype=np.float32)
    for k, count in enumerate(config.counts):
        for s, seed in enumerate(seeds):
            noise = numpy_generator("runge noise", seed, count).standard_normal(count)
            for d, x in enumerate(sample(config, count, seed)):
                for c, curve in enumerate(CURVES):
                    basis = cardinals(curve, x, grid)
                    error = basis @ witch(x[:, None], poles) - targets
                    found["rmse"][s, d, c, k] = np.sqrt(np.mean(error[:, main] ** 2))
                    found["lebesgue"][s, d, c, k] = np.abs(basis).sum(axis=1).max()
                    found["noise_gain"][s, d, c, k] = np.abs(basis @ noise).max() / np.abs(noise).max()
                    if curve == "polynomial":
                        largest[s, :, d, k] = np.abs(error).max(axis=0)
        progress(k + 1, len(config.counts) + 20 * len(config.network_counts))
    measured, picture = _networks(config, seeds, grid, device, progress)
    return _dataset(config, seeds, found, largest, measured, picture)


def sample(config: Config, count: int, seed: int) -> Float[np.ndarray, "nodes n"]:
    """The points of one seed, at even and at Chebyshev places; the same small moves along for both."""
    draws = (numpy_generator("runge nodes", seed, count) for _ in NODES)
    return np.stack([moved_places(nodes, count, config.jitter, draw) for nodes, draw in zip(NODES, draws, strict=True)])


def _networks(
    config: Config, seeds: list[int], grid: Float[np.ndarray, " x"], device: torch.device, progress: Progress
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Train and measure a network for every seed, node set and count, and draw the first seed's."""
    measured = {
        name: np.empty((len(seeds), len(NODES), len(config.network_counts))) for name in runge_networks.MEASURES
    }
    picture: dict[str, np.ndarray] = {}
    fine = grid[:: max(1, config.grid // 400)]
    for k, count in enumerate(config.network_counts):
        x_SDN = np.stack([sample(config, count, seed) for seed in seeds])
        y_SDN = witch(x_SDN, POLE)
        advance = partial(_advance, progress, len(config.counts), k, len(config.network_counts))
        members, errors = runge_networks.fitted(config, x_SDN, y_SDN, seeds, device=device, progress=advance)
        measured["network_mse"][:, :, k] = errors
        for i, member in enumerate(members):
            s, d = divmod(i, len(NODES))
            for name, value in runge_networks.measured(member, x_SDN[s, d], y_SDN[s, d], POLE, grid).items():
                measured[name][s, d, k] = value
        if count == min(config.network_counts, key=lambda n: abs(n - SHOWN)):
            picture = runge_networks.drawn(members[: len(NODES)], x_SDN[0], y_SDN[0], fine)
    return measured, picture


def _advance(progress: Progress, before: int, part: int, parts: int, done: int, total: int) -> None:
    progress(before + 20 * part + 20 * done // total, before + 20 * parts)


def _dataset(
    config: Config,
    seeds: list[int],
    found: dict[str, np.ndarray],
    largest: np.ndarray,
    measured: dict[str, np.ndarray],
    picture: dict[str, np.ndarray],
) -> xr.Dataset:
    of_curves, of_networks = ("seed", "nodes", "curve", "count"), ("seed", "nodes", "network_count")
    counts = np.array(config.counts)
    window = (counts >= checks.WINDOW[0]) & (counts <= checks.WINDOW[1])
    centered = counts[window] - counts[window].mean()
    rate = np.log(largest[..., window]) @ centered / (centered @ centered)
    limits = np.stack([limiting_rate(nodes, np.array(config.poles)) for nodes in NODES], axis=1)
    per_point = "natural log per point"
    return xr.Dataset(
        {name: variable(of_curves, found[name], *words) for name, words in MEASURES.items()}
        | {name: variable(of_networks, measured[name], *words) for name, words in runge_networks.MEASURES.items()}
        | {
            "largest_error": variable(
                ("seed", "pole", "nodes", "count"), largest, "largest error of the polynomial", _UNITS
            ),
            "rate": variable(("seed", "pole", "nodes"), rate, "growth of the polynomial's largest error", per_point),
            "limiting_rate": variable(("pole", "nodes"), limits, "growth in the limit of many points", per_point),
            "fit": variable(("nodes", "drawn", "x"), picture["fit"], "curve of the first seed", _UNITS),
            "train_x": variable(("nodes", "point"), picture["train_x"], "points of the first seed"),
            "train_y": variable(("nodes", "point"), picture["train_y"], "values of the first seed", _UNITS),
        },
        {
            "seed": seeds,
            "nodes": list(NODES),
            "curve": list(CURVES),
            "drawn": [*CURVES, "network"],
            "count": variable("count", counts, "points n"),
            "network_count": variable("network_count", config.network_counts, "points n"),
            "pole": variable("pole", config.poles, "height b of the poles above the interval"),
            "x": variable("x", picture["x"], "input"),
        },
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Error against the number of points, one line a curve, with the central 80 % of seeds as a band; fitted networks as dots."""
    ax = style.axes(ax)
    for curve, nodes, color, label in LINES:
        values = result.rmse.sel(curve=curve, nodes=nodes).values
        style.band(ax, result["count"].values, values, color=color, label=label)
    errors = checks.fitted(result.network_rmse, result).sel(nodes="equispaced")
    low, middle, high = errors.quantile([0.1, 0.5, 0.9], "seed").values
    spread, label = [middle - low, high - middle], "trained network, even points"
    ax.errorbar(result.network_count, middle, spread, fmt="o", color=style.INK, label=label)
    ax.set(yscale="log", xlabel="points n", ylabel="root mean squared error (log scale)")
    ax.legend(loc="upper left", fontsize=9)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes."""
    return checks.numbers(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Error against the number of points from {n['first_n']} to {n['last_n']}, on a log scale. The polynomial through even "
        f"points rises from {n['even_first']:.2g} to {n['even_last']:.1e}; through Chebyshev points it falls from "
        f"{n['chebyshev_first']:.2g} to {n['chebyshev_last']:.1e}. Linear and cubic spline through even points fall to "
        f"{n['linear_last']:.1e} and {n['cubic_last']:.1e}. Dots: the trained networks that fit, at "
        f"{n['network_error_last']:.2g} with {n['network_last_n']} points."
    )


_EXCHANGED = "the two node sets exchanged, everything else as it was"
_APART = "the polynomial takes its points at the Chebyshev places; the networks keep the even ones"
LARGE_START = replace(BOOK, counts=(11, 21, 31), network_counts=(11,), init_scale=4.0, antisymmetric=True, num_seeds=5)

CLAIMS = (
    Claim(
        id="runge.even_points_diverge",
        says="Through even points the polynomial's largest error grows more than a hundredfold from 11 to 31 points.",
        rows=("S0.2",),
        source="Runge 1901; Trefethen 2013, chapter 13",
        check=checks.growth,
        control=Control(
            says="the target's poles moved outward, to height 1; points and curve as they were",
            change=checks.move_pole,
            manipulation=checks.falls_as_predicted,
        ),
    ),
    Claim(
        id="runge.chebyshev_beats_spline",
        says="Through Chebyshev points the polynomial beats the linear spline from 21 points on.",
        rows=("S0.2",),
        source="this book",
        check=checks.chebyshev_wins,
        control=Control(says=_EXCHANGED, change=checks.exchange_nodes, manipulation=checks.splines_agree),
    ),
    Claim(
        id="runge.poles_decide",
        says="The polynomial's largest error grows or shrinks at the rate that the poles set, to within 6 % a point.",
        rows=("S0.2",),
        source="Trefethen 2013, chapters 11 to 13",
        check=checks.rates_off,
        control=Control(says=_EXCHANGED, change=checks.exchange_nodes, manipulation=checks.splines_agree),
    ),
    Claim(
        id="runge.noise_magnified",
        says="At 31 even points the polynomial makes noise more than ten thousand times larger.",
        rows=("S0.2",),
        source="Trefethen 2013, theorem 15.2",
        check=checks.noise_gain,
        control=Control(says=_EXCHANGED, change=checks.exchange_nodes, manipulation=checks.other_nodes_calm),
    ),
    Claim(
        id="runge.network_stays_calm",
        says="Through the same 21 even points the trained network's error is less than a hundredth of the polynomial's.",
        rows=("S0.2", "S0.3"),
        source="this book",
        check=checks.network_over_polynomial,
        control=Control(
            says=_APART, change=checks.polynomial_elsewhere, manipulation=checks.splines_agree_and_networks_fit
        ),
    ),
    Claim(
        id="runge.network_bends_like_the_spline",
        says="Through 11 even points a small start's slope varies at most 10 % more in all than the linear spline's.",
        rows=("S0.3",),
        source="Savarese et al. 2019, arXiv 1902.05040",
        check=checks.bends_no_more,
        control=Control(
            says="the same network from a large start that begins as the zero function",
            config=LARGE_START,
            manipulation=checks.large_starts_fit,
        ),
    ),
)
