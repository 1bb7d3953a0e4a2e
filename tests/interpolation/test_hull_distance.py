"""Shifts and statistics against plain code, and the claims on planted records."""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.ndimage import uniform_filter
from sklearn.metrics import roc_auc_score

from heldout import hull
from heldout.data import mnist, shifted
from heldout.interpolation import hull_distance as hd


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return hd.run(hd.SMOKE, device="cpu")


def test_smoothing_is_the_mean_of_nine_pixels() -> None:
    digits = mnist.bundled(0)[:3]
    plain = uniform_filter(digits.x.double().numpy().reshape(3, 28, 28), (0, 3, 3), mode="constant")
    np.testing.assert_allclose(hd.smoothed(digits).x.numpy().reshape(3, 28, 28), plain, atol=1e-6)


def test_each_training_digit_is_turned_by_one_of_the_angles() -> None:
    digits = hd.smoothed(mnist.bundled(0)[:40])
    turned = hd.turned_at_random(digits, torch.Generator().manual_seed(0))
    every = torch.stack([shifted.turned(digits, 5.0 * step).x for step in range(19)])
    off = (every - turned.x).abs().amax(-1).min(0).values
    assert float(off.max()) < 1e-6
    assert len({int(i) for i in (every - turned.x).abs().amax(-1).argmin(0)}) > 8


def test_one_distance_by_itself(smoke: xr.Dataset) -> None:
    """Seed 0, first test digit, unturned: bounds of a run to a much smaller gap hold the recorded one."""
    digits = hd.smoothed(mnist.bundled(0))
    train, query = digits.x[:300], digits.x[301:302]
    unit = float((train.double() - train.double().mean(0)).square().sum(1).mean().sqrt())
    exact = hull.distance(train, query, relative_gap=1e-4)
    recorded = float(smoke.distance.isel(seed=0, angle=0, query=0)) * unit
    assert float(exact.lower) <= recorded <= float(exact.upper) / (1 - hd.SMOKE.relative_gap)
    assert float(smoke.plain_distance.isel(seed=0, plain=0)) * unit == pytest.approx(recorded, rel=0.05)
    nearest = float((train - query).norm(dim=1).min()) / unit
    assert float(smoke.plain_nearest.isel(seed=0, plain=0)) == pytest.approx(nearest, rel=1e-4)
    assert (smoke.plain_nearest >= smoke.plain_distance * (1 - 0.05)).all(), "the nearest digit is a point of the hull"


def test_gaps_are_kept_and_shuffled_pixels_are_the_same_pixels(smoke: xr.Dataset) -> None:
    assert float(smoke.gap.max()) <= hd.SMOKE.relative_gap
    digits = mnist.bundled(0)[:5]
    shuffled = hd.other("shuffled", digits, 5, 0)
    assert torch.equal(shuffled.sort(1).values, digits.x.sort(1).values)
    assert not torch.equal(shuffled, digits.x)


def test_auc_is_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    values, wrong = draw.integers(0, 6, (3, 50)) / 5, draw.random((3, 50)) < 0.3
    record = xr.Dataset({"value": (("seed", "plain"), values), "plain_wrong": (("seed", "plain"), wrong)})
    expected = [roc_auc_score(error, value) for error, value in zip(wrong, values, strict=True)]
    np.testing.assert_allclose(hd.auc(record, "value"), expected)
    assert np.isnan(hd.auc(record.assign(plain_wrong=record.plain_wrong & False), "value")).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("angles", (0, 30, 90)),
        ("angles", (0, 60, 30, 90)),
        ("kinds", ("paintings",)),
        ("kinds", ()),
        ("num_queries", 0),
        ("relative_gap", 1.0),
        ("num_seeds", 0),
        ("num_train", 4900),
    ],
)
def test_bad_config_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        hd.Config(**{field: value})


def test_claims_fail_where_they_should(smoke: xr.Dataset) -> None:
    graded, errors = hd.CLAIMS
    level = smoke.distance.mean("query")
    flat = smoke.assign(distance=smoke.distance * 0 + 1)
    rising = smoke.assign(distance=flat.distance * xr.DataArray([1.0, 1.1, 1.2, 1.3], dims="angle"))
    assert level.sizes == {"seed": 2, "angle": 4}
    assert graded.check(rising).holds
    assert not graded.check(flat).holds
    told = smoke.assign(plain_wrong=smoke.plain_distance > 0.5)
    assert errors.check(told).holds
    assert not errors.check(smoke.assign(plain_wrong=smoke.plain_distance < 0.5)).holds
