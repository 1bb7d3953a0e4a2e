"""Explorables of the page on null models and metrics."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.quanta import composite_metric_checks as scored
from heldout.quanta import null_model_checks as checks
from heldout.quanta.parity import CHANCE

RANKS = 6  # the most frequent tasks, each to be picked
GRID = 120


def question() -> dict[str, Any]:
    """The reader commits before the models are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "Thirty tasks, some frequent and some rare. A network learns them; a table writes down every input it "
            "has seen; a linear model fits them on features that never change. Whose mean loss falls along a power law?",
            "options": [
                {
                    "label": "Only the network's: a power law needs pieces that are learned all or nothing.",
                    "feedback": "That is how the law is explained, but not what it needs. See the figure below.",
                },
                {
                    "label": "The network's and the table's, whose pieces are single inputs.",
                    "feedback": "The linear model learns nothing piece by piece, and its mean runs along a line as well.",
                },
                {
                    "label": "All three: the frequencies make the law, whatever a single task's curve looks like.",
                    "feedback": "So it is, and that is why the law says little about how a single task is learned.",
                    "correct": True,
                },
            ],
        },
    }


def _onto(grid: np.ndarray, time: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Curves (..., look) read off at the times of a grid, along lines in log time; NaN outside."""
    return np.apply_along_axis(lambda curve: np.interp(np.log(grid), np.log(time), curve, np.nan, np.nan), -1, curves)


def curves(result: xr.Dataset) -> dict[str, Any]:
    """One task's loss and the mean loss of the same model, for every model and the frequent tasks; the first seed."""
    grid, names = np.geomspace(0.02, 12, GRID), [str(model) for model in result.model.values]
    tasks, means, widths = [], [], []
    for model in names:
        one = checks.single(result, model)
        time = one.step.values / checks.half_time(one)
        tasks.append(_onto(grid, time, one.task_loss.values[0, :RANKS] / CHANCE))
        means.append(_onto(grid, time, one.mean_loss.values[0] / CHANCE))
        widths.append([None if np.isnan(w) else float(w) for w in checks.all_widths(result, model)[0, :RANKS]])
    both = ["model", "rank"]
    return {
        "title": "One task and the mean, in four models",
        "alt": "The mean loss of each model falls near a line; a single task falls slowly in two of them, steeply in two.",
        "data": {
            "x": {
                "label": "time / half-time of the mean", "scale": "log", "values": grid, "symbol": "time",
                "format": ".2f",
            },
            "y": {"label": "loss, share of chance", "scale": "log", "symbol": "loss", "format": ".3f", "range": [0.01, 1.5]},
            "controls": [
                {"name": "model", "label": "Model", "values": names, "initial": names[-1]},
                {"name": "rank", "label": "Task, by rank", "values": list(range(1, RANKS + 1)), "initial": 2},
            ],
            "series": [
                {"name": "this task", "values": np.clip(np.stack(tasks), 5e-3, None), "by": both, "color": 0},
                {"name": "mean over samples", "values": np.stack(means), "by": ["model"], "color": 1},
            ],
            "lookups": {"width": {"values": widths, "by": both, "format": ".2f"}},
            "sentence": "{model}, task {rank}: from .9 to .1 of chance in {width} decades of time. (No value: more than "
            "the run shows.)",
        },
    }  # fmt: skip


def exact_match(result: xr.Dataset) -> dict[str, Any]:
    """Cross-entropy's share of its way, and exact match of the number of answers picked, in both models; medians over seeds."""
    grid, series = np.geomspace(0.3, 200, GRID), []
    leads: dict[str, list[float]] = {}
    for color, model in enumerate(str(m) for m in result.model.values):
        time = result.clock.sel(model=model).values / scored.start(result, model)
        fall = np.median(scored.fall(result, model), 0)
        match = np.median(scored.rescaled(result, model), 0)
        series += [
            {"name": f"{model}: cross-entropy", "values": _onto(grid, time, fall), "by": [], "color": 2 * color},
            {
                "name": f"{model}: exact match",
                "values": _onto(grid, time, match),
                "by": ["asked"],
                "color": 2 * color + 1,
            },
        ]
        number = range(result.sizes["asked"])
        leads[model.split()[0]] = [float(10 ** np.median(scored.lead(result, model, i))) for i in number]
    asked = [int(m) for m in result.asked.values]
    return {
        "title": "How many sampled answers must be right",
        "alt": "More answers move exact match of sampled answers to later times; the cross-entropy stays where it is.",
        "data": {
            "x": {
                "label": "time / time of the loss's first tenth", "scale": "log", "values": grid, "symbol": "time",
                "format": ".2f",
            },
            "y": {"label": "share of the way to perfect", "symbol": "share", "format": ".2f", "range": [-0.02, 1.02]},
            "controls": [{"name": "asked", "label": "Sampled answers that must be right", "values": asked, "initial": asked[-1]}],
            "series": series,
            "lookups": {
                name: {"values": values, "by": ["asked"], "format": ".1f"} for name, values in leads.items()
            },
            "sentence": "{asked} sampled answers: exact match reaches .1 at {random} times the time at which the loss began to "
            "fall in random features, at {network} times in the network.",
        },
    }  # fmt: skip
