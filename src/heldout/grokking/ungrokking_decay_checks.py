"""What the claims about ungrokking at two weight decays and two epsilons measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

BACK = 100  # updates before the last at which answers are compared with the last
FITTED = 0.99


def judged(result: xr.Dataset) -> xr.Dataset:
    """The record at the middle fraction, where the claims are judged."""
    return result.isel(fraction=result.sizes["fraction"] // 2)


def ahead(result: xr.Dataset) -> xr.DataArray:
    """Per seed, by how much accuracy on other pairs ends higher at the smaller weight decay, with the larger epsilon."""
    last = judged(result).test_accuracy.isel(epsilon=-1, step=-1, drop=True)
    difference: xr.DataArray = last.isel(weight_decay=0, drop=True) - last.isel(weight_decay=-1, drop=True)
    return difference


def late(curve: xr.DataArray) -> xr.DataArray:
    """The change of a curve over about the last third of the updates."""
    before = curve.sel(step=float(curve.step[-1]) * 2 / 3, method="nearest", drop=True)
    change: xr.DataArray = curve.isel(step=-1, drop=True) - before
    return change


def apart(result: xr.Dataset) -> xr.DataArray:
    """Per seed, how far shares right end apart from both starts, at the larger decay and the smaller epsilon."""
    mine = judged(result)
    grokked = mine.test_accuracy.isel(epsilon=0, weight_decay=-1, step=-1, drop=True)
    difference: xr.DataArray = abs(grokked - mine.fresh_test_accuracy.isel(step=-1, drop=True))
    return difference


def fit_step(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the first probed step at which a fresh network has fitted its pairs; NaN if never."""
    first: xr.DataArray = result.step.where(judged(result).fresh_train_accuracy >= FITTED).min("step")
    return first


def at_fit(result: xr.Dataset) -> xr.DataArray:
    """Per seed, accuracy on other pairs at :func:`fit_step`."""
    curve = judged(result).fresh_test_accuracy
    value: xr.DataArray = curve.where(result.step == fit_step(result)).max("step")
    return value


def epsilon_decides(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`ahead`."""
    return across_seeds(ahead(result), above=0.2)


def gradients_vanish(result: xr.Dataset) -> Evidence:
    """Per seed, the share of weights with a last gradient below the larger epsilon, with that epsilon and the smaller decay."""
    return across_seeds(judged(result).below.isel(epsilon=-1, weight_decay=0), above=0.1)


def goes_on(result: xr.Dataset) -> Evidence:
    """Per seed, the share of other pairs answered as :data:`BACK` updates before, with the smaller decay and epsilon."""
    return across_seeds(judged(result).itself.isel(epsilon=0, weight_decay=0), below=0.6)


def fitted(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the least accuracy at the end on pairs trained on, of grokked and fresh networks."""
    grokked = result.train_accuracy.isel(step=-1, drop=True).min(("epsilon", "weight_decay", "fraction"))
    return across_seeds(
        np.minimum(grokked, result.fresh_train_accuracy.isel(step=-1, drop=True).min("fraction")), above=FITTED
    )


def small_epsilon(result: xr.Dataset) -> xr.Dataset:
    """A control: the runs with the smaller epsilon alone."""
    return result.isel(epsilon=[0])


def larger_decay(result: xr.Dataset) -> xr.Dataset:
    """A control: the runs with the larger weight decay alone."""
    return result.isel(weight_decay=[-1])


def large_epsilon(result: xr.Dataset) -> xr.Dataset:
    """A control: the grokked runs with the larger epsilon alone."""
    return result.isel(epsilon=[-1])
