"""What the claims of :mod:`random_features` measure, and the changes of its record that must break them."""

from dataclasses import replace

import xarray as xr

from heldout.claims import Evidence, across_seeds


def tuned(result: xr.Dataset, name: str) -> xr.DataArray:
    """A ridge variable at the lambda with the lowest validation error, for each seed, noise and feature count."""
    best = result.ridge_validation_error.argmin("ridge")
    chosen: xr.DataArray = result[name].isel(ridge=best)
    return chosen


def valley(result: xr.Dataset) -> xr.DataArray:
    """The lowest test error before the threshold, for each seed and noise."""
    before: xr.DataArray = result.test_error.where(result.feature_count < result.num_train, drop=True)
    return before.min("feature_count")


def peak_at_threshold(result: xr.Dataset) -> Evidence:
    """Distance of the highest test error from N = n, as a share of n, at the worse noise level."""
    peak = result.test_error.idxmax("feature_count") / result.num_train
    return across_seeds(abs(peak - 1).max("noise"), below=0.0301)


def end_below_valley(result: xr.Dataset) -> Evidence:
    """Test error at the largest N over the lowest before the threshold, at the worse noise level; in part where one holds."""
    ratio = result.test_error.isel(feature_count=-1) / valley(result)
    one = any(across_seeds(ratio.sel(noise=noise), below=1.0).holds for noise in ratio.noise.values)
    return replace(across_seeds(ratio.max("noise"), below=1.0), partly=one)


def peaks_without_noise(result: xr.Dataset) -> Evidence:
    """Squared error at N = n over that at the largest N, with every label correct."""
    at_n = result.test_mse.sel(noise=0.0, feature_count=int(result.num_train))
    return across_seeds(at_n / result.test_mse.sel(noise=0.0).isel(feature_count=-1), above=2.0)


def ridge_removes(result: xr.Dataset) -> Evidence:
    """Test error at N = n with the tuned ridge over the one without."""
    n = int(result.num_train)
    smooth = tuned(result, "ridge_test_error").sel(ridge_feature_count=n)
    return across_seeds((smooth / result.test_error.sel(feature_count=n)).sel(noise=0.0), below=0.35)


def interpolates(result: xr.Dataset) -> Evidence:
    """The largest training residual of any fit with at least n features."""
    beyond = result.train_residual.sel(feature_count=slice(int(result.num_train), None))
    return across_seeds(beyond.max(("noise", "feature_count")), below=1e-8)


def by_tuned_ridge(result: xr.Dataset) -> xr.Dataset:
    """The same features and labels, fitted with the tuned ridge."""
    kept = result.drop_dims("feature_count")
    curves = {"test_error": tuned(result, "ridge_test_error"), "train_residual": tuned(result, "ridge_train_residual")}
    renamed = {
        name: curve.rename(ridge_feature_count="feature_count").drop_vars("ridge") for name, curve in curves.items()
    }
    return kept.assign(renamed)


def ridge_fits_the_digits(result: xr.Dataset) -> Evidence:
    """Manipulation check: the ridge models still learn, classifying the training digits with n features nearly all right."""
    n = int(result.num_train)
    return across_seeds(tuned(result, "ridge_train_error").sel(ridge_feature_count=n, noise=0.0), below=0.05)


def inflated_at_the_end(result: xr.Dataset) -> xr.Dataset:
    """The last model exchanged for one that fits as exactly, with the same features and 8 times the norm."""
    changed = result.copy(deep=True)
    changed.test_error[{"feature_count": -1}] = result.inflated_error
    changed.train_residual[{"feature_count": -1}] = result.inflated_residual
    return changed


def labels_from_a_teacher(result: xr.Dataset) -> xr.Dataset:
    """The same features, with labels that n/2 of them can produce exactly."""
    changed = result.copy(deep=True)
    changed["test_mse"] = result.teacher_mse.expand_dims(noise=result.noise).transpose(*result.test_mse.dims)
    changed["train_residual"] = result.teacher_residual.expand_dims(noise=result.noise).transpose(*result.test_mse.dims)
    return changed


def smallest_ridge(result: xr.Dataset) -> xr.Dataset:
    """The smallest ridge of the grid in place of the tuned one."""
    return result.isel(ridge=[0])
