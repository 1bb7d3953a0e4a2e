"""Figures of the sweeps over data and decay: every seed as a mark, censored runs as open ones."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style
from heldout.grokking.training import first_step


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Updates to memorize and to generalize against the fraction trained on: every seed, and medians as lines."""
    ax = style.axes(ax)
    budget = int(result.step[-1])
    for accuracy, color, name in (
        (result.train_accuracy, style.GREEN, "training pairs learned"),
        (result.test_accuracy, style.VERMILION, "held-out pairs learned"),
    ):
        _every_seed(ax, result.fraction.values, first_step(accuracy), budget, color=color, label=name)
    ax.axhline(budget, color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.annotate("end of training (open: not yet learned)", (1, budget), xycoords=("axes fraction", "data"), xytext=(0, 9),
                textcoords="offset points", ha="right", color=style.MUTED, fontsize=9)  # fmt: skip
    ax.set(yscale="log", xlabel="fraction of all pairs that is trained on", ylabel="updates (log scale)")
    ax.set_ylim(top=2 * budget)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
    return ax


def plot_decay(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Updates to memorize and to generalize against the time constant of decay, at each learning rate."""
    ax = style.axes(ax)
    times = result.time.values
    ax.set_xscale("log")
    marks = ("o", "s", "D", "v")
    for number, rate in enumerate(result.learning_rate.values):
        for values, color, what in (
            (result.memorized, style.GREEN, "training"),
            (result.generalized, style.VERMILION, "held-out"),
        ):
            at = times * (1 + 0.09 * number)  # side by side
            label = f"{what} pairs, learning rate {rate:g}"
            _every_seed(ax, at, values.sel(learning_rate=rate), result.budget.values, color=color, label=label,
                        marker=marks[number % 4], linestyle=("-", "--", ":", "-.")[number % 4])  # fmt: skip
    ax.plot(times, result.budget.values, color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.annotate("end of training", (times[-1], float(result.budget[-1])), xytext=(0, 6), textcoords="offset points",
                ha="right", color=style.MUTED, fontsize=9)  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel=r"time constant of decay $\tau$, updates (log scale)")
    ax.set_ylabel("updates (log scale)")
    ax.set_xticks(times, [f"{time:g}" for time in times])
    ax.set_ylim(top=2 * float(result.budget.max()))
    ax.minorticks_off()
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, fontsize=8.5)
    return ax


def _every_seed(
    ax: Axes,
    x: np.ndarray,
    steps: xr.DataArray,
    budget: float | np.ndarray,
    *,
    color: str,
    label: str,
    marker: str = "o",
    linestyle: str = "-",
) -> None:
    """One mark a seed, open and on the budget where a run is censored; a line through medians, which count those as later."""
    values = steps.transpose("seed", ...).values
    ends = np.broadcast_to(np.asarray(budget, dtype=float), x.shape)
    middle = np.median(np.where(np.isnan(values), np.inf, values), axis=0)
    ax.plot(x, np.where(np.isinf(middle), np.nan, middle), color=color, linestyle=linestyle, label=label)
    for number, row in enumerate(values):
        # Seeds stand side by side, so that equal ones can be counted.
        aside = 0.006 * (number - (len(values) - 1) / 2)
        at = x * np.exp(2 * aside) if ax.get_xscale() == "log" else x + aside
        ax.plot(at, row, marker, color=color, markersize=4, alpha=0.7, linestyle="none")
        missing = np.isnan(row)
        ax.plot(at[missing], ends[missing], "^", color=color, markersize=6, markerfacecolor="none", linestyle="none")
