"""The closing panel of interpolation: the curves are what they are said to be, and the claims can fail."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.devices import generator
from heldout.interpolation import closing_curves, closing_panel
from heldout.interpolation.relu_fits import relu_curve

TINY = replace(closing_panel.SMOKE, num_seeds=2)


@pytest.fixture(scope="module")
def tiny() -> xr.Dataset:
    return closing_panel.run(TINY, device="cpu")


def test_curves_pass_through_the_points_and_are_what_they_are_said_to_be() -> None:
    x, y = closing_curves.sample(TINY, 0)
    small = relu_curve(20, generator=generator("test", 0), init_scale=0.3)
    curves = closing_curves.all_curves(TINY, x, y, {closing_curves.SMALL: small})
    for name in (closing_curves.SPLINE, closing_curves.POLYNOMIAL):
        torch.testing.assert_close(curves[name](x), y, rtol=0, atol=1e-9)
    inside, beyond = torch.linspace(-1, 1, 50, dtype=torch.float64), torch.tensor([-1.4, 1.4], dtype=torch.float64)
    plain, bent, farther = (
        curves[name] for name in (closing_curves.SMALL, closing_curves.BENT, closing_curves.FARTHER)
    )
    torch.testing.assert_close(bent(inside), plain(inside), rtol=0, atol=0)
    torch.testing.assert_close(farther(beyond), plain(beyond), rtol=0, atol=0)
    rise = 0.4 * TINY.bend * float(y.max() - y.min())
    torch.testing.assert_close(bent(beyond) - plain(beyond), torch.full((2,), rise, dtype=torch.float64))
    polynomial = np.polyfit(x.numpy(), y.numpy(), len(x) - 1)
    assert curves[closing_curves.POLYNOMIAL](inside).numpy() == pytest.approx(
        np.polyval(polynomial, inside.numpy()), abs=1e-6
    )


def test_sets_lie_where_the_page_says() -> None:
    x, _ = closing_curves.sample(TINY, 3)
    sets = closing_curves.inputs_of(TINY, x)
    assert float(x[0]) == -1
    assert float(x[-1]) == 1
    assert (x[1:] > x[:-1]).all()
    assert float(sets["test"].abs().max()) == 1
    assert float(sets["elsewhere"].abs().min()) > 1
    assert float(sets["elsewhere"].abs().max()) == 1.5


def test_permuted_units_are_the_same_function() -> None:
    network = relu_curve(30, generator=generator("test", 1), init_scale=0.5)
    other = closing_curves.permuted(network, 0)
    x = torch.linspace(-2, 2, 40, dtype=torch.float64)[:, None]
    with torch.no_grad():
        torch.testing.assert_close(other(x), network(x))
    assert not torch.equal(other.layers[0].weight, network.layers[0].weight)


def planted(record: xr.Dataset) -> xr.Dataset:
    """A record in which both claims hold: as if every network had been fitted."""
    planted = record.copy(deep=True)
    planted["train_mse"] = xr.zeros_like(record.train_mse)
    planted["distance"] = xr.zeros_like(record.distance)
    planted.distance.loc[{"set": "test"}] = 0.3
    planted.distance.loc[{"set": "elsewhere"}] = 0.6
    planted.distance.loc[{"pair": closing_panel.BUILT, "set": "test"}] = 0
    planted["control_distance"] = xr.zeros_like(record.control_distance)
    planted["yardstick"] = xr.zeros_like(record.yardstick)
    return planted


def test_claims_hold_and_fail_on_planted_records(tiny: xr.Dataset) -> None:
    record = planted(tiny)
    for k, claim in enumerate(closing_panel.CLAIMS):
        assert claim.check(record).holds
        disputed = record.copy(deep=True)
        disputed.distance.loc[{"set": "train"}] = 0.01
        assert not claim.check(disputed).holds
        change = claim.control.change
        assert change is not None
        assert not claim.check(change(record)).holds
        assert claim.control.manipulation(change(record)).holds
        apart = record.copy(deep=True)
        if k == 0:
            apart.yardstick.loc[{"set": ["test", "elsewhere"]}] = 0.5
        else:
            apart.control_distance.loc[{"control": closing_panel.FARTHER, "set": "elsewhere"}] = 0.5
        assert claim.check(change(apart)).holds, "a control's curve that differs must not break the claim"
        assert not claim.control.manipulation(record.assign(train_mse=record.train_mse + 0.1)).holds


def test_built_pair_differs_beyond_alone(tiny: xr.Dataset) -> None:
    built = tiny.distance.sel(pair=closing_panel.BUILT)
    assert float(built.sel(set=["train", "test"]).max()) == 0
    assert float(built.sel(set="elsewhere").min()) > 0.8
    assert tiny.natural.values.tolist() == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_points", 3), ("width", 7), ("small_start", 1e-200), ("lazy_start", -1.0), ("steps", 0),
        ("learning_rates", (float("nan"),)), ("lazy_start", float("inf")), ("bend", float("inf")),
        ("learning_rates", ()), ("bend", 0.0), ("grid", 5), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_config(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(TINY, **{field: value})
