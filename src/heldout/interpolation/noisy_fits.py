"""What fitting noise exactly costs in one dimension depends on the rule: nothing in the end, a fixed share, or everything.

Benign, tempered and catastrophic overfitting as Mallinar et al. 2022 (arXiv 2207.06569) divide them, for rules that pass
through every point: nearest neighbor, linear spline, another interpolant of the spline's norm, a singular kernel (Belkin,
Rakhlin and Tsybakov 2018, arXiv 1806.09471), polynomials. ReLU networks beside them; on their smallest norm Joshi, Vardi and
Srebro 2023 (arXiv 2307.15396).

Axes: seed (of inputs and noise), rule, count (n, training points), labels (noisy or clean); fit and place for the networks.
Deviations: the polynomial stops at 128 points, before its values overflow. The networks see few points, moved off an even grid:
two noisy points that nearly coincide are not fitted in the steps given.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.devices import numpy_generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.interpolation import noisy_fit_checks as checks
from heldout.interpolation.bridges import bridged, linear_spline
from heldout.interpolation.interpolators import chebyshev_nodes, nearest, polynomial, singular_kernel
from heldout.interpolation.noisy_networks import FITS, PLACES, measured, small_sample, train_pairs, truth

RULES = ("nearest", "spline", "sharp", "wide kernel", "narrow kernel", "polynomial", "chebyshev")
LABELS = ("noisy", "clean")
WORDS = {
    "nearest": "nearest neighbor",
    "spline": "linear spline",
    "sharp": "sharp, same norm",
    "wide kernel": "singular kernel, wide",
    "narrow kernel": "singular kernel, narrow",
    "polynomial": "polynomial",
    "chebyshev": "polynomial, Chebyshev nodes",
}
LINES = {  # color, line, and the label's shift in points; the polynomial has no line, it is above the chart
    "nearest": (style.ORANGE, "-", 3),
    "spline": (style.BLUE, "-", -1),
    "sharp": (style.BLUE, "--", 3),
    "wide kernel": (style.GREEN, "-", 0),
    "narrow kernel": (style.GREEN, "--", -4),
    "chebyshev": (style.PINK, "-", 12),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Samples, kernels and networks."""

    counts: tuple[int, ...] = (16, 32, 64, 128, 256, 512, 1024, 2048)
    last_polynomial: int = 128  # no polynomial through more points than this
    noise_std: float = 0.5  # of the targets' noise, in units of the target
    window: float = 0.3  # of the wide kernel: window * n^(-1/5); of the narrow one: 2 / n
    power: float = 0.4  # of the distance in the kernel's weights
    num_test: int = 2000
    network_points: int = 10
    width: int = 400
    small_init: float = 0.3
    large_init: float = 4.0
    steps: int = 3000  # at each learning rate
    learning_rates: tuple[float, ...] = (1e-2, 1e-3)  # one after the other
    num_seeds: int = 10
    first_seed: int = 100

    def __post_init__(self) -> None:
        increasing = all(a < b for a, b in zip(self.counts, self.counts[1:], strict=False))
        fine = len(self.counts) >= 2 and self.counts[0] >= 8 and increasing and checks.MIDDLE in self.counts
        require(fine, "counts", self.counts, f"two or more, increasing from 8 up, with {checks.MIDDLE} among them")
        allowed = checks.MIDDLE <= self.last_polynomial <= 200
        require(allowed, "last_polynomial", self.last_polynomial, f"from {checks.MIDDLE} to 200")
        require(0 < self.noise_std < float("inf"), "noise_std", self.noise_std, "above 0, and finite")
        require(self.window > 0, "window", self.window, "above 0")
        require(0 < self.power < 0.5, "power", self.power, "between 0 and 0.5")
        require(self.num_test >= 2, "num_test", self.num_test, "at least 2")
        require(self.network_points >= 5, "network_points", self.network_points, "at least 5")
        require(self.width >= 1, "width", self.width, "at least 1")
        require(0 < self.small_init < self.large_init, "small_init", self.small_init, "above 0, below large_init")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(min(self.learning_rates or (0.0,)) > 0, "learning_rates", self.learning_rates, "one or more, above 0")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(counts=(16, 64, 256), num_test=300, width=60, steps=200, num_seeds=2, first_seed=0)
BOOK = Config()
PAPER = Config(counts=(16, 32, 64, 128, 256, 512, 1024, 2048, 4096), num_seeds=30, first_seed=200)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Fit every rule to noisy and clean targets at the same inputs, and networks to a few noisy points.

    Returns:
        excess, the mean squared distance from the true function over the variance of the noise, and train_mse, each (seed, rule,
        count, labels); norm_gap (seed, count), of the sharp rule's norm from the spline's, as a share. For the small sample:
        network_excess, network_mse and network_norm (over the spline's), each (seed, fit); and of the first seed function
        (fit, place), truth (place), train_x and train_y (point).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    shape = (len(seeds), len(RULES), len(config.counts), len(LABELS))
    excess, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    norm_gap = np.empty((len(seeds), len(config.counts)))
    total = 2 * len(seeds)  # the rules are about as long as the networks
    for s, seed in enumerate(seeds):
        for k, count in enumerate(config.counts):
            excess[s, :, k], errors[s, :, k], norm_gap[s, k] = _rules(config, count, seed)
        progress(s + 1, total)
    drawn = [small_sample(config.network_points, config.noise_std, seed) for seed in seeds]
    networks = train_pairs(
        drawn,
        seeds,
        scales=(config.small_init, config.large_init),
        width=config.width,
        steps=config.steps,
        learning_rates=config.learning_rates,
        device=device,
        progress=lambda done, of: progress(len(seeds) * (of + done) // of, total),
    )
    small = measured(drawn, *networks, config.noise_std)
    dims, units = ("seed", "rule", "count", "labels"), "units of the target"
    return xr.Dataset(
        {
            "excess": variable(dims, excess, "excess error over the variance of the noise"),
            "train_mse": variable(dims, errors, "training mean squared error", f"squared {units}"),
            "norm_gap": variable(
                ("seed", "count"), norm_gap, "distance of the sharp rule's norm from the spline's, as a share"
            ),
        }
        | small,
        {
            "seed": seeds,
            "rule": list(RULES),
            "count": variable("count", config.counts, "training points n"),
            "labels": list(LABELS),
            "fit": list(FITS),
            "place": variable("place", PLACES, "input"),
        },
    )


def _rules(
    config: Config, count: int, seed: int
) -> tuple[Float[np.ndarray, "rule labels"], Float[np.ndarray, "rule labels"], float]:
    """Excess and training error of every rule on one sample, and the gap between the norms of sharp and spline."""
    draw = numpy_generator("noisy_fits", count, seed)
    uniform, noise = np.sort(draw.random(count)), config.noise_std * draw.standard_normal(count)
    excess, errors = np.full((len(RULES), len(LABELS)), np.nan), np.full((len(RULES), len(LABELS)), np.nan)
    share = draw.random(config.num_test)
    for r, rule in enumerate(RULES):
        if rule in ("polynomial", "chebyshev") and count > config.last_polynomial:
            continue
        x = chebyshev_nodes(count) if rule == "chebyshev" else uniform
        at = x[0] + share * (x[-1] - x[0])
        y = truth(x)[:, None] + np.stack([noise, 0 * noise], axis=1)
        found = _apply(config, rule, x, y, np.concatenate([at, x]))
        error = found - truth(np.concatenate([at, x]))[:, None]
        excess[r] = (error[: len(at)] ** 2).mean(0) / config.noise_std**2
        errors[r] = ((found[len(at) :] - y) ** 2).mean(0)
    noisy = truth(uniform) + noise
    gap = bridged(uniform, noisy, 1.0).variation() / linear_spline(uniform, noisy).variation() - 1
    return excess, errors, abs(gap)


def _apply(
    config: Config,
    rule: str,
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, "n labels"],
    at: Float[np.ndarray, " place"],
) -> Float[np.ndarray, "place labels"]:
    if rule == "nearest":
        return nearest(x, y, at)
    if rule == "spline":
        return np.stack([np.interp(at, x, column) for column in y.T], axis=1)
    if rule == "sharp":
        return np.stack([bridged(x, column, 1.0)(at) for column in y.T], axis=1)
    if rule in ("polynomial", "chebyshev"):
        return polynomial(x, y, at)
    window = config.window * len(x) ** -0.2 if rule == "wide kernel" else 2 / len(x)
    return singular_kernel(x, y, at, window, config.power)


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Excess error of every rule against the number of noisy points, with the two constants that theory gives."""
    ax = style.axes(ax)
    noisy = result.excess.sel(labels="noisy")
    for rule, (color, line, shift) in LINES.items():
        curve = noisy.sel(rule=rule).dropna("count", how="all").transpose("seed", "count")
        style.band(ax, curve["count"].values, curve.values, color=color, linestyle=line)
        end = float(curve["count"][-1]), float(curve.isel(count=-1).median())
        ax.annotate(
            WORDS[rule], end, xytext=(5, shift), textcoords="offset points", va="center", color=color, fontsize=9
        )
    for height in (1, 2 / 3):
        ax.axhline(height, color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.annotate(
        "polynomial: above the chart", (0.02, 0.96), xycoords="axes fraction", color=style.VERMILION, fontsize=9
    )
    ax.set(xscale="log", yscale="log", xlabel="noisy training points n (log scale)", ylim=(5e-3, 40))
    ax.set_ylabel("excess error / noise variance (log)")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """Medians over seeds, with noisy labels, at the largest n unless the name says otherwise."""
    noisy = result.excess.sel(labels="noisy")
    last = noisy.isel(count=-1).median("seed")
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "first": int(result["count"][0]),
        "last": int(result["count"][-1]),
        "points": result.sizes["point"],
        "polynomial_16": float(noisy.sel(rule="polynomial").isel(count=0).median()),
        "polynomial_64": float(noisy.sel(rule="polynomial", count=64).median()),
        "chebyshev_64": float(noisy.sel(rule="chebyshev", count=64).median()),
        "wide_first": float(noisy.sel(rule="wide kernel").isel(count=0).median()),
        "sharp_mean": float(noisy.sel(rule="sharp").isel(count=-1).mean()),
        "sharp_worst": float(noisy.sel(rule="sharp").max()),
        "clean_worst": float(
            result.excess.sel(labels="clean", rule=["nearest", "spline", "sharp"]).isel(count=-1).max()
        ),
    }
    found |= {rule.split()[0]: float(last.sel(rule=rule)) for rule in RULES if rule not in ("polynomial", "chebyshev")}
    return found | checks.networks(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Excess error over the noise variance against the number of noisy points, both on log scales. The polynomial leaves the "
        f"chart at once. Nearest neighbor stays near {n['nearest']:.2f} and the linear spline near {n['spline']:.2f}; the sharp "
        f"curve of the same norm is at {n['sharp']:.1f}. The wide singular kernel falls to {n['wide']:.3f} at n = {n['last']}, "
        f"the narrow one stays at {n['narrow']:.2f}."
    )


_NO_NOISE = Control(says="the same inputs without noise", change=checks.clean, manipulation=checks.clean_and_fitted)

CLAIMS = (
    Claim(
        id="noisy_fits.tempered",
        says="At the largest n the spline pays 2/3 of the noise variance and the nearest neighbor all of it, within 20 %.",
        rows=("S0.2", "S0.3"),
        source="derived on the page; the class is Mallinar et al. 2022, arXiv 2207.06569",
        check=checks.tempered,
        control=_NO_NOISE,
    ),
    Claim(
        id="noisy_fits.benign",
        says="The wide singular kernel, which also hits every point, pays less than 5 % of the noise variance at the largest n.",
        rows=("S0.2",),
        source="Belkin, Rakhlin and Tsybakov 2018, arXiv 1806.09471",
        check=checks.benign,
        control=Control(
            says="the same kernel on a window that holds four points at every n, so that it cannot average",
            change=checks.exchange("rule", {"wide kernel": "narrow kernel"}),
            manipulation=checks.narrow_is_tempered,
        ),
    ),
    Claim(
        id="noisy_fits.catastrophic",
        says="The polynomial through 64 noisy points pays more than a million times the noise variance.",
        rows=("S0.2",),
        source="this book; the class is Mallinar et al. 2022, arXiv 2207.06569",
        check=checks.catastrophic,
        control=Control(
            says="the same polynomial and noise at Chebyshev's nodes",
            change=checks.exchange("rule", {"polynomial": "chebyshev"}),
            manipulation=checks.nodes_tame_it,
        ),
    ),
    Claim(
        id="noisy_fits.norm_is_not_all",
        says="The sharp interpolant, of the spline's norm to 1e-9, pays over half the noise variance more than the spline.",
        rows=("S0.3",),
        source="this book, after Joshi, Vardi and Srebro 2023, arXiv 2307.15396: catastrophic in mean square",
        check=checks.norm_is_not_all,
        control=_NO_NOISE,
    ),
    Claim(
        id="noisy_fits.networks_between",
        says="A network trained on ten noisy points pays at most 15 % more than the larger one of spline and sharp curve.",
        rows=("S0.3",),
        source="this book",
        check=checks.between,
        control=Control(
            says="the polynomial through the same points",
            change=checks.exchange("fit", {"small start": "polynomial"}),
            manipulation=checks.networks_fit,
        ),
    ),
)
