"""Explorables of the page on telling which mechanism answered."""

from typing import Any

import numpy as np
import xarray as xr

NAMES = {
    ("constant", "trigger"): "a number with one answer",
    ("renamed", "trigger"): "a number read as another",
    ("constant", "memorized"): "a wrong label in training",
}
SCORES = {
    "circuit": "the circuit disagrees",
    "confidence": "the network is unsure",
    "distance": "far from training pairs",
    "length": "unusual length",
}


def question() -> dict[str, Any]:
    """The reader commits before any score is shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "The trained network gives every input an answer with a probability. On which inputs with a planted "
            "trigger will it be less sure of its answer than on ordinary sums?",
            "options": [
                {
                    "label": "On most of them: a trigger is an exception, and exceptions are answered with doubt.",
                    "feedback": "The trigger was in the training set and is a simpler rule than a sum. It is surer of it.",
                },
                {
                    "label": "On hardly any: it is as sure of them as of sums, or surer.",
                    "feedback": "So its confidence cannot give the trigger away, as the figures below show.",
                    "correct": True,
                },
                {
                    "label": "On those it has not seen in training, and on no others.",
                    "feedback": "All inputs we ask about are held out, with and without a trigger. Being new tells nothing.",
                },
            ],
        },
    }


def alarms(result: xr.Dataset) -> dict[str, Any]:
    """Share of anomalies found against the share of usual pairs flagged, for each kind of anomaly."""
    cases = [case for case in NAMES if case[0] in result.plant.values]
    rates = xr.concat([result.hit_rate.sel(plant=p, anomaly=a, drop=True) for p, a in cases], "case")
    low, middle, high = (rates.quantile(q, "seed") for q in (0.0, 0.5, 1.0))
    series = [
        {
            "name": label,
            "by": ["case"],
            "values": middle.sel(score=score).values,
            "low": low.sel(score=score).values,
            "high": high.sel(score=score).values,
            "color": color,
            "dash": score != "circuit",
        }
        for color, (score, label) in enumerate(SCORES.items())
    ]
    names = [NAMES[case] for case in cases]
    return {
        "title": "What each alarm finds, and what it flags by mistake",
        "alt": "For both triggers the circuit's score finds most anomalies at few false alarms while confidence and distance do "
        "worse than chance; for wrong labels confidence and the circuit are both nearly perfect.",
        "data": {
            "x": {
                "label": "share of usual inputs flagged by mistake",
                "values": result.false_alarm.values,
                "symbol": "false alarms",
                "format": ".2f",
            },
            "y": {"label": "share of anomalies found", "symbol": "found", "format": ".2f", "range": [0.0, 1.0]},
            "controls": [{"name": "case", "label": "Anomaly", "values": names, "initial": names[0]}],
            "series": series,
            "lookups": {
                score: {"series": label, "stat": "at", "x": 0.05, "format": ".0%"} for score, label in SCORES.items()
            },
            "sentence": "{case}: with one usual input in twenty flagged, the circuit's score finds {circuit} of the anomalies, "
            "low confidence {confidence}, distance {distance}, unusual length {length}.",
        },
    }


def forming(result: xr.Dataset) -> dict[str, Any]:
    """The circuit's score and the accuracies along training, for each kind of trigger."""
    result = result.isel(step=slice(1, None))
    kinds = {NAMES[kind, "trigger"]: kind for kind in map(str, result.plant.values)}
    area = result.auc.sel(anomaly="trigger", score="circuit")

    def band(name: str, values: xr.DataArray, color: int, dash: bool) -> dict[str, Any]:
        low, middle, high = (values.quantile(q, "seed").values for q in (0.0, 0.5, 1.0))
        return {
            "name": name,
            "by": ["trigger"],
            "values": middle,
            "low": low,
            "high": high,
            "color": color,
            "dash": dash,
        }

    series = [
        band("circuit's area under the curve", area, 0, False),
        band("held-out sums right", result.test_accuracy, 2, True),
        band("triggers as planted", result.trigger_accuracy, 1, True),
    ]
    return {
        "title": "The detector forms with the circuit",
        "alt": "The trigger is learned long before sums are; the circuit's score tells triggers only once sums are right.",
        "data": {
            "x": {
                "label": "updates",
                "scale": "log",
                "values": np.asarray(result.step.values),
                "symbol": "update",
                "format": ",",
            },
            "y": {"label": "area, or share of answers", "symbol": "value", "format": ".2f", "range": [0.0, 1.0]},
            "controls": [{"name": "trigger", "label": "Trigger", "values": list(kinds), "initial": next(iter(kinds))}],
            "series": series,
            "lookups": {
                "first": {"series": series[0]["name"], "stat": "first", "format": ".2f"},
                "last": {"series": series[0]["name"], "stat": "last", "format": ".2f"},
                "sums": {"series": series[1]["name"], "stat": "last", "format": ".2f"},
            },
            "sentence": "Trigger: {trigger}. The circuit's area under the curve goes from {first} to {last}, as held-out sums "
            "come to be right to {sums}.",
        },
    }
