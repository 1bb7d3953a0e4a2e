"""The figures of the page on in-context learning."""

import xarray as xr
from matplotlib.axes import Axes

from heldout.figures import style
from heldout.nonidentifiability import in_context_checks as checks
from heldout.nonidentifiability.in_context_checks import VARIANTS


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Share of right answers against the number of examples: the three models, all seeds, and the Bayes-optimal reader."""
    ax = style.axes(ax)
    examples = result.examples.values
    colors = dict(zip(VARIANTS, (style.INK, style.BLUE, style.VERMILION), strict=True))
    ax.plot(
        examples, result.reader_accuracy.sel(reader="bayes").median("seed"), color=style.MUTED, linestyle=(0, (4, 2)), zorder=1
    )  # fmt: skip
    for name, color in colors.items():
        own = result.accuracy.sel(variant=name)
        ax.plot(examples, own.transpose("examples", "seed"), color=color, linewidth=0.7, alpha=0.5)
        ax.plot(examples, own.median("seed"), color=color)
    low = float(result.accuracy.sel(variant="adversarial").isel(examples=-1).median())
    style.label_end(ax, examples[-1], low, "adversary", color=style.VERMILION)
    style.label_end(ax, examples[-1], 0.92, "plain", color=style.INK)
    style.label_end(ax, examples[-1], 0.99, "oracle", color=style.BLUE)
    ax.annotate("Bayes", (1, 1.01), color=style.MUTED, ha="center", va="bottom")
    ax.set(
        xlabel="examples in the prompt", ylabel="share of right answers", xlim=(0, examples[-1]), ylim=(0, 1.09),
    )  # fmt: skip
    return ax


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
