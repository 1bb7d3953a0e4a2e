from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.double_descent import epoch_wise
from heldout.double_descent.gaussian_theory import exact_risk

TINY = replace(
    epoch_wise.SMOKE,
    num_train=40,
    large_dim=12,
    small_dims=(6,),
    reference_dim=6,
    scales=(1.0, 0.05),
    num_times=31,
    num_seeds=2,
)


def curves(*values):
    return xr.DataArray(np.array(values, dtype=float), dims=("seed", "time"))


def test_closed_form_is_where_small_gradient_steps_go():
    x, y, weights = epoch_wise.sample(TINY, 6, 3)
    scaling = torch.ones(18, dtype=torch.float64)
    scaling[12:] = 0.3
    step, count = 1e-3, 4000
    theta = torch.zeros(18, dtype=torch.float64)
    for _ in range(count):
        theta -= step * (x * scaling).T @ ((x * scaling) @ theta - y) / len(x)
    off, train = epoch_wise.flow(x, y, weights, scaling, torch.tensor([step * count]))
    torch.testing.assert_close(off[0], theta * scaling - weights, rtol=2e-3, atol=2e-4)
    assert float(train[0]) == pytest.approx(float(((x * scaling) @ theta - y).square().mean()), rel=1e-3)


def test_every_scale_ends_at_the_same_least_squares_fit():
    x, y, weights = epoch_wise.sample(TINY, 6, 3)
    expected = torch.from_numpy(np.linalg.lstsq(x.numpy(), y.numpy(), rcond=None)[0]) - weights
    for scale in (1.0, 0.2):
        scaling = torch.ones(18, dtype=torch.float64)
        scaling[12:] = scale
        off, _ = epoch_wise.flow(x, y, weights, scaling, torch.tensor([1e8]))
        torch.testing.assert_close(off[0], expected, rtol=1e-7, atol=1e-9)


def test_nothing_is_learned_at_the_start():
    record = epoch_wise.run(replace(TINY, first_log_time=-9.0))
    assert record.risk.isel(time=0).values == pytest.approx(2 + TINY.noise_std**2, rel=1e-5)


def test_final_risk_is_the_exact_one_of_the_theory_page():
    assert epoch_wise.final_risk(200, 150, 0.5) == pytest.approx(exact_risk(200, 150, 2.0, 0.0, 0.5))


def test_groups_add_up_to_the_risk():
    record = epoch_wise.run(TINY)
    total = record.part_error.sum("part") + TINY.noise_std**2
    np.testing.assert_allclose(total.values, epoch_wise.reference(record).risk.values, rtol=1e-5)


@pytest.mark.parametrize(
    ("curve", "height", "marks"),
    [
        ([3, 2, 1, 1], 1.0, None),
        ([3, 1, 2, 3], 1.0, None),
        ([3, 2, 4, 1, 2], 2.0, (1, 2, 3)),
        ([4, 3, 6, 5, 5], 1.2, (1, 2, 3)),
    ],
)
def test_prominence_of_planted_curves(curve, height, marks):
    assert float(epoch_wise.prominence(curves(curve))[0]) == pytest.approx(height)
    if marks:
        assert epoch_wise.landmarks(np.array(curve, dtype=float)) == marks


def test_claims_follow_a_planted_record():
    record = epoch_wise.run(TINY)
    planted = record.copy(deep=True)
    at = {"small_dim": 6, "scale": 0.05}
    fall = np.linspace(2, 1, TINY.num_times)
    planted.risk.loc[at] = fall
    assert [claim.check(planted).holds for claim in epoch_wise.CLAIMS] == [False, False]
    fall[10] = 3.0
    planted.risk.loc[at] = fall
    assert [claim.check(planted).holds for claim in epoch_wise.CLAIMS] == [True, True]


def test_same_seed_same_record():
    first = epoch_wise.run(TINY)
    assert first.identical(epoch_wise.run(TINY).assign_attrs(first.attrs))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("large_dim", 0),
        ("small_dims", ()),
        ("scales", (0.0, 0.05)),
        ("reference_dim", 51),
        ("reference_scale", 0.3),
        ("num_train", 176),
        ("noise_std", -1.0),
        ("first_log_time", 7.0),
        ("num_times", 2),
        ("num_seeds", 0),
    ],
)
def test_bad_settings_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        replace(epoch_wise.BOOK, **{field: value})
