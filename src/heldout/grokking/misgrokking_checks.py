"""What the claims on the diagonal network measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.grokking.training import LEARNED, first_step

PLATEAU_SHARE = 0.25  # the plateau is read where decay has worn the initial weights by this share of a time constant


def plateau(result: xr.Dataset) -> xr.DataArray:
    """Held-out accuracy at the largest decay, a quarter of a time constant 1 / (learning rate x decay) in (task, seed)."""
    decay = float(result.weight_decay[-1])
    early = result.isel(weight_decay=-1).test_accuracy
    # Without decay there is no time constant; the record then holds the same curve at every decay.
    constant = 1 / (float(result.attrs["learning_rate"]) * decay)
    reading: xr.DataArray = early.sel(step=PLATEAU_SHARE * constant, method="nearest")
    return reading


def fitted_step(result: xr.Dataset) -> xr.DataArray:
    """First probed step with the training set fitted, at the largest decay (task, seed)."""
    return first_step(result.isel(weight_decay=-1).train_accuracy, 1.0)


def learned_step(result: xr.Dataset) -> xr.DataArray:
    """First probed step with held-out accuracy .99 on the sparse task, at the largest decay (seed)."""
    return first_step(result.isel(weight_decay=-1).test_accuracy.sel(task="sparse"), LEARNED)


def change_step(result: xr.Dataset, decay: int) -> xr.DataArray:
    """Step at which held-out accuracy on the sparse task crosses .9 for good, interpolated between probes (seed)."""
    curve = result.isel(weight_decay=decay).test_accuracy.sel(task="sparse")
    steps, crossed = result.step.values.astype(float), []
    for one in curve.values:
        below = np.flatnonzero(one < 0.9)
        last = below[-1] if below.size else -1
        if last < 0 or last + 1 == len(one):
            crossed.append(np.nan)
            continue
        share = (0.9 - one[last]) / (one[last + 1] - one[last])
        crossed.append(steps[last] + share * (steps[last + 1] - steps[last]))
    return xr.DataArray(crossed, dims="seed")


def time_ratio(result: xr.Dataset) -> xr.DataArray:
    """Step times decay at the smallest positive decay over the same at the largest (seed)."""
    small, large = (float(result.weight_decay[place]) for place in (1, -1))
    ratio: xr.DataArray = change_step(result, 1) * small / (change_step(result, -1) * large)
    return ratio


def sparse_groks(result: xr.Dataset) -> Evidence:
    """Per seed, the step of .99 held out over the step at which the training set was fitted; 0 where never."""
    ratio = learned_step(result) / fitted_step(result).sel(task="sparse")
    return across_seeds(ratio.fillna(0), above=50, share=0.9)


def dense_falls(result: xr.Dataset) -> Evidence:
    """Per seed, plateau less end on the dense task; minus infinity where the training set was lost after the plateau."""
    mine = result.isel(weight_decay=-1).sel(task="dense")
    fall = plateau(result).sel(task="dense") - mine.test_accuracy.isel(step=-1)
    late = mine.step >= float(fitted_step(result).sel(task="dense").max())
    kept = mine.train_accuracy.where(late).min("step") >= 1
    return across_seeds(fall.where(kept, -np.inf), above=0.05, share=0.9)


def two_margins(result: xr.Dataset) -> Evidence:
    """Per seed, the largest difference of plateau and Euclidean margin, and of end and absolute margin, on both tasks."""
    end = result.isel(weight_decay=-1, step=-1).test_accuracy
    early = np.abs(plateau(result) - result.margin_accuracy.sel(margin="euclidean"))
    late = np.abs(end - result.margin_accuracy.sel(margin="absolute"))
    return across_seeds(np.maximum(early, late).max("task"), below=0.05, share=0.9)


def time_follows_decay(result: xr.Dataset) -> Evidence:
    """Per seed, how far :func:`time_ratio` is from one."""
    apart: xr.DataArray = abs(time_ratio(result) - 1)
    return across_seeds(apart.fillna(np.inf), below=0.1, share=0.9)


def fitted(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the lowest training accuracy at the end."""
    return across_seeds(result.train_accuracy.isel(step=-1).min(("task", "weight_decay")), above=0.999)


def without_decay(result: xr.Dataset) -> xr.Dataset:
    """The runs without decay in the place of all."""
    same = result.isel(weight_decay=[0] * result.sizes["weight_decay"])
    return same.assign_coords(weight_decay=result.weight_decay)


def margins_exchanged(result: xr.Dataset) -> xr.Dataset:
    """The record with the two margins' names exchanged."""
    return result.assign_coords(margin=result.margin.values[::-1])


def fit_in_place(result: xr.Dataset) -> xr.Dataset:
    """The record with training accuracy where held-out accuracy was."""
    return result.assign(test_accuracy=result.train_accuracy)
