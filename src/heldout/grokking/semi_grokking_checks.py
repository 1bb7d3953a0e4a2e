"""What the claims about semi-grokking measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

FITTED = 0.99
SOME = 0.1  # a share right, above which something of the rule has been learned


def window(result: xr.Dataset, quarter: int) -> xr.DataArray:
    """The mean of accuracy on other pairs over the looks in one of the four quarters of the time (weight_decay, seed)."""
    last = float(result.step[-1])
    inside = (result.step > last * quarter / 4) & (result.step <= last * (quarter + 1) / 4)
    mean: xr.DataArray = result.test_accuracy.where(inside).mean("step")
    return mean


def drift(result: xr.Dataset) -> xr.DataArray:
    """By how much the share right moves from the third quarter to the last (weight_decay, seed)."""
    moved: xr.DataArray = abs(window(result, 3) - window(result, 2))
    return moved


def fit_step(result: xr.Dataset) -> xr.DataArray:
    """The first look at which a network has fitted its pairs (weight_decay, seed); NaN if never."""
    first: xr.DataArray = result.step.where(result.train_accuracy >= FITTED).min("step")
    return first


def at_fit(result: xr.Dataset) -> xr.DataArray:
    """Accuracy on other pairs at :func:`fit_step`; NaN if never."""
    share: xr.DataArray = result.test_accuracy.where(result.step == fit_step(result)).max("step")
    return share


def late(result: xr.Dataset) -> Evidence:
    """Per seed, the least share at the end over decays; 0 where it was 0.1 or more at the fit, or there was none."""
    low = at_fit(result) < SOME
    return across_seeds(window(result, 3).where(low, 0.0).min("weight_decay"), above=0.4, share=0.8)


def in_part(result: xr.Dataset) -> Evidence:
    """Per seed, the largest share at the end over decays; infinite where nothing has been learned."""
    return across_seeds(_where_some(window(result, 3), result).max("weight_decay"), below=0.95, share=0.8)


def settled(result: xr.Dataset) -> Evidence:
    """Per seed, the largest :func:`drift` over decays; infinite where nothing has been learned."""
    return across_seeds(_where_some(drift(result), result).max("weight_decay"), below=0.08, share=0.8)


def _where_some(values: xr.DataArray, result: xr.Dataset) -> xr.DataArray:
    kept: xr.DataArray = values.where(window(result, 3) > SOME, np.inf)
    return kept


def fitted(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the least accuracy at the end on pairs trained on."""
    return across_seeds(result.train_accuracy.isel(step=-1).min("weight_decay"), above=FITTED)


def _until(result: xr.Dataset, part: float) -> xr.Dataset:
    return result.isel(step=np.flatnonzero(result.step.values <= part * float(result.step[-1])))


def read_early(result: xr.Dataset) -> xr.Dataset:
    """A control: the record as it stood after an eighth of the updates."""
    return _until(result, 1 / 8)


def read_sooner(result: xr.Dataset) -> xr.Dataset:
    """A control: the record as it stood after a third of the updates."""
    return _until(result, 1 / 3)
