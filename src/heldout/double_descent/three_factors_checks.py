"""What is read off a record of :mod:`heldout.double_descent.three_factors`, and what its claims are judged by."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence

DATASETS = ("diabetes", "auto_mpg", "synthetic")
ARMS = ("unablated", "cut", "no_residuals", "leading")
EXACT = 1e-20  # errors below this are rounding and are drawn at this height
SINGULAR_VALUES = ("smallest_singular_value", "own_singular_value")  # as handed on, as drawn
MAX_RISE = 1.5  # a curve has no peak when its median at n = d is below this multiple of that at n = d / 2


def at_threshold(result: xr.Dataset, dataset: str) -> tuple[xr.DataArray, xr.DataArray]:
    """At n = d, the unablated error and the smallest singular value of every seed."""
    part = result.sel(dataset=dataset, train_count=int(result.dim.sel(dataset=dataset)))
    return part.test_mse.sel(arm="unablated"), part.smallest_singular_value


def removal(result: xr.Dataset, dataset: str, arm: str) -> float:
    """Median error at n = d as it is, over the median error there with a factor taken away."""
    part = result.test_mse.sel(dataset=dataset, train_count=int(result.dim.sel(dataset=dataset))).median("seed")
    return float(part.sel(arm="unablated") / part.sel(arm=arm).clip(EXACT))


def peak(result: xr.Dataset, dataset: str) -> int:
    """The n at which the median error as it is, is largest."""
    curve = result.test_mse.sel(dataset=dataset, arm="unablated").median("seed")
    return int(curve.train_count.values[curve.values.argmax()])


def rise(result: xr.Dataset, dataset: str, arm: str) -> float:
    """Median error at n = d over that at n = d / 2: well above 1 where there is a peak."""
    dim, curve = (
        int(result.dim.sel(dataset=dataset)),
        result.test_mse.sel(dataset=dataset, arm=arm).median("seed").clip(EXACT),
    )
    return float(curve.sel(train_count=dim) / curve.sel(train_count=dim // 2))


def rank_correlation(result: xr.Dataset, dataset: str) -> float:
    """Rank correlation over draws at n = d of the test error with the smallest singular value."""
    error, value = (column.values.argsort().argsort() for column in at_threshold(result, dataset))
    return float(np.corrcoef(error, value)[0, 1])


def peaks_at_dimension(result: xr.Dataset) -> Evidence:
    """The largest distance, over data sets, of the peak from n = d."""
    offsets = [abs(peak(result, name) - int(result.dim.sel(dataset=name))) for name in DATASETS]
    near = [offset <= 1 for offset in offsets]
    bound = f"|n - d| <= 1 in all {len(near)} data sets (held in {sum(near)})"
    return Evidence(value=float(max(offsets)), bound=bound, holds=all(near), partly=any(near))


def no_rise(result: xr.Dataset) -> Evidence:
    """The largest rise of the median error from n = d / 2 to n = d with a factor taken away."""
    rises = [rise(result, name, arm) for name in DATASETS for arm in ARMS[1:]]
    kept = [each < MAX_RISE for each in rises]
    bound = f"< {MAX_RISE:g} in all {len(kept)} pairs of data set and factor (held in {sum(kept)})"
    return Evidence(value=max(rises), low=min(rises), high=max(rises), bound=bound, holds=all(kept), partly=any(kept))


def small_value_large_error(result: xr.Dataset) -> Evidence:
    """The weakest of the rank correlations of the error with the smallest singular value."""
    found = [rank_correlation(result, name) for name in DATASETS]
    return Evidence(
        value=max(found), low=min(found), high=max(found), bound="< -0.3 in every data set", holds=max(found) < -0.3
    )


def cut_shown_as_unablated(result: xr.Dataset) -> xr.Dataset:
    """The record with the arm whose singular values are cut in the place of the unablated one."""
    altered = result.copy(deep=True)
    altered.test_mse.loc[{"arm": "unablated"}] = result.test_mse.sel(arm="cut").values
    altered["untouched_end"] = result.test_mse.sel(arm="unablated").isel(train_count=-1)
    return altered


def still_a_fair_model(result: xr.Dataset) -> Evidence:
    """The manipulation check: with many samples the model with cut singular values is as good as the other, within a quarter."""
    cut = result.test_mse.sel(arm="unablated").isel(train_count=-1).median("seed")
    worst = float((cut / result.untouched_end.median("seed")).max())
    return Evidence(value=worst, bound="< 1.25 times the error at the largest n", holds=worst < 1.25)


def nothing_taken_away(result: xr.Dataset) -> Evidence:
    """The manipulation check: with every dial at nothing, all arms give the unablated error."""
    reference = result.test_mse.sel(arm="unablated")
    worst = float(np.abs(result.test_mse / reference - 1).median("seed").max())
    return Evidence(value=worst, bound="< 1e-6 relative difference between the arms", holds=worst < 1e-6)


def singular_values_of_other_draws(result: xr.Dataset) -> xr.Dataset:
    """The record with the singular values handed on by one draw."""
    altered = result.copy()
    altered["smallest_singular_value"] = result.smallest_singular_value.roll(seed=1)
    altered["own_singular_value"] = result.smallest_singular_value.copy()
    return altered


def same_singular_values(result: xr.Dataset) -> Evidence:
    """The manipulation check: sorted, the values are those of the untouched record, so only whose is whose has changed."""
    now, before = (np.sort(result[name].values, axis=result[name].get_axis_num("seed")) for name in SINGULAR_VALUES)
    worst = float(np.nanmax(np.abs(now / before - 1)))
    return Evidence(value=worst, bound="< 1e-12 relative difference once sorted", holds=worst < 1e-12)
