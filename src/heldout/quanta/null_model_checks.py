"""What the claims about null models measure on a record."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from heldout.claims import Evidence, across_seeds
from heldout.quanta import staircase_checks as stairs
from heldout.quanta.parity import CHANCE

# Decades: no sum of decaying exponentials falls faster from .9 to .1 than this, and no convex curve faster than CONVEX.
LINEAR = float(np.log10(np.log(0.1) / np.log(0.9)))
CONVEX = float(np.log10(9))
FLOOR = 0.05  # of chance: below it nothing is fitted


def single(result: xr.Dataset, model: str) -> xr.Dataset:
    """One model's record as the page on staircases has it: losses with chance at log 2, time as ``step``."""
    one = result.sel(model=model)
    return xr.Dataset(
        {
            "task_loss": (("seed", "task", "step"), one.task_loss.values * CHANCE),
            "mean_loss": (("seed", "step"), one.mean_loss.values * CHANCE),
            "frequency": ("task", result.frequency.values),
        },
        {"seed": result.seed.values, "task": result.task.values, "step": one.clock.values},
    )


def half_time(one: xr.Dataset) -> float:
    """When the median seed's mean loss is first at most half of chance; the end where it never is."""
    below = np.flatnonzero(one.mean_loss.median("seed").values <= CHANCE / 2)
    return float(one.step[int(below[0]) if below.size else -1])


def mean_widths(result: xr.Dataset, model: str) -> Float[np.ndarray, " seed"]:
    """Decades in which the mean falls from .9 to .1 of chance; where it does not get there, what it took so far."""
    return stairs.mean_width(single(result, model))


def all_widths(result: xr.Dataset, model: str) -> Float[np.ndarray, "seed task"]:
    """The same for each task; NaN where it does not get there."""
    return stairs.widths(single(result, model))


def width(result: xr.Dataset, model: str) -> Float[np.ndarray, " seed"]:
    """Median over a seed's tasks that got to .1; where none did, what the first task took so far."""
    found, one = all_widths(result, model), single(result, model)
    first = stairs.mean_width(one.assign(mean_loss=one.task_loss.isel(task=0)))
    median = np.array([stairs.middle(row) for row in found])
    judged: np.ndarray = np.where(np.isfinite(median), median, first)
    return judged


def _fitted(result: xr.Dataset, model: str) -> xr.Dataset:
    """One model's record as far as lines are fitted: until the median seed's mean loss is last above FLOOR."""
    one = single(result, model)
    above = np.flatnonzero(one.mean_loss.median("seed").values > FLOOR * CHANCE)
    return one.isel(step=slice(0, int(above[-1]) + 1))


def bends(result: xr.Dataset, model: str) -> Float[np.ndarray, " seed"]:
    """Root mean square distance of the mean loss from its power law, as a share of the loss, from .9 of chance to FLOOR."""
    bent: np.ndarray = 10 ** stairs.bend(_fitted(result, model)) - 1
    return bent


def exponent(result: xr.Dataset, model: str) -> Float[np.ndarray, " seed"]:
    """Minus the slope of that power law."""
    return stairs.exponents(_fitted(result, model))


def exponents(result: xr.Dataset) -> Float[np.ndarray, " model"]:
    """Its median over seeds, of every model."""
    return np.array([np.median(exponent(result, str(model))) for model in result.model.values])


def learned(result: xr.Dataset, model: str) -> int:
    """How many tasks end at or below half of chance, in the median seed."""
    down = result.task_loss.sel(model=model).isel(look=-1) <= 0.5
    return int(np.median(down.sum("task").values))


def done(result: xr.Dataset, model: str) -> int:
    """How many tasks get to .1 of chance, in the median seed: those whose widths are known."""
    return int(np.median(np.isfinite(all_widths(result, model)).sum(1)))


def extremes(result: xr.Dataset, models: tuple[str, ...]) -> dict[str, float | int | str]:
    """Over all models: the largest bend of a seed, and the medians of exponents, and decades fitted.

    And, of the network, the share of chance at which the first task ends, the smallest and the largest seed's.
    """
    slopes, spans = exponents(result), []
    for model in models:
        start, end = stairs.window(_fitted(result, model))
        spans.append(float(np.log10(end / start)))
    ends = result.task_loss.sel(model="network").isel(task=0, look=-1).values
    return {
        "bend_most": float(max(bends(result, model).max() for model in models)),
        "exponent_least": float(slopes.min()), "exponent_most": float(slopes.max()),
        "window_least": min(spans), "window_most": max(spans),
        "network_end_least": float(ends.min()), "network_end_most": float(ends.max()),
    }  # fmt: skip


def spread(result: xr.Dataset) -> float:
    """Largest difference of two models' exponents, of medians over seeds."""
    return float(np.ptp(exponents(result)))


def asymptotic(result: xr.Dataset) -> float:
    """Exponent of every model's mean loss for infinitely many tasks."""
    return stairs.asymptotic(result)


def off_expected(result: xr.Dataset) -> float:
    """Largest distance of the memorizer's mean loss from its expectation, over seeds and looks."""
    return float(np.abs(result.mean_loss.sel(model="memorizer") - result.expected).max())


def seen_ratio(result: xr.Dataset) -> float:
    """How many of the single strings, one a task and seed, the memorizer has seen at the end, over the number expected."""
    end = float(result.clock.sel(model="memorizer")[-1])
    expected = -np.expm1(-end * result.frequency.values / float(result.strings)).sum() * result.sizes["seed"]
    return float(np.isfinite(result.one_time.values).sum() / expected)


def network_scatter(result: xr.Dataset) -> float:
    """Standard deviation over seeds, in decades, of the network's time to half of a task's chance, over tasks all seeds learn."""
    one = result.sel(model="network")
    times = np.where(one.task_loss.values <= 0.5, one.clock.values, np.inf).min(-1)
    logs = np.log10(times[:, np.isfinite(times).all(0)])
    return float(np.sqrt(((logs - logs.mean(0)) ** 2).mean())) if logs.size else float("nan")


def one_input(result: xr.Dataset) -> xr.Dataset:
    """The record with one string's loss in place of each task's, in the memorizer; means stay as they are."""
    changed = result.copy(deep=True)
    clock = result.clock.sel(model="memorizer").values
    position = list(result.model.values).index("memorizer")
    changed["task_loss"][position] = (result.one_time.values[..., None] > clock).astype(float)
    return changed


def _largest(result: xr.Dataset, models: tuple[str, ...]) -> Float[np.ndarray, " seed"]:
    largest: np.ndarray = np.max([width(result, model) for model in models], 0)
    return largest


def straight(result: xr.Dataset) -> Evidence:
    """Per seed, the largest of the models' :func:`bends`."""
    return across_seeds(np.max([bends(result, str(m)) for m in result.model.values], 0), below=0.15)


def alike(result: xr.Dataset) -> Evidence:
    """Per seed, the largest difference of two models' exponents."""
    return across_seeds(np.ptp([exponent(result, str(m)) for m in result.model.values], 0), below=0.2)


def wide(result: xr.Dataset) -> Evidence:
    """Per seed, the smaller :func:`width` of memorizer and random features."""
    return across_seeds(np.min([width(result, m) for m in ("memorizer", "random features")], 0), above=CONVEX)


def narrow(result: xr.Dataset) -> Evidence:
    """Per seed, the larger :func:`width` of network and multilinear model."""
    return across_seeds(_largest(result, ("network", "multilinear")), below=CONVEX)


def all_learn(result: xr.Dataset) -> Evidence:
    """A manipulation check: every model's mean loss ends below half of chance."""
    return across_seeds(result.mean_loss.isel(look=-1).max("model"), below=0.5)


def network_learns(result: xr.Dataset) -> Evidence:
    """A manipulation check: the network ends with its first task below half of chance."""
    return across_seeds(result.task_loss.sel(model="network").isel(task=0, look=-1), below=0.5)


def seen_at_its_rate(result: xr.Dataset) -> Evidence:
    """A manipulation check: single strings are seen as often as their task's frequency says."""
    value = seen_ratio(result)
    return Evidence(value=value, bound="within .25 of 1", holds=bool(abs(value - 1) <= 0.25))
