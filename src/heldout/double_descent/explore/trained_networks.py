"""Explorables of the page on trained networks."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.double_descent.trained_network_checks import FITTED, at_end

WIDTH_AXIS = {"label": "hidden units", "scale": "log", "symbol": "width", "format": ","}
SHARE_AXIS = {"label": "share misclassified", "symbol": "error", "format": ".2f"}
QUANTILES = [0.1, 0.5, 0.9]


def prediction(result: xr.Dataset, x: dict[str, Any] = WIDTH_AXIS) -> dict[str, Any]:
    """The reader draws the test error of fully trained networks on noisy labels against their width, counted on the axis x."""
    error = at_end(result).test_error.isel(noise=-1)
    low, middle, high = np.quantile(error.values, QUANTILES, axis=0)
    widths = result.width.values
    return {
        "title": "Draw the test error you expect",
        "alt": f"An empty chart of test error against the number of {x['label']}, to be drawn on.",
        "data": {
            "prompt": "A fifth of the training labels are wrong. Drag the points to draw the test error, then commit.",
            "x": x | {"values": widths},
            "y": SHARE_AXIS | {"range": [0.0, 0.8]},
            "anchors": widths[np.unique(np.linspace(0, len(widths) - 1, 7).round().astype(int))],
            "truth": {"name": "measured", "values": middle, "low": low, "high": high},
            "start": 0.3,
        },
    }


def epochs(result: xr.Dataset, x: dict[str, Any] = WIDTH_AXIS) -> dict[str, Any]:
    """Training and test error against width after the chosen number of epochs, on correct or on noisy labels."""
    test, train = (result[name].transpose("seed", "noise", "epoch", "width") for name in ("test_error", "train_error"))
    low, middle, high = np.quantile(test.values, QUANTILES, axis=0)
    fitted = train.median("seed")
    fit_width = fitted.width.where(fitted <= FITTED).min("width")
    return {
        "title": "Train longer, and watch the peak move",
        "alt": "Test and training error against width after the chosen number of epochs; with time the peak moves to the left.",
        "data": {
            "x": x | {"values": result.width.values},
            "y": SHARE_AXIS | {"range": [0.0, 1.0]},
            "controls": [
                {
                    "name": "noise",
                    "label": "Training labels",
                    "values": [_labels(float(share)) for share in result.noise],
                    "initial": _labels(float(result.noise[-1])),
                },
                {
                    "name": "epoch",
                    "label": "Epochs of training",
                    "values": result.epoch.values,
                    "initial": int(result.epoch.sel(epoch=int(result.epoch[-1]) // 5, method="nearest")),
                    "format": ",",
                },
            ],
            "series": [
                {"name": "test", "values": middle, "low": low, "high": high, "by": ["noise", "epoch"], "color": 1},
                {"name": "training", "values": fitted.values, "by": ["noise", "epoch"], "color": 0, "dash": True},
            ],
            "markers": [{"label": "fits its labels", "values": fit_width.values, "by": ["noise", "epoch"]}],
            "lookups": {
                "best": {"series": "test", "stat": "min", "format": ".2f"},
                "best_width": {"series": "test", "stat": "argmin", "format": ","},
                "last": {"series": "test", "stat": "last", "format": ".2f"},
                "fit": {"values": fit_width.values, "by": ["noise", "epoch"], "format": ","},
            },
            "sentence": "{noise}, after {epoch} epochs: lowest test error {best} at {best_width} "
            + x["label"]
            + ", {last} at the widest. Narrowest network that fits its labels (no value if none does): {fit}.",
        },
    }


def _labels(share: float) -> str:
    return f"{100 * share:.0f} % wrong" if share else "all correct"
