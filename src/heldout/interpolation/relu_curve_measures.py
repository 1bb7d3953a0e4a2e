"""The points that the networks of :mod:`heldout.interpolation.relu_curves` are fitted to, and what is measured on a network."""

import torch
from jaxtyping import Float
from torch import Tensor

from heldout.networks import MLP


def points(target: str) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """The training points: Runge's function at 11 even places in [-1, 1], or a unit step at 9."""
    x = torch.linspace(-1, 1, 11 if target == "runge" else 9, dtype=torch.float64)
    return x, 1 / (1 + 25 * x**2) if target == "runge" else (x > 0).to(x.dtype)


def spline_variation(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> float:
    """Total variation of the slope of the linear spline through the points: the sum of the absolute slope changes."""
    return float((y.diff() / x.diff()).diff().abs().sum())


@torch.no_grad()
def carried_slope(network: MLP) -> float:
    """Sum over the units with a kink in (-1, 1) of |a_j w_j|: each unit's own change of slope, whether or not they cancel."""
    first, last = network.layers
    weight, bias = first.get_parameter("weight")[:, 0], first.get_parameter("bias")
    inside = (bias / weight).abs() < 1
    return float((last.get_parameter("weight")[0] * weight).abs()[inside].sum())


@torch.no_grad()
def values(network: MLP, x: Float[Tensor, " x"]) -> Float[Tensor, " x"]:
    """The network's outputs at a row of inputs."""
    outputs: Tensor = network(x[:, None])[:, 0]
    return outputs
