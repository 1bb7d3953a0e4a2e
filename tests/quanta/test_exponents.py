"""Exponents: closed forms, records made by hand whose exponents are known, and two ways of adding up a loss."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from heldout.quanta import exponents, exponents_checks, exponents_published
from heldout.quanta.parity import CHANCE, tail, zipf

LEVEL = np.geomspace(0.5, 0.18, 13)


def planted(steps: float, data: float, width: float, *, count: float = 0.8, seeds: int = 5) -> xr.Dataset:
    """Power laws with the given exponents, the same in every seed, through .6 of chance at the first x."""
    axes = {"steps": np.geomspace(1, 300, 40), "samples": np.geomspace(1, 300, 9), "width": np.geomspace(1, 300, 9)}
    names = {"steps": "step", "samples": "samples", "width": "width"}
    losses = dict(zip(axes, (steps, data, width), strict=True))
    variables: dict[str, Any] = {
        ("data_loss" if name == "samples" else f"{name}_loss"): (
            ("seed", names[name]),
            np.tile(CHANCE * 0.6 * x ** -losses[name], (seeds, 1)),
        )
        for name, x in axes.items()
    }
    known = np.tile(axes["width"] ** count, (seeds, 1))
    variables |= {"known": (("seed", "width"), known), "frequency": ("task", zipf(30, 0.5)), "sum_over": 30}
    coordinates = {names[name]: x for name, x in axes.items()}
    return xr.Dataset(variables, {"seed": np.arange(seeds), "level": LEVEL, **coordinates})


def test_a_power_law_has_its_exponent() -> None:
    record = planted(0.4, 0.5, 0.7)
    for axis, exponent in (("steps", 0.4), ("data", 0.5), ("width", 0.7)):
        assert exponents_checks.measured(record, axis) == pytest.approx(exponent)
        assert exponents_checks.halves(record, axis) == pytest.approx(exponent)
    assert exponents_checks.count_exponent(record) == pytest.approx(0.8)
    assert exponents_checks.alpha_of(record) == pytest.approx(0.5)


def test_a_curve_that_misses_the_window_has_no_exponent() -> None:
    x, level = np.array([1.0, 2, 4]), np.array([0.5, 0.2])
    assert np.isnan(exponents_checks.slope(x, np.array([0.9, 0.5, 0.3]), level))
    assert np.isnan(exponents_checks.slope(x, np.array([0.4, 0.3, 0.1]), level))
    assert exponents_checks.slope(x, np.array([0.8, 0.9, 0.1]), level) > 0, "a rise counts as nothing gained"


@pytest.mark.parametrize("axis", exponents_checks.AXES)
def test_the_exact_sum_by_hand(axis: str) -> None:
    frequency = np.array([4, 2, 1, 1]) / 8
    x, left = exponents_checks.staircase(frequency, axis)
    assert left == pytest.approx([1 / 2, 1 / 4, 1 / 8])
    cost = [2**0.5, 6**0.5, 12**0.5] if axis == "width" else [8**0.5, 32**0.5, 8]
    assert x == pytest.approx(cost)
    if axis != "width":
        assert exponents_checks.slope(x[:2], left[:2], np.array([0.5, 0.25])) == pytest.approx(1)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("tasks", [100, 10_000])
def test_local_exponents_lie_where_the_proposition_puts_them(alpha: float, tasks: int) -> None:
    known = np.array([10, 20, 40])
    told = alpha / (1 - (known / tasks) ** alpha)
    assert exponents_checks.local(tasks, alpha, "width", known) == pytest.approx(told, rel=0.06)
    assert exponents_checks.local(tasks, alpha, "steps", known) == pytest.approx(told / (1 + alpha), rel=0.06)


@pytest.mark.parametrize("alpha", [0.4, 0.5, 0.8])
def test_as_many_tasks_as_needed_and_not_many_fewer(alpha: float) -> None:
    enough = exponents_checks.tasks_needed(alpha, 20, 0.1)
    for tasks, holds in ((1.3 * enough, True), (0.3 * enough, False)):
        found = exponents_checks.local(round(tasks), alpha, "width", np.array([20]))[0]
        assert (found < 1.1 * alpha) == holds


def test_every_check_tells_the_sum_from_the_law() -> None:
    frequency = zipf(30, 0.5)
    told = {axis: exponents_checks.exact(frequency, axis, LEVEL) for axis in exponents_checks.AXES}
    laws = {axis: exponents_checks.law(0.5, axis) for axis in exponents_checks.AXES}
    assert laws == pytest.approx({"steps": 1 / 3, "data": 1 / 3, "width": 1 / 2})
    as_sum = planted(told["steps"], told["data"], told["width"], count=1)
    as_law = planted(laws["steps"], laws["data"], laws["width"])
    for axis in exponents_checks.AXES:
        assert exponents_checks.nearer(axis)(as_sum).holds
        assert not exponents_checks.nearer(axis)(as_law).holds
        assert not exponents_checks.nearer(axis)(exponents_checks.many_tasks(as_sum)).holds
        assert exponents_checks.above_law(axis)(as_sum).holds
    assert not exponents_checks.above_law("steps")(exponents_checks.if_many(as_sum)).holds
    assert exponents_checks.shallower(as_law).holds
    assert not exponents_checks.shallower(as_sum).holds
    assert exponents_checks.sublinear(as_law).holds
    assert not exponents_checks.sublinear(as_sum).holds
    assert exponents_checks.spread(as_sum).holds
    assert not exponents_checks.spread(planted(2, 1, 1)).holds


def test_a_list_is_told_from_a_longer_and_a_shorter_one() -> None:
    for tasks, holds in ((10**6, False), (30, True), (12, False)):
        steps = exponents_checks.exact(zipf(tasks, 0.5), "steps", LEVEL)
        assert exponents_checks.near_its_sum(planted(steps, 0.5, 0.7)).holds == holds
    assert exponents_checks.falls_in_steps(planted(0.45, 0.01, 0.01)).holds
    assert not exponents_checks.falls_in_steps(planted(0.01, 0.45, 0.6)).holds


def test_controls_are_what_they_say() -> None:
    record = planted(0.45, 0.45, 0.6)
    many, proportional = exponents_checks.if_many(record), exponents_checks.if_proportional(record)
    for axis in exponents_checks.AXES:
        frequency = record.frequency.values
        assert exponents_checks.measured(proportional, axis) == pytest.approx(
            exponents_checks.exact(frequency, axis, LEVEL), rel=0.1
        )
        assert exponents_checks.measured(many, axis) == pytest.approx(exponents_checks.law(0.5, axis), abs=0.03)
    assert exponents_checks.count_exponent(proportional) == pytest.approx(1)
    assert exponents_checks.near_law(exponents_checks.many_tasks(record)).holds
    assert not exponents_checks.near_law(record).holds
    assert exponents_checks.falls_through(record).holds
    assert not exponents_checks.falls_through(planted(0.01, 0.45, 0.6)).holds
    assert exponents_checks.learns_all(record).holds
    assert not exponents_checks.learns_all(planted(0.01, 0.45, 0.6)).holds


def test_the_authors_exponents_stand_beside_law_and_sum() -> None:
    for axis, limits in (("steps", (0.1 / 1.1, 0.8 / 1.8)), ("width", (0.1, 0.8))):
        known = exponents_published.published(axis)
        assert (known["law"][0], known["law"][-1]) == pytest.approx(limits)
        assert (known["exact"] > known["law"]).all()
        short, long = (exponents_published.published(axis, window)["exact"] for window in ((1, 10), (20, 200)))
        assert ((short < known["exact"]) & (known["exact"] < long)).all(), "the sum bends downward"
        assert len(known["theirs"]) == len(exponents_published.ALPHAS)


def test_cost_counts_products_and_bytes() -> None:
    config = replace(exponents.SMOKE, num_seeds=1, batch_size=10, steps=100, data_steps=50)
    cost = exponents_checks.expected_cost(config)
    samples_by_units = 10 * (100 * (2 + 4 + 16) + 50 * 2 * 16)
    assert cost["work"] == pytest.approx(4 * config.num_bits * samples_by_units)
    assert cost["moved"] == pytest.approx(4 * exponents_checks.PASSES * samples_by_units)
    assert cost["sent"] == pytest.approx(4 * config.num_bits * 10 * (100 + 50 * 2))


def test_a_run_starts_at_chance_and_keeps_its_best_look() -> None:
    record = exponents.run(replace(exponents.SMOKE, num_seeds=1, steps=60, data_steps=60, first_look=1))
    assert record.steps_loss.values[0, 0] == pytest.approx(CHANCE, abs=0.1)
    assert record.steps_loss.values[0, -1] == pytest.approx(record.width_loss.values[0, -1])
    assert (record.data_loss.values <= 1.1 * CHANCE).all()
    assert record.frequency.values == pytest.approx(-np.diff(tail(record.frequency.values)))
    assert record.level.values[[0, -1]] == pytest.approx([exponents.SMOKE.high, exponents.SMOKE.low])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_tasks", 2), ("subset_size", 9), ("alpha", -2.0), ("widths", (4,)), ("widths", (8, 4)), ("samples", (50, 800)),
        ("samples", (800, 100)), ("data_width", 0), ("batch_size", 0), ("learning_rate", 0.0), ("first_look", 0), ("steps", 20),
        ("data_steps", 20), ("looks", 3), ("num_held_out", 0), ("high", 0.3), ("sum_over", 2), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        replace(exponents.SMOKE, **{field: value})
