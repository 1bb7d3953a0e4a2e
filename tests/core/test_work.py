"""What is counted, against sizes worked out by hand, and estimates of runs whose cost is known."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch

from heldout import estimates, experiment, kept_estimates, store, work
from heldout.data import DataError


def flops(call) -> float:  # type: ignore[no-untyped-def]
    return work.count(call, timed=False).flops


def test_products_forward_and_backward() -> None:
    a, b = torch.randn(64, 32, requires_grad=True), torch.randn(32, 16)
    assert flops(lambda: a @ b) == 2 * 64 * 32 * 16
    assert flops(lambda: (a @ b).sum().backward()) == 2 * 2 * 64 * 32 * 16  # no gradient of b is asked for
    assert flops(lambda: torch.randn(5, 8, 4) @ torch.randn(5, 4, 3)) == 5 * 2 * 8 * 4 * 3


def test_attention_and_factorizations() -> None:
    query = torch.randn(2, 3, 10, 8)
    assert (
        flops(lambda: torch.nn.functional.scaled_dot_product_attention(query, query, query))
        == 2 * 2 * 3 * 2 * 10 * 10 * 8
    )
    square, tall, right = 2 * torch.eye(50), torch.randn(80, 50), torch.ones(50, 7)
    assert flops(lambda: torch.linalg.cholesky(square)) == pytest.approx(50**3 / 3)
    assert flops(lambda: torch.linalg.solve_triangular(square, right, upper=True)) == 50**2 * 7
    assert flops(lambda: torch.cholesky_solve(right, square)) == 2 * 50**2 * 7
    assert flops(lambda: torch.linalg.solve(square, right)) == pytest.approx(2 / 3 * 50**3 + 2 * 50**2 * 7)
    assert flops(lambda: torch.linalg.qr(tall)) == pytest.approx(4 * 80 * 50**2 - 4 / 3 * 50**3)
    assert flops(lambda: torch.linalg.eigh(square)) == 9 * 50**3
    assert flops(lambda: torch.linalg.svd(tall)) == 14 * 80 * 50**2 + 8 * 50**3


def test_bytes_are_operands_and_views_move_none() -> None:
    x, y = torch.ones(100), torch.ones(100)
    done = work.count(lambda: x + y)
    assert (done.bytes, done.operations, done.flops) == (3 * 400, 1, 0)
    assert 0 < done.seen <= 1
    assert done.product_time == 0
    longest = work.count(lambda: torch.ones(300, 300).softmax(1).exp() @ torch.ones(300, 300), timed=False)
    assert set(longest.other_time) == {"ones", "softmax", "exp"}
    assert sum(longest.other_time.values()) + longest.product_time == pytest.approx(1)
    assert work.count(lambda: torch.ones(300, 300) @ torch.ones(300, 300), timed=False).product_time > 0.3
    assert work.count(lambda: x.view(10, 10).T[2:].unsqueeze(0), timed=False).bytes == 0
    wide = torch.ones(1, 100).expand(50, 100)
    assert work.count(lambda: wide.clone(), timed=False).bytes == 400 + 50 * 400  # what is repeated is read once
    assert work.count(lambda: x.add_(y), timed=False).bytes == 3 * 400
    large = torch.ones(work.CACHE_BYTES // 4)
    assert work.count(lambda: large.clone(), timed=False).memory_bytes == 2 * work.CACHE_BYTES


def test_bounds_are_the_slower_of_two() -> None:
    rates = work.rates()
    assert 0 < rates.memory <= rates.cache
    assert rates.flops > 0
    done = work.Work(flops=10.0, cached_bytes=6.0, memory_bytes=8.0, operations=1.0)
    assert work.Rates(flops=5.0, cache=3.0, memory=2.0).bounds(done) == {"products": 2.0, "memory": 6.0}


@dataclass(frozen=True)
class Config:
    steps: int = 1000
    other_steps: int = 300
    looks: int = 50
    power: int = 1
    num_seeds: int = 20


def run(config: Config, *, device: str, progress: object = None) -> None:
    assert progress is None or callable(progress)
    assert device == "cpu"
    if config.looks > config.steps:
        raise ValueError("looks: too many")
    a = torch.ones(8, 8)
    for _ in range(7 + 3 * config.num_seeds + config.looks):
        a @ a  # before, between and after the updates
    for _ in range(config.num_seeds):
        for _ in range(config.steps**config.power):
            a @ a
        for _ in range(config.other_steps):
            torch.ones(4, 8) @ a


toy = SimpleNamespace(run=run, SMOKE=Config(steps=5, other_steps=2, looks=2, num_seeds=2))


def test_an_estimate_is_the_work_of_the_updates() -> None:
    made = estimates.estimate(toy, Config())  # type: ignore[arg-type]
    one, other = 2 * 8 * 8 * 8, 2 * 4 * 8 * 8
    assert made.each["steps"].flops == pytest.approx(20 * one)
    assert made.each["other_steps"].flops == pytest.approx(20 * other)
    assert made.updates.flops == pytest.approx(20 * (1000 * one + 300 * other))
    assert made.updates.bytes == pytest.approx(20 * (1000 * 3 * 256 + 300 * (128 + 256 + 128 + 128)), rel=0.1)
    assert made.missed < 1e-6


def never(config: Config, **_: object) -> None:
    if config != toy.SMOKE:
        raise ValueError("looks: too many")


def test_where_there_is_no_estimate_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "FEW", (4,))
    for config, why in (
        (Config(power=2, other_steps=1), "differs by"),
        (Config(steps=0, other_steps=0), "no field counts updates"),
        (Config(looks=10_000), "no run with so few updates: looks"),
    ):
        module = SimpleNamespace(run=never, SMOKE=toy.SMOKE) if config.looks > 1000 else toy
        with pytest.raises(estimates.NoEstimateError, match=why):
            estimates.estimate(module, config)  # type: ignore[arg-type]
    with pytest.raises(estimates.NoEstimateError, match="too long"):
        estimates.estimate(toy, Config(), limit=0.0)  # type: ignore[arg-type]


def test_missing_data_is_no_reason_to_be_kept() -> None:
    def run(*_: object, **__: object) -> None:
        raise DataError("digits: not on this machine (/somewhere); run `heldout data fetch digits`")

    with pytest.raises(DataError, match="fetch digits"):
        kept_estimates.entry(SimpleNamespace(run=run, SMOKE=Config(), PAPER=Config()))  # type: ignore[arg-type]


def test_the_count_of_a_small_experiment_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate at a config small enough to be run: modular addition, looked at twice."""
    monkeypatch.setattr(estimates, "FEW", (4,))
    module = experiment.find("grokking.modular_addition")
    config = replace(module.SMOKE, steps=30, probe_every=480)
    made = estimates.estimate(module, config)
    less = replace(config, steps=20)
    whole, shorter = (work.count(lambda c=c: module.run(c, device="cpu"), timed=False) for c in (config, less))  # type: ignore[misc]
    assert made.updates.flops == pytest.approx(30 / 10 * (whole.flops - shorter.flops), rel=1e-6)


@pytest.mark.parametrize("name", kept_estimates.kept())
def test_committed_estimates_passed_their_check(name: str) -> None:
    entry = kept_estimates.kept()[name]
    assert ("updates" in entry) != ("none" in entry)
    assert entry.get("missed", 0.0) <= estimates.TOLERANCE
    assert kept_estimates.said(entry)


def test_an_estimate_is_kept_beside_the_others(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(store, "records_directory", lambda: tmp_path)
    assert kept_estimates.kept() == {}
    kept_estimates.keep("b.b", {"none": "why", "config": {}})
    kept_estimates.keep("a.a", {"none": "why not", "config": {}})
    assert list(kept_estimates.kept()) == ["a.a", "b.b"]
