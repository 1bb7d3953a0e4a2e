"""The exact probability against Wendel, known expectations of Gaussian polygons and simulation; the claims on planted records."""

import math

import numpy as np
import pytest
import torch
import xarray as xr

from heldout import hull
from heldout.interpolation import gaussian_hull as gh


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return gh.run(gh.SMOKE, device="cpu")


@pytest.mark.parametrize(("n", "d"), [(5, 2), (12, 6), (40, 20), (60, 7)])
def test_the_center_is_wendels(n: int, d: int) -> None:
    wendel = 1 - sum(math.comb(n - 1, k) for k in range(d)) / 2 ** (n - 1)
    assert gh.inside_probability(n, d, 0.0) == pytest.approx(wendel, abs=1e-9)


@pytest.mark.parametrize("n", [2, 5, 50, 1000])
def test_on_a_line_a_fresh_point_is_an_extreme_with_chance_two_in_n_plus_one(n: int) -> None:
    assert gh.inside_probability(n, 1, 1.0) == pytest.approx(1 - 2 / (n + 1), abs=1e-9)


def test_in_the_plane_and_in_space_it_is_the_expected_number_of_vertices() -> None:
    """With N points in all, a facet is d of them with the rest on one side of a plane at distance h ~ N(0, 1/d)."""

    def facets(total: int, d: int) -> float:
        h = np.linspace(-8, 8, 4001) / math.sqrt(d)
        below = 0.5 * (1 + np.vectorize(math.erf)(h / math.sqrt(2)))
        weight = np.exp(-d * h**2 / 2) * math.sqrt(d / (2 * math.pi)) * (h[1] - h[0])
        return 2 * math.comb(total, d) * float((weight * below ** (total - d)).sum())

    for n in (3, 10, 100):
        assert gh.inside_probability(n, 2, 1.0) == pytest.approx(1 - facets(n + 1, 2) / (n + 1), rel=1e-6, abs=1e-9)
    for n in (4, 10, 100):
        vertices = (facets(n + 1, 3) + 4) / 2  # Euler's formula for triangles
        assert gh.inside_probability(n, 3, 1.0) == pytest.approx(1 - vertices / (n + 1), rel=1e-6, abs=1e-9)


def test_solid_angles_of_regular_simplices() -> None:
    """Of the equilateral triangle a sixth of the circle, of the tetrahedron (3 arccos(1/3) - pi) / 4 pi of the sphere."""
    assert math.exp(gh._log_orthant(2, -1 / 3)) == pytest.approx(1 / 6)
    assert math.exp(gh._log_orthant(3, -1 / 4)) == pytest.approx((3 * math.acos(1 / 3) - math.pi) / (4 * math.pi))
    assert math.exp(gh._log_orthant(5, 1.0)) == pytest.approx(1 / 6)  # one of six exchangeable variables is the largest


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5])
def test_simulation(scale: float) -> None:
    trials, n, d = 200, 40, 5
    draw = torch.Generator().manual_seed(0)
    found = [
        float(
            hull.membership(
                torch.randn(n, d, generator=draw, dtype=torch.float64),
                torch.randn(1, d, generator=draw, dtype=torch.float64) * scale,
            ).inside
        )
        for _ in range(trials)
    ]
    exact = gh.inside_probability(n, d, scale)
    assert np.mean(found) == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / trials))


def test_the_ceiling_is_one_and_tends_to_the_chance_on_a_line() -> None:
    for n in (10, 1000):
        for d in (1, 3, 10, 30):
            assert gh.inside_probability(n, d, 1.0) <= gh.ceiling(n, d, 1.0) <= 1 + 1e-6
    # One direction suffices to be outside in one dimension, but the ceiling looks only at the point's own side.
    assert gh.ceiling(1, 1, 1.0) == pytest.approx(0.25, abs=1e-3)


def test_the_dimension_of_one_half() -> None:
    assert gh.crossing((2, 4, 8), np.array([0.9, 0.7, 0.3])) == pytest.approx(6.0)
    assert gh.crossing((2, 4), np.array([0.9, 0.6])) == math.inf
    assert gh.crossing((2, 4), np.array([0.4, 0.1])) == 2.0
    assert gh.exact_crossing(60, 0.0) == pytest.approx(30, abs=0.6)
    halves = [gh.exact_crossing(10**power, 1.0) for power in (3, 6, 9, 12)]
    steps = np.diff(halves) / 3
    assert (np.diff(steps) > 0).all(), "it approaches 2 log 10 from below"
    assert 4 < steps[-1] < 2 * math.log(10)


def test_runs_agree_with_the_formula(smoke: xr.Dataset) -> None:
    assert float(abs(smoke.inside.mean("seed") - smoke.exact).max()) < 0.2
    assert float(smoke.inside.sel(num_train=200, dimension=2).min()) > 0.8


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("train_counts", (100,)),
        ("train_counts", (20, 100)),
        ("dimensions", (4, 2)),
        ("dimensions", (2, 80)),
        ("query_scale", -1.0),
        ("num_queries", 0),
        ("num_seeds", 0),
    ],
)
def test_bad_config_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"train_counts|" + field):
        gh.Config(**{field: value})


def test_claims_fail_where_they_should(smoke: xr.Dataset) -> None:
    growth, far_out = gh.CLAIMS
    planted = smoke.assign_coords(dimension=("dimension", [2, 6, 30]))
    assert far_out.check(planted.assign(inside=planted.inside * 0)).holds
    assert not far_out.check(planted.assign(inside=planted.inside * 0 + 0.06)).holds
    rising = smoke.half_dimension.copy(data=np.tile([2.0, 6.0], (5, 1)))
    assert growth.check(smoke.assign(half_dimension=rising)).holds
    assert not growth.check(smoke.assign(half_dimension=rising * 2)).holds
    assert not growth.check(smoke.assign(half_dimension=rising * math.inf)).holds
