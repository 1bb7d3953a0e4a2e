"""Explorables of the page on known quanta."""

from typing import Any

import xarray as xr

from heldout.quanta.sample_gradients import SIMILARITIES

STAGES = {"after": "trained", "before": "untrained"}


def question() -> dict[str, Any]:
    """The reader commits before the clusters are compared with the tasks."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A network has a separate set of hidden units for every task and has learned them all. Samples are "
            "clustered by the angle between the gradients of their losses. Do the clusters agree with the tasks?",
            "options": [
                {
                    "label": "Yes: gradients of different tasks have no entry in common, so they are orthogonal.",
                    "feedback": "They are. But a cluster also needs gradients of one task to be alike, and those are not.",
                },
                {
                    "label": "Hardly: two samples of one task need not have similar gradients.",
                    "feedback": "So it is. Half of a task's samples have the other label, and the sign of the gradient with it.",
                    "correct": True,
                },
                {
                    "label": "Only after training: before it there are no quanta to find.",
                    "feedback": "Training makes it no better: in such a network the index is higher before it than after.",
                },
            ],
        },
    }


def agreement(result: xr.Dataset) -> dict[str, Any]:
    """Agreement of clusters and tasks against sharing, for a similarity, in trained and untrained networks."""
    names = list(SIMILARITIES.values())
    series = [
        {
            "name": label,
            "values": result.ari.sel(stage=stage).quantile(0.5, "seed").transpose("similarity", "sharing").values,
            "low": result.ari.sel(stage=stage).min("seed").transpose("similarity", "sharing").values,
            "high": result.ari.sel(stage=stage).max("seed").transpose("similarity", "sharing").values,
            "by": ["similarity"],
            "color": color,
            "dash": stage == "before",
        }
        for color, (stage, label) in enumerate(STAGES.items())
    ]
    return {
        "title": "Choose what is compared",
        "alt": "With absolute gradients the agreement of clusters and tasks falls from one to nothing as units are shared, with "
        "the published similarity it is low from the start, and with the embedding rows alone it is one everywhere.",
        "data": {
            "x": {
                "label": "probability s that a unit is open to another task",
                "values": result.sharing.values,
                "symbol": "s",
                "format": ".2f",
            },
            "y": {
                "label": "adjusted Rand index",
                "symbol": "index",
                "format": ".2f",
                "range": [-0.1, 1.05],
            },
            "controls": [{"name": "similarity", "label": "Compared", "values": names, "initial": names[0]}],
            "series": series,
            "lookups": {
                f"{stage}_{place}": {"series": label, "stat": stat, "format": ".2f"}
                for stage, label in STAGES.items()
                for place, stat in (("private", "first"), ("shared", "last"))
            },
            "sentence": "{similarity}. Private subnetworks: index {after_private} trained, {before_private} untrained. All units "
            "shared: {after_shared} trained, {before_shared} untrained.",
        },
    }
