"""The second figure of the closing panel of connecting the dots: which function a name is used for, after false definitions."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout.connecting_dots.closing_panel_checks import overlap
from heldout.figures import style


def lessons(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Inversions as the pairs and as the words have them, of models that read false definitions with and without the pairs."""
    ax = style.axes(ax)
    places = np.arange(result.sizes["reader"])
    for values, color, label, shift in (
        (result.follows_pairs, style.BLUE, "undo the function of the pairs", -0.12),
        (result.follows_words, style.VERMILION, "undo the function of the words", 0.12),
    ):
        spread = np.linspace(-0.06, 0.06, result.sizes["seed"])
        for own, offset in zip(values.transpose("seed", "reader").values, spread, strict=True):
            ax.plot(places + shift + offset, own, "o", color=color, markersize=5, alpha=0.7)
        middle = values.median("seed").values
        ax.hlines(middle, places + shift - 0.1, places + shift + 0.1, color=color, linewidth=2.2, label=label)
    both = float(overlap(result).median())
    ax.axhline(both, color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.annotate("both give this number", (0.5, both), xytext=(0, 3), textcoords="offset points",
                ha="center", fontsize=8, color=style.MUTED)  # fmt: skip
    ax.set_xticks(places, list(result.reader.values))
    ax.set(
        xlabel="false definitions read", ylabel="share of inversions that", ylim=(0, 1), xlim=(-0.5, places[-1] + 0.5)
    )
    ax.legend(loc="upper center", fontsize=8)
    return ax


def lesson_words(result: xr.Dataset) -> str:
    """The figure in words."""
    parts = [
        f"false definitions {reader}: {float(result.follows_pairs.sel(reader=reader).median()):.0%} of inversions undo the "
        f"function of the pairs, {float(result.follows_words.sel(reader=reader).median()):.0%} that of the words"
        for reader in result.reader.values
    ]
    return f"One point a seed and the median of {result.sizes['seed']} seeds. {'; '.join(parts)}."
