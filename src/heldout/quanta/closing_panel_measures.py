"""The networks and pairs of the closing panel of quanta, what its claims measure on a record, and the controls' changes of it."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.devices import numpy_generator
from heldout.distances import Pair
from heldout.quanta.parity import CHANCE

LOW, HIGH, EVEN = "low often", "high often", "all alike"
OTHER_LOW, OTHER_EVEN = "another low often", "another all alike"
MODELS = (LOW, OTHER_LOW, HIGH, EVEN, OTHER_EVEN)
PAIRS = (
    Pair(first=LOW, second=HIGH, kind="natural"),
    Pair(first=LOW, second=EVEN, kind="natural"),
    Pair(first=EVEN, second=OTHER_EVEN, kind="natural"),
)
OPPOSITE, FEW_OR_ALL, EVENS = (pair.name for pair in PAIRS)
RULER = Pair(first=LOW, second=OTHER_LOW, kind="natural")
MIXTURES = ("all alike", "low often", "high often")
KNOWN = CHANCE / 2  # nats: a task is known at or below it
SURE = 0.95  # share of right answers on a task


def known(result: xr.Dataset, model: str) -> xr.DataArray:
    """Whether a network knows each task (seed, task)."""
    below: xr.DataArray = result.task_loss.sel(model=model, drop=True) <= KNOWN
    return below


def one_knows(result: xr.Dataset, first: str, second: str) -> xr.DataArray:
    """Tasks that exactly one of two networks knows, one number a seed; NaN where one of them was not stopped."""
    apart = (known(result, first) ^ known(result, second)).sum("task").astype(float)
    stopped = result.task_loss.sel(model=[first, second]).notnull().all(["model", "task"])
    judged: xr.DataArray = apart.where(stopped)
    return judged


def half_apart(result: xr.Dataset, first: str, second: str) -> xr.DataArray:
    """Tasks on which the losses of two networks differ by at least half of chance, one number a seed; NaN as above."""
    gaps = np.abs(result.task_loss.sel(model=first, drop=True) - result.task_loss.sel(model=second, drop=True))
    judged: xr.DataArray = (gaps >= KNOWN).sum("task").astype(float).where(gaps.notnull().all("task"))
    return judged


def loss_on(result: xr.Dataset, model: str, mixture: str) -> xr.DataArray:
    """A network's mean loss on a mixture of the tasks, one number a seed."""
    weights = result.frequency.sel(mixture=mixture, drop=True)
    mean: xr.DataArray = (result.task_loss.sel(model=model, drop=True) * weights).sum("task", skipna=False)
    return mean


def right(result: xr.Dataset, model: str) -> xr.DataArray:
    """Share of right answers, every task counted alike, one number a seed."""
    mean: xr.DataArray = result.accuracy.sel(model=model, drop=True).mean("task", skipna=False)
    return mean


def mean_gap(result: xr.Dataset, first: str, second: str) -> xr.DataArray:
    """Absolute difference of the losses of two networks, nats, averaged over tasks, one number a seed."""
    gaps = np.abs(result.task_loss.sel(model=first, drop=True) - result.task_loss.sel(model=second, drop=True))
    mean: xr.DataArray = gaps.mean("task", skipna=False)
    return mean


def agreement(result: xr.Dataset, first: str, second: str) -> xr.DataArray:
    """Correlation over tasks of the losses of two networks, one number a seed."""
    losses = [result.task_loss.sel(model=model, drop=True) for model in (first, second)]
    found: xr.DataArray = xr.corr(losses[0], losses[1], "task")
    return found


def skills_part(result: xr.Dataset) -> Evidence:
    """Per seed, the share of tasks on which the networks of opposite frequencies are half of chance apart."""
    return across_seeds(half_apart(result, LOW, HIGH) / result.sizes["task"], above=0.55)


def mixtures_reverse(result: xr.Dataset) -> Evidence:
    """Per seed, the smaller of two leads: of each of the two networks, on the mixture it was trained on, over the other."""
    first = loss_on(result, HIGH, "low often") - loss_on(result, LOW, "low often")
    second = loss_on(result, LOW, "high often") - loss_on(result, HIGH, "high often")
    return across_seeds(np.minimum(first, second), above=0.3)


def answers_part(result: xr.Dataset) -> Evidence:
    """Per seed, how much larger a share of right answers the network of equal frequencies has."""
    return across_seeds(right(result, EVEN) - right(result, LOW), above=0.07)


def recipe_decides(result: xr.Dataset) -> Evidence:
    """Per seed, the correlation of the task losses of two draws of one recipe."""
    return across_seeds(agreement(result, LOW, OTHER_LOW), above=0.85)


def matched(result: xr.Dataset) -> Evidence:
    """A manipulation check: the largest difference of mean losses in a seed; NaN where a network was not stopped."""
    means = result.task_loss.mean("task", skipna=False)
    return across_seeds(means.max("model", skipna=False) - means.min("model", skipna=False), below=1e-4)


def matched_and_spread(result: xr.Dataset) -> Evidence:
    """A manipulation check: the losses of two draws of a recipe are matched and vary over tasks, so that they could correlate."""
    means = result.task_loss.mean("task", skipna=False)
    gap = means.max("model", skipna=False) - means.min("model", skipna=False)
    spread = result.task_loss.sel(model=[LOW, OTHER_LOW]).std("task", skipna=False).min("model", skipna=False)
    return across_seeds(spread.where(gap < 1e-4), above=0.2)


def twin_for_opposite(result: xr.Dataset) -> xr.Dataset:
    """Another draw of the same recipe in the place of the network of opposite frequencies, and of the one of equal ones."""
    return _in_place(result, {HIGH: OTHER_LOW, EVEN: OTHER_LOW})


def renumbered_twin(result: xr.Dataset) -> xr.Dataset:
    """The tasks of the second draw with low numbers often in an order drawn anew for every seed."""
    changed = result.copy(deep=True)
    for seed in result.seed.values:
        order = numpy_generator("renumbered", int(seed)).permutation(result.sizes["task"])
        for name in ("task_loss", "accuracy"):
            own = {"seed": seed, "model": OTHER_LOW}
            changed[name].loc[own] = result[name].sel(own).values[order]
    return changed


def _in_place(result: xr.Dataset, places: dict[str, str]) -> xr.Dataset:
    changed = result.copy(deep=True)
    for model, other in places.items():
        for name in ("task_loss", "accuracy"):
            changed[name].loc[{"model": model}] = result[name].sel(model=other).values
    return changed
