"""Explorables of the page on polynomials."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.double_descent.polynomials import NAMES

X_AXIS = {"label": "basis functions p", "scale": "log", "symbol": "p", "format": ","}
ERROR_AXIS = {"label": "test mean squared error", "scale": "log", "symbol": "error", "format": ".2g"}


def prediction(result: xr.Dataset) -> dict[str, Any]:
    """The reader draws the Legendre curve before it is shown."""
    low, middle, high = np.quantile(result.test_mse.sel(basis="legendre").values, [0.1, 0.5, 0.9], axis=0)
    return {
        "title": "Draw the test error you expect",
        "alt": f"Measured: the error falls to a valley, peaks at {int(result.num_train)} functions, and falls again.",
        "data": {
            "prompt": "Drag the points, or use the sliders, to draw the test error. Then commit.",
            "x": X_AXIS | {"values": result.feature_count.values},
            "y": ERROR_AXIS | {"range": [1e-3, 1e9]},
            "anchors": [1, 5, 10, 15, 20, 40, 200],
            "truth": {"name": "measured", "values": middle, "low": low, "high": high},
            "markers": [{"label": "p = n", "value": int(result.num_train)}],
        },
    }


def walk(result: xr.Dataset) -> dict[str, Any]:
    """The first seed's fitted function in every basis at every p, and its test error, to step through."""
    errors = result.test_mse.isel(seed=0)
    return {
        "title": "One draw of fifteen points, step by step",
        "alt": "The fitted curve through fifteen points for the chosen number of functions, and its test error.",
        "data": {
            "x": {"label": "input x", "values": result.x.values},
            "y": {"label": "function", "range": [-1.5, 2.5]},
            "capacity": X_AXIS | {"values": result.feature_count.values, "name": "basis functions p", "initial": 5},
            "error": ERROR_AXIS,
            "bases": [
                {
                    "name": NAMES[basis],
                    "fits": result.fit.sel(basis=basis).clip(-4, 4).round(3).values,
                    "test_error": errors.sel(basis=basis).values,
                }
                for basis in ("legendre", "weighted_legendre", "monomial")
            ],
            "points": {"x": result.train_x.values, "y": result.train_y.values},
            "target": result.truth.values,
            "markers": [{"label": "p = n", "value": int(result.num_train)}],
        },
    }
