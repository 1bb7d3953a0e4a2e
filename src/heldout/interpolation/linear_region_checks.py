"""What :mod:`heldout.interpolation.linear_regions` claims, measured on its record: one number a seed."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds


def exponent(counts: xr.DataArray) -> xr.DataArray:
    """Slope of the logarithm of the counts against that of the width, by least squares."""
    x = np.log(counts.width) - np.log(counts.width).mean()
    found: xr.DataArray = (x * np.log(counts)).sum("width") / (x**2).sum("width")
    return found


def per_unit(result: xr.Dataset, what: str = "pieces") -> xr.DataArray:
    """Pieces along a line, after training, over the number of units; every width."""
    chosen = result[what].sel(time="after") if "time" in result[what].dims else result[what]
    found: xr.DataArray = chosen / (2 * result.width)
    return found


def flat(result: xr.Dataset) -> Evidence:
    """Share of short segments without curvature, ReLU, the least width."""
    return across_seeds(result.flat.sel(activation="relu").min("width"), above=0.8)


def separated(result: xr.Dataset) -> Evidence:
    """The manipulation check: the networks that stand for ReLU separate the training points at least as well."""
    return across_seeds(result.train_error.sel(activation="relu").max("width"), below=0.01)


def few_pieces(result: xr.Dataset) -> Evidence:
    """Pieces a unit, after training, the most over widths."""
    return across_seeds(per_unit(result).max("width"), below=1.5)


def folds_as_built(result: xr.Dataset) -> Evidence:
    """The network set by hand has the pieces it was built for, width^2, to a fifth; its units are as many."""
    off = abs(result.pieces.sel(time="after") / result.width**2 - 1)
    return across_seeds(off.max("width"), below=0.2)


def square_law(result: xr.Dataset) -> Evidence:
    """How far the exponent of the regions after training lies from 2."""
    return across_seeds(abs(exponent(result.regions.sel(time="after")) - 2), below=0.4)


def line_is_linear(result: xr.Dataset) -> Evidence:
    """What stands for the regions grows with exponent 1, the value predicted on a line."""
    return across_seeds(abs(exponent(result.regions.sel(time="after")) - 1), below=0.5)


def tanh(result: xr.Dataset) -> xr.Dataset:
    """The same data, ReLU exchanged for tanh."""
    return result.sel(activation=["tanh", "tanh"]).assign_coords(activation=result.activation)


def folded(result: xr.Dataset) -> xr.Dataset:
    """The same number of units, the trained weights exchanged for the ones set by hand."""
    return result.assign(pieces=result.folded_pieces.expand_dims(time=result.time.values))


def lines(result: xr.Dataset) -> xr.Dataset:
    """The same networks, seen along lines in place of the plane."""
    return result.assign(regions=result.pieces)
