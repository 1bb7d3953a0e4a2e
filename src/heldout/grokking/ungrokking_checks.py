"""What the claims about ungrokking measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

HALF = 0.5


def decayed(result: xr.Dataset) -> xr.Dataset:
    """The runs at the weight decay nearest to 1, the one of the first training."""
    return result.isel(weight_decay=int(np.abs(result.weight_decay.values - 1).argmin()))


def place(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the fraction at which the last held-out accuracy passes one half, on straight lines; NaN where it does not.

    ``result`` is at one weight decay. A seed whose accuracy at the smallest fraction is above one half has no place.
    """
    last = result.test_accuracy.isel(step=-1).transpose("seed", "fraction").values
    places = [crossing(result.fraction.values, accuracy) for accuracy in last]
    return xr.DataArray(places, {"seed": result.seed}, ("seed",))


def crossing(x: np.ndarray, y: np.ndarray, level: float = HALF) -> float:
    """Where a sequence of points first passes upward through a level, on a straight line between neighbors."""
    for left in range(len(x) - 1):
        if y[left] < level <= y[left + 1]:
            return float(x[left] + (x[left + 1] - x[left]) * (level - y[left]) / (y[left + 1] - y[left]))
    return float("nan")


def late_change(result: xr.Dataset) -> xr.DataArray:
    """Change of held-out accuracy over (about) the last third of the updates."""
    curve = result.test_accuracy
    early = curve.sel(step=float(curve.step[-1]) * 2 / 3, method="nearest")
    change: xr.DataArray = curve.isel(step=-1, drop=True) - early.drop_vars("step")
    return change


def forgets(result: xr.Dataset) -> Evidence:
    """Per seed, held-out accuracy at the smallest fraction; infinite where the training pairs are not all fitted."""
    last = decayed(result).isel(step=-1, fraction=0)
    return across_seeds(last.test_accuracy.where(last.train_accuracy >= 0.99, np.inf), below=0.1)


def keeps(result: xr.Dataset) -> Evidence:
    """Per seed, the least held-out accuracy at fractions of 0.2 and more."""
    last = decayed(result).isel(step=-1)
    kept = last.test_accuracy.where(last.fraction >= 0.2).min("fraction")
    return across_seeds(kept, above=0.95)


def one_place(result: xr.Dataset) -> Evidence:
    """The largest place of any seed over the smallest; fails where a seed has none."""
    places = place(decayed(result))
    ratio = float(places.max() / places.min()) if bool(places.notnull().all()) else float("nan")
    return Evidence(value=ratio, bound="<= 1.15", holds=bool(ratio <= 1.15))


def fits(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the least accuracy on the training pairs, of all fractions."""
    return across_seeds(decayed(result).train_accuracy.isel(step=-1).min("fraction"), above=0.99)


def without_decay(result: xr.Dataset) -> xr.Dataset:
    """A control: the runs without weight decay in the place of the others."""
    return result.sel(weight_decay=[0.0])


def fewest_as_most(result: xr.Dataset) -> xr.Dataset:
    """A control: the runs with the fewest pairs, labeled as those with the most."""
    return result.isel(fraction=[0]).assign_coords(fraction=[float(result.fraction[-1])])
