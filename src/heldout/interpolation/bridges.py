"""Piecewise-linear curves through points whose slope has the smallest total variation: the linear spline and its equals.

Where the spline turns the same way at both ends of an interval, the two turns may be moved into the interval, together or in
parts, as long as the slope keeps growing (or falling) and the points are still hit. That changes the curve and not its variation.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from heldout.experiment import require


@dataclass(frozen=True)
class Bent:
    """A line through (x0, y0) of slope s0 that changes its slope by ``jumps`` at ``kinks``.

    It is a network of one hidden layer with one free linear unit: one ReLU unit a kink, with |a w| = |jump|.
    """

    x0: float
    y0: float
    s0: float
    kinks: Float[np.ndarray, " kink"]
    jumps: Float[np.ndarray, " kink"]

    def __call__(self, x: Float[np.ndarray, " x"]) -> Float[np.ndarray, " x"]:
        """Values at ``x``; kinks left of x0 would not be undone there, so all lie right of it."""
        ramps = np.maximum(x[:, None] - self.kinks, 0)
        return np.asarray(self.y0 + self.s0 * (x - self.x0) + ramps @ self.jumps)

    def variation(self) -> float:
        """Total variation of the slope: the smallest half sum of squared weights a^2 + w^2 that writes this curve."""
        return float(abs(self.jumps).sum())

    def variation_with_biases(self) -> float:
        """The same with squared biases counted too: each jump weighs sqrt(1 + kink^2)."""
        return float((abs(self.jumps) * np.sqrt(1 + self.kinks**2)).sum())


def slopes(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n-1"]:
    """Slope of the line between neighbors.

    Raises:
        ValueError: fewer than three points, inputs that do not increase, or values that are not finite.
    """
    require(len(x) == len(y) and len(x) >= 3, "x", len(x), f"as many inputs as targets ({len(y)}), 3 or more")
    require(bool(np.isfinite(x).all() and np.isfinite(y).all()), "x, y", "not finite", "finite numbers")
    require(bool((np.diff(x) > 0).all()), "x", x, "increasing, without repeats")
    return np.asarray(np.diff(y) / np.diff(x))


def free_intervals(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n-1"]:
    """The intervals at both ends of which the spline turns the same way."""
    turns = np.diff(slopes(x, y))
    free = np.zeros(len(x) - 1, dtype=bool)
    free[1:-1] = turns[:-1] * turns[1:] > 0
    return free


def linear_spline(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Bent:
    """Straight lines between neighbors."""
    slope = slopes(x, y)
    return Bent(float(x[0]), float(y[0]), float(slope[0]), x[1:-1].copy(), np.diff(slope))


def bridged(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], share: float, pieces: int = 1) -> Bent:
    """Move a share of every turn that may be moved into the free intervals beside it.

    Args:
        share: 0 leaves the spline; 1 leaves no turn at a point beside a free interval.
        pieces: into how many equal turns each one inside an interval is cut, as wide apart as the interval lets them be.

    Raises:
        ValueError: ``share`` is not from 0 to 1, ``pieces`` is below 1, or the points are refused by :func:`slopes`.
    """
    require(0 <= share <= 1, "share", share, "from 0 to 1")
    require(pieces >= 1, "pieces", pieces, "at least 1")
    slope, free = slopes(x, y), free_intervals(x, y)
    left, right = slope[:-1].copy(), slope[1:].copy()  # slopes just left and right of the inner points
    both = free[:-1] & free[1:]
    meet = np.where(both, (slope[:-1] + slope[1:]) / 2, np.where(free[1:], slope[:-1], slope[1:]))
    left = np.where(free[:-1], left + share * (meet - left), left)
    right = np.where(free[1:], right + share * (meet - right), right)
    kinks, jumps = [x[1:-1]], [right - left]
    for i in np.flatnonzero(free):
        start, end = right[i - 1], left[i]
        if start == end:
            continue
        reach = x[i + 1] - x[i]
        place = reach * (end - slope[i]) / (end - start)
        spread = min(place, reach - place) * (np.arange(pieces) * 2 + 1 - pieces) / pieces
        kinks.append(x[i] + place + spread)
        jumps.append(np.full(pieces, (end - start) / pieces))
    return Bent(float(x[0]), float(y[0]), float(slope[0]), np.concatenate(kinks), np.concatenate(jumps))
