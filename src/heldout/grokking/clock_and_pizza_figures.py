"""The figure of clock and pizza."""

import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style
from heldout.grokking import clock_and_pizza_checks as checks

COLORS = (style.ORANGE, style.GREEN, style.BLUE)


def plane(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Irrelevance against symmetricity: a dot a network, hollow where it does not add, and the line of the written-down ones."""
    ax = style.axes(ax)
    line = [result[f"ruler_{name}"].median("seed").values for name in ("symmetricity", "irrelevance")]
    ax.plot(*line, color=style.MUTED, linewidth=1.2, marker="s", markersize=5, label="written down, median")
    last = result.sizes["rate"] - 1
    names = {0: "even attention", last: "trained attention"}
    for number, rate in enumerate(result.rate.values):
        mine, color = result.isel(rate=number), COLORS[0 if number == 0 else 2 if number == last else 1]
        right = checks.adds(mine).values
        x, y = mine.symmetricity.values, mine.irrelevance.values
        label = names.get(number, f"{rate:.0%} trained")
        ax.scatter(x[right], y[right], s=42, color=color, label=label, zorder=3)
        ax.scatter(x[~right], y[~right], s=42, facecolors="none", edgecolors=color, zorder=3)
    loud = result.loud_symmetricity.values, result.loud_irrelevance.values
    ax.scatter(*loud, s=30, marker="x", color=COLORS[0], label="even, twice as loud", zorder=3)
    for place, word, shift in ((0, "pizza", (-6, -15)), (-1, "clock", (-36, -4))):
        ax.annotate(
            word, (line[0][place], line[1][place]), shift, textcoords="offset points", color=style.MUTED, fontsize=9
        )
    ax.set(xlabel="gradient symmetricity", ylabel="distance irrelevance", xlim=(-0.2, 1.08), ylim=(0.2, 1.05))
    ax.legend(loc="lower left")
    return ax
