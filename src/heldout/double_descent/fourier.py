"""Random Fourier features, and the exact least-squares fit at every number of features in one pass.

Features sqrt(2) cos(w . x + b) with w ~ N(0, scale^2 I) and b uniform in [0, 2 pi): their inner products approximate a
Gaussian kernel (Rahimi and Recht 2007). Belkin et al. 2019 (arXiv 1812.11118) sweep their number through the number of
samples. A model with N features uses the first N of one draw, so larger models contain smaller ones.

A loop over ``lstsq`` solves every feature count from nothing. The counts share nearly all their work:

* up to n features, one QR factorization serves all: the inverse of a leading block of R is the leading block of its inverse,
  so each count adds columns to a running sum;
* beyond n, K = Phi Phi^T grows by the new features' share, and the weights are Phi^T K^-1 Y after one Cholesky
  factorization and one step of iterative refinement;
* K squares the condition number of Phi, so just above n, where that is large, Phi^T itself is factorized by QR.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from heldout.devices import generator
from heldout.experiment import require

SCALE = 0.2  # standard deviation of the frequencies, for pixels in [0, 1]
GRAM_FROM = 1.02  # features per sample from which K is well enough conditioned to be factorized
BLOCK = 1024


def draw(
    count: int, seed: int, *, dimension: int = 784, scale: float = SCALE
) -> tuple[Float[Tensor, "count dimension"], Float[Tensor, " count"]]:
    """Frequencies and phases of ``count`` features (float32, CPU). A larger count extends a smaller one.

    Raises:
        ValueError: ``count`` is below 1.
    """
    require(count >= 1, "count", count, "at least 1")
    frequencies, phases = [], []
    for block in range(math.ceil(count / BLOCK)):
        source = generator("fourier features", seed, block)
        frequencies.append(scale * torch.randn(BLOCK, dimension, generator=source))
        phases.append(2 * math.pi * torch.rand(BLOCK, generator=source))
    return torch.cat(frequencies)[:count], torch.cat(phases)[:count]


def features(
    x: Float[Tensor, "n dimension"], frequencies: Float[Tensor, "count dimension"], phases: Float[Tensor, " count"]
) -> Float[Tensor, "n count"]:
    """sqrt(2) cos(w . x + b) in float64: at the threshold the solution magnifies a rounding of the features ten-thousandfold."""
    frequencies, phases = frequencies.to(x.device), phases.to(x.device)
    return torch.addmm(phases.double(), x.double(), frequencies.double().T).cos_().mul_(math.sqrt(2))


def minimum_norm_path(
    design: Float[Tensor, "n features"], targets: Float[Tensor, "n outputs"], counts: Sequence[int]
) -> Iterator[tuple[int, Float[Tensor, "count outputs"]]]:
    """Least-squares weights on the first ``count`` columns for every count; of smallest norm where they are not unique.

    Yields:
        (count, weights), in the order of ``counts``.

    Raises:
        ValueError: the counts do not increase or exceed the columns, or a leading block of the design has not full rank.
    """
    counts = list(counts)
    require(counts == sorted(set(counts)), "counts", counts, "increasing")
    require(
        bool(counts) and counts[0] >= 1 and counts[-1] <= design.shape[1], "counts", counts, "from 1 to the columns"
    )
    n = design.shape[0]
    yield from _up_to_the_threshold(design, targets, [count for count in counts if count <= n])
    yield from _beyond_the_threshold(design, targets, [count for count in counts if count > n])


def _up_to_the_threshold(
    design: Float[Tensor, "n features"], targets: Float[Tensor, "n outputs"], counts: list[int]
) -> Iterator[tuple[int, Float[Tensor, "count outputs"]]]:
    if not counts:
        return
    basis, triangle = _factorize(design[:, : counts[-1]])
    inverse = torch.linalg.solve_triangular(triangle, torch.eye(counts[-1]).to(triangle), upper=True)
    projections = basis.T @ targets
    weights, done = torch.zeros_like(projections), 0
    for count in counts:
        # Columns of the inverse are zero below the diagonal, so rows from `count` on are still zero.
        weights += inverse[:, done:count] @ projections[done:count]
        done = count
        yield count, weights[:count].clone()


def _beyond_the_threshold(
    design: Float[Tensor, "n features"], targets: Float[Tensor, "n outputs"], counts: list[int]
) -> Iterator[tuple[int, Float[Tensor, "count outputs"]]]:
    n, done = len(design), 0
    gram = torch.zeros(n, n).to(design)
    for count in counts:
        used = design[:, :count]
        if count < GRAM_FROM * n:
            basis, triangle = _factorize(used.T)
            weights = basis @ torch.linalg.solve_triangular(triangle.T, targets, upper=False)
        else:
            gram.addmm_(design[:, done:count], design[:, done:count].T)
            done = count
            factor = torch.linalg.cholesky(gram)
            weights = used.T @ torch.cholesky_solve(targets, factor)
            weights += used.T @ torch.cholesky_solve(targets - used @ weights, factor)
        yield count, weights


def _factorize(
    tall: Float[Tensor, "rows columns"],
) -> tuple[Float[Tensor, "rows columns"], Float[Tensor, "columns columns"]]:
    """Q and R of a matrix of full column rank."""
    basis, triangle = torch.linalg.qr(tall)
    pivots = triangle.diagonal().abs()
    floor = torch.finfo(tall.dtype).eps * len(tall) * pivots.max()
    require(bool(pivots.min() > floor), "design", tuple(tall.shape), "of full rank in every leading block")
    return basis, triangle


def ridge_path(
    design: Float[Tensor, "n features"],
    targets: Float[Tensor, "n outputs"],
    counts: Sequence[int],
    ridges: Sequence[float],
) -> Iterator[tuple[int, Float[Tensor, "ridges count outputs"]]]:
    """Minimizers of |Phi w - y|^2 + ridge |w|^2 on the first ``count`` columns, for every count and every ridge.

    Up to n features in primal form, where the Gram matrix of the first columns is a leading block of one matrix; beyond in
    dual form, with the running K.

    Yields:
        (count, weights), in the order of ``counts``.

    Raises:
        ValueError: a ridge is not positive.
    """
    require(min(ridges) > 0, "ridges", tuple(ridges), "positive")
    n, done = len(design), 0
    below = [count for count in counts if count <= n]
    columns = design[:, : max(below, default=0)]
    inner, moments = columns.T @ columns, columns.T @ targets
    outer = torch.zeros(n, n).to(design)
    for count in counts:
        if count <= n:
            solved = [_regularized_solve(inner[:count, :count], ridge, moments[:count]) for ridge in ridges]
            yield count, torch.stack(solved)
        else:
            outer.addmm_(design[:, done:count], design[:, done:count].T)
            done = count
            duals = [_regularized_solve(outer, ridge, targets) for ridge in ridges]
            yield count, torch.stack([design[:, :count].T @ dual for dual in duals])


def _regularized_solve(
    gram: Float[Tensor, "size size"], ridge: float, targets: Float[Tensor, "size outputs"]
) -> Float[Tensor, "size outputs"]:
    shifted = gram.clone()
    shifted.diagonal().add_(ridge)
    return torch.cholesky_solve(targets, torch.linalg.cholesky(shifted))
