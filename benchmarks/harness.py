"""Timing that survives a busy machine, and the table.

Ours and the plain code run in turn, several rounds; the ratio is the median over rounds of their ratio in one round, so
that other work on the machine falls on both. What ours computes and moves is counted by :mod:`heldout.work` and held against
the rates of this machine, measured in the same process with the same threads.
"""

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from heldout import work
from heldout.devices import peak_memory

NOT_SLOWER = 1.0  # the target where a benchmark has no other
_MOST_ROUNDS = "HELDOUT_BENCH_ROUNDS"  # environment variable: at most so many rounds, for a short look


def limited(rounds: int) -> int:
    """The rounds asked for, or fewer for a short look."""
    return min(rounds, int(os.environ.get(_MOST_ROUNDS) or rounds))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Seconds are medians over rounds, memory is the process's resident peak in our part, in megabytes. ``products`` and
    ``memory`` are the seconds that what ours computes, and what it reads and writes, take at the rates of the machine;
    ``calls`` those that calling as many operations takes when they do next to nothing; ``product_time`` is the share of the
    time within operations that products took.
    """

    chapter: str
    what: str
    ours: float
    plain: float
    ratio: float
    lowest: float
    highest: float
    target: float
    products: float
    memory: float
    calls: float
    product_time: float
    peak_megabytes: float
    note: str = ""

    @property
    def share(self) -> float:
        """Of the machine's limit, products or memory, whichever takes longer."""
        return max(self.products, self.memory) / self.ours

    @property
    def binds(self) -> str:
        """Which of the two takes longer."""
        return "products" if self.products >= self.memory else "memory"


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How our time grows with one number: seconds at its sizes, the slope of their logarithms, and how well that fits.

    ``misfit`` is the largest factor between a time and the fitted power.
    """

    chapter: str
    what: str
    axis: str
    sizes: list[float]
    seconds: list[float]
    exponent: float
    misfit: float


def seconds(call: Callable[[], object]) -> float:
    """Of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def compare(
    what: str,
    ours: Callable[[], object],
    plain: Callable[[], object],
    *,
    chapter: str,
    target: float = NOT_SLOWER,
    dtype: torch.dtype = torch.float32,
    rounds: int = 3,
    plain_share: float = 1.0,
    note: str = "",
) -> Row:
    """Time both.

    Args:
        what: the line's name.
        ours: our code.
        plain: the code that a reader would write.
        chapter: whose program it is.
        target: the ratio that was asked for.
        dtype: of our products.
        rounds: how often both are timed.
        plain_share: the part of the work that plain does; its time is divided by it.
        note: what else to say.
    """
    with peak_memory(torch.device("cpu")) as peak:
        done = work.count(ours, timed=False)
    times = [(seconds(ours), seconds(plain) / plain_share) for _ in range(limited(rounds))]
    mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    ratios = [p / o for o, p in times]
    rates = work.rates(dtype=dtype)
    return Row(
        chapter=chapter, what=what, ours=mine, plain=theirs, ratio=statistics.median(ratios), lowest=min(ratios),
        highest=max(ratios), target=target, **rates.bounds(done), calls=rates.call * done.operations,
        product_time=done.product_time,
        peak_megabytes=peak.resident / 1e6, note=note,
    )  # fmt: skip


def grown(
    chapter: str,
    what: str,
    axis: str,
    sizes: Sequence[float],
    make: Callable[[Any], Callable[[], object]],
    rounds: int = 3,
) -> Growth:
    """Time ours at some sizes, the shortest of a few rounds each; ``make`` prepares what is timed at a size."""
    calls = [make(size) for size in sizes]
    for call in calls:
        call()
    found = [[seconds(call) for call in calls] for _ in range(limited(rounds))]
    shortest = np.min(found, axis=0)
    return growth_of(chapter, what, axis, sizes, shortest.tolist())


def growth_of(chapter: str, what: str, axis: str, sizes: Sequence[float], times: Sequence[float]) -> Growth:
    """The slope of given times."""
    slope, start = np.polyfit(np.log(sizes), np.log(times), 1)
    misfit = float(np.exp(np.abs(start + slope * np.log(sizes) - np.log(times)).max()))
    return Growth(
        chapter=chapter, what=what, axis=axis, sizes=list(map(float, sizes)), seconds=list(times), exponent=float(slope),
        misfit=misfit,
    )  # fmt: skip


def as_json(found: Iterable[Row | Growth]) -> dict[str, list[dict[str, Any]]]:
    """Rows and growths for a record."""
    lines: dict[str, list[dict[str, Any]]] = {"rows": [], "growth": []}
    for one in found:
        lines["rows" if isinstance(one, Row) else "growth"].append(dataclasses.asdict(one))
    return lines
