"""Curves through points that depend on the values linearly, and what theory says of the polynomial among them.

Such a curve is sum_i y_i l_i(x), where the cardinal function l_i passes through 1 at the point i and through 0 at the others.
"""

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from heldout.experiment import require

NODES = ("equispaced", "chebyshev")
CURVES = ("polynomial", "cubic spline", "linear spline")


def places(nodes: str, share: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Points of [-1, 1] at the given shares of the way: even in the interval, or even on the half circle above it."""
    require(nodes in NODES, "nodes", nodes, f"one of {', '.join(NODES)}")
    return np.asarray(2 * share - 1 if nodes == "equispaced" else -np.cos(np.pi * share))


def cardinals(
    curve: str, x: Float[np.ndarray, " n"], at: Float[np.ndarray, " places"]
) -> Float[np.ndarray, "places n"]:
    """The cardinal functions of increasing points ``x``, one a column, at the given places.

    The polynomial's come from products of distances, so that no system of equations with its rounding errors is solved.

    Raises:
        ValueError: the curve is unknown, or the points are fewer than 2, not finite, or not increasing.
    """
    require(curve in CURVES, "curve", curve, f"one of {', '.join(CURVES)}")
    fine = len(x) >= 2 and bool(np.isfinite(x).all()) and bool((np.diff(x) > 0).all())
    require(fine, "x", x.tolist(), "two or more finite numbers in increasing order")
    if curve == "polynomial":
        return _lagrange(x, at)
    values = np.eye(len(x))
    if curve == "cubic spline":
        return np.asarray(CubicSpline(x, values, bc_type="natural")(at))
    return np.stack([np.interp(at, x, one) for one in values], axis=1)


def _lagrange(x: Float[np.ndarray, " n"], at: Float[np.ndarray, " places"]) -> Float[np.ndarray, "places n"]:
    apart = x[:, None] - x
    np.fill_diagonal(apart, 1)
    distance = at[:, None] - x
    hit = distance == 0
    found = np.prod(distance, axis=1, keepdims=True) / (np.where(hit, 1, distance) * np.prod(apart, axis=1))
    found[hit.any(axis=1)] = hit[hit.any(axis=1)]
    return np.asarray(found)


def spline_variation(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    """Total variation of the slope of the linear spline: no curve through the points has less."""
    return float(np.abs(np.diff(np.diff(y) / np.diff(x))).sum())


def limiting_rate(nodes: str, pole: Float[np.ndarray, "*any"] | float) -> Float[np.ndarray, "*any"]:
    """Natural logarithm of the factor by which a point more multiplies the polynomial's largest error, in the limit.

    The target is 1 / (1 + (x / b)^2), with poles at +-ib. The factor is the geometric mean of the distances from the nodes
    to the farthest point of [-1, 1], in the same sense, over that to the pole.
    """
    require(nodes in NODES, "nodes", nodes, f"one of {', '.join(NODES)}")
    b = np.asarray(pole, dtype=float)
    if nodes == "chebyshev":
        return np.asarray(-np.arcsinh(b))
    return np.asarray(np.log(2) - 0.5 * np.log1p(b**2) - b * np.arctan(1 / b))


def witch(x: Float[np.ndarray, "*any"], pole: Float[np.ndarray, "*any"] | float) -> Float[np.ndarray, "*any"]:
    """1 / (1 + (x / b)^2), with poles at +-ib; b = 0.2 gives Runge's function. The curve is the witch of Agnesi."""
    return np.asarray(1 / (1 + (x / pole) ** 2))


def moved_places(nodes: str, count: int, jitter: float, draw: np.random.Generator) -> Float[np.ndarray, " count"]:
    """``count`` points of [-1, 1], each but the two ends moved along by up to ``jitter`` of a spacing.

    The same draw gives both node sets the same shares of the way.
    """
    moved = draw.uniform(-jitter, jitter, count)
    moved[[0, -1]] = 0
    return places(nodes, (np.arange(count) + moved) / (count - 1))
