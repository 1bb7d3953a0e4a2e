"""Paths between transformers: curves in the space of weights, and mixtures of what two of them say.

A bent path is a quadratic Bezier curve with fixed ends, whose middle is trained on the loss at random places of the curve, as in
Garipov et al. 2018 (arXiv 1802.10026).
"""

import copy
import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heldout.decoders import Transformers
from heldout.prefix_tree import PrefixTree


def part(models: Transformers, chosen: Int[np.ndarray, " some"]) -> Transformers:
    """A copy of the members with the given numbers."""
    some = copy.deepcopy(models)
    for value in some.parameters():
        value.data = value.detach()[torch.from_numpy(chosen)]
    some.count = len(some.embed)
    return some


class _OnTree(nn.Module):
    """Transformers as a module whose forward pass reads a tree, for :func:`torch.func.functional_call`."""

    def __init__(self, models: Transformers) -> None:
        super().__init__()
        self.models = models

    def forward(self, tree: PrefixTree) -> Tensor:
        return self.models.on_tree(tree)


class Curve(nn.Module):
    """Bezier curves, one a member: at place t the weights are (1 - t)^2 first + 2 t (1 - t) middle + t^2 last.

    Only the middle is a parameter. It begins halfway between the ends, where the curve is the straight line. To
    :func:`heldout.nonidentifiability.sequence_training.train` a curve is a model that is at another place at every update.

    Args:
        first: the members at place 0.
        last: as many at place 1.
        generator: draws the places at which training looks, on the CPU.
    """

    def __init__(self, first: Transformers, last: Transformers, generator: torch.Generator) -> None:
        super().__init__()
        self.first, self.last = ([value.detach().clone() for value in end.parameters()] for end in (first, last))
        self.middle = nn.ParameterList([(a + b) / 2 for a, b in zip(self.first, self.last, strict=True)])
        self.generator = generator
        self._reader = (
            _OnTree(copy.deepcopy(first)),
        )  # in a tuple, so that its weights are not the curve's parameters

    def points(self, place: float) -> list[Tensor]:
        """All weights at a place from 0 to 1, with their gradients to the middle."""
        shares = (1 - place) ** 2, 2 * place * (1 - place), place**2
        ways = zip(self.first, self.middle, self.last, strict=True)
        return [shares[0] * a + shares[1] * m + shares[2] * b for a, m, b in ways]

    def at(self, place: float) -> Transformers:
        """The networks at a place, with weights of their own."""
        found = copy.deepcopy(self._reader[0].models)
        with torch.no_grad():
            for value, point in zip(found.parameters(), self.points(place), strict=True):
                value.copy_(point)
        return found

    def on_tree(self, tree: PrefixTree) -> Float[Tensor, "member node outputs"]:
        """Logits at a place drawn uniformly, the same for all members."""
        reader = self._reader[0]
        place = float(torch.rand(1, generator=self.generator))
        names = [name for name, _ in reader.named_parameters()]
        logits: Tensor = torch.func.functional_call(reader, dict(zip(names, self.points(place), strict=True)), (tree,))
        return logits


def mixed(first: Float[Tensor, "*any"], last: Float[Tensor, "*any"], place: float) -> Float[Tensor, "*any"]:
    """Logarithms of (1 - t) times the first probabilities plus t times the last, from logarithms, at place t from 0 to 1."""
    if place in (0.0, 1.0):
        return last if place else first
    return torch.logaddexp(first + math.log1p(-place), last + math.log(place))
