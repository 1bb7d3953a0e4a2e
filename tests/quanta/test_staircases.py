"""Stairs and their mean: an independent loop, hand-made records, and configs that cannot be."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn.functional import binary_cross_entropy_with_logits

from heldout.devices import generator, numpy_generator
from heldout.figures.explorable_schema import checked
from heldout.quanta import emergence, staircases
from heldout.quanta import staircase_checks as checks
from heldout.quanta.explore.staircases import question, stairs
from heldout.quanta.parity import CHANCE, online, random_tasks, zipf
from heldout.quanta.parity_networks import ParityMLP


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return staircases.run(staircases.SMOKE)


def test_a_run_against_a_plain_loop() -> None:
    config = replace(staircases.SMOKE, steps=40, num_seeds=1)
    ours = staircases.run(config)
    tasks = random_tasks(0, config.num_tasks, config.num_bits, config.subset, zipf(config.num_tasks, config.alpha))
    network = ParityMLP(config.num_tasks, config.num_bits, config.width, generator=generator("staircases", 0))
    adam, source = torch.optim.Adam(network.parameters(), lr=5e-3), online(tasks, config.batch_size, "staircases", 0)
    for _ in range(config.steps):
        batch = next(source)
        adam.zero_grad()
        binary_cross_entropy_with_logits(network(batch.task, batch.bits), batch.label).backward()
        adam.step()
    asked = tasks.balanced(config.held_out, numpy_generator("held out", 0))
    with torch.no_grad():
        loss = binary_cross_entropy_with_logits(network(asked.task, asked.bits), asked.label, reduction="none")
    by_task = loss.view(config.num_tasks, -1).mean(1).numpy()
    np.testing.assert_allclose(ours.task_loss.isel(seed=0, step=-1), by_task, rtol=1e-3)
    assert float(ours.mean_loss.isel(seed=0, step=-1)) == pytest.approx(
        float(by_task @ zipf(config.num_tasks, config.alpha)), rel=1e-3
    )


def test_the_frequent_task_is_learned_and_starts_at_chance(record: xr.Dataset) -> None:
    assert np.isfinite(record.time.isel(task=0)).all()
    assert float(record.mean_loss.isel(step=0).median()) == pytest.approx(CHANCE, rel=0.2)


def planted(*, width: float = 0.2, alpha: float = 0.5, tasks: int = 30, seeds: int = 5) -> xr.Dataset:
    """Tasks whose loss falls as a logistic curve of log10 updates, centered at 100 k^(alpha + 1)."""
    shares, steps = zipf(tasks, alpha), np.unique(np.geomspace(10, 3400, 90).round())
    centers = 100 * np.arange(1, tasks + 1) ** (alpha + 1.0)
    slope = 2 * np.log(9) / width  # so that .9 and .1 of chance are `width` decades apart
    away = np.log10(steps)[None] - np.log10(centers)[:, None]
    losses = CHANCE / (1 + np.exp(np.clip(slope * away, -50, 50)))
    when = np.where(centers <= steps[-1], centers, np.inf)
    return xr.Dataset(
        {
            "task_loss": (("seed", "task", "step"), np.stack([losses] * seeds)),
            "mean_loss": (("seed", "step"), np.stack([shares @ losses] * seeds)),
            "time": (("seed", "task"), np.stack([when] * seeds)),
            "sure_time": (("seed", "task"), np.stack([when * 1.1] * seeds)),
            "frequency": ("task", shares),
        },
        {"seed": range(seeds), "task": range(1, tasks + 1), "step": steps},
        {"alpha": alpha},
    )


def test_measures_on_planted_stairs() -> None:
    record = planted(width=0.3)
    one_look = np.log10(3400 / 10) / 89
    assert np.nanmedian(checks.widths(record)) == pytest.approx(0.3, abs=2.1 * one_look)
    assert checks.slopes(record) == pytest.approx([1.5] * 5)
    assert checks.rank_correlation(record) == pytest.approx([1.0] * 5)
    assert checks.learned(record).tolist() == [10] * 5
    assert checks.shared_ranks(record) == 10
    assert checks.asymptotic(record) == pytest.approx(1 / 3)


def test_the_finite_exponent_approaches_the_law_as_tasks_grow() -> None:
    exponents = []
    for tasks in (30, 3000, 300_000):
        record = xr.Dataset(
            {"frequency": ("task", zipf(tasks, 0.5)), "time": (("seed", "task"), np.ones((1, tasks)))},
            attrs={"alpha": 0.5},
        )
        record["time"][:, 20:] = np.inf
        exponents.append(checks.finite_exponent(record))
    assert exponents[0] > exponents[1] > exponents[2] > 1 / 3 - 0.04
    assert exponents[2] == pytest.approx(1 / 3, abs=0.04)


def test_sharp_stairs_are_shallower_read_after_than_before_each() -> None:
    record = planted()
    before, along, after = (checks.finite_exponent(record, when) for when in ("before", "all along", "after"))
    assert before > along > after
    # The same by brute force: the loss of sharp stairs at evenly spaced looks.
    shares = zipf(30, 0.5)
    looks = np.geomspace(1 / shares[0], 1 / shares[10], 5000, endpoint=False)
    left = [shares[1 / shares > look * (1 + 1e-12)].sum() for look in looks]
    assert along == pytest.approx(-np.polyfit(np.log(looks), np.log(left), 1)[0], abs=1e-3)


def test_the_negated_majority_is_well_above_what_counts_as_learned() -> None:
    bits = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1)
    right = ((bits.sum(0) % 2 == 1) == (bits.sum(0) < 2)).mean()
    assert right == 6 / 8
    assert -(right * np.log(right) + (1 - right) * np.log(1 - right)) > 1.6 * emergence.KNOWN


def test_the_shared_rule_on_a_slope() -> None:
    rank = np.arange(1, 9)
    near = np.stack([50.0 * rank**slope for slope in (1.4, 1.5, 1.6)])
    assert emergence.slope_near(near, 1.5).holds
    # The mean is within the bound, and its interval is not.
    wide = np.stack([50.0 * rank**slope for slope in (1.2, 1.5, 2.1)])
    found = emergence.slope_near(wide, 1.5)
    assert abs(found.value - 1.5) < emergence.WITHIN
    assert found.verdict == "in part"
    near[1, 2] = np.inf
    assert emergence.shared_ranks(near) == 2
    assert emergence.slope_near(near, 1.5).verdict == "not reproduced"


def test_first_looks_and_order() -> None:
    known = np.array([[[False, True, False]], [[True, False, False]], [[True, True, False]]])
    times = emergence.first_looks(known, [5, 10, 20])
    assert times.tolist() == [[10, 5, np.inf]]
    assert np.isnan(emergence.order(times, np.array([[1.0, 2.0, 3.0]]))).all()
    times = np.array([[3.0, 9.0, 7.0, np.inf]])
    assert emergence.order(times, np.array([[1.0, 2.0, 3.0, 4.0]])) == pytest.approx([0.5])


def test_a_mean_on_a_line_has_no_bend() -> None:
    record = planted()
    record["mean_loss"] = xr.ones_like(record.mean_loss) * CHANCE * (record.step / 10.0) ** -0.4
    assert checks.bend(record).max() < 1e-9
    assert checks.exponents(record) == pytest.approx([0.4] * 5)
    np.testing.assert_allclose(checks.fitted(record)(record.step.values), record.mean_loss[0], rtol=1e-6)


def test_checks_fail_on_planted_records() -> None:
    fine, merged, slow = planted(), planted(alpha=-1.0), planted(width=2.5)
    assert all(check(fine).holds for check in (checks.steep_stairs, checks.ordered, checks.predicted_slope))
    assert not checks.steep_stairs(merged).holds
    assert not checks.steep_stairs(slow).holds
    assert not checks.straight(merged).holds
    assert not checks.ordered(merged).holds
    assert checks.many_learned(merged).holds
    few = fine.copy(deep=True)
    few["time"][:, 7:] = np.inf
    assert not checks.ordered(few).holds
    assert not checks.many_learned(few).holds
    steep = planted(alpha=1.0)
    assert not checks.predicted_slope(steep).holds
    assert checks.follows_alpha(steep).holds
    assert not checks.follows_alpha(steep.assign_attrs(alpha=0.5)).holds


def test_explorables_hold_the_first_seed() -> None:
    assert sum(option.get("correct", False) for option in question()["data"]["options"]) == 1
    data = checked("frames", stairs([planted(), planted(alpha=1.0)])["data"])
    assert data["controls"][0]["values"] == ["alpha = 0.5", "alpha = 1"]
    assert data["lookups"]["share"]["values"][0][0] == pytest.approx(zipf(30, 0.5)[0])
    # Task 2 is centered at 283 updates; a task beyond the end does not come down.
    assert data["lookups"]["end"]["values"][1][9] is None
    assert data["series"][0]["values"][0][0][0] == pytest.approx(CHANCE, rel=1e-3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_tasks", 2), ("num_bits", 0), ("subset", 0), ("subset", 9), ("alpha", -1.5), ("width", 0), ("batch_size", 0),
        ("learning_rate", 0.0), ("first_look", 0), ("steps", 10), ("looks", 1), ("held_out", 19), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(staircases.SMOKE, **{field: value})
