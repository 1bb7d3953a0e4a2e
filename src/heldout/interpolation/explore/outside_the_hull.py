"""Explorables of the page on convex hulls and rays."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.interpolation import gaussian_hull, hull_membership
from heldout.interpolation.rays import MODEL_NAMES, NAMES

SHARE = {"label": "share", "range": [0, 1], "format": ".2f"}
DIMENSION = {"label": "dimension d", "scale": "log", "symbol": "d", "format": ","}
DIMENSIONS = tuple(range(1, 41))  # drawn by the formula
POWERS = tuple(range(2, 13))  # of ten: the numbers of points


def prediction(result: xr.Dataset) -> dict[str, Any]:
    """The reader draws the share of test digits inside the hull against the dimension."""
    inside = hull_membership.judged(result).inside
    return {
        "title": "Draw how many test digits you expect inside",
        "alt": "Measured: nearly all test digits are inside in two dimensions, few in ten, and hardly any from sixteen on.",
        "data": {
            "prompt": "Drag the points, or use the sliders, to draw the share of test digits inside the hull. Then commit.",
            "x": DIMENSION | {"values": result.dimension.values},
            "y": SHARE | {"label": "share of test digits inside", "symbol": "share"},
            "anchors": [d for d in (2, 4, 8, 16, 32, 64, 784) if d >= int(result.dimension[0])],
            "start": 0.5,
            "truth": {
                "name": "measured",
                "values": inside.median("seed").values,
                "low": inside.min("seed").values,
                "high": inside.max("seed").values,
            },
        },
    }


def dimensions(result: xr.Dataset) -> dict[str, Any]:
    """Share inside and accuracy at every dimension, with a cursor, beside Gaussian points by the formula."""
    one, grid = hull_membership.judged(result), result.dimension.values
    n = int(result.judged_count)
    gaussian = [gaussian_hull.inside_probability(n, int(d), 1.0) if d <= DIMENSIONS[-1] else 0.0 for d in grid]
    shown = [int(d) for d in grid]
    return {
        "title": "From two components to all pixels",
        "alt": "The share of test digits inside the hull falls to zero while the nearest neighbor's accuracy rises.",
        "data": {
            "x": DIMENSION | {"values": grid},
            "y": SHARE,
            "controls": [
                {"name": "d", "label": "Dimension", "values": shown, "initial": min(shown, key=lambda d: abs(d - 8))}
            ],
            "series": [
                _with_range("nearest neighbor right", one.accuracy, 0),
                _with_range("test digits inside", one.inside, 1),
                {"name": "Gaussian points inside", "values": gaussian, "color": 2, "dash": True},
            ],
            "lookups": {
                "inside": {"series": "test digits inside", "stat": "at", "control": "d", "format": ".1%"},
                "right": {"series": "nearest neighbor right", "stat": "at", "control": "d", "format": ".1%"},
                "gauss": {"series": "Gaussian points inside", "stat": "at", "control": "d", "format": ".1%"},
            },
            "markers": [{"label": "d = {d}", "control": "d"}],
            "sentence": "In {d} dimensions {inside} of the test digits are inside, and the nearest training digit is right "
            "on {right}. Of Gaussian points {gauss} would be inside.",
        },
    }


def _with_range(name: str, values: xr.DataArray, color: int) -> dict[str, Any]:
    """Median over seeds with the smallest and the largest seed around it."""
    middle, low, high = (values.median("seed"), values.min("seed"), values.max("seed"))
    return {"name": name, "values": middle.values, "low": low.values, "high": high.values, "color": color}


def points() -> dict[str, Any]:
    """How many Gaussian points it takes, by the formula: fresh points, and the center of the same cloud."""
    curves = {
        scale: np.array(
            [[gaussian_hull.inside_probability(10**power, d, scale) for d in DIMENSIONS] for power in POWERS]
        )
        for scale in (1.0, 0.5)
    }
    half = [gaussian_hull.exact_crossing(10**power, 1.0) for power in POWERS]
    return {
        "title": "Buy more points",
        "alt": "Ten times as many points move the curve to the right by a few dimensions.",
        "data": {
            "x": {"label": "dimension d", "symbol": "d", "format": ",", "values": list(DIMENSIONS)},
            "y": {"label": "chance of being inside", "range": [0, 1], "format": ".2f"},
            "controls": [
                {"name": "power", "label": "Points n, as a power of ten", "values": list(POWERS), "initial": 3}
            ],
            "series": [
                {"name": "a fresh point", "by": ["power"], "values": curves[1.0], "color": 1},
                {"name": "halfway to the center", "by": ["power"], "values": curves[0.5], "color": 0, "dash": True},
            ],
            "lookups": {
                "half": {"values": half, "by": ["power"], "format": ".1f"},
                "at": {"series": "a fresh point", "stat": "at", "x": 30, "format": ".1e"},
            },
            "markers": [{"label": "half at d = {half}", "values": half, "by": ["power"]}],
            "sentence": "With 10 to the power {power} points, half of the fresh ones are inside in {half} dimensions; in 30 "
            "dimensions the chance is {at}.",
        },
    }


def along_a_ray(result: xr.Dataset) -> dict[str, Any]:
    """Every target and model along one line through the center, first seed."""
    targets, models = [str(name) for name in result.target.values], [str(name) for name in result.model.values]
    return {
        "title": "Walk out of the data",
        "alt": "Beyond the ball the trained ReLU network is straight, whatever the target does; the tanh network levels off.",
        "data": {
            "x": {"label": "place on the line / radius of the ball", "symbol": "r", "values": result.radius.values},
            "y": {"label": "function", "free": True},
            "controls": [
                {
                    "name": "target",
                    "label": "Target",
                    "values": [NAMES[name] for name in targets],
                    "initial": NAMES["square"],
                },
                {"name": "network", "label": "Network", "values": [MODEL_NAMES[name] for name in models]},
            ],
            "series": [
                {"name": "target", "by": ["target"], "values": result.truth.values, "color": 1, "dash": True},
                {"name": "network", "by": ["target", "network"], "values": result.profile.values, "color": 0},
            ],
            "lookups": {
                "far": {
                    "values": result.error.sel(segment="far").median("seed").values,
                    "by": ["target", "network"],
                    "format": ".0%",
                },
                "r2": {
                    "values": result.line_r2.sel(segment="far").median("seed").values,
                    "by": ["target", "network"],
                    "format": ".5f",
                },
            },
            "markers": [{"label": "data begin", "value": -1}, {"label": "data end", "value": 1}],
            "sentence": "{target}, {network}: from radius 2 to 5 a line explains {r2} of the network, which is off by {far} of "
            "the target (medians over seeds).",
        },
    }


def guess() -> dict[str, Any]:
    """What the reader expects of a network that learned the sum of squares."""
    return {
        "title": "What does it say at radius 5?",
        "alt": "A question with three answers about a network asked far outside its data.",
        "data": {
            "question": "A ReLU network has learned the sum of squares on a ball of radius 1. You walk outward along a ray, to "
            "radius 5. What does the network's output do?",
            "options": [
                {
                    "label": "It goes on as a parabola.",
                    "feedback": "Nothing outside the ball was ever asked of it. The figure below shows what it does instead.",
                },
                {
                    "label": "It goes on as a straight line.",
                    "feedback": "Yes, and soon after the ball's edge. The figure below shows how soon.",
                    "correct": True,
                },
                {
                    "label": "It levels off.",
                    "feedback": "That is what tanh units do, each of which is bounded. A sum of ReLU units need not be.",
                },
            ],
        },
    }
