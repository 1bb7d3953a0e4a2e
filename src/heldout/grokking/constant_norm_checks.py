"""What the claims about held norms measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.grokking.training import LEARNED, first_step


def steps_to(accuracy: xr.DataArray) -> xr.DataArray:
    """Updates of a held run until an accuracy counts as learned; infinite where it does not."""
    return first_step(accuracy).fillna(np.inf)


def usual_steps_to(result: xr.Dataset, which: str) -> xr.DataArray:
    """Updates of the usual run until its "train" or "test" pairs are learned; infinite where they are not."""
    return steps_to(result[f"usual_{which}_accuracy"].rename(usual_step="step"))


def usual_when(result: xr.Dataset, name: str, which: str) -> xr.DataArray:
    """A measure of the usual run at the first probe that finds its "train" or "test" pairs learned; NaN where none does."""
    reached = result.usual_step == usual_steps_to(result, which)
    then: xr.DataArray = result[f"usual_{name}"].where(reached).max("usual_step")
    return then


def norm_ratio(result: xr.Dataset) -> xr.DataArray:
    """The usual run's norm when the held-out pairs are learned, over that when the training pairs were."""
    return usual_when(result, "norm", "test") / usual_when(result, "norm", "train")


def faster(result: xr.Dataset) -> xr.DataArray:
    """How many times as many updates the usual run takes as the norm held at 4, at the smallest logit scale there is."""
    held = steps_to(result.test_accuracy.sel(held=4.0).isel(logits=0))
    ratio: xr.DataArray = usual_steps_to(result, "test") / held
    return ratio.where(np.isfinite(held), -np.inf)


def sooner(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`faster`."""
    return across_seeds(faster(result), above=2.0)


def learned_at_every_norm(result: xr.Dataset) -> Evidence:
    """Per seed, the most updates that any held norm takes at the smallest logit scale there is."""
    return across_seeds(steps_to(result.test_accuracy.isel(logits=0)).max("held"), below=float(result.step[-1]) + 1)


def late_at_every_norm(result: xr.Dataset) -> Evidence:
    """Per seed, the best held-out accuracy at the end of any held norm at the largest logit scale; infinite where not fitted."""
    mine = result.isel(logits=-1)
    ends = mine.test_accuracy.isel(step=-1).max("held")
    return across_seeds(ends.where(_all_fit(mine), np.inf), below=0.5)


def norm_stays(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`norm_ratio`."""
    return across_seeds(norm_ratio(result), above=0.9)


def same_norm_and_fits(result: xr.Dataset) -> Evidence:
    """A manipulation check: at the norm held at 4, the training pairs are learned."""
    return across_seeds(result.train_accuracy.sel(held=4.0).isel(logits=0, step=-1), above=LEARNED)


def fits_at_every_norm(result: xr.Dataset) -> Evidence:
    """A manipulation check: the training pairs are learned at every norm."""
    return across_seeds(result.train_accuracy.isel(step=-1).min(("held", "logits")), above=LEARNED)


def usual_learns(result: xr.Dataset) -> Evidence:
    """A manipulation check: the usual run learns the held-out pairs."""
    return across_seeds(result.usual_test_accuracy.max("usual_step"), above=LEARNED)


def largest_logits_only(result: xr.Dataset) -> xr.Dataset:
    """The largest logit scale in the place of all."""
    return result.isel(logits=[-1])


def smallest_logits_only(result: xr.Dataset) -> xr.Dataset:
    """The smallest logit scale in the place of all."""
    return result.isel(logits=[0])


def _all_fit(result: xr.Dataset) -> xr.DataArray:
    fitted: xr.DataArray = (result.train_accuracy.max("step") >= LEARNED).all("held")
    return fitted
