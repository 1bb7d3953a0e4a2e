"""Explorables of the page on lazy and rich training."""

from typing import Any

import xarray as xr


def question() -> dict[str, Any]:
    """The reader commits before the two curves are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A network fits its training set within a few updates. Weight decay then goes on pulling at its weights "
            "for thousands of updates, and the training set stays fitted. What happens to accuracy on unseen inputs?",
            "options": [
                {
                    "label": "It rises in the end: smaller weights generalize better.",
                    "feedback": "On one of the two tasks below it does, suddenly and late. On the other it falls.",
                },
                {
                    "label": "Nothing: the training loss is as good as zero, so there is nothing left to change.",
                    "feedback": "Many separators fit the training set, and decay moves the network from one to another.",
                },
                {
                    "label": "It depends on the task: it may rise or fall, and at the same time in both cases.",
                    "feedback": "The time is set by decay and start, the direction by what the task is like.",
                    "correct": True,
                },
            ],
        },
    }


def tasks(result: xr.Dataset) -> dict[str, Any]:
    """Held-out and training accuracy along training, for each task and weight decay."""
    result = result.isel(step=slice(1, None))
    decays = [f"{float(value):g}" for value in result.weight_decay.values]
    names = [str(task) for task in result.task.values]

    def band(name: str, values: xr.DataArray, color: int, dash: bool) -> dict[str, Any]:
        low, middle, high = (values.quantile(q, "seed").values for q in (0.0, 0.5, 1.0))
        by = ["task", "decay"]
        return {"name": name, "by": by, "values": middle, "low": low, "high": high, "color": color, "dash": dash}

    series = [
        band("held-out accuracy", result.test_accuracy, 0, False),
        band("training accuracy", result.train_accuracy, 2, True),
    ]
    euclidean, absolute = (
        result.margin_accuracy.sel(margin=name).median("seed").values for name in ("euclidean", "absolute")
    )
    return {
        "title": "Two tasks, one decay",
        "alt": "With weight decay the sparse task's held-out accuracy jumps from about two thirds to one, and the dense task's "
        "falls; a larger decay makes both happen sooner, and without decay neither happens.",
        "data": {
            "x": {"label": "updates", "scale": "log", "values": result.step.values, "symbol": "update", "format": ","},
            "y": {"label": "share on the right side", "symbol": "share", "format": ".2f", "range": [0.4, 1.0]},
            "controls": [
                {"name": "task", "label": "Task", "values": names, "initial": names[0]},
                {"name": "decay", "label": "Weight decay", "values": decays, "initial": decays[-1]},
            ],
            "series": series,
            "lookups": {
                "first": {"series": "held-out accuracy", "stat": "first", "format": ".2f"},
                "last": {"series": "held-out accuracy", "stat": "last", "format": ".2f"},
                "euclidean": {"values": euclidean.tolist(), "by": ["task"], "format": ".2f"},
                "absolute": {"values": absolute.tolist(), "by": ["task"], "format": ".2f"},
            },
            "sentence": "{task} task, weight decay {decay}: held-out accuracy goes from {first} to {last}. The separator of "
            "largest Euclidean margin gets {euclidean}, that of largest absolute margin {absolute}.",
        },
    }
