"""Explorables of the page on data and decay."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.grokking.training import first_step


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader draws the updates to generalize against the fraction before seeing them."""
    fractions = result.fraction.values
    steps = {name: first_step(result[f"{name}_accuracy"]).fillna(np.inf) for name in ("train", "test")}
    low, middle, high = (steps["test"].quantile(q, "seed", method="nearest").values for q in (0.0, 0.5, 1.0))
    ceiling = float(2 * result.step[-1])
    return {
        "title": "How long until it generalizes?",
        "alt": "The fewer pairs there are to learn from, the later the held-out pairs are learned; at the smallest fractions not "
        "before training ends.",
        "data": {
            "x": {
                "label": "fraction of all pairs that is trained on",
                "values": fractions,
                "symbol": "fraction",
                "format": ".1f",
            },
            "y": {
                "label": "updates until the held-out pairs are learned",
                "scale": "log",
                "range": [20.0, ceiling],
                "format": ",",
                "symbol": "updates",
            },
            "anchors": fractions,
            "truth": {"name": "held-out pairs learned", "values": middle, "low": low, "high": high},
            "known": [{"name": "training pairs learned", "values": steps["train"].median("seed").values, "color": 2}],
            "start": float(np.sqrt(20.0 * ceiling)),
            "prompt": "The lower line shows when the training pairs are learned. Draw when the held-out pairs will follow.",
        },
    }


def learning(result: xr.Dataset) -> dict[str, Any]:
    """Accuracy on both sets along training, one frame a fraction."""
    shown = result.isel(step=slice(1, None))
    fractions = [float(value) for value in shown.fraction.values]
    return {
        "title": "Take pairs away",
        "alt": "At every fraction the training pairs are learned at about the same update; the held-out pairs follow later and "
        "later as pairs are taken away, and at the smallest fraction not at all within this training.",
        "data": {
            "x": {
                "label": "updates",
                "scale": "log",
                "values": shown.step.values,
                "symbol": "update",
                "format": ",",
            },
            "y": {"label": "share of right answers", "range": [0.0, 1.0], "symbol": "accuracy", "format": ".2f"},
            "controls": [
                {
                    "name": "fraction",
                    "label": "Fraction trained on",
                    "values": fractions,
                    "initial": fractions[-1],
                    "format": ".1f",
                }
            ],
            "series": [
                _band("training pairs", shown.train_accuracy, 2),
                _band("held-out pairs", shown.test_accuracy, 1),
            ],
            "lookups": {
                "end": {"series": "held-out pairs", "stat": "last", "format": ".2f"},
                "trained": {"series": "training pairs", "stat": "last", "format": ".2f"},
            },
            "sentence": "Trained on {fraction} of all pairs, the network ends with {trained} of the training pairs right and "
            "{end} of the held-out pairs.",
        },
    }


def _band(name: str, values: xr.DataArray, color: int) -> dict[str, Any]:
    """The median over seeds with the smallest and largest seed as a band."""
    low, middle, high = (values.quantile(q, "seed").values for q in (0.0, 0.5, 1.0))
    return {"name": name, "values": middle, "low": low, "high": high, "by": ["fraction"], "color": color}
