"""Figures of the closing panel of quanta, and the numbers that its page quotes."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout.distances import SETS
from heldout.figures import panel, style
from heldout.quanta import closing_panel_measures as measures
from heldout.quanta.closing_panel_measures import EVEN, FEW_OR_ALL, HIGH, LOW, OTHER_EVEN, OTHER_LOW
from heldout.quanta.parity import CHANCE

COLORS = {LOW: style.BLUE, HIGH: style.VERMILION, EVEN: style.GREEN}


def bars(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The closing panel with this chapter's three sets: the mixture where losses are matched, and two others."""
    ax = panel.plot(result.assign_coords(set=list(SETS)), ax)
    names = ["all tasks alike (matched)", "low often", "high often"]
    ax.legend(ax.containers, names, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3, fontsize=8)
    ax.texts[-1].set_text("largest |difference|\nof mean loss")
    ax.set_xlabel("distance as functions\n(black tick: two draws of one recipe, low often)")
    return ax


def profiles(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Loss of each task, three networks of one mean loss: every seed a dot, the median a line."""
    ax = style.axes(ax)
    tasks = result.task.values
    for shift, (model, color) in zip((-0.12, 0.12, 0.0), COLORS.items(), strict=True):
        losses = result.task_loss.sel(model=model).values
        ax.plot(tasks + shift, np.median(losses, 0), color=color, linewidth=1.8, label=model)
        ax.plot(np.tile(tasks + shift, len(losses)), losses.ravel(), "o", color=color, markersize=3.5, alpha=0.6)
    ax.axhline(float(result.loss), color=style.INK, linewidth=1.2, linestyle=(0, (4, 3)))
    ax.axhline(CHANCE, color=style.MUTED, linewidth=1, linestyle=(0, (1, 2)))
    for text, height, color in (("mean\nof each", float(result.loss), style.INK), ("chance", CHANCE, style.MUTED)):
        ax.annotate(
            text, (1, height), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points", va="center",
            color=color,
        )  # fmt: skip
    ax.set(xlabel="number of the task", ylabel="loss of the task, nats", xticks=tasks[:: max(1, len(tasks) // 10)])
    ax.set_ylim(bottom=0)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds unless the name says otherwise."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "tasks": result.sizes["task"], "loss": float(result.loss), "chance": CHANCE,
        "bound": 2 * float(result.loss), "gap": float(measures.matched(result).high),
        "strings": int(result.strings), "inputs": int(result.strings) * result.sizes["task"],
    }  # fmt: skip
    short = {"low": LOW, "other": OTHER_LOW, "high": HIGH, "even": EVEN, "other_even": OTHER_EVEN}
    for key, model in short.items():
        found |= _spread(f"known_{key}", measures.known(result, model).sum("task"))
        found |= _spread(f"right_{key}", measures.right(result, model))
        sure = (result.accuracy.sel(model=model) >= measures.SURE).sum("task")
        found |= _spread(f"sure_{key}", sure) | _spread(f"stopped_{key}", result.stopped.sel(model=model))
        for name, mixture in (("low", "low often"), ("high", "high often")):
            found |= _spread(f"loss_{key}_on_{name}", measures.loss_on(result, model, mixture))
    for key, pair in (("opposite", (LOW, HIGH)), ("twins", (LOW, OTHER_LOW)), ("evens", (EVEN, OTHER_EVEN))):
        found |= _spread(f"one_{key}", measures.one_knows(result, *pair))
        found |= _spread(f"half_{key}", measures.half_apart(result, *pair))
        found |= _spread(f"agree_{key}", measures.agreement(result, *pair))
    found |= _spread("gain", measures.right(result, EVEN) - measures.right(result, LOW))
    for key, name in (("opposite", measures.OPPOSITE), ("few", FEW_OR_ALL), ("evens", measures.EVENS)):
        found |= _spread(f"different_{key}", result.disagreement.sel(pair=name))
        found |= _spread(f"apart_{key}", result.distance.sel(pair=name).isel(set=0))
    found |= _spread("different_twins", result.twin_disagreement)
    return found | _spread("apart_twins", result.yardstick.isel(set=0))


def _spread(name: str, values: xr.DataArray) -> dict[str, float | int | str]:
    """The median, least and most over seeds."""
    each = values.values.astype(float)
    return {name: float(np.median(each)), f"{name}_least": float(each.min()), f"{name}_most": float(each.max())}


def words(result: xr.Dataset) -> str:
    """The panel in words."""
    middle = result.distance.median("seed")
    each = [
        f"{pair}: {float(middle.sel(pair=pair)[0]):.2f}, {float(middle.sel(pair=pair)[1]):.2f} and "
        f"{float(middle.sel(pair=pair)[2]):.2f}."
        for pair in result.pair.values
    ]
    ruler = ", ".join(f"{float(value):.2f}" for value in result.yardstick.median("seed"))
    return (
        "Distances as functions between pairs of networks of equal mean loss, with all tasks alike, with low numbers often and "
        f"with high numbers often. {' '.join(each)} Two draws of one recipe: {ruler}."
    )


def profile_words(result: xr.Dataset) -> str:
    """The figure of losses by task in words."""
    n = numbers(result)
    return (
        f"Loss against the number of the task. The network that met low numbers often knows {n['known_low']:.0f} tasks, those "
        "with low numbers, and is at chance or above it on the highest; the one that met high numbers often is its mirror "
        f"image; the one that met all alike is near {n['loss']:.2f} nats on every task. All three have that mean."
    )
