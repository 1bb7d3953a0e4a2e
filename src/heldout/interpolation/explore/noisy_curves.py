"""Explorables of the page on equal norms and on fitting noise."""

from typing import Any

import numpy as np
import xarray as xr


def question() -> dict[str, Any]:
    """The reader says what fitting noise exactly costs in the limit of many points."""
    return {
        "title": "Commit to a guess",
        "alt": "A question with four answers about the cost of fitting noise exactly.",
        "data": {
            "question": "Noisy points on a smooth curve, more and more of them, joined by straight lines. "
            "Where does the error of the joined line tend, in units of the noise variance?",
            "options": [
                {
                    "label": "To nothing",
                    "feedback": "Averaging would do that. Joining neighbors never averages more than two.",
                },
                {
                    "label": "To a fixed share below one",
                    "feedback": "Yes: between two points the line averages their noise. The theorem below gives the share.",
                    "correct": True,
                },
                {
                    "label": "To exactly one",
                    "feedback": "That is the nearest neighbor, which copies one noisy value. The line mixes two.",
                },
                {
                    "label": "Beyond every bound",
                    "feedback": "A line stays between its two ends, so it cannot. Other curves through the points do.",
                },
            ],
        },
    }


def bend(result: xr.Dataset) -> dict[str, Any]:
    """From the spline to the sharp curve: the first seed's family, its norm with and without biases."""
    x = result.x.values
    marks = []
    for kind in result.data.values:
        one = result.sel(data=kind)
        column = np.full(len(x), np.nan)
        column[abs(x[:, None] - one.train_x.values).argmin(0)] = one.train_y.values
        marks.append(column)
    labels = [str(kind) for kind in result.data.values]
    by = ["points", "share"]
    return {
        "title": "Bend the curve at no cost",
        "alt": "As the slider moves, the curve bulges off the spline where neighboring points turn the same way, and its norm "
        "stays the same. Through points whose turns alternate nothing moves.",
        "caption": "The first of the seeds. Every curve passes through every point.",
        "data": {
            "x": {"label": "input x", "values": x},
            "y": {"label": "output", "range": [-1.5, 1.5]},
            "controls": [
                {
                    "name": "share",
                    "label": "Share of the turns moved off the points",
                    "values": result.share.values,
                    "initial": 0.5,
                },
                {"name": "points", "label": "Points", "values": labels},
            ],
            "series": [
                {"name": "curve", "values": result.family.values.round(4), "by": by, "color": 0},
                {
                    "name": "linear spline",
                    "values": result.family.isel(share=0).values.round(4),
                    "by": ["points"],
                    "color": 6,
                    "dash": True,
                },
                {"name": "points", "values": np.stack(marks), "by": ["points"], "color": 1, "points": True},
            ],
            "lookups": {
                "norm": {"values": result.family_variation.values, "by": by, "format": ".6f"},
                "biased": {"values": result.family_with_biases.values, "by": by, "format": ".4f"},
            },
            "sentence": "Share {share}, {points}: norm {norm}; with the biases counted, {biased}.",
        },
    }
