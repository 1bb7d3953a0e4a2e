"""The random-feature sweep against independent solvers, its handling of bad input, and its claims on planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.linear_model import Ridge

from heldout.data.digit_task import replace_labels, split
from heldout.double_descent import fourier, random_feature_checks, random_features
from heldout.double_descent.random_feature_fits import inflate

TINY = replace(
    random_features.SMOKE,
    num_train=40,
    num_validation=50,
    num_test=100,
    num_seeds=2,
    ratios=(0.5, 1.0, 2.0),
    ridge_ratios=(0.5, 1.0, 2.0),
)


@pytest.fixture(scope="module")
def tiny() -> xr.Dataset:
    return random_features.run(TINY, device="cpu")


def test_errors_equal_those_of_independent_solvers(tiny: xr.Dataset) -> None:
    train, _, test = split("bundled", 1, 40, 50, 100)
    frequencies, phases = (part.double().numpy() for part in fourier.draw(80, 1))
    design, tested = (np.sqrt(2) * np.cos(s.x.double().numpy() @ frequencies.T + phases) for s in (train, test))
    targets, labels = np.eye(10)[train.y], test.y.numpy()
    for count in (20, 40, 80):
        weights = np.linalg.lstsq(design[:, :count], targets, rcond=None)[0]
        scores = tested[:, :count] @ weights
        found = tiny.sel(seed=1, noise=0.0, feature_count=count)
        assert float(found.test_error) == pytest.approx(np.mean(scores.argmax(1) != labels))
        squared = np.square(scores - np.eye(10)[labels]).sum(1).mean()
        assert float(found.test_mse) == pytest.approx(squared, rel=1e-7)
        assert float(found.weight_norm) == pytest.approx(np.linalg.norm(weights), rel=1e-7)
        model = Ridge(alpha=100.0, fit_intercept=False).fit(design[:, :count], targets)
        by_ridge = tiny.ridge_test_error.sel(seed=1, noise=0.0, ridge_feature_count=count, ridge=100.0)
        assert float(by_ridge) == pytest.approx(np.mean(model.predict(tested[:, :count]).argmax(1) != labels))


def test_interpolants_interpolate(tiny: xr.Dataset) -> None:
    beyond = tiny.sel(feature_count=slice(40, None))
    assert float(beyond.train_residual.max()) < 1e-8
    assert float(tiny.inflated_residual.max()) < 1e-8
    assert float(beyond.teacher_residual.max()) < 1e-8
    assert float(tiny.train_residual.sel(feature_count=20).min()) > 1e-3


def test_adding_a_seed_changes_no_other(tiny: xr.Dataset) -> None:
    alone = random_features.run(replace(TINY, num_seeds=1, first_seed=1), device="cpu")
    xr.testing.assert_allclose(alone.sel(seed=1), tiny.sel(seed=1), rtol=1e-12)


def test_inflation_multiplies_the_norm() -> None:
    smallest = torch.tensor([[1.0], [0.0], [0.0]], dtype=torch.float64)
    null = torch.tensor([[0.0], [3.0], [4.0]], dtype=torch.float64)
    assert float(inflate(smallest, null, 8.0).norm()) == pytest.approx(8.0)


def test_replaced_labels_are_always_wrong_and_nested() -> None:
    labels = torch.arange(10).repeat(2000)
    some, more = replace_labels(labels, 0.2, 7), replace_labels(labels, 0.4, 7)
    share = (some != labels).double().mean()
    assert abs(float(share) - 0.2) < 5 * (0.2 * 0.8 / len(labels)) ** 0.5
    assert torch.equal(some[some != labels], more[some != labels])
    assert torch.equal(replace_labels(labels, 0.0, 7), labels)
    wrong = (some - labels)[some != labels] % 10
    assert set(wrong.tolist()) == set(range(1, 10))


def test_split_is_disjoint() -> None:
    parts = split("bundled", 0, 1000, 500, 2000)
    assert [len(part) for part in parts] == [1000, 500, 2000]
    rows = torch.cat([part.x for part in parts])
    assert len(torch.unique(rows, dim=0)) == 3500


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("digits", "letters"),
        ("num_train", 5),
        ("num_test", 4800),
        ("num_validation", 0),
        ("ratios", (0.5, 2.0)),
        ("ratios", (0.5, 1.0)),
        ("ratios", (1.0, 0.5)),
        ("ridge_ratios", (0.5,)),
        ("noise", (0.2,)),
        ("noise", (0.0, 1.0)),
        ("ridges", (0.0, 1.0)),
        ("num_seeds", 0),
    ],
)
def test_bad_config(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(random_features.SMOKE, **{field: value})


def test_peak_claim_judges_the_place_and_not_the_height() -> None:
    counts = [50, 96, 100, 104, 800]
    planted = xr.Dataset(
        {"test_error": (("seed", "noise", "feature_count"), [[[0.3, 0.5, 0.6, 0.5, 0.1]]])},
        {"seed": [0], "noise": [0.0], "feature_count": counts},
        {"num_train": 100},
    )
    assert random_feature_checks.peak_at_threshold(planted).holds
    assert random_feature_checks.end_below_valley(planted).holds
    moved = planted.copy(deep=True)
    moved.test_error[0, 0] = [0.3, 0.6, 0.5, 0.4, 0.35]
    assert not random_feature_checks.peak_at_threshold(moved).holds
    assert not random_feature_checks.end_below_valley(moved).holds
