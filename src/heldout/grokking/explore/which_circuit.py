"""Explorables of the page on which circuit wins."""

from typing import Any

import xarray as xr


def question() -> dict[str, Any]:
    """The reader commits before the curves are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A network has learned to add modulo 59: it answers every pair correctly, seen or not. You now train "
            "it on with one pair in twenty, all correctly labeled, and weight decay as before. What becomes of the other pairs?",
            "options": [
                {
                    "label": "Nothing: it makes no error, so there is nothing to correct.",
                    "feedback": "The loss is small, not zero, and weight decay acts at every update.",
                },
                {
                    "label": "They go, although every label it sees agrees with the rule it holds.",
                    "feedback": "So it is, below a certain number of pairs and only with weight decay.",
                    "correct": True,
                },
                {
                    "label": "A few get lost at the edges; the rule itself stays, since it is the simpler solution.",
                    "feedback": "Simpler than what? A table of few entries is simpler still.",
                },
            ],
        },
    }


def forgetting(result: xr.Dataset) -> dict[str, Any]:
    """Both accuracies along the second training, for each fraction and weight decay."""
    result = result.isel(step=slice(1, None))
    fractions, decays = result.fraction.values, result.weight_decay.values
    near_one = int(abs(decays - 1).argmin())
    return {
        "title": "Take pairs away from a network that knows the rule",
        "alt": "With weight decay, accuracy on the other pairs falls to nearly nothing at the smallest fraction and comes "
        "through at the largest; without weight decay it hardly falls; the training pairs are always answered.",
        "data": {
            "x": {
                "label": "updates of the second training",
                "scale": "log",
                "values": result.step.values,
                "symbol": "update",
                "format": ",",
            },
            "y": {"label": "accuracy", "symbol": "accuracy", "format": ".2f", "range": [0.0, 1.0]},
            "controls": [
                {"name": "fraction", "label": "Fraction of pairs", "values": fractions, "initial": fractions[0]},
                {"name": "decay", "label": "Weight decay", "values": decays, "initial": decays[near_one]},
            ],
            "series": [
                _band("all other pairs", result.test_accuracy, 1),
                _band("training pairs", result.train_accuracy, 2) | {"dash": True},
            ],
            "lookups": {
                "end": {"series": "all other pairs", "stat": "last", "format": ".2f"},
                "least": {"series": "all other pairs", "stat": "min", "format": ".2f"},
                "train": {"series": "training pairs", "stat": "last", "format": ".2f"},
            },
            "sentence": "With a fraction of {fraction} and weight decay {decay}, accuracy on the other pairs ends at {end} "
            "(lowest {least}); on the training pairs at {train}.",
        },
    }


def _band(name: str, values: xr.DataArray, color: int) -> dict[str, Any]:
    """The median over seeds with the smallest and largest seed as a band, nested as the controls are."""
    values = values.transpose("seed", "fraction", "weight_decay", "step")
    low, middle, high = (values.quantile(q, "seed").values for q in (0.0, 0.5, 1.0))
    return {"name": name, "values": middle, "low": low, "high": high, "by": ["fraction", "decay"], "color": color}
