"""One-dimensional networks with one hidden layer of ReLU units: how they start, how they are fitted, and how they bend.

f(x) = sum_j a_j relu(w_j x + b_j) + c is linear between its kinks -b_j / w_j, so everything about it can be computed exactly.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from heldout.ensemble import TrainingData
from heldout.exact_fits import remove_residual, train_in_stages
from heldout.experiment import require
from heldout.networks import MLP


def relu_curve(
    width: int,
    *,
    generator: torch.Generator,
    init_scale: float,
    antisymmetric: bool = False,
    reach: float = 1.2,
    dtype: torch.dtype = torch.float64,
) -> MLP:
    """A network from R to R whose kinks start uniform in [-reach, reach] and whose weights start normal.

    Slopes w_j have standard deviation ``init_scale``, output weights a_j ``init_scale / sqrt(width)``; the output bias is 0.
    With ``antisymmetric``, each of the first width / 2 units has a twin with the opposite output weight, so that the network
    starts as the zero function at any scale (Chizat, Oyallon and Bach 2019, arXiv 1812.07956, section 3).

    Raises:
        ValueError: the width is below 1, or odd where it must be even; ``init_scale`` or ``reach`` is not positive.
    """
    require(width >= 1, "width", width, "at least 1")
    require(not (antisymmetric and width % 2), "width", width, "even for an antisymmetric start")
    require(init_scale > 0, "init_scale", init_scale, "above 0")
    require(reach > 0, "reach", reach, "above 0")
    drawn = width // 2 if antisymmetric else width
    kinks = (torch.rand(drawn, generator=generator, dtype=dtype) * 2 - 1) * reach
    slopes = torch.randn(drawn, generator=generator, dtype=dtype) * init_scale
    outputs = torch.randn(drawn, generator=generator, dtype=dtype) * init_scale / math.sqrt(width)
    if antisymmetric:
        kinks, slopes, outputs = torch.cat([kinks] * 2), torch.cat([slopes] * 2), torch.cat([outputs, -outputs])
    network = MLP(1, (width,), 1, generator=torch.Generator().manual_seed(0), dtype=dtype)
    with torch.no_grad():
        first, last = network.layers
        first.get_parameter("weight").copy_(slopes[:, None])
        first.get_parameter("bias").copy_(-slopes * kinks)
        last.get_parameter("weight").copy_(outputs[None])
        last.get_parameter("bias").zero_()
    return network


def fit_curves(
    members: Sequence[MLP],
    x_SN: Float[Tensor, "seed n"],
    y_SN: Float[Tensor, "seed n"],
    streams: Sequence[int],
    *,
    seeds: Sequence[int],
    steps: int,
    learning_rates: Sequence[float],
    device: str | torch.device = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Float[Tensor, " members"]:
    """Train every member in place to fit the points of its stream exactly; see :mod:`heldout.exact_fits`.

    Args:
        streams: for each member the row of ``x_SN`` that it is fitted to.
        seeds: names of the rows.

    Returns:
        The training mean squared error of each member, in squared units of y.
    """
    targets = y_SN[list(streams)][..., None]
    data = TrainingData(inputs=x_SN[..., None], targets=targets, streams=list(streams), keys=list(seeds))
    train_in_stages(members, data, steps=steps, learning_rates=learning_rates, device=device, progress=progress)
    errors = []
    for member, stream in zip(members, streams, strict=True):
        x, y = x_SN[stream][:, None], y_SN[stream][:, None]
        remove_residual(member, x, y)
        with torch.no_grad():
            errors.append((member(x) - y).square().mean())
    return torch.stack(errors)


@torch.no_grad()
def slope_variation(network: MLP, low: float, high: float) -> float:
    """Total variation of the slope f' on [low, high], exactly: the jumps at the kinks inside, those at one place added up.

    Units: those of y over those of x.
    """
    first, last = network.layers
    weight, bias = first.get_parameter("weight")[:, 0], first.get_parameter("bias")
    jumps = last.get_parameter("weight")[0] * weight.abs()
    kinks = -bias / weight
    inside = (kinks > low) & (kinks < high)
    places, which = torch.unique(kinks[inside], return_inverse=True)
    return float(torch.zeros_like(places).index_add_(0, which, jumps[inside]).abs().sum())
