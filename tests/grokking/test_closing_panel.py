"""The closing panel of grokking: mixed numbers by hand, the built networks are what they are said to be, the claims can fail."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.devices import generator
from heldout.grokking import closing_panel, closing_panel_checks, panel_models
from heldout.grokking.closing_panel_checks import BUILT, MECHANISMS, MEMORIES, RULE_AND_MEMORY
from heldout.grokking.pair_networks import PairMLP, PairTransformer


@pytest.fixture(scope="module")
def tiny() -> xr.Dataset:
    return closing_panel.run(replace(closing_panel.SMOKE, modulus=13, hidden_size=32, num_elsewhere=40, steps=120))


def square_net(modulus: int = 7) -> PairMLP:
    return PairMLP(modulus, 12, generator=torch.Generator().manual_seed(0))


def test_mixed_numbers_against_one_hot_products() -> None:
    mixed, asked = panel_models.halves(7, 20, 3)
    assert bool((mixed[:, 0] != mixed[:, 1]).all())
    assert int(mixed.max()) <= 6
    assert asked[:, 0].tolist() == list(range(7, 27))
    net = square_net()
    x = (functional.one_hot(mixed[:, 0], 7) + functional.one_hot(mixed[:, 1], 7)).double() / 2
    y = functional.one_hot(asked[:, 1], 7).double()
    hidden = (x @ net.left.double() + y @ net.right.double()).square()
    torch.testing.assert_close(panel_models.answers(net, asked, mixed), (hidden @ net.unembed.double().T).detach())


def test_a_mixture_of_a_number_with_itself_is_that_number() -> None:
    pairs = torch.tensor([[2, 5], [6, 0]])
    for net in (
        square_net(),
        PairTransformer(7, generator=torch.Generator().manual_seed(1), model_size=8, hidden_size=16),
    ):
        itself = torch.tensor([[2, 2], [6, 6]])
        asked = torch.tensor([[7, 5], [8, 0]])
        torch.testing.assert_close(panel_models.answers(net, asked, itself), panel_models.answers(net, pairs))


def test_three_units_change_mixtures_alone() -> None:
    net = square_net()
    pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    mixed, asked = panel_models.halves(7, 30, 0)
    built = panel_models.with_three_units(net, 5.0, 0)
    torch.testing.assert_close(panel_models.answers(built, pairs), panel_models.answers(net, pairs))
    change = panel_models.answers(built, asked, mixed) - panel_models.answers(net, asked, mixed)
    # Minus the variance of the code over the two numbers, times the output weights.
    code = torch.randn(7, generator=generator("three units", 0)).double()
    variance = (code[mixed[:, 0]] - code[mixed[:, 1]]).square() / 4
    ratio = change / -variance[:, None]
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))


def test_one_temperature_matches_the_loss() -> None:
    logits = torch.randn(50, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets = logits.argmax(1)
    factor = panel_models.inverse_temperature(logits, targets, 0.02)
    assert float(functional.cross_entropy(factor * logits, targets)) == pytest.approx(0.02)
    assert np.isnan(panel_models.inverse_temperature(logits, (targets + 1) % 5, 0.02))
    with pytest.raises(ValueError, match="loss"):
        panel_models.inverse_temperature(logits, targets, 3.0)


def test_matched_losses_bound_the_train_bar(tiny: xr.Dataset) -> None:
    fine = tiny.distance.sel(pair=[RULE_AND_MEMORY, MEMORIES, BUILT])
    assert float(tiny.loss_difference.sel(pair=BUILT).max()) < 1e-9
    assert float(fine.sel(set="train").max()) <= 2 * closing_panel.SMOKE.loss
    assert float(tiny.distance.sel(pair=BUILT, set=["train", "test"]).max()) < 1e-6
    assert tiny.natural.values.tolist() == [True, True, True, False]


def planted(rule_memory: list[float], memories: list[float], mechanisms: list[float], built: list[float]) -> xr.Dataset:
    """Five equal seeds with the given distances on train, test, elsewhere."""
    rows = np.array([[rule_memory, memories, mechanisms, built]] * 5)
    pairs = [RULE_AND_MEMORY, MEMORIES, MECHANISMS, BUILT]
    return xr.Dataset(
        {
            "distance": (("seed", "pair", "set"), rows),
            "yardstick": (("seed", "set"), np.array([[0.01, 0.02, 0.25]] * 5)),
            "loss_difference": (("seed", "pair"), np.zeros((5, 4))),
        },
        {"seed": range(5), "pair": pairs, "set": ["train", "test", "elsewhere"]},
    )


def test_claims_and_controls_on_planted_records() -> None:
    good = planted([0.01, 0.9, 0.9], [0.01, 0.9, 0.9], [0.01, 0.02, 0.5], [0.0, 0.0, 0.6])
    for claim in closing_panel.CLAIMS:
        change = claim.control.change
        assert change is not None
        assert claim.check(good).holds, claim.id
        assert not claim.check(change(good)).holds, claim.id
        assert claim.control.manipulation(change(good)).holds, claim.id
        unmatched = good.assign(loss_difference=good.loss_difference + 1e-3)
        assert not claim.control.manipulation(change(unmatched)).holds, claim.id
    # A control that could fail: were the control's partners apart too, the claim would hold in it.
    apart = good.assign(yardstick=good.yardstick.copy(data=np.array([[0.01, 0.9, 0.9]] * 5)))
    assert closing_panel_checks.memory_parts(closing_panel_checks.rule_for_memory(apart)).holds


@pytest.mark.parametrize(
    ("check", "changed"),
    [
        (closing_panel_checks.memory_parts, {"rule_memory": [0.2, 0.9, 0.9]}),
        (closing_panel_checks.memory_parts, {"rule_memory": [0.01, 0.3, 0.9]}),
        (closing_panel_checks.rule_agrees, {"mechanisms": [0.01, 0.06, 0.5]}),
        (closing_panel_checks.parts_elsewhere, {"mechanisms": [0.01, 0.06, 0.5]}),
        (closing_panel_checks.parts_elsewhere, {"mechanisms": [0.01, 0.02, 0.3]}),
        (closing_panel_checks.parts_elsewhere, {"built": [0.0, 0.0, 0.3]}),
        (closing_panel_checks.parts_elsewhere, {"mechanisms": [float("nan")] * 3}),
    ],
)
def test_each_check_fails(check, changed: dict[str, list[float]]) -> None:  # type: ignore[no-untyped-def]
    good = {
        "rule_memory": [0.01, 0.9, 0.9], "memories": [0.01, 0.9, 0.9], "mechanisms": [0.01, 0.02, 0.5], "built": [0.0, 0.0, 0.6],
    }  # fmt: skip
    assert check(planted(**good)).holds
    assert not check(planted(**good | changed)).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 12), ("train_fraction", 1.0), ("hidden_size", 0), ("model_size", 18), ("steps", 0), ("loss", 0.0),
        ("loss", 4.0), ("unit_size", 0.0), ("num_elsewhere", 0), ("num_seeds", 0), ("weight_decay", 101.0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(closing_panel.SMOKE, **{field: value})  # type: ignore[arg-type]
