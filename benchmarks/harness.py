"""Timing that survives a busy machine, and the table.

Ours and the plain code run in turn, several rounds; the ratio is the median over rounds of their ratio in one round, so
that other work on the machine falls on both. What ours computes and moves is counted by :mod:`heldout.work` and held against
the rates of this machine, measured in the same process with the same threads.
"""

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from heldout import work
from heldout.devices import peak_memory

NOT_SLOWER = 1.0  # the target where a benchmark has no other
Layout = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]
_ATEN = torch.ops.aten
# For each product the one that adds nothing, and the place of its first factor.
_PRODUCTS: dict[Any, tuple[Callable[..., Tensor], int]] = {
    _ATEN.mm: (torch.mm, 0), _ATEN.bmm: (torch.bmm, 0), _ATEN.mv: (torch.mv, 0), _ATEN.dot: (torch.dot, 0),
    _ATEN.addmm: (torch.mm, 1), _ATEN.addmm_: (torch.mm, 1), _ATEN.addmv: (torch.mv, 1), _ATEN.addmv_: (torch.mv, 1),
    _ATEN.baddbmm: (torch.bmm, 1), _ATEN.baddbmm_: (torch.bmm, 1),
}  # fmt: skip
_OTHER_PRODUCTS = {*flop_registry, *work.formulas()} - {*_PRODUCTS}
ROUNDS, MOST_ROUNDS = 3, 7  # of a benchmark, and of one whose two times are near each other
_ENVIRONMENT = "HELDOUT_BENCH_ROUNDS"  # environment variable: at most so many rounds, for a short look


def limited(rounds: int) -> int:
    """The rounds asked for, or fewer for a short look."""
    return min(rounds, int(os.environ.get(_ENVIRONMENT) or rounds))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Seconds are medians over rounds, memory is the process's resident peak in our part, in megabytes. ``products`` and
    ``memory`` are the seconds that what ours computes, and what it reads and writes, take at the rates of the machine;
    ``calls`` those that calling as many operations takes when they do next to nothing; ``product_time`` is the share of the
    time within operations that products took, ``other_time`` names the longest of the other operations, each with its share.
    ``alone``, where it was asked for, is the share of our time that the products
    of ours take when nothing else is done, at their shapes and in their order: the median over rounds.
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
    other_time: Mapping[str, float]
    peak_megabytes: float
    alone: float | None = None
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
    rounds: int = ROUNDS,
    plain_share: float = 1.0,
    alone: Callable[[], object] | None = None,
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
        alone: the products of ours and nothing else, as :func:`products_of` makes them; timed in every round right after ours.
        note: what else to say.
    """
    with peak_memory(torch.device("cpu")) as peak:
        done = work.count(ours, timed=False)
    if alone is not None:
        alone()  # its memory is touched before it is timed
    times = [
        (seconds(ours), seconds(alone) if alone else 0.0, seconds(plain) / plain_share) for _ in range(limited(rounds))
    ]
    mine, _, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    ratios = [p / o for o, _, p in times]
    rates = work.rates(dtype=dtype)
    return Row(
        chapter=chapter, what=what, ours=mine, plain=theirs, ratio=statistics.median(ratios), lowest=min(ratios),
        highest=max(ratios), target=target, **rates.bounds(done), calls=rates.call * done.operations,
        product_time=done.product_time, other_time=done.other_time,
        peak_megabytes=peak.resident / 1e6, note=note,
        alone=statistics.median(a / o for o, a, _ in times) if alone else None,
    )  # fmt: skip


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Notes the factors of every matrix product: how many, their shapes, and how they lie in memory."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.found: list[tuple[Any, tuple[Layout, Layout]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func._overloadpacket
        if packet in _PRODUCTS:
            product, first = _PRODUCTS[packet]
            factors = [(tuple(t.shape), t.stride(), t.dtype) for t in args[first : first + 2]]
            self.found.append((product, (factors[0], factors[1])))
        elif packet in _OTHER_PRODUCTS:
            raise ValueError(f"{packet}: a product that cannot be repeated alone")
        return func(*args, **(kwargs or {}))


def products_of(call: Callable[[], object]) -> Callable[[], None]:
    """The matrix products of a call and nothing else: same shapes, order and layout of both factors, results into memory at hand.

    Factors of one shape and layout are one tensor of random numbers, and so are the results; what the call adds to a product
    is left out. Run once with all that belongs to it, to find the products.

    Raises:
        ValueError: the call has products of another kind: convolutions, attention or factorizations.
    """
    with _Products() as seen:
        call()
    held: dict[Layout, Tensor] = {}
    made: dict[tuple[Layout, Layout], Tensor] = {}
    for product, factors in seen.found:
        for shape, strides, dtype in factors:
            if (shape, strides, dtype) not in held:
                reach = 1 + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
                held[shape, strides, dtype] = torch.randn(reach, dtype=dtype).as_strided(shape, strides)
        made.setdefault(factors, product(*(held[each] for each in factors)))
    steps = [(product, held[one], held[other], made[one, other]) for product, (one, other) in seen.found]

    def repeat() -> None:
        for product, one, other, result in steps:
            product(one, other, out=result)

    return repeat


def grown(
    chapter: str,
    what: str,
    axis: str,
    sizes: Sequence[float],
    make: Callable[[Any], Callable[[], object]],
    rounds: int = ROUNDS,
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
