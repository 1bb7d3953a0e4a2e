"""Figures of the page on small language models."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style
from heldout.quanta import small_language_model_checks as checks

SHOWN = 150  # single places drawn behind the mean
COUNTED = ("single characters", "pairs", "threes")


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Mean loss against parameters with all seeds, some single places behind it, and the mean losses of counts."""
    ax = style.axes(ax)
    size, curves = result.parameters.values, checks.by_size(result)
    places = np.linspace(0, curves.shape[2] - 1, SHOWN).astype(int)
    ax.plot(size, curves.mean(0)[:, places], color=style.MUTED, alpha=0.25, lw=0.7)
    style.band(ax, size, curves.mean(2), color=style.BLUE, label="mean over places", interval=(0.0, 1.0), marker="o")
    for name, row in zip(COUNTED, result.ngram_loss.values[:3], strict=False):
        ax.axhline(row.mean(), color=style.VERMILION, lw=1, ls=(0, (4, 2)))
        ax.annotate(f"counts of {name}", (size[0], row.mean()), (0, 2), textcoords="offset points", fontsize=8)
    ax.set(xscale="log", xlabel="parameters (log scale)", ylabel="loss after the last update, nats", ylim=(0, 8))
    ax.legend(loc="upper right")
    return ax


def plot_futures(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Loss of every place with the largest size against that with the smallest, means over seeds, and where both are equal."""
    ax = style.axes(ax)
    curves = checks.by_size(result).mean(0)
    most = float(np.quantile(curves, 0.995))
    ax.plot([0, most], [0, most], color=style.MUTED, lw=1)
    ax.annotate("no better, no worse", (0.97 * most, 0.99 * most), ha="right", color=style.MUTED, fontsize=9)
    ax.plot(curves[0], curves[-1], "o", ms=3, alpha=0.35, mew=0, color=style.BLUE)
    low, high = np.quantile(curves[0], [0.48, 0.52])
    ax.axvspan(low, high, color=style.ORANGE, alpha=0.25, lw=0)
    ax.annotate(
        "equal loss here", (high, 0.02 * most), (4, 0), textcoords="offset points", color=style.VERMILION, fontsize=9
    )
    ax.set(
        xlim=(0, most), ylim=(0, most), xlabel=f"loss with {int(result.parameters[0]):,} parameters, nats",
        ylabel=f"loss with {int(result.parameters[-1]):,} parameters, nats",
    )  # fmt: skip
    return ax


def plot_sharpness(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Share of falling places at least so sharp: single seeds, smooth curves with the same scatter, the mean over seeds."""
    ax = style.axes(ax)
    curves = checks.by_size(result)
    mean = checks.of_mean(curves)
    grid = np.linspace(0, 5 * mean, 120)
    for values, color, label, line in (
        (curves, style.BLUE, "single seeds", "solid"),
        (checks.smooth(curves), style.ORANGE, "smooth curves, the same scatter", (0, (5, 1.5))),
        (checks.averaged(curves)[:1], style.GREEN, "mean over seeds", (0, (1.5, 1.5))),
    ):
        rows = [row[np.isfinite(row)] for row in checks.sharpness(values)]
        shares = np.array([(row[:, None] > grid).mean(0) for row in rows if row.size])
        style.band(ax, grid / mean, 100 * shares, color=color, label=label, interval=(0.0, 1.0), linestyle=line)
    style.mark_threshold(ax, checks.TWICE, "sudden")
    ax.set(
        xlim=(0, 5), ylim=(0, 100), xlabel="sharpness of a place, in units of the mean curve's",
        ylabel="falling places at least so sharp (%)",
    )  # fmt: skip
    ax.legend(loc="upper right")
    return ax


def plot_likeness(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Correlation over places of the models' losses with those of counts, against size; the band is all seeds."""
    ax = style.axes(ax)
    like = checks.likeness(result)
    for order, color in zip(range(like.shape[2]), style.COLORS, strict=False):
        style.band(ax, result.parameters.values, like[:, :, order], color=color, interval=(0.0, 1.0), marker="o")
        end = float(np.median(like[:, -1, order]))
        style.label_end(ax, float(result.parameters[-1]), end, f"n = {order + 1}", color=color)
    ax.set(xscale="log", xlabel="parameters (log scale)", ylabel="correlation with counts of n characters")
    return ax
