"""Explorables of the page on staircases and their mean."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.quanta.parity import CHANCE
from heldout.quanta.staircase_checks import HIGH, LOW

RANKS = 10  # the most frequent tasks, each to be picked


def question() -> dict[str, Any]:
    """The reader commits before the stairs are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A network learns thirty small tasks at once, some seen often and some rarely, and its mean loss falls "
            "along a straight line on log-log axes. How does the loss of a single task fall?",
            "options": [
                {
                    "label": "Along the same kind of line: every task gets a little better all the time.",
                    "feedback": "The mean could not tell you otherwise. The figure below draws the tasks one by one.",
                },
                {
                    "label": "At chance for a long time, then down within a short while; each task at its own time.",
                    "feedback": "That is what the figure shows: no single task has the shape of the mean.",
                    "correct": True,
                },
                {
                    "label": "All at once, when the network has found out what a parity is.",
                    "feedback": "That happens in the control, when all tasks are equally frequent. Then the mean is no line.",
                },
            ],
        },
    }


def stairs(records: list[xr.Dataset]) -> dict[str, Any]:
    """One task's stair and the mean loss of the same network, for records of several alpha and every frequent task."""
    steps = records[0].step.values
    names = ["equal frequencies" if float(r.alpha) == -1 else f"alpha = {float(r.alpha):g}" for r in records]
    ones = [record.isel(seed=0) for record in records]
    single = np.stack([one.task_loss.values[:RANKS] for one in ones])
    levels = {name: [[_crossing(steps, loss, level) for loss in losses] for losses in single] for name, level in
              (("begin", HIGH), ("end", LOW))}  # fmt: skip
    both = ["alpha", "rank"]
    return {
        "title": "One stair and the mean",
        "alt": "The loss of one task stays at chance and then drops; the mean loss of the same network.",
        "data": {
            "x": {"label": "updates", "scale": "log", "values": steps, "symbol": "updates", "format": ","},
            "y": {"label": "loss in nats", "scale": "log", "symbol": "loss", "format": ".3f", "range": [2e-3, 1.2]},
            "controls": [
                {"name": "alpha", "label": "Frequencies", "values": names, "initial": names[len(names) // 2]},
                {"name": "rank", "label": "Task, by rank", "values": list(range(1, RANKS + 1)), "initial": 1},
            ],
            "series": [
                {"name": "this task", "values": np.clip(single, 1e-3, None), "by": both, "color": 0},
                {
                    "name": "mean over samples",
                    "values": [one.mean_loss.values for one in ones],
                    "by": ["alpha"],
                    "color": 1,
                },
            ],
            "markers": [{"label": "chance", "axis": "y", "value": CHANCE}],
            "lookups": {
                "share": {"values": [one.frequency.values[:RANKS] for one in ones], "by": both, "format": ".1%"},
                "begin": {"values": levels["begin"], "by": both, "format": ","},
                "end": {"values": levels["end"], "by": both, "format": ","},
                "mean": {"series": "mean over samples", "stat": "last", "format": ".3f"},
            },
            "sentence": "{alpha}, task {rank}: {share} of all samples. Updates until its loss is .9 of chance: {begin}; until "
            ".1 of chance: {end}. The mean loss of the same network ends at {mean} nats.",
        },
    }


def _crossing(steps: np.ndarray, loss: np.ndarray, level: float) -> int | None:
    """Updates until a loss first comes down to a level of chance; None where it does not."""
    below = np.flatnonzero(loss <= level * CHANCE)
    return int(steps[below[0]]) if below.size else None
