"""Exponents: the law of infinitely many tasks, the exact sum over finitely many, and what a record's losses give."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from heldout.claims import Evidence, across_seeds, bootstrap_interval
from heldout.quanta.parity import tail, zipf

# H100 SXM: float32 operations, bytes to and from its memory, bytes over its link to the host, all a second.
GPU_RATE, GPU_MEMORY, GPU_LINK = 67e12, 3.35e12, 64e9
PASSES = 12  # times that a step writes or reads an array of batch times width
AXES = ("steps", "data", "width")
MANY = 1_000_000  # tasks: enough for the exact sum to be near the law at alpha = .5


def law(alpha: float, axis: str) -> float:
    """The exponent for infinitely many tasks: alpha in width, alpha / (1 + alpha) in steps and in data."""
    if axis == "width":
        return alpha
    return alpha / (1 + alpha) if alpha > -1 else float("inf")


def staircase(frequency: Float[np.ndarray, " task"], axis: str) -> tuple[np.ndarray, np.ndarray]:
    """Where the exact sum stands after n = 1 to K - 1 tasks: the cost, up to a factor, and the share of samples left.

    Task k costs 1 / p_k steps or samples, or k units of width; n tasks are known from the cost of the n-th to that of the next,
    and stand at the middle of the two in logarithms.
    """
    need = np.arange(1, len(frequency) + 1) if axis == "width" else 1 / frequency
    return np.sqrt(need[:-1] * need[1:]), tail(frequency)[1:-1]


def cost_of(x: np.ndarray, share: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Logarithm of the x at which the running minimum of ``share`` first comes down to each level; NaN where it does not."""
    lowest = np.log(np.minimum.accumulate(share))
    fresh = np.append(True, np.diff(lowest) < 0)
    found = np.interp(-np.log(level), -lowest[fresh], np.log(x)[fresh], left=np.nan, right=np.nan)
    return np.asarray(found)


def slope(x: np.ndarray, share: np.ndarray, level: np.ndarray) -> float:
    """Minus the inverse slope of a line through log :func:`cost_of` against log level; NaN if a level is missed."""
    costs = cost_of(x, share, level)
    if np.isnan(costs).any():
        return float("nan")
    rise = np.polyfit(np.log(level), costs, 1)[0]
    return float(-1 / rise) if rise < 0 else float("inf")


def exact(frequency: Float[np.ndarray, " task"], axis: str, level: np.ndarray) -> float:
    """The exponent of the exact finite sum over a window of losses."""
    return slope(*staircase(frequency, axis), level)


def local(tasks: int, alpha: float, axis: str, known: np.ndarray) -> np.ndarray:
    """Local exponent of the exact sum at ``known`` tasks, from two neighboring stairs."""
    x, left = staircase(zipf(tasks, alpha), axis)
    local = -np.diff(np.log(left)) / np.diff(np.log(x))
    return np.asarray(local[np.asarray(known) - 1])


def tasks_needed(alpha: float, known: int, tolerance: float) -> float:
    """Tasks a list needs for the exponent of its upper bound to be within ``tolerance`` of the law after ``known`` of them."""
    return float(known * (1 + 1 / tolerance) ** (1 / alpha))


def expected_cost(config: Any) -> dict[str, float]:
    """Operations, bytes and hours of a config on one H100-class GPU, from two matrix products and twelve passes a step."""
    online = config.steps * sum(config.widths)
    fixed = config.data_steps * config.data_width * len(config.samples)
    units = config.num_seeds * config.batch_size * (online + fixed)
    drawn = config.num_seeds * config.batch_size * (config.steps + config.data_steps * len(config.samples))
    work, moved, sent = 4.0 * config.num_bits * units, 4.0 * PASSES * units, 4.0 * config.num_bits * drawn
    return {
        "work": work, "moved": moved, "sent": sent, "work_hours": work / GPU_RATE / 3600,
        "moved_hours": moved / GPU_MEMORY / 3600, "sent_hours": sent / GPU_LINK / 3600,
    }  # fmt: skip


def alpha_of(result: xr.Dataset) -> float:
    """The alpha of a record, from its two commonest tasks."""
    first, second = result.frequency.values[:2]
    return float(np.log2(first / second) - 1)


def curve(result: xr.Dataset, axis: str) -> tuple[np.ndarray, np.ndarray]:
    """What was varied, and the share of chance that each seed lost (seed, x); looks before anything is learned left out."""
    name = {"steps": "step", "data": "samples", "width": "width"}[axis]
    share = result[f"{axis}_loss"].values / np.log(2)
    return result[name].values.astype(float), share


def measured(result: xr.Dataset, axis: str) -> Float[np.ndarray, " seed"]:
    """Each seed's exponent over the window of losses."""
    x, share = curve(result, axis)
    return np.array([slope(x, row, result.level.values) for row in share])


def halves(result: xr.Dataset, axis: str) -> Float[np.ndarray, "seed 2"]:
    """Each seed's exponent in the upper and in the lower half of the window."""
    x, share = curve(result, axis)
    return np.array([_halves(x, row, result.level.values) for row in share])


def _halves(x: np.ndarray, share: np.ndarray, level: np.ndarray) -> list[float]:
    middle = len(level) // 2
    return [slope(x, share, part) for part in (level[: middle + 1], level[middle:])]


def nearer(axis: str) -> Callable[[xr.Dataset], Evidence]:
    """A check: by how much a seed's exponent lies nearer to the exact sum's than to the law's; four in five must, by .03."""

    def check(result: xr.Dataset) -> Evidence:
        found = measured(result, axis)
        from_law = np.abs(found - law(alpha_of(result), axis))
        return across_seeds(
            from_law - np.abs(found - exact(result.frequency.values, axis, result.level.values)), above=0.03, share=0.8
        )

    return check


def near_its_sum(result: xr.Dataset) -> Evidence:
    """Per seed, how far the exponent in steps lies from the exact sum over ``sum_over`` tasks; four in five below .1.

    The sum is over the tasks the claim is about, which in the control are not the tasks trained on.
    """
    told = exact(zipf(int(result.sum_over), alpha_of(result)), "steps", result.level.values)
    return across_seeds(np.abs(measured(result, "steps") - told), below=0.1, share=0.8)


def shallower(result: xr.Dataset) -> Evidence:
    """Per seed, how far the exponent in width lies below the exact sum's."""
    told = exact(result.frequency.values, "width", result.level.values)
    return across_seeds(told - measured(result, "width"), above=0.05, share=0.8)


def count_exponent(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """Each seed's exponent of the number learned against width, over the widths that learned something."""
    width, found = np.log(result.width.values), []
    for known in result.known.values:
        some = known > 0
        found.append(np.polyfit(width[some], np.log(known[some]), 1)[0] if some.sum() > 1 else np.nan)
    return np.array(found)


def sublinear(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`count_exponent`."""
    return across_seeds(count_exponent(result), below=0.95, share=0.8)


def above_law(axis: str) -> Callable[[xr.Dataset], Evidence]:
    """A check: the bootstrap interval over seeds of the mean exponent lies above the law."""

    def check(result: xr.Dataset) -> Evidence:
        mean, low, high = bootstrap_interval(measured(result, axis))
        limit = law(alpha_of(result), axis)
        return Evidence(value=mean, low=low, high=high, bound=f"95 % interval above {limit:.3f}", holds=low > limit)

    return check


def spread(result: xr.Dataset) -> Evidence:
    """Per seed, the exponent in steps."""
    return across_seeds(measured(result, "steps"), below=0.7)


def summary(result: xr.Dataset) -> dict[str, float | int | str]:
    """For each axis the seeds' exponents, mean, interval and extremes, beside law and exact sum; in steps also the halves."""
    level, alpha = result.level.values, alpha_of(result)
    count, end = count_exponent(result), (result.half_loss / result.width_loss - 1).median("seed")
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "tasks": result.sizes["task"],
        "levels": len(level),
        "high": float(level[0]),
        "low": float(level[-1]),
        "widest": int(result.width[-1]),
        "count_exponent": float(np.nanmedian(count)),
        "count_least": float(np.nanmin(count)),
        "count_most": float(np.nanmax(count)),
        "half_loss": float(end[-1]),
        "half_loss_narrow": float(end[0]),
        "bends": int((np.diff(halves(result, "steps"), axis=1) > 0).sum()),
    }
    for axis in AXES:
        each = measured(result, axis)
        some = each[np.isfinite(each)]
        mean, low, high = bootstrap_interval(some) if some.size else [float("nan")] * 3
        told, limit = exact(result.frequency.values, axis, level), law(alpha, axis)
        found |= {
            f"{axis}_mean": mean,
            f"{axis}_low": low,
            f"{axis}_high": high,
            f"{axis}_exact": told,
            f"{axis}_law": limit,
        }
        if some.size:
            for name, pick in (("least", np.min), ("median", np.median), ("most", np.max)):
                found[f"{axis}_{name}"] = float(pick(some))
        found[f"{axis}_many"] = exact(zipf(MANY, alpha), axis, level)
        found[f"{axis}_nearer"] = int((np.abs(each - limit) > np.abs(each - told)).sum())
        found[f"{axis}_short"] = int((each < told - 0.05).sum())
    stair, left = staircase(result.frequency.values, "steps")
    for part, mean, told in zip(
        ("upper", "lower"), halves(result, "steps").mean(0), _halves(stair, left, level), strict=True
    ):
        found |= {part: float(mean), f"{part}_exact": told}
    return found


def near_law(result: xr.Dataset) -> Evidence:
    """A manipulation check: in every axis the exact sum's exponent is within .03 of the law."""
    alpha, level = alpha_of(result), result.level.values
    gaps = [abs(exact(result.frequency.values, axis, level) - law(alpha, axis)) for axis in AXES]
    return across_seeds(np.array(gaps), below=0.03)


def falls_through(result: xr.Dataset) -> Evidence:
    """A manipulation check: in every axis and seed the loss goes through the whole window."""
    missed = [np.isnan(measured(result, axis)) for axis in AXES]
    return across_seeds(np.mean(missed, 0), below=0.01)


def falls_in_steps(result: xr.Dataset) -> Evidence:
    """A manipulation check: in every seed the loss along training goes through the whole window."""
    return across_seeds(np.isnan(measured(result, "steps")).astype(float), below=0.01)


def learns_all(result: xr.Dataset) -> Evidence:
    """A manipulation check: the widest network's loss comes down below the window, online."""
    return across_seeds(curve(result, "steps")[1].min(1) / result.level.values.min(), below=1.0)


def many_tasks(result: xr.Dataset) -> xr.Dataset:
    """The same losses, held against the exact sum over a million tasks."""
    frequency = zipf(MANY, alpha_of(result))
    return result.drop_vars("frequency").assign(frequency=("task", frequency, result.frequency.attrs))


def told_by(result: xr.Dataset, frequency: Float[np.ndarray, " task"]) -> xr.Dataset:
    """The record that an exact sum predicts: in every seed losses on the staircase, the window entered just after the first x."""
    changed = result.copy()
    for axis in AXES:
        x, share = curve(result, axis)
        stair, left = staircase(frequency, axis)
        start = np.log(x[0]) + 0.05 - cost_of(stair, left, result.level.values[:1])
        losses = np.exp(np.interp(np.log(x) - start, np.log(stair), np.log(left))) * np.log(2)
        changed[f"{axis}_loss"] = (
            result[f"{axis}_loss"].dims,
            np.tile(losses, (len(share), 1)),
            result[f"{axis}_loss"].attrs,
        )
    return changed


def if_many(result: xr.Dataset) -> xr.Dataset:
    """Losses as a list of a million tasks would give them."""
    return told_by(result, zipf(MANY, alpha_of(result)))


def if_proportional(result: xr.Dataset) -> xr.Dataset:
    """Losses of the exact sum, and as many tasks known as go with a width in proportion."""
    changed = told_by(result, result.frequency.values)
    known = result.width.values / result.width.values[0]
    return changed.assign(known=(result.known.dims, np.tile(known, (result.sizes["seed"], 1)), result.known.attrs))
