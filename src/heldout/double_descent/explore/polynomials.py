"""Explorables of the page on polynomials."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.double_descent.polynomials import BASES, NAMES


def prediction(result: xr.Dataset) -> dict[str, Any]:
    """The reader draws the Legendre curve before it is shown."""
    low, middle, high = np.quantile(result.test_mse.sel(basis="legendre").values, [0.1, 0.5, 0.9], axis=0)
    return {
        "title": "Draw the test error you expect",
        "alt": "An empty chart of test error against the number of basis functions, to be drawn on.",
        "data": {
            "x": {"label": "basis functions p", "scale": "log", "values": result.feature_count.values.tolist()},
            "y": {"label": "test mean squared error", "scale": "log", "range": [1e-3, 1e9]},
            "truth": {"values": middle.tolist(), "low": low.tolist(), "high": high.tolist(), "name": "measured"},
            "anchors": [1, 5, 10, 15, 20, 40, 200],
            "markers": [{"label": "p = n", "value": int(result.num_train)}],
        },
    }


def walk(result: xr.Dataset) -> dict[str, Any]:
    """The first seed's fitted function in every basis at every p, and its test error, to step through."""
    first = result.isel(seed=0)
    bases = [
        {
            "name": NAMES[basis],
            "fits": result.fit.sel(basis=basis).clip(-4, 4).round(4).values.tolist(),
            "errors": [float(f"{error:.4g}") for error in first.test_mse.sel(basis=basis).values],
        }
        for basis in BASES
    ]
    return {
        "title": "One draw of fifteen points, step by step",
        "alt": "The fitted curve through fifteen points for the chosen number of functions, and its test error.",
        "data": {
            "p": result.feature_count.values.tolist(),
            "x": result.x.round(4).values.tolist(),
            "truth": result.truth.round(4).values.tolist(),
            "points": np.stack([result.train_x.values, result.train_y.values], axis=1).round(4).tolist(),
            "threshold": int(result.num_train),
            "range": [-1.5, 2.5],
            "bases": bases,
        },
    }
