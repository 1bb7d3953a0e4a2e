"""One run against a plain loop, claims against planted records, bad sizes by name."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.grokking import grokked, semi_grokking
from heldout.grokking import semi_grokking_checks as checks
from heldout.grokking.modular import split


def test_a_run_against_a_plain_loop() -> None:
    config = replace(semi_grokking.SMOKE, decay_rate=0.25, decay_times=12.0, probe_every=4, num_seeds=1)
    record, data = semi_grokking.run(config), split(11, 0.5, 0)
    assert record.step.values.tolist() == list(range(0, 49, 4))
    for decay in config.weight_decays:
        (model,) = grokked.members(11, 16, [0])
        adam = torch.optim.AdamW(model.parameters(), lr=0.25 / decay, betas=(0.9, 0.98), weight_decay=decay)
        answers = []
        for step in range(49):
            with torch.no_grad():
                answers.append(model(data.test_pairs).argmax(1))
            if step == 48:
                break
            adam.zero_grad()
            functional.cross_entropy(model(data.train_pairs), data.train_targets).backward()
            adam.step()
        mine = record.sel(weight_decay=decay, seed=0)
        for step in (4, 24):
            right = float((answers[step] == data.test_targets).float().mean())
            assert float(mine.test_accuracy.sel(step=step)) == pytest.approx(right, abs=0.04)
        assert float(mine.itself) == pytest.approx(float((answers[48] == answers[36]).float().mean()), abs=0.06)


def planted(*, end: float = 0.6, before: float = 0.6, at_fit: float = 0.02, train: float = 1.0) -> xr.Dataset:
    """Two decays and two seeds: fitted at the first update, ``before`` in the third quarter and ``end`` in the last."""
    steps = np.array([0, 1, *range(5, 101, 5)])
    curve = np.select([steps < 5, steps <= 10, steps <= 40, steps <= 75], [at_fit, 0.05, steps / 66, before], end)
    fit = np.where(steps > 0, train, 0.0)
    dims = ("weight_decay", "seed", "step")
    shape = (2, 2, len(steps))
    return xr.Dataset(
        {
            "test_accuracy": (dims, np.broadcast_to(curve, shape)),
            "train_accuracy": (dims, np.broadcast_to(fit, shape)),
            "itself": (dims[:2], np.full((2, 2), 0.5)),
        },
        {"weight_decay": [1.0, 2.0], "seed": [0, 1], "step": steps},
        {"decay_rate": 1.0, "pairs": 100, "fraction": 0.3},
    )


def test_measures_by_hand() -> None:
    record = planted(before=0.5)
    assert checks.window(record, 3).values == pytest.approx(np.full((2, 2), 0.6))
    assert checks.drift(record).values == pytest.approx(np.full((2, 2), 0.1))
    assert checks.fit_step(record).values.tolist() == [[1, 1], [1, 1]]
    assert checks.at_fit(record).values == pytest.approx(np.full((2, 2), 0.02))


def test_claims_hold_on_a_planted_record_and_fail_in_their_controls() -> None:
    record = planted()
    for claim in semi_grokking.CLAIMS:
        assert claim.check(record).holds, claim.id
        if claim.control.change is not None:
            assert not claim.check(claim.control.change(record)).holds, claim.id
            assert claim.control.manipulation(claim.control.change(record)).holds, claim.id


def test_claims_fail_where_they_should() -> None:
    assert not checks.late(planted(end=0.3)).holds
    assert not checks.late(planted(at_fit=0.2)).holds
    assert not checks.late(planted(train=0.9)).holds
    assert not checks.in_part(planted(end=0.98)).holds
    assert not checks.settled(planted(before=0.45)).holds
    assert not checks.fitted(planted(train=0.9)).holds


def test_numbers_and_words_of_a_planted_record() -> None:
    found = semi_grokking.numbers(planted())
    assert found["end_1"] == pytest.approx(0.6)
    assert "0.60 at decay 1, 0.60 at decay 2" in semi_grokking.describe(planted())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 12), ("hidden_size", 0), ("fraction", 1.0), ("weight_decays", ()), ("weight_decays", (2.0, 1.0)),
        ("weight_decays", (0.0, 1.0)), ("decay_rate", 1.5), ("decay_times", 5.0), ("probe_every", 0), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(semi_grokking.SMOKE, **{field: value})
