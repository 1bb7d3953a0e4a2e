"""The plan of a large sweep: its books balance, and it agrees with what can be said on paper."""

import dataclasses

import numpy as np
import pytest

from heldout import ledger, sweep_plan
from heldout.sweep_costs import Costs
from heldout.sweep_plan import Config, simulate

COSTS = Costs(
    dispatch_seconds=0.002, keep_seconds=0.1, collect_seconds=0.05, file_bytes=2e4, member_bytes=20.0, member_seconds=0.14,
    gpu="a GPU", source="double_descent.triple_descent",
)  # fmt: skip
CALM = Config(members=10_000, gpus=10, members_per_task=(1,), spread=0.0, hours_between_losses=1e12)


def test_one_machine_without_chance_by_hand() -> None:
    seconds, parts = simulate(dataclasses.replace(CALM, members=30, gpus=1), COSTS, 10, 0)
    assert seconds == pytest.approx(3 * (0.002 + 0.1 + 10 * 0.14))
    np.testing.assert_allclose(parts, np.array([0.3, 0.006, 0, 0]) / seconds)


def test_the_scheduler_is_the_limit_when_its_part_is_large() -> None:
    slow = dataclasses.replace(COSTS, dispatch_seconds=0.1)
    seconds, _ = simulate(CALM, slow, 1, 0)
    assert seconds == pytest.approx(10_000 * 0.1, rel=0.01)


@pytest.mark.parametrize("size", [1, 7, 300])
def test_the_books_balance(size: int) -> None:
    config = dataclasses.replace(CALM, hours_between_losses=0.5)
    seconds, parts = simulate(config, COSTS, size, 1)
    assert sum(parts) + config.members * COSTS.member_seconds / (config.gpus * seconds) == pytest.approx(1)


def test_a_lost_worker_costs_half_a_task_and_the_time_without_it() -> None:
    config = dataclasses.replace(CALM, members=100_000, hours_between_losses=1.0, minutes_to_replace=2.0)
    seconds, parts = simulate(config, COSTS, 100, 3)
    task = 0.1 + 100 * 0.14
    expected = 1000 * task / 3600 * (task / 2 + 120) / (10 * seconds)
    assert parts[2] == pytest.approx(expected, rel=0.6)


def test_best_size_claims_and_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_plan, "measured", lambda *_: COSTS)
    config = dataclasses.replace(sweep_plan.BOOK, members=100_000, gpus=10, num_seeds=2)
    result = sweep_plan.run(config)
    numbers = sweep_plan.numbers(result)
    assert 0.3 < float(numbers["best_size"]) / float(numbers["rule_size"]) < 3
    assert float(numbers["best_lost"]) == pytest.approx(float(numbers["rule_lost"]), rel=0.5)
    for claim in sweep_plan.CLAIMS:
        row = ledger.judge(sweep_plan, claim, result)
        assert row["verdict"] == "reproduced"
        assert row["manipulation_holds"]
    assert not ledger.judge(sweep_plan, sweep_plan.CLAIMS[0], result)["control_holds"]
    assert len(sweep_plan.describe(result)) > 60
    assert sweep_plan.plot(result).get_ylabel()
