"""The page's explorables hold the records' own numbers."""

import numpy as np
import pytest

from heldout.figures.explorable import Explorable
from heldout.interpolation import gaussian_hull, hull_membership, rays
from heldout.interpolation.explore import outside_the_hull as page


def test_digits_by_dimension() -> None:
    record = hull_membership.run(hull_membership.SMOKE, device="cpu")
    for module, made in (("predict", page.prediction(record)), ("frames", page.dimensions(record))):
        Explorable(module, **made)
    series = {one["name"]: one["values"] for one in page.dimensions(record)["data"]["series"]}
    inside = hull_membership.judged(record).inside.median("seed").values
    np.testing.assert_array_equal(series["test digits inside"], inside)
    np.testing.assert_array_equal(page.prediction(record)["data"]["truth"]["values"], inside)
    assert series["Gaussian points inside"][0] == gaussian_hull.inside_probability(1000, 5, 1.0)
    assert series["Gaussian points inside"][-1] == 0.0


def test_points_by_the_formula() -> None:
    made = page.points()
    Explorable("frames", **made)
    fresh = np.array(made["data"]["series"][0]["values"])
    assert fresh.shape == (len(page.POWERS), len(page.DIMENSIONS))
    assert (np.diff(fresh, axis=0) >= -1e-9).all(), "more points never lower the chance"
    assert (np.diff(fresh, axis=1) <= 1e-9).all(), "more dimensions never raise it"
    half = made["data"]["lookups"]["half"]["values"]
    assert half[1] == pytest.approx(7.88, abs=0.01)


def test_rays_and_question() -> None:
    record = rays.run(rays.SMOKE, device="cpu")
    made = page.along_a_ray(record)
    Explorable("frames", **made)
    Explorable("choice", **page.guess())
    network = np.array(made["data"]["series"][1]["values"])
    np.testing.assert_array_equal(network, record.profile.values)
    assert np.array(made["data"]["lookups"]["far"]["values"]).shape == (len(rays.TARGETS), len(rays.MODELS))
