"""Interpolants: their number, their norms, and what they do on the digits they must and need not fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.linalg import null_space

from heldout.double_descent import interpolant_fits as fits
from heldout.double_descent import many_interpolants
from heldout.double_descent.random_feature_fits import inflate

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def problem() -> fits.Problem:
    return fits.prepare("bundled", (40, 60, 100), 300, 0, CPU)


def test_smallest_is_the_pseudoinverse_solution(problem: fits.Problem) -> None:
    oracle = np.linalg.pinv(problem.design.numpy()) @ problem.targets.numpy()
    assert np.allclose(fits.smallest(problem.design, problem.targets).numpy(), oracle, atol=1e-10)


def test_unseen_directions_lie_in_the_null_space(problem: fits.Problem) -> None:
    null = fits.unseen_directions(problem.design, 3, "test")
    assert float((problem.design @ null).abs().max()) < 1e-9 * float(null.abs().max())
    basis = null_space(problem.design.numpy())
    assert basis.shape[1] == fits.spectrum(problem.design)["null_dimension"] == 260
    assert np.allclose(basis @ (basis.T @ null.numpy()), null.numpy(), atol=1e-9)


def test_every_inflated_interpolant_fits_and_has_the_norm_asked_for(problem: fits.Problem) -> None:
    base = fits.smallest(problem.design, problem.targets)
    null = fits.unseen_directions(problem.design, 10, "test")
    for factor in (1.5, 4.0):
        found = inflate(base, null, factor)
        assert float((problem.design @ found - problem.targets).abs().max()) < 1e-9
        assert float(found.norm() / base.norm()) == pytest.approx(factor)


def test_adversarial_fits_wrong_labels_too(problem: fits.Problem) -> None:
    assert not (problem.wrong_targets.argmax(1) == problem.extra_targets.argmax(1)).any()
    found = fits.fitted_along(problem)
    assert found["adversarial_residual"] < 1e-9
    assert found["informed_residual"] < 1e-9
    assert found["adversarial_error"] > found["informed_error"]
    assert found["adversarial_norm"] >= 1
    assert np.isnan(fits.fitted_along(problem.first(99))["adversarial_error"])


def test_unseen_part_changes_no_test_digit(problem: fits.Problem) -> None:
    found = fits.unseen(problem, (1.0, 8.0))
    assert found["unseen_error"][0] == found["unseen_error"][1]
    assert found["unseen_residual"] < 1e-9


def test_only_the_smallest_exists_at_the_threshold(problem: fits.Problem) -> None:
    error = fits.random_interpolants(problem.first(40), 2, (1.0, 2.0))["test_error"]
    assert np.isfinite(error[0])
    assert np.isnan(error[1])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ratios", (1.1, 10.0)),
        ("ratios", (1.0, 2.0)),
        ("ratios", (1.0, 10.0, 4.0)),
        ("norm_factors", (2.0, 4.0)),
        ("norm_factors", (1.0, 4.0, 2.0)),
        ("num_draws", 0),
        ("num_seeds", 0),
        ("num_train", 3),
    ],
)
def test_bad_config(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(many_interpolants.SMOKE, **{field: value})


def test_growth_claim_fails_where_one_step_falls() -> None:
    claim = many_interpolants.CLAIMS[1]
    planted = xr.Dataset(
        {"test_error": (("seed", "feature_count", "norm_factor"), [[[0.1, 0.2, 0.4]], [[0.1, 0.3, 0.5]]])}
    )
    assert claim.check(planted).holds
    planted.test_error[0, 0, 2] = 0.15
    assert not claim.check(planted).holds
