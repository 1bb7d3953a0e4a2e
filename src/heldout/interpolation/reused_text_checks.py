"""What the claims about rereading measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds


def gap(result: xr.Dataset) -> xr.DataArray:
    """Per seed, loss on unread text above that on the training text, at the end of the run on the most text."""
    last = result.isel(step=-1, distinct=-1)
    difference: xr.DataArray = last.test_loss - last.train_loss
    return difference


def rise(result: xr.Dataset, amount: int) -> xr.DataArray:
    """Per seed, the last loss on unread text above the lowest of the run, for one amount of text."""
    curve = result.test_loss.isel(distinct=amount)
    difference: xr.DataArray = curve.isel(step=-1) - curve.min("step")
    return difference


def train_loss_at_best(result: xr.Dataset) -> xr.DataArray:
    """Loss on the training text at the update with the lowest loss on unread text (seed, distinct)."""
    at_best: xr.DataArray = result.train_loss.isel(step=result.test_loss.argmin("step"))
    return at_best


def stays_above(result: xr.Dataset) -> Evidence:
    """Per seed, the training loss at the end of the run that reads once."""
    return across_seeds(result.train_loss.isel(step=-1, distinct=-1), above=1.5)


def small_gap(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`gap`."""
    return across_seeds(gap(result), below=0.2)


def hits_and_turns_up(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`rise` of the smallest text; minus infinity where its training loss did not go below 0.1."""
    hit = result.train_loss.isel(step=-1, distinct=0) < 0.1
    return across_seeds(rise(result, 0).where(hit, -np.inf), above=1.0)


def short_of_the_points(result: xr.Dataset) -> Evidence:
    """Per seed, the least training loss of any amount of text at its best update."""
    return across_seeds(train_loss_at_best(result).min("distinct"), above=1.0)


def hits(result: xr.Dataset) -> Evidence:
    """A manipulation check: the smallest text is fitted at the end."""
    return across_seeds(result.train_loss.isel(step=-1, distinct=0), below=0.1)


def fits_better(result: xr.Dataset) -> Evidence:
    """A manipulation check: the training text in the place of the most text is fitted, in as many updates."""
    return across_seeds(result.train_loss.isel(step=-1, distinct=-1), below=0.1)


def no_worse_on_unread(result: xr.Dataset) -> Evidence:
    """A manipulation check: the run that reads once has learned its task on unread text too."""
    return across_seeds(result.test_loss.isel(step=-1, distinct=-1), below=0.1)


def only_the_smallest(result: xr.Dataset) -> xr.Dataset:
    """The smallest text in the place of the one that is read once."""
    return result.isel(distinct=[0])
