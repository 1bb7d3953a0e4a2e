"""Explorables of the page on the two meanings of interpolation."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.interpolation.digit_models import GOOD, NAMES

STEP_AXIS = {"label": "updates", "scale": "log", "symbol": "update", "format": ","}
ERROR_AXIS = {"label": "share of wrong answers", "symbol": "error", "format": ".2f", "range": [0.0, 1.0]}
CONDITIONS = {"0%": "true labels", "shuffled": "pixels shuffled, labels true", "noise": "noise in the place of digits"}


def question() -> dict[str, Any]:
    """The reader commits before the nine models are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A model answers all of its training digits correctly. What does that alone tell you about new digits?",
            "options": [
                {
                    "label": "It will read at least half of them: it has learned something about digits.",
                    "feedback": "One of the models below passes through every training label and reads new digits at chance.",
                },
                {
                    "label": "It will read fewer of them than a model that misses some training digits: it has overfitted.",
                    "feedback": "The best model below is one that passes through every training label.",
                },
                {
                    "label": "Neither. It may read nearly all of them or one in ten.",
                    "feedback": "That is what the figure shows, and the reason for a chapter on the how.",
                    "correct": True,
                },
            ],
        },
    }


def turning(upright: xr.Dataset, turned: xr.Dataset) -> dict[str, Any]:
    """Error against the turn of the test digits, for models trained on upright and on turned digits."""
    names = [NAMES[model] for model in GOOD]
    series = [
        _band(name, record.test_error.sel(model=list(GOOD)), ["model"], color)
        for name, record, color in (("trained on upright digits", upright, 0), ("trained on turned digits", turned, 1))
    ]
    return {
        "title": "Turn the test digits",
        "alt": "A model trained on upright digits is good near no turn and useless at a quarter turn; trained on digits turned "
        "by 90 degrees it is the other way round.",
        "data": {
            "x": {
                "label": "turn of the test digits in degrees",
                "values": upright.angle.values,
                "symbol": "turn",
                "format": ",",
            },
            "y": ERROR_AXIS,
            "controls": [{"name": "model", "label": "Model", "values": names, "initial": names[-1]}],
            "series": series,
            "lookups": {
                name: {"series": one["name"], "stat": "at", "x": angle, "format": ".2f"}
                for angle in (0, 90)
                for name, one in zip((f"upright{angle}", f"turned{angle}"), series, strict=True)
            },
            "sentence": "{model}. Trained on upright digits, its error is {upright0} without a turn and {upright90} at 90 "
            "degrees; trained on digits turned by 90 degrees, {turned0} and {turned90}.",
        },
    }


def randomized(result: xr.Dataset) -> dict[str, Any]:
    """Training and test error along training, for each thing that was done to the training set."""
    result = result.isel(step=slice(1, None))
    names = [CONDITIONS.get(c, f"{c.replace('%', ' %')} random labels") for c in map(str, result.condition.values)]
    return {
        "title": "Damage the training set",
        "alt": "Training error falls to zero whatever was done to the training set; test error ends low for true labels and "
        "shuffled pixels, and higher the more labels are random.",
        "data": {
            "x": STEP_AXIS | {"values": result.step.values},
            "y": ERROR_AXIS,
            "controls": [{"name": "set", "label": "Training set", "values": names, "initial": names[0]}],
            "series": [
                _band("test error", result.test_error, ["set"], 0),
                _band("training error", result.train_error, ["set"], 2) | {"dash": True},
            ],
            "lookups": {
                "test": {"series": "test error", "stat": "last", "format": ".2f"},
                "train": {"series": "training error", "stat": "last", "format": ".2f"},
                "lowest": {"series": "test error", "stat": "min", "format": ".2f"},
            },
            "sentence": "With {set}, training error ends at {train} and test error at {test}; on the way its lowest "
            "value is {lowest}.",
        },
    }


def rereading(result: xr.Dataset) -> dict[str, Any]:
    """Loss on the training text and on unread text along training, for each amount of text."""
    passes = [float(value) for value in result.passes.values]
    result = result.isel(step=slice(1, None))
    names = [
        f"{int(distinct):,} characters, each read {'once' if times == 1 else f'{times:.0f} times'}"
        for distinct, times in zip(result.distinct.values, passes, strict=True)
    ]
    top = float(np.ceil(result.test_loss.max()))
    return {
        "title": "Give the same training less text",
        "alt": "With little text the training loss falls to zero while the loss on unread text turns up; when everything is read "
        "once the two stay together.",
        "data": {
            "x": STEP_AXIS | {"values": result.step.values},
            "y": {"label": "loss in nats per character", "symbol": "loss", "format": ".2f", "range": [0.0, top]},
            "controls": [{"name": "text", "label": "Training text", "values": names, "initial": names[0]}],
            "series": [
                _band("unread text", result.test_loss, ["text"], 1),
                _band("training text", result.train_loss, ["text"], 2) | {"dash": True},
            ],
            "lookups": {
                "best": {"series": "unread text", "stat": "min", "format": ".2f"},
                "when": {"series": "unread text", "stat": "argmin", "format": ","},
                "end": {"series": "unread text", "stat": "last", "format": ".2f"},
                "train": {"series": "training text", "stat": "last", "format": ".2f"},
            },
            "sentence": "{text}: the loss on unread text is lowest, {best}, after {when} updates and ends at {end}; "
            "on the training text it ends at {train}.",
        },
    }


def _band(name: str, values: xr.DataArray, by: list[str], color: int) -> dict[str, Any]:
    """The median over seeds with the smallest and largest seed as a band."""
    low, middle, high = (values.quantile(q, "seed").values for q in (0.0, 0.5, 1.0))
    return {"name": name, "values": middle, "low": low, "high": high, "by": by, "color": color}
