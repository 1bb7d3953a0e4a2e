"""Random features against NumPy's least squares, the rank of linear features, and the claims on planted records."""

import dataclasses
import math

import numpy as np
import pytest
import xarray as xr

from heldout.double_descent import triple_descent as td


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return td.run(td.SMOKE, device="cpu")


@pytest.mark.parametrize("activation", td.ACTIVATIONS)
def test_errors_equal_numpy_least_squares(smoke: xr.Dataset, activation: str) -> None:
    x, y, test_x, test_y, weights = td.sample(td.SMOKE, 0)
    for n in (5, 60, 300):
        train, test = (
            td.ACTIVATIONS[activation](part @ weights.T / math.sqrt(td.SMOKE.input_dim)).numpy()
            for part in (x[:n], test_x)
        )
        coefficients = np.linalg.lstsq(train, y[:n].numpy(), rcond=1e-10)[0]
        mse = ((test @ coefficients - test_y.numpy()) ** 2).mean()
        found = smoke.test_mse.sel(seed=0, activation=activation, num_train=n)
        assert float(found) == pytest.approx(mse, rel=1e-6)


def test_linear_features_interpolate_up_to_d_and_the_others_up_to_p(smoke: xr.Dataset) -> None:
    d, p = td.SMOKE.input_dim, td.SMOKE.num_features
    fitted = (smoke.train_mse < 1e-8).all("seed")
    np.testing.assert_array_equal(fitted.sel(activation="linear"), smoke.num_train <= d)
    for activation in ("tanh", "even"):
        np.testing.assert_array_equal(fitted.sel(activation=activation), smoke.num_train <= p)


def test_the_even_activation_has_no_linear_part() -> None:
    z = td.torch.randn(1_000_000, generator=td.torch.Generator().manual_seed(0), dtype=td.torch.float64)
    values = td.ACTIVATIONS["even"](z)
    assert abs(float(values.mean())) < 0.005
    assert abs(float((values * z).mean())) < 0.005


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input_dim", 1),
        ("num_features", 60),
        ("sample_ratios", (0.5, 1, 2)),
        ("sample_ratios", (1, 0.5, 10)),
        ("sample_ratios", (0.01, 1, 10)),
        ("noise_variance", -1.0),
        ("num_test", 0),
        ("num_seeds", 0),
    ],
)
def test_degenerate_configs_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(td.BOOK, **{field: value})


def planted(first: float, second_at: int) -> xr.Dataset:
    """A tanh curve of ones with a first peak of the given height at d = 30 and a second one at ``second_at``."""
    counts = [8, 15, 30, 60, 90, 150, 300, 450]
    curve = np.ones(len(counts))
    curve[counts.index(30)] = first
    curve[counts.index(second_at)] = 100.0
    return record(counts, np.tile(curve, (5, 3, 1)))


def hump(center: float) -> xr.Dataset:
    """Every seed and activation with one smooth hump, centered at ``center`` times d = 30 and as wide as a factor of 1.5."""
    counts = [round(30 * ratio) for ratio in td.BOOK.sample_ratios]
    curve = 1 + 3 * np.exp(-((np.log(np.array(counts) / 30 / center) / math.log(1.5)) ** 2))
    return record(counts, np.tile(curve, (5, 3, 1)))


def record(counts: list[int], values: np.ndarray) -> xr.Dataset:
    """A record with d = 30 and p = 300."""
    return xr.Dataset(
        {"test_mse": (("seed", "activation", "num_train"), values)},
        {"seed": range(5), "activation": list(td.ACTIVATIONS), "num_train": counts},
        {"input_dim": 30, "num_features": 300},
    )


def test_claims_follow_planted_peaks() -> None:
    linear, nonlinear = td.CLAIMS
    assert linear.check(planted(2.0, 300)).holds
    assert not linear.check(planted(0.9, 300)).holds
    assert nonlinear.check(planted(2.0, 300)).holds
    assert not nonlinear.check(planted(2.0, 150)).holds


def test_the_first_bump_has_a_place() -> None:
    linear, _ = td.CLAIMS
    for center in (0.95, 1.0, 1.1, 1.27):
        assert linear.check(hump(center)).holds, center
    for center in (0.5, 0.75, 1.5, 1.9, 3.0):
        assert not linear.check(hump(center)).holds, center


def test_a_slow_rise_to_a_sharp_peak_beyond_the_bump_does_not_count() -> None:
    planted_late = hump(1.0)
    late = [1.0, 1.2, 1.5, 2.0, 2.3, 2.6, 3.0, 4.0] + [1.0] * 11
    planted_late["test_mse"][:] = np.array(late)
    assert not td.CLAIMS[0].check(planted_late).holds


def test_a_bump_in_too_few_seeds_holds_in_part() -> None:
    mixed = hump(1.1)
    mixed["test_mse"][:2] = 1.0
    assert td.CLAIMS[0].check(mixed).verdict == "in part"
