"""Linear regression on real data with one factor of the peak taken away: singular values, residuals, or test directions.

The three factors are those of Schaeffer et al. 2023 (arXiv 2303.14151).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from heldout.data.samples import Samples
from heldout.data.tabular import auto_mpg, diabetes, standardized
from heldout.devices import generator


def load(name: str, *, dim: int, samples: int, noise_std: float, first_seed: int) -> Samples:
    """A data set with inputs and target standardized. The synthetic one: Gaussian inputs, a linear teacher and noise."""
    if name == "diabetes":
        return standardized(diabetes())
    if name == "auto_mpg":
        return standardized(auto_mpg())
    draw = generator("three_factors", "synthetic", first_seed)
    x = torch.randn(samples, dim, generator=draw, dtype=torch.float64)
    teacher = torch.randn(dim, generator=draw, dtype=torch.float64)
    noise = torch.randn(samples, generator=draw, dtype=torch.float64)
    y = x @ teacher / teacher.norm() + noise_std * noise
    return standardized(Samples(x, y, tuple(f"x{j}" for j in range(dim))))


def order(name: str, seed: int, total: int) -> Tensor:
    """The order in which a seed takes the samples; the first n of them are its training set."""
    return torch.randperm(total, generator=generator("three_factors", name, seed))


@dataclass(frozen=True)
class Problem:
    """The samples in every seed's order, with the targets as they are and with (most of) the residuals taken out."""

    x: Float[Tensor, "seed sample d"]
    y: Float[Tensor, "seed sample"]
    y_linear: Float[Tensor, "seed sample"]


@dataclass(frozen=True)
class Modes:
    """Thin singular value decomposition of the first n training inputs of every seed, values in descending order."""

    left: Float[Tensor, "seed n k"]
    values: Float[Tensor, "seed k"]
    right: Float[Tensor, "seed k d"]


def problem_of(data: Samples, orders: Tensor, residual_share: float, device: torch.device) -> Problem:
    """Every seed's samples, and the targets of which a share of the residuals of the best linear fit is left."""
    x, y = data.x.to(device), data.y.to(device)
    q, r = torch.linalg.qr(x)
    best = x @ torch.linalg.solve_triangular(r, (q.mT @ y)[:, None], upper=True).squeeze(-1)
    orders = orders.to(device)
    return Problem(x[orders], y[orders], (best + residual_share * (y - best))[orders])


def modes_of(problem: Problem, n: int) -> Modes:
    """The decomposition of every seed's first n inputs."""
    return Modes(*torch.linalg.svd(problem.x[:, :n], full_matrices=False))


def errors(
    problem: Problem, modes: Modes, n: int, *, cutoff: float = 0.0, linear: bool = False, leading_share: float = 1.0
) -> Float[Tensor, " seed"]:
    """Test error of every seed with n training samples.

    Args:
        cutoff: singular values below this share of the largest are dropped.
        linear: take the targets of which (part of) the residuals is taken out.
        leading_share: of the d input directions, the share that the test inputs keep, strongest in training first.
    """
    y = problem.y_linear if linear else problem.y
    # Rounding leaves singular values of about 1e-16 where the rank is lower than min(n, d): they are zeros.
    kept = modes.values > max(cutoff, 1e-12) * modes.values[:, :1]
    inverse = torch.where(kept, 1 / modes.values, 0.0)
    weights = modes.right.mT @ (inverse * (modes.left.mT @ y[:, :n, None]).squeeze(-1))[..., None]
    test_x = problem.x[:, n:]
    if leading_share < 1:
        leading = modes.right[:, : max(1, round(leading_share * modes.right.shape[-1]))]
        test_x = test_x @ leading.mT @ leading
    error: Tensor = (test_x @ weights).squeeze(-1) - y[:, n:]
    return error.square().mean(-1)
