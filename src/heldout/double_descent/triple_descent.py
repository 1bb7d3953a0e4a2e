"""Two peaks on one curve: one where samples equal inputs, one where samples equal random features.

Least squares (of minimum norm where it is not unique) on p random features act(W x / sqrt(d)) of Gaussian inputs, with targets
linear in x and heavy noise; the number of samples n runs past the input dimension d and then past p. After d'Ascoli, Sagun
and Biroli 2020 (arXiv 2006.03509), who name the two peaks linear (n = d) and nonlinear (n = p).

Axes: seed, activation, num_train (n). A seed draws inputs, noise, the true coefficients and W; its activations share them all.
Deviations: no ridge at all where the paper's figures have a small one; d and p are smaller.
"""

import math
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
from heldout.experiment import Progress, recorded, require
from heldout.figures import style

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda z: z,
    "tanh": torch.tanh,
    "even": lambda z: z.abs() - math.sqrt(2 / math.pi),
}
NAMES = {"linear": "linear: z", "tanh": "odd: tanh z", "even": "even: |z| − mean"}
COLORS = {"linear": style.GREEN, "tanh": style.BLUE, "even": style.VERMILION}
BUMP = (0.9, 1.3)  # where the first peak is looked for, in units of d
RELATIVE_CUTOFF = 1e-10  # of the largest singular value; what is below is rounding, since linear features have rank d


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the sweep; ``sample_ratios`` are values of n / d and must include 1 and num_features / input_dim."""

    input_dim: int = 30
    num_features: int = 300
    sample_ratios: tuple[float, ...] = (
        0.25,
        0.5,
        0.75,
        0.9,
        1,
        1.1,
        1.25,
        1.5,
        2,
        3,
        4,
        5,
        7.5,
        9.5,
        10,
        10.5,
        12.5,
        15,
        20,
    )
    noise_variance: float = 5.0  # in units of the signal's variance: a signal-to-noise ratio of 0.2
    num_test: int = 500
    num_seeds: int = 20
    first_seed: int = 100

    def __post_init__(self) -> None:
        ratios, threshold = self.sample_ratios, self.num_features / max(1, self.input_dim)
        require(self.input_dim >= 2, "input_dim", self.input_dim, "at least 2")
        require(self.num_features >= 4 * self.input_dim, "num_features", self.num_features, "at least 4 * input_dim")
        require(1 in ratios and threshold in ratios, "sample_ratios", ratios, f"a tuple with 1 and {threshold:g}")
        require(ratios == tuple(sorted(set(ratios))), "sample_ratios", ratios, "strictly increasing")
        trough = any(2 <= ratio <= threshold / 2 for ratio in ratios)
        require(trough, "sample_ratios", ratios, f"a tuple with a value from 2 to {threshold / 2:g}, between the peaks")
        require(min(ratios) * self.input_dim >= 1, "sample_ratios", ratios, "at least 1 / input_dim")
        require(self.noise_variance >= 0, "noise_variance", self.noise_variance, "0 or more")
        require(self.num_test >= 2, "num_test", self.num_test, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    input_dim=20,
    num_features=200,
    sample_ratios=(0.25, 0.9, 1, 1.1, 2, 3, 10, 15),
    num_test=200,
    num_seeds=5,
    first_seed=0,
)
BOOK = Config()
PAPER = Config(input_dim=100, num_features=1000, num_test=2000, num_seeds=10)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Fit every activation at every n on every seed.

    Returns:
        test_mse, train_mse (seed, activation, num_train), in units of the signal's variance; the test targets are noiseless.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    counts = [round(ratio * config.input_dim) for ratio in config.sample_ratios]
    shape = (len(seeds), len(ACTIVATIONS), len(counts))
    test_mse, train_mse = np.empty(shape), np.empty(shape)
    for s, seed in enumerate(seeds):
        x, y, test_x, test_y, weights = (part.to(device) for part in sample(config, seed))
        for a, activation in enumerate(ACTIVATIONS.values()):
            train, test = (activation(inputs @ weights.T / math.sqrt(config.input_dim)) for inputs in (x, test_x))
            for k, n in enumerate(counts):
                coefficients = minimum_norm(train[:n], y[:n])
                test_mse[s, a, k] = float((test @ coefficients - test_y).square().mean())
                train_mse[s, a, k] = float((train[:n] @ coefficients - y[:n]).square().mean())
        progress(s + 1, len(seeds))
    dims, units = ("seed", "activation", "num_train"), {"units": "variances of the signal"}
    return xr.Dataset(
        {
            "test_mse": (dims, test_mse, {"long_name": "test mean squared error", **units}),
            "train_mse": (dims, train_mse, {"long_name": "training mean squared error", **units}),
        },
        {
            "seed": seeds,
            "activation": list(ACTIVATIONS),
            "num_train": ("num_train", counts, {"long_name": "training samples n", "units": "1"}),
        },
        {"input_dim": config.input_dim, "num_features": config.num_features},
    )


def sample(config: Config, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """One seed's inputs (n, d), noisy targets (n,), test inputs, noiseless test targets, and W (p, d); float64, CPU."""
    draw = generator("triple_descent", seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    largest = round(config.sample_ratios[-1] * config.input_dim)
    weights, beta = normal(config.num_features, config.input_dim), normal(config.input_dim)
    beta = beta / beta.norm()
    x, test_x = normal(largest, config.input_dim), normal(config.num_test, config.input_dim)
    y = x @ beta + math.sqrt(config.noise_variance) * normal(largest)
    return x, y, test_x, test_x @ beta, weights


def minimum_norm(design: Float[Tensor, "n p"], y: Float[Tensor, " n"]) -> Float[Tensor, " p"]:
    """Least squares, and among its solutions the one of smallest norm, by the singular value decomposition."""
    left, values, right = torch.linalg.svd(design, full_matrices=False)
    inverse = torch.where(values > RELATIVE_CUTOFF * values[0], 1 / values, 0.0)
    solution: Tensor = right.T @ (inverse * (left.T @ y))
    return solution


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error against n, one line an activation, the central 80 % of seeds as a band, both thresholds drawn."""
    ax = style.axes(ax)
    for activation, color in COLORS.items():
        values = result.test_mse.sel(activation=activation).values
        style.band(ax, result.num_train.values, values, color=color, label=NAMES[activation])
    style.mark_threshold(ax, int(result.input_dim), "n = d")
    style.mark_threshold(ax, int(result.num_features), "n = p")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="training samples n (log scale)",
        ylabel="test error / signal variance (log scale)",
    )
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0.93))
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: for each activation, the error at n = d, between, at n = p and at the end (median over seeds)."""
    d, p = int(result.input_dim), int(result.num_features)
    found: dict[str, float | int | str] = {"d": d, "p": p, "seeds": result.sizes["seed"]}
    for activation in ACTIVATIONS:
        curve = result.test_mse.sel(activation=activation).median("seed")
        between = curve.sel(num_train=slice(2 * d, p // 2))
        first, second = curve.sel(num_train=slice(None, 2 * d)), curve.sel(num_train=slice(2 * d, None))
        found |= {
            f"{activation}_at_d": float(curve.sel(num_train=d)),
            f"{activation}_first_peak_n": int(first.idxmax()),
            f"{activation}_first_peak": float(first.max()),
            f"{activation}_trough": float(between.min()),
            f"{activation}_trough_n": int(between.idxmin()),
            f"{activation}_at_p": float(curve.sel(num_train=p)),
            f"{activation}_second_peak_n": int(second.idxmax()),
            f"{activation}_end": float(curve[-1]),
        }
    found["last_n"] = int(result.num_train[-1])
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Test error against the number of training samples, both on log scales, for three activations of {n['p']} random "
        f"features of {n['d']} inputs. Linear features peak at n = {n['linear_first_peak_n']} only, even features at "
        f"n = {n['even_second_peak_n']} only. With tanh there is a low first peak of {n['tanh_first_peak']:.2g} near "
        f"n = {n['tanh_first_peak_n']}, a trough of {n['tanh_trough']:.2g} and a sharp second peak at "
        f"n = {n['tanh_second_peak_n']}."
    )


def _linear_peak(result: xr.Dataset) -> Evidence:
    """Per seed: geometric mean error from 0.9 d to 1.3 d, over the larger of its flanks (up to 0.5 d, and from 1.6 d to 2 d).

    0 in every seed where the median curve is not highest, up to 2 d, between 0.9 d and 1.3 d.
    """
    d = int(result.input_dim)
    tanh = result.test_mse.sel(activation="tanh", num_train=slice(None, 2 * d))
    place = float(tanh.median("seed").idxmax("num_train")) / d
    around, left, right = (
        np.log(tanh).sel(num_train=slice(low * d, high * d)) for low, high in (BUMP, (0, 0.5), (1.6, 2))
    )
    flanks = np.maximum(left.max("num_train"), right.max("num_train"))
    excess = np.exp(around.mean("num_train") - flanks)
    return across_seeds(excess if BUMP[0] <= place <= BUMP[1] else 0 * excess, above=1.0, share=0.9)


def _nonlinear_peak(result: xr.Dataset) -> Evidence:
    """Per seed: where beyond n = 2d the error is largest, in units of p; 1 when it is at the threshold."""
    d, p = int(result.input_dim), int(result.num_features)
    beyond = result.test_mse.sel(activation="tanh", num_train=slice(2 * d, None))
    return across_seeds(abs(beyond.idxmax("num_train") / p - 1), below=0.04)


def _as_tanh(activation: str) -> Callable[[xr.Dataset], xr.Dataset]:
    """The record with another activation's curve in the place of tanh's: same data, same W, only the activation exchanged."""

    def exchange(result: xr.Dataset) -> xr.Dataset:
        return result.sel(activation=["linear", activation, "even"]).assign_coords(activation=list(ACTIVATIONS))

    return exchange


CLAIMS = (
    Claim(
        id="triple_descent.linear_peak",
        says="With tanh features and heavy noise the error has a first bump between 0.9 and 1.3 times d, low and broad: highest "
        "there in the median, and higher there than at d / 2 and at 2 d in nine of ten seeds.",
        rows=("S0.6",),
        source="d'Ascoli, Sagun & Biroli 2020, arXiv 2006.03509, abstract: linear peak at N = D",
        check=_linear_peak,
        control=Control(
            says="an even activation, which has no linear part (r = 0)",
            change=_as_tanh("even"),
            manipulation=_nonlinear_peak,
        ),
        expected="in part",
        expected_at_paper="reproduced",
    ),
    Claim(
        id="triple_descent.nonlinear_peak",
        says="Beyond it the error is largest where the samples equal the random features, in every seed.",
        rows=("S0.6",),
        source="d'Ascoli, Sagun & Biroli 2020, arXiv 2006.03509, abstract: nonlinear peak at N = P",
        check=_nonlinear_peak,
        control=Control(
            says="a linear activation: the features span d dimensions only",
            change=_as_tanh("linear"),
            manipulation=_linear_peak,
        ),
    ),
)
