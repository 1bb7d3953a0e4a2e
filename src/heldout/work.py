"""What a run computes and moves: floating-point operations and bytes, counted as it runs, and the least time a machine needs.

Operations are those of products, convolutions, attention and factorizations, counted by torch's own ``FlopCounterMode``;
factorizations by their leading terms (Golub and Van Loan, Matrix Computations). Bytes are what every PyTorch operation reads
and writes when each does so once; views move nothing. NumPy and SciPy are not seen: ``seen`` says how much of the time was.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

# Operands above this come from memory, at a rate measured on larger ones; below it a cache may hold them.
CACHE_BYTES = 64 * 2**20
NAMED = 4  # operations that are told by name
_PRODUCT_SIZE = 1024
_COPIES = {"cache": 2**19, "memory": 4 * CACHE_BYTES}  # of three vectors together


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one call computed and moved.

    Attributes:
        flops: multiplications and additions of products and factorizations.
        cached_bytes: read and written by operations whose operands take less than ``CACHE_BYTES``.
        memory_bytes: by the others.
        operations: how many PyTorch operations that are not views.
        product_time: share of the time within operations that products, convolutions, attention and factorizations took.
        other_time: by name, the shares that the other operations took, the longest ``NAMED`` of them.
        seconds: of the call, when it was timed without a counter.
        seen: share of that time within PyTorch operations; NaN when it was not timed.
    """

    flops: float
    cached_bytes: float
    memory_bytes: float
    operations: float
    product_time: float = math.nan
    other_time: Mapping[str, float] = field(default_factory=dict)
    seconds: float = math.nan
    seen: float = math.nan

    @property
    def bytes(self) -> float:
        """All that was read and written."""
        return self.cached_bytes + self.memory_bytes

    def __add__(self, other: "Work") -> "Work":
        """What both computed and moved; of times nothing is said."""
        return Work(
            flops=self.flops + other.flops, cached_bytes=self.cached_bytes + other.cached_bytes,
            memory_bytes=self.memory_bytes + other.memory_bytes, operations=self.operations + other.operations,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Of a machine, measured: operations a second in a product, bytes a second from caches and from memory, seconds a call."""

    flops: float
    cache: float
    memory: float
    call: float = 0.0

    def bounds(self, work: Work) -> dict[str, float]:
        """Seconds that the products alone, and the bytes alone, take at these rates."""
        return {
            "products": work.flops / self.flops,
            "memory": work.cached_bytes / self.cache + work.memory_bytes / self.memory,
        }


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Adds up what every operation reads and writes, and the time it takes."""

    def __init__(self, products: Container[Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.products = products
        self.cached, self.memory, self.operations, self.seconds, self.product_seconds = 0, 0, 0, 0.0, 0.0
        self.others: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        started = time.perf_counter()
        out = func(*args, **(kwargs or {}))
        passed = time.perf_counter() - started
        self.seconds += passed
        if func._overloadpacket in self.products:
            self.product_seconds += passed
        else:
            self.others[func._overloadpacket.__name__.strip("_")] += passed  # type: ignore[assignment]  # seconds, not a count
        returns = func._schema.returns
        if not any(r.alias_info is not None and not r.alias_info.is_write for r in returns):
            moved = sum(_storage(leaf) for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor))
            self.operations += 1
            if moved < CACHE_BYTES:
                self.cached += moved
            else:
                self.memory += moved
        return out


def _storage(tensor: Tensor) -> int:
    """Bytes of the numbers that a tensor holds; those that an expanded axis repeats count once."""
    own = [size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride != 0]
    return math.prod(own) * tensor.element_size() if tensor.layout == torch.strided else 0


def count(call: Callable[[], object], *, timed: bool = True) -> Work:
    """Run a call once under the counters, and once before that without them when ``timed``."""
    seconds = math.nan
    if timed:
        started = time.perf_counter()
        call()
        seconds = time.perf_counter() - started
    counter = FlopCounterMode(display=False, custom_mapping=formulas())
    with _Traffic(counter.flop_registry) as traffic, counter:
        call()
    return Work(
        flops=float(counter.get_total_flops()),
        cached_bytes=float(traffic.cached),
        memory_bytes=float(traffic.memory),
        operations=float(traffic.operations),
        product_time=traffic.product_seconds / max(traffic.seconds, 1e-12),
        other_time={name: passed / max(traffic.seconds, 1e-12) for name, passed in traffic.others.most_common(NAMED)},
        seconds=seconds,
        seen=min(1.0, traffic.seconds / seconds) if timed else math.nan,
    )


def rates(device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Rates:
    """Measured now, with the threads in use: a square product, and additions of two vectors, small and large."""
    a = torch.ones(_PRODUCT_SIZE, _PRODUCT_SIZE, device=device, dtype=dtype)
    out = torch.empty_like(a)
    product = 2 * _PRODUCT_SIZE**3 / _best(lambda: torch.mm(a, a, out=out), a.device, 20)
    one = torch.ones(1, device=device)
    call = _best(lambda: [torch.add(one, one) for _ in range(1000)], a.device, 5) / 1000
    moved = {}
    for where, size in _COPIES.items():
        x, y, z = torch.ones(3, size // 12, device=device)
        repeats = 200 if where == "cache" else 5
        moved[where] = 12 * (size // 12) / _best(lambda x=x, y=y, z=z: torch.add(x, y, out=z), a.device, repeats)  # type: ignore[misc]
    return Rates(flops=product, cache=moved["cache"], memory=min(moved.values()), call=call)


def _best(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    found = []
    for _ in range(repeats):
        _wait(device)
        started = time.perf_counter()
        call()
        _wait(device)
        found.append(time.perf_counter() - started)
    return min(found)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def formulas() -> dict[Any, Any]:
    """Operations that torch's counter does not know, from the shapes of their arguments; spectra with their vectors."""

    def square(coefficient: float) -> Any:
        return lambda a, *_, **__: coefficient * math.prod(a[:-2]) * min(a[-2:]) ** 3

    def thin(tall: float, short: float) -> Any:
        """m x n, m the larger."""

        def formula(a: Any, *_: Any, **__: Any) -> float:
            m, n = max(a[-2:]), min(a[-2:])
            return float(math.prod(a[:-2]) * (tall * m * n**2 + short * n**3))

        return formula

    def solved(coefficient: float, cubic: float = 0.0, *, right: int = 0) -> Any:
        """Right-hand sides (..., n, k), the argument at place ``right``."""

        def formula(*shapes: Any, **__: Any) -> float:
            b = shapes[right]
            n, k = (b[-2], b[-1]) if len(b) > 1 else (b[-1], 1)
            return float(math.prod(b[:-2]) * (coefficient * n**2 * k + cubic * n**3))

        return formula

    aten, forward, backward = torch.ops.aten, cast(Any, sdpa_flop_count), cast(Any, sdpa_backward_flop_count)
    return {
        aten.linalg_cholesky_ex: square(1 / 3),
        aten.linalg_qr: thin(4, -4 / 3),
        aten.linalg_lstsq: thin(2, -2 / 3),
        aten._linalg_eigh: square(9),
        aten._linalg_svd: thin(14, 8),
        aten._linalg_solve_ex: solved(2, 2 / 3, right=1),
        aten.linalg_solve_triangular: solved(1, right=1),
        aten.triangular_solve: solved(1),
        aten.cholesky_solve: solved(2),
        aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: forward(q, k, v),
        aten._scaled_dot_product_flash_attention_for_cpu_backward: (
            lambda grad, q, k, v, *_, **__: backward(grad, q, k, v)
        ),
    }
