"""Two moons, the small homogeneous networks that tell them apart, and two losses to train those with."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from heldout.devices import generator


class Homogeneous(nn.Module):
    """f(x) = sum_j a_j relu(w_j . x) without offsets: doubling all weights multiplies f by four."""

    def __init__(self, inputs: int, width: int, draw: torch.Generator) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.randn(width, inputs, generator=draw, dtype=torch.float64) / math.sqrt(inputs))
        self.out = nn.Parameter(torch.randn(width, generator=draw, dtype=torch.float64) / math.sqrt(width))

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, " batch"]:
        """One output a sample; its sign is the class."""
        return functional.relu(x @ self.hidden.T) @ self.out


def moons(
    seeds: list[int], name: str, count: int, noise_std: float
) -> tuple[Float[Tensor, "seed n inputs"], Float[Tensor, "seed n"]]:
    """Points about two interlaced half circles, with a constant 1 as third input, and their classes -1 and 1."""
    sides = (torch.arange(count) % 2).double() * 2 - 1
    inputs = []
    for seed in seeds:
        draw = generator("moons", name, seed)
        angle = torch.rand(count, generator=draw, dtype=torch.float64) * torch.pi
        arc = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], dim=1)
        points = arc * sides[:, None] + noise_std * torch.randn(count, 2, generator=draw, dtype=torch.float64)
        inputs.append(torch.cat([points, torch.ones(count, 1, dtype=torch.float64)], dim=1))
    return torch.stack(inputs), sides.expand(len(seeds), count).contiguous()


def pushing(outputs: Float[Tensor, "member n"], sides: Float[Tensor, "member n"]) -> Float[Tensor, "member n"]:
    """A growing function of the mean exponential loss L: near log L while L is large, then -log log 1/L."""
    log_inverse = math.log(sides.shape[1]) - torch.logsumexp(-sides * outputs, dim=1, keepdim=True)
    return -functional.softplus(log_inverse).log().expand_as(sides)


def content(outputs: Float[Tensor, "member n"], sides: Float[Tensor, "member n"]) -> Float[Tensor, "member n"]:
    """The perceptron's loss: how far a point is on the wrong side, and 0 on the right one."""
    return functional.relu(-sides * outputs)
