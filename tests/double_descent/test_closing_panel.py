"""The closing panel of double descent: the models are what they are said to be, and the claims can fail."""

from dataclasses import replace

import pytest
import torch
import xarray as xr

from heldout.double_descent import closing_panel
from heldout.double_descent import interpolant_fits as fits

TINY = replace(closing_panel.SMOKE, num_train=40, num_extra=60, num_test=100, num_seeds=2)


@pytest.fixture(scope="module")
def tiny() -> xr.Dataset:
    return closing_panel.run(TINY, device="cpu")


def test_all_models_interpolate_and_have_their_norms() -> None:
    problem = fits.prepare("bundled", (40, 60, 100), 320, 0, torch.device("cpu"))
    weights = closing_panel.models(TINY, problem)
    assert [len(weights[name]) for name in (closing_panel.NEAR, closing_panel.MIDDLE, closing_panel.FAR)] == [
        44,
        80,
        320,
    ]
    for name, found in weights.items():
        residual = problem.design[:, : len(found)] @ found - problem.targets
        assert float(residual.abs().max()) < 1e-9, name
    for name in (closing_panel.LARGE, closing_panel.HIDDEN):
        assert float(weights[name].norm() / weights[closing_panel.FAR].norm()) == pytest.approx(4.0)
    hidden, far = weights[closing_panel.HIDDEN], weights[closing_panel.FAR]
    assert float((problem.test @ (hidden - far)).abs().max()) < 1e-9


def test_the_controls_models_are_what_they_are_said_to_be() -> None:
    problem = fits.prepare("bundled", (40, 60, 100), 320, 0, torch.device("cpu"))
    turned = problem.extra[:50]  # any further rows will do
    found = closing_panel.models(TINY, problem)
    far, hidden = found[closing_panel.FAR], found[closing_panel.HIDDEN]
    controls = closing_panel.controls(TINY, problem, turned, far)
    reordered, everywhere = controls[closing_panel.REORDERED], controls[closing_panel.EVERYWHERE]
    assert float((reordered - far).abs().max()) < 1e-9
    assert float(everywhere.norm() / hidden.norm()) == pytest.approx(1.0)
    for rows in (problem.design, problem.test, turned):
        assert float((rows @ (everywhere - far)).abs().max()) < 1e-9
    assert float((turned @ (hidden - far)).abs().max()) > 0.01


def test_controls_read_measured_distances_and_can_be_unfair(tiny: xr.Dataset) -> None:
    for claim, control in zip(closing_panel.CLAIMS, closing_panel.CONTROLS, strict=True):
        change = claim.control.change
        assert change is not None
        assert not claim.check(change(tiny)).holds
        assert claim.control.manipulation(change(tiny)).holds
        apart = tiny.copy(deep=True)
        unseen = ["test", "elsewhere"] if control == closing_panel.REORDERED else ["elsewhere"]
        apart.control_distance.loc[{"control": control, "set": unseen}] = 0.5
        assert claim.check(change(apart)).holds, "a control's model that differs as a function must not break the claim"
        unfit = tiny.assign(residual=tiny.residual + 0.1)
        assert not claim.control.manipulation(change(unfit)).holds
    shorter = tiny.copy(deep=True)
    shorter.norm.loc[{"model": closing_panel.EVERYWHERE}] = 1.0
    assert not closing_panel.CLAIMS[1].control.manipulation(shorter).holds


def test_equal_losses_and_a_yardstick(tiny: xr.Dataset) -> None:
    assert float(tiny.loss_difference.max()) < 1e-16
    assert float(tiny.distance.sel(set="train").max()) == 0
    assert float(tiny.yardstick.sel(set="train").max()) == 0
    assert float(tiny.yardstick.sel(set="test").min()) > 0
    assert tiny.natural.values.tolist() == [True, True, False, False, False]


def test_claims_fail_when_training_digits_are_in_dispute(tiny: xr.Dataset) -> None:
    disputed = tiny.copy(deep=True)
    disputed.distance.loc[{"set": "train"}] = 0.01
    for claim in closing_panel.CLAIMS:
        assert claim.check(tiny).holds
        assert not claim.check(disputed).holds


@pytest.mark.parametrize(
    ("field", "value"), [("num_test", 140), ("num_extra", 300), ("norm_factor", 1.0), ("num_seeds", 0)]
)
def test_bad_config(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(TINY, **{field: value})
