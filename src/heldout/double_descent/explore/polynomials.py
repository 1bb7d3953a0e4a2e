"""Explorables of the page on polynomials."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import xarray as xr

from heldout import store
from heldout.double_descent import polynomials
from heldout.double_descent.polynomials import NAMES, Config
from heldout.experiment import Experiment

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


NOISES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)  # standard deviations, in units of the target
LIVE = Config(num_seeds=20)


def noise(levels: tuple[float, ...] = NOISES) -> dict[str, Any]:
    """Test error at several noise levels; in a live kernel every move of the slider runs the experiment again.

    The site shows records of the same runs; live, each move draws twenty fresh seeds, so the curve trembles as it should.
    """
    drawn = iter(range(1000, 10**9, LIVE.num_seeds))

    def recompute(controls: dict[str, Any]) -> dict[str, Any]:
        config = replace(LIVE, noise_std=float(controls["noise"]), first_seed=next(drawn))
        result = polynomials.run(config, device="cpu")
        return _noise_data(levels, {float(controls["noise"]): result})

    module = cast(Experiment, polynomials)
    kept = {level: store.load_or_run(module, replace(LIVE, noise_std=level)) for level in levels}
    return {
        "title": "Turn the noise down",
        "alt": "The test error peaks at p = n at every noise level, also without noise; more noise raises the whole curve.",
        "data": _noise_data(levels, kept),
        "recompute": recompute,
    }


def _noise_data(levels: tuple[float, ...], results: dict[float, xr.Dataset]) -> dict[str, Any]:
    """One curve with its band for every level; a level without a result repeats the one that was just computed."""
    fresh = next(iter(results.values()))
    curves = [results.get(level, fresh).test_mse.sel(basis="legendre") for level in levels]
    low, middle, high = (np.stack([curve.quantile(q, "seed").values for curve in curves]) for q in (0.1, 0.5, 0.9))
    band = {"values": middle, "low": low, "high": high, "by": ["noise"]}
    return {
        "x": X_AXIS | {"values": fresh.feature_count.values},
        "y": ERROR_AXIS | {"range": [1e-5, 1e12]},
        "controls": [{"name": "noise", "label": "Noise (standard deviation)", "values": list(levels), "initial": 0.05}],
        "series": [{"name": "Legendre", **band}],
        "lookups": {
            "peak": {"series": "Legendre", "stat": "at", "x": int(fresh.num_train), "format": ".1e"},
            "end": {"series": "Legendre", "stat": "last", "format": ".2g"},
        },
        "markers": [{"label": "p = n", "value": int(fresh.num_train)}],
        "sentence": "With noise {noise} the median error is {peak} at p = n and {end} at the largest p.",
    }
