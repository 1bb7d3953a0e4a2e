"""A further figure of the experiment on held norms: the usual run."""

import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style


def plot_usual(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The usual run: accuracy on both sets, and the norm over its largest value; bands are all seeds."""
    ax = style.axes(ax)
    step = result.usual_step.values
    share = result.usual_norm / result.usual_norm.max("usual_step")
    for values, color, label in (
        (result.usual_train_accuracy, style.BLUE, "training pairs"),
        (result.usual_test_accuracy, style.VERMILION, "held-out pairs"),
        (share, style.INK, "norm, over its largest"),
    ):
        style.band(ax, step, values.values, color=color, label=label, interval=(0.0, 1.0))
    ax.set(xlabel="updates", ylabel="accuracy; norm over its largest", ylim=(0, 1.02))
    ax.legend(loc="center right")
    return ax
