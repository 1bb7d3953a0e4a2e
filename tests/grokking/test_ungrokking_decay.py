"""The second training against a plain loop, decay as a temperature, claims against planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.nn import functional

from heldout.grokking import grokked, ungrokking_decay
from heldout.grokking import ungrokking_decay_checks as checks
from heldout.grokking.explore.ungrokking import forgetting, question
from heldout.grokking.modular import Split, split


def adamw(
    model: nn.Module, data: Split, steps: int, *, rate: float, decay: float, eps: float = 1e-8, scale: float = 1.0
) -> None:
    adam = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=decay, eps=eps)
    for _ in range(steps):
        adam.zero_grad()
        functional.cross_entropy(scale * model(data.train_pairs), data.train_targets).backward()
        adam.step()


def right(model: nn.Module, data: Split) -> float:
    with torch.no_grad():
        return float((model(data.test_pairs).argmax(1) == data.test_targets).float().mean())


def test_both_trainings_against_plain_loops() -> None:
    config = replace(
        ungrokking_decay.SMOKE, first_steps=30, decay_rate=0.5, decay_times=10.0, fractions=(0.3, 0.6), num_seeds=1, num_draws=1,
    )  # fmt: skip
    record, (steps,) = ungrokking_decay.run(config), (20,)
    for decay in config.weight_decays:
        (model,) = grokked.members(config.modulus, config.hidden_size, [0])
        adamw(model, split(config.modulus, config.first_fraction, 0), 30, rate=config.first_rate, decay=1.0)
        data = split(config.modulus, 0.6, 0)
        adamw(model, data, steps, rate=config.decay_rate / decay, decay=decay)
        found = record.test_accuracy.sel(weight_decay=decay, fraction=0.6, seed=0, step=steps)
        assert float(found) == pytest.approx(right(model, data), abs=0.03)
    (fresh,) = grokked.members(config.modulus, config.hidden_size, [0])
    adamw(fresh, data, steps, rate=config.decay_rate / decay, decay=decay)
    found = record.fresh_test_accuracy.sel(fraction=0.6, draw=0, step=steps)
    assert float(found) == pytest.approx(right(fresh, data), abs=0.03)


@pytest.mark.parametrize("decay", [0.5, 2.0])
def test_decay_is_a_clock_and_a_temperature(decay: float) -> None:
    """The proposition of the page: weights times the decay are those of a training with decay 1 and scaled logits."""
    data = split(11, 0.6, 0)
    one, other = (grokked.members(11, 16, [0])[0].double() for _ in range(2))
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(decay)
    adamw(one, data, 60, rate=0.05 / decay, decay=decay, eps=1e-8)
    adamw(other, data, 60, rate=0.05, decay=1.0, eps=1e-8 / decay, scale=decay**-3)
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(decay * mine, theirs, rtol=1e-6, atol=1e-9)


STEPS = [0, 5, 30, 40, 80]


def planted(
    *,
    low: float = 0.2,
    near: float = 0.6,
    dip: float = 0.1,
    fresh: float = 0.55,
    begun: float = 0.02,
    train: float = 1.0,
) -> xr.Dataset:
    """Two seeds and three draws: after a dip accuracy ends at .02, ``low``, ``near`` and .9 on four fractions."""
    ends = np.array([0.02, low, near, 0.9])
    curve = np.stack([np.ones(4), np.full(4, dip), ends, ends, ends], -1)
    grokked_curves = np.broadcast_to(curve[None, :, None], (3, 4, 2, 5)).copy()
    grokked_curves[-1, :, :, 1:] = ends[:, None, None]  # the largest decay does not dip
    fresh_ends = np.array([0.02, low, fresh, 0.9])
    fresh_curve = np.stack([np.full(4, 0.01), np.full(4, begun), fresh_ends, fresh_ends, fresh_ends], -1)
    fresh_curves = np.broadcast_to(fresh_curve[:, None], (4, 3, 5)).copy()
    dims, fresh_dims = ("weight_decay", "fraction", "seed", "step"), ("fraction", "draw", "step")
    coords = {
        "weight_decay": [0.5, 1.0, 2.0], "fraction": [0.1, 0.2, 0.3, 0.4], "seed": [0, 1], "draw": [0, 1, 2], "step": STEPS,
    }  # fmt: skip
    return xr.Dataset(
        {
            "test_accuracy": (dims, grokked_curves), "train_accuracy": (dims, np.full_like(grokked_curves, train)),
            "fresh_test_accuracy": (fresh_dims, fresh_curves), "fresh_train_accuracy": (fresh_dims, np.ones_like(fresh_curves)),
        },
        coords, {"decay_rate": 1.0, "pairs": 100},
    )  # fmt: skip


def test_measures_by_hand() -> None:
    record = planted()
    assert checks.place(record, 1.0).values == pytest.approx([0.275, 0.275])
    assert checks.shift(record).values == pytest.approx([1.0, 1.0])
    assert checks.return_after_fall(record).values == pytest.approx([0.5, 0.5])
    assert checks.apart(record).values == pytest.approx([0.0125, 0.0125])
    assert checks.early(record).step.values.tolist() == [0, 5]
    assert checks.fit_step(record).values.tolist() == [0, 0, 0]
    assert checks.partial_ends(record).values == pytest.approx([0.55] * 3)
    assert checks.late_change(record).values == pytest.approx([0.0] * 3)


def test_claims_hold_on_a_planted_record_and_fail_in_their_controls() -> None:
    record = planted()
    for claim in ungrokking_decay.CLAIMS:
        assert claim.check(record).holds, claim.id
        assert claim.control.change is not None
        assert not claim.check(claim.control.change(record)).holds, claim.id
        assert claim.control.manipulation(claim.control.change(record)).holds, claim.id


def test_claims_fail_where_they_should() -> None:
    moved = planted()
    moved.test_accuracy[{"weight_decay": 0}] = planted(low=0.6).test_accuracy[{"weight_decay": 0}]
    assert not checks.place_stays(moved).holds
    assert not checks.falls_then_returns(planted(dip=0.4)).holds
    assert not checks.both_starts(planted(fresh=0.1)).holds
    assert not checks.semi_grokking(planted(fresh=0.95)).holds
    assert not checks.semi_grokking(planted(fresh=0.1)).holds
    assert not checks.fitted(planted(train=0.9)).holds
    at_once = planted()
    at_once["fresh_test_accuracy"] = at_once.fresh_test_accuracy.where(at_once.step > 0, 0.5)
    assert not checks.semi_grokking(at_once).holds
    rising = planted()
    rising["fresh_test_accuracy"] = rising.fresh_test_accuracy.where(rising.step > 40, 0.1)
    rising["fresh_test_accuracy"] = rising.fresh_test_accuracy.where(rising.step != 40, 0.3)
    assert not checks.semi_grokking(rising).holds


def test_frames_are_nested_by_fraction_then_decay() -> None:
    record = planted()
    series = forgetting(record)["data"]["series"]
    assert np.asarray(series[0]["values"]).shape == (4, 3, 4)
    assert np.asarray(series[0]["values"])[2, 0, 0] == pytest.approx(0.1)
    assert np.asarray(series[1]["values"]).shape == (4, 4)
    assert "falls from 1.00 to 0.10" in question(record)["data"]["question"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 12), ("hidden_size", 0), ("first_steps", 0), ("weight_decays", (1.0,)), ("weight_decays", (2.0, 1.0)),
        ("weight_decays", (0.0, 1.0)), ("fractions", (0.6, 0.2)), ("fractions", (0.2, 0.9)), ("fractions", (0.2,)),
        ("decay_rate", 0.0), ("decay_rate", 1.5), ("decay_times", 5.0), ("num_probes", 2), ("num_seeds", 0), ("num_draws", 1),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(ungrokking_decay.SMOKE, **{field: value})
