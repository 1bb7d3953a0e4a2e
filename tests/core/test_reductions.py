"""The ways in which counts are made smaller, held against the work of one update at sizes that can be counted as they are."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from heldout import estimates, experiment, reductions, single_updates, work
from heldout.experiment import Experiment


def of_an_update(module: Experiment, config: Any) -> np.ndarray:
    """Operations of products, bytes and PyTorch operations of one update."""
    name = module.__name__.removeprefix("heldout.")
    found = single_updates.work_of(module, config, reductions.TRAININGS.get(name))
    return np.array([found.flops, found.bytes, found.operations])


def small(name: str) -> tuple[Experiment, Any]:
    """The experiment with its SMOKE config."""
    module = experiment.find(name)
    return module, module.SMOKE


@pytest.mark.parametrize("name", reductions.ASIDE)
def test_what_lies_beside_the_updates_changes_none(name: str) -> None:
    module, config = small(name)
    if name in ("quanta.composite_metric", "quanta.null_models"):
        config = replace(config, steps=120)  # calls back after each update, and looks after none of the first
    lighter = replace(config, **reductions.aside(name, config))
    assert lighter != config
    assert of_an_update(module, config).tolist() == of_an_update(module, lighter).tolist()
    assert of_an_update(module, config)[0] > 0


LARGER = {"nonidentifiability.closing_panel": 40, "nonidentifiability.rule_extrapolation": 40, "quanta.exponents": 3000}


@pytest.mark.parametrize("name", reductions.REDUCED)
def test_the_work_of_an_update_is_the_polynomial_it_is_taken_for(name: str) -> None:
    module, config = small(name)
    way = reductions.REDUCED[name]
    config = replace(config, **reductions.aside(name, config))
    if name == "quanta.exponents":
        config = replace(config, samples=(3000, 3001))
    sizes = [*way.sizes[:-1], LARGER[name]]
    seen = np.array([of_an_update(module, replace(config, **{way.field: size})) for size in sizes])
    powers = np.vander(np.array(sizes, dtype=float), way.degree + 1)
    told = powers[-1] @ np.linalg.solve(powers[:-1], seen[:-1])
    np.testing.assert_allclose(told[:2], seen[-1][:2], rtol=1e-9)


@dataclass(frozen=True)
class Config:
    """Of a run of products whose sizes are known."""

    steps: int = 1000
    rows: int = 50
    num_seeds: int = 3
    looks: int = 2


def run(config: Config, **_: object) -> None:
    """Each update multiplies rows by a square, which costs as much as they are."""
    for _ in range(config.num_seeds * config.steps):
        torch.ones(config.rows, 8) @ torch.ones(8, 8)


@pytest.mark.parametrize("reduced", [True, False])
def test_a_larger_preset_follows_from_smaller_ones(reduced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    way = reductions.Reduction(field="rows", degree=1, sizes=(2, 5, 7))
    monkeypatch.setattr(reductions, "REDUCED", {"toy": way} if reduced else {})
    made = estimates.estimate(SimpleNamespace(__name__="heldout.toy", run=run, SMOKE=Config(steps=3)), Config())  # type: ignore[arg-type]
    assert made.reduced == ({"rows": (2, 5, 7)} if reduced else {})
    assert made.updates.flops == pytest.approx(3 * 1000 * 2 * 50 * 8 * 8)
    # The operands of the product, and what two calls write to make them.
    assert made.updates.bytes == pytest.approx(3 * 1000 * 4 * (2 * (50 * 8 + 64) + 50 * 8), rel=1e-6)


def test_one_update_alone_is_what_a_whole_run_says() -> None:
    module = experiment.find("grokking.modular_addition")
    config = replace(module.SMOKE, steps=40, probe_every=40)
    made, one = estimates._as_it_is(module, config, 60.0), estimates._from_single_updates(module, config)
    assert one.missed < 1e-9
    for name in ("flops", "bytes"):
        assert getattr(one.updates, name) == pytest.approx(getattr(made.updates, name), rel=1e-6)


@pytest.mark.parametrize("name", reductions.TRAININGS)
def test_one_update_of_each_training_is_what_a_whole_run_says(name: str) -> None:
    module, config = small(name)
    config, trainings = replace(config, steps=6), reductions.TRAININGS[name]
    longer = replace(config, steps=16)
    whole, more = (work.count(lambda c=c: module.run(c, device="cpu"), timed=False) for c in (config, longer))  # type: ignore[misc]
    each = single_updates.work_of_each(module, config, trainings)
    assert each.flops == pytest.approx((more.flops - whole.flops) / 10, rel=1e-6)
    assert each.flops > single_updates.work_of_each(module, config, trainings - 1).flops
    with pytest.raises(ValueError, match="trainings=9: must be at most"):
        single_updates.work_of_each(module, config, 9)


def test_a_run_that_ends_too_early_is_no_count() -> None:
    with pytest.raises(ValueError, match="steps: must be more than 2"):
        single_updates.work_of_one(SimpleNamespace(run=lambda *_, **__: None), Config())  # type: ignore[arg-type]


def test_what_is_no_polynomial_is_no_estimate() -> None:
    way = reductions.Reduction(field="size", degree=1, sizes=(1, 2, 3))
    one = [work.Work(flops=float(2**n), cached_bytes=1.0, memory_bytes=0.0, operations=1.0) for n in way.sizes]
    found = [estimates.Estimate(updates=each, each={"steps": each}, missed=0.0) for each in one]
    with pytest.raises(estimates.NoEstimateError, match="polynomial of degree 1 in size"):
        estimates._extrapolated(found, way, 9, {"steps": 10})
