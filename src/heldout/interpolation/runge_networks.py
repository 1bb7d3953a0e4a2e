"""The trained networks of the experiment on Runge's function, and what is measured of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from heldout.devices import generator
from heldout.interpolation.interpolants import CURVES, cardinals, spline_variation, witch
from heldout.interpolation.relu_fits import fit_curves, relu_curve, slope_variation
from heldout.networks import MLP

_UNITS, _SLOPE = "units of the target", "units of the target per unit of input"
MEASURES = {
    "network_rmse": ("root mean squared error of the network on [-1, 1]", _UNITS),
    "network_mse": ("training mean squared error of the network", f"squared {_UNITS}"),
    "network_variation": ("total variation of the network's slope", _SLOPE),
    "network_distance": ("root mean squared distance of network and linear spline", _UNITS),
    "spline_variation": ("total variation of the linear spline's slope", _SLOPE),
}


def fitted(
    config: Any,
    x_SDN: Float[np.ndarray, "seed nodes n"],
    y_SDN: Float[np.ndarray, "seed nodes n"],
    seeds: Sequence[int],
    *,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> tuple[list[MLP], Float[np.ndarray, "seed nodes"]]:
    """One network for every seed and node set, in that order, with its training error; a seed's networks start equal."""
    sets, count = x_SDN.shape[1:]
    members = [
        relu_curve(
            config.width,
            generator=generator("runge network", seed, count),
            init_scale=config.init_scale,
            antisymmetric=config.antisymmetric,
        )
        for seed in seeds
        for _ in range(sets)
    ]
    errors = fit_curves(
        members,
        torch.from_numpy(x_SDN.reshape(-1, count)),
        torch.from_numpy(y_SDN.reshape(-1, count)),
        range(len(members)),
        seeds=[sets * seed + d for seed in seeds for d in range(sets)],
        steps=config.steps,
        learning_rates=config.learning_rates,
        device=device,
        progress=progress,
    )
    return members, errors.numpy().reshape(len(seeds), sets)


def measured(
    network: MLP, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], pole: float, grid: Float[np.ndarray, " x"]
) -> dict[str, float]:
    """Error, total variation of the slope and distance from the linear spline, of one network and its points."""
    drawn = values(network, grid)
    return {
        "network_rmse": float(np.sqrt(np.mean((drawn - witch(grid, pole)) ** 2))),
        "network_variation": slope_variation(network, -1, 1),
        "network_distance": float(np.sqrt(np.mean((drawn - np.interp(grid, x, y)) ** 2))),
        "spline_variation": spline_variation(x, y),
    }


@torch.no_grad()
def values(network: MLP, at: Float[np.ndarray, " x"]) -> Float[np.ndarray, " x"]:
    """The network at the given inputs."""
    return np.asarray(network(torch.from_numpy(at)[:, None])[:, 0])


def drawn(
    networks: Sequence[MLP],
    x_DN: Float[np.ndarray, "nodes n"],
    y_DN: Float[np.ndarray, "nodes n"],
    grid: Float[np.ndarray, " x"],
) -> dict[str, np.ndarray]:
    """The curves through one seed's points, the network last, for a figure."""
    smooth = [[cardinals(curve, x, grid) @ y for curve in CURVES] for x, y in zip(x_DN, y_DN, strict=True)]
    fit = [[*curves, values(network, grid)] for curves, network in zip(smooth, networks, strict=True)]
    return {"fit": np.array(fit), "train_x": x_DN, "train_y": y_DN, "x": grid}
