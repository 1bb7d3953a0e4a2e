"""What the claims about widths measure on a record."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from heldout.claims import Evidence, across_seeds
from heldout.devices import numpy_generator
from heldout.quanta.parity import CHANCE, tail

TASK_LEARNED = 0.5  # of ln 2: a task below this loss counts as learned


class Unseen(NamedTuple):
    """Relative errors at the widths that were left out of the fits, each (seed, left-out width)."""

    by_count: Float[np.ndarray, "seed held"]
    by_power_law: Float[np.ndarray, "seed held"]


def learned(result: xr.Dataset) -> xr.DataArray:
    """Which tasks are learned (seed, width, step, task)."""
    below: xr.DataArray = result.task_loss < TASK_LEARNED * CHANCE
    return below


def count(result: xr.Dataset) -> xr.DataArray:
    """Number of tasks learned (seed, width, step)."""
    return learned(result).sum("task")


def tail_sum(result: xr.Dataset) -> xr.DataArray:
    """ln 2 times the frequency of what is not learned (seed, width, step)."""
    missing: xr.DataArray = CHANCE * (~learned(result) * result.frequency).sum("task")
    return missing


def tail_error(result: xr.Dataset) -> xr.DataArray:
    """Per seed, median relative error of the tail sum over the widths and updates at which something is learned."""
    relative: xr.DataArray = abs(tail_sum(result) / result.loss - 1).where(count(result) > 0)
    return relative.median(["width", "step"])


def unseen(result: xr.Dataset) -> Unseen:
    """Fit the even widths of the last update in logarithms, predict the odd ones: through the count, and directly."""
    last = result.isel(step=-1)
    x = np.log(result.width.values.astype(float))
    losses, counts = last.loss.values, np.maximum(count(result).isel(step=-1).values, 1)
    tails = CHANCE * tail(result.frequency.values)

    def extended(values: Float[np.ndarray, " width"]) -> Float[np.ndarray, " held"]:
        return np.exp(np.polyval(np.polyfit(x[::2], np.log(values[::2]), 1), x[1::2]))

    by_count = [np.interp(extended(row), np.arange(len(tails)), tails) for row in counts]
    by_law = [extended(row) for row in losses]
    return Unseen(np.array(by_count) / losses[:, 1::2] - 1, np.array(by_law) / losses[:, 1::2] - 1)


def concentration(damage: Float[np.ndarray, "unit task"]) -> float:
    """Mean over units of sum d^2 / (sum d)^2, d the accuracy each task loses: 1 if a unit serves a single task."""
    lost = np.maximum(damage, 0)
    total = lost.sum(1)
    used = total > 0
    return float(((lost[used] ** 2).sum(1) / total[used] ** 2).mean()) if used.any() else float("nan")


def togetherness(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """Per seed, correlation over units of the accuracies that two learned tasks lose, mean over pairs of tasks."""
    known, found = learned(result).isel(width=-1, step=-1).values, []
    for damage, which in zip(result.damage.values, known, strict=True):
        ours = damage[:, which]
        ours = ours[:, ours.std(0) > 0]
        pairs = np.corrcoef(ours.T)[np.triu_indices(ours.shape[1], 1)] if ours.shape[1] > 1 else np.array([np.nan])
        found.append(float(pairs.mean()))
    return np.array(found)


def specialization(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """Per seed, :func:`concentration` over learned tasks, divided by its mean when each task's column is shuffled."""
    known, ratios = learned(result).isel(width=-1, step=-1).values, []
    for damage, which, seed in zip(result.damage.values, known, result.seed.values, strict=True):
        ours = damage[:, which]
        random = numpy_generator("shuffled units", int(seed))
        shuffled = np.mean([concentration(random.permuted(ours, axis=0)) for _ in range(200)])
        ratios.append(concentration(ours) / shuffled if which.sum() > 1 else np.nan)
    return np.array(ratios)


def follows_tail(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`tail_error`."""
    return across_seeds(tail_error(result), below=0.12)


def predicts_unseen(result: xr.Dataset) -> Evidence:
    """Per seed, the median over left-out widths of the error through the count; half of the seeds must keep the bound."""
    return across_seeds(np.median(np.abs(unseen(result).by_count), 1), below=0.2, share=0.5)


def specialized(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`specialization`."""
    return across_seeds(specialization(result), above=1.1)


def shared(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`togetherness`."""
    return across_seeds(togetherness(result), above=0.2)


def more_with_width(result: xr.Dataset) -> Evidence:
    """A manipulation check: the widest network still knows at least three tasks more than the narrowest."""
    known = count(result).isel(step=-1)
    return across_seeds(known.isel(width=-1) - known.isel(width=0), above=2.5)


def as_harmful(result: xr.Dataset) -> Evidence:
    """A manipulation check: the units still carry the learned tasks, accuracy lost a unit summed over tasks."""
    return across_seeds(result.damage.clip(min=0).sum("task").mean("unit"), above=0.02)


def other_frequencies(result: xr.Dataset) -> xr.Dataset:
    """The same runs and counts with the frequencies handed to other tasks: the commonest becomes the rarest."""
    return result.assign(frequency=("task", result.frequency.values[::-1].copy(), result.frequency.attrs))


def shuffled_units(result: xr.Dataset) -> xr.Dataset:
    """Each task's damages handed to the units at random, independently of the other tasks."""
    random = numpy_generator("control, shuffled units", result.sizes["seed"])
    damage = np.stack([random.permuted(each, axis=0) for each in result.damage.values])
    return result.assign(damage=(result.damage.dims, damage, result.damage.attrs))
