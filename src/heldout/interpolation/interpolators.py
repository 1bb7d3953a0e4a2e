"""Rules that pass through every point of a one-dimensional sample: where the loss is zero and only the rule is left.

All take training inputs ``x``, targets ``y`` (one column a set of targets) and places ``at``, and return one row a place.
"""

import numpy as np
from jaxtyping import Float


def nearest(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, "n sets"], at: Float[np.ndarray, " place"]
) -> Float[np.ndarray, "place sets"]:
    """The target of the nearest training input; ``x`` is sorted."""
    right = np.clip(np.searchsorted(x, at), 1, len(x) - 1)
    return np.asarray(y[np.where(at - x[right - 1] <= x[right] - at, right - 1, right)])


def singular_kernel(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, "n sets"],
    at: Float[np.ndarray, " place"],
    window: float,
    power: float,
) -> Float[np.ndarray, "place sets"]:
    """Average of the targets within the window, weighted by distance^-power: the weight of a point is infinite at the point.

    Belkin, Rakhlin and Tsybakov 2018 (arXiv 1806.09471). A place with no training input in its window takes the nearest one.
    """
    away = abs(at[:, None] - x) / window
    hit = away == 0
    with np.errstate(divide="ignore"):
        weights = np.where(away <= 1, away**-power, 0.0)
    weights = np.where(hit.any(1)[:, None], hit, weights)
    total = weights.sum(1)[:, None]
    return np.where(total > 0, weights @ y / np.where(total > 0, total, 1), nearest(x, y, at))


def polynomial(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, "n sets"], at: Float[np.ndarray, " place"]
) -> Float[np.ndarray, "place sets"]:
    """The polynomial of degree n - 1 through all points, by Lagrange's formula with its products in logarithms."""
    between = x[:, None] - x
    np.fill_diagonal(between, 1)
    away = at[:, None] - x
    hit = away == 0
    away[hit] = 1
    log_away = np.log(abs(away))
    size = np.exp(log_away.sum(1)[:, None] - log_away - np.log(abs(between)).sum(1))
    sign = np.prod(np.sign(away), 1)[:, None] * np.sign(away) * np.prod(np.sign(between), 1)
    return np.asarray(np.where(hit.any(1)[:, None], hit, size * sign) @ y)


def chebyshev_nodes(count: int) -> Float[np.ndarray, " n"]:
    """The roots of the Chebyshev polynomial of degree ``count``, increasing, moved to [0, 1]."""
    return np.asarray(0.5 - 0.5 * np.cos((2 * np.arange(count) + 1) * np.pi / (2 * count)))
