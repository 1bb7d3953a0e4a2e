"""Networks of ReLU units trained on a few noisy points, beside the interpolants that they are compared with."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from heldout.devices import generator, numpy_generator
from heldout.experiment import variable
from heldout.figures import style
from heldout.interpolation.bridges import bridged, linear_spline
from heldout.interpolation.interpolators import polynomial
from heldout.interpolation.relu_fits import fit_curves, relu_curve, slope_variation
from heldout.networks import MLP

FITS = ("spline", "sharp", "polynomial", "small start", "large start")
PLACES = np.linspace(0, 1, 401)
Points = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]
Curve = Callable[[Float[np.ndarray, " place"]], Float[np.ndarray, " place"]]


def truth(x: Float[np.ndarray, " x"]) -> Float[np.ndarray, " x"]:
    """The true function on [0, 1]: one period of a sine."""
    return np.asarray(np.sin(2 * np.pi * x))


def small_sample(count: int, noise_std: float, seed: int) -> Points:
    """An even grid in [0, 1], the inner points moved by up to 0.3 of the spacing, and noisy targets."""
    draw = numpy_generator("noisy_fits", "networks", count, seed)
    x = np.linspace(0, 1, count)
    x[1:-1] += draw.uniform(-0.3, 0.3, count - 2) * x[1]
    return x, truth(x) + noise_std * draw.standard_normal(count)


def train_pairs(
    points: Sequence[Points],
    seeds: Sequence[int],
    *,
    scales: tuple[float, float],
    width: int,
    steps: int,
    learning_rates: Sequence[float],
    device: torch.device,
    progress: Callable[[int, int], None],
) -> tuple[list[MLP], Float[Tensor, " network"]]:
    """A network from a small and one from a large start for every sample, in that order, and their training errors."""
    x_SN, y_SN = (torch.from_numpy(np.stack(column)) for column in zip(*points, strict=True))
    nets = [
        relu_curve(width, generator=generator("noisy_fits", seed, scale), init_scale=scale)
        for seed in seeds
        for scale in scales
    ]
    errors = fit_curves(
        nets,
        2 * x_SN - 1,  # the networks' kinks start around [-1, 1]
        y_SN,
        [s for s in range(len(seeds)) for _ in scales],
        seeds=seeds,
        steps=steps,
        learning_rates=learning_rates,
        device=device,
        progress=progress,
    )
    return nets, errors


def measured(
    points: Sequence[Points], nets: Sequence[MLP], errors: Float[Tensor, " network"], noise_std: float
) -> dict[str, Any]:
    """Excess error, training error and norm of every fit, and the curves of the first sample, as labeled variables."""
    at, shape = np.linspace(0, 1, 4001), (len(points), len(FITS))
    excess, train_mse, norms = np.empty(shape), np.empty(shape), np.full(shape, np.nan)
    drawn = []
    for s, (x, y) in enumerate(points):
        built = [linear_spline(x, y), bridged(x, y, 1.0)]
        pair = nets[2 * s : 2 * s + 2]
        curves: list[Curve] = [*built, partial(_polynomial, x, y), *(partial(_values, net) for net in pair)]
        excess[s] = [((curve(at) - truth(at)) ** 2).mean() / noise_std**2 for curve in curves]
        train_mse[s] = [((curve(x) - y) ** 2).mean() for curve in curves]
        train_mse[s, 3:] = errors[2 * s : 2 * s + 2].numpy()
        norms[s, :2] = [bent.variation() / built[0].variation() for bent in built]
        slopes = np.array([slope_variation(net, -1, 1) for net in pair])
        norms[s, 3:] = 2 * slopes / built[0].variation()  # an input of the networks is twice as long as one of x
        drawn.append(np.stack([curve(PLACES) for curve in curves]) if s == 0 else None)
    dims, units = ("seed", "fit"), "units of the target"
    return {
        "network_excess": variable(dims, excess, "excess error over the variance of the noise, small sample"),
        "network_mse": variable(dims, train_mse, "training mean squared error, small sample", f"squared {units}"),
        "network_norm": variable(dims, norms, "variation of the slope over the spline's, small sample"),
        "function": variable(("fit", "place"), drawn[0], "fitted curve, first seed", units),
        "truth": variable("place", truth(PLACES), "true function", units),
        "train_x": variable("point", points[0][0], "training inputs, first seed"),
        "train_y": variable("point", points[0][1], "training targets, first seed", units),
    }


def _polynomial(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], at: Float[np.ndarray, " place"]) -> Any:
    return polynomial(x, y[:, None], at)[:, 0]


def _values(network: MLP, at: Float[np.ndarray, " place"]) -> Float[np.ndarray, " place"]:
    """A network's outputs at inputs of [0, 1]."""
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy(2 * at - 1)[:, None])[:, 0].numpy())


def plot_networks(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The first seed's small sample, the spline and the sharp curve through it, and the network trained from a small start."""
    ax = style.axes(ax)
    shown = {"spline": style.INK, "sharp": style.VERMILION, "small start": style.BLUE}
    names = ("linear spline", "sharp, same norm", "network, small start")
    for (fit, color), name in zip(shown.items(), names, strict=True):
        ax.plot(result.place, result.function.sel(fit=fit), color=color, label=name, linewidth=1.5)
    ax.plot(result.place, result.truth, color=style.MUTED, linestyle=(0, (4, 3)), label="true function")
    ax.plot(result.train_x, result.train_y, "o", color=style.INK, zorder=5, markersize=5)
    ax.set(xlabel="input x", ylabel="output")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.22), ncol=2, fontsize=9)
    return ax
