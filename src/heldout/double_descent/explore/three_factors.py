"""Explorables of the page on the three factors."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.double_descent.three_factors import DATASET_NAMES
from heldout.double_descent.three_factors_checks import DATASETS

X_AXIS = {"label": "training samples n", "symbol": "n", "format": ","}
ERROR_AXIS = {"label": "test error (share of variance)", "scale": "log", "symbol": "error", "format": ".2g"}


def prediction(result: xr.Dataset) -> dict[str, Any]:
    """The reader draws the error on the diabetes data against n before it is shown."""
    low, middle, high = np.quantile(
        result.test_mse.sel(dataset="diabetes", arm="unablated").values, [0.1, 0.5, 0.9], axis=0
    )
    dim = int(result.dim.sel(dataset="diabetes"))
    return {
        "title": "Draw the test error as the data grow",
        "alt": "An empty chart of test error against the number of training samples, to be drawn on.",
        "data": {
            "prompt": "Drag the points, or use the sliders, to draw the test error. Then commit.",
            "x": X_AXIS | {"values": result.train_count.values},
            "y": ERROR_AXIS | {"range": [0.1, 1000]},
            "anchors": [1, dim // 2, dim, 3 * dim // 2, 2 * dim, 4 * dim, int(result.train_count[-1])],
            "truth": {"name": "measured", "values": middle, "low": low, "high": high},
            "start": 1.0,
        },
    }


def cutoffs(result: xr.Dataset) -> dict[str, Any]:
    """Test error against n for the chosen data set, with singular values below the chosen cutoff dropped."""
    curves = result.cutoff_mse.sel(dataset=list(DATASETS)).transpose("quantile", "dataset", "cutoff", "train_count")
    at_d = [
        curves.sel(quantile=0.5, dataset=name, train_count=int(result.dim.sel(dataset=name))).values
        for name in DATASETS
    ]
    return {
        "title": "Cut the small singular values",
        "alt": "Test error against n: the peak at n = d shrinks as more small singular values are cut.",
        "data": {
            "x": X_AXIS | {"values": result.train_count.values},
            "y": ERROR_AXIS | {"range": [0.1, float(curves.max()) * 1.5]},
            "controls": [
                {
                    "name": "dataset",
                    "label": "Data",
                    "values": [DATASET_NAMES[name] for name in DATASETS],
                    "initial": DATASET_NAMES["diabetes"],
                },
                {
                    "name": "cutoff",
                    "label": "Cut below this share of the largest",
                    "values": result.cutoff.values,
                    "format": ".3g",
                },
            ],
            "series": [
                {
                    "name": "nothing cut",
                    "values": curves.sel(quantile=0.5).isel(cutoff=0).values,
                    "by": ["dataset"],
                    "color": 1,
                    "dash": True,
                },
                {
                    "name": "cut",
                    "values": curves.sel(quantile=0.5).values,
                    "low": curves.sel(quantile=0.1).values,
                    "high": curves.sel(quantile=0.9).values,
                    "by": ["dataset", "cutoff"],
                    "color": 0,
                },
            ],
            "markers": [{"label": "n = d", "values": result.dim.sel(dataset=list(DATASETS)).values, "by": ["dataset"]}],
            "lookups": {
                "at_d": {"values": at_d, "by": ["dataset", "cutoff"], "format": ".2g"},
                "end": {"series": "cut", "stat": "last", "format": ".2f"},
            },
            "sentence": "{dataset}, cutoff {cutoff}: median test error {at_d} at n = d, {end} at the largest n.",
        },
    }
