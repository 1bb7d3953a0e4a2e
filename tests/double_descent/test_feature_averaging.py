"""Averages of feature draws against a direct computation, the decomposition, and the claims on planted records."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.double_descent import feature_averaging as fa


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return fa.run(fa.SMOKE, device="cpu")


def test_average_equals_a_direct_computation(smoke: xr.Dataset) -> None:
    config = fa.SMOKE
    x, labels, test_x, test_labels = fa.split(config.num_train, config.num_test, "feature averaging", 0)
    targets, predictions = fa.one_hot(labels).numpy(), []
    for k in range(5):
        drawn = fa.fourier.draw(200, fa.derive_seed(0, k), scale=config.frequency_std)
        train, test = (fa.fourier.features(part, *drawn).numpy() for part in (x, test_x))
        predictions.append(test @ np.linalg.lstsq(train, targets, rcond=None)[0])
    for name, combined in (("mean", np.mean(predictions, 0)), ("median", np.median(predictions, 0))):
        mse = ((combined - fa.one_hot(test_labels).numpy()) ** 2).sum(1).mean()
        found = smoke.test_mse.sel(seed=0, combine=name, num_draws=5, num_features=200)
        assert float(found) == pytest.approx(mse, rel=1e-6)


def test_rest_plus_variance_over_k_is_the_error_of_the_mean(smoke: xr.Dataset) -> None:
    """An identity for the K that were drawn: mean single error = rest + variance, and error of the mean = rest + variance / K."""
    many = smoke.test_mse.sel(combine="mean").isel(num_draws=-1)
    away = smoke.num_features != fa.SMOKE.num_train
    expected = smoke.rest + smoke.variance / int(smoke.num_draws[-1])
    np.testing.assert_allclose(many.where(away, drop=True), expected.where(away, drop=True), rtol=1e-9)


def test_a_seed_does_not_depend_on_the_others(smoke: xr.Dataset) -> None:
    alone = fa.run(dataclasses.replace(fa.SMOKE, num_seeds=1, first_seed=1), device="cpu")
    np.testing.assert_array_equal(alone.test_mse.sel(seed=1), smoke.test_mse.sel(seed=1))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_train", 3),
        ("num_test", 1),
        ("feature_ratios", (0.9, 1)),
        ("feature_ratios", (1, 0.9, 1.1)),
        ("feature_ratios", (0.001, 0.9, 1, 1.1)),
        ("draw_counts", (2, 5)),
        ("draw_counts", (1,)),
        ("draw_counts", (1, 5, 2)),
        ("frequency_std", -1.0),
        ("num_seeds", 0),
    ],
)
def test_degenerate_configs_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(fa.BOOK, **{field: value})


def test_claims_follow_the_record(smoke: xr.Dataset) -> None:
    sides, threshold = fa.CLAIMS
    assert sides.check(smoke).holds
    assert not sides.check(sides.control.change(smoke)).holds  # type: ignore[misc]  # this control is a change
    one_side = smoke.copy(deep=True)
    one_side["test_mse"].loc[{"num_draws": 20, "num_features": 110}] = 1e9
    assert not sides.check(one_side).holds
    better = smoke.copy(deep=True)
    better["test_error"].loc[{"num_draws": 20, "num_features": 100}] = 0.01
    assert not threshold.check(smoke).holds
    assert threshold.check(better).holds


def test_squared_is_a_mean_over_samples_of_a_sum_over_classes() -> None:
    assert float(fa.squared(torch.full((4, 3), 2.0))) == 12.0
