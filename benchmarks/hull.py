"""The batched hull test against one linear program (SciPy's HiGHS) a point, on the same points; both must say the same."""

from collections.abc import Callable, Iterator

import torch

from benchmarks.harness import NOT_SLOWER, Growth, Row, compare, grown
from heldout import hull
from heldout.data import mnist

CHAPTER, TARGET = "interpolation", 100.0
POINTS, QUERIES, PROGRAMS = 3000, 1000, 20
DIMENSIONS = (2, 8, 16, 32, 64)


def cloud(dimension: int, *, near: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Normal points, and fresh ones; with ``near``, the fresh ones are drawn toward the center so that both answers occur."""
    draw = torch.Generator().manual_seed(dimension)
    points = torch.randn(POINTS, dimension, generator=draw, dtype=torch.float64)
    queries = torch.randn(QUERIES, dimension, generator=draw, dtype=torch.float64)
    scale = torch.linspace(0.2, 1.1, QUERIES, dtype=torch.float64)[:, None] if near else 1.0
    return points, queries * scale


def row(what: str, points: torch.Tensor, queries: torch.Tensor, programs: int, target: float) -> Row:
    """One line of the table; the programs decide evenly spaced queries."""
    chosen = torch.arange(0, len(queries), len(queries) // programs)[:programs]
    ours = hull.membership(points, queries).inside
    plain = [hull.by_linear_program(points.numpy(), queries[i].numpy()) for i in chosen]
    assert ours[chosen].tolist() == plain, "the hull test and a linear program disagree"
    return compare(
        what,
        lambda: hull.membership(points, queries),
        lambda: [hull.by_linear_program(points.numpy(), queries[i].numpy()) for i in chosen],
        chapter=CHAPTER,
        target=target,
        dtype=torch.float64,
        rounds=3,
        plain_share=programs / len(queries),
        note=f"agree on {programs} of {programs}; {float(ours.double().mean()):.1%} inside",
    )


def hulls() -> Iterator[Row | Growth]:
    """Fresh points, points near the boundary, and digits as pixels."""
    for dimension in DIMENSIONS:
        yield row(
            f"hull, {POINTS} points, d = {dimension}, fresh",
            *cloud(dimension, near=False),
            PROGRAMS,
            _target(dimension),
        )
    for dimension in (16, 64):
        what = f"hull, {POINTS} points, d = {dimension}, near the boundary"
        yield row(what, *cloud(dimension, near=True), PROGRAMS, _target(dimension))
    digits = mnist.bundled(0).x.double()
    yield row(
        "hull, 3000 digits, 784 pixels, test digits", digits[:POINTS], digits[POINTS : POINTS + QUERIES], 10, TARGET
    )
    for axis, sizes in (("queries", (250, 500, 1000)), ("points", (750, 1500, 3000)), ("dimension", (16, 32, 64))):
        yield grown(CHAPTER, "hull test", axis, sizes, lambda size, axis=axis: _prepared(**{axis: size}))  # type: ignore[misc]


def _prepared(queries: int = QUERIES, points: int = POINTS, dimension: int = 16) -> Callable[[], object]:
    cloud_, asked = cloud(dimension, near=True)
    return lambda: hull.membership(cloud_[:points], asked[:queries])


def _target(dimension: int) -> float:
    """The target was set for d = 16 and above."""
    return TARGET if dimension >= 16 else NOT_SLOWER
