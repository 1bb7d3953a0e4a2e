"""Explorables of the page that closes the chapter on quanta."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.quanta.closing_panel_measures import EVEN, HIGH, LOW
from heldout.quanta.parity import CHANCE

SHORT = {LOW: "low", HIGH: "high", EVEN: "even"}


def question() -> dict[str, Any]:
    """The reader commits before the losses by task are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with four answers about three networks of one mean loss.",
        "data": {
            "question": "Three networks learn the same ten tasks. One met low numbers often, one high numbers, and one all "
            "alike. Each is stopped where its mean loss over the ten tasks is half of chance. What do they know?",
            "options": [
                {
                    "label": "About the same: a mean loss over all inputs that exist leaves little room.",
                    "feedback": "It leaves one number. Ten tasks have ten losses.",
                },
                {
                    "label": "Five tasks each: the first the low five, the second the high five, the third some five.",
                    "feedback": "That is close for the first two. Nothing puts the third network's tasks in an order.",
                },
                {
                    "label": "The first the low five, the second the high five, and the third half of every task.",
                    "feedback": "Yes. Now guess how many right answers the third gives, and the other two.",
                    "correct": True,
                },
                {
                    "label": "Half of every task, all three; the mean is half of chance.",
                    "feedback": "So it is for one of them. A mean does not say how it is made up.",
                },
            ],
        },
    }


def at_every_level(result: xr.Dataset) -> dict[str, Any]:
    """Losses by task of three networks where their mean loss is the same, for every mean that all seeds came down to."""
    reached = result.path_loss.sel(model=list(SHORT)).notnull().all(["seed", "model", "task"])
    paths = result.path_loss.sel(level=reached)
    means = [round(100 * float(level)) for level in paths.level]
    middle = paths.median("seed")
    known = (paths <= CHANCE / 2).sum("task").median("seed")
    series = [
        {
            "name": model, "values": middle.sel(model=model).values, "by": ["mean"], "color": color, "points": True,
            "low": paths.sel(model=model).min("seed").values, "high": paths.sel(model=model).max("seed").values,
        }
        for model, color in ((LOW, 0), (HIGH, 1), (EVEN, 2))
    ]  # fmt: skip
    most = float(np.ceil(10 * paths.sel(model=list(SHORT)).max()) / 10)
    return {
        "title": "One mean, three networks",
        "alt": "Losses of the tasks for three networks at a mean loss that the reader sets.",
        "data": {
            "x": {"label": "number of the task", "values": result.task.values, "symbol": "task", "format": ","},
            "y": {"label": "loss of the task, nats", "symbol": "loss", "format": ".2f", "range": [0.0, most]},
            "controls": [
                {
                    "name": "mean",
                    "label": "Mean loss of each, percent of chance",
                    "values": means,
                    "initial": means[-1],
                    "unit": "%",
                }
            ],
            "series": series,
            "markers": [{"label": "chance", "axis": "y", "value": CHANCE}],
            "lookups": {
                short: {"values": known.sel(model=model).values, "by": ["mean"], "format": ".0f"}
                for model, short in SHORT.items()
            },
            "sentence": "In each seed all three have a mean loss of {mean} % of chance. Tasks known, in the median seed: {low} "
            "by the network that met low numbers often, {high} by the one that met high numbers often, {even} "
            "by the one that met all alike.",
        },
    }
