"""Ridge regression of random features against the normal equations, the label noise, and the claims on planted records."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.double_descent import final_ascent as fa


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return fa.run(fa.SMOKE, device="cpu")


def test_errors_equal_the_normal_equations(smoke: xr.Dataset) -> None:
    config = fa.SMOKE
    x, labels, clean = fa.sample(config, 0)
    n, held = config.num_train, config.num_train + config.num_validation
    draw = fa.generator("final_ascent", "weights", 0)
    weights = torch.randn(config.widths[-1], 64, generator=draw, dtype=torch.float64)
    targets = fa.one_hot(labels[-1]) - 0.1
    for width in (20, 1000):
        features = (x @ weights[:width].T).relu()
        train = features[:n]
        gram = train.T @ train + config.ridge * torch.eye(width, dtype=torch.float64)
        predicted = features @ torch.linalg.solve(gram, train.T @ targets)
        mse = float((predicted - fa.one_hot(clean) + 0.1)[held:].square().sum(1).mean())
        found = smoke.test_mse.sel(seed=0, ridge_rule="fixed", width=width).isel(noise=-1)
        assert float(found) == pytest.approx(mse, rel=1e-8)


def test_the_stated_share_of_labels_is_wrong() -> None:
    _, labels, clean = fa.sample(fa.BOOK, 3)
    n = fa.BOOK.num_train
    for share, given in zip(fa.BOOK.noises, labels, strict=True):
        assert float((given != clean[:n]).double().mean()) == pytest.approx(share, abs=1 / n)


def test_fixed_and_proportional_agree_at_the_reference_width(smoke: xr.Dataset) -> None:
    here = smoke.sel(width=fa.REFERENCE_WIDTH)
    np.testing.assert_array_equal(here.test_mse.sel(ridge_rule="fixed"), here.test_mse.sel(ridge_rule="proportional"))


def test_the_tuned_ridge_is_one_of_those_tried(smoke: xr.Dataset) -> None:
    assert set(np.unique(smoke.ridge.sel(ridge_rule="tuned"))) <= set(fa.SMOKE.tuning)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_train", 10),
        ("num_train", 1500),
        ("num_validation", 10),
        ("widths", (10, 20)),
        ("widths", (100, 20)),
        ("noises", (0.2, 0.6)),
        ("noises", (0, 0.95)),
        ("ridge", 0.0),
        ("tuning", ()),
        ("num_seeds", 0),
    ],
)
def test_degenerate_configs_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(fa.BOOK, **{field: value})


def test_claims_follow_the_record(smoke: xr.Dataset) -> None:
    fixed, proportional = fa.CLAIMS
    risen = smoke.copy(deep=True)
    risen["test_mse"].loc[{"width": 1000}] = 10.0
    assert fixed.check(risen).holds
    assert not proportional.check(risen).holds
    fallen = smoke.copy(deep=True)
    fallen["test_mse"].loc[{"width": 1000}] = 0.0001
    assert not fixed.check(fallen).holds
    assert proportional.check(fallen).holds
