"""Explorable of the page on the many interpolants."""

from typing import Any

import xarray as xr


def norms(result: xr.Dataset) -> dict[str, Any]:
    """Test error against the number of features for random interpolants of a chosen norm, beside the smallest."""
    beyond = result.isel(feature_count=slice(1, None)).test_error.transpose("seed", "norm_factor", "feature_count")
    low, middle, high = beyond.quantile([0.1, 0.5, 0.9], dim="seed").values
    ratios = beyond.feature_count.values / int(result.num_train)
    return {
        "title": "Leave the smallest norm",
        "alt": "At every number of features the error of random interpolants rises with their norm.",
        "caption": "Every point is a model with zero training error. Median over seeds and the central 80 %.",
        "data": {
            "x": {
                "label": "features over digits, N / n",
                "scale": "log",
                "values": ratios,
                "symbol": "N / n",
                "format": ".3g",
            },
            "y": {"label": "share of test digits wrong", "range": [0, 1], "symbol": "error", "format": ".2f"},
            "controls": [
                {
                    "name": "k",
                    "label": "Norm over the smallest, k",
                    "values": result.norm_factor.values,
                    "initial": 2.0,
                    "format": ".3g",
                }
            ],
            "series": [
                {"name": "norm k", "by": ["k"], "values": middle, "low": low, "high": high, "color": 1},
                {"name": "smallest norm", "values": middle[0], "color": 0, "dash": True},
            ],
            "lookups": {
                "near": {"series": "norm k", "stat": "first", "format": ".2f"},
                "far": {"series": "norm k", "stat": "last", "format": ".2f"},
                "least": {"series": "smallest norm", "stat": "last", "format": ".2f"},
            },
            "sentence": "With k = {k}, the error is {near} just past the threshold and {far} at the largest N, where the "
            "interpolant of smallest norm has {least}. The training error of all of them is 0.",
        },
    }
