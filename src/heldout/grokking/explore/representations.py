"""Explorables of the page on representations and phases."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.grokking.addition_toy import REACHED

STEP_AXIS = {"label": "updates", "scale": "log", "symbol": "update", "format": ","}
_DIGITS = 2


def question() -> dict[str, Any]:
    """The reader commits before the grid is shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "The decoder already learns its training pairs. You now make it learn ten times as fast and leave the "
            "embedding as it is. What happens to the pairs held out?",
            "options": [
                {
                    "label": "They are learned sooner: everything is.",
                    "feedback": "Up to a point. Follow a row of the grid below to its right-hand end.",
                },
                {
                    "label": "They may never be learned: the decoder is done before the numbers have moved.",
                    "feedback": "That is what the lower rows of the grid show.",
                    "correct": True,
                },
                {
                    "label": "Nothing changes: which pairs are held out does not depend on speed.",
                    "feedback": "Every cell of a seed has the same pairs and the same start, and the cells end differently.",
                },
            ],
        },
    }


def cell(result: xr.Dataset) -> dict[str, Any]:
    """Accuracies and RQI along training, for every cell of the grid and every seed."""
    data = _by_cell(result.isel(step=slice(1, None)))
    names = {"train_accuracy": "training pairs", "test_accuracy": "held-out pairs", "rqi": "RQI"}
    series = [
        {"name": label, "values": _rounded(data[name]), "by": ["embedding", "decoder", "seed"], "color": color}
        for (name, label), color in zip(names.items(), (2, 1, 0), strict=True)
    ]
    series[2] |= {"dash": True}
    return {
        "title": "Choose a cell and a seed",
        "alt": "Where the embedding is slow the training pairs are learned and the held-out pairs are not; where it is fast both "
        "may be, with the parallelograms realized first.",
        "data": {
            "x": STEP_AXIS | {"values": data.step.values},
            "y": {
                "label": "accuracy, or share of parallelograms",
                "symbol": "share",
                "format": ".2f",
                "range": [0.0, 1.0],
            },
            "controls": _controls(data),
            "series": series,
            "lookups": {
                "train": {"series": "training pairs", "stat": "last", "format": ".2f"},
                "test": {"series": "held-out pairs", "stat": "last", "format": ".2f"},
                "quality": {"series": "RQI", "stat": "last", "format": ".2f"},
            },
            "markers": [{"label": "learned", "axis": "y", "value": REACHED}],
            "sentence": "Embedding at rate {embedding}, decoder at {decoder}, seed {seed}: training pairs end at {train}, "
            "held-out pairs at {test}, RQI at {quality}.",
        },
    }


def places(result: xr.Dataset) -> dict[str, Any]:
    """The ten coordinates along training, standardized, for every cell and seed."""
    raw = result.embedding.isel(dimension=0)
    moved = (raw - raw.mean("number")) / raw.std("number")
    # Every second probe: the page would otherwise hold twice as many numbers.
    data = _by_cell(result.assign(place=moved).isel(step=slice(1, None, 2)))
    series = [
        {
            "name": f"{number}",
            "values": _rounded(data.place.isel(number=number)),
            "by": ["embedding", "decoder", "seed"],
            "color": number % 2 and 1,
        }
        for number in range(data.sizes["number"])
    ]
    return {
        "title": "Where the ten numbers go",
        "alt": "In cells that learn the held-out pairs the ten lines sort themselves into equal steps; in the others they keep a "
        "disorder close to their start.",
        "data": {
            "x": STEP_AXIS | {"values": data.step.values},
            "y": {"label": "coordinate, standardized", "symbol": "place", "format": ".2f"},
            "controls": _controls(data),
            "series": series,
            "lookups": {
                "quality": {
                    "values": _rounded(data.rqi.isel(step=-1)),
                    "by": ["embedding", "decoder", "seed"],
                    "format": ".2f",
                },
                "test": {
                    "values": _rounded(data.test_accuracy.isel(step=-1)),
                    "by": ["embedding", "decoder", "seed"],
                    "format": ".2f",
                },
            },
            "sentence": "Embedding at rate {embedding}, decoder at {decoder}, seed {seed}: the numbers 0 to 9, even blue, "
            "end with {quality} of their parallelograms realized; held-out pairs end at {test}.",
        },
    }


def fractions(result: xr.Dataset) -> dict[str, Any]:
    """RQI of networks and theory, and held-out accuracy, along training for each number of training pairs."""
    data = result.isel(step=slice(1, None))
    axis_free = [("RQI of the networks", data.rqi, 0), ("RQI of the theory", data.flow_rqi, 1)]
    series = [_band(name, values, color) for name, values, color in axis_free]
    series[1] |= {"dash": True}
    series.append(_band("accuracy on held-out pairs", data.test_accuracy, 2))
    ideal = result.ideal_accuracy.mean("seed").values.round(_DIGITS)
    return {
        "title": "Take pairs away",
        "alt": "With many training pairs networks and theory reach full structure at about the same update; with few, the theory "
        "does and the networks do not.",
        "data": {
            "x": STEP_AXIS | {"values": data.step.values},
            "y": {"label": "share", "symbol": "share", "format": ".2f", "range": [0.0, 1.0]},
            "controls": [
                {
                    "name": "size",
                    "label": f"Training pairs, of {int(result.pairs)}",
                    "values": result.num_train.values,
                    "initial": int(result.num_train[-2]),
                    "format": ",",
                }
            ],
            "series": series,
            "lookups": {
                "network": {"series": "RQI of the networks", "stat": "last", "format": ".2f"},
                "theory": {"series": "RQI of the theory", "stat": "last", "format": ".2f"},
                "test": {"series": "accuracy on held-out pairs", "stat": "last", "format": ".2f"},
                "ideal": {"values": ideal, "by": ["size"], "format": ".2f"},
            },
            "sentence": "With {size} training pairs the median RQI ends at {network}, the theory's at {theory}; held-out "
            "accuracy ends at {test}, and {ideal} of the held-out pairs could be answered on average.",
        },
    }


def _controls(data: xr.Dataset) -> list[dict[str, Any]]:
    slow, fast = data.embedding_rate.values, data.decoder_rate.values
    return [
        {"name": "embedding", "label": "Embedding's rate", "values": slow, "initial": float(slow[-2]), "format": ".1g"},
        {
            "name": "decoder",
            "label": "Decoder's rate",
            "values": fast,
            "initial": float(fast[len(fast) // 2]),
            "format": ".1g",
        },
        {"name": "seed", "label": "Seed", "values": data.seed.values, "initial": int(data.seed[0]), "format": ","},
    ]


def _by_cell(data: xr.Dataset) -> xr.Dataset:
    return data.transpose("embedding_rate", "decoder_rate", "seed", "step", ...)


def _rounded(values: xr.DataArray) -> np.ndarray:
    """Fewer digits, so that the page is a fraction of the size."""
    result: np.ndarray = np.round(np.asarray(values, dtype=float), _DIGITS)
    return result


def _band(name: str, values: xr.DataArray, color: int) -> dict[str, Any]:
    """The median over seeds with the middle half of them as a band."""
    low, middle, high = (values.quantile(q, "seed").values.round(_DIGITS) for q in (0.25, 0.5, 0.75))
    return {"name": name, "values": middle, "low": low, "high": high, "by": ["size"], "color": color}
