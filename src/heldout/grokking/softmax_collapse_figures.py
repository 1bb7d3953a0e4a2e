"""Colors and names of the arms, and the figure of single samples."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style
from heldout.grokking.softmax_collapse_checks import ACCURATE

COLORS = {
    "float32": style.VERMILION,
    "float64": style.ORANGE,
    "stable": style.BLUE,
    "usual epsilon": style.PINK,
}
LABELS = {
    "float32": "float32 log-softmax",
    "float64": "float64 log-softmax",
    "stable": "stable, in float32",
    "usual epsilon": "stable, Adam's epsilon as usual",
}


def plot_errors(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Error of the gradient of one sample against its margin, in each arithmetic; the band is all seeds."""
    ax = style.axes(ax)
    for name in result.arithmetic.values:
        values = np.maximum(result.gradient_error.sel(arithmetic=name).values, 1e-10)
        style.band(ax, result.margin.values, values, color=COLORS[name], label=LABELS[name], interval=(0.0, 1.0))
    ax.axhline(ACCURATE, color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.set(yscale="log", xlabel="lead of the right answer, nats", ylabel="relative error of the gradient (log scale)")
    ax.set_xlim(-5, float(result.margin.max()))
    ax.legend(loc="upper left", bbox_to_anchor=(0.42, 0.9))
    return ax
