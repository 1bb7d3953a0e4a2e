"""What :mod:`heldout.interpolation.relu_curves` claims, measured on its record: one number a seed.

In rare draws no unit is alive between two points and a network cannot fit them; such a seed is not judged and counts as not kept.
"""

from collections.abc import Callable

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

ZERO = 1e-16  # squared error that counts as none, in squared units of the target
SHARE = 0.9  # of the seeds that must keep a bound


def ratio(result: xr.Dataset, start: str | None, end: int, over: str = "spline_variation") -> xr.DataArray:
    """The variation of the slope over another variable, at the smallest (0) or largest (-1) scale."""
    chosen = result.isel(init_scale=end)
    chosen = chosen if start is None else chosen.sel(start=start)
    found: xr.DataArray = chosen.variation / chosen[over]
    return found


def per_seed(values: xr.DataArray, how: str) -> xr.DataArray:
    """The largest, smallest or mean value of each seed over everything else."""
    rest = [str(d) for d in values.dims if d != "seed"]
    found: xr.DataArray = getattr(values, how)(rest)
    return found


def where_fitted(values: xr.DataArray, result: xr.Dataset, end: int) -> xr.DataArray:
    """The values of the seeds whose networks at one end of the scales all have no training error; NaN for the others."""
    found: xr.DataArray = values.where(per_seed(result.train_mse.isel(init_scale=end), "max") < ZERO)
    return found


def small_start(result: xr.Dataset) -> Evidence:
    """Both targets, every width, both starts: the variation is the spline's, to a tenth."""
    off = per_seed(abs(ratio(result, None, 0) - 1), "max")
    return across_seeds(where_fitted(off, result, 0), below=0.1, share=SHARE)


def lazy_start(result: xr.Dataset) -> Evidence:
    """Both targets, every width, antisymmetric: at the largest scale far above the spline's."""
    least = per_seed(ratio(result, "antisymmetric", -1), "min")
    return across_seeds(where_fitted(least, result, -1), above=2.5, share=SHARE)


def carried(result: xr.Dataset) -> Evidence:
    """Antisymmetric, largest scale: the trained variation is what the initial units carried, to a quarter."""
    off = per_seed(abs(ratio(result, "antisymmetric", -1, over="carried") - 1), "max")
    return across_seeds(where_fitted(off, result, -1), below=0.25, share=SHARE)


def fine_ramps(result: xr.Dataset) -> Evidence:
    """Antisymmetric, largest scale: the share of the variation that is left in a view by cells."""
    chosen = result.isel(init_scale=-1).sel(start="antisymmetric")
    left = per_seed(chosen.coarse_variation / chosen.variation, "max")
    return across_seeds(where_fitted(left, result, -1), below=0.5, share=SHARE)


def inherited(result: xr.Dataset) -> Evidence:
    """Largest scale: how many times farther from the spline the plain start ends, distances averaged over the cases."""
    far = result.isel(init_scale=-1).distance
    plain, antisymmetric = (per_seed(far.sel(start=start), "mean") for start in ("plain", "antisymmetric"))
    return across_seeds(where_fitted(plain / antisymmetric, result, -1), above=2, share=SHARE)


def fits(result: xr.Dataset) -> Evidence:
    """The manipulation check: every network at the scales compared has no training error."""
    worst = per_seed(result.train_mse.isel(init_scale=[0, -1]), "max")
    return across_seeds(worst, below=ZERO, share=SHARE)


def fits_and_is_the_spline(result: xr.Dataset) -> Evidence:
    """Fitted, and the antisymmetric start at the scale put last takes the value predicted for a small one: the spline's."""
    off = per_seed(abs(ratio(result, "antisymmetric", -1) - 1), "max")
    return across_seeds(where_fitted(off, result, -1), below=0.1, share=SHARE)


def only_scale(end: int) -> Callable[[xr.Dataset], xr.Dataset]:
    """The same problems and draws, every initial scale exchanged for the smallest (0) or the largest (-1)."""

    def change(result: xr.Dataset) -> xr.Dataset:
        kept = np.full(result.sizes["init_scale"], end)
        return result.isel(init_scale=kept).assign_coords(init_scale=result.init_scale)

    return change


def corner(result: xr.Dataset) -> dict[str, float | int | str]:
    """Variation over the larger of carried and the spline's, medians over seeds.

    The most by which it is above 1 over all cases, the scale where it is, and the farthest from 1 at both ends of the scales.
    """
    over = (result.variation / np.maximum(result.carried, result.spline_variation)).median("seed")
    by_scale = per_case(over)
    ends = abs(over.isel(init_scale=[0, -1]) - 1).max()
    return {
        "corner": float(by_scale.max() - 1),
        "corner_scale": float(by_scale.idxmax("init_scale")),
        "ends_off": float(ends),
    }


def per_case(values: xr.DataArray) -> xr.DataArray:
    """The largest value at each scale over targets, widths and starts."""
    found: xr.DataArray = values.max(["target", "width", "start"])
    return found
