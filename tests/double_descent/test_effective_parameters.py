"""Effective parameters against their definition by resampled noise, and the claims on planted records."""

import dataclasses

import numpy as np
import pytest
import torch

from heldout.double_descent import effective_parameters as ep


def test_smoother_weights_are_the_variance_of_predictions_under_noise() -> None:
    """n mean ||s||^2 counts the variance that unit noise in the targets gives the predictions: resample it."""
    draw = torch.Generator().manual_seed(0)
    train = torch.randn(30, 50, generator=draw, dtype=torch.float64)
    test = torch.randn(40, 50, generator=draw, dtype=torch.float64)
    left, values, right = torch.linalg.svd(train, full_matrices=False)
    labels = torch.zeros(30, dtype=torch.int64)
    found = ep.measure(left, test @ right.T / values, labels, torch.zeros(40, dtype=torch.int64))
    noise = torch.randn(30, 20_000, generator=draw, dtype=torch.float64)
    predictions = test @ (torch.linalg.pinv(train) @ noise)
    assert found["test_parameters"] == pytest.approx(30 * float(predictions.var(1).mean()), rel=0.03)
    assert found["train_parameters"] == pytest.approx(30)


def test_training_inputs_count_the_features_up_to_n_and_n_beyond() -> None:
    result = ep.run(ep.SMOKE, device="cpu")
    n = ep.SMOKE.num_train
    plain = result.train_parameters.sel(switch=1)
    np.testing.assert_allclose(plain, np.broadcast_to(np.minimum(plain.num_features, n), plain.shape), rtol=1e-9)


def test_predictions_equal_numpy_least_squares() -> None:
    config = dataclasses.replace(ep.SMOKE, num_seeds=1)
    result = ep.run(config, device="cpu")
    x, labels, test_x, test_labels = ep.split(config.num_train, config.num_test, "effective", 0)
    drawn = ep.fourier.draw(500, 0, dimension=784, scale=config.frequency_std)
    train, test = (ep.fourier.features(part, *drawn).numpy() for part in (x, test_x))
    for count in (40, 500):
        weights = np.linalg.lstsq(train[:, :count], ep.one_hot(labels).numpy(), rcond=None)[0]
        mse = ((test[:, :count] @ weights - ep.one_hot(test_labels).numpy()) ** 2).sum(1).mean()
        assert float(result.test_mse.sel(seed=0, switch=1, num_features=count)) == pytest.approx(mse, rel=1e-7)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_train", 3),
        ("num_test", 1),
        ("switches", (0.5,)),
        ("switches", (1.5, 1)),
        ("switches", (0.33, 1)),
        ("feature_ratios", (1, 0.6, 0.8)),
        ("feature_ratios", (0.001, 0.6, 0.8, 1)),
        ("frequency_std", 0.0),
        ("num_seeds", 0),
    ],
)
def test_degenerate_configs_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(ep.BOOK, **{field: value})


def test_fold_needs_the_peak_at_n_and_the_fall() -> None:
    result = ep.run(ep.SMOKE, device="cpu")
    fold = next(claim for claim in ep.CLAIMS if claim.id.endswith("fold"))
    assert fold.check(result).holds
    elsewhere = result.copy(deep=True)
    elsewhere["test_parameters"].loc[{"switch": 1, "num_features": 200}] = 1e9
    assert not fold.check(elsewhere).holds
    flat = result.copy(deep=True)
    flat["test_parameters"].loc[{"switch": 1, "num_features": 500}] = result.test_parameters.sel(
        switch=1, num_features=100
    ).values
    assert not fold.check(flat).holds


def test_moved_peak_needs_the_place() -> None:
    result = ep.run(ep.SMOKE, device="cpu")
    moved = next(claim for claim in ep.CLAIMS if claim.id.endswith("moved_peak"))
    assert moved.check(result).holds
    elsewhere = result.copy(deep=True)
    elsewhere["test_mse"].loc[{"switch": 0.8, "num_features": 125}] = 1e9
    assert not moved.check(elsewhere).holds
    interpolating = result.copy(deep=True)
    interpolating["train_mse"].loc[{"switch": 0.8, "num_features": 80}] = 1e-12
    assert not moved.check(interpolating).holds
