"""Explorables of the page on training time and on more data."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.double_descent.epoch_wise import prominence

TIME_AXIS = {"label": "training time", "scale": "log", "symbol": "t", "format": ".2g"}
QUANTILES = [0.1, 0.5, 0.9]


def speeds(result: xr.Dataset) -> dict[str, Any]:
    """Risk along training time for the chosen scale and number of the small features."""
    result = result.sortby("scale")
    curves = result.risk.transpose("seed", "small_dim", "scale", "time").isel(time=slice(None, None, 2))
    low, middle, high = np.quantile(curves.values, QUANTILES, axis=0)
    peak = prominence(result.risk).median("seed").transpose("small_dim", "scale")
    return {
        "title": "Two speeds",
        "alt": "Risk along training time; the peak between two valleys vanishes as the small features approach the large ones.",
        "data": {
            "x": TIME_AXIS | {"values": curves.time.values},
            "y": {"label": "risk", "symbol": "risk", "format": ".2f", "range": [0.0, float(np.max(high)) * 1.1]},
            "controls": [
                {
                    "name": "small_dim",
                    "label": "Number of small features",
                    "values": result.small_dim.values,
                    "initial": int(result.attrs["reference_dim"]),
                    "format": ",",
                },
                {
                    "name": "scale",
                    "label": "Their scale",
                    "values": result.scale.values,
                    "initial": float(result.attrs["reference_scale"]),
                    "format": ".2g",
                },
            ],
            "series": [
                {
                    "name": "risk",
                    "values": middle,
                    "low": low,
                    "high": high,
                    "by": ["small_dim", "scale"],
                    "color": 1,
                }
            ],
            "lookups": {
                "peak": {
                    "values": peak.values,
                    "by": ["small_dim", "scale"],
                    "format": ".2f",
                },
                "least": {"series": "risk", "stat": "min", "format": ".2f"},
                "when": {"series": "risk", "stat": "argmin", "format": ".2g"},
            },
            "sentence": "{small_dim} small features of scale {scale}: the peak stands {peak} times above the higher valley "
            "(1 means no peak). Lowest risk {least} at time {when}.",
        },
    }


def offer(result: xr.Dataset) -> dict[str, Any]:
    """Would you take more data?"""
    p = int(result.attrs["num_features"])
    return {
        "title": "An offer",
        "alt": "A question with three answers about taking more training digits.",
        "data": {
            "question": f"A linear model on {p} random features has learned from {p // 2} digits. You are offered {p - p // 2} "
            "more, labeled correctly, free of charge. What happens to the share of test digits it gets wrong?",
            "options": [
                {
                    "label": "It falls: more correct data cannot hurt",
                    "feedback": "It cannot hurt a procedure that may ignore data. Least squares may not: it fits them all.",
                },
                {
                    "label": "It stays about the same",
                    "feedback": "Look at the figure below: it does not.",
                },
                {
                    "label": "It more than doubles",
                    "feedback": f"Yes. With {p} digits and {p} features the model stands on its own threshold.",
                    "correct": True,
                },
            ],
        },
    }
