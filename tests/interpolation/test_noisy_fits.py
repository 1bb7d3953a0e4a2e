"""Fitting noise: the rules against other implementations, the constants of the theory, and claims on planted records."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BarycentricInterpolator
from sklearn.neighbors import KNeighborsRegressor

from heldout.interpolation import noisy_fits
from heldout.interpolation.interpolators import chebyshev_nodes, nearest, polynomial, singular_kernel


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return noisy_fits.run(noisy_fits.SMOKE, device="cpu")


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_nearest_is_the_one_of_scikit_learn(seed: int) -> None:
    draw = np.random.default_rng(seed)
    x, y, at = np.sort(draw.random(20)), draw.normal(size=(20, 2)), draw.random(50)
    oracle = KNeighborsRegressor(n_neighbors=1).fit(x[:, None], y).predict(at[:, None])
    assert nearest(x, y, at) == pytest.approx(oracle)


@given(st.integers(0, 10_000), st.integers(4, 14))
@settings(max_examples=25, deadline=None)
def test_polynomial_is_the_one_of_scipy(seed: int, count: int) -> None:
    draw = np.random.default_rng(seed)
    x, y, at = chebyshev_nodes(count), draw.normal(size=(count, 1)), draw.random(30)
    oracle = BarycentricInterpolator(x, y[:, 0], rng=0)(at)
    assert polynomial(x, y, at)[:, 0] == pytest.approx(oracle, rel=1e-7, abs=1e-9)


def test_polynomial_reproduces_a_cubic() -> None:
    x = np.sort(np.random.default_rng(0).random(10))
    at = np.linspace(0, 1, 7)
    assert polynomial(x, (x**3 - x)[:, None], at)[:, 0] == pytest.approx(at**3 - at, abs=1e-8)


def test_singular_kernel_by_a_plain_loop() -> None:
    draw = np.random.default_rng(1)
    x, y = np.sort(draw.random(30)), draw.normal(size=(30, 1))
    for at in draw.random(20):
        weights = [abs(at - one) ** -0.4 if abs(at - one) <= 0.1 else 0.0 for one in x]
        if sum(weights):
            by_hand = sum(w * v for w, v in zip(weights, y[:, 0], strict=True)) / sum(weights)
            assert singular_kernel(x, y, np.array([at]), 0.1, 0.4)[0, 0] == pytest.approx(by_hand)


def test_an_empty_window_takes_the_nearest_point() -> None:
    x, y = np.array([0.0, 1.0]), np.array([[3.0], [5.0]])
    assert singular_kernel(x, y, np.array([0.4, 0.6]), 0.1, 0.4)[:, 0].tolist() == [3.0, 5.0]


@pytest.mark.parametrize("rule", noisy_fits.RULES)
def test_every_rule_hits_every_point(smoke: xr.Dataset, rule: str) -> None:
    assert float(smoke.train_mse.sel(rule=rule).max()) < 1e-16


def test_spline_pays_two_thirds_and_nearest_all_of_it() -> None:
    """With f = 0 the error is the noise alone: mean of u^2 + (1 - u)^2 over a gap is 2/3. Here by 2,000 draws of the noise."""
    draw = np.random.default_rng(2)
    x, at = np.sort(draw.random(50)), draw.random(400)
    at = at[(at > x[0]) & (at < x[-1])]
    gap = np.searchsorted(x, at)
    share = (at - x[gap - 1]) / (x[gap] - x[gap - 1])
    noise = draw.normal(size=(50, 2000))
    error = np.stack([np.interp(at, x, column) for column in noise.T], axis=1)
    assert (error**2).mean(1) == pytest.approx(share**2 + (1 - share) ** 2, rel=0.2)
    assert (nearest(x, noise, at) ** 2).mean() == pytest.approx(1, rel=0.05)


def test_lebesgue_sum_at_chebyshev_nodes_is_at_most_two() -> None:
    """The bound in the manipulation check: the squares of the Lagrange polynomials at these nodes sum to at most 2."""
    for count in (5, 20, 64):
        lagrange = polynomial(chebyshev_nodes(count), np.eye(count), np.random.default_rng(3).random(300))
        assert float((lagrange**2).sum(1).max()) <= 2 + 1e-9


def test_networks_are_measured_on_their_own_scale(smoke: xr.Dataset) -> None:
    assert float(abs(smoke.network_norm.sel(fit="sharp") - 1).max()) < 1e-9
    fitted = smoke.network_mse.sel(fit="large start") < 1e-16
    assert bool((smoke.network_norm.sel(fit="large start").where(fitted, 2) > 0.99).all())


def test_claims_on_planted_records(smoke: xr.Dataset) -> None:
    good = smoke.copy(deep=True)
    heights = {"nearest": 1.0, "spline": 0.66, "sharp": 2.0, "wide kernel": 0.01, "narrow kernel": 0.4}
    for rule, height in heights.items():
        good.excess.loc[{"rule": rule, "labels": "noisy"}] = height
        good.excess.loc[{"rule": rule, "labels": "clean"}] = 1e-5
    good.network_excess.loc[{"fit": ["spline", "sharp"]}] = 1.0
    good.network_excess.loc[{"fit": "small start"}] = 0.9
    good.network_excess.loc[{"fit": "polynomial"}] = 50.0
    good.network_mse[:] = 0.0
    for claim in noisy_fits.CLAIMS:
        assert claim.check(good).holds, claim.id
        control = cast(xr.Dataset, claim.control.change(good))  # type: ignore[misc]
        assert not claim.check(control).holds, claim.id
        assert claim.control.manipulation(control).holds, claim.id
    bad = good.copy(deep=True)
    bad.excess.loc[{"labels": "noisy"}] = 0.3
    bad.network_excess.loc[{"fit": "small start"}] = 1.5
    assert not any(claim.check(bad).holds for claim in noisy_fits.CLAIMS)


def test_networks_that_do_not_fit_are_left_out_of_the_numbers(smoke: xr.Dataset) -> None:
    changed = smoke.copy(deep=True)
    changed.network_mse[:] = 0.0
    changed.network_norm.loc[{"fit": "small start"}] = 1.1
    changed.network_norm[0] = 9.0
    changed.network_excess[:] = 1.0
    changed.network_mse[0] = 1e-3
    found = noisy_fits.numbers(changed)
    assert found["small_norm_worst"] == pytest.approx(1.1)
    assert found["small_fitted"] == found["small_kept"] == found["small_between"] == changed.sizes["seed"] - 1
    assert found["small_above"] == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("counts", (64,)),
        ("counts", (4, 64)),
        ("counts", (16, 32)),
        ("last_polynomial", 32),
        ("last_polynomial", 500),
        ("noise_std", 0.0),
        ("power", 0.5),
        ("window", 0.0),
        ("network_points", 4),
        ("small_init", 9.0),
        ("num_seeds", 0),
    ],
)
def test_bad_config(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(noisy_fits.SMOKE, **{field: value})
