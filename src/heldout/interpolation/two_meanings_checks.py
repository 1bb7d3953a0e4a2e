"""What the claims of the first page measure on a record."""

import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.interpolation.digit_models import GOOD, HITTING, MISSING

PARTED = 0.1  # share of inputs


def best(result: xr.Dataset, *, hits: bool) -> xr.DataArray:
    """Per seed, the lowest error on unseen digits among the models that hit every training digit, or among the others."""
    chosen = (result.train_error == 0) == hits
    lowest: xr.DataArray = result.test_error.sel(angle=0.0).where(chosen).min("model")
    return lowest


def excess(result: xr.Dataset) -> Evidence:
    """Per seed, the best exact fit's error on unseen digits above that of the best fit that is not exact."""
    return across_seeds(best(result, hits=True) - best(result, hits=False), below=0.01)


def waves(result: xr.Dataset) -> Evidence:
    """Per seed, the error of the rough waves on unseen digits."""
    return across_seeds(result.test_error.sel(model="waves", angle=0.0), above=0.8)


def turned(result: xr.Dataset) -> Evidence:
    """Per seed, the lowest error of any model on digits turned by 90 degrees."""
    return across_seeds(result.test_error.sel(angle=90.0).min("model"), above=0.7)


def partings(result: xr.Dataset) -> xr.DataArray:
    """Per seed, how much more two good exact fits differ on photographs than on unseen digits, the least of the recipes."""
    differ = result.disagreement.sel(model=list(GOOD))
    least: xr.DataArray = (differ.sel(place="photographs") - differ.sel(place="test")).min("model")
    return least


def parted(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`partings`."""
    return across_seeds(partings(result), above=PARTED)


def hit(result: xr.Dataset) -> Evidence:
    """The manipulation check: every model that should hit every training digit does."""
    mine = [model for model in result.model.values if model in HITTING]
    return across_seeds(result.train_error.sel(model=mine).max("model"), below=1e-9)


def only_useless(result: xr.Dataset) -> xr.Dataset:
    """Of the exact fits only those that read the digits wrongly: rough waves and random labels."""
    return result.sel(model=["waves", "random", *MISSING])
