"""What the claims about a composite and its parts measure on a record; times are in updates."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from heldout.claims import Evidence, across_seeds
from heldout.quanta.parity import CHANCE

KNOWN, STILL = (
    0.5,
    0.95,
)  # of chance: a loss at most the first is learned, one above the second is no better than chance
LEARNED = 0.1  # of chance, at the end of a run
ALONE, NONE, ALL = 0, 1, -1  # positions of the trainings


def _first(result: xr.Dataset, loss: xr.DataArray) -> np.ndarray:
    """The first look at which a loss is learned, infinite where there is none; the axis of looks is taken away."""
    return np.asarray(result.step.where(loss <= KNOWN * CHANCE, np.inf).min("step").values, dtype=float)


def composite_times(result: xr.Dataset) -> Float[np.ndarray, "seed training"]:
    """When each training has learned the composite."""
    return _first(result, result.composite_loss)


def part_times(result: xr.Dataset) -> Float[np.ndarray, "seed training"]:
    """When each training has learned the last of its own parts; infinite for the one that has none."""
    return np.asarray(_first(result, result.part_loss).max(2))


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """One time over another: infinite where only the first was never reached, NaN where the second was not."""
    with np.errstate(invalid="ignore"):
        found: np.ndarray = np.where(np.isfinite(below), above / below, np.nan)
    return found


def eves(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """The last look at which the composite beside all its parts is still no better than chance; NaN if it never was."""
    blind = result.composite_loss.isel(training=ALL) > STILL * CHANCE
    return np.asarray(result.step.where(blind).max("step").values, dtype=float)


def at_the_eve(result: xr.Dataset, name: str) -> Float[np.ndarray, "seed ..."]:
    """A measure of every training of a seed at that look; NaN where there is none."""
    empty = xr.full_like(result[name].isel(seed=0, step=0, drop=True), np.nan, dtype=float)
    looks = [
        result[name].isel(seed=seed).sel(step=eve) if eve == eve else empty for seed, eve in enumerate(eves(result))
    ]
    return np.stack([np.asarray(look.values, dtype=float) for look in looks])


def parts_known(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """How many of its right parts the training beside all of them has learned at that look."""
    return np.asarray((at_the_eve(result, "part_loss")[:, ALL] <= KNOWN * CHANCE).sum(-1), dtype=float)


def end_share(result: xr.Dataset, training: int) -> Float[np.ndarray, " seed"]:
    """The composite's loss at the end, as a share of chance."""
    return np.asarray(result.composite_loss.isel(step=-1, training=training).values / CHANCE)


def gap(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """At that look: how much more of the parts a probe reads beside them than alone; NaN where it is better than chance alone."""
    read, loss = at_the_eve(result, "read"), at_the_eve(result, "composite_loss") / CHANCE
    return np.where(loss[:, ALONE] > STILL, read[:, ALL] - read[:, ALONE], np.nan)


def delays(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """Time with one part wrong over time with none; NaN where a training with only one right, or none, learns it too."""
    times = composite_times(result)
    few = np.isfinite(times[:, NONE : ALL - 1]).any(1)
    return np.where(few, np.nan, ratio(times[:, ALL - 1], times[:, ALL]))


def waits(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """Time of the composite over the time of the last of its parts."""
    return ratio(composite_times(result)[:, ALL], part_times(result)[:, ALL])


def built(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`end_share` with all parts right."""
    return across_seeds(end_share(result, ALL), below=LEARNED)


def stuck(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`end_share` alone."""
    return across_seeds(end_share(result, ALONE), above=STILL)


def last_of_all(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`waits`."""
    return across_seeds(_finite(waits(result)), above=1.2)


def delayed(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`delays`; never learned within the run counts as later by as much as the run allows."""
    end = float(result.step[-1]) / composite_times(result)[:, ALL]
    return across_seeds(np.minimum(delays(result), end), above=1.5)


def hidden(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`gap`."""
    return across_seeds(gap(result), above=0.25)


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def parts_learned(result: xr.Dataset) -> Evidence:
    """A manipulation check: every training that has parts has learned all of its own, to a tenth of chance."""
    worst = result.part_loss.isel(step=-1, training=slice(NONE, None)).max(("training", "part")) / CHANCE
    return across_seeds(worst, below=LEARNED)


def all_learned(result: xr.Dataset) -> Evidence:
    """A manipulation check: with its parts the composite is learned as well as in the book's run, and so are they."""
    parts = result.part_loss.isel(step=-1, training=ALL).max("part") / CHANCE
    return across_seeds(np.maximum(end_share(result, ALL), parts), below=LEARNED)


def wrong_parts(result: xr.Dataset) -> xr.Dataset:
    """The record with the parts over the wrong bits in the place of the right ones."""
    kept = result.isel(training=[ALONE, *[NONE] * (result.sizes["training"] - 1)])
    return kept.assign_coords(training=result.training)
