"""Which noise can be interpolated without harm is decided by the spectrum of the inputs.

Minimum-norm interpolation of pure noise (variance 1) on n Gaussian inputs with covariance eigenvalues l_1 >= l_2 >= ...; the
excess risk that the noise causes is, given the inputs X, exactly trace(X^+ X^+T Sigma). Bartlett, Long, Lugosi and Tsigler
2020 (arXiv 1906.11300) bound it, up to constants, by k*/n + n / R_k*, with the effective ranks of the tail behind k,
r_k = sum_{i>k} l_i / l_{k+1} and R_k = (sum_{i>k} l_i)^2 / sum_{i>k} l_i^2, and k* the least k with r_k >= b n. Benign: the
risk vanishes as n grows; tempered: it tends to a constant; catastrophic: it grows (Mallinar et al. 2022, arXiv 2207.06569).

Axes: seed, spectrum, num_train (n). ``spiked_long``: 5 eigenvalues of 1 and a flat tail whose dimension grows as n^1.5;
``spiked_short``: the same with 2 n; ``power``: l_i = i^-2; ``exponential``: l_i = exp(-i / 4).
Deviations: Gaussian inputs only; b = 1, where the paper leaves a universal constant.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require
from heldout.figures import style

SPECTRA = ("spiked_long", "spiked_short", "power", "exponential")
NAMES = {
    "spiked_long": "5 spikes, tail of n^1.5",
    "spiked_short": "5 spikes, tail of 2n",
    "power": "power law",
    "exponential": "exponential",
}
COLORS = {
    "spiked_long": style.GREEN,
    "spiked_short": style.ORANGE,
    "power": style.BLUE,
    "exponential": style.VERMILION,
}
SPIKES, TAIL_WEIGHT = 5, 0.1  # the tail's eigenvalues sum to TAIL_WEIGHT times n
EXPONENT, DECAY = 2.0, 4.0
POWER_TERMS, EXPONENTIAL_TERMS = 20, 200  # eigenvalues kept: POWER_TERMS * n, and n + EXPONENTIAL_TERMS


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sample sizes and seeds."""

    train_counts: tuple[int, ...] = (16, 32, 64, 128, 256)
    num_seeds: int = 10
    first_seed: int = 100

    def __post_init__(self) -> None:
        counts = self.train_counts
        require(len(counts) >= 2 and min(counts) >= 8, "train_counts", counts, "at least two counts of at least 8")
        require(counts == tuple(sorted(set(counts))), "train_counts", counts, "strictly increasing")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(train_counts=(16, 64), num_seeds=5, first_seed=0)
BOOK = Config()
PAPER = Config(train_counts=(16, 32, 64, 128, 256, 512, 1024), num_seeds=50)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Draw inputs for every spectrum and n on every seed.

    Returns:
        noise_risk (seed, spectrum, num_train), excess risk in units of the noise variance; residual, likewise, the training
        error; and from the spectrum alone (spectrum, num_train): predicted_risk, bound (k*/n + n / R_k*), k_star, R_k_star.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    shape = (len(seeds), len(SPECTRA), len(config.train_counts))
    noise_risk, residual = np.empty(shape), np.empty(shape)
    predicted, k_star, ranks = (np.empty(shape[1:]) for _ in range(3))
    for i, name in enumerate(SPECTRA):
        for j, n in enumerate(config.train_counts):
            values = spectrum(name, n)
            predicted[i, j] = predicted_risk(values, n)
            k_star[i, j], ranks[i, j] = effective_rank(values, n)
            for s, seed in enumerate(seeds):
                draw = generator("benign_spectrum", name, n, seed)
                white = torch.randn(n, len(values), generator=draw, dtype=torch.float64).to(device)
                noise = torch.randn(n, generator=draw, dtype=torch.float64).to(device)
                noise_risk[s, i, j], residual[s, i, j] = interpolate(
                    white * values.sqrt().to(device), values.to(device), noise
                )
            progress(i * shape[2] + j + 1, shape[1] * shape[2])
    dims, units = ("seed", "spectrum", "num_train"), {"units": "variances of the noise"}
    n_values = np.array(config.train_counts, dtype=float)
    return xr.Dataset(
        {
            "noise_risk": (dims, noise_risk, {"long_name": "excess risk due to the noise", **units}),
            "residual": (dims, residual, {"long_name": "training error", **units}),
            "predicted_risk": (dims[1:], predicted, {"long_name": "excess risk predicted from the spectrum", **units}),
            "bound": (dims[1:], k_star / n_values + n_values / ranks, {"long_name": "k*/n + n/R", "units": "1"}),
            "k_star": (dims[1:], k_star, {"long_name": "k*", "units": "1"}),
            "R_k_star": (dims[1:], ranks, {"long_name": "effective rank R of the tail behind k*", "units": "1"}),
        },
        {
            "seed": seeds,
            "spectrum": list(SPECTRA),
            "num_train": ("num_train", list(config.train_counts), {"long_name": "training samples n", "units": "1"}),
        },
    )


def spectrum(name: str, n: int) -> Float[torch.Tensor, " p"]:
    """Eigenvalues of the covariance, in decreasing order (float64, CPU).

    Raises:
        ValueError: no spectrum has this name.
    """
    require(name in SPECTRA, "spectrum", name, f"one of {', '.join(SPECTRA)}")
    if name == "power":
        return torch.arange(1, POWER_TERMS * n + 1, dtype=torch.float64) ** -EXPONENT
    if name == "exponential":
        return torch.exp(-torch.arange(1, n + EXPONENTIAL_TERMS + 1, dtype=torch.float64) / DECAY)
    tail = round(n**1.5) if name == "spiked_long" else 2 * n
    weak = torch.full((tail,), TAIL_WEIGHT * n / tail, dtype=torch.float64)
    return torch.cat([torch.ones(SPIKES, dtype=torch.float64), weak]).sort(descending=True).values


def interpolate(
    x: Float[torch.Tensor, "n p"], values: Float[torch.Tensor, " p"], noise: Float[torch.Tensor, " n"]
) -> tuple[float, float]:
    """Excess risk of the minimum-norm interpolant of noise of variance 1, in expectation over it, and one draw's residual."""
    basis, triangle = torch.linalg.qr(x.T)  # x^+ = basis @ triangle^-T
    inverse = torch.linalg.solve_triangular(triangle.T, torch.eye(len(x)).to(x), upper=False)
    pseudo_inverse = basis @ inverse
    risk = (values[:, None] * pseudo_inverse.square()).sum()
    return float(risk), float((x @ (pseudo_inverse @ noise) - noise).square().mean())


def predicted_risk(values: Float[torch.Tensor, " p"], n: int) -> float:
    """Excess risk due to noise of variance 1 from the spectrum alone: q / (n - q), the random-matrix approximation.

    q = sum_i (l_i / (l_i + c))^2 with c such that sum_i l_i / (l_i + c) = n, found by bisection on log c.
    """
    low, high = float(values[-1].log()) - 50, float(values.sum().log()) + 1
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if float((values / (values + math.exp(middle))).sum()) > n else (low, middle)
    squares = float((values / (values + math.exp(low))).square().sum())
    return squares / (n - squares)


def effective_rank(values: Float[torch.Tensor, " p"], n: int) -> tuple[float, float]:
    """k* (the least k with r_k >= n; the last eigenvalue's place if there is none) and R_k* of the tail behind it."""
    sums = values.flip(0).cumsum(0).flip(0)
    enough = (sums / values >= n).nonzero()
    k = int(enough[0]) if len(enough) else len(values) - 1
    return float(k), float(sums[k] ** 2 / values[k:].square().sum())


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Excess risk due to noise against n, one line a spectrum, the central 80 % of seeds as a band, the prediction dashed."""
    ax = style.axes(ax)
    x = result.num_train.values
    for name, color in COLORS.items():
        style.band(ax, x, result.noise_risk.sel(spectrum=name).values, color=color, label=NAMES[name])
        ax.plot(x, result.predicted_risk.sel(spectrum=name), color=color, linestyle=(0, (2, 2)), linewidth=1)
    ax.set(xscale="log", yscale="log", xlabel="training samples n (log scale)")
    ax.set_ylabel("excess risk / noise variance (log scale)")
    ax.set_xticks(x, [f"{count:,}" for count in x])
    ax.minorticks_off()
    ax.legend(loc="upper left", fontsize=9)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: first and last excess risk (median over seeds), prediction, k* and R of each spectrum."""
    found: dict[str, float | int | str] = {"seeds": result.sizes["seed"], "spikes": SPIKES}
    found |= {"first_n": int(result.num_train[0]), "last_n": int(result.num_train[-1])}
    for name in SPECTRA:
        one = result.sel(spectrum=name)
        middle, last = one.noise_risk.median("seed"), one.isel(num_train=-1)
        found |= {
            f"{name}_first": float(middle[0]),
            f"{name}_last": float(middle[-1]),
            f"{name}_predicted": float(last.predicted_risk),
            f"{name}_k": int(last.k_star),
            f"{name}_R": float(last.R_k_star),
            f"{name}_bound": float(last.bound),
        }
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    m = numbers(result)
    return (
        f"Excess risk due to noise against the number of samples, {m['first_n']} to {m['last_n']}, both on log scales. It falls "
        f"from {m['spiked_long_first']:.2g} to {m['spiked_long_last']:.2g} with the long flat tail, stays near "
        f"{m['spiked_short_last']:.2g} with the short one and near {m['power_last']:.2g} for the power law, and rises from "
        f"{m['exponential_first']:.2g} to {m['exponential_last']:.3g} for the exponential spectrum. Dashed predictions lie close."
    )


def _growth(result: xr.Dataset, name: str) -> xr.DataArray:
    """Per seed: excess risk at the largest n over that at the smallest."""
    risk = result.noise_risk.sel(spectrum=name)
    return xr.DataArray(risk.isel(num_train=-1) / risk.isel(num_train=0))


def _interpolates(result: xr.Dataset) -> Evidence:
    return across_seeds(result.residual.max(["spectrum", "num_train"]), below=1e-8)


def _exchanged(result: xr.Dataset, place: str, other: str) -> xr.Dataset:
    """The record with spectrum ``other`` in the place of ``place``: the same interpolation, another spectrum."""
    order = [other if name == place else name for name in SPECTRA]
    return result.sel(spectrum=order).assign_coords(spectrum=list(SPECTRA))


CLAIMS = (
    Claim(
        id="benign_spectrum.benign",
        says="With 5 spikes and a tail of n^1.5 dimensions the noise's excess risk falls to less than half from first to last n.",
        rows=("S0.2", "S0.7"),
        source="Bartlett et al. 2020, arXiv 1906.11300, the bound k*/n + n / R_k*",
        check=lambda result: across_seeds(_growth(result, "spiked_long"), below=0.5),
        control=Control(
            says="the same spikes with a tail of only 2 n dimensions",
            change=lambda result: _exchanged(result, "spiked_long", "spiked_short"),
            manipulation=_interpolates,
        ),
    ),
    Claim(
        id="benign_spectrum.catastrophic",
        says="With exponentially decaying eigenvalues the noise's excess risk more than quadruples from first to last n.",
        rows=("S0.2", "S0.7"),
        source="Mallinar et al. 2022, arXiv 2207.06569: fast decay is catastrophic, power laws are tempered",
        check=lambda result: across_seeds(_growth(result, "exponential"), above=4.0),
        control=Control(
            says="eigenvalues that decay by a power law",
            change=lambda result: _exchanged(result, "exponential", "power"),
            manipulation=_interpolates,
        ),
    ),
)
