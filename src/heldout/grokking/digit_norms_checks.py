"""What the claims about digits and initial weights measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

FITTED = 0.99  # training accuracy from which the training digits count as fitted


def large(result: xr.Dataset) -> xr.Dataset:
    """The runs from the largest initial weights, with the largest decay."""
    return result.isel(scale=-1, decay=-1)


def small(result: xr.Dataset) -> xr.Dataset:
    """The runs from the smallest initial weights, with the largest decay."""
    return result.isel(scale=0, decay=-1)


def bare(result: xr.Dataset) -> xr.Dataset:
    """The runs from the largest initial weights, with the smallest decay."""
    return result.isel(scale=-1, decay=0)


def first_step(accuracy: xr.DataArray, threshold: float) -> xr.DataArray:
    """The first probed step at which an accuracy is at least the threshold; NaN where it never is."""
    steps: xr.DataArray = accuracy.step.where(accuracy >= threshold).min("step")
    return steps


def delay(cell: xr.Dataset) -> xr.DataArray:
    """How many times as many updates it took to read as to fit; infinite where never read, NaN where never fitted."""
    fitted = first_step(cell.train_accuracy, FITTED)
    ratio: xr.DataArray = (first_step(cell.test_accuracy, _read(cell)) / fitted).fillna(np.inf)
    return ratio.where(fitted.notnull())


def when_fitted(cell: xr.Dataset, name: str) -> xr.DataArray:
    """A measure at the first probe that finds the training digits fitted; NaN where none does."""
    then: xr.DataArray = cell[name].where(cell.step == first_step(cell.train_accuracy, FITTED)).max("step")
    return then


def norm_share_when_read(cell: xr.Dataset) -> xr.DataArray:
    """The norm, over the initial one, at the first probe that finds the held-out digits read; NaN where none does."""
    then = cell.norm.where(cell.step == first_step(cell.test_accuracy, _read(cell))).max("step")
    share: xr.DataArray = then / cell.norm.isel(step=0)
    return share


def reads_later(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`delay` from the largest weights; minus infinity where half was read when the training set was fitted."""
    cell = large(result)
    ratio = delay(cell).where(np.isfinite(delay(cell)), -np.inf)
    return across_seeds(ratio.where(when_fitted(cell, "test_accuracy") < 0.5, -np.inf), above=2.0)


def reads_in_time(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`delay` from the smallest weights."""
    return across_seeds(delay(small(result)), below=1.0 + 1e-9)


def never_reads(result: xr.Dataset) -> Evidence:
    """Per seed, the highest held-out accuracy without decay; infinite where the training digits were not fitted."""
    cell = bare(result)
    fitted = first_step(cell.train_accuracy, FITTED).notnull()
    return across_seeds(cell.test_accuracy.max("step").where(fitted, np.inf), below=0.5)


def norm_has_fallen(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`norm_share_when_read` from the largest weights."""
    return across_seeds(norm_share_when_read(large(result)), below=0.6)


def large_and_reads(result: xr.Dataset) -> Evidence:
    """A manipulation check: the norm never falls below four times that of the usual weights, and the digits are read."""
    cell = large(result)
    usual = cell.norm.isel(step=0) / float(result.scale[-1])
    enough = (cell.norm.min("step") > 4 * usual) & first_step(cell.train_accuracy, FITTED).notnull()
    return across_seeds(cell.test_accuracy.max("step").where(enough, 0.0), above=_read(cell))


def reads_in_the_end(result: xr.Dataset) -> Evidence:
    """A manipulation check: the runs in the place of the smallest weights read the digits in the end."""
    return across_seeds(small(result).test_accuracy.isel(step=-1), above=_read(result))


def large_cell_reads(result: xr.Dataset) -> Evidence:
    """A manipulation check: the runs in the place of the largest weights read the digits in the end."""
    return across_seeds(large(result).test_accuracy.isel(step=-1), above=_read(result))


def fits_without_decay(result: xr.Dataset) -> Evidence:
    """A manipulation check: the runs in the place of those without decay fit the training digits."""
    return across_seeds(bare(result).train_accuracy.max("step"), above=FITTED - 1e-6)


def largest_as_smallest(result: xr.Dataset) -> xr.Dataset:
    """The largest initial weights only."""
    return result.isel(scale=[-1])


def smallest_as_largest(result: xr.Dataset) -> xr.Dataset:
    """The smallest initial weights only."""
    return result.isel(scale=[0])


def decay_in_its_place(result: xr.Dataset) -> xr.Dataset:
    """The largest decay only."""
    return result.isel(decay=[-1])


def _read(result: xr.Dataset) -> float:
    return float(result.attrs["read"])
