"""Explorables of the page on the arithmetic of the machine."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.grokking.softmax_collapse_figures import LABELS

SHOWN = -20.0  # nats: the smallest lead drawn
QUANTITIES = ("the loss", "the gradient at the right answer")


def question() -> dict[str, Any]:
    """The reader commits before the curves are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A network gives every training pair's answer a probability that prints as 1.0000000, and the loss "
            "prints as 0.0000000. Training goes on, without weight decay. What can happen to the pairs it has not seen?",
            "options": [
                {
                    "label": "Nothing: there is no loss left to push the weights.",
                    "feedback": "On the machine this is nearly what happens below, and the cause is the machine, not the loss.",
                },
                {
                    "label": "It depends on how the same loss is computed.",
                    "feedback": "The same network, data and learning rate, and three ways to compute one formula.",
                    "correct": True,
                },
                {
                    "label": "They get worse: it can only overfit further.",
                    "feedback": "Not here. Where learning goes on, held-out pairs get better as the loss falls further.",
                },
            ],
        },
    }


def samples(result: xr.Dataset) -> dict[str, Any]:
    """Loss and gradient of one sample as each arithmetic gives them, against the lead of the right answer."""
    one = result.isel(seed=0).sel(margin=slice(SHOWN, None))
    sizes = (one.loss, abs(one.target_gradient))
    names = {"exact": "exact", **{name: LABELS[name] for name in map(str, result.arithmetic.values)}}
    colors = {"exact": 3, "float32": 1, "float64": 4, "stable": 0}
    series = [
        {
            "name": label,
            "values": np.stack([np.abs(size.sel(computation=name).values) for size in sizes]),
            "by": ["quantity"],
            "color": colors[name],
            "dash": name == "exact",
        }
        for name, label in reversed(names.items())
    ]
    return {
        "title": "Give the right answer a larger lead",
        "alt": "Three computations of one loss follow the exact line down; float32 falls to zero near a lead of 17 nats, float64 "
        "near 37, the stable form near 100.",
        "data": {
            "x": {
                "label": "lead of the right answer over the best other, nats",
                "values": one.margin.values,
                "symbol": "lead",
            },
            "y": {
                "label": "size; zero runs to the foot",
                "scale": "log",
                "format": ".2e",
                "range": [1e-46, 1e3],
            },
            "controls": [
                {
                    "name": "lead",
                    "label": "Lead",
                    "values": one.margin.values,
                    "initial": 10.0,
                    "unit": "nats",
                    "format": ",",
                },
                {"name": "quantity", "label": "Show", "values": list(QUANTITIES), "initial": QUANTITIES[0]},
            ],
            "series": series,
            "markers": [{"label": "lead {lead}", "control": "lead"}],
            "lookups": {
                name: {"series": label, "stat": "at", "control": "lead", "format": ".2e"}
                for name, label in names.items()
            },
            "sentence": "At a lead of {lead} nats, {quantity} is {exact} in size. Float32 log-softmax gives {float32}, float64 "
            "{float64}, the stable form {stable}.",
        },
    }
