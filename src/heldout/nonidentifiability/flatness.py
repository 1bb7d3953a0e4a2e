"""How flat the loss is around transformers that write a^n b^n, and two rescalings of their weights.

Where a model gives the data's probabilities, the Hessian of its divergence from the data is the Fisher matrix, whose trace over
the different prefixes of the data is a finite sum (Liu et al. 2022, arXiv 2210.14199, and Dinh et al. 2017, arXiv 1703.04933, for
the trace as a measure of flatness and for what rescaling does to it).
"""

import copy

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from heldout.decoders import Transformers
from heldout.experiment import require
from heldout.prefix_tree import PrefixTree


def trace(models: Transformers, tree: PrefixTree) -> Float[np.ndarray, " member"]:
    """Trace of each member's Fisher matrix over all its weights, in nats a sequence.

    A sum over prefixes, each weighted with how often a sequence of the data holds it, and over next tokens, each weighted with
    the probability that the member gives to it, of the squared length of the gradient of that probability's logarithm.
    """
    tree = tree.to(models.embed)
    parameters = list(models.parameters())
    logs = models.on_tree(tree).log_softmax(-1)  # (member, node, output)
    sequences = tree.counts[tree.places == 0].sum()
    often = tree.counts.sum(1) / sequences
    total = torch.zeros(models.count, dtype=torch.float64, device=logs.device)
    for node, output in np.ndindex(*logs.shape[1:]):
        gradients = torch.autograd.grad(logs[:, node, output].sum(), parameters, retain_graph=True, allow_unused=True)
        lengths = [part.flatten(1).square().sum(1) for part in gradients if part is not None]
        total += often[node] * logs[:, node, output].detach().exp() * torch.stack(lengths).sum(0)
    return total.cpu().numpy()


@torch.no_grad()
def values_rescaled(models: Transformers, factor: float) -> Transformers:
    """A copy in double precision whose values are multiplied, and the weights that mix them divided, by a factor.

    Nothing but a sum lies between the two, so the function is the same.

    Raises:
        ValueError: the factor is not above 0.
    """
    require(factor > 0, "factor", factor, "above 0")
    moved = copy.deepcopy(models).double()
    for layer in range(models.layers):
        for name in (f"attend{layer}", f"attend{layer}_bias"):
            moved.get_parameter(name)[..., 2 * models.width :] *= factor
        moved.get_parameter(f"mix{layer}").div_(factor)
    return moved


@torch.no_grad()
def hidden_rescaled(models: Transformers, factor: float) -> Transformers:
    """A copy in double precision with the factor on what goes into the hidden units, and its inverse on what comes out of them.

    The units bend between the two (GELU), so the function changes.

    Raises:
        ValueError: the factor is not above 0.
    """
    require(factor > 0, "factor", factor, "above 0")
    moved = copy.deepcopy(models).double()
    for layer in range(models.layers):
        for name in (f"widen{layer}", f"widen{layer}_bias"):
            moved.get_parameter(name).mul_(factor)
        moved.get_parameter(f"narrow{layer}").div_(factor)
    return moved


def lengths(models: Transformers) -> Float[np.ndarray, " member"]:
    """The Euclidean length of all weights of each member."""
    squares: list[Tensor] = [value.detach().flatten(1).square().sum(1) for value in models.parameters()]
    return torch.stack(squares).sum(0).sqrt().cpu().numpy()
