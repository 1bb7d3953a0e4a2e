"""Ungrokking against a plain loop, the place where accuracy crosses one half by hand, claims against planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.grokking import grokked, ungrokking, ungrokking_checks
from heldout.grokking.explore.which_circuit import forgetting
from heldout.grokking.modular import split


def test_the_progress_of_a_stage_does_not_depend_on_how_its_ensemble_is_cut() -> None:
    told: list[tuple[int, int]] = []
    heard = grokked.stage(lambda done, total: told.append((done, total)), 40, 10, 60)
    for done in (5, 10, 15, 20, 25, 30):  # three chunks of ten updates each
        heard(done, 30)
    assert told == [(41, 60), (43, 60), (45, 60), (46, 60), (48, 60), (50, 60)]


def test_the_second_training_against_a_plain_loop() -> None:
    config = replace(
        ungrokking.SMOKE, num_seeds=1, first_steps=20, steps=10, num_probes=2, fractions=(0.5,), weight_decays=(1.0,)
    )
    record = ungrokking.run(config)
    (model,) = grokked.members(config.modulus, config.hidden_size, [0])
    for fraction, steps in ((config.first_fraction, 20), (0.5, 10)):
        data = split(config.modulus, fraction, 0)
        adam = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=1.0)
        for _ in range(steps):
            adam.zero_grad()
            functional.cross_entropy(model(data.train_pairs), data.train_targets).backward()
            adam.step()
    with torch.no_grad():
        loss = functional.cross_entropy(model(data.test_pairs), data.test_targets)
    assert float(record.test_loss.isel(step=-1).squeeze()) == pytest.approx(float(loss), rel=1e-3)


def test_the_second_training_sees_only_pairs_of_the_first() -> None:
    first, second = split(23, 0.8, 3), split(23, 0.1, 3)
    seen = {tuple(pair) for pair in first.train_pairs.tolist()}
    assert {tuple(pair) for pair in second.train_pairs.tolist()} <= seen


def test_crossing_by_hand() -> None:
    x = np.array([0.1, 0.2, 0.4])
    assert ungrokking_checks.crossing(x, np.array([0.0, 0.25, 0.75])) == pytest.approx(0.3)
    assert np.isnan(ungrokking_checks.crossing(x, np.array([0.6, 0.7, 0.9])))
    assert np.isnan(ungrokking_checks.crossing(x, np.array([0.0, 0.1, 0.2])))


def planted(ends: list[float], without: float = 0.99, train: float = 1.0, shift: float = 0.0) -> xr.Dataset:
    """Two seeds that end at the given accuracies with decay, the second shifted, and at ``without`` without decay."""
    with_decay = np.array([ends, [end + shift for end in ends]])
    last = np.stack([np.full_like(with_decay, without), with_decay], 1)
    curves = np.stack([np.ones_like(last), last], -1)
    dims = ("seed", "weight_decay", "fraction", "step")
    coords = {"seed": [0, 1], "weight_decay": [0.0, 1.0], "fraction": [0.05, 0.1, 0.2], "step": [0, 10]}
    return xr.Dataset({"test_accuracy": (dims, curves), "train_accuracy": (dims, np.full_like(curves, train))}, coords)


def test_checks_on_planted_records() -> None:
    fine = planted([0.02, 0.3, 0.98])
    checks = (ungrokking_checks.forgets, ungrokking_checks.keeps, ungrokking_checks.one_place)
    assert all(check(fine).holds for check in checks)
    assert not ungrokking_checks.forgets(planted([0.2, 0.3, 0.98])).holds
    assert not ungrokking_checks.forgets(planted([0.02, 0.3, 0.98], train=0.5)).holds
    assert not ungrokking_checks.keeps(planted([0.02, 0.3, 0.9])).holds
    assert not ungrokking_checks.one_place(planted([0.02, 0.3, 0.96], shift=-0.25)).holds
    assert not ungrokking_checks.one_place(planted([0.6, 0.7, 0.98])).holds
    assert not ungrokking_checks.forgets(ungrokking_checks.without_decay(fine)).holds
    assert not ungrokking_checks.keeps(ungrokking_checks.fewest_as_most(fine)).holds
    assert not ungrokking_checks.fits(planted([0.02, 0.3, 0.98], train=0.9)).holds


def test_the_slider_is_nested_by_fraction_then_decay() -> None:
    data = forgetting(planted([0.02, 0.3, 0.98]))["data"]
    values = np.asarray(data["series"][0]["values"])
    assert values.shape == (3, 2, 1)
    assert values[0, 1, 0] == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 24), ("fractions", (0.5, 0.1)), ("fractions", (0.1, 0.9)), ("fractions", ()), ("weight_decays", (1.0, 0.0)),
        ("weight_decay", (1.0, 200.0)), ("steps", 0), ("num_probes", 1), ("hidden_size", 0), ("first_fraction", 1.0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    name = "weight_decays" if field == "weight_decay" else field
    with pytest.raises(ValueError, match="train_fraction" if field == "first_fraction" else field):
        replace(ungrokking.SMOKE, **{name: value})
