"""Explorables of the chapter's closing panel: an answer first, then any pair of its curves."""

from typing import Any

import numpy as np
import xarray as xr

QUESTION = {
    "title": "Before you look",
    "alt": "A question with four answers about curves that pass through the same points.",
    "data": {
        "question": "A network from a small start, a lazy network, a cubic spline and a polynomial pass through the same seven "
        "points. Where will they be farthest apart?",
        "options": [
            {
                "label": "At the points: no two fits are equally exact.",
                "feedback": "All are exact there to rounding error; that is what the panel holds equal.",
            },
            {
                "label": "Between the points, where nothing holds them.",
                "feedback": "They do part there. But between two points each curve must at least get from one to the other.",
            },
            {
                "label": "Beyond the points, where nothing holds them on the far side either.",
                "feedback": "Yes. Compare the bars below.",
                "correct": True,
            },
            {
                "label": "Nowhere in particular: seven points say too little anywhere.",
                "feedback": "They say everything at seven places and a good deal near them. Compare the bars below.",
            },
        ],
        "closing": "The panel below shows how far each pair is apart on each of the three sets.",
    },
}


def question() -> dict[str, Any]:
    """A choice about where curves of equal training loss part."""
    return QUESTION


def pairs(result: xr.Dataset) -> dict[str, Any]:
    """The first seed's curves, one pair at a time, with the pair's distance between the points and beyond."""
    names = [str(name) for name in result.pair.values]
    both = np.stack([result.curve.sel(model=name.split(" / ")).values for name in names])
    middle, half = float(result.train_y.mean()), 1.5 * float(result.train_y.max() - result.train_y.min())
    both = np.where(abs(both - middle) < half, both, np.nan)  # what leaves the picture is not drawn
    marks = np.full(result.sizes["x"], np.nan)
    nearest = [int(abs(result.x.values - place).argmin()) for place in result.train_x.values]
    marks[nearest] = result.train_y.values
    first = result.distance.isel(seed=0)
    return {
        "title": "Compare two of the curves",
        "alt": "Two curves through the same seven points, for every pair of the panel, and how often they part.",
        "caption": "First seed. The points end at -1 and 1; what lies outside counts as elsewhere.",
        "data": {
            "x": {"label": "input x", "values": result.x.values.round(4)},
            "y": {"label": "value of the curve", "range": [middle - half, middle + half]},
            "controls": [{"name": "pair", "label": "Pair", "values": names}],
            "series": [
                {"name": "first of the pair", "by": ["pair"], "values": both[:, 0].round(4), "color": 0},
                {"name": "second of the pair", "by": ["pair"], "values": both[:, 1].round(4), "color": 1},
                {"name": "training points", "values": marks, "points": True, "color": 2},
            ],
            "lookups": {
                where: {"values": first.sel(set=where).values, "by": ["pair"], "format": ".0%"}
                for where in ("test", "elsewhere")
            },
            "markers": [{"label": "last point", "value": 1.0}, {"label": "first point", "value": -1.0}],
            "sentence": "{pair}: equal at the points, apart on {test} of the interval and on {elsewhere} of the inputs beyond.",
        },
    }
