"""What the claims on the lazy start measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

LEARNED_ERROR = 0.1  # of the target's variance: below it a set counts as fitted or learned


def middle(result: xr.Dataset) -> xr.Dataset:
    """The curves (seed, step) at the middle training size and output scale."""
    return result.isel(num_train=result.sizes["num_train"] // 2, output_scale=result.sizes["output_scale"] // 2)


def first(error: xr.DataArray) -> xr.DataArray:
    """First probed step with an error below :data:`LEARNED_ERROR`; NaN where there is none. Drops ``step``."""
    steps: xr.DataArray = error.step.where(error < LEARNED_ERROR).min("step")
    return steps


def at_fit(result: xr.Dataset, name: str) -> xr.DataArray:
    """A curve's value where the training set is first fitted; NaN where it never is. Drops ``step``."""
    value: xr.DataArray = result[name].where(result.step == first(result.train_error)).max("step")
    return value


def delay(result: xr.Dataset) -> xr.DataArray:
    """Updates until held-out error is small over those until training error is (num_train, output_scale, seed).

    Infinite where held-out error never is, NaN where training error is not either.
    """
    fitted = first(result.train_error)
    ratio: xr.DataArray = (first(result.test_error) / fitted).fillna(np.inf).where(fitted.notnull())
    return ratio


def growth_of_the_target(result: xr.Dataset, scale: float) -> float:
    """Length of all weights, over that at the start, of a network with the target's mean: sqrt(1 + 1 / (scale c)).

    Up to the draw of the first weights, whose mean square is taken to be one.
    """
    return float(np.sqrt(1 + 1 / (scale * float(result.attrs["curvature"]))))


def late(result: xr.Dataset) -> Evidence:
    """Per seed, the delay at the middle size and scale; 0 where held-out error never falls."""
    own = delay(middle(result))
    return across_seeds(own.where(np.isfinite(own), 0), above=5, share=0.8)


def units_turn(result: xr.Dataset) -> Evidence:
    """Per seed, the rise of the cosine from the fit to where held-out error falls; 0 if it never does or the weights shrank."""
    mine = middle(result)
    learned = mine.step == first(mine.test_error)
    rise = mine.alignment.where(learned).max("step") - at_fit(mine, "alignment")
    grown = mine.norm.where(learned).max("step") >= at_fit(mine, "norm")
    return across_seeds(rise.where(grown, 0).fillna(0), above=0.1, share=0.8)


def scale_delays(result: xr.Dataset) -> Evidence:
    """Per seed, the delay at the middle scale over that at the smallest, at the middle size; NaN where either never learns."""
    mine = delay(result).isel(num_train=result.sizes["num_train"] // 2)
    low, high = mine.isel(output_scale=0), mine.isel(output_scale=result.sizes["output_scale"] // 2)
    return across_seeds((high / low).where(np.isfinite(low) & np.isfinite(high)), above=1.2, share=0.8)


def neither_few_nor_many(result: xr.Dataset) -> Evidence:
    """Per seed, 1 if the smallest size ends above a half and the largest has a delay below two, at the middle scale."""
    scale = result.sizes["output_scale"] // 2
    few = result.test_error.isel(num_train=0, output_scale=scale, step=-1) > 0.5
    many = delay(result).isel(num_train=-1, output_scale=scale) < 2
    return across_seeds((few & many).astype(float), above=0.5, share=0.8)


def fitted(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the largest training error at the end over all sizes and scales."""
    return across_seeds(result.train_error.isel(step=-1).max(("num_train", "output_scale")), below=LEARNED_ERROR)


def largest_size(result: xr.Dataset) -> xr.Dataset:
    """The runs with the most training inputs alone."""
    return result.isel(num_train=[-1])


def features_of_the_start(result: xr.Dataset) -> xr.Dataset:
    """The record with the held-out error of the fit with fixed features in the place of the network's at every step."""
    return result.assign(test_error=result.kernel_error.broadcast_like(result.test_error))
