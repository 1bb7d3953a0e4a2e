"""The exact path through all feature counts against a ``numpy.linalg.lstsq`` loop on the same arrays, all in float64."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from benchmarks.harness import NOT_SLOWER, Growth, Row, compare, growth_of
from heldout.data import Samples
from heldout.data.digit_task import one_hot, split
from heldout.double_descent import fourier
from heldout.double_descent.random_features import RATIOS

CHAPTER, TARGET = "double_descent", 10.0
NUM_TEST = 2000
TOLERANCE = 1e-8  # largest relative difference of any test error
SIZES = (125, 250, 500, 1000)


def problem(n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Samples, list[int]]:
    """Features of n training and 2,000 test digits, one-hot labels, the test digits, and forty feature counts."""
    train, _, test = split("bundled", 0, n, 1, NUM_TEST)
    counts = [round(ratio * n) for ratio in RATIOS]
    drawn = fourier.draw(counts[-1], 0)
    return fourier.features(train.x, *drawn), fourier.features(test.x, *drawn), one_hot(train.y), test, counts


def measure(scores: np.ndarray, test: Samples) -> tuple[float, float]:
    """Test error and mean squared error of one model."""
    labels = test.y.numpy()
    return float(np.mean(scores.argmax(1) != labels)), float(np.square(scores - np.eye(10)[labels]).sum(1).mean())


def by_path(n: int) -> list[tuple[float, float]]:
    """Ours: one pass through all counts."""
    design, tested, targets, test, counts = PROBLEMS[n]
    path = list(fourier.minimum_norm_path(design, targets, counts))
    return [measure(scores.numpy(), test) for scores in fourier.outputs_path(tested, path)]


def by_loop(n: int) -> list[tuple[float, float]]:
    """What a reader would write: one call a count."""
    design, tested, targets, test, counts = PROBLEMS[n]
    phi, phi_test, y = design.numpy(), tested.numpy(), targets.numpy()
    found = []
    for count in counts:
        weights = np.linalg.lstsq(phi[:, :count], y, rcond=None)[0]
        found.append(measure(phi_test[:, :count] @ weights, test))
    return found


PROBLEMS: dict[int, tuple[torch.Tensor, torch.Tensor, torch.Tensor, Samples, list[int]]] = {}


def random_features() -> Iterator[Row | Growth]:
    """Forty feature counts to 8 n on real digits, for growing n, and how the ratio grows."""
    ratios, times = [], []
    for n in SIZES:
        PROBLEMS[n] = problem(n)
        ours, plain = np.array(by_path(n)), np.array(by_loop(n))
        largest = float(np.abs(ours / plain - 1).max())
        assert largest < TOLERANCE, f"test errors differ by {largest:.1e} relative"
        row = compare(
            f"random features, n = {n}, 40 counts to {8 * n}",
            lambda n=n: by_path(n),  # type: ignore[misc]  # the loop's value, bound now
            lambda n=n: by_loop(n),  # type: ignore[misc]
            chapter=CHAPTER,
            target=TARGET if n == SIZES[-1] else NOT_SLOWER,
            dtype=torch.float64,
            rounds=3,
            note=f"test errors equal to {largest:.0e} relative",
        )
        ratios.append(row.ratio)
        times.append(row.ours)
        if n == SIZES[-1]:
            exponent = float(np.polyfit(np.log(SIZES), np.log(ratios), 1)[0])
            row = replace(row, note=f"{row.note}; the ratio grows as n^{exponent:.2f}")
        yield row
        PROBLEMS.clear()
    yield growth_of(CHAPTER, "random-feature curve", "samples", SIZES, times)
