"""What the claims about data and decay measure on a record, and the controls' changes of it."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds, bootstrap_interval
from heldout.ensemble import History
from heldout.grokking.training import LEARNED, curve_variables, first_step

CHANCE = 0.2  # held-out accuracy below which nothing of the rule shows; guessing gives 1 / P


def summary(history: History) -> dict[str, np.ndarray]:
    """What is kept of a run over decay times, one number a seed."""
    curves = xr.Dataset(curve_variables(history), {"step": history.steps})
    last = curves.isel(step=-1)
    return {
        "memorized": first_step(curves.train_accuracy).values,
        "generalized": first_step(curves.test_accuracy).values,
        "end_train": last.train_accuracy.values,
        "end_test": last.test_accuracy.values,
    }


def lowest_fraction(result: xr.Dataset, *, every: bool) -> float:
    """The smallest fraction from which on every seed generalizes, or at which any does; NaN where there is none."""
    learned = first_step(result.test_accuracy).notnull()
    good = (learned.all("seed") if every else learned.any("seed")).values
    if every:
        good = np.logical_and.accumulate(good[::-1])[::-1]
    return float(result.fraction.values[good][0]) if good.any() else float("nan")


def median_counting_never(steps: xr.DataArray) -> float:
    """Median over seeds in which a run that never got there counts as later than all others."""
    return float(np.median(steps.fillna(np.inf).values))


def slowdown(result: xr.Dataset, fraction: float, most: float) -> xr.DataArray:
    """Per seed, how many times as many updates the held-out pairs take at ``fraction`` as at ``most``.

    A lower bound, the end of training, where only the smaller fraction is censored; NaN where the larger one is.
    """
    generalized = first_step(result.test_accuracy)
    less, more = (generalized.sel(fraction=at, method="nearest").drop_vars("fraction") for at in (fraction, most))
    ratio: xr.DataArray = less.fillna(float(result.step[-1])) / more
    return ratio


def less_data_later(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`slowdown` of a fraction of .5 against .8; NaN where memorizing changes by a factor of 2 or more."""
    memorized = first_step(result.train_accuracy)
    pair = [memorized.sel(fraction=at, method="nearest").drop_vars("fraction") for at in (0.5, 0.8)]
    steady = abs(np.log(pair[0] / pair[1])) < np.log(2)
    return across_seeds(slowdown(result, 0.5, 0.8).where(steady), above=2.0)


def too_little_data(result: xr.Dataset) -> Evidence:
    """Per seed, held-out accuracy at the end at the smallest fraction; NaN where its training pairs are not learned."""
    last = result.isel(step=-1, fraction=0)
    return across_seeds(last.test_accuracy.where(last.train_accuracy >= LEARNED), below=0.5)


def exponent(steps: xr.DataArray, time: xr.DataArray) -> xr.DataArray:
    """Slope of log steps on log time by least squares over all times; NaN where one of them is censored."""
    x = np.log(time.values) - np.log(time.values).mean()
    slopes = np.log(steps.transpose(..., "time").values) @ x / (x @ x)
    return xr.DataArray(slopes, dims=[name for name in steps.dims if name != "time"])


def exponents(steps: xr.DataArray, time: xr.DataArray) -> dict[float, tuple[float, float, float]]:
    """For each learning rate, the mean exponent over uncensored seeds with its 95 % bootstrap interval."""
    found = {}
    for rate in steps.learning_rate.values:
        slopes = exponent(steps.sel(learning_rate=rate), time).values
        slopes = slopes[np.isfinite(slopes)]
        found[float(rate)] = bootstrap_interval(slopes) if slopes.size else (np.nan, np.nan, np.nan)
    return found


def decay_sets_the_time(result: xr.Dataset) -> Evidence:
    """Per seed, the exponent of the held-out steps at the first learning rate, less that of the training steps."""
    first = result.isel(learning_rate=0)
    return across_seeds(exponent(first.generalized, result.time) - exponent(first.memorized, result.time), above=0.5)


def slow_over_fast(result: xr.Dataset, time: float) -> xr.DataArray:
    """Per seed, held-out steps at the second over those at the first learning rate, at one time constant.

    At equal products, that is: the second rate has the stronger decay. NaN where a run is censored or there is one rate.
    """
    if result.sizes["learning_rate"] < 2:
        return xr.DataArray(np.full(result.sizes["seed"], np.nan), dims="seed")
    at = result.generalized.sel(time=time)
    ratio: xr.DataArray = at.isel(learning_rate=1, drop=True) / at.isel(learning_rate=0, drop=True)
    return ratio


def product_is_not_all(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`slow_over_fast` at the longest time constant."""
    return across_seeds(slow_over_fast(result, float(result.time[-1])), below=0.8)


def another_seed(result: xr.Dataset) -> xr.Dataset:
    """The first learning rate twice, the second time with every seed's runs exchanged for those of the next seed."""
    fast = result.isel(learning_rate=[0])
    after = fast.roll(seed=1, roll_coords=False)
    both: xr.Dataset = xr.concat(
        [fast, after], "learning_rate", data_vars="minimal", coords="minimal", compat="override"
    )
    return both


def only_the_most(result: xr.Dataset) -> xr.Dataset:
    """The largest fraction in the place of the smallest."""
    return result.isel(fraction=[-1])


def memorizes(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the least training accuracy at the end of any run."""
    swept = result.train_accuracy.isel(step=-1).min("fraction")
    return across_seeds(np.minimum(swept, result.end_train.min(["learning_rate", "time"])), above=LEARNED)


def memorizes_and_knows_nothing(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the best held-out accuracy at the end of any run, NaN where a run did not memorize."""
    best = np.maximum(
        result.test_accuracy.isel(step=-1).max("fraction"), result.end_test.max(["learning_rate", "time"])
    )
    least = np.minimum(
        result.train_accuracy.isel(step=-1).min("fraction"), result.end_train.min(["learning_rate", "time"])
    )
    return across_seeds(best.where(least >= LEARNED), below=CHANCE)


def memorizes_without_generalizing(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the best held-out accuracy at the end of any run, NaN where a run did not memorize."""
    best = np.maximum(
        result.test_accuracy.isel(step=-1).max("fraction"), result.end_test.max(["learning_rate", "time"])
    )
    least = np.minimum(
        result.train_accuracy.isel(step=-1).min("fraction"), result.end_train.min(["learning_rate", "time"])
    )
    return across_seeds(best.where(least >= LEARNED), below=0.9)
