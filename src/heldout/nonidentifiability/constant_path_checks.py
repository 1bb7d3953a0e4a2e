"""What the claims on paths of one loss measure on a record.

Bounds and shares were fixed on seeds 0 to 4 before any seed from 100 up was run, but for two changes after the judged runs:
:func:`level` held the extent of the whole curve against 0.003, which a curve below its ends cannot fail, and :func:`forgotten`
looked at the middle of a curve, where it now looks at an oracle that trains on without one. The share 0.9 is the old one.
"""

import xarray as xr

from heldout.claims import Evidence, across_seeds

LEVEL = 0.0003  # nats a sequence, by which a path may lie above the higher of its ends
FEW, MOST = 0.05, 0.95  # shares of the judged prompts at the ends
LOW, HIGH = 0.1, 0.9  # between them R1 is neither nearly broken nor nearly kept


def above_ends(result: xr.Dataset, pair: str, route: str = "curve") -> xr.DataArray:
    """Per seed, the largest divergence on a route less the larger one of its ends."""
    kl = result.data_kl.sel(pair=pair, route=route, drop=True)
    found: xr.DataArray = kl.max("place") - kl.isel(place=[0, -1]).max("place")
    return found


def _ends(result: xr.Dataset, pair: str) -> tuple[xr.DataArray, xr.DataArray]:
    own = result.r1.sel(pair=pair, path="curve", drop=True)
    return own.isel(place=0, drop=True), own.isel(place=-1, drop=True)


def level(result: xr.Dataset) -> Evidence:
    """Per seed, the curve's rise above its opposite ends; NaN where they do not lie on the two sides of R1."""
    first, last = _ends(result, "opposite")
    return across_seeds(above_ends(result, "opposite").where((first < FEW) & (last > MOST)), below=LEVEL, share=0.8)


def ends_opposite(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, R1 at the last place less R1 at the first."""
    first, last = _ends(result, "opposite")
    return across_seeds(last - first, above=MOST - FEW, share=0.8)


def forgotten(result: xr.Dataset) -> Evidence:
    """Per seed, R1 of an oracle that has trained on alone; NaN where it did not keep R1 before."""
    before, after = (result.trained_r1.sel(training=name, drop=True) for name in ("before", "alone"))
    return across_seeds(after.where(before > MOST), below=HIGH, share=0.8)


def no_worse(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the oracle's divergence after training on less that before."""
    before, after = (result.trained_kl.sel(training=name, drop=True) for name in ("before", "alone"))
    return across_seeds(after - before, below=0.0, share=0.8)


def lessons_kept(result: xr.Dataset) -> xr.Dataset:
    """The record with the oracle that trained on with its lessons in the place of the one that trained on alone."""
    changed = result.copy(deep=True)
    for name in ("trained_kl", "trained_r1"):
        changed[name].loc[{"training": "alone"}] = result[name].sel(training="with lessons")
    return changed


def straight(result: xr.Dataset) -> xr.Dataset:
    """The record with the straight line in the place of the curve."""
    changed = result.copy(deep=True)
    for name in ("data_kl", "chance"):
        changed[name].loc[{"route": "curve"}] = result[name].sel(route="line")
    for name in ("r1", "r1_outside"):
        changed[name].loc[{"path": "curve"}] = result[name].sel(path="line")
    return changed
