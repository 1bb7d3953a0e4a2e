"""Figures of :mod:`heldout.interpolation.linear_regions`."""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style


def planes(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The plane of the first seed cut by its kinks, before and after training; only after, where axes are given."""
    if ax is not None:
        _plane(result, ax, "after")
        return ax
    axes = plt.figure(figsize=(6.4, 3.4), dpi=220).subplots(1, 2, sharey=True)
    for one, time in zip(axes, result.time.values, strict=True):
        _plane(result, one, str(time))
        one.set_title(f"{time} training")
    axes[1].set_ylabel("")
    first: Axes = axes[0]
    return first


def _plane(result: xr.Dataset, ax: Axes, time: str) -> None:
    """Kinks as thin lines, training points by class, and the zero of the output."""
    one = result.sel(time=time)
    x, y = result["column"].values, result["row"].values
    rows, columns = np.nonzero(one.edge.values)
    ax.plot(
        x[columns],
        y[rows],
        "s",
        color=style.MUTED,
        markersize=max(0.5, 176 / len(x)),
        markeredgewidth=0,
        rasterized=True,
    )
    ax.contour(x, y, one.output.values, levels=[0.0], colors=[style.INK], linewidths=1.6)
    for sign, color in ((1, style.BLUE), (-1, style.VERMILION)):
        points = result.train_x.values[result.label.values == sign]
        ax.plot(points[:, 0], points[:, 1], "o", color=color, markersize=3)
    ax.set(xlabel="first input", ylabel="second input", aspect="equal")
    ax.grid(visible=False)


def counts(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Regions of the plane and pieces along a line against the number of units, before and after training."""
    ax = style.axes(ax)
    units = 2 * result.width.values
    for name, color, words in (
        ("regions", style.BLUE, "regions of the plane"),
        ("pieces", style.GREEN, "pieces along a line"),
    ):
        for time, line in (("before", ":"), ("after", "-")):
            values = result[name].sel(time=time).transpose("seed", "width").values
            style.band(ax, units, values, color=color, label=f"{words}, {time}", linestyle=line)
    folded = result.folded_pieces.transpose("seed", "width").values
    style.band(
        ax, units, folded, color=style.VERMILION, label="pieces along a line, weights set by hand", linestyle="--"
    )
    ax.set(xscale="log", yscale="log", xlabel="hidden units (log scale)", ylabel="count (log scale)")
    ax.set_xticks(units, [str(count) for count in units])
    ax.minorticks_off()
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.34), ncol=2, fontsize=9)
    return ax
