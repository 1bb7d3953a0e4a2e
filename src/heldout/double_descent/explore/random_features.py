"""Explorables of the page on random features."""

from typing import Any

import numpy as np
import xarray as xr

X_AXIS = {"label": "random features N", "scale": "log", "symbol": "N", "format": ","}
Y_AXIS = {"label": "share of test digits wrong", "range": [0, 1], "symbol": "error", "format": ".2f"}


def prediction(result: xr.Dataset) -> dict[str, Any]:
    """The reader draws the curve for unchanged labels before it is shown."""
    n = int(result.num_train)
    low, middle, high = np.quantile(result.test_error.sel(noise=0.0).values, [0.1, 0.5, 0.9], axis=0)
    return {
        "title": "Draw the share of wrong digits you expect",
        "alt": "An empty chart of test error against the number of random features, to be drawn on.",
        "data": {
            "prompt": "Drag the points, or use the sliders, to draw the test error. Then commit.",
            "x": X_AXIS | {"values": result.feature_count.values},
            "y": Y_AXIS,
            "anchors": [n // 20, n // 5, n // 2, n, round(1.4 * n), 3 * n, int(result.feature_count[-1])],
            "start": 0.5,
            "truth": {"name": "measured", "values": middle, "low": low, "high": high},
            "markers": [{"label": "N = n", "value": n}],
        },
    }


def ridge_and_noise(result: xr.Dataset) -> dict[str, Any]:
    """Test error by label noise and ridge, beside the same without a ridge; medians over seeds with the central 80 %."""
    n = int(result.num_train)
    plain = result.test_error.sel(feature_count=result.ridge_feature_count.values).median("seed")
    sheets = result.ridge_test_error.transpose("seed", "noise", "ridge", "ridge_feature_count")
    low, middle, high = sheets.quantile([0.1, 0.5, 0.9], dim="seed").values
    return {
        "title": "Put a price on the norm",
        "alt": "Without a ridge the test error peaks where features equal digits; a growing ridge removes the peak.",
        "caption": "Solid: with the chosen ridge, median over seeds and the central 80 %. Dashed: without.",
        "data": {
            "x": X_AXIS | {"values": result.ridge_feature_count.values},
            "y": Y_AXIS,
            "controls": [
                {"name": "ridge", "label": "Ridge λ", "values": result.ridge.values, "format": ".3g"},
                {"name": "noise", "label": "Labels replaced", "values": result.noise.values, "format": ".0%"},
            ],
            "series": [
                {
                    "name": "with ridge",
                    "by": ["noise", "ridge"],
                    "values": middle,
                    "low": low,
                    "high": high,
                    "color": 0,
                },
                {"name": "without", "by": ["noise"], "values": plain.values, "color": 1, "dash": True},
            ],
            "lookups": {
                "at_n": {"series": "with ridge", "stat": "at", "x": n, "format": ".0%"},
                "plain": {"series": "without", "stat": "at", "x": n, "format": ".0%"},
                "end": {"series": "with ridge", "stat": "last", "format": ".1%"},
            },
            "markers": [{"label": "N = n", "value": n}],
            "sentence": "With λ = {ridge} and {noise} of the labels replaced, {at_n} of the test digits are wrong at N = n "
            "(without a ridge {plain}), and {end} at the largest N.",
        },
    }
