"""Runge's function: the curves against exact arithmetic and closed forms, and claims that fail where they must."""

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import xarray as xr
from scipy.interpolate import BarycentricInterpolator, CubicSpline

from heldout.interpolation import runge
from heldout.interpolation import runge_checks as checks
from heldout.interpolation.explore.runge import playground, poles, prediction
from heldout.interpolation.interpolants import (
    CURVES,
    NODES,
    cardinals,
    limiting_rate,
    moved_places,
    places,
    spline_variation,
    witch,
)


@cache
def smoke() -> xr.Dataset:
    return runge.run(runge.SMOKE, device="cpu")


def exact(x: np.ndarray, y: list[Fraction], at: Fraction) -> Fraction:
    """The polynomial through the points in rational arithmetic, without rounding."""
    nodes = [Fraction(float(v)) for v in x]
    total = Fraction(0)
    for i, value in enumerate(y):
        for j, other in enumerate(nodes):
            if i != j:
                value = value * (at - other) / (nodes[i] - other)
        total += value
    return total


@pytest.mark.parametrize("nodes", NODES)
@pytest.mark.parametrize("count", [5, 41])
def test_polynomial_has_the_digits_of_exact_arithmetic(nodes: str, count: int) -> None:
    """At 41 even points the polynomial is in the tens of thousands; rounding leaves six digits or more of it."""
    x = places(nodes, np.arange(count) / (count - 1))
    y = [1 / (1 + 25 * Fraction(float(v)) ** 2) for v in x]
    at = np.array([-0.99, -0.4321, 0.3, 0.985])
    ours = cardinals("polynomial", x, at) @ np.array([float(v) for v in y])
    truth = np.array([float(exact(x, y, Fraction(float(v)))) for v in at])
    np.testing.assert_allclose(ours, truth, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("nodes", NODES)
@pytest.mark.parametrize("b", [0.2, 1.0])
def test_error_is_the_closed_form_of_the_two_poles(nodes: str, b: float) -> None:
    """f - p = f w(x) (Re 1/w(ib) + x/b Im 1/w(ib)), with w the product of the distances."""
    x, grid = moved_places(nodes, 20, 0.05, np.random.default_rng(0)), np.linspace(-1, 1, 301)
    distances, at_pole = np.prod(grid[:, None] - x, axis=1), 1 / np.prod(1j * b - x)
    expected = witch(grid, b) * distances * (at_pole.real + grid / b * at_pole.imag)
    ours = witch(grid, b) - cardinals("polynomial", x, grid) @ witch(x, b)
    np.testing.assert_allclose(ours, expected, atol=1e-9 * max(1, np.abs(expected).max()))


def test_cardinals_agree_with_scipy_and_pass_through_one_point_each() -> None:
    random = np.random.default_rng(0)
    x, grid = np.sort(random.uniform(-1, 1, 9)), np.linspace(-1, 1, 101)
    y = random.standard_normal(9)
    inside = (grid >= x[0]) & (grid <= x[-1])
    others = {
        "polynomial": BarycentricInterpolator(x, y, rng=0)(grid),
        "cubic spline": CubicSpline(x, y, bc_type="natural")(grid),
        "linear spline": np.interp(grid, x, y),
    }
    for curve in CURVES:
        np.testing.assert_allclose((cardinals(curve, x, grid) @ y)[inside], others[curve][inside], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(cardinals(curve, x, x), np.eye(9), atol=1e-13)


def test_lebesgue_constants_keep_the_bounds_of_the_theory() -> None:
    """Known values at 11 points; above 2^(N-2) / N^2 for even points, below 1 + (2 / pi) log n for Chebyshev points."""
    grid = np.linspace(-1, 1, 4001)
    for count in (5, 11, 21, 31):
        even, chebyshev = (
            np.abs(cardinals("polynomial", places(nodes, np.arange(count) / (count - 1)), grid)).sum(1).max()
            for nodes in NODES
        )
        degree = count - 1
        assert even > 2.0 ** (degree - 2) / degree**2
        assert chebyshev <= 1 + 2 / np.pi * np.log(count)
        if count == 11:
            assert even == pytest.approx(29.9, abs=0.05)
            assert chebyshev == pytest.approx(2.42097, abs=1e-4)
    assert np.abs(cardinals("linear spline", np.linspace(-1, 1, 11), grid)).sum(1).max() == pytest.approx(1)


def test_noise_never_comes_out_larger_than_the_lebesgue_constant_allows() -> None:
    result = smoke()
    assert bool((result.noise_gain <= result.lebesgue * (1 + 1e-12)).all())
    assert float(result.noise_gain.sel(curve="linear spline").max()) <= 1 + 1e-12


def test_limiting_rate_is_the_ratio_of_geometric_means() -> None:
    """By quadrature over many nodes; the poles at which even points turn are those that Runge found."""
    many = (np.arange(200_000) + 0.5) / 200_000
    for b in (0.1, 0.2, 0.7):
        for nodes, edge in (("equispaced", np.log(2) - 1), ("chebyshev", -np.log(2))):
            x = places(nodes, many)
            pole = np.mean(np.log(np.abs(1j * b - x)))
            assert float(limiting_rate(nodes, b)) == pytest.approx(edge - pole, abs=1e-5)
    assert float(limiting_rate("equispaced", 0.52552491457)) == pytest.approx(0, abs=1e-10)
    assert float(limiting_rate("chebyshev", 0.2)) == pytest.approx(-np.log((1 + np.sqrt(26)) / 5))


def test_nodes_by_hand() -> None:
    np.testing.assert_allclose(places("equispaced", np.array([0, 0.5, 1])), [-1, 0, 1])
    np.testing.assert_allclose(places("chebyshev", np.array([0, 1 / 3, 1])), [-1, -0.5, 1], atol=1e-12)
    even, chebyshev = runge.sample(runge.BOOK, 11, 0)
    np.testing.assert_allclose(-np.cos(np.pi * (even + 1) / 2), chebyshev)
    assert even[0] == -1
    assert even[-1] == 1
    assert 0 < np.abs(even - np.linspace(-1, 1, 11)).max() <= 0.05 * 0.2
    assert spline_variation(np.array([-1.0, 0, 1]), np.array([0.0, 1, 0])) == 2


def test_record_agrees_with_a_plain_loop() -> None:
    result, config = smoke(), runge.SMOKE
    grid = np.linspace(-1, 1, config.grid)
    for count in config.counts:
        for nodes, x in zip(NODES, runge.sample(config, count, 1), strict=True):
            error = BarycentricInterpolator(x, 1 / (1 + 25 * x**2), rng=0)(grid) - 1 / (1 + 25 * grid**2)
            one = {"seed": 1, "nodes": nodes, "count": count}
            assert float(result.rmse.sel(one | {"curve": "polynomial"})) == pytest.approx(
                np.sqrt((error**2).mean()), rel=1e-6
            )
            assert float(result.largest_error.sel(one | {"pole": 0.2})) == pytest.approx(np.abs(error).max(), rel=1e-5)
    polynomial = result.fit.sel(nodes="equispaced", drawn="polynomial")
    points = result.sel(nodes="equispaced")
    expected = BarycentricInterpolator(points.train_x.values, points.train_y.values, rng=0)(result.x.values)
    np.testing.assert_allclose(polynomial, expected, atol=1e-9)


def test_a_network_of_this_start_reaches_the_points_and_bends_like_the_spline() -> None:
    config = replace(runge.BOOK, counts=(11, 21, 31), network_counts=(11,), poles=(0.2, 1.0), num_seeds=2, first_seed=0)
    result = runge.run(config, device="cpu")
    assert float(result.network_mse.max()) < checks.ZERO
    assert float(checks.variation_over_spline(result).max()) < 1.1
    assert float(result.network_rmse.max()) < 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": (2, 11, 21)}, "counts=.*from 3 to 81"),
        ({"counts": (21, 11)}, "counts=.*increasing"),
        ({"counts": (5, 11, 41)}, "counts=.*11, 21, 31"),
        ({"poles": (0.1,)}, "poles="),
        ({"jitter": 0.3}, "jitter=0.3"),
        ({"network_counts": (12,)}, "network_counts="),
        ({"width": 1}, "width=1"),
        ({"init_scale": 0.0}, "init_scale=0.0"),
        ({"steps": 0}, "steps=0"),
        ({"learning_rates": ()}, "learning_rates="),
        ({"grid": 2}, "grid=2"),
        ({"num_seeds": 0}, "num_seeds=0"),
    ],
)
def test_bad_configs_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(runge.BOOK, **change)


def test_bad_points_are_refused() -> None:
    with pytest.raises(ValueError, match="increasing order"):
        cardinals("polynomial", np.array([0.0, 0.0, 1.0]), np.zeros(1))
    with pytest.raises(ValueError, match="finite"):
        cardinals("linear spline", np.array([0.0, np.nan]), np.zeros(1))
    with pytest.raises(ValueError, match="curve='spline'"):
        cardinals("spline", np.array([0.0, 1.0]), np.zeros(1))
    with pytest.raises(ValueError, match="nodes='random'"):
        places("random", np.zeros(1))
    with pytest.raises(ValueError, match="nodes='random'"):
        limiting_rate("random", 0.2)


def planted(**values: object) -> xr.Dataset:
    result = smoke().copy(deep=True)
    for name, value in values.items():
        result[name] = result[name] * 0 + value
    return result


def test_checks_hold_on_what_they_ask_for_and_fail_on_what_they_do_not() -> None:
    flat = planted(rmse=1.0, largest_error=1.0, rate=0.0, noise_gain=1.0, network_mse=0.0, network_rmse=1.0)
    for check in (
        checks.growth,
        checks.chebyshev_wins,
        checks.rates_off,
        checks.noise_gain,
        checks.network_over_polynomial,
    ):
        assert not check(flat).holds, check.__name__
    assert not checks.falls_as_predicted(flat).holds
    assert checks.growth(smoke().assign(largest_error=smoke().largest_error * 0 + smoke()["count"] ** 12.0)).holds
    good = planted(noise_gain=1e5, network_mse=0.0, network_variation=1.05, spline_variation=1.0, network_rmse=1e-3)
    assert checks.noise_gain(good).holds
    assert checks.bends_no_more(good).holds
    assert checks.network_over_polynomial(good).holds
    assert checks.rates_off(good.assign(rate=good.rate * 0 + good.limiting_rate + 0.01)).holds
    assert not checks.bends_no_more(planted(network_mse=0.0, network_variation=1.2, spline_variation=1.0)).holds


def test_an_unfitted_network_is_not_judged() -> None:
    unfitted = planted(network_mse=1e-3, network_variation=1.0, spline_variation=1.0, network_rmse=1e-9)
    assert not checks.bends_no_more(unfitted).holds
    assert not checks.network_over_polynomial(unfitted).holds
    assert not checks.splines_agree_and_networks_fit(unfitted).holds
    assert not checks.large_starts_fit(unfitted).holds


def test_a_training_error_that_is_small_but_not_zero_is_counted_and_not_judged() -> None:
    small = planted(network_mse=1e-9, network_variation=1.0, spline_variation=1.0, network_rmse=1e-9)
    assert not checks.bends_no_more(small).holds
    n = checks.numbers(small)
    assert n["networks_fitted_at_11"] == 0
    assert n["networks_missed_at_11"] == n["networks_missed_chebyshev_last"] == small.sizes["seed"]


def test_sizes_without_networks_have_nothing_to_judge() -> None:
    few = smoke().sel(network_count=[21])
    assert np.isnan(checks.bends_no_more(few).value)
    assert not checks.bends_no_more(few).holds
    assert "with 21 points" in runge.describe(few)


def test_the_polynomial_moves_alone() -> None:
    result = smoke()
    moved = checks.polynomial_elsewhere(result)
    even = {"nodes": "equispaced", "curve": "polynomial"}
    np.testing.assert_array_equal(moved.rmse.sel(even), result.rmse.sel(even | {"nodes": "chebyshev"}))
    xr.testing.assert_identical(moved.rmse.sel(curve=list(CURVES[1:])), result.rmse.sel(curve=list(CURVES[1:])))
    xr.testing.assert_identical(moved.network_rmse, result.network_rmse)


def test_exchanging_the_nodes_twice_changes_nothing() -> None:
    result = smoke()
    xr.testing.assert_identical(checks.exchange_nodes(checks.exchange_nodes(result)), result)
    exchanged = checks.exchange_nodes(result)
    np.testing.assert_array_equal(
        exchanged.rmse.sel(nodes="equispaced").values, result.rmse.sel(nodes="chebyshev").values
    )
    np.testing.assert_array_equal(exchanged.limiting_rate, result.limiting_rate)
    assert checks.move_pole(result).pole.values.tolist() == [checks.POLE]


def test_explorables_follow_the_record() -> None:
    result = smoke()
    assert prediction(result)["data"]["truth"]["values"].shape == (4,)
    assert len(poles(result)["data"]["series"][0]["values"]) == 2
    figure = playground(result)["fallback"]()
    assert figure.axes[0].get_xlabel() == "input x"
