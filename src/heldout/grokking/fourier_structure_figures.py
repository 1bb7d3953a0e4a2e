"""The figure of what is left of a network after frequencies are cut out of its weights."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style

ARMS = ("MLP", "MLP, no decay", "transformer", "transformer, no decay")
CUTS = ("whole", "only keys", "without keys", "without others")
COLORS = dict(zip(ARMS, (style.BLUE, style.SKY, style.VERMILION, style.ORANGE), strict=True))


def plot_cuts(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Held-out accuracy of every seed, whole and after each cut, one group an arm."""
    ax = style.axes(ax)
    ax.get_figure(root=True).set_size_inches(6.4, 3.6)  # type: ignore[union-attr]  # every axes has a figure
    held_out = result.accuracy.sel(pairs="held-out")
    width = 1 / (result.sizes["arm"] + 1.5)
    for place, arm in enumerate(map(str, result.arm.values)):
        values = held_out.sel(arm=arm).transpose("cut", "seed").values
        x = np.arange(len(values))[:, None] + (place - (result.sizes["arm"] - 1) / 2) * width
        x = x + np.linspace(-0.3, 0.3, values.shape[1]) * width
        filled = style.INK if arm.endswith("no decay") else COLORS[arm]
        ax.plot(x.ravel(), values.ravel(), "o", color=COLORS[arm], markeredgecolor=filled, markersize=5, label=arm)
    labels = ["whole", "only the\nstrongest", "without the\nstrongest", "without as\nmany others"]
    ax.set_xticks(range(len(labels)), labels)
    ax.set(xlabel="frequencies left in the weights", ylabel="accuracy on held-out pairs", ylim=(-0.04, 1.04))
    ax.legend(loc="center", bbox_to_anchor=(0.62, 0.6), fontsize=9)
    return ax


def describe_cuts(result: xr.Dataset) -> str:
    """The figure of the cuts in words."""
    held = result.accuracy.sel(pairs="held-out").median("seed")
    said = [
        f"{arm}: " + ", ".join(f"{cut} {float(held.sel(arm=arm, cut=cut)):.2f}" for cut in CUTS)
        for arm in map(str, result.arm.values)
    ]
    listed = ". ".join(said)
    return f"Held-out accuracy, whole and after cutting frequencies out of the weights, median over seeds. {listed}."
