"""The randomization tests: what is done to the data, one member against a plain loop, claims against planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout import devices
from heldout.interpolation import random_labels, random_labels_checks

TINY = replace(random_labels.SMOKE, steps=25, num_seeds=1)


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return random_labels.run(random_labels.SMOKE)


def test_labels_are_replaced_in_the_stated_share_by_any_class() -> None:
    config = replace(random_labels.BOOK, num_train=2000, num_test=100, first_seed=0)
    sets = dict(zip(config.conditions, random_labels.conditions(config, 0), strict=True))
    true = sets["0%"][1]
    for share in (0.25, 0.5, 1.0):
        changed = (sets[f"{share:.0%}"][1] != true).double().mean()
        assert abs(float(changed) - 0.9 * share) < 0.04, "a random class is the true one in one case of ten"
    quarter, half = (sets[share][1] != true for share in ("25%", "50%"))
    assert not (quarter & ~half).any(), "a larger share replaces all that a smaller one does"
    assert torch.equal(sets["100%"][0], sets["0%"][0])


def test_pixels_are_shuffled_alike_in_training_and_test() -> None:
    sets = dict(zip(random_labels.SMOKE.conditions, random_labels.conditions(random_labels.SMOKE, 3), strict=True))
    x, y, test_x, test_y = sets["0%"]
    shuffled_x, shuffled_y, shuffled_test, _ = sets["shuffled"]
    assert torch.equal(y, shuffled_y)
    assert not torch.equal(x, shuffled_x)
    torch.testing.assert_close(x.sort(1).values, shuffled_x.sort(1).values)
    # One order for all: distances between a training and a test picture do not change.
    torch.testing.assert_close(torch.cdist(x, test_x), torch.cdist(shuffled_x, shuffled_test), atol=1e-4, rtol=0)
    noise = sets["noise"][0]
    assert abs(float(noise.mean() - x.mean())) < 0.02
    assert abs(float(noise.std() - x.std())) < 0.02
    assert len(test_y) == random_labels.SMOKE.num_test


def test_left_out_digits_are_replaced_by_copies_with_true_labels() -> None:
    config = replace(random_labels.BOOK, damage="left_out", shares=(0.0, 0.5), first_seed=0)
    sets = dict(zip(config.conditions, random_labels.conditions(config, 0), strict=True))
    x, y, *_ = sets["0%"]
    half_x, half_y, *_ = sets["50%"]
    distinct = len(torch.unique(half_x, dim=0))
    assert abs(distinct / len(x) - 0.5) < 0.08
    origin = torch.cdist(half_x.double(), x.double()).argmin(1)
    assert torch.equal(half_y, y[origin])


def test_a_member_against_a_plain_loop() -> None:
    record = random_labels.run(TINY)
    x, y, test_x, test_y = random_labels.conditions(TINY, 0)[1]
    network = random_labels._network(TINY, 0)
    adam = torch.optim.Adam(network.parameters(), lr=TINY.learning_rate)
    per_epoch = TINY.num_train // TINY.batch_size
    for step in range(TINY.steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(y), generator=devices.generator("batches", 0, 0, step // per_epoch))
        rows = order[step % per_epoch * TINY.batch_size :][: TINY.batch_size]
        adam.zero_grad()
        functional.cross_entropy(network(x[rows]), y[rows]).backward()
        adam.step()
    with torch.no_grad():
        loss = float(functional.cross_entropy(network(x), y))
        error = float((network(test_x).argmax(1) != test_y).double().mean())
    last = record.isel(seed=0, step=-1).sel(condition="50%")
    assert float(last.train_loss) == pytest.approx(loss, rel=1e-3)
    assert float(last.test_error) == pytest.approx(error, abs=0.011)


def test_steps_to_fit_is_the_first_probe_below_one_percent(record: xr.Dataset) -> None:
    for seed in record.seed.values:
        for condition in record.condition.values:
            mine = record.sel(seed=seed, condition=condition)
            below = np.flatnonzero(mine.train_error.values <= 0.01)
            expected = record.step.values[below[0]] if len(below) else np.nan
            np.testing.assert_equal(float(mine.steps_to_fit), float(expected))


def planted(**errors: tuple[float, float]) -> xr.Dataset:
    """Two seeds that end with the given training and test errors, by share of random labels."""
    names = [name.lstrip("p") + "%" for name in errors]
    ends = np.array(list(errors.values()))
    shape = (2, len(names), 1)
    return xr.Dataset(
        {
            "train_error": (("seed", "condition", "step"), np.broadcast_to(ends[:, :1], shape)),
            "test_error": (("seed", "condition", "step"), np.broadcast_to(ends[:, 1:], shape)),
            "steps_to_fit": (("seed", "condition"), np.full(shape[:2], 100.0)),
        },
        {"condition": names},
    )


def test_checks_fail_on_planted_records() -> None:
    fine = planted(p0=(0, 0.1), p25=(0, 0.3), p50=(0, 0.5), p75=(0, 0.7), p100=(0, 0.9))
    assert random_labels_checks.all_fit(fine).holds
    assert random_labels_checks.gap(fine).holds
    assert random_labels_checks.steps_up(fine).holds
    assert not random_labels_checks.slower(fine).holds
    assert not random_labels_checks.all_fit(planted(p0=(0, 0.1), p100=(0.001, 0.9))).holds
    assert not random_labels_checks.gap(planted(p0=(0, 0.5), p100=(0, 0.9))).holds
    assert not random_labels_checks.steps_up(planted(p0=(0, 0.1), p25=(0, 0.3), p50=(0, 0.32))).holds
    never = fine.assign(steps_to_fit=fine.steps_to_fit.where(fine.condition == "0%"))
    assert not random_labels_checks.slower(never).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shares", (0.5, 1.0)), ("shares", (0.0, 1.5)), ("shares", (0.0, 0.5, 0.25)), ("damage", "burned"), ("shrink", 3),
        ("batch_size", 61), ("num_probes", 1), ("hidden_size", 0), ("steps", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(random_labels.SMOKE, **{field: value})


def test_nothing_is_left_when_all_is_left_out() -> None:
    with pytest.raises(ValueError, match="shares"):
        replace(random_labels.SMOKE, damage="left_out", shares=(0.0, 1.0))
