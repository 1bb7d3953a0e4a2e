from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from heldout.double_descent import gaussian_checks, gaussian_risk, gaussian_theory

TINY = replace(
    gaussian_risk.SMOKE,
    dims=(12,),
    train_counts=(6,),
    decays=(0.0,),
    trials_per_seed=10,
    num_seeds=2,
    limit_trials=2,
    aspects=(0.5,),
)


@pytest.mark.parametrize("degrees", [3, 5, 6, 40])
def test_the_mean_reciprocal_of_a_chi_square_is_what_the_proof_uses(degrees):
    value, _ = integrate.quad(lambda x: stats.chi2.pdf(x, degrees) / x, 0, np.inf)
    assert value == pytest.approx(1 / (degrees - 2), rel=1e-5)


def test_exact_risk_at_hand_worked_points():
    assert gaussian_theory.exact_risk(40, 20, 0.2, 0.8, 0.2) == pytest.approx(0.84 * (1 + 20 / 19))
    assert gaussian_theory.exact_risk(40, 80, 0.8, 0.2, 0.2) == pytest.approx(0.8 / 2 + 0.24 * (1 + 40 / 39))
    assert all(gaussian_theory.exact_risk(40, p, 0.4, 0.6, 0.2) == np.inf for p in (39, 40, 41))


def test_exact_risk_tends_to_the_limit_when_nothing_is_left_out():
    for aspect in (0.3, 0.8, 1.4, 4.0):
        n = 200_000
        finite = gaussian_theory.exact_risk(n, round(aspect * n), 1.0, 0.0, 0.5) - 0.25
        assert finite == pytest.approx(gaussian_theory.limit_risk(aspect, 1.0, 0.5), rel=1e-3)


@pytest.mark.parametrize("p", [3, 5, 7, 8, 9, 12])
@pytest.mark.parametrize("ridge", [0.0, 2.0])
def test_fit_is_the_pseudo_inverse_or_ridge_regression(p, ridge):
    x = torch.randn(4, 8, p, dtype=torch.float64, generator=torch.Generator().manual_seed(p))
    y = torch.randn(4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for trial in range(4):
        if ridge:
            gram = x[trial].T @ x[trial] + ridge * torch.eye(p, dtype=torch.float64)
            expected = torch.linalg.solve(gram, x[trial].T @ y[trial])
        else:
            expected = torch.from_numpy(np.linalg.pinv(x[trial].numpy())) @ y[trial]
        torch.testing.assert_close(gaussian_theory.fit(x, y, ridge)[trial], expected, rtol=1e-8, atol=1e-9)


def test_risk_is_the_mean_squared_error_on_fresh_draws():
    weights = gaussian_theory.signal(6, 1.0)
    options = {"noise_std": 0.3, "ridge": 0.0, "correlation": 0.6, "trials": 1, "seed": 3}
    risk = gaussian_theory.simulate(
        "gaussian", 5, (2,), weights, **options, device=torch.device("cpu"), advance=lambda _: None
    )[0, 0]
    mixing = gaussian_theory.correlated(6, 0.6)
    draw = gaussian_theory.generator("gaussian_risk", "gaussian", 5, 6, 3, 0)
    x = torch.randn(1, 5, 6, generator=draw, dtype=torch.float64)[0] @ mixing.T
    y = x @ weights + 0.3 * torch.randn(1, 5, generator=draw, dtype=torch.float64)[0]
    fitted = torch.from_numpy(np.linalg.pinv(x[:, :2].numpy())) @ y
    fresh = torch.randn(400_000, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ mixing.T
    noise = 0.3 * torch.randn(400_000, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    error = (fresh[:, :2] @ fitted - fresh @ weights - noise).square().mean()
    assert risk == pytest.approx(float(error), rel=0.02)


def test_correlated_features_have_unit_variance_and_the_asked_correlation():
    mixing = gaussian_theory.correlated(5, 0.9)
    covariance = (mixing @ mixing.T).numpy()
    assert covariance == pytest.approx(0.9 ** np.abs(np.subtract.outer(np.arange(5), np.arange(5))))


def test_same_seed_same_record_and_another_seed_another():
    first, again = gaussian_risk.run(TINY), gaussian_risk.run(TINY)
    assert first.identical(again.assign_attrs(first.attrs))
    assert not np.array_equal(first["mean"], gaussian_risk.run(replace(TINY, first_seed=1))["mean"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dims", (100,)),
        ("train_counts", (3, 100, 60)),
        ("decays", (-1.0, 0.0, 0.0)),
        ("noise_std", -0.1),
        ("ridge", -1.0),
        ("correlation", 1.0),
        ("trials_per_seed", 1),
        ("num_seeds", 0),
        ("aspects", (1.0,)),
        ("limit_trials", 1),
    ],
)
def test_bad_settings_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        replace(gaussian_risk.BOOK, **{field: value})


def test_agreement_is_judged_point_by_point():
    record = gaussian_risk.run(TINY)
    planted = record.copy()
    planted["mean"] = planted.exact + 3.9 * planted.standard_error
    assert gaussian_checks.agrees(planted).holds
    planted["mean"] = planted.exact + 4.1 * planted.standard_error
    assert not gaussian_checks.agrees(planted).holds


def test_a_peak_two_features_off_does_not_count():
    record = gaussian_risk.run(TINY)
    for offset, holds in ((0, True), (1, True), (3, False)):
        planted = record.copy()
        planted["median"] = -np.abs(planted.feature_count - planted.train_count - offset)
        assert gaussian_checks.peak_offset(planted).holds is holds
