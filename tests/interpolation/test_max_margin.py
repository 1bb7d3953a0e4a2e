"""The way to the largest margin: the oracle is exact, descent is descent, the flow is its limit, and the claims can fail."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.svm import SVC

from heldout.interpolation import margin_checks, margin_descent, margin_tasks, max_margin

PLANE = margin_tasks.plane(0, 12, 50, 0.1)
GRAM = PLANE.train @ PLANE.train.T


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return max_margin.run(max_margin.SMOKE, device="cpu")


def test_largest_margin_is_the_support_vector_machines() -> None:
    for task in (PLANE, margin_tasks.digits("bundled", 1, 60)):
        signed = task.train.numpy()
        best = margin_descent.largest_margin(signed @ signed.T)
        mirrored = np.concatenate([signed, -signed])  # so that the machine's own offset is 0
        machine = SVC(kernel="linear", C=1e10, tol=1e-10).fit(mirrored, np.repeat([1, -1], len(signed)))
        direction = machine.coef_[0] / np.linalg.norm(machine.coef_)
        assert (signed @ direction).min() == pytest.approx(best.margin, rel=1e-6)
        ours = best.weights @ signed
        assert ours / np.linalg.norm(ours) == pytest.approx(direction, abs=1e-5)
        assert abs(best.duality_gap) < 1e-10
        assert best.weights.min() >= 0
        assert best.weights.sum() == pytest.approx(1)


def test_two_points_by_hand() -> None:
    """The hull of (1, 0) and (0, 2) is nearest to 0 at (4/5, 2/5): margin 2 / sqrt 5, weights 4/5 and 1/5."""
    signed = np.array([[1.0, 0.0], [0.0, 2.0]])
    best = margin_descent.largest_margin(signed @ signed.T)
    assert best.margin == pytest.approx(2 / np.sqrt(5))
    assert best.weights == pytest.approx([0.8, 0.2])
    assert best.constant == pytest.approx(-0.8 * np.log(0.8) - 0.2 * np.log(0.2) + np.log(0.8))


def test_what_no_direction_separates_is_refused() -> None:
    signed = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match="gram"):
        margin_descent.largest_margin(signed @ signed.T)


@pytest.mark.parametrize("rule", ["gradient descent", "squared loss"])
def test_descent_is_gradient_descent_on_the_weights(rule: str) -> None:
    """The same steps taken by autograd on w itself."""
    z, steps = PLANE.train, 40
    values = torch.linalg.eigvalsh(GRAM)
    w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    rate = len(z) / values[-1] * (4 if rule == "gradient descent" else 1)
    for _ in range(steps):
        outputs = z @ w
        losses = torch.log1p((-outputs).exp()) if rule == "gradient descent" else (1 - outputs) ** 2 / 2
        (gradient,) = torch.autograd.grad(losses.mean(), w)
        w = (w - rate * gradient).detach().requires_grad_()
    a = margin_descent.descend(GRAM, rule, steps=steps, probe_steps=[steps])[-1]
    torch.testing.assert_close(a @ z, w.detach(), rtol=1e-9, atol=1e-9)


def test_normalized_steps_have_one_length_and_the_gradients_direction() -> None:
    a = margin_descent.descend(GRAM, "normalized", steps=30, probe_steps=list(range(31)))
    moves = (a[1:] - a[:-1]) @ PLANE.train
    torch.testing.assert_close(
        moves.norm(dim=1), 1 / PLANE.train.norm(dim=1).max() * torch.ones(30, dtype=torch.float64)
    )
    w = a[20] @ PLANE.train
    gradient = torch.sigmoid(-(PLANE.train @ w)) @ PLANE.train
    torch.testing.assert_close(moves[20] / moves[20].norm(), gradient / gradient.norm())


def test_normalized_descent_outlives_the_smallest_float() -> None:
    a = margin_descent.descend(GRAM, "normalized", steps=20_000, probe_steps=[20_000])
    margin, outputs = margin_descent.margins(GRAM, a)
    assert float(outputs.min()) > 800  # exp(-800) is 0
    assert torch.isfinite(margin).all()


def test_the_flow_is_where_descent_goes() -> None:
    log_times = [np.log(1000), np.log(5000)]
    followed, _ = margin_descent.flow(GRAM.numpy(), log_times, "exponential")
    margin, _ = margin_descent.margins(
        GRAM, margin_descent.descend(GRAM, "gradient descent", steps=5000, probe_steps=[1000, 5000])
    )
    assert followed == pytest.approx(margin.numpy(), rel=1e-2)


def test_slopes_are_derivatives() -> None:
    u = np.linspace(-30, 30, 61)
    for tail in margin_descent.TAILS:
        ahead, behind = (margin_descent.log_slope(u + h, tail)[0] for h in (1e-5, -1e-5))
        slope, change = margin_descent.log_slope(u, tail)
        assert change == pytest.approx((ahead - behind) / 2e-5, abs=1e-6)
        assert np.isfinite(slope).all()


def test_the_record_holds_what_theory_says(smoke: xr.Dataset) -> None:
    assert float(smoke.gap.min()) > -1e-9  # no margin beats the largest
    assert float(abs(smoke.duality_gap).max()) < 1e-9
    reached = smoke.flow_gap.sel(tail="exponential").isel(log_time=-1) * smoke.log_time[-1]
    assert float(abs(reached - smoke.constant).max()) < 0.03
    assert float(smoke.tail_alignment.min()) > 0.999


def test_claims_hold_or_fail_on_planted_records(smoke: xr.Dataset) -> None:
    by_id = {claim.id.split(".")[1]: claim for claim in max_margin.CLAIMS}
    assert by_id["limit"].check(smoke).holds
    assert not by_id["limit"].check(smoke.assign(constant=smoke.constant + 0.1)).holds
    fast = smoke.copy(deep=True)
    fast.gap.loc[{"rule": "gradient descent", "step": smoke.step[-1]}] = 1e-3
    assert not by_id["slow"].check(fast).holds
    assert not by_id["normalized"].check(smoke.assign(gap=smoke.gap + 0.02)).holds
    still = smoke.copy(deep=True)
    still.gap.loc[{"task": "digits"}] = 0.9
    assert not by_id["grows"].check(still).holds
    moved = smoke.copy(deep=True)
    moved.test_error.loc[{"step": smoke.step[-1]}] += 0.1
    assert not by_id["test_error_stays"].check(moved).holds
    unfit = smoke.assign(train_error=smoke.train_error + 0.1)
    for name in ("slow", "normalized", "grows"):
        assert not by_id[name].control.manipulation(unfit).holds
    assert not by_id["limit"].control.manipulation(smoke.assign(tail_alignment=smoke.tail_alignment * 0.9)).holds


def test_growth_counts_from_a_fixed_step(smoke: xr.Dataset) -> None:
    (grows,) = (claim for claim in max_margin.CLAIMS if claim.id == "max_margin.grows")
    step = margin_checks.late_step(smoke)
    record = smoke.assign(gap=xr.where(smoke.step >= step, 0.5, 0.9) + xr.zeros_like(smoke.gap))
    record["train_error"] = xr.zeros_like(smoke.train_error)
    assert not grows.check(record).holds  # all was won before
    record.gap.loc[{"step": smoke.step[-1]}] = 0.3
    assert grows.check(record).value == pytest.approx(0.2)
    record.train_error.loc[{"step": step}] = 0.01
    assert not grows.check(record).holds


def test_first_fit_is_the_last_error_gone() -> None:
    wrong = xr.DataArray([[[0.1, 0.0, 0.1, 0.0, 0.0]]], dims=("task", "seed", "step"), coords={"step": [1, 2, 3, 4, 5]})
    record = xr.Dataset({"train_error": wrong.expand_dims(rule=["r"])})
    assert margin_checks.fitted_from(record, "r").item() == 4
    never = xr.Dataset({"train_error": (wrong + 1).expand_dims(rule=["r"])})
    assert np.isnan(margin_checks.fitted_from(never, "r").item())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 50),
        ("probes", 5),
        ("num_pairs", 1),
        ("half_gap", 0.0),
        ("half_gap", float("inf")),
        ("digits", "none"),
        ("num_digits", 900),
        ("num_seeds", 0),
    ],
)
def test_bad_config(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(max_margin.SMOKE, **{field: value})


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="rule"):
        margin_descent.descend(GRAM, "newton", steps=10, probe_steps=[10])
    with pytest.raises(ValueError, match="probe_steps"):
        margin_descent.descend(GRAM, "normalized", steps=10, probe_steps=[11])
    with pytest.raises(ValueError, match="tail"):
        margin_descent.flow(GRAM.numpy(), [1.0], "flat")
    with pytest.raises(ValueError, match="num_train"):
        margin_tasks.digits("bundled", 0, 500)
    with pytest.raises(ValueError, match="half_gap"):
        margin_tasks.plane(0, 5, 5, 0.0)
