"""Explorables of the page on Runge's function."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from heldout.figures import style
from heldout.interpolation.runge_checks import POLE
from heldout.interpolation.runge_figures import plot_curves

COUNT_AXIS = {"label": "points n", "symbol": "n", "format": ","}


def prediction(result: xr.Dataset) -> dict[str, Any]:
    """The reader draws the error of the polynomial through even points before it is shown."""
    low, middle, high = _quantiles(result.rmse.sel(curve="polynomial", nodes="equispaced"))
    first, last = int(result["count"][0]), int(result["count"][-1])
    return {
        "title": "Draw the error you expect",
        "alt": f"Measured: the error rises from {middle[0]:.2g} with {first} points to {middle[-1]:.1e} with {last}.",
        "data": {
            "prompt": "The polynomial passes through all n points. Drag to draw its error between them, then commit.",
            "x": COUNT_AXIS | {"values": result["count"].values},
            "y": {"label": "root mean squared error", "scale": "log", "range": [1e-6, 1e6], "format": ".2g"},
            "anchors": [5, 11, 17, 23, 29, 35, 41],
            "truth": {"name": "measured", "values": middle, "low": low, "high": high},
        },
    }


def playground(result: xr.Dataset) -> dict[str, Any]:
    """Points to drag and four curves through them, computed in the page."""

    def picture() -> Figure:
        with style.house_style():
            figure = plot_curves(result).get_figure(root=True)
        assert isinstance(figure, Figure)
        return figure

    return {
        "title": "Drag the points",
        "alt": "Four curves pass through the same points. Through many even points the polynomial swings widely near the ends; "
        "the splines and the minimum-norm fit do not.",
        "caption": "Dashed: the function the points were taken from. Miss: the largest distance of the curve from a point. "
        "Swing: how far it goes above the highest or below the lowest point. Gain: how far it can move, at worst, "
        "when every value moves by at most 1.",
        "fallback": picture,
        "data": {
            "x": {"label": "input x"},
            "y": {"label": "output", "range": [-1, 2]},
            "count": {"min": 5, "max": 15, "initial": 11},
            "extra": {"min": 0, "max": 85, "initial": 40},
            "pole": POLE,
        },
    }


def poles(result: xr.Dataset) -> dict[str, Any]:
    """Largest error of the polynomial at both node sets while the poles move away from the interval."""
    parts = {nodes: _quantiles(result.largest_error.sel(nodes=nodes)) for nodes in result.nodes.values}
    heights = [float(f"{b:.4g}") for b in result.pole.values]
    return {
        "title": "Move the poles",
        "alt": "Through Chebyshev points the error falls at every height of the poles. Through even points it grows while the "
        "poles are low and falls when they are high.",
        "data": {
            "x": COUNT_AXIS | {"values": result["count"].values},
            "y": {"label": "largest error", "scale": "log", "range": [1e-15, 1e9], "format": ".2g"},
            "controls": [
                {"name": "b", "label": "Height b of the poles", "values": heights, "initial": POLE, "format": ".2g"}
            ],
            "series": [
                {"name": label, "by": ["b"], "values": parts[nodes][1], "low": parts[nodes][0], "high": parts[nodes][2]}
                | {"color": color}
                for nodes, label, color in (("equispaced", "even points", 1), ("chebyshev", "Chebyshev points", 0))
            ],
            "lookups": {
                "even": {"series": "even points", "stat": "last", "format": ".1e"},
                "chebyshev": {"series": "Chebyshev points", "stat": "last", "format": ".1e"},
                "least": {"series": "even points", "stat": "argmin", "format": ","},
            },
            "sentence": "Poles at height {b}: with the most points the largest error is {even} through even points and "
            "{chebyshev} through Chebyshev points; through even points it is least at n = {least}.",
        },
    }


def _quantiles(values: xr.DataArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low, middle, high = (values.quantile(q, "seed").values for q in (0.1, 0.5, 0.9))
    return low, middle, high
