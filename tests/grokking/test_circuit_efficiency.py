"""Costs against a closed form and against weights scaled for real, crossings by hand, claims against planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.grokking import circuit_efficiency, circuit_efficiency_checks, grokked
from heldout.grokking.modular import all_pairs
from heldout.losses import stable_cross_entropy


def test_cost_by_scaling_the_weights_for_real() -> None:
    (network,) = grokked.members(7, 32, [0])
    pairs = all_pairs(7)[:20]
    with torch.no_grad():
        targets = network(pairs).argmax(-1)
        cost = circuit_efficiency.cost(network, pairs, targets, 0.05)
        norm = sum(float(weight.square().sum()) for weight in network.parameters())
        for weight in network.parameters():
            weight.mul_((cost / norm) ** 0.5)
        assert float(stable_cross_entropy(network(pairs), targets).mean()) == pytest.approx(0.05, rel=1e-4)
    wrong = (targets + 1) % 7
    assert circuit_efficiency.cost(network, pairs, wrong, 0.05) == float("inf")


def test_cost_in_closed_form() -> None:
    """Two classes and one pair: the lead is -log(exp(loss) - 1), and the squared norm is (lead / lead at norm 1)^(2/3)."""
    (network,) = grokked.members(3, 8, [1])
    with torch.no_grad():
        network.unembed[2] = -1e3 * network.hidden(all_pairs(3)[:1]).sign()[0]  # the third class plays no part
        logits = network(all_pairs(3)[:1])[0]
        target = int(logits.argmax())
        lead = float(logits[:2].max() - logits[:2].min())
        norm = sum(float(weight.square().sum()) for weight in network.parameters())
    wanted = norm * (-np.log(np.expm1(0.3)) / lead) ** (2 / 3)
    found = circuit_efficiency.cost(network, all_pairs(3)[:1], torch.tensor([target]), 0.3)
    assert found == pytest.approx(wanted, rel=1e-4)


def planted(
    true: tuple[float, ...] = (400.0, 800.0, 1500.0, 1600.0),
    random: tuple[float, ...] = (900.0, 1800.0, 3400.0, 4000.0),
    right: tuple[float, ...] = (0.0, 0.05, 0.9, 1.0),
    early: float = 0.3,
    train: float = 1.0,
) -> xr.Dataset:
    """Two equal seeds at fractions 0.05, 0.1, 0.3 and 0.4 with the given costs and held-out accuracies at the end."""
    fractions = [0.05, 0.1, 0.3, 0.4]
    dims = ("seed", "arm", "penalty", "fraction", "step")
    test = np.zeros((2, 2, 2, 4, 3))
    test[:, 0, :, :, -1] = right
    test[:, 0, 0, :, 1] = np.maximum(right, early)
    test[:, 0, 1, :, 1] = right
    test[:, 0, 0, 0, 1] = 0.45
    costs = np.zeros((2, 2, 2, 4, 3))
    costs[:, 0] = np.array(true)[None, None, :, None]
    costs[:, 1] = np.array(random)[None, None, :, None]
    return xr.Dataset(
        {
            "test_accuracy": (dims, test),
            "train_accuracy": (dims, np.full_like(test, train)),
            "cost": ((*dims[:-1], "target"), costs),
        },
        {
            "seed": [0, 1], "arm": ["grokked", "random"], "penalty": [1e-5, 1e-4], "fraction": fractions, "step": [0, 10, 100],
            "target": [1e-2, 1e-3, 1e-4],
        },
    )  # fmt: skip


def test_crossings_by_hand() -> None:
    record = planted()
    # Costs of memorized true labels double with the fraction: 8000 f. They meet 1600 at 0.2.
    assert circuit_efficiency_checks.table_crossing(record).values == pytest.approx([0.2, 0.2])
    assert circuit_efficiency_checks.place(record).values == pytest.approx([0.1 + 0.2 * 0.45 / 0.85] * 2)
    assert circuit_efficiency_checks.random_crossing(record).values == pytest.approx([0.05 + 0.05 * 700 / 900] * 2)
    assert circuit_efficiency_checks.growth(record).values == pytest.approx([3400 / 1800] * 2)
    assert np.isnan(circuit_efficiency_checks.rule_cost(planted(right=(0.0, 0.05, 0.5, 0.8)))).all()


def test_checks_on_planted_records() -> None:
    fine = planted()
    checks = circuit_efficiency_checks
    assert checks.table_grows(fine).holds
    assert checks.same_place(fine).holds
    assert checks.crossing_is_the_place(fine).holds
    assert not checks.table_grows(planted(random=(900.0, 1800.0, 3400.0, 3600.0))).holds
    assert not checks.same_place(checks.read_early(planted(early=0.6))).holds
    assert not checks.crossing_is_the_place(planted(true=(700.0, 1400.0, 1500.0, 1600.0))).holds
    priced = fine.assign(cost=fine.cost * xr.DataArray([1.0, 1.5, 2.25], dims="target"))
    assert checks.crossing_is_the_place(priced).holds
    assert checks.table_crossing(checks.unequal_losses(priced)).values == pytest.approx([0.2 / 2.25] * 2)
    assert not checks.crossing_is_the_place(checks.unequal_losses(priced)).holds
    assert not checks.table_grows(checks.rule_as_table(fine)).holds
    assert not checks.fitted(planted(train=0.5)).holds
    assert not checks.fitted_from_the_rule(planted(train=0.5)).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 10), ("arms", ("random",)), ("arms", ("grokked", "random", "old")), ("penalties", ()),
        ("penalties", (0.0, 1.0)), ("fractions", (0.3, 0.1)), ("targets", ()), ("learning_rate", 0.0), ("num_probes", 1),
        ("steps", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(circuit_efficiency.SMOKE, **{field: value})
