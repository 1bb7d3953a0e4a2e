"""Further figures of :mod:`heldout.interpolation.relu_curves`."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style
from heldout.interpolation.relu_curves import SHORT


def plot_carried(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """What the trained network has against what its units carried before training, every width, target and start."""
    ax = style.axes(ax)
    for width, marker in zip(result.width.values, "os^D", strict=False):
        for target, color in zip(result.target.values, (style.BLUE, style.VERMILION), strict=True):
            one = result.sel(width=width, target=target)
            x, y = (getattr(one, name) / one.spline_variation for name in ("carried", "variation"))
            label = f"{SHORT[str(target)]}, width {width}"
            ax.plot(x.values.ravel(), y.values.ravel(), marker, color=color, markersize=4, alpha=0.5, label=label)
    ends = np.array([float((result.carried / result.spline_variation).min()), 1, float(y.max())])
    ax.plot(ends, np.maximum(ends, 1), color=style.INK, linewidth=1)
    ax.set(xscale="log", yscale="log", xlabel="slope change carried at the start / the spline's (log)")
    ax.set_ylabel("variation of f' / the spline's (log)")
    ax.legend(loc="upper left", fontsize=9)
    return ax
