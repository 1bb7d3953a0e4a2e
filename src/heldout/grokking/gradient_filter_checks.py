"""What the claims about the gradient filter measure on a record."""

import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.grokking.training import first_step

REACHED = 0.95  # the accuracy at which Lee et al. stop the clock
PLAIN, PUBLISHED, SHORTER = "no filter", "published filter", "shorter filter"


def reached(result: xr.Dataset) -> xr.DataArray:
    """The first probed update with 95 % of the held-out pairs right (seed, weight_decay, arm); NaN where never."""
    return first_step(result.test_accuracy, REACHED)


def _times(result: xr.Dataset, arm: str) -> xr.DataArray:
    """Updates with a filter over updates without, at one weight decay; a lower bound where the filtered run never got there."""
    steps = reached(result)
    ratio: xr.DataArray = steps.sel(arm=arm, drop=True).fillna(result.budget) / steps.sel(arm=PLAIN, drop=True)
    return ratio


def slowed(result: xr.Dataset) -> xr.DataArray:
    """Per seed, how many times as many updates the published filter takes, at the weight decay where it is least."""
    least: xr.DataArray = _times(result, PUBLISHED).min("weight_decay", skipna=False)
    return least


def gain(result: xr.Dataset) -> xr.DataArray:
    """Per seed, how many times as many updates no filter takes, against either filter, at most."""
    times = xr.concat([_times(result, PUBLISHED), _times(result, SHORTER)], "filter")
    most: xr.DataArray = 1 / times.min(("filter", "weight_decay"), skipna=False)
    return most


def decay_gain(result: xr.Dataset) -> xr.DataArray:
    """Per seed, how many times as many updates the least weight decay takes as the most, without a filter."""
    steps = reached(result).sel(arm=PLAIN, drop=True)
    ratio: xr.DataArray = steps.isel(weight_decay=0, drop=True) / steps.isel(weight_decay=-1, drop=True)
    return ratio


def confounded(result: xr.Dataset) -> xr.DataArray:
    """Per seed, updates without a filter at the least weight decay over those with the published one at the most."""
    steps = reached(result)
    plain = steps.sel(arm=PLAIN, drop=True).isel(weight_decay=0, drop=True)
    ratio: xr.DataArray = plain / steps.sel(arm=PUBLISHED, drop=True).isel(weight_decay=-1, drop=True)
    return ratio


def published_slows(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`slowed`."""
    return across_seeds(slowed(result), above=1.1)


def little_gain(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`gain`."""
    return across_seeds(gain(result), below=1.25)


def looks_faster(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`confounded`."""
    return across_seeds(confounded(result), above=1.1)


def memorized(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the least of the best accuracies on training pairs."""
    return across_seeds(result.train_accuracy.max("step").min(("weight_decay", "arm")), above=0.99)


def _replaced(result: xr.Dataset, arm: str, by: xr.Dataset) -> xr.Dataset:
    changed = result.copy(deep=True)
    for name in ("train_accuracy", "test_accuracy"):
        changed[name].loc[{"arm": arm}] = by[name].transpose(*changed[name].sel(arm=arm).dims)
    return changed


def shorter_as_published(result: xr.Dataset) -> xr.Dataset:
    """A control: the runs with the shorter memory, labeled as the published filter."""
    return _replaced(result, PUBLISHED, result.sel(arm=SHORTER, drop=True))


def decay_as_filter(result: xr.Dataset) -> xr.Dataset:
    """A control: at the least weight decay, the unfiltered runs with the most, labeled as the published filter."""
    changed = result.copy(deep=True)
    least, most = float(result.weight_decay[0]), float(result.weight_decay[-1])
    for name in ("train_accuracy", "test_accuracy"):
        more = result[name].sel(arm=PLAIN, weight_decay=most, drop=True)
        changed[name].loc[{"arm": PUBLISHED, "weight_decay": least}] = more
    return changed


def one_decay(result: xr.Dataset) -> xr.Dataset:
    """A control: the runs with the most weight decay on both sides of the comparison."""
    most = result.isel(weight_decay=[-1])
    return xr.concat([most.assign_coords(weight_decay=result.weight_decay[:1]), most], "weight_decay")
