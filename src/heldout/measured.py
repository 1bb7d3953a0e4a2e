"""The committed measurements of ``make bench``: ours against plain loops, against the machine's limit, and how our time grows.

For the page on cost: :func:`numbers` for its sentences, :func:`ratios` for its figure, :func:`table`, :func:`growth` and
:func:`verdicts` for the rest. What they say is computed from the record; none of them knows how a measurement came out.
"""

import json
import math
import statistics
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from heldout import store, work
from heldout.figures import style
from heldout.pages import Shown
from heldout.prose import Prose, written

Record = dict[str, Any]
_MOST_OF = 0.5  # of the machine's limit: from there on the machine is called what binds
_MUCH_OF = 0.3  # of our time: from there on calls are called what binds
_POWER = 1.3  # the largest factor by which a time may miss a power that is still called one
_BUSY = 0.5  # processes beside ours that wanted to run, on average


def path() -> Path:
    """Where the record lies."""
    return store.records_directory() / "benchmarks.json"


def read() -> Record:
    """The committed record."""
    record: Record = json.loads(path().read_text())
    return record


def rates(record: Record) -> work.Rates:
    """Of the machine that made the record."""
    made = record["provenance"]
    return work.Rates(
        flops=made["product_rate"], cache=made["cache_rate"], memory=made["memory_rate"], call=made["call"]
    )


def share(row: Record) -> float:
    """Of the machine's limit, products or memory, whichever takes longer."""
    return float(max(row["products"], row["memory"]) / row["ours"])


def met(row: Record) -> bool:
    """Whether the ratio reached its target."""
    return bool(row["ratio"] >= row["target"])


def line(row: Record) -> str:
    """One measurement as text, for the terminal."""
    return (
        f"{row['what']}: {row['ratio']:.1f} times as fast (asked: {row['target']:g}), {row['ours']:.3f} s against "
        f"{row['plain']:.3f} s; {share(row):.0%} of the limit ({_limit(row)}), peak {row['peak_megabytes']:.0f} MB. {row['note']}"
    )


def others(record: Record) -> float:
    """Processes beside ours that wanted to run, the median over benchmarks of the load average, less our own."""
    made = record["provenance"]
    return max(0.0, float(statistics.median(made["loads"])) - float(made["threads"] * made["jobs"]))


def numbers(record: Record) -> dict[str, float | int | str]:
    """What the page quotes."""
    rows, made = record["rows"], record["provenance"]
    kept = [row for row in rows if met(row)]
    slowest, fastest = min(rows, key=lambda row: row["ratio"]), max(rows, key=lambda row: row["ratio"])
    return {
        "rows": len(rows),
        "kept": len(kept),
        "missed": len(rows) - len(kept),
        "slower": sum(row["highest"] < 1 for row in rows),
        "level": sum(level(row) for row in rows),
        "smallest": slowest["ratio"],
        "smallest_what": slowest["what"],
        "largest": fastest["ratio"],
        "largest_what": fastest["what"],
        "share_lowest": min(share(row) for row in rows),
        "share_median": statistics.median(share(row) for row in rows),
        "share_highest": max(share(row) for row in rows),
        "products_bind": sum(row["products"] >= row["memory"] for row in rows),
        "product_rate": made["product_rate"] / 1e9,
        "cache_rate": made["cache_rate"] / 1e9,
        "memory_rate": made["memory_rate"] / 1e9,
        "machine": made["machine"],
        "threads": made["threads"],
        "rounds": made["rounds"],
        "jobs": made["jobs"],
        "torch": made["torch"],
        "day": made["started"][:10],
        "others": others(record),
        "busy": "was busy with other work as well" if others(record) > _BUSY else "had nothing else to do",
        "peak": max(row["peak_megabytes"] for row in rows) / 1000,
    }


def table(record: Record) -> Prose:
    """All rows, chapter by chapter; how much the products take alone has a column where it was measured."""
    parts = []
    for chapter in dict.fromkeys(row["chapter"] for row in record["rows"]):
        rows = [row for row in record["rows"] if row["chapter"] == chapter]
        timed = any(row.get("alone") is not None for row in rows)
        head = ["what is timed", "plain, s", "ours, s", "ratio", "asked", "of the limit", "limit set by", "peak, MB"]
        lines = [_cells(head + timed * ["products alone"]), "|" + "---|" * (len(head) + timed)]
        lines += [_cells(_told(row) + timed * [_alone(row)]) for row in rows]
        parts.append(f"**{name_of(chapter)}**\n\n" + "\n".join(lines))
    return Prose("\n\n".join(parts))


def _cells(texts: list[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _told(row: Record) -> list[str]:
    ratio = written(row["ratio"], ".3g") + ("" if met(row) else " (missed)")
    return [
        row["what"], written(row["plain"], ".3g"), written(row["ours"], ".3g"), ratio, f"{row['target']:g}",
        f"{share(row):.0%}", _limit(row), f"{row['peak_megabytes']:.0f}",
    ]  # fmt: skip


def _alone(row: Record) -> str:
    """The share of our time that the products of ours take alone; a dash where it was not measured."""
    return "–" if row.get("alone") is None else f"{row['alone']:.0%}"


def alone(record: Record) -> Prose:
    """The lines for which the products were timed alone as well, a sentence each; one sentence where there is none."""
    lines = [
        f"- *{row['what']}*: the products alone take {row['alone']:.0%} of our time."
        for row in record["rows"]
        if row.get("alone") is not None
    ]
    return Prose("\n".join(lines) or "For none of the lines of this record were the products timed alone.")


def name_of(chapter: str) -> str:
    """A chapter's name in words."""
    return {"nonidentifiability": "Non-identifiability"}.get(chapter, chapter.replace("_", " ").capitalize())


def growth(record: Record) -> Prose:
    """The fitted exponents, a line a program and a column a number."""
    axes = list(dict.fromkeys(one["axis"] for one in record["growth"]))
    lines = ["| program | " + " | ".join(axes) + " |", "|" + "---|" * (1 + len(axes))]
    for what in dict.fromkeys(one["what"] for one in record["growth"]):
        own = {one["axis"]: one for one in record["growth"] if one["what"] == what}
        cells = [f"{_exponent(own[axis])} ({_range(own[axis])})" if axis in own else "" for axis in axes]
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return Prose("\n".join(lines))


def _exponent(one: Record) -> str:
    return written(one["exponent"], ".2f") if one["misfit"] <= _POWER else "no power"


def _range(one: Record) -> str:
    return f"{one['sizes'][0]:g} to {one['sizes'][-1]:g}"


def growth_line(one: Record) -> str:
    """One fitted exponent as text, for the terminal."""
    times = ", ".join(f"{t:.3f}" for t in one["seconds"])
    return f"{one['what']}, {one['axis']} {_range(one)}: {_exponent(one)} (s: {times})"


def verdicts(record: Record) -> Prose:
    """Every missed target, by how much, and what binds; one sentence when there is none."""
    missed = [row for row in record["rows"] if not met(row)]
    if not missed:
        return Prose("Every target is reached.")
    return Prose("\n".join(f"- {_verdict(row)}" for row in missed))


def level(row: Record) -> bool:
    """Whether neither is the faster: its rounds lie on both sides of the plain loop's time."""
    return bool(row["lowest"] < 1 <= row["highest"])


def _verdict(row: Record) -> str:
    if row["target"] == 1 and level(row):
        return (
            f"*{row['what']}*: {written(row['ratio'], '.3f')} of 1, but neither is the faster in every round: they run from "
            f"{written(row['lowest'], '.2f')} to {written(row['highest'], '.2f')}."
        )
    return _missed_by(row) + _binding(row)


def _missed_by(row: Record) -> str:
    return (
        f"*{row['what']}*: {written(row['ratio'], '.2f')} of {row['target']:g} (rounds from {written(row['lowest'], '.2f')} "
        f"to {written(row['highest'], '.2f')}), {1 - row['ratio'] / row['target']:.0%} short. "
    )


def _binding(row: Record) -> str:
    reached, which = share(row), _limit(row)
    at_limit = row["ratio"] / reached if reached > 0 else math.inf
    called = row["calls"] / row["ours"]
    if reached >= _MOST_OF:
        return f"What binds is the machine: ours is at {reached:.0%} of the limit that {which} set."
    if at_limit < row["target"]:
        return (
            f"What binds is arithmetic: at the limit that {which} set, of which ours reaches {reached:.0%}, the ratio would be "
            f"{written(at_limit, '.2g')}, short of the target, too."
        )
    if called >= _MUCH_OF:
        return f"What binds is the number of operations: calling them takes at least {called:.0%} of our time."
    if row["product_time"] < 1 - row["product_time"]:
        return (
            f"What binds are the operations that are no products: they take {1 - row['product_time']:.0%} of the time within "
            f"operations{_longest(row)}."
        )
    rate = row["products"] / (row["ours"] * row["product_time"])
    return (
        f"What binds are products that do not reach the rate of a large one: they take {row['product_time']:.0%} of the time "
        f"within operations and run at {rate:.0%} of that rate."
    )


def _longest(row: Record) -> str:
    """The longest of the operations that are no products, where the record names them."""
    named = [f"`{name}` {each:.0%}" for name, each in row.get("other_time", {}).items()]
    return f", the longest of them {', '.join(named)}" if named else ""


def _limit(row: Record) -> str:
    return "products" if row["products"] >= row["memory"] else "memory"


def ratios(record: Record) -> Shown:
    """The figure: a bar a row, its target as a line across it."""
    n = numbers(record)
    caption = (
        f"Ours against plain loops: {n['kept']} of {n['rows']} targets reached. Bars: how many times as fast ours is, from the "
        "plain loop's time on the left (logarithmic axis), orange where the target is missed; whiskers: smallest and largest "
        "round; upright marks: the target."
    )
    with style.house_style():
        return Shown(plot(record), caption, alt=describe(record))


def plot(record: Record, ax: Axes | None = None) -> Axes:
    """Ratios as horizontal bars from 1, chapter by chapter."""
    ax = style.axes(ax)
    rows = record["rows"]
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.set_figheight(0.6 + 0.19 * len(rows))
    for place, row in enumerate(rows):
        ax.barh(place, row["ratio"] - 1, left=1, height=0.7, color=style.BLUE if met(row) else style.VERMILION)
        ax.plot([row["lowest"], row["highest"]], [place, place], color=style.MUTED, linewidth=1.2)
        ax.plot([row["target"]] * 2, [place - 0.36, place + 0.36], color=style.INK, linewidth=1.8)
    ax.set_xscale("log")
    ax.axvline(1, color=style.MUTED, linewidth=0.8)
    ax.set_yticks(range(len(rows)), [row["what"] for row in rows], fontsize=6.5)
    ax.invert_yaxis()
    ax.set_xlabel("time of the plain loop / our time")
    ax.set_ylabel("what is timed")
    return ax


def describe(record: Record) -> str:
    """The figure in words."""
    n = numbers(record)
    return (
        f"Bars of how many times as fast our code is as a plain loop, {n['rows']} of them, from {n['smallest']:.2g} "
        f"({n['smallest_what']}) to {n['largest']:.3g} ({n['largest_what']}); {n['missed']} do not reach their target."
    )
