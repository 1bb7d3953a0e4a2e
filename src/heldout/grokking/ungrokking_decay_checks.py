"""What the claims about ungrokking at several weight decays measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.grokking.ungrokking_checks import crossing

EARLY = 5.0  # decay times
NEAR = -2  # the fraction near the place: the last but one
FITTED = 0.99
AT_FIT, LEAST, MOST, SETTLED = (
    0.2,
    0.2,
    0.9,
    0.15,
)  # held-out accuracy of semi-grokking: before, at the end, late change


def early(result: xr.Dataset) -> xr.Dataset:
    """A control: the record as it stood at the probe nearest to :data:`EARLY` decay times."""
    times = result.step.values * float(result.attrs["decay_rate"])
    return result.isel(step=slice(0, int(np.abs(times - EARLY).argmin()) + 1))


def place(result: xr.Dataset, decay: float) -> xr.DataArray:
    """Per seed, the fraction at which the last held-out accuracy passes one half; NaN where it does not."""
    last = result.test_accuracy.sel(weight_decay=decay).isel(step=-1).transpose("seed", "fraction").values
    return xr.DataArray([crossing(result.fraction.values, one) for one in last], {"seed": result.seed}, ("seed",))


def shift(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the largest place of any weight decay over the smallest; NaN where one has none."""
    places = xr.concat([place(result, float(decay)) for decay in result.weight_decay.values], "weight_decay")
    ratio: xr.DataArray = places.max("weight_decay", skipna=False) / places.min("weight_decay", skipna=False)
    return ratio


def return_after_fall(result: xr.Dataset) -> xr.DataArray:
    """Per seed, how far the last held-out accuracy lies above the lowest, near the place and at the middle weight decay."""
    curve = result.test_accuracy.isel(weight_decay=result.sizes["weight_decay"] // 2, fraction=NEAR)
    rise: xr.DataArray = curve.isel(step=-1) - curve.min("step")
    return rise


def apart(result: xr.Dataset) -> xr.DataArray:
    """Per seed, how far grokked and fresh networks end apart at the largest weight decay, mean over the fractions."""
    grokked = result.test_accuracy.isel(weight_decay=-1, step=-1, drop=True).transpose("fraction", "seed")
    fresh = result.fresh_test_accuracy.isel(step=-1, drop=True).transpose("fraction", "draw")
    difference = abs(grokked - fresh.values[:, : result.sizes["seed"]])
    mean: xr.DataArray = difference.mean("fraction")
    return mean


def fit_step(result: xr.Dataset) -> xr.DataArray:
    """Per draw, the first probed step at which a fresh network near the place has fitted its pairs; NaN if never."""
    fitted = result.fresh_train_accuracy.isel(fraction=NEAR) >= FITTED
    first: xr.DataArray = result.step.where(fitted).min("step")
    return first


def at_fit(result: xr.Dataset) -> xr.DataArray:
    """Per draw, held-out accuracy at :func:`fit_step`."""
    curve = result.fresh_test_accuracy.isel(fraction=NEAR)
    value: xr.DataArray = curve.where(result.step == fit_step(result)).max("step")
    return value


def late(curve: xr.DataArray) -> xr.DataArray:
    """The change of a curve over about the last third of the updates."""
    before = curve.sel(step=float(curve.step[-1]) * 2 / 3, method="nearest", drop=True)
    change: xr.DataArray = curve.isel(step=-1, drop=True) - before
    return change


def late_change(result: xr.Dataset) -> xr.DataArray:
    """Per draw, the :func:`late` change of a fresh network's held-out accuracy near the place."""
    return late(result.fresh_test_accuracy.isel(fraction=NEAR))


def partial_ends(result: xr.Dataset) -> xr.DataArray:
    """Per draw, the last held-out accuracy near the place; NaN unless it rose after the fit, ends in between and has settled."""
    last = result.fresh_test_accuracy.isel(fraction=NEAR, step=-1, drop=True)
    delayed = at_fit(result) <= AT_FIT
    between = (last > LEAST) & (last < MOST)
    ends: xr.DataArray = last.where(delayed & between & (abs(late_change(result)) <= SETTLED))
    return ends


def place_stays(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`shift`."""
    return across_seeds(shift(result), below=1.25)


def falls_then_returns(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`return_after_fall`."""
    return across_seeds(return_after_fall(result), above=0.3)


def both_starts(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`apart`."""
    return across_seeds(apart(result), below=0.1)


def semi_grokking(result: xr.Dataset) -> Evidence:
    """Per draw, :func:`partial_ends`."""
    return across_seeds(partial_ends(result), above=LEAST, share=0.8)


def fitted(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the least accuracy at the end on pairs trained on, of grokked and fresh networks."""
    grokked = result.train_accuracy.isel(step=-1, drop=True).min(("weight_decay", "fraction"))
    fresh = result.fresh_train_accuracy.isel(step=-1, drop=True).min("fraction").values[: result.sizes["seed"]]
    return across_seeds(np.minimum(grokked.values, fresh), above=FITTED)


def largest_decay(result: xr.Dataset) -> xr.Dataset:
    """A control: the runs with the largest weight decay alone."""
    return result.isel(weight_decay=[-1])


def smallest_fraction(result: xr.Dataset) -> xr.Dataset:
    """A control: the runs on the smallest fraction in the place of those near."""
    changed = result.copy(deep=True)
    for name in ("train_accuracy", "test_accuracy"):
        changed[f"fresh_{name}"][{"fraction": NEAR}] = result[f"fresh_{name}"].isel(fraction=0, drop=True)
    return changed
