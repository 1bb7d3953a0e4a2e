"""One update of each training of the engine, held against the work of all updates of runs that are small enough to be counted."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from heldout import engine_updates, ensemble, estimates, experiment, kept_estimates, work
from heldout.ensemble import TrainingData
from heldout.optimizers import FlatOptimizer
from heldout.stepping import Chunk

Progress = Callable[[int, int], None] | None
# Full batches and mini-batches, one training and many, members of several layouts, and a rate for each part of a member.
NAMES = [
    "opening.five_points", "double_descent.convolutional", "grokking.semi_grokking", "grokking.toy_phases",
    "interpolation.relu_curves",
]  # fmt: skip


def row(done: work.Work) -> np.ndarray:
    return np.array([done.flops, done.bytes, done.operations])


@pytest.mark.parametrize("name", NAMES)
def test_all_updates_cost_what_the_counted_ones_say(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = experiment.find(name)
    told = sum(t.updates * row(each) for t in engine_updates.trainings(module, module.SMOKE) for each in t.each)
    seen, update = [np.zeros(3)], Chunk._update
    first: set[int] = set()

    def counted(chunk: Chunk, *batch: Any) -> None:
        # The first update of a chunk makes its buffers; it counts as the second.
        if id(chunk) not in first:
            first.add(id(chunk))
            kept.append(chunk)
            update(chunk, *batch)
            return
        found = row(work.count(lambda: update(chunk, *batch), timed=False))
        seen.append(found * (2 if chunk.done == 1 else 1))

    kept: list[Chunk] = []  # so that no other chunk is given the place, and the name, of one that is gone
    monkeypatch.setattr(Chunk, "_update", counted)
    module.run(module.SMOKE, device="cpu")
    np.testing.assert_allclose(told, sum(seen), rtol=1e-12)
    assert told[0] > 0


@dataclass(frozen=True)
class Config:
    steps: int = 50
    kind: str = "engine"
    num_seeds: int = 2


def run(config: Config, *, device: str, progress: Progress = None) -> None:
    members = [nn.Linear(3, 2) for _ in range(config.num_seeds)]
    if config.kind in ("engine", "both"):
        data = TrainingData.shared(torch.ones(4, 3), torch.zeros(4, dtype=torch.long), len(members))
        history = ensemble.train(
            members, data, steps=config.steps, learning_rate=0.1, device=device, probe_steps=[0, 10, config.steps],
            probe=lambda snapshot: {"out": snapshot.predict(torch.ones(5, 3))}, progress=progress,
        )  # fmt: skip
        assert history.values["out"].shape == (3, 2, 5, 2)
    if config.kind in ("torch", "both"):
        optimizer = torch.optim.SGD(members[0].parameters(), lr=0.1)
        members[0](torch.ones(4, 3)).sum().backward()
        optimizer.step()
    if config.kind == "flat":
        rule = ensemble.Optimizer(kind="sgd")
        FlatOptimizer(rule, torch.ones(3), torch.ones(3), torch.tensor, torch.tensor, [0.1], [0.0]).step()


toy = SimpleNamespace(run=run, SMOKE=Config(steps=11), PAPER=Config())


def test_every_probe_step_has_its_look_and_updates_are_not_made() -> None:
    (found,) = engine_updates.trainings(toy, Config())  # type: ignore[arg-type]
    assert (found.updates, len(found.each)) == (50, 1)
    # Forward, and backward to the weights: 2 members x 4 samples x 3 x 2, twice, two operations each.
    assert found.each[0].flops == 2 * 2 * (2 * 4 * 3 * 2)


@pytest.mark.parametrize("kind", ["torch", "both", "flat", "none"])
def test_what_is_not_the_engines_is_noticed(kind: str) -> None:
    run_before, step_before = Chunk.run, FlatOptimizer.step
    with pytest.raises(engine_updates.ElsewhereError):
        engine_updates.trainings(toy, Config(kind=kind))  # type: ignore[arg-type]
    assert (Chunk.run, FlatOptimizer.step) == (run_before, step_before)
    run(Config(kind="torch"), device="cpu")  # nobody watches any more


def test_a_limit_is_kept() -> None:
    with pytest.raises(engine_updates.TooLongError):
        engine_updates.trainings(toy, Config(), limit=-1.0)  # type: ignore[arg-type]


def test_the_estimate_is_the_engines_where_all_updates_are(monkeypatch: pytest.MonkeyPatch) -> None:
    made = estimates.estimate(toy, Config())  # type: ignore[arg-type]
    assert (made.trainings, made.made) == (1, 50)
    assert made.updates.flops == 50 * 2 * 96
    monkeypatch.setattr(experiment, "config_json", lambda _: "{}")
    entry = kept_estimates.entry(toy)  # type: ignore[arg-type]
    assert kept_estimates.times(entry) == {"updates": 50}
    assert "an update of each of the engine's 1 trainings" in kept_estimates.said(entry)
    assert "missed" not in entry
    with pytest.raises(estimates.NoEstimateError, match="too long"):
        estimates.estimate(toy, Config(), limit=-1.0)  # type: ignore[arg-type]


def test_a_run_that_needs_trained_members_is_no_estimate() -> None:
    def picky(config: Config, *, device: str, progress: Progress = None) -> None:
        run(config, device=device, progress=progress)
        if config != toy.SMOKE:
            raise ValueError("members: none has learned anything")

    with pytest.raises(estimates.NoEstimateError, match="hardly trained: members: none"):
        estimates.estimate(SimpleNamespace(run=picky, SMOKE=toy.SMOKE), Config())  # type: ignore[arg-type]


def test_both_ways_of_counting_agree() -> None:
    """Modular addition at a size at which the fit to several runs is quick."""
    module = experiment.find("grokking.modular_addition")
    config = replace(module.SMOKE, probe_every=480)
    one, other = estimates._on_the_engine(module, config, 60.0), estimates._as_it_is(module, config, 60.0)
    assert one is not None
    assert one.updates.flops == pytest.approx(other.updates.flops, rel=0.02)
