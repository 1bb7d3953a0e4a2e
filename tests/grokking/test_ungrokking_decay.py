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

EPSILONS = (1e-8, 1e-3)


def adamw(
    model: nn.Module, data: Split, steps: int, *, rate: float, decay: float, eps: float = 1e-8, scale: float = 1.0
) -> None:
    adam = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=decay, eps=eps)
    for _ in range(steps):
        adam.zero_grad()
        functional.cross_entropy(scale * model(data.train_pairs), data.train_targets).backward()
        adam.step()


def answers(model: nn.Module, data: Split) -> torch.Tensor:
    with torch.no_grad():
        return model(data.test_pairs).argmax(1)


def right(model: nn.Module, data: Split) -> float:
    return float((answers(model, data) == data.test_targets).float().mean())


def small_gradients(model: nn.Module, data: Split, limit: float) -> float:
    model.zero_grad()
    functional.cross_entropy(model(data.train_pairs), data.train_targets).backward()
    return float(torch.cat([(w.grad.abs() < limit).flatten() for w in model.parameters()]).float().mean())


def test_trainings_against_plain_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "BACK", 5)
    config = replace(
        ungrokking_decay.SMOKE, first_steps=30, decay_rate=0.5, decay_times=10.0, num_seeds=1, epsilons=EPSILONS,
    )  # fmt: skip
    record, steps, data = ungrokking_decay.run(config), 20, split(config.modulus, 0.6, 0)
    ends = {}
    for epsilon in config.epsilons:
        for decay in config.weight_decays:
            (model,) = grokked.members(config.modulus, config.hidden_size, [0])
            adamw(model, split(config.modulus, config.first_fraction, 0), 30, rate=config.first_rate, decay=1.0)
            adamw(model, data, steps, rate=config.decay_rate / decay, decay=decay, eps=epsilon)
            found = record.sel(epsilon=epsilon, weight_decay=decay, fraction=0.6, seed=0)
            assert float(found.test_accuracy.sel(step=steps)) == pytest.approx(right(model, data), abs=0.03)
            assert float(found.below) == pytest.approx(small_gradients(model, data, 1e-3), abs=0.03)
            ends[epsilon, decay] = answers(model, data)
    (fresh,) = grokked.members(config.modulus, config.hidden_size, [0])
    adamw(fresh, data, steps, rate=config.decay_rate / 2, decay=2.0, eps=EPSILONS[0])
    last = record.sel(fraction=0.6, seed=0)
    assert float(last.fresh_test_accuracy.sel(step=steps)) == pytest.approx(right(fresh, data), abs=0.03)
    same = float((answers(fresh, data) == ends[EPSILONS[0], 2.0]).float().mean())
    assert float(last.starts) == pytest.approx(same, abs=0.05)


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
    *, usual: float = 0.6, tiny: float = 0.1, large: float = 0.3, below: float = 0.5, itself: float = 0.4, train: float = 1.0
) -> xr.Dataset:  # fmt: skip
    """Two seeds: after a dip to .05 the smaller decay ends at ``usual`` or ``tiny``, the larger at ``large``."""
    ends = np.array([[tiny, large], [usual, large]])[:, :, None, None]
    ends = np.broadcast_to(ends, (2, 2, 2, 2))  # epsilon, weight_decay, fraction, seed
    curve = np.stack([np.ones_like(ends), np.full_like(ends, 0.05), ends, ends, ends], -1)
    fresh = np.broadcast_to(np.array([0.01, 0.02, 0.2, 0.3, 0.35]), (2, 2, 5)).copy()
    low, same = np.zeros((2, 2, 2, 2)), np.full((2, 2, 2, 2), 0.95)
    low[1, 0], same[0] = below, itself
    dims = ("epsilon", "weight_decay", "fraction", "seed")
    coords = {
        "epsilon": [1e-15, 1e-8],
        "weight_decay": [1.0, 2.0],
        "fraction": [0.2, 0.3],
        "seed": [0, 1],
        "step": STEPS,
    }
    return xr.Dataset(
        {
            "test_accuracy": ((*dims, "step"), curve), "train_accuracy": ((*dims, "step"), np.full_like(curve, train)),
            "fresh_test_accuracy": (("fraction", "seed", "step"), fresh),
            "fresh_train_accuracy": (("fraction", "seed", "step"), np.ones_like(fresh)),
            "below": (dims, low), "itself": (dims, same), "starts": (dims[2:], np.full((2, 2), 0.4)),
        },
        coords, {"decay_rate": 1.0, "pairs": 100},
    )  # fmt: skip


def test_measures_by_hand() -> None:
    record = planted()
    assert checks.ahead(record).values == pytest.approx([0.3, 0.3])
    assert checks.apart(record).values == pytest.approx([0.05, 0.05])
    assert checks.fit_step(record).values.tolist() == [0, 0]
    assert checks.at_fit(record).values == pytest.approx([0.01, 0.01])
    assert checks.late(record.fresh_test_accuracy).values == pytest.approx(np.full((2, 2), 0.05))


def test_claims_hold_on_a_planted_record_and_fail_in_their_controls() -> None:
    record = planted()
    for claim in ungrokking_decay.CLAIMS:
        assert claim.check(record).holds, claim.id
        assert claim.control.change is not None
        assert not claim.check(claim.control.change(record)).holds, claim.id
        assert claim.control.manipulation(claim.control.change(record)).holds, claim.id


def test_claims_fail_where_they_should() -> None:
    assert not checks.epsilon_decides(planted(usual=0.45)).holds
    assert not checks.gradients_vanish(planted(below=0.01)).holds
    assert not checks.goes_on(planted(itself=0.9)).holds
    assert not checks.fitted(planted(train=0.9)).holds
    unfitted = planted()
    unfitted["fresh_train_accuracy"] = unfitted.fresh_train_accuracy * 0.5
    assert not checks.fitted(unfitted).holds
    assert np.isnan(checks.fit_step(unfitted)).all()


def test_frames_are_nested_by_decay() -> None:
    record = planted()
    series = forgetting(record)["data"]["series"]
    assert np.asarray(series[0]["values"]).shape == (2, 4)
    assert np.asarray(series[0]["values"])[0, -1] == pytest.approx(0.6)
    assert np.asarray(series[1]["values"])[0, -1] == pytest.approx(0.1)
    assert "end with 0.60 of the other pairs right, at 2 with 0.30" in question(record)["data"]["question"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 12), ("hidden_size", 0), ("first_steps", 0), ("weight_decays", (2.0, 1.0)), ("weight_decays", (0.0, 1.0)),
        ("epsilons", (1e-8, 1e-8)), ("epsilons", (0.0, 1e-8)), ("fractions", (0.6, 0.2)), ("fractions", (0.2, 0.9)),
        ("fractions", ()), ("decay_rate", 0.0), ("decay_rate", 1.5), ("decay_times", 5.0), ("num_probes", 2), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(ungrokking_decay.SMOKE, **{field: value})
