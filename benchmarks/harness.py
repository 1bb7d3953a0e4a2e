"""Timing that survives a busy machine, and the table.

Ours and the plain code run in turn, several rounds; the ratio is the median over rounds of their ratio in one round, so
that other work on the machine falls on both. The rate of a matrix product is measured in the same rounds.
"""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from heldout.devices import peak_memory

_PRODUCT_SIZE = 1024


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: seconds are medians over rounds, memory is the process's resident peak in our part."""

    what: str
    ours: float
    plain: float
    ratio: float
    share_of_product_rate: float | None
    peak_megabytes: float
    note: str = ""


def product_rate() -> float:
    """Floating-point operations a second in a square float32 product, with the threads in use."""
    a = torch.ones(_PRODUCT_SIZE, _PRODUCT_SIZE)
    out = torch.empty_like(a)
    best = min(_seconds(lambda: torch.mm(a, a, out=out)) for _ in range(5))
    return 2 * _PRODUCT_SIZE**3 / best


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def compare(
    what: str,
    ours: Callable[[], object],
    plain: Callable[[], object],
    *,
    operations: float | None = None,
    rounds: int = 5,
    plain_share: float = 1.0,
    note: str = "",
) -> Row:
    """Time both. ``operations`` counts our floating-point operations; ``plain_share`` is the part of the work plain does."""
    ours()
    times = []
    with peak_memory(torch.device("cpu")) as peak:
        ours()
    for _ in range(rounds):
        times.append((_seconds(ours), _seconds(plain) / plain_share, product_rate()))
    mine, theirs, rate = (statistics.median(column) for column in zip(*times, strict=True))
    return Row(
        what=what,
        ours=mine,
        plain=theirs,
        ratio=statistics.median(p / o for o, p, _ in times),
        share_of_product_rate=None if operations is None else operations / mine / rate,
        peak_megabytes=peak.resident / 1e6,
        note=note,
    )


def table(rows: Iterable[Row]) -> str:
    """The rows as aligned text."""
    head = ("what", "ours s", "plain s", "ratio", "of product rate", "peak MB", "note")
    lines = [head]
    for row in rows:
        share = "" if row.share_of_product_rate is None else f"{row.share_of_product_rate:.0%}"
        lines.append(
            (row.what, f"{row.ours:.3f}", f"{row.plain:.3f}", f"{row.ratio:.1f}", share, f"{row.peak_megabytes:.0f}", row.note)
        )  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
