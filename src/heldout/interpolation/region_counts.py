"""Where a network of ReLU units is linear: its patterns of active units on a plane, and its pieces along a line, exactly."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heldout.devices import generator
from heldout.networks import MLP


@torch.no_grad()
def active_units(network: MLP, x: Float[Tensor, "points inputs"]) -> Bool[Tensor, "points units"]:
    """Which hidden units are active at each point, all layers side by side."""
    found = []
    for layer in network.layers[:-1]:
        x = layer(x)
        found.append(x > 0)
        x = torch.relu(x)
    return torch.cat(found, dim=1)


def region_labels(network: MLP, x: Float[Tensor, "points inputs"]) -> Int[Tensor, " points"]:
    """A number for each point's pattern of active units: 0, 1, ... in no particular order; equal patterns, equal numbers."""
    patterns = active_units(network, x)
    keys = torch.randint(-(2**62), 2**62, (patterns.shape[1],), generator=generator("region_counts", patterns.shape[1]))
    total = torch.zeros(len(patterns), dtype=torch.int64)
    for unit, key in zip(patterns.T, keys, strict=True):
        total += unit * key  # wraps around; two patterns then share a sum with probability about 2^-63
    labels: Tensor = torch.unique(total, return_inverse=True)[1]
    return labels


@torch.no_grad()
def pieces_along(network: MLP, start: Float[Tensor, " inputs"], end: Float[Tensor, " inputs"]) -> int:
    """Number of pieces on which the patterns of active units are constant along a segment, exactly.

    Between the places where units of earlier layers switch, each unit's input is linear, so a change of its sign has one place.
    """
    places = torch.tensor([0.0, 1.0], dtype=start.dtype)
    for depth in range(len(network.layers) - 1):
        hidden = start + places[:, None] * (end - start)
        for layer in network.layers[:depth]:
            hidden = torch.relu(layer(hidden))
        inputs = network.layers[depth](hidden)
        left, right = inputs[:-1], inputs[1:]
        interval, unit = torch.nonzero((left > 0) != (right > 0), as_tuple=True)
        a, b = left[interval, unit], right[interval, unit]
        crossing = places[interval] + (places[interval + 1] - places[interval]) * a / (a - b)
        inside = crossing[(crossing > 0) & (crossing < 1)]
        places = torch.unique(torch.cat([places, inside]))
    return len(places) - 1


@torch.no_grad()
def flat_share(network: MLP, centers: Float[Tensor, "points inputs"], step: Float[Tensor, "points inputs"]) -> float:
    """Share of short segments, center +- step, on which the output's second difference is nothing but rounding."""
    low, middle, high = (network(centers + sign * step)[:, 0] for sign in (-1, 0, 1))
    size = float(middle.abs().max())
    return float(((low + high - 2 * middle).abs() < 1e-13 * size).double().mean())


@torch.no_grad()
def folding_network(width: int, reach: float) -> MLP:
    """Two hidden layers with weights set by hand: the first folds [-reach, reach] of the first input ``width`` times onto [0, 1].

    Each unit of the second switches once in every fold, so that a line along the first input has about width^2 pieces.
    """
    network = MLP(2, (width, width), 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, second, last = network.layers
    length = 2 * reach / width
    first.get_parameter("weight").zero_()[:, 0] = 1
    first.get_parameter("bias").copy_(reach - length * torch.arange(width))
    slopes = torch.tensor([1.0] + [(-1) ** unit * 2.0 for unit in range(1, width)], dtype=torch.float64) / length
    second.get_parameter("weight").copy_(slopes.expand(width, width))
    second.get_parameter("bias").copy_(-(torch.arange(width) + 0.5) / width)
    last.get_parameter("weight").fill_(1 / math.sqrt(width))
    return network
