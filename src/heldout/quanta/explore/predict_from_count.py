"""Explorables of the page on predicting a loss from a count."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.quanta import width_sweep_checks as checks
from heldout.quanta.width_sweep import numbers


def question() -> dict[str, Any]:
    """The reader commits before the predictions are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "You know how many tasks networks of some widths have learned, and how frequent each task is. You want "
            "the loss of a width that was not trained. Which will be nearer: a power law through the losses, or the count, "
            "extended to the new width and turned into a loss?",
            "options": [
                {
                    "label": "The count. It knows what the loss is made of.",
                    "feedback": "It knows that, but it has to guess the count first, and a count of a few tasks is coarse.",
                },
                {
                    "label": "The power law. It fits the quantity that is asked for.",
                    "feedback": "So it came out here. What the count adds is a reason, not accuracy.",
                    "correct": True,
                },
                {
                    "label": "They are the same thing written twice.",
                    "feedback": "Only with endlessly many tasks and a count that is a power of the width; here they differ.",
                },
            ],
        },
    }


def over_time(result: xr.Dataset) -> dict[str, Any]:
    """Mean loss and tail sum along training, for every width; medians over seeds, with all seeds as the band of the loss."""
    later = result.isel(step=slice(1, None))
    loss, told = later.loss, checks.tail_sum(later)
    known = checks.count(later).isel(step=-1).median("seed")
    n = numbers(result)
    return {
        "title": "A loss and what is missing",
        "alt": (
            "Mean loss along training at a width, beside ln 2 times the frequency of the tasks that are not learned. "
            f"The two lie {n['tail_error']:.0%} apart in the median."
        ),
        "data": {
            "x": {"label": "updates", "scale": "log", "values": later.step.values, "symbol": "updates", "format": ","},
            "y": {"label": "loss in nats", "scale": "log", "symbol": "loss", "format": ".2f"},
            "controls": [
                {"name": "width", "label": "Hidden units", "values": [int(w) for w in later.width.values], "initial": n["widest"]}
            ],
            "series": [
                {
                    "name": "mean loss", "by": ["width"], "color": 0, "values": loss.median("seed").values,
                    "low": loss.min("seed").values, "high": loss.max("seed").values,
                },
                {"name": "tail sum", "by": ["width"], "color": 1, "values": told.median("seed").values},
            ],
            "lookups": {
                "known": {"values": known.values, "by": ["width"], "format": ".0f"},
                "end": {"values": np.asarray(loss.isel(step=-1).median("seed")), "by": ["width"], "format": ".3f"},
                "told": {"values": np.asarray(told.isel(step=-1).median("seed")), "by": ["width"], "format": ".3f"},
            },
            "sentence": "{width} hidden units learn {known} tasks in the median seed. Their mean loss ends at {end} nats; the "
            "tail sum of what they have not learned is {told}.",
        },
    }  # fmt: skip
