"""Figures of the closing panel of quanta, and the numbers that its page quotes."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from heldout.distances import SETS
from heldout.figures import panel, style
from heldout.quanta import closing_panel_measures as measures
from heldout.quanta.closing_panel_measures import EVEN, FEW_OR_ALL, HIGH, LOW, OTHER_EVEN, OTHER_LOW, PAIRS
from heldout.quanta.parity import CHANCE

COLORS = {LOW: style.BLUE, HIGH: style.VERMILION, EVEN: style.GREEN}
# Other colors than the networks': a mixture is no network.
WEIGHTS = {
    "weights: equal (matched)": style.MUTED,
    "weights: low numbers": style.PINK,
    "weights: high numbers": style.GOLD,
}


def bars(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The closing panel with this chapter's three sets: the mixture where losses are matched, and two others."""
    ax = panel.plot(result.assign_coords(set=list(SETS)), ax)
    ax.figure.set_size_inches(4.7, 4.4)  # type: ignore[union-attr]  # narrow, so that the type is legible on a phone
    for color, container in zip(WEIGHTS.values(), ax.containers, strict=True):
        for bar in container:
            bar.set_facecolor(color)
    ax.legend(ax.containers, list(WEIGHTS), loc="lower left", bbox_to_anchor=(-0.1, 1.0), ncols=1)
    # The yardstick belongs to the recipe with low numbers often, so that only pairs with that network get its tick.
    with_low = [pair.first == LOW for pair in PAIRS]
    for ticks in ax.collections[1::2]:
        assert isinstance(ticks, LineCollection)
        ticks.set_segments([each for each, keep in zip(ticks.get_segments(), with_low, strict=True) if keep])
    for text in list(ax.texts):  # the differences of mean loss stand in the caption
        text.remove()
    ax.set_yticks(range(len(PAIRS)), [pair.name.replace(" / ", " /\n") for pair in PAIRS])
    ax.set_ylabel("pair of networks")
    ax.set_xlabel("distance as functions\n(tick: two draws of\nthe recipe low often)")
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
        found |= _spread(f"differ_{key}", measures.mean_gap(result, *pair))
    even = result.task_loss.sel(model=EVEN) / CHANCE
    found |= {"even_lowest": float(even.min()), "even_highest": float(even.max())}
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
        "Distances as functions between pairs of networks of equal mean loss, with equal weights of the tasks, with more "
        f"weight on low numbers and with more on high numbers. {' '.join(each)} Two draws of the recipe low often: {ruler}."
    )


def profile_words(result: xr.Dataset) -> str:
    """The figure of losses by task in words."""
    n = numbers(result)
    return (
        f"Loss against the number of the task. The network that met low numbers often knows {n['known_low']:.0f} tasks, those "
        "with low numbers, and is at chance or above it on the highest; the one that met high numbers often is its mirror "
        f"image; the one that met all alike is at {n['even_lowest']:.2f} to {n['even_highest']:.2f} of chance on every task. "
        f"In each seed all three have a mean of {n['loss']:.2f} nats."
    )
