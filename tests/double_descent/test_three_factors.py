from dataclasses import replace

import numpy as np
import pytest
import torch

from heldout.double_descent import ablations, three_factors, three_factors_checks

TINY = replace(three_factors.SMOKE, num_seeds=3, max_train=60, cutoffs=(0.0, 0.3))
SIZES = {"dim": 6, "samples": 80, "noise_std": 0.5, "first_seed": 0}


@pytest.fixture(scope="module")
def record():
    return three_factors.run(TINY)


def by_hand(x, y, n, cutoff=0.0, leading=None):
    """One draw at a time with NumPy: the same numbers by another road."""
    weights = np.linalg.pinv(x[:n], rcond=max(cutoff, 1e-12)) @ y[:n]
    test_x = x[n:]
    if leading is not None:
        right = np.linalg.svd(x[:n], full_matrices=False)[2][:leading]
        test_x = test_x @ right.T @ right
    return ((test_x @ weights - y[n:]) ** 2).mean()


@pytest.mark.parametrize("n", [1, 3, 6, 7, 30])
def test_every_arm_against_numpy(n):
    data = ablations.load("synthetic", **SIZES)
    order = ablations.order("synthetic", 4, 80)
    problem = ablations.problem_of(data, order[None], 0.0, torch.device("cpu"))
    modes = ablations.modes_of(problem, n)
    x, y = data.x[order].numpy(), data.y[order].numpy()
    linear = x @ np.linalg.lstsq(data.x.numpy(), data.y.numpy(), rcond=None)[0]
    expected = {
        (): by_hand(x, y, n),
        (("cutoff", 0.5),): by_hand(x, y, n, cutoff=0.5),
        (("linear", True),): by_hand(x, linear, n),
        (("leading_share", 0.5),): by_hand(x, y, n, leading=3),
    }
    for options, value in expected.items():
        found = float(ablations.errors(problem, modes, n, **dict(options))[0])
        assert found == pytest.approx(value, rel=1e-8, abs=1e-20)


@pytest.mark.parametrize("name", three_factors_checks.DATASETS)
def test_data_are_standardized_and_seeds_differ(name):
    data = ablations.load(name, **SIZES)
    assert data.x.mean(0).abs().max() < 1e-10
    assert data.x.std(0, correction=0).numpy() == pytest.approx(np.ones(data.x.shape[1]))
    assert float(data.y.std(correction=0)) == pytest.approx(1)
    assert not torch.equal(ablations.order(name, 0, len(data.y)), ablations.order(name, 1, len(data.y)))


def test_the_dials_at_nothing_are_the_unablated_arm():
    untouched = replace(TINY, cutoff=0.0, residual_share=1.0, leading_share=1.0)
    assert three_factors_checks.nothing_taken_away(three_factors.run(untouched)).holds


def test_without_residuals_the_fit_is_exact_from_d_samples_on(record):
    for name in three_factors_checks.DATASETS:
        part = record.test_mse.sel(dataset=name, arm="no_residuals")
        assert float(part.where(record.train_count >= int(record.dim.sel(dataset=name))).max()) < 1e-18


def test_cutoffs_shown_one_by_one_include_the_arm(record):
    arm = record.test_mse.sel(arm="cut").quantile(0.5, "seed")
    shown = record.cutoff_mse.sel(cutoff=TINY.cutoff, quantile=0.5)
    np.testing.assert_allclose(shown.values, arm.values, rtol=1e-5)


def test_same_seed_same_record(record):
    again = three_factors.run(TINY)
    assert again.identical(record.assign_attrs(again.attrs))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_train", 40),
        ("max_train", 301),
        ("cutoff", 1.0),
        ("residual_share", 1.1),
        ("leading_share", 0.0),
        ("cutoffs", (0.1, 1.0)),
        ("synthetic_dim", 3),
        ("synthetic_samples", 100),
        ("synthetic_noise_std", -1.0),
        ("num_seeds", 0),
    ],
)
def test_bad_settings_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        replace(three_factors.BOOK, **{field: value})


def test_a_planted_rise_and_a_planted_shift_are_found(record):
    flat = record.copy(deep=True)
    flat.test_mse.values[:] = 1.0
    assert three_factors_checks.no_rise(flat).holds
    at = int(flat.dim.sel(dataset="auto_mpg"))
    flat.test_mse.loc[{"dataset": "auto_mpg", "arm": "cut", "train_count": at}] = 2.0
    assert three_factors_checks.no_rise(flat).verdict == "in part"
    moved = record.copy(deep=True)
    moved.test_mse.values[:] = 1.0
    for name in three_factors_checks.DATASETS:
        moved.test_mse.loc[{"dataset": name, "train_count": int(moved.dim.sel(dataset=name)) + 2}] = 9.0
    assert three_factors_checks.peaks_at_dimension(moved).verdict == "not reproduced"


def test_rank_correlation_of_a_planted_order(record):
    planted = record.copy(deep=True)
    for name in three_factors_checks.DATASETS:
        at = {"dataset": name, "train_count": int(planted.dim.sel(dataset=name))}
        planted.smallest_singular_value.loc[at] = [1.0, 2.0, 3.0]
        planted.test_mse.loc[at | {"arm": "unablated"}] = [9.0, 8.0, 1.0]
    assert three_factors_checks.rank_correlation(planted, "diabetes") == pytest.approx(-1)
    assert three_factors_checks.small_value_large_error(planted).holds


def test_handing_on_singular_values_is_fair_only_if_they_stay_the_same(record):
    handed_on = three_factors_checks.singular_values_of_other_draws(record)
    assert three_factors_checks.same_singular_values(handed_on).holds
    assert not handed_on.smallest_singular_value.equals(record.smallest_singular_value)
    handed_on["smallest_singular_value"] = 1.01 * handed_on.smallest_singular_value
    assert not three_factors_checks.same_singular_values(handed_on).holds
