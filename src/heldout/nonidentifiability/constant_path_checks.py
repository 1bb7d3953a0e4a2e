"""What the claims on paths of one loss measure on a record.

Bounds and shares were fixed on seeds 0 to 4 before any seed from 100 up was run.
"""

import xarray as xr

from heldout.claims import Evidence, across_seeds

LEVEL = 0.003  # nats a sequence between the largest and the smallest divergence of a path
FEW, MOST = 0.05, 0.95  # shares of the judged prompts at the ends
LOW, HIGH = 0.1, 0.9  # between them R1 is neither nearly broken nor nearly kept


def extent(result: xr.Dataset, pair: str, route: str = "curve") -> xr.DataArray:
    """Per seed, the largest divergence on a route less the smallest."""
    kl = result.data_kl.sel(pair=pair, route=route, drop=True)
    found: xr.DataArray = kl.max("place") - kl.min("place")
    return found


def _ends(result: xr.Dataset, pair: str) -> tuple[xr.DataArray, xr.DataArray]:
    own = result.r1.sel(pair=pair, path="curve", drop=True)
    return own.isel(place=0, drop=True), own.isel(place=-1, drop=True)


def level(result: xr.Dataset) -> Evidence:
    """Per seed, the extent of the curve between opposite ends; NaN where they do not lie on the two sides of R1."""
    first, last = _ends(result, "opposite")
    return across_seeds(extent(result, "opposite").where((first < FEW) & (last > MOST)), below=LEVEL, share=0.8)


def ends_opposite(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, R1 at the last place less R1 at the first."""
    first, last = _ends(result, "opposite")
    return across_seeds(last - first, above=MOST - FEW, share=0.8)


def forgotten(result: xr.Dataset) -> Evidence:
    """Per seed, R1 in the middle of the curve between ends that keep it; NaN where they do not, or the extent is too large."""
    first, last = _ends(result, "alike")
    middle = result.r1.sel(pair="alike", path="curve", place=0.5, drop=True)
    fair = (first > MOST) & (last > MOST) & (extent(result, "alike") < LEVEL)
    return across_seeds(middle.where(fair), below=HIGH, share=0.8)


def ends_alike(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the smaller R1 of two ends that were both taught to keep it."""
    first, last = _ends(result, "alike")
    return across_seeds(first.where(first < last, last), above=MOST, share=0.8)


def straight(result: xr.Dataset) -> xr.Dataset:
    """The record with the straight line in the place of the curve."""
    changed = result.copy(deep=True)
    for name in ("data_kl", "chance"):
        changed[name].loc[{"route": "curve"}] = result[name].sel(route="line")
    for name in ("r1", "r1_outside"):
        changed[name].loc[{"path": "curve"}] = result[name].sel(path="line")
    return changed
