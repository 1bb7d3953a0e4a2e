"""Losses that keep their digits, and their gradient, at any margin."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def stable_cross_entropy(
    logits: Float[Tensor, "*batch classes"], targets: Int[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """Cross-entropy of each sample in nats, with relative accuracy where the usual formula rounds to zero.

    The loss of target y is ``softplus(logsumexp_{j != y} l_j - l_y)``. It equals ``logsumexp_j l_j - l_y``, but that form
    subtracts two nearly equal numbers: in float32 it is exactly 0, and its gradient with it, once the target leads by
    about 17. Here a lead of 80 still costs exp(-80). The loss is finite for all finite logits; the gradient is nonzero as
    long as exp(-lead) is a float of the dtype (a lead of about 100 in float32, 745 in float64). "Stable" rather than
    "exact": each term is rounded to the dtype, none is lost by cancellation.

    Its gradient is written out: one exponential serves both passes. It can be differentiated once.

    Raises:
        ValueError: fewer than two classes, or the shapes of logits and targets do not fit.
    """
    if logits.ndim == 0 or logits.shape[-1] < 2:
        raise ValueError(f"logits of shape {tuple(logits.shape)}: the last dimension must hold at least 2 classes")
    if logits.shape[:-1] != targets.shape:
        raise ValueError(f"targets of shape {tuple(targets.shape)}: must be {tuple(logits.shape[:-1])}, as the logits")
    # Sums over a short strided dimension are several times as fast as over a short contiguous one: keep the memory's order.
    if logits.ndim > 1 and logits.stride(-1) != 1:
        return _per_sample(logits.transpose(-1, -2), targets.unsqueeze(-2), -2).squeeze(-2)
    return _per_sample(logits, targets.unsqueeze(-1), -1).squeeze(-1)


def squared_error(outputs: Float[Tensor, "*batch"], targets: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Squared difference of each entry."""
    return (outputs - targets).square()


def _per_sample(logits: Tensor, targets: Tensor, dim: int) -> Tensor:
    losses: Tensor
    losses, _, _ = _StableCrossEntropy.apply(logits, targets, dim)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return losses


class _StableCrossEntropy(torch.autograd.Function):
    """Losses, the softmax over the classes other than the target, and the excess of those classes over the target."""

    generate_vmap_rule = True

    @staticmethod
    def forward(logits: Tensor, targets: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
        others = logits.scatter(dim, targets, -torch.inf)
        largest = others.amax(dim, keepdim=True)
        weights = others.sub_(largest).exp_()
        total = weights.sum(dim, keepdim=True)
        excess = total.log() + (largest - logits.gather(dim, targets))
        return functional.softplus(excess), weights.div_(total), excess

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: tuple[Tensor, Tensor, Tensor]) -> None:
        _, targets, ctx.dim = inputs
        _, weights, excess = output
        ctx.mark_non_differentiable(weights, excess)
        ctx.set_materialize_grads(False)  # zeros for the two would be as many numbers as the logits
        ctx.save_for_backward(targets, weights, excess)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, *_: Tensor) -> tuple[Tensor | None, None, None]:
        if gradient is None:  # nothing asks for it
            return None, None, None
        targets, weights, excess = ctx.saved_tensors
        share = gradient * torch.sigmoid(excess)
        return (weights * share).scatter_(ctx.dim, targets, -share), None, None
