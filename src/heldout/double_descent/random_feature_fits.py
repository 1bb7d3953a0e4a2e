"""The fits behind :mod:`random_features`: interpolants and ridge models of one seed, with the measures of each.

All label vectors that one design is fitted to (clean, noisy, the controls') are columns of one right-hand side, ten a fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.data.digit_task import CLASSES, one_hot
from heldout.devices import generator
from heldout.double_descent import fourier

NORM_FACTOR = 8.0
Found = dict[str, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """One seed's digits as features (float64, on the device) and their labels; the labels' second axis is noise."""

    seed: int
    design: Float[Tensor, "train features"]
    validation: Float[Tensor, "validation features"]
    test: Float[Tensor, "test features"]
    labels: Int[Tensor, "train noise"]  # as trained on
    validation_labels: Int[Tensor, "validation noise"]  # replaced as often as the training labels
    test_labels: Int[Tensor, "test 1"]  # true

    @property
    def targets(self) -> Float[Tensor, "train noise*classes"]:
        """One-hot training labels, ten columns a noise level."""
        return torch.cat([one_hot(column) for column in self.labels.T], dim=1)


def interpolants(problem: Problem, counts: Sequence[int]) -> Found:
    """Least squares of smallest norm at every count: for each noise level, and for the labels of a teacher.

    The teacher is the fit of the clean labels by the largest count of at most half the samples, so from there on its labels
    are met exactly. A direction drawn at random is fitted along: what the design does not see of it is added to the last
    interpolant until its norm has grown by ``NORM_FACTOR``.
    """
    num_noise, targets = problem.labels.shape[1], problem.targets
    half = max(count for count in counts if count <= len(targets) // 2)
    ((_, teacher),) = fourier.minimum_norm_path(problem.design, targets[:, :CLASSES], [half])
    source = generator("inflated", problem.seed)
    direction = torch.randn(counts[-1], CLASSES, generator=source, dtype=torch.float64).to(targets)
    columns = torch.cat([targets, problem.design[:, :half] @ teacher, problem.design @ direction], dim=1)
    taught, truth, found = problem.test[:, :half] @ teacher, one_hot(problem.test_labels[:, 0]), []
    path = list(fourier.minimum_norm_path(problem.design, columns, counts))
    fitted, tested = (fourier.outputs_path(phi, path) for phi in (problem.design, problem.test))
    for (_, weights), on_train, on_test in zip(path, fitted, tested, strict=True):
        residual = by_fit((on_train - columns).abs()).amax((0, 2))
        scores, norm = by_fit(on_test), by_fit(weights).norm(dim=(0, 2))
        one = {
            "test_error": errors(scores[:, :num_noise], problem.test_labels),
            "test_mse": (scores[:, :num_noise] - truth[:, None]).square().sum(-1).mean(0),
            "train_residual": residual[:num_noise],
            "weight_norm": norm[:num_noise],
            "teacher_mse": (scores[:, num_noise] - taught).square().sum(-1).mean(),
            "teacher_residual": residual[num_noise],
        }
        found.append(one)
    stacked = {name: torch.stack([one[name] for one in found], dim=-1) for name in found[0]}
    inflated = inflate(weights[:, :CLASSES], direction - weights[:, -CLASSES:], NORM_FACTOR)
    stacked["inflated_error"] = errors(problem.test @ inflated, problem.test_labels[:, 0])
    stacked["inflated_residual"] = (problem.design @ inflated - targets[:, :CLASSES]).abs().max()
    return {name: values.cpu().numpy() for name, values in stacked.items()}


def inflate(
    smallest: Float[Tensor, "features outputs"], null: Float[Tensor, "features outputs"], factor: float
) -> Float[Tensor, "features outputs"]:
    """The interpolant of smallest norm plus a multiple of a null-space direction, ``factor`` times as large in norm."""
    added: float = (factor**2 - 1) ** 0.5
    return torch.add(smallest, null, alpha=added * float(smallest.norm() / null.norm()))


def ridge_models(problem: Problem, counts: Sequence[int], ridges: Sequence[float]) -> Found:
    """Ridge regression at every count and ridge, on every noise level."""
    num_noise, targets, found = problem.labels.shape[1], problem.targets, []
    for count, weights in fourier.ridge_path(problem.design, targets, counts, ridges):
        flat = weights.movedim(0, 1).flatten(1)  # columns: ridge, noise, class
        fitted, held_out, scores = (
            (phi[:, :count] @ flat).reshape(-1, len(ridges), num_noise, CLASSES).movedim(1, 2)
            for phi in (problem.design, problem.validation, problem.test)
        )
        truth = targets.reshape(-1, num_noise, 1, CLASSES)
        one = {
            "ridge_test_error": errors(scores, problem.test_labels[..., None]),
            "ridge_validation_error": errors(held_out, problem.validation_labels[..., None]),
            "ridge_train_error": errors(fitted, problem.labels[..., None]),
            "ridge_train_residual": (fitted - truth).abs().amax((0, -1)),
        }
        found.append(one)
    return {name: torch.stack([one[name] for one in found], dim=1).cpu().numpy() for name in found[0]}


def by_fit(columns: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows fits classes"]:
    """Columns grouped by tens."""
    return columns.reshape(len(columns), -1, CLASSES)


def errors(scores: Float[Tensor, "n *fits classes"], labels: Int[Tensor, "n ..."]) -> Float[Tensor, "*fits"]:
    """Share of items whose largest score is not at the label, for every fit."""
    return (scores.argmax(-1) != labels).double().mean(0)
