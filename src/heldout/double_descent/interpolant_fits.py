"""Members of the plane of interpolants: the smallest, random ones, adversarial ones, and ones that hide their norm."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.data.digit_task import CLASSES, one_hot, replace_labels, split
from heldout.devices import generator
from heldout.double_descent import fourier
from heldout.double_descent.random_feature_fits import errors, inflate

Found = dict[str, np.ndarray | float]


@dataclass(frozen=True)
class Problem:
    """One seed's digits as features (float64, on the device), one-hot labels, and wrong ones for the extra digits."""

    seed: int
    design: Float[Tensor, "train features"]
    extra: Float[Tensor, "extra features"]
    test: Float[Tensor, "test features"]
    targets: Float[Tensor, "train classes"]
    extra_targets: Float[Tensor, "extra classes"]
    wrong_targets: Float[Tensor, "extra classes"]
    test_labels: Int[Tensor, " test"]

    def first(self, count: int) -> "Problem":
        """The same problem with the first ``count`` features only."""
        design, extra, test = (phi[:, :count] for phi in (self.design, self.extra, self.test))
        return Problem(
            self.seed, design, extra, test, self.targets, self.extra_targets, self.wrong_targets, self.test_labels
        )  # fmt: skip


def prepare(digits: str, sizes: tuple[int, int, int], feature_count: int, seed: int, device: torch.device) -> Problem:
    """One seed's problem; ``sizes`` are the numbers of training, extra and test digits.

    Raises:
        DataError: the full MNIST is asked for and was not fetched.
    """
    parts = split(digits, seed, *sizes)
    frequencies, phases = (part.to(device) for part in fourier.draw(feature_count, seed))
    design, extra, test = (fourier.features(part.x.to(device), frequencies, phases) for part in parts)
    wrong = replace_labels(parts[1].y, 1.0, "extra", seed)
    targets, right, wrong_targets = (one_hot(labels).to(device) for labels in (parts[0].y, parts[1].y, wrong))
    return Problem(seed, design, extra, test, targets, right, wrong_targets, parts[2].y.to(device))


def smallest(
    design: Float[Tensor, "n features"], targets: Float[Tensor, "n outputs"]
) -> Float[Tensor, "features outputs"]:
    """The interpolant of smallest norm."""
    ((_, weights),) = fourier.minimum_norm_path(design, targets, [design.shape[1]])
    return weights


def unseen_directions(
    design: Float[Tensor, "n features"], columns: int, *coordinates: int | float | str
) -> Float[Tensor, "features columns"]:
    """Random directions of weight space without the part that the rows of ``design`` see."""
    source = generator("unseen directions", *coordinates)
    direction = torch.randn(design.shape[1], columns, generator=source, dtype=torch.float64).to(design)
    return direction - smallest(design, design @ direction)


def spectrum(design: Float[Tensor, "n features"]) -> Found:
    """How many directions of weight space the design does not see, and its condition number."""
    values = torch.linalg.svdvals(design)
    seen = int((values > torch.finfo(values.dtype).eps * max(design.shape) * values[0]).sum())
    return {"null_dimension": float(design.shape[1] - seen), "condition_number": float(values[0] / values[-1])}


def random_interpolants(problem: Problem, draws: int, factors: Sequence[float]) -> Found:
    """Test error of interpolants with random null-space parts, by norm over the smallest; mean over ``draws``.

    With as many features as training digits there is nothing to add, and only the factor 1 has an error.
    """
    count = problem.design.shape[1]
    base = smallest(problem.design, problem.targets)
    null = unseen_directions(problem.design, draws * CLASSES, problem.seed, count).reshape(count, draws, CLASSES)
    error, residual = np.full(len(factors), np.nan), 0.0
    for k, factor in enumerate(factors if count > len(problem.design) else factors[:1]):
        found = torch.stack(
            [inflate(base, null[:, draw], factor) if factor > 1 else base for draw in range(draws)], dim=1
        )
        flat = found.flatten(1)
        scores = (problem.test @ flat).reshape(-1, draws, CLASSES)
        error[k] = float(errors(scores, problem.test_labels[:, None]).mean())
        fitted = (problem.design @ flat).reshape(-1, draws, CLASSES)
        residual = max(residual, float((fitted - problem.targets[:, None]).abs().max()))
    return {"test_error": error, "train_residual": residual}


def fitted_along(problem: Problem) -> Found:
    """Interpolants that also fit the extra digits, once with wrong labels (adversarial), once with right ones (informed).

    NaN where there are fewer features than digits to fit.
    """
    design = torch.cat([problem.design, problem.extra])
    names = ("adversarial", "informed")
    if design.shape[1] < len(design):
        return {f"{name}_{what}": float("nan") for name in names for what in ("error", "norm", "residual")}
    base = smallest(problem.design, problem.targets).norm()
    found: Found = {}
    for name, extra_targets in zip(names, (problem.wrong_targets, problem.extra_targets), strict=True):
        targets = torch.cat([problem.targets, extra_targets])
        weights = smallest(design, targets)
        found[f"{name}_error"] = float(errors(problem.test @ weights, problem.test_labels))
        found[f"{name}_norm"] = float(weights.norm() / base)
        found[f"{name}_residual"] = float((design @ weights - targets).abs().max())
    return found


def unseen(problem: Problem, factors: Sequence[float]) -> Found:
    """Test error when the added part is in the null space of the test digits too, so that only the norm changes."""
    design = torch.cat([problem.design, problem.test])
    null = unseen_directions(design, CLASSES, problem.seed)
    base = smallest(problem.design, problem.targets)
    found = [inflate(base, null, factor) for factor in factors]
    return {
        "unseen_error": np.array([float(errors(problem.test @ weights, problem.test_labels)) for weights in found]),
        "unseen_residual": max(float((problem.design @ w - problem.targets).abs().max()) for w in found),
    }
