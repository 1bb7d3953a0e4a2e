"""Figures of the page on exponents beyond the experiment's own: the three curves, and the authors' exponents."""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from heldout.figures import style
from heldout.quanta import exponents_checks as checks
from heldout.quanta import exponents_published as known

PANELS = (
    ("steps", "updates", (20, 200, 2000)),
    ("data", "samples", (2000, 10_000, 40_000)),
    ("width", "hidden units", (2, 8, 32)),
)
COLORS = {"steps": style.BLUE, "width": style.VERMILION}


def plot_curves(result: xr.Dataset) -> Axes:
    """Loss against steps, data and width, with the exact sum and the law through the point where the window begins."""
    panels = plt.figure(figsize=(5.6, 7.8)).subplots(3, 1, sharey=True)
    level = result.level.values
    for ax, (axis, name, ticks) in zip(panels, PANELS, strict=True):
        x, share = checks.curve(result, axis)
        ax.plot(x, share.T, color=style.BLUE, lw=1, alpha=0.7)
        start = np.exp(np.median([checks.cost_of(x, row, level[:1])[0] for row in share]))
        stair, left = checks.staircase(result.frequency.values, axis)
        stair = stair * start / np.exp(checks.cost_of(stair, left, level[:1])[0])
        shown = (stair < x[-1] * 1.3) & (left > 0.04)
        ax.plot(stair[shown], left[shown], color=style.GREEN, lw=2)
        far = np.array([start, x[-1] * 1.3])
        limit = checks.law(checks.alpha_of(result), axis)
        ax.plot(far, level[0] * (far / start) ** -limit, color=style.VERMILION, ls=(0, (4, 2)))
        ax.axhspan(level[-1], level[0], color=style.MUTED, alpha=0.12, lw=0)
        ax.set(xscale="log", yscale="log", xlabel=f"{name} (log scale)", ylim=(0.05, 1.2))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        ax.set_yticks([0.1, 0.2, 0.5, 1.0], ["0.1", "0.2", "0.5", "1"])
        ax.set_ylabel("loss / chance (log scale)")
    first: Axes = panels[0]
    for y, text, color in (
        (0.15, "law", style.VERMILION),
        (0.11, "exact sum", style.GREEN),
        (0.08, "seeds", style.BLUE),
    ):
        first.text(result.step.values[0], y, text, color=color)
    return first


def plot_published(_: xr.Dataset) -> Axes:
    """The authors' exponents at eight alphas, beside the law and the exact sum over several windows; our data play no part."""
    first, second = plt.figure(figsize=(5.6, 6.2)).subplots(2, 1, sharex=True)
    for ax, axis in ((first, "steps"), (second, "width")):
        sums = np.array([known.published(axis, window)["exact"] for window in known.WINDOWS])
        color = COLORS[axis]
        ax.fill_between(
            known.ALPHAS, sums.min(0), sums.max(0), color=color, alpha=0.15, lw=0, label="exact sum, seven windows"
        )
        here = known.published(axis)
        ax.plot(known.ALPHAS, here["exact"], color=color, label="from {} to {} tasks learned".format(*known.WINDOW))
        ax.plot(known.ALPHAS, here["law"], color=color, ls=(0, (4, 2)), lw=1.3, label="law")
        ax.plot(known.ALPHAS, here["theirs"], "o", color=color, label="measured by the authors")
        ax.set(
            xlabel="alpha of the frequencies", ylabel=f"exponent in {axis}", ylim=(0, 1.1 if axis == "width" else 0.8)
        )
        ax.legend(loc="upper left", fontsize=9, ncols=2)
    axes: Axes = first
    return axes
