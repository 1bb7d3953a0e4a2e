"""The closing panel, the same in every chapter: equal loss, different function."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout.distances import SETS, first_to_rise
from heldout.figures import style
from heldout.prose import written

COLORS = {"train": style.MUTED, "test": style.BLUE, "elsewhere": style.VERMILION}
HEIGHT = 0.24
MATCHED = {"divergence": "divergence", "loss on the pairs": "loss on pairs"}  # else the training loss


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Three bars a pair: its distance on train, test and elsewhere, median over seeds with the central 80 %.

    The tick on a bar is the yardstick: the distance there between two seeds of one recipe. Constructed pairs are
    marked; the difference of the matched loss stands at the right.

    Args:
        result: a record of :func:`heldout.distances.panel_dataset`.
    """
    ax = style.axes(ax)
    pairs = list(result.pair.values)
    ax.figure.set_size_inches(6.6, 1.1 + 0.72 * len(pairs))  # type: ignore[union-attr]  # a figure, not a subfigure
    yardstick = result.yardstick.median("seed")
    for offset, name in enumerate(SETS):
        low, middle, high = np.quantile(result.distance.sel(set=name).values, [0.1, 0.5, 0.9], axis=0)
        rows = np.arange(len(pairs)) + (offset - 1) * HEIGHT
        ax.barh(rows, middle, height=0.9 * HEIGHT, color=COLORS[name], label=name)
        ax.hlines(rows, low, high, color=style.INK, linewidth=1)
        tick = float(yardstick.sel(set=name))
        ax.vlines([tick] * len(rows), rows - HEIGHT / 2, rows + HEIGHT / 2, color=style.INK, linewidth=2)
    labels = [pair if natural else f"{pair} *" for pair, natural in zip(pairs, result.natural.values, strict=True)]
    ax.set_yticks(range(len(pairs)), labels)
    difference = result.loss_difference.max("seed").values
    for row, value in enumerate(difference):
        ax.annotate(
            written(float(value), ".0e") if value else "0",
            (1, row),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
        )
    ax.annotate(
        f"largest |difference|\nof {matched(result)}", (1, 1), xycoords="axes fraction", xytext=(6, 2),
        textcoords="offset points", fontsize=8, color=style.MUTED,
    )  # fmt: skip
    ax.invert_yaxis()
    ax.set(
        xlim=(0, 1),
        xlabel="distance as functions\n(tick: two seeds of one recipe;  * one of the two built on purpose)",
    )
    ax.set_ylabel("pair of models")
    ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3)
    return ax


def describe(result: xr.Dataset) -> str:
    """The panel in words: for every pair the three distances and the bar that rises first."""
    middle, rises = result.distance.median("seed"), first_to_rise(result)
    sentences = [
        f"{pair}: train {float(middle.sel(pair=pair, set='train')):.2f}, test {float(middle.sel(pair=pair, set='test')):.2f}, "
        f"elsewhere {float(middle.sel(pair=pair, set='elsewhere')):.2f}, first to rise: {rises.sel(pair=pair).item()}."
        for pair in result.pair.values
    ]
    return f"Distances between pairs of models at equal {matched(result)}. " + " ".join(sentences)


def matched(result: xr.Dataset) -> str:
    """What the pairs have in common, in a word or two: the record's name of it where that is no training loss."""
    name = str(result.loss_difference.attrs.get("long_name", ""))
    return next((short for part, short in MATCHED.items() if part in name), "training loss")
