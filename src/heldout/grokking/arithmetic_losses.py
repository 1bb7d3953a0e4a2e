"""Cross-entropy in three arithmetics, a loss with another softmax, and what they should give, in sixty digits."""

from decimal import Decimal, localcontext

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.losses import stable_cross_entropy

_DIGITS = 60


def float32_cross_entropy(
    logits: Float[Tensor, "*batch classes"], targets: Int[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """Minus the log-softmax at the target, in the logits' own dtype: PyTorch's formula."""
    return -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def float64_cross_entropy(
    logits: Float[Tensor, "*batch classes"], targets: Int[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """The same formula after the logits have been cast to float64."""
    return float32_cross_entropy(logits.double(), targets)


def stablemax_cross_entropy(
    logits: Float[Tensor, "*batch classes"], targets: Int[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """Minus the log of s(l_y) / sum_j s(l_j) with s(l) = l + 1 for l >= 0 and 1 / (1 - l) below.

    StableMax, Prieto et al. 2025 (arXiv 2501.04697). It is a loss of its own, not a better computation of the old one: a
    probability falls with the first power of the margin. Written as log(1 + rest / s(l_y)), so that it does not round to zero.
    """
    size = torch.where(logits >= 0, logits + 1, 1 / (1 - logits.clamp(max=0)))
    chosen = targets.unsqueeze(-1)
    rest = size.scatter(-1, chosen, 0.0).sum(-1, keepdim=True)
    return torch.log1p(rest / size.gather(-1, chosen)).squeeze(-1)


ARITHMETICS = {"float32": float32_cross_entropy, "float64": float64_cross_entropy, "stable": stable_cross_entropy}


def exact_cross_entropy(
    logits: Float[np.ndarray, " classes"], target: int
) -> tuple[float, Float[np.ndarray, " classes"]]:
    """Loss and gradient of one sample from sums of positive numbers in sixty digits, rounded to float64 at the end."""
    with localcontext() as context:
        context.prec = _DIGITS
        sizes = [Decimal(float(logit)).exp() for logit in logits]
        rest = sum((size for label, size in enumerate(sizes) if label != target), Decimal(0))
        total = rest + sizes[target]
        gradient = [float(size / total) for size in sizes]
        gradient[target] = -float(rest / total)
        return float((total / sizes[target]).ln()), np.array(gradient)


def rounded(
    loss_name: str, logits: Float[Tensor, " classes"], target: int
) -> tuple[float, Float[np.ndarray, " classes"]]:
    """Loss and gradient of one sample in one of the arithmetics."""
    leaf = logits.detach().clone().requires_grad_()
    loss = ARITHMETICS[loss_name](leaf.unsqueeze(0), torch.tensor([target], device=logits.device)).sum()
    (gradient,) = torch.autograd.grad(loss, leaf)
    return float(loss.detach()), gradient.double().cpu().numpy()
