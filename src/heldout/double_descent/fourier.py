"""Random Fourier features, and the exact least-squares fit at every number of features in one pass.

Features sqrt(2) cos(omega . x + b) with omega ~ N(0, scale^2 I) and b uniform in [0, 2 pi): their inner products approximate a
Gaussian kernel (Rahimi and Recht 2007). Belkin et al. 2019 (arXiv 1812.11118) sweep their number through the number of
samples. A model with N features uses the first N of one draw, so larger models contain smaller ones.

A loop over ``lstsq`` solves every feature count from nothing. The counts share nearly all their work:

* up to n features, one QR factorization serves all: the inverse of a leading block of R is the leading block of its inverse,
  so each count adds columns to a running sum;
* beyond n, K = Phi Phi^T grows by the new features' share, and the weights are Phi^T K^-1 Y after one Cholesky
  factorization and, where K is less well conditioned, a step of iterative refinement;
* K squares the condition number of Phi, so just above n, where that is large, Phi^T itself is factorized by QR.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from heldout.devices import generator
from heldout.experiment import require

SCALE = 0.2  # standard deviation of the frequencies, for pixels in [0, 1]
GRAM_FROM = 1.01  # features per sample from which K is well enough conditioned to be factorized
REFINE_UP_TO = 2.0  # features per sample up to which a step of refinement gains digits
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
    """sqrt(2) cos(omega . x + b) in float64, since at the threshold a rounding of the features is magnified ten-thousandfold."""
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
    near = [count for count in counts if count < GRAM_FROM * n]
    for count in near:
        basis, triangle = _factorize(design[:, :count].T)
        yield count, basis @ torch.linalg.solve_triangular(triangle.T, targets, upper=False)
    far, duals = counts[len(near) :], []
    gram = torch.zeros(n, n).to(design)
    for count in far:
        _add_outer_product(gram, design[:, done:count])
        done = count
        factor = torch.linalg.cholesky(gram)
        dual = torch.cholesky_solve(targets, factor)
        if count < REFINE_UP_TO * n:
            used = design[:, :count]
            dual += torch.cholesky_solve(targets - used @ (dual.T @ used).T, factor)
        duals.append(dual)
    yield from zip(far, _primal(design, duals, far), strict=True)


def _add_outer_product(gram: Float[Tensor, "n n"], columns: Float[Tensor, "n new"], parts: int = 8) -> None:
    """Add columns @ columns.T to the lower triangle by blocks of rows; a Cholesky factorization reads no more."""
    edges = [len(gram) * part // parts for part in range(parts + 1)]
    for top, bottom in pairwise(edges):
        gram[top:bottom, :bottom].addmm_(columns[top:bottom], columns[:bottom].T)


def _primal(
    design: Float[Tensor, "n features"], duals: list[Float[Tensor, "n outputs"]], counts: list[int]
) -> list[Float[Tensor, "count outputs"]]:
    """design[:, :count].T @ dual for every count, each block of columns read once for all counts that use it."""
    if not counts:
        return []
    outputs, stacked = duals[0].shape[1], torch.cat(duals, dim=1)
    found = [torch.empty(count, outputs).to(design) for count in counts]
    for k, (start, stop) in enumerate(pairwise([0, *counts])):
        block = (stacked[:, k * outputs :].T @ design[:, start:stop]).T
        for weights, columns in zip(found[k:], torch.split(block, outputs, dim=1), strict=True):
            weights[start:stop] = columns
    return found


def outputs_path(
    features: Float[Tensor, "rows features"], path: Sequence[tuple[int, Float[Tensor, "count outputs"]]]
) -> list[Float[Tensor, "rows outputs"]]:
    """features[:, :count] @ weights for every member of a path, each block of features read once for all that use it."""
    outputs = path[0][1].shape[1]
    summed = torch.zeros(len(features), outputs * len(path)).to(features)
    for k, (start, stop) in enumerate(pairwise([0, *(count for count, _ in path)])):
        block = torch.cat([weights[start:stop] for _, weights in path[k:]], dim=1)
        summed[:, k * outputs :].addmm_(features[:, start:stop], block)
    return list(torch.split(summed, outputs, dim=1))


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
            _add_outer_product(outer, design[:, done:count])
            done = count
            duals = [_regularized_solve(outer, ridge, targets) for ridge in ridges]
            yield count, torch.stack([design[:, :count].T @ dual for dual in duals])


def _regularized_solve(
    gram: Float[Tensor, "size size"], ridge: float, targets: Float[Tensor, "size outputs"]
) -> Float[Tensor, "size outputs"]:
    shifted = gram.clone()
    shifted.diagonal().add_(ridge)
    return torch.cholesky_solve(targets, torch.linalg.cholesky(shifted))
