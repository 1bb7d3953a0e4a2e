"""Further figures of the experiment on Runge's function."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style
from heldout.interpolation.interpolants import limiting_rate, witch
from heldout.interpolation.runge_checks import POLE

NODE_COLORS = {
    "equispaced": (style.VERMILION, "even points"),
    "chebyshev": (style.BLUE, "Chebyshev points"),
}


def plot_curves(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The first seed's even points, and four curves through all of them; one draw, since another looks the same."""
    ax = style.axes(ax)
    one = result.sel(nodes="equispaced")
    ax.plot(result.x, witch(result.x.values, POLE), color=style.MUTED, linestyle=(0, (4, 3)), label="target")
    for drawn, color in (
        ("polynomial", style.VERMILION),
        ("cubic spline", style.PINK),
        ("linear spline", style.GREEN),
        ("network", style.BLUE),
    ):
        ax.plot(result.x, one.fit.sel(drawn=drawn), color=color, label=drawn, linewidth=1.5)
    ax.plot(one.train_x, one.train_y, "o", color=style.INK, zorder=5, markersize=5)
    ax.set(xlabel="input x", ylabel="output", ylim=(-0.7, 2.3))
    ax.legend(loc="upper center", ncols=2, fontsize=9)
    return ax


def plot_rates(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Factor on the polynomial's largest error for each point added, against the poles' height; dashed, the limit."""
    ax = style.axes(ax)
    heights = np.linspace(float(result.pole.min()), float(result.pole.max()), 200)
    for nodes, (color, label) in NODE_COLORS.items():
        ax.plot(heights, np.exp(limiting_rate(nodes, heights)), color=color, linestyle=(0, (4, 3)), linewidth=1.2)
        low, middle, high = np.exp(result.rate.sel(nodes=nodes).quantile([0, 0.5, 1], "seed").values)
        ax.errorbar(result.pole, middle, [middle - low, high - middle], fmt="o", color=color, label=label, markersize=5)
    ax.axhline(1, color=style.MUTED, linewidth=1)
    ax.annotate("grows above, falls below", (0.99, 1), xycoords=("axes fraction", "data"), xytext=(0, 4),
                textcoords="offset points", ha="right", color=style.MUTED)  # fmt: skip
    ax.set(
        ylim=(0, None), xlabel="height b of the poles above the interval", ylabel="factor on the error, per point added"
    )
    ax.legend(loc="lower left")
    return ax


def plot_noise(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Lebesgue constants against the number of points as lines, and what one draw of noise really did as dots."""
    ax = style.axes(ax)
    counts = result["count"].values
    for curve, nodes, color, label in (
        ("polynomial", "equispaced", style.VERMILION, "polynomial, even points"),
        ("polynomial", "chebyshev", style.BLUE, "polynomial, Chebyshev points"),
        ("cubic spline", "equispaced", style.PINK, "cubic spline, even points"),
    ):
        one = result.sel(curve=curve, nodes=nodes)
        ax.plot(counts, one.lebesgue.median("seed"), color=color, label=label)
        low, middle, high = one.noise_gain.quantile([0.1, 0.5, 0.9], "seed").values
        ax.errorbar(counts, middle, [middle - low, high - middle], fmt="o", color=color, markersize=3, linewidth=1)
    ax.set(yscale="log", ylim=(0.7, None), xlabel="points n", ylabel="magnification (log scale)")
    ax.legend(loc="upper left")
    return ax
