"""Explorables of the page on norms."""

from typing import Any

import numpy as np
import xarray as xr


def question() -> dict[str, Any]:
    """The reader commits before the runs are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A network starts from eight times the usual weights. Its outputs are then divided by a constant, so "
            "that they are as large as the usual network's. When does it come to read new digits?",
            "options": [
                {
                    "label": "Late, long after it has fitted its training digits: its weights are still eight times too large.",
                    "feedback": "That happens without the division. With it, the weights stay large and the delay is gone.",
                },
                {
                    "label": "Together with its training digits, as the usual network does.",
                    "feedback": "It does, and its weights stay large. The delay came with the outputs.",
                    "correct": True,
                },
                {
                    "label": "Never: dividing the outputs makes the gradients too small to learn from.",
                    "feedback": "The optimizer divides each gradient by its own typical size, so a common factor cancels.",
                },
            ],
        },
    }


def digits(plain: xr.Dataset, divided: xr.Dataset) -> dict[str, Any]:
    """Accuracy and norm along training, for each start and weight decay."""
    large = float(plain.scale[-1])
    starts = {
        "usual weights": plain.isel(scale=0),
        f"{large:g} times the usual weights": plain.isel(scale=-1),
        f"{large:g} times, outputs divided": divided.isel(scale=-1),
    }
    record = xr.concat(list(starts.values()), "start", coords="minimal", compat="override").isel(step=slice(1, None))
    top = float(plain.norm.isel(scale=-1, step=0).median())
    curves = (
        ("held-out digits", record.test_accuracy, 1, False),
        ("training digits", record.train_accuracy, 0, False),
        (f"norm, over {top:.0f}", record.norm / top, 2, True),
    )
    names = list(starts)
    return {
        "title": "Choose the initial weights and the decay",
        "alt": "From the usual weights, training and held-out accuracy rise together. From eight times those the held-out digits "
        "come late, while the norm falls, and without decay not at all. With outputs divided they come at once, at a large norm.",
        "data": {
            "x": {
                "label": "updates", "scale": "log", "symbol": "update", "format": ",", "values": record.step.values,
            },
            "y": {"label": "accuracy; norm", "symbol": "share", "format": ".2f", "range": [0.0, 1.02]},
            "controls": [
                {"name": "start", "label": "Start", "values": names, "initial": names[1]},
                {
                    "name": "decay", "label": "Weight decay", "values": [float(d) for d in record.decay.values],
                    "initial": float(record.decay[-1]), "format": ".2g",
                },
            ],
            "series": [_band(name, values, color) | ({"dash": True} if dash else {}) for name, values, color, dash in curves],
            "lookups": {
                "end": {"series": curves[0][0], "stat": "last", "format": ".2f"},
                "train": {"series": curves[1][0], "stat": "last", "format": ".2f"},
                "kept": {"series": curves[2][0], "stat": "last", "format": ".2f"},
            },
            "sentence": "Start from {start}, weight decay {decay}: training accuracy ends at {train}, held-out accuracy at "
            "{end}, and the norm at {kept} of the largest initial one.",
        },
    }  # fmt: skip


def _band(name: str, values: xr.DataArray, color: int) -> dict[str, Any]:
    """The median over seeds with the smallest and largest seed as a band, by start and decay."""
    ordered = values.transpose("seed", "start", "decay", "step").values
    low, middle, high = (np.quantile(ordered, q, axis=0) for q in (0.0, 0.5, 1.0))
    return {"name": name, "values": middle, "low": low, "high": high, "by": ["start", "decay"], "color": color}
