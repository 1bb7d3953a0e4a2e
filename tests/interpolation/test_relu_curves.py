"""What a ReLU network draws: the measurements against hand cases, and claims that fail on planted records."""

from dataclasses import replace
from itertools import pairwise
from typing import cast

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.devices import generator
from heldout.figures.explorable import Explorable
from heldout.interpolation import relu_curve_checks as checks
from heldout.interpolation import relu_curves
from heldout.interpolation.explore.relu_curves import question, scales
from heldout.interpolation.relu_curve_measures import carried_slope, points, spline_variation
from heldout.interpolation.relu_fits import relu_curve, slope_variation


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return relu_curves.run(relu_curves.SMOKE, device="cpu")


def test_variation_of_the_splines() -> None:
    """The step has slope 0, then 4 for one interval, then 0; Runge's values are worked out with fractions."""
    assert spline_variation(*points("step")) == pytest.approx(8.0)
    y = [1 / (1 + 25 * (-1 + k / 5) ** 2) for k in range(11)]
    slopes = [5 * (b - a) for a, b in pairwise(y)]
    by_hand = sum(abs(b - a) for a, b in pairwise(slopes))
    assert spline_variation(*points("runge")) == pytest.approx(by_hand)


def test_carried_is_the_variation_of_a_plain_start_and_not_of_an_antisymmetric_one() -> None:
    plain = relu_curve(50, generator=generator("test"), init_scale=2.0)
    twins = relu_curve(50, generator=generator("test"), init_scale=2.0, antisymmetric=True)
    assert carried_slope(plain) == pytest.approx(slope_variation(plain, -1, 1))
    assert slope_variation(twins, -1, 1) < 1e-12 < 1 < carried_slope(twins)


def test_twins_moved_apart_show_what_they_carry() -> None:
    """The reason for the claim on carried variation: the smallest move of the kinks undoes the cancellation."""
    twins = relu_curve(50, generator=generator("test"), init_scale=2.0, antisymmetric=True)
    with torch.no_grad():
        twins.get_parameter("layers.0.bias").add_(1e-9 * torch.arange(50, dtype=torch.float64))
    assert slope_variation(twins, -1, 1) == pytest.approx(carried_slope(twins), rel=1e-6)


def test_coarse_view_never_exceeds_the_exact_one(smoke: xr.Dataset) -> None:
    assert bool((smoke.coarse_variation <= smoke.variation * (1 + 1e-9)).all())


def test_curves_pass_through_the_points(smoke: xr.Dataset) -> None:
    fitted = smoke.train_mse.isel(seed=0) < 1e-16
    step = smoke.function.sel(target="step").where(fitted.sel(target="step"))
    drawn = step.sel(x=[-1.0, -0.5, 0.5, 1.0], method="nearest")
    assert np.nanmax(abs(drawn - xr.DataArray([0.0, 0, 1, 1], dims="x"))) < 1e-6


def planted(small: float, large: float, coarse: float, plain: float) -> xr.Dataset:
    ratio = np.array([small, large])
    shape = (3, 2, 1, 2, 2)
    distance = np.ones(shape) * np.array([[1.0, plain], [1.0, 1.0]])
    dims = ("seed", "target", "width", "start", "init_scale")
    return xr.Dataset(
        {
            "variation": (dims, np.broadcast_to(8 * ratio, shape).copy()),
            "coarse_variation": (dims, np.broadcast_to(8 * ratio * np.array([1, coarse]), shape).copy()),
            "carried": (dims, np.broadcast_to(8 * np.array([0.01, 10.0]), shape).copy()),
            "distance": (dims, distance),
            "train_mse": (dims, np.zeros(shape)),
            "spline_variation": ("target", [8.0, 8.0]),
        },
        {"start": ["plain", "antisymmetric"], "init_scale": [0.1, 4.0]},
    )


def test_claims_on_planted_records() -> None:
    good = planted(1.05, 10.0, 0.3, 3.0)
    assert all(claim.check(good).holds for claim in relu_curves.CLAIMS)
    bad = planted(1.2, 2.0, 0.9, 1.5)
    assert not any(claim.check(bad).holds for claim in relu_curves.CLAIMS)
    for claim in relu_curves.CLAIMS:
        control = cast(xr.Dataset, claim.control.change(good))  # type: ignore[misc]
        assert not claim.check(control).holds
        assert claim.control.manipulation(control).holds


def test_an_unfitted_control_is_not_a_fair_one() -> None:
    good = planted(1.05, 10.0, 0.3, 3.0)
    good.train_mse[:2] = 1e-3
    assert not checks.fits_and_is_the_spline(checks.only_scale(0)(good)).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("widths", (5,)),
        ("widths", ()),
        ("init_scales", (1.0,)),
        ("init_scales", (2.0, 1.0)),
        ("steps", 0),
        ("learning_rates", ()),
        ("cell", 0.0),
        ("num_seeds", 0),
    ],
)
def test_bad_config(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(relu_curves.SMOKE, **{field: value})


def test_explorables(smoke: xr.Dataset) -> None:
    Explorable("choice", **question())
    frames = Explorable("frames", **scales(smoke))
    assert np.shape(frames.data["series"][1]["values"]) == (2, 2, 2, 101)
