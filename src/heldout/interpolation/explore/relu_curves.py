"""Explorables of the page on what a ReLU network draws."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.interpolation.relu_curves import NAMES, TARGETS


def question() -> dict[str, Any]:
    """The reader says what forty times larger initial weights change."""
    return {
        "title": "Commit to a guess",
        "alt": "A question with three answers about the size of the initial weights.",
        "data": {
            "question": "A wide network starts as the zero function and is trained to zero error on eleven points. "
            "Its initial weights are made forty times larger, and it still starts as the zero function. What changes?",
            "options": [
                {
                    "label": "Nothing: the same points, the same function at the start, the same curve",
                    "feedback": "The function at the start is the same. The weights are not, and training moves weights.",
                },
                {
                    "label": "The curve between the points: it bends more",
                    "feedback": "Yes, and by how much depends on how closely you look. Read on.",
                    "correct": True,
                },
                {
                    "label": "Training fails: large weights do not reach zero error",
                    "feedback": "All networks on this page reach zero error to rounding, at every size of the start.",
                },
            ],
        },
    }


def scales(result: xr.Dataset) -> dict[str, Any]:
    """The first seed's curves at every initial scale, with the linear spline under them."""
    one = result.isel(width=-1)
    x = result.x.values
    splines, points = [], []
    for target in TARGETS:
        known = one.sel(target=target)
        at = known.train_x.values[np.isfinite(known.train_x.values)]
        values = known.train_y.values[: len(at)]
        splines.append(np.interp(x, at, values))
        nearest = abs(x[:, None] - at).argmin(0)
        marks = np.full(len(x), np.nan)
        marks[nearest] = values
        points.append(marks)
    curves = one.function.transpose("target", "start", "init_scale", "x").values
    ratio = (one.variation / one.spline_variation).isel(seed=0).transpose("target", "start", "init_scale").values
    coarse = (
        (one.coarse_variation / one.spline_variation).isel(seed=0).transpose("target", "start", "init_scale").values
    )
    names = [NAMES[target] for target in TARGETS]
    by = ["target", "start", "scale"]
    return {
        "title": "Turn up the initial weights",
        "alt": "At small initial weights the network's curve lies on the linear spline. At large ones it bends in between: "
        "much with a plain start, little but in many narrow ramps with an antisymmetric one.",
        "caption": "The first of the seeds. Every curve passes through every point to rounding.",
        "data": {
            "x": {"label": "input x", "values": x},
            "y": {"label": "output", "range": [-0.5, 1.5]},
            "controls": [
                {"name": "scale", "label": "Scale of the initial weights", "values": one.init_scale.values},
                {"name": "start", "label": "Start", "values": [str(name) for name in one.start.values]},
                {"name": "target", "label": "Points", "values": names},
            ],
            "series": [
                {"name": "linear spline", "values": np.stack(splines), "by": ["target"], "color": 6, "dash": True},
                {"name": "trained network", "values": curves.round(4), "by": by, "color": 0},
                {"name": "points", "values": np.stack(points), "by": ["target"], "color": 1, "points": True},
            ],
            "lookups": {
                "ratio": {"values": ratio, "by": ["target", "start", "scale"], "format": ".2f"},
                "coarse": {"values": coarse, "by": ["target", "start", "scale"], "format": ".2f"},
            },
            "sentence": "{target}, {start} start at scale {scale}: the slope's variation is {ratio} times the spline's, "
            "and {coarse} times seen over cells.",
        },
    }
