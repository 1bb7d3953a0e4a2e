"""A two-layer network of nearly linear units, the square it is asked to learn, and the smallest fit with its first features."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heldout.devices import generator

VARIANCE = 0.5  # of z^2 / 2 for a standard normal z


class PolynomialUnits(nn.Module):
    """The mean over units of ``h + curvature h^2 / 2`` with ``h = w x``: Kumar et al.'s network, whose output weights stay one.

    Every weight starts standard normal; ``seed`` decides it.
    """

    def __init__(self, dimension: int, units: int, curvature: float, seed: int) -> None:
        super().__init__()
        self.curvature = curvature
        self.weight = nn.Parameter(torch.randn(units, dimension, generator=generator("lazy start", "weights", seed)))

    def forward(self, x: Float[Tensor, "batch dimension"]) -> Float[Tensor, " batch"]:
        """The output of each input."""
        h = x @ self.weight.T
        return (h + self.curvature / 2 * h.square()).mean(-1)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Inputs (samples, dimension), targets (samples,), and the direction of length one whose square the target is."""

    inputs: Float[Tensor, "sample dimension"]
    targets: Float[Tensor, " sample"]
    direction: Float[Tensor, " dimension"]


def draw(seed: int, *, dimension: int, count: int) -> Sample:
    """Normal inputs of mean square length one, and half the square of their part along a random direction (variance 1/2)."""
    direction = torch.randn(dimension, generator=generator("lazy start", "direction", seed))
    direction = direction / direction.norm()
    inputs = torch.randn(count, dimension, generator=generator("lazy start", "inputs", seed)) / dimension**0.5
    return Sample(inputs=inputs, targets=dimension * (inputs @ direction).square() / 2, direction=direction)


def kernel_error(network: PolynomialUnits, sample: Sample, count: int) -> float:
    """Held-out error, over the target's variance, of the fit to the first ``count`` inputs with the network's features fixed.

    The minimum-norm fit in the network's gradients, which training without any change of features tends to: kernel regression
    with k(x, x') = x x' sum_i (1 + c h_i(x)) (1 + c h_i(x')), c the curvature.
    """
    inputs, targets = sample.inputs.double(), sample.targets.double()
    slopes = 1 + network.curvature * inputs @ network.weight.detach().double().T
    kernel = (slopes @ slopes[:count].T) * (inputs @ inputs[:count].T)
    fitted = kernel[count:] @ torch.linalg.lstsq(kernel[:count], targets[:count, None], driver="gelsd").solution
    return float((fitted[:, 0] - targets[count:]).square().mean() / VARIANCE)


def first_outputs(networks: Sequence[PolynomialUnits], samples: Sequence[Sample]) -> Float[Tensor, "seed sample"]:
    """What the networks say at the start, each of its own inputs."""
    with torch.no_grad():
        return torch.stack([network(sample.inputs) for network, sample in zip(networks, samples, strict=True)])
