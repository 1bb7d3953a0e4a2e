"""Figures of the page on exponents beyond the experiment's own: the three curves, and the authors' exponents."""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from heldout.figures import style
from heldout.quanta import exponents_checks as checks

PANELS = (
    ("steps", "updates", (20, 200, 2000)),
    ("data", "samples", (2000, 10_000, 40_000)),
    ("width", "hidden units", (2, 8, 32)),
)
COLORS = {"steps": style.BLUE, "width": style.VERMILION}


def plot_curves(result: xr.Dataset) -> Axes:
    """Loss against steps, data and width, with the exact sum and the law through the point where the window begins."""
    panels = plt.figure(figsize=(7.4, 3.1)).subplots(1, 3, sharey=True)
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
    first: Axes = panels[0]
    first.set_yticks([0.1, 0.2, 0.5, 1.0], ["0.1", "0.2", "0.5", "1"])
    first.set_ylabel("loss / chance (log scale)")
    for y, text, color in (
        (0.15, "law", style.VERMILION),
        (0.11, "exact sum", style.GREEN),
        (0.08, "seeds", style.BLUE),
    ):
        first.text(result.step.values[0], y, text, color=color)
    return first


def plot_published(_: xr.Dataset) -> Axes:
    """The authors' exponents at eight alphas, beside the law and the exact sum over their 500 tasks; our data play no part."""
    ax = style.axes()
    for axis in ("steps", "width"):
        known = checks.published(axis)
        ax.plot(checks.PUBLISHED_ALPHA, known["law"], color=COLORS[axis], ls=(0, (4, 2)), lw=1.3)
        ax.plot(checks.PUBLISHED_ALPHA, known["exact"], color=COLORS[axis])
        ax.plot(checks.PUBLISHED_ALPHA, known["theirs"], "o", color=COLORS[axis])
        style.label_end(ax, 0.8, known["exact"][-1], f"in {axis}", color=COLORS[axis])
    ax.plot([], [], "o", color=style.MUTED, label="measured by the authors")
    ax.plot([], [], color=style.MUTED, label=f"exact sum, {checks.PUBLISHED_TASKS} tasks")
    ax.plot([], [], color=style.MUTED, ls=(0, (4, 2)), label="law")
    ax.set(xlabel="alpha of the frequencies", ylabel="exponent of the loss", ylim=(0, None))
    ax.legend(loc="upper left", fontsize=9)
    return ax
