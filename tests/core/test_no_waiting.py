"""An update asks for no value, moves nothing to the CPU, draws nothing, and is the same sequence of operations at every step.

That is what a CUDA graph needs of what it records. It is shown without a GPU: on the CPU for every operation by its name and its
shapes, and on ``meta`` tensors, which have no values to ask for.
"""

import contextlib
import dataclasses
import itertools
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from torch import nn

from heldout import devices
from heldout.optimizers import Kind, Optimizer

sys.path.insert(0, str(Path(__file__).parent))
from gpu_steps import MEMBERS, OPTIONS, SAMPLES, WaitError, chunk, watched

RULES = list(itertools.product(get_args(Kind), OPTIONS, (False, True)))
# Every rule on one kind of members, and every kind of members under the plain rules.
CASES = [("several layouts", *each) for each in RULES] + [
    (name, *each) for name in MEMBERS for each in RULES if name != "several layouts" and each[1] == "plain"
]


def rule(kind: Any, option: str) -> Optimizer:
    return Optimizer(kind=kind, **OPTIONS[option])


@pytest.fixture
def no_meta_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fused kernel of SGD has no version for tensors without values; on them only its call is asked for."""
    monkeypatch.setattr(torch, "_fused_sgd_", lambda parameters, *_, **__: parameters[0].add_(0))


@pytest.mark.parametrize(("name", "kind", "option", "differ"), CASES)
def test_an_update_is_one_fixed_sequence_of_operations(name: str, kind: str, option: str, differ: bool) -> None:
    made = chunk(MEMBERS[name](), rule(kind, option), "cpu", differ=differ)
    made._update(*made._batch())  # buffers are made at the first
    found, places = [], [part.data_ptr() for part in made._state().values()]
    state = random.getstate(), torch.get_rng_state()
    for step in (0, 3):
        made.done = step
        batch = made._batch()
        found.append(watched(lambda batch=batch: made._update(*batch), "cpu"))
    assert len(found[0]) > 10
    assert found[0] == found[1]
    assert [part.data_ptr() for part in made._state().values()] == places  # written in place, where a graph finds them
    assert state[0] == random.getstate()
    assert torch.equal(state[1], torch.get_rng_state())


@pytest.mark.usefixtures("no_meta_gap")
@pytest.mark.parametrize(("name", "kind", "option", "differ"), [case for case in CASES if case[2] != "constant norm"])
def test_an_update_needs_no_value(name: str, kind: str, option: str, differ: bool) -> None:
    """Constant norm asks for the number of members once, before the first step, so it cannot begin on meta tensors."""
    made = chunk(MEMBERS[name](), rule(kind, option), "meta", differ=differ)
    for step in range(2):
        made.done = step
        if step == 0:
            made._batch()  # a shuffle is between the steps of two epochs
        assert watched(lambda: made._update(*made._batch()), "meta")


@pytest.fixture
def recorded_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams and graphs of a CPU: what is recorded is also run once, and a replay is an update of what the graph reads."""

    class Graph:
        def replay(self) -> None:
            self.chunk._update(*self.chunk._static)

    stream = SimpleNamespace(wait_stream=lambda _: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "graph", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(devices, "onto", lambda tensor, _: tensor)


@pytest.mark.usefixtures("recorded_updates")
@pytest.mark.parametrize(("name", "kind", "option", "differ"), CASES)
def test_a_capture_leaves_no_trace(name: str, kind: str, option: str, differ: bool) -> None:
    """Its warm-up and its recording make real updates; after them a training goes on as if there had been none, bit for bit."""
    plain, captured = (chunk(MEMBERS[name](), rule(kind, option), "cpu", differ=differ) for _ in range(2))
    captured.job = dataclasses.replace(captured.job, device=torch.device("cuda"))
    for step in range(7):  # into the second epoch
        plain.done = captured.done = step
        plain._advance(*plain._batch())
        if step == 0:
            captured._capture(*captured._batch())
            captured._graph.chunk = captured
        captured._advance(*captured._batch())
    for one, other in zip(plain._state().values(), captured._state().values(), strict=True):
        assert torch.equal(one, other)


class Planted(nn.Module):
    """A linear map that does something a GPU has to be waited for."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.map, self.what = nn.Linear(12, 5), what

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs."""
        out: torch.Tensor = self.map(x)
        if self.what == "item":
            out = out * float(out.detach().mean())
        elif self.what == "branch":
            out = out if bool((out > 0).any()) else -out
        elif self.what == "nonzero":
            out = out + (out > 0).nonzero().sum()
        elif self.what == "mask":
            out = out + out[out > 0].sum()
        elif self.what == "copy":
            out = out + out.detach().cpu().to(out.device)
        elif self.what == "constant":
            out = out + torch.tensor([1.0]).to(out.device)
        elif self.what == "dropout":
            out = nn.functional.dropout(out)
        return out


@pytest.mark.parametrize("what", ["item", "branch", "nonzero", "mask", "dropout"])
def test_what_waits_is_caught_on_the_cpu(what: str) -> None:
    made = chunk([Planted(what)], Optimizer(), "cpu")
    with pytest.raises(WaitError):
        watched(lambda: made._update(*made._batch()), "cpu")
    honest = chunk([Planted("none")], Optimizer(), "cpu")
    assert watched(lambda: honest._update(*honest._batch()), "cpu")


@pytest.mark.parametrize("what", ["item", "branch", "nonzero", "mask", "copy", "constant"])
def test_what_waits_is_caught_without_values(what: str) -> None:
    made = chunk([Planted(what)], Optimizer(), "meta")
    made._batch()
    with pytest.raises((WaitError, RuntimeError, NotImplementedError)):
        watched(lambda: made._update(*made._batch()), "meta")


def test_another_sequence_is_noticed() -> None:
    class Growing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map, self.calls = nn.Linear(12, 5), 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            out: torch.Tensor = self.map(x)
            return out * 1.0 if self.calls > 1 else out

    made = chunk([Growing()], Optimizer(), "cpu")
    first, second = (watched(lambda: made._update(*made._batch()), "cpu") for _ in range(2))
    assert first != second


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is present here")
@pytest.mark.parametrize("name", MEMBERS)
def test_cuda_waits_for_nothing_between_probes(name: str) -> None:
    made = chunk(MEMBERS[name](), Optimizer(), "cuda")
    made._advance(*made._batch())
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(1, 10):  # more than one epoch
            made.done = step
            made._advance(*made._batch())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert SAMPLES // 6 < 9
