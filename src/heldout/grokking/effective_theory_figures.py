"""Two more figures of the effective theory: accuracy against training pairs, and measured against predicted step."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style
from heldout.grokking import effective_theory_checks as checks


def plot_accuracy(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Held-out accuracy of every run against the number of training pairs; structured runs filled, the theory as lines."""
    ax = style.axes(ax)
    sizes = result.num_train.values
    shift = np.linspace(-0.9, 0.9, result.sizes["seed"])
    accuracy = result.test_accuracy.isel(step=-1).transpose("num_train", "seed").values
    ends = checks.ends_structured(result).transpose("num_train", "seed").values
    places = sizes[:, None] + shift
    ax.plot(places[ends], accuracy[ends], "o", color=style.BLUE, markersize=5, label="network, RQI at least 0.95")
    ax.plot(
        places[~ends],
        accuracy[~ends],
        "o",
        color=style.BLUE,
        markerfacecolor="none",
        markersize=5,
        label="network, RQI lower",
    )
    for name, line, label in (
        ("ideal_accuracy", "-", "ideal: follows from parallelograms"),
        ("same_sum", ":", "ideal: a training pair has its sum"),
    ):
        ax.plot(sizes, result[name].mean("seed"), color=style.VERMILION, linestyle=line, label=f"{label} (mean)")
    ax.set(xlabel=f"training pairs, of {int(result.pairs)}", ylabel="accuracy on held-out pairs", ylim=(-0.05, 1.62))
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.legend(loc="upper left", fontsize=8.5)
    return ax


def plot_steps(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Measured against predicted step to RQI 0.95; runs that never arrive stand above the last update."""
    ax = style.axes(ax)
    last = float(result.step[-1])
    measured = checks.measured_step(result).transpose("num_train", "seed").values
    predicted = result.predicted_step.transpose("num_train", "seed").values
    finite = np.isfinite(predicted)
    far = 2 * max(last, float(predicted[finite].max(initial=last)))
    sizes = np.broadcast_to(result.num_train.values[:, None], measured.shape)
    for chosen, color, label in (
        (sizes >= checks.LARGE, style.BLUE, f"{checks.LARGE} training pairs or more"),
        (sizes < checks.LARGE, style.ORANGE, f"fewer than {checks.LARGE}"),
    ):
        x = np.where(finite, predicted, far)[chosen]
        y = np.where(np.isfinite(measured), measured, 2 * last)[chosen]
        ax.plot(x, y, "o", color=color, markersize=5, alpha=0.7, label=label)
    low = float(np.nanmin(predicted[finite], initial=last))
    ends = np.array([low / 2, last])
    ax.plot(ends, ends, color=style.MUTED, linewidth=1)
    ax.fill_between(
        ends, ends / 2, ends * 2, color=style.MUTED, alpha=0.15, linewidth=0, label="within a factor of two"
    )
    ax.axhline(1.4 * last, color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.text(
        0.98,
        2.1 * last,
        "never reached",
        ha="right",
        va="bottom",
        color=style.MUTED,
        transform=ax.get_yaxis_transform(),
    )
    ax.set(xscale="log", yscale="log", xlim=(low / 2, 1.4 * far), ylim=(low / 2, 6 * last))
    ax.set(xlabel="predicted updates to RQI 0.95 (log scale;\nfar right: never)", ylabel="measured updates (log scale)")
    ax.legend(loc="lower right", fontsize=8.5)
    return ax
