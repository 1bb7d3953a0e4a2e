"""Explorables of the page on ungrokking and weight decay."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.grokking import ungrokking_decay_checks as checks


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader commits before the curves are shown; the fall is that of the middle weight decay near the place."""
    curve = result.test_accuracy.isel(weight_decay=result.sizes["weight_decay"] // 2, fraction=checks.NEAR).median(
        "seed"
    )
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": f"A network that knows the rule is trained on with a fraction of {float(curve.fraction):g} of the pairs "
            f"and weight decay. Its accuracy on the other pairs falls from {float(curve[0]):.2f} to {float(curve.min()):.2f}. "
            "Training goes on with the same pairs. What comes next?",
            "options": [
                {
                    "label": "It goes on falling: the table is cheaper, and decay leads there.",
                    "feedback": "With fewer pairs it does. Here the fall turns.",
                },
                {
                    "label": "It stays: the network has gone over from one solution to the other.",
                    "feedback": "What you saw was a passage. The fall is fast and what follows is slow.",
                },
                {
                    "label": "It climbs back, though no pair is added.",
                    "feedback": "It does, much more slowly than it fell.",
                    "correct": True,
                },
            ],
        },
    }


def forgetting(result: xr.Dataset) -> dict[str, Any]:
    """Held-out accuracy along the second training, in decay times, for each fraction and weight decay."""
    rate = float(result.attrs["decay_rate"])
    result = result.isel(step=slice(1, None))
    fractions, decays = result.fraction.values, result.weight_decay.values
    grokked = result.test_accuracy.transpose("seed", "fraction", "weight_decay", "step")
    fresh = result.fresh_test_accuracy.transpose("draw", "fraction", "step")
    return {
        "title": "Take pairs away, and wait",
        "alt": "Accuracy of the grokked network falls within a few decay times; at middle fractions and small decay it climbs "
        "back slowly. With the largest decay it and the fresh networks end at about the same accuracy.",
        "data": {
            "x": {
                "label": "decay times", "scale": "log", "values": result.step.values * rate,
                "symbol": "decay time", "format": ".3g",
            },
            "y": {"label": "accuracy on all other pairs", "symbol": "accuracy", "format": ".2f", "range": [0.0, 1.0]},
            "controls": [
                {"name": "fraction", "label": "Fraction of pairs", "values": fractions, "initial": fractions[-2]},
                {"name": "decay", "label": "Weight decay", "values": decays, "initial": decays[len(decays) // 2]},
            ],
            "series": [
                _band("grokked start", grokked, "seed", ["fraction", "decay"], 0),
                _band(f"fresh start, weight decay {decays[-1]:g}", fresh, "draw", ["fraction"], 2) | {"dash": True},
            ],
            "lookups": {
                "end": {"series": "grokked start", "stat": "last", "format": ".2f"},
                "least": {"series": "grokked start", "stat": "min", "format": ".2f"},
                "when": {"series": "grokked start", "stat": "argmin", "format": ".2g"},
            },
            "sentence": "With a fraction of {fraction} and weight decay {decay}, accuracy of the grokked network is lowest, "
            "{least}, after {when} decay times, and ends at {end}.",
        },
    }  # fmt: skip


def _band(name: str, values: xr.DataArray, over: str, by: list[str], color: int) -> dict[str, Any]:
    """The median with the smallest and the largest as a band."""
    low, middle, high = (np.asarray(values.quantile(q, over).values) for q in (0.0, 0.5, 1.0))
    return {"name": name, "values": middle, "low": low, "high": high, "by": by, "color": color}
