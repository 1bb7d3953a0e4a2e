"""Explorables of the page on ungrokking and weight decay."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.grokking.ungrokking_decay_checks import judged


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader commits before the curves are shown; told is the first figure's run with the usual epsilon."""
    curve = judged(result).test_accuracy.isel(epsilon=-1).median("seed")
    small, large = (float(value) for value in curve.isel(step=-1))
    decays = result.weight_decay.values
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": f"Networks that know the rule are trained on with a fraction of {float(curve.fraction):g} of the pairs. "
            f"At weight decay {decays[0]:g} they end with {small:.2f} of the other pairs right, at {decays[1]:g} with "
            f"{large:.2f}. Learning rate times decay is the same. Which one change takes the lead from the smaller decay?",
            "options": [
                {
                    "label": "None: the stronger decay makes the table the cheaper solution.",
                    "feedback": "That is what the two numbers suggest. There is one, and it has nothing to do with cost.",
                },
                {
                    "label": "Waiting longer: the smaller decay has not yet forgotten.",
                    "feedback": "It forgot first, and has come back since. Its share hardly moves any more.",
                },
                {
                    "label": "Another epsilon in Adam's division, 1e-15 in the place of 1e-8.",
                    "feedback": "It does, though pairs, rates and updates stay as they are.",
                    "correct": True,
                },
            ],
        },
    }


def forgetting(result: xr.Dataset) -> dict[str, Any]:
    """Held-out accuracy along the second training, in decay times, for each weight decay and both epsilons."""
    rate = float(result.attrs["decay_rate"])
    result = judged(result).isel(step=slice(1, None))
    decays = result.weight_decay.values
    curves = result.test_accuracy.transpose("epsilon", "seed", "weight_decay", "step")
    tiny, usual = (f"epsilon {epsilon:.0e}" for epsilon in result.epsilon.values)
    return {
        "title": "Take pairs away, and wait",
        "alt": "Accuracy of the grokked network falls within a few decay times. At the smaller decay it climbs back with the "
        "usual epsilon and lags behind with the tiny one; at the larger decay the two curves lie close together.",
        "data": {
            "x": {
                "label": "decay times", "scale": "log", "values": result.step.values * rate,
                "symbol": "decay time", "format": ".3g",
            },
            "y": {"label": "accuracy on all other pairs", "symbol": "accuracy", "format": ".2f", "range": [0.0, 1.0]},
            "controls": [
                {"name": "decay", "label": "Weight decay", "values": decays, "initial": decays[0]},
            ],
            "series": [_band(usual, curves[1], 0), _band(tiny, curves[0], 1) | {"dash": True}],
            "lookups": {
                "usual": {"series": usual, "stat": "last", "format": ".2f"},
                "least": {"series": usual, "stat": "min", "format": ".2f"},
                "tiny": {"series": tiny, "stat": "last", "format": ".2f"},
            },
            "sentence": f"With weight decay {{decay}} and {usual}, accuracy falls to {{least}} and "
            f"ends at {{usual}}; with {tiny} it ends at {{tiny}}.",
        },
    }  # fmt: skip


def _band(name: str, values: xr.DataArray, color: int) -> dict[str, Any]:
    """The median with the smallest and the largest seed as a band."""
    low, middle, high = (np.asarray(values.quantile(q, "seed").values) for q in (0.0, 0.5, 1.0))
    return {"name": name, "values": middle, "low": low, "high": high, "by": ["decay"], "color": color}
