"""The hull test against linear programs, hand cases, exact distances and Wendel's theorem."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from heldout import hull
from heldout.data import mnist

SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_programs(vertices: torch.Tensor, queries: torch.Tensor) -> list[bool]:
    return [hull.by_linear_program(vertices.numpy(), query.numpy()) for query in queries]


@pytest.mark.parametrize("dimension", [2, 3, 5, 8, 16, 32, 64])
def test_agrees_with_a_linear_program(dimension: int) -> None:
    """Queries from deep inside to far outside; the radii are chosen so that both answers are common."""
    vertices = draw(600, dimension, seed=dimension)
    queries = draw(40, dimension, seed=1000 + dimension)
    queries = queries / queries.norm(dim=1, keepdim=True) * torch.linspace(0.1, 4.5, 40, dtype=torch.float64)[:, None]
    found = hull.membership(vertices, queries)
    assert found.inside.tolist() == by_programs(vertices, queries)
    assert 4 <= int(found.inside.sum()) <= 36


def test_agrees_with_a_linear_program_on_pixels() -> None:
    digits = mnist.bundled(0)
    vertices, queries = digits.x[:1500].double(), digits.x[1500:1512].double()
    share = torch.rand(6, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mixtures = (share / share.sum(1, keepdim=True)) @ vertices[:20]
    asked = torch.cat([queries, mixtures])
    found = hull.membership(vertices, asked).inside.tolist()
    assert found == by_programs(vertices, asked)
    assert found == [False] * 12 + [True] * 6


def test_both_answers_are_proved() -> None:
    vertices, queries = draw(300, 6), draw(80, 6, seed=1)
    for found in (hull.membership(vertices, queries), hull.distance(vertices, queries)):
        products = torch.einsum("qd,qnd->qn", found.direction, vertices[None] - queries[:, None]).min(1).values
        outside = ~found.inside
        assert outside.any()
        assert (products[outside] >= found.lower[outside] - 1e-9).all()
        assert (found.lower[outside] > found.tolerance).all()
        assert (found.weights >= 0).all()
        mixture = torch.einsum("qk,qkd->qd", found.weights, vertices[found.support])
        kept = found.weights.sum(1) > 0
        assert torch.allclose(found.weights[kept].sum(1), torch.ones(int(kept.sum())).double())
        assert ((mixture - queries).norm(dim=1)[found.inside] <= found.tolerance).all()
        assert found.inside.any()


def test_distances_by_hand() -> None:
    queries = torch.tensor([[0.5, 0.5], [2.0, 0.5], [2.0, 2.0], [-3.0, 5.0], [0.25, -0.125], [1.0, 1.0], [0.5, 1.0]])
    found = hull.distance(SQUARE, queries)
    expected = torch.tensor([0.0, 1.0, math.sqrt(2), 5.0, 0.125, 0.0, 0.0]).double()
    assert torch.allclose(found.upper, expected, atol=1e-9)
    assert torch.allclose(found.lower, expected, atol=1e-6)
    assert found.inside.tolist() == [True, False, False, False, False, True, True]


def test_the_boundary_is_inside_and_just_beyond_is_not() -> None:
    vertices = draw(200, 4)
    outer = vertices[(vertices @ torch.ones(4).double()).argmax()]
    edge = (vertices[0] + vertices[1]) / 2
    found = hull.membership(vertices, torch.stack([outer, edge, outer + 1e-6]))
    assert found.inside.tolist() == [True, True, False]
    assert 1e-9 < found.tolerance < 1e-7


def test_distance_agrees_with_a_general_solver() -> None:
    vertices, query = draw(12, 3), draw(1, 3, seed=5) * 3
    plain = minimize(
        lambda w: float(np.square(w @ vertices.numpy() - query[0].numpy()).sum()),
        np.full(12, 1 / 12), bounds=[(0, 1)] * 12, constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP", options={"ftol": 1e-14, "maxiter": 1000},
    )  # fmt: skip
    found = hull.distance(vertices, query)
    assert float(found.upper) == pytest.approx(math.sqrt(plain.fun), abs=1e-5)
    assert float(found.lower) == pytest.approx(float(found.upper), rel=1e-5)


def test_fewer_points_than_dimensions_have_a_distance_but_no_full_hull() -> None:
    vertices = torch.eye(5, dtype=torch.float64)[:3]
    found = hull.distance(vertices, torch.zeros(1, 5))
    assert float(found.upper) == pytest.approx(1 / math.sqrt(3))
    with pytest.raises(ValueError, match=r"3 points in 5 dimensions.*at least d \+ 1 = 6"):
        hull.membership(vertices, torch.zeros(1, 5))


def test_a_flat_hull_in_many_dimensions() -> None:
    """Points of a plane in 40 dimensions: membership is that of the plane, and leaving the plane is leaving the hull."""
    plane, _ = torch.linalg.qr(draw(40, 2))
    vertices, queries = draw(100, 2, seed=1), draw(30, 2, seed=2) * 1.5
    flat = hull.membership(vertices, queries).inside
    lifted = hull.membership(vertices @ plane.T, queries @ plane.T).inside
    assert lifted.tolist() == flat.tolist()
    assert not hull.membership(vertices @ plane.T, queries @ plane.T + 0.01).inside.any()


@pytest.mark.parametrize(("points", "dimension"), [(10, 5), (12, 3), (20, 8)])
def test_the_center_of_a_symmetric_cloud_follows_wendel(points: int, dimension: int) -> None:
    """P(inside) = 1 - 2^(1 - n) sum_{k < d} C(n - 1, k), whatever the symmetric distribution."""
    exact = 1 - sum(math.comb(points - 1, k) for k in range(dimension)) / 2 ** (points - 1)
    trials = 300
    center = torch.zeros(1, dimension)
    found = []
    for seed in range(trials):
        normal = draw(points, dimension, seed=seed)
        cloud = normal.sign() * normal.abs().sqrt()
        found.append(bool(hull.membership(cloud, center).inside))
    assert np.mean(found) == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / trials))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10_000), st.floats(0.01, 100))
def test_mixtures_are_inside_and_beyond_a_supporting_plane_is_outside(dimension: int, seed: int, scale: float) -> None:
    vertices = draw(dimension + 20, dimension, seed=seed) * scale + 7
    share = torch.rand(5, len(vertices), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mixtures = (share / share.sum(1, keepdim=True)) @ vertices
    normal = draw(5, dimension, seed=seed + 1)
    normal = normal / normal.norm(dim=1, keepdim=True)
    beyond = vertices[(normal @ vertices.T).argmax(1)] + 1e-4 * scale * normal
    found = hull.membership(vertices, torch.cat([mixtures, beyond])).inside.tolist()
    assert found == [True] * 5 + [False] * 5


def test_the_answer_does_not_depend_on_company_or_order() -> None:
    vertices, queries = draw(400, 7), draw(60, 7, seed=3)
    together = hull.distance(vertices, queries)
    turned = hull.distance(vertices.flip(0), queries.flip(0))
    assert together.inside.tolist() == turned.inside.flip(0).tolist()
    assert torch.allclose(together.upper, turned.upper.flip(0), rtol=1e-5, atol=1e-9)
    alone = torch.cat([hull.distance(vertices, query[None]).upper for query in queries])
    assert torch.allclose(together.upper, alone, rtol=1e-5, atol=1e-9)


def test_rounding_is_met_by_least_squares() -> None:
    """Queries that the iteration cannot finish are decided all the same."""
    chunk = hull._Chunk(SQUARE.double() - 0.5, torch.tensor([[0.1, 0.2], [2.0, 0.0]], dtype=torch.float64), None)
    for query in (0, 1):
        chunk._exactly(query)
    assert float(chunk.upper[0]) < 1e-9
    assert float(chunk.lower[1]) == pytest.approx(1.5, rel=1e-6)


@pytest.mark.parametrize(
    ("vertices", "queries", "message"),
    [
        (torch.cat([SQUARE, SQUARE[:1]]), SQUARE, "vertices='1 duplicate points'"),
        (torch.tensor([[0.0, 0.0], [1.0, math.nan], [0.0, 1.0]]), SQUARE, "vertices='1 points that are not finite'"),
        (SQUARE, torch.tensor([[math.inf, 0.0]]), "queries='1 points that are not finite'"),
        (SQUARE, torch.zeros(1, 3), r"queries=\(1, 3\): must be one or more points x 2 dimensions"),
        (SQUARE, torch.zeros(0, 2), r"queries=\(0, 2\)"),
        (torch.zeros(3), SQUARE, r"vertices=\(3,\)"),
        (SQUARE[:2], SQUARE, r"at least d \+ 1 = 3 points"),
    ],
)
def test_bad_input_is_named(vertices: torch.Tensor, queries: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hull.membership(vertices, queries)


def test_gap_is_checked() -> None:
    with pytest.raises(ValueError, match="relative_gap=0"):
        hull.distance(SQUARE, SQUARE, relative_gap=0.0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is present here")
def test_cuda_says_what_the_cpu_says() -> None:
    vertices, queries = draw(800, 10), draw(200, 10, seed=1)
    for call in (hull.membership, hull.distance):
        cpu, cuda = (call(vertices, queries, device=device) for device in ("cpu", "cuda"))
        assert cpu.inside.tolist() == cuda.inside.tolist()
    torch.testing.assert_close(cpu.upper, cuda.upper, rtol=1e-5, atol=1e-9)
