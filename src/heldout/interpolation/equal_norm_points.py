"""The points of :mod:`heldout.interpolation.equal_norm`, drawn from a seed, and a smooth curve that knows no norm."""

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from scipy.interpolate import CubicSpline

from heldout.devices import numpy_generator
from heldout.interpolation.bridges import free_intervals


def sample(count: int, kind: str, seed: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Inputs near an even grid from -1 to 1, the inner ones moved by up to 0.3 of the spacing; targets of one kind.

    ``wave`` is sin(4 x + phase), with a random phase. ``zigzag`` alternates in sign, with sizes uniform in [0.5, 1].
    """
    draw = numpy_generator("equal_norm", kind, seed)
    x = np.linspace(-1, 1, count)
    x[1:-1] += draw.uniform(-0.3, 0.3, count - 2) * (x[1] - x[0])
    if kind == "wave":
        return x, np.sin(4 * x + draw.uniform(0, 2 * np.pi))
    return x, draw.uniform(0.5, 1, count) * (-1.0) ** np.arange(count)


def where_free(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], grid: Float[np.ndarray, " x"]
) -> Bool[np.ndarray, " x"]:
    """Which places of a grid lie in intervals where bridges are free."""
    found: Bool[np.ndarray, " x"] = free_intervals(x, y)[
        np.clip(np.searchsorted(x, grid, side="right") - 1, 0, len(x) - 2)
    ]
    return found


def natural_cubic(result: xr.Dataset) -> xr.Dataset:
    """The record with the network on the wave exchanged for the natural cubic spline through the same points.

    The points of every seed are drawn again. Exchanged are train_mse, distance, free_distance and forced_distance.
    """
    names = ("train_mse", "distance", "free_distance", "forced_distance")
    rows = [_cubic(result.sizes["point"], int(seed), result.x.values) for seed in result.seed.values]
    changed = result.copy(deep=True)
    for name, values in zip(names, np.transpose(rows), strict=True):
        changed[name].loc[{"data": "wave", "member": "network"}] = values
    return changed


def _cubic(count: int, seed: int, grid: Float[np.ndarray, " x"]) -> tuple[float, float, float, float]:
    x, y = sample(count, "wave", seed)
    cubic, free = CubicSpline(x, y, bc_type="natural"), where_free(x, y, grid)
    off = abs(cubic(grid) - np.interp(grid, x, y)) / np.ptp(y)
    misses = float(((cubic(x) - y) ** 2).mean())
    return misses, float(off.max()), float(off[free].mean()) if free.any() else np.nan, float(off[~free].mean())
