"""Curves of equal norm: the family against the definition, a hand case, and a linear program that finds the smallest norm."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from heldout.figures.explorable import Explorable
from heldout.interpolation import equal_norm
from heldout.interpolation.bridges import bridged, free_intervals, linear_spline
from heldout.interpolation.equal_norm_points import natural_cubic, sample
from heldout.interpolation.explore.noisy_curves import bend, question


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return equal_norm.run(equal_norm.SMOKE, device="cpu")


def test_a_hand_case() -> None:
    """Points of |x|'s kind: slopes -2, -0.5, 1, both inner turns of 1.5; the lines of slope -2 and 1 meet at x = 1.5."""
    x, y = np.array([0.0, 1, 2, 3]), np.array([3.0, 1, 0.5, 1.5])
    assert free_intervals(x, y).tolist() == [False, True, False]
    sharp = bridged(x, y, 1.0)
    bends = abs(sharp.jumps) > 1e-12
    assert sharp.kinks[bends] == pytest.approx([1.5])
    assert sharp.jumps[bends] == pytest.approx([3.0])
    assert linear_spline(x, y).variation() == pytest.approx(3.0) == pytest.approx(sharp.variation())
    assert sharp(np.array([1.5]))[0] == pytest.approx(0.0)


@given(st.integers(0, 10_000), st.floats(0, 1), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_every_member_hits_the_points_at_the_same_norm(seed: int, share: float, pieces: int) -> None:
    draw = np.random.default_rng(seed)
    x, y = np.cumsum(draw.uniform(0.1, 1, 12)), draw.normal(size=12)
    spline, member = linear_spline(x, y), bridged(x, y, share, pieces)
    assert member(x) == pytest.approx(y, abs=1e-9)
    assert member.variation() == pytest.approx(spline.variation(), rel=1e-9)
    assert member.variation_with_biases() <= spline.variation_with_biases() * (1 + 1e-9)
    forced = ~free_intervals(x, y)
    middle = (x[:-1] + x[1:]) / 2
    assert member(middle[forced]) == pytest.approx(spline(middle[forced]), abs=1e-9)


def test_no_network_has_a_smaller_norm() -> None:
    """The least sum of |jumps| over kinks on a fine grid, by linear programming, is the spline's."""
    draw = np.random.default_rng(3)
    x, y = np.linspace(0, 1, 7), draw.normal(size=7)
    kinks = np.linspace(0, 1, 61)[1:-1]
    ramps = np.maximum(x[:, None] - kinks, 0)
    line = np.stack([np.ones(7), x], axis=1)
    design = np.concatenate([ramps, -ramps, line, -line], axis=1)
    cost = np.concatenate([np.ones(2 * len(kinks)), np.zeros(4)])
    assert linprog(cost, A_eq=design, b_eq=y).fun == pytest.approx(linear_spline(x, y).variation())


def test_alternating_turns_leave_no_freedom() -> None:
    x, y = sample(9, "zigzag", 5)
    assert not free_intervals(x, y).any()
    assert bridged(x, y, 1.0).jumps == pytest.approx(linear_spline(x, y).jumps)


def test_bent_is_the_network_it_says(smoke: xr.Dataset) -> None:
    """The value of a Bent is its line plus one ramp a kink, summed by a plain loop."""
    x, y = sample(9, "wave", 5)
    bent = bridged(x, y, 0.7, 3)
    by_loop = bent.y0 + bent.s0 * (0.3 - bent.x0)
    for kink, jump in zip(bent.kinks, bent.jumps, strict=True):
        by_loop += jump * max(0.3 - kink, 0)
    assert bent(np.array([0.3]))[0] == pytest.approx(by_loop)
    assert float(abs(smoke.family.isel(share=0) - smoke.function.sel(member="spline")).max()) < 1e-12


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([0.0, 1.0], [0.0, 1.0]),
        ([0.0, 1.0, 1.0], [0.0, 1.0, 2.0]),
        ([0.0, 1.0, 2.0], [0.0, float("nan"), 2.0]),
        ([0.0, 1.0, 2.0], [0.0, 1.0]),
    ],
)
def test_degenerate_points(x: list[float], y: list[float]) -> None:
    with pytest.raises(ValueError, match="x"):
        linear_spline(np.array(x), np.array(y))


@pytest.mark.parametrize(("share", "pieces", "field"), [(1.5, 1, "share"), (0.5, 0, "pieces")])
def test_refused_bridges(share: float, pieces: int, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        bridged(np.arange(5.0), np.arange(5.0) ** 2, share, pieces)


@pytest.mark.parametrize(
    ("field", "value"),
    [("num_points", 4), ("pieces", 0), ("width", 0), ("init_scale", 0.0), ("learning_rates", ()), ("num_seeds", 0)],
)
def test_bad_config(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(equal_norm.SMOKE, **{field: value})


def test_claims_on_changed_records(smoke: xr.Dataset) -> None:
    one_norm, ties, *_ = equal_norm.CLAIMS
    assert one_norm.check(smoke).holds
    assert ties.check(smoke).holds
    for claim in (one_norm, ties):
        control = cast(xr.Dataset, claim.control.change(smoke))  # type: ignore[misc]
        assert not claim.check(control).holds
        assert claim.control.manipulation(control).holds
    cheaper = smoke.copy(deep=True)
    cheaper.variation.loc[{"member": "sharp"}] *= 1.001  # a member of another norm proves nothing
    assert not one_norm.check(cheaper).holds
    chooses = equal_norm.CLAIMS[2]
    planted = smoke.copy(deep=True)
    planted.train_mse.loc[{"member": "network"}] = 0.0
    planted.free_distance.loc[{"member": "network"}] = 0.06
    planted.forced_distance.loc[{"member": "network"}] = 0.01
    assert chooses.check(planted).holds
    smooth = chooses.control.change(planted)  # type: ignore[misc]
    assert not chooses.check(smooth).holds
    assert chooses.control.manipulation(smooth).holds
    planted.forced_distance.loc[{"member": "network"}] = 0.03
    assert not chooses.check(planted).holds
    assert not equal_norm.CLAIMS[3].check(planted).holds


def test_the_cubic_spline_is_drawn_through_the_points_of_the_record(smoke: xr.Dataset) -> None:
    """Its points, drawn again from the seed, are the record's; its distances come from a second implementation of the spline."""
    x, y = sample(smoke.sizes["point"], "wave", int(smoke.seed[0]))
    assert x.tolist() == smoke.train_x.sel(data="wave").values.tolist()
    assert y.tolist() == smoke.train_y.sel(data="wave").values.tolist()
    gaps, slopes = np.diff(x), np.diff(y) / np.diff(x)
    inner = np.diag(2 * (gaps[:-1] + gaps[1:])) + np.diag(gaps[1:-1], 1) + np.diag(gaps[1:-1], -1)
    second = np.concatenate([[0], np.linalg.solve(inner, 6 * np.diff(slopes)), [0]])
    off = []
    for at in smoke.x.values:
        i = min(max(int(np.searchsorted(x, at, side="right")) - 1, 0), len(x) - 2)
        u, v = at - x[i], x[i + 1] - at
        bow = u * v / 6 * (second[i] * (1 + v / gaps[i]) + second[i + 1] * (1 + u / gaps[i]))
        off.append(abs(bow) / np.ptp(y))
    cubic = natural_cubic(smoke).isel(seed=0).sel(data="wave", member="network")
    assert float(cubic.distance) == pytest.approx(max(off))
    assert float(cubic.train_mse) < 1e-30


def test_explorables(smoke: xr.Dataset) -> None:
    Explorable("choice", **question())
    assert np.shape(Explorable("frames", **bend(smoke)).data["series"][0]["values"]) == (2, 11, 201)
