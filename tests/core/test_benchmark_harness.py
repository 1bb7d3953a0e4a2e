"""The harness of the benchmarks: the products of a call, repeated alone, and what a row makes of their time."""

import pytest
import torch
from torch.nn import functional

from benchmarks import harness
from benchmarks.harness import products_of
from heldout import work


def step() -> None:
    """A small network's loss and gradient, one product of each kind among them."""
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(40, 6, generator=draw)
    first, second, bias, last = (
        torch.randn(*shape, generator=draw).requires_grad_() for shape in ((6, 8), (8, 5), (5,), (3, 5, 4))
    )
    hidden = functional.relu(inputs @ first)
    outputs = torch.bmm(torch.addmm(bias, hidden, second).expand(3, -1, -1), last)
    (outputs.exp().sum() + (second @ bias).sum()).backward()


def test_the_products_alone_are_the_products_of_the_call() -> None:
    alone = products_of(step)
    done, repeated = work.count(step, timed=False), work.count(alone, timed=False)
    assert repeated.flops == done.flops > 0
    assert repeated.operations == 10, "four forward, six backward"
    assert repeated.operations < done.operations


def test_factors_keep_their_layout() -> None:
    """A transposed factor stays one: the shapes and strides that the product sees are those of the call."""
    seen = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            seen.append([(tuple(t.shape), t.stride()) for t in args])
            return func(*args, **(kwargs or {}))

    a, b = torch.randn(7, 3), torch.randn(7, 5)
    alone = products_of(lambda: torch.mm(a.T, b))
    with Watch():
        alone()
    assert seen == [[((3, 7), (1, 3)), ((7, 5), (5, 1))]]


def test_other_products_are_refused() -> None:
    with pytest.raises(ValueError, match="convolution"):
        products_of(lambda: functional.conv1d(torch.ones(1, 1, 5), torch.ones(1, 1, 3)))
    with pytest.raises(ValueError, match="cholesky"):
        products_of(lambda: torch.linalg.cholesky(torch.eye(3)))


def test_the_share_of_the_products_is_of_our_time(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([4.0, 3.0, 8.0, 2.0, 1.0, 8.0, 5.0, 4.0, 9.0])  # ours, alone and plain, three rounds
    called = []
    monkeypatch.setattr(harness, "seconds", lambda call: (call(), next(times))[1])
    names = {name: lambda name=name: called.append(name) for name in ("ours", "alone", "plain")}
    row = harness.compare("naps", names["ours"], names["plain"], alone=names["alone"], chapter="quanta")
    assert called == ["ours", "alone", *3 * ["ours", "alone", "plain"]]
    assert row.alone == pytest.approx(0.75)
    assert (row.ratio, row.lowest, row.highest) == (2.0, 1.8, 4.0)
    times = iter([1.0, 0.0, 2.0])
    assert harness.compare("naps", names["ours"], names["plain"], chapter="quanta", rounds=1).alone is None
