"""Figures of the page on small language models."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style
from heldout.quanta import small_language_model_checks as checks


def plot_futures(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Loss of every place with the largest size against that with the smallest, means over seeds, and where both are equal."""
    ax = style.axes(ax)
    curves = checks.by_size(result).mean(0)
    most = float(np.quantile(curves, 0.995))
    ax.plot([0, most], [0, most], color=style.MUTED, lw=1)
    ax.annotate("no change", (most, most), (0, 3), textcoords="offset points", ha="right", color=style.MUTED)
    ax.plot(curves[0], curves[-1], "o", ms=3, alpha=0.35, mew=0, color=style.BLUE)
    low, high = np.quantile(curves[0], [0.48, 0.52])
    ax.axvspan(low, high, color=style.ORANGE, alpha=0.25, lw=0)
    ax.annotate(
        "equal loss", ((low + high) / 2, most), (0, 3), textcoords="offset points", ha="center", color=style.ORANGE
    )
    ax.set(
        xlim=(0, most), ylim=(0, most), xlabel=f"loss with {int(result.parameters[0]):,} parameters, nats",
        ylabel=f"loss with {int(result.parameters[-1]):,} parameters, nats",
    )  # fmt: skip
    return ax


def plot_sharpness(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Share of falling places at least so sharp: single seeds and their mean, each beside smooth curves with its scatter."""
    ax = style.axes(ax)
    curves = checks.by_size(result)
    mean = checks.of_mean(curves)
    grid = np.linspace(0, 5 * mean, 120)
    for values, color, label, line in (
        (curves, style.BLUE, "single seeds", "solid"),
        (checks.smooth(curves), style.ORANGE, "smooth, same scatter", (0, (5, 1.5))),
        (checks.averaged(curves)[:1], style.GREEN, "mean over seeds", "solid"),
        (checks.smooth(curves, len(curves)), style.VERMILION, "smooth, scatter of a mean", (0, (1.5, 1.5))),
    ):
        rows = [row[np.isfinite(row)] for row in checks.sharpness(values)]
        shares = np.array([(row[:, None] > grid).mean(0) for row in rows if row.size])
        style.band(ax, grid / mean, 100 * shares, color=color, label=label, interval=(0.0, 1.0), linestyle=line)
    style.mark_threshold(ax, checks.TWICE, "sudden")
    ax.set(
        xlim=(0, 5), ylim=(0, 100), xlabel="sharpness of a place, in units of the mean curve's",
        ylabel="falling places at least so sharp (%)",
    )  # fmt: skip
    ax.legend(loc="upper right", bbox_to_anchor=(1, 0.93))
    return ax


def plot_likeness(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Correlation over places of the models' losses with those of counts, against size; the band is all seeds."""
    ax = style.axes(ax)
    like, size = checks.likeness(result), result.parameters.values
    ends = np.median(like[:, -1], 0)
    for order, color in zip(range(like.shape[2]), style.COLORS, strict=False):
        style.band(ax, size, like[:, :, order], color=color, interval=(0.0, 1.0), marker="o")
    height = -np.inf
    for order in np.argsort(ends):
        height = max(float(ends[order]), height + 0.022)  # so that no two labels overlap
        style.label_end(ax, float(size[-1]), height, f"n = {order + 1}", color=style.COLORS[order])
    ax.set(xscale="log", xlabel="parameters (log scale)", ylabel="correlation with counts of n characters")
    return ax
