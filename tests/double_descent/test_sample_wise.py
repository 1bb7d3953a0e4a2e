from dataclasses import replace

import numpy as np
import pytest
import torch

from heldout.data.digit_task import one_hot, split
from heldout.double_descent import fourier, sample_wise

TINY = replace(
    sample_wise.SMOKE, num_features=40, ratios=(0.5, 0.9, 1.0, 2.0), num_validation=100, num_test=200, num_seeds=2
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def record():
    return sample_wise.run(TINY)


def designs(seed, n):
    train, validation, test = split("bundled", seed, 80, 100, 200)
    frequencies, phases = fourier.draw(40, seed)
    return [sample_wise.Design.of(part, frequencies, phases, CPU) for part in (train[:n], validation, test)]


@pytest.mark.parametrize("n", [20, 36, 40, 80])
def test_minimum_norm_against_numpy_and_the_record(record, n):
    train, _, test = designs(1, n)
    weights = np.linalg.lstsq(train.features.numpy(), train.targets.numpy(), rcond=None)[0]
    outputs = test.features.numpy() @ weights
    mse = ((outputs - test.targets.numpy()) ** 2).sum(1).mean()
    found = record.sel(estimator="minimum_norm", seed=1, train_count=n)
    assert float(found.test_mse) == pytest.approx(mse, rel=1e-6)
    wrong = (outputs.argmax(1) != test.targets.numpy().argmax(1)).mean()
    assert float(found.test_error) == pytest.approx(wrong)


def test_tuned_ridge_is_the_best_on_validation_digits():
    train, validation, _ = designs(0, 40)
    chosen, weights = sample_wise.tuned_ridge(train, validation, TINY.ridges)
    errors = {}
    for ridge in TINY.ridges:
        gram = train.features.T @ train.features + ridge * torch.eye(40, dtype=torch.float64)
        candidate = torch.linalg.solve(gram, train.features.T @ train.targets)
        errors[ridge] = validation.errors(candidate)[0]
        if ridge == chosen:
            torch.testing.assert_close(weights, candidate, rtol=1e-8, atol=1e-10)
    assert errors[chosen] == min(errors.values())


def test_errors_of_a_hand_made_model():
    design = sample_wise.Design(torch.eye(3, dtype=torch.float64), one_hot(torch.tensor([0, 1, 2])))
    right = one_hot(torch.tensor([0, 1, 2]))
    assert design.errors(right) == (0.0, 0.0)
    wrong, mse = design.errors(one_hot(torch.tensor([0, 1, 3])))
    assert wrong == pytest.approx(1 / 3)
    assert mse == pytest.approx(2 / 3)


def test_up_to_p_digits_every_digit_is_fitted(record):
    fitted = record.train_mse.sel(estimator="minimum_norm", train_count=[20, 36])
    assert float(fitted.max()) < 1e-15
    assert float(record.train_mse.sel(estimator="minimum_norm", train_count=80).min()) > 1e-3


def test_claims_follow_a_planted_record(record):
    planted = record.copy(deep=True)
    planted.test_error.values[:] = planted.test_mse.values[:] = [0.5, 0.7, 0.9, 0.2]
    assert [claim.check(planted).holds for claim in sample_wise.CLAIMS] == [True, True]
    planted.test_error.values[:] = planted.test_mse.values[:] = [0.5, 0.9, 0.4, 0.2]
    assert [claim.check(planted).holds for claim in sample_wise.CLAIMS] == [False, False]


def test_same_seed_same_record(record):
    assert record.identical(sample_wise.run(TINY).assign_attrs(record.attrs))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_features", 19),
        ("ratios", (0.5, 2.0)),
        ("ratios", (1.0, 0.5, 2.0)),
        ("ratios", (0.5, 1.0, 1.5)),
        ("ridges", (0.0,)),
        ("num_seeds", 0),
        ("num_test", 0),
        ("digits", "letters"),
    ],
)
def test_bad_settings_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        replace(sample_wise.BOOK, **{field: value})
