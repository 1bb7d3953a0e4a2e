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


def tail_errors(result: xr.Dataset) -> xr.DataArray:
    """Relative error of the tail sum (seed, width, step); NaN where nothing is learned yet."""
    relative: xr.DataArray = abs(tail_sum(result) / result.loss - 1).where(count(result) > 0)
    return relative


def tail_error(result: xr.Dataset) -> xr.DataArray:
    """Per seed, median of :func:`tail_errors` over widths and updates."""
    return tail_errors(result).median(["width", "step"])


def gross_error(result: xr.Dataset) -> xr.DataArray:
    """Per seed, as :func:`tail_error`, with the tasks' errors added without their signs."""
    told = CHANCE * ~learned(result)
    gross: xr.DataArray = (abs(result.task_loss - told) * result.frequency).sum("task") / result.loss
    return gross.where(count(result) > 0).median(["width", "step"])


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


def true_count_error(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """Per seed, median relative error at the left-out widths when the number learned there is known."""
    last = result.isel(step=-1)
    tails = CHANCE * tail(result.frequency.values)[count(result).isel(step=-1).values]
    return np.asarray(np.median(np.abs(tails / last.loss.values - 1)[:, 1::2], 1))


def damage_learned(result: xr.Dataset, name: str = "damage") -> xr.DataArray:
    """Accuracy that the learned tasks lose without a unit, and 0 for the others, which have none to lose."""
    known = learned(result).isel(width=-1, step=-1, drop=True)
    return result[name].clip(min=0).where(known, 0.0)


def concentration(damage: Float[np.ndarray, "unit task"]) -> float:
    """Sum d^2 / (sum d)^2 of a unit, d the accuracy each task loses, mean weighted by sum d: 1 if units serve single tasks."""
    lost = np.maximum(damage, 0)
    total = lost.sum(1)
    used = total > 0
    return float((lost[used] ** 2).sum(1) @ (1 / total[used]) / total[used].sum()) if used.any() else float("nan")


def togetherness(result: xr.Dataset, name: str = "damage") -> Float[np.ndarray, " seed"]:
    """Per seed, correlation over units of the accuracies that two learned tasks lose, mean over pairs of tasks."""
    known, found = learned(result).isel(width=-1, step=-1).values, []
    for damage, which in zip(result[name].values, known, strict=True):
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


def nearer(result: xr.Dataset) -> Evidence:
    """Per seed, the median error of the power law at the left-out widths less that through the count."""
    errors = unseen(result)
    lead = np.median(np.abs(errors.by_power_law), 1) - np.median(np.abs(errors.by_count), 1)
    return across_seeds(lead, above=0, share=0.8)


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
    """A manipulation check: the units still carry the learned tasks, accuracy lost a unit summed over these."""
    return across_seeds(damage_learned(result).sum("task").mean("unit"), above=0.1)


def as_many(result: xr.Dataset) -> Evidence:
    """A manipulation check: among the widths the numbers learned still range over at least three tasks."""
    known = count(result).isel(step=-1)
    return across_seeds(known.max("width") - known.min("width"), above=2.5)


def other_frequencies(result: xr.Dataset) -> xr.Dataset:
    """The same runs and counts with the frequencies handed to other tasks: the commonest becomes the rarest."""
    return result.assign(frequency=("task", result.frequency.values[::-1].copy(), result.frequency.attrs))


def shuffled_units(result: xr.Dataset) -> xr.Dataset:
    """Each task's damages handed to the units at random, independently of the other tasks."""
    random = numpy_generator("control, shuffled units", result.sizes["seed"])
    damage = np.stack([random.permuted(each, axis=0) for each in result.damage.values])
    return result.assign(damage=(result.damage.dims, damage, result.damage.attrs))


def other_widths(result: xr.Dataset) -> xr.Dataset:
    """The same networks under each other's widths, in an order of its own for each seed."""
    random, number = numpy_generator("control, other widths", result.sizes["seed"]), result.sizes["width"]
    orders = [random.permutation(number) for _ in result.seed.values]
    mixed = [result.isel(seed=[i], width=order) for i, order in enumerate(orders)]
    return xr.concat([each.assign_coords(width=result.width) for each in mixed], "seed", data_vars="minimal")


def quoted(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, errors relative to the measured loss."""
    known = count(result).isel(step=-1).median("seed")
    last = result.loss.isel(step=-1).median("seed")
    errors = unseen(result)
    by_count, by_law = (np.median(np.abs(each), 1) for each in errors)
    ratio, together = specialization(result), togetherness(result)
    damage, late = damage_learned(result), result.loss.sel(step=result.step >= 2 / 3 * int(result.step[-1]))
    fall = (1 - late.isel(step=-1) / late.isel(step=0)).median("seed")
    return {
        "seeds": result.sizes["seed"],
        "tasks": result.sizes["task"],
        "widths": result.sizes["width"],
        "narrowest": int(result.width[0]),
        "widest": int(result.width[-1]),
        "steps": int(result.step[-1]),
        "known_narrow": float(known[0]),
        "known_wide": float(known[-1]),
        "loss_narrow": float(last[0]),
        "loss_wide": float(last[-1]),
        "tail_error": float(tail_error(result).median()),
        "tail_error_most": float(tail_error(result).max()),
        "tail_error_point": float(tail_errors(result).max()),
        "gross_error": float(gross_error(result).median()),
        "tail_error_permuted": float(tail_error(other_frequencies(result)).median()),
        "count_error": float(np.median(by_count)),
        "count_error_least": float(by_count.min()),
        "count_error_most": float(by_count.max()),
        "count_bias": float(np.median(errors.by_count)),
        "law_error": float(np.median(by_law)),
        "law_error_least": float(by_law.min()),
        "law_error_most": float(by_law.max()),
        "count_better": int((by_count < by_law).sum()),
        "count_wins": int((np.abs(errors.by_count) < np.abs(errors.by_power_law)).sum()),
        "pairs": int(errors.by_count.size),
        "count_error_top": float(np.median(np.abs(errors.by_count[:, -1]))),
        "law_error_top": float(np.median(np.abs(errors.by_power_law[:, -1]))),
        "count_known": float(np.median(true_count_error(result))),
        "late_fall_narrow": float(fall[0]),
        "late_fall_wide": float(fall[-1]),
        "together": float(np.median(together)),
        "together_least": float(together.min()),
        "together_at_mean": float(np.median(togetherness(result, "damage_at_mean"))),
        "together_at_mean_least": float(togetherness(result, "damage_at_mean").min()),
        "together_shuffled": float(np.median(togetherness(shuffled_units(result)))),
        "specialization": float(np.nanmedian(ratio)),
        "specialization_least": float(np.nanmin(ratio)),
        "specialization_most": float(np.nanmax(ratio)),
        "harmless": float((damage.max("task") < 0.02).mean()),
        "worst_unit": float(damage.max(["unit", "task"]).median()),
    }
