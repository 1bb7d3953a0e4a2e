"""Colors of the four scores, and the figure of the number of frequencies kept."""

import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style
from heldout.grokking.anomaly_scores import SCORES

COLORS = dict(zip(SCORES, (style.BLUE, style.VERMILION, style.GREEN, style.PINK), strict=True))
LINES = dict(zip(SCORES, ("solid", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5))), strict=True))


def plot_counts(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The circuit's score on triggers against the number of frequencies kept, all seeds as a band."""
    ax = style.axes(ax)
    for kind, color, line in zip(
        result.plant.values, (style.BLUE, style.ORANGE), ("solid", (0, (5, 1.5))), strict=False
    ):
        values = result.count_auc.sel(plant=kind).values
        style.band(ax, result["count"].values, values, color=color, label=str(kind), interval=(0, 1), linestyle=line)
    style.mark_threshold(ax, float(result.num_frequencies), "used above")
    ax.axhline(0.5, color=style.MUTED, linewidth=0.8)
    ax.set(xlabel="frequencies kept in the restricted network", ylabel="area under the curve", ylim=(0, 1.12))
    ax.legend(loc="lower right")
    return ax
