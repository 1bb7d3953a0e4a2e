"""What the claims about random labels measure on a record."""

import xarray as xr

from heldout.claims import Evidence, across_seeds

SHUFFLED, NOISE = "shuffled", "noise"


def final(result: xr.Dataset, name: str, condition: str) -> xr.DataArray:
    """Per seed, an error after the last update, where the training error is then zero."""
    last = result.sel(condition=condition).isel(step=-1)
    error: xr.DataArray = last[name].where(last.train_error == 0)
    return error


def slowdown(result: xr.Dataset) -> xr.DataArray:
    """Per seed, updates needed to fit the labels with the largest share of random ones, over those for true labels."""
    steps = result.steps_to_fit
    ratio: xr.DataArray = steps.sel(condition=most_random(result)) / steps.sel(condition="0%")
    return ratio


def most_random(result: xr.Dataset) -> str:
    """The condition with the largest share of random labels."""
    return [str(condition) for condition in result.condition.values if str(condition).endswith("%")][-1]


def slower(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`slowdown`."""
    return across_seeds(slowdown(result), above=1.5)


def all_fit(result: xr.Dataset) -> Evidence:
    """Per seed, the largest training error of any condition after the last update."""
    return across_seeds(result.train_error.isel(step=-1).max("condition"), below=1e-9)


def gap(result: xr.Dataset) -> Evidence:
    """Per seed, how much more new digits are misread after random labels than after true ones."""
    random = final(result, "test_error", most_random(result))
    return across_seeds(random - final(result, "test_error", "0%"), above=0.6)


def steps_up(result: xr.Dataset) -> Evidence:
    """Per seed, the least rise of the test error from one share of random labels to the next, up to three quarters."""
    shares = [c for c in ("0%", "25%", "50%", "75%") if c in result.condition.values]
    last = result.sel(condition=shares).isel(step=-1)
    rise = last.test_error.where(last.train_error == 0).diff("condition")
    return across_seeds(rise.min("condition", skipna=False), above=0.05)


def true_fit(result: xr.Dataset) -> Evidence:
    """The manipulation check of the small network: true labels it still fits well."""
    return across_seeds(result.train_error.sel(condition="0%").isel(step=-1), below=0.05)
