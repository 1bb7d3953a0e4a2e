"""The width sweep: records made by hand whose answers are known, and one unit taken out of a network in plain PyTorch."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.devices import generator
from heldout.quanta import width_sweep, width_sweep_checks
from heldout.quanta.parity import CHANCE, random_tasks, tail, zipf
from heldout.quanta.parity_networks import ParityMLP


def planted(counts: list[int], *, damage: np.ndarray | None = None, tasks: int = 30) -> xr.Dataset:
    """Two equal seeds, one for each width known only the first so many tasks, perfectly, and none before."""
    known = np.arange(tasks) < np.array(counts)[:, None]
    task_loss = np.stack([np.full(known.shape, CHANCE), np.where(known, 0.0, CHANCE)], axis=1)
    frequency = zipf(tasks, 0.5)
    lost = np.eye(tasks) if damage is None else damage
    dims = ("seed", "width", "step")
    return xr.Dataset(
        {
            "task_loss": ((*dims, "task"), np.stack([task_loss] * 2)),
            "loss": (dims, np.stack([task_loss @ frequency] * 2)),
            "damage": (("seed", "unit", "task"), np.stack([lost] * 2)),
            "frequency": ("task", frequency),
        },
        {"seed": [0, 1], "width": 8 * 2 ** np.arange(len(counts)), "step": [0, 10]},
    )


def test_a_perfect_staircase_is_its_tail_sum() -> None:
    record = planted([1, 2, 4, 8])
    assert width_sweep_checks.tail_error(record).values == pytest.approx([0, 0])
    assert width_sweep_checks.follows_tail(record).holds
    assert not width_sweep_checks.follows_tail(width_sweep_checks.other_frequencies(record)).holds
    assert width_sweep_checks.more_with_width(record).holds
    assert not width_sweep_checks.more_with_width(planted([1, 1, 2, 2])).holds


def test_a_count_that_is_a_power_of_the_width_gives_the_loss_of_unseen_widths() -> None:
    counts = [1, 2, 4, 8, 16]
    record = planted(counts)
    errors = width_sweep_checks.unseen(record)
    assert errors.by_count == pytest.approx(np.zeros((2, 2)), abs=1e-9)
    tails = CHANCE * tail(zipf(30, 0.5))[counts]
    by_hand = np.exp(np.polyval(np.polyfit(np.arange(0, 5, 2), np.log(tails[::2]), 1), [1, 3])) / tails[1::2] - 1
    assert errors.by_power_law[0] == pytest.approx(by_hand)
    assert width_sweep_checks.predicts_unseen(record).holds
    assert width_sweep_checks.nearer(record).holds
    law = record.assign(loss=xr.ones_like(record.loss) * 0.5 * (record.width / 8.0) ** -0.4)
    assert not width_sweep_checks.nearer(law).holds
    assert width_sweep_checks.true_count_error(record) == pytest.approx([0, 0])
    mixed = width_sweep_checks.other_widths(record)
    np.testing.assert_array_equal(np.sort(mixed.loss, 1), np.sort(record.loss, 1))
    assert (mixed.width == record.width).all()
    assert width_sweep_checks.as_many(mixed).holds
    assert not width_sweep_checks.as_many(planted([1, 1, 2, 2])).holds
    assert not width_sweep_checks.predicts_unseen(planted([1, 8, 1, 16])).holds


def test_units_of_one_task_each_and_units_of_all() -> None:
    tasks, units = 6, 60
    own = np.kron(np.eye(tasks), np.full((units // tasks, 1), 0.3))
    common = np.linspace(0, 0.3, units)[:, None] * np.ones(tasks)
    apart, together = (planted([1, 2, 4, 6], damage=each, tasks=tasks) for each in (own, common))
    assert width_sweep_checks.concentration(own) == pytest.approx(1)
    assert width_sweep_checks.concentration(common) == pytest.approx(1 / tasks)
    assert np.isnan(width_sweep_checks.concentration(np.zeros((3, 2))))
    uneven = np.array([[0.4, 0.4], [0.01, 0.0]])  # the large unit serves both tasks, the slight one a single task
    assert width_sweep_checks.concentration(uneven) == pytest.approx((0.8 * 0.5 + 0.01) / 0.81)
    assert width_sweep_checks.specialized(apart).holds
    assert not width_sweep_checks.specialized(together).holds
    assert width_sweep_checks.togetherness(apart)[0] == pytest.approx(-0.2)
    assert width_sweep_checks.shared(together).holds
    assert not width_sweep_checks.shared(apart).holds
    for record in (apart, together):
        shuffled = width_sweep_checks.shuffled_units(record)
        assert np.sort(shuffled.damage, axis=1) == pytest.approx(np.sort(record.damage, axis=1))
        assert not width_sweep_checks.shared(shuffled).holds
        assert not width_sweep_checks.specialized(shuffled).holds
        assert width_sweep_checks.as_harmful(shuffled).holds
    assert not width_sweep_checks.as_harmful(planted([1, 2, 4, 6], damage=0 * own, tasks=tasks)).holds


def test_a_unit_taken_out_against_the_network_without_it() -> None:
    network = ParityMLP(4, 7, 5, generator=generator("net"))
    batch = random_tasks(0, 4, 7, 2, zipf(4, 0.5)).balanced(50, np.random.default_rng(0))
    parts = {name: each.detach() for name, each in network.named_parameters()}
    found = width_sweep.knockouts(parts, batch, 4)

    def accuracy() -> torch.Tensor:
        with torch.no_grad():
            right = (network(batch.task, batch.bits) > 0) == (batch.label > 0.5)
        return right.float().view(4, 50).mean(1)

    before = accuracy()
    at_mean = width_sweep.knockouts(parts, batch, 4, at_mean=True)
    hidden = torch.relu(parts["embed"][batch.task] + batch.bits @ parts["bits"] + parts["bias"])
    for unit in range(5):
        kept = hidden.clone()
        for task in range(4):
            kept[batch.task == task, unit] = hidden[batch.task == task, unit].mean()
        right = (kept @ parts["readout"] + parts["offset"] > 0) == (batch.label > 0.5)
        torch.testing.assert_close(at_mean[unit], before - right.float().view(4, 50).mean(1))
        weight = float(network.readout[unit].detach())
        with torch.no_grad():
            network.readout[unit] = 0
            torch.testing.assert_close(found[unit], before - accuracy())
            network.readout[unit] = weight


def test_mean_loss_is_the_weighted_task_loss_and_starts_at_chance() -> None:
    record = width_sweep.run(replace(width_sweep.SMOKE, steps=30, num_seeds=1))
    assert record.loss.values == pytest.approx((record.task_loss * record.frequency).sum("task").values)
    assert record.loss.isel(step=0).values == pytest.approx(CHANCE, abs=0.1)
    assert record.damage.shape == (1, 32, 8)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_tasks", 1), ("subset_size", 11), ("alpha", -2.0), ("widths", (4, 8, 16)), ("widths", (4, 16, 8, 32)),
        ("batch_size", 0), ("learning_rate", 0.0), ("last_part", 1.0), ("steps", 0), ("num_probes", 1), ("num_held_out", 0),
        ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        replace(width_sweep.SMOKE, **{field: value})
