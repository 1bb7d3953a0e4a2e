"""The second figure of the page on in-context learning."""

import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style
from heldout.nonidentifiability import in_context_checks as checks


def plot_path(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Along the training of the plain models: right answers on known chains and on new ones, all seeds."""
    ax = style.axes(ax)
    known = result.path_accuracy.sel(examples=checks.asked(result))
    new = result.path_new.sel(examples=checks.asked(result))
    for values, color, label in ((known, style.BLUE, "known chains"), (new, style.VERMILION, "new chains")):
        ax.plot(result.step, values.transpose("step", "seed"), color=color, linewidth=0.7, alpha=0.6)
        ax.plot(result.step, values.median("seed"), color=color)
        style.label_end(ax, float(result.step[-1]), float(values.isel(step=-1).median()), label, color=color)
    ax.set(xlabel="updates", ylabel="share of right answers", xlim=(0, float(result.step[-1])), ylim=(0, 1.03))
    return ax
