"""Networks pushed beyond the last training error: the loss is what it says, the margin is scale-free, and the claims can fail."""

import math
from dataclasses import replace

import pytest
import torch
import xarray as xr

from heldout.devices import generator
from heldout.interpolation import moons, network_margin


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return network_margin.run(network_margin.SMOKE, device="cpu")


def test_networks_are_homogeneous() -> None:
    network = moons.Homogeneous(3, 8, generator("test", 0))
    x = torch.randn(20, 3, generator=generator("test", 1), dtype=torch.float64)
    with torch.no_grad():
        before = network(x)
        for parameter in network.parameters():
            parameter.mul_(3)
        torch.testing.assert_close(network(x), 9 * before)


def test_pushing_loss_is_a_growing_function_of_the_exponential_loss() -> None:
    sides = torch.ones(3, 5, dtype=torch.float64)
    outputs = torch.tensor([-2.0, 0.5, 30.0], dtype=torch.float64)[:, None] * sides
    found = moons.pushing(outputs, sides)[:, 0]
    plain = (-outputs).exp().mean(1)  # its logarithm is minus the common output
    assert found.tolist() == pytest.approx([-math.log(math.log1p(1 / value)) for value in plain.tolist()])
    far = moons.pushing(5000 * sides, sides)
    assert far[0, 0].item() == pytest.approx(-math.log(5000))  # where the exponential loss itself is 0


def test_pushing_gradient_points_where_the_exponential_losses_does() -> None:
    outputs = torch.randn(1, 6, generator=generator("test", 2), dtype=torch.float64).requires_grad_()
    sides = torch.tensor([[1.0, -1, 1, -1, 1, 1]], dtype=torch.float64)
    (ours,) = torch.autograd.grad(moons.pushing(outputs, sides).mean(), outputs)
    (plain,) = torch.autograd.grad((-sides * outputs).exp().mean(), outputs)
    torch.testing.assert_close(ours / ours.norm(), plain / plain.norm())


def test_content_loss_ends_with_the_last_error() -> None:
    sides = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    assert moons.content(torch.tensor([[2.0, -0.1]], dtype=torch.float64), sides).tolist() == [[0, 0]]
    assert moons.content(torch.tensor([[-2.0, 0.5]], dtype=torch.float64), sides).tolist() == [[2, 0.5]]


def test_moons_are_half_circles() -> None:
    x, sides = moons.moons([0, 1], "train", 40, 0.0)
    upper = x[sides > 0]
    radius = ((upper[:, 0] + 0.5) ** 2 + (upper[:, 1] + 0.25) ** 2).sqrt()
    torch.testing.assert_close(radius, torch.ones_like(radius))
    assert float(upper[:, 1].min()) >= -0.25 - 1e-12
    torch.testing.assert_close(x[..., 2], torch.ones(2, 40, dtype=torch.float64))


def test_margin_of_a_network_that_stopped_stays(smoke: xr.Dataset) -> None:
    content = smoke.sel(loss=network_margin.CONTENT)
    fitted = network_margin.fitted_from(smoke).sel(loss=network_margin.CONTENT)
    after = content.margin.where(content.step >= fitted)
    assert float((after.max("step") - after.min("step")).max()) == 0


def planted(result: xr.Dataset) -> xr.Dataset:
    """A record in which all three claims hold: errors gone from the fourth probe on, pushed networks better from the fifth."""
    record = result.copy(deep=True)
    late = record.step >= record.step[3]
    record["train_error"] = xr.where(late, 0.0, 0.1).broadcast_like(result.train_error).transpose(*result.margin.dims)
    rank = xr.zeros_like(result.margin) + xr.DataArray(
        range(result.sizes["step"]), dims="step", coords={"step": result.step}
    )
    pushed = result.loss == network_margin.PUSHED
    record["margin"] = xr.where(pushed, 0.01 * (rank - 2), 0.001).transpose(*result.margin.dims)
    error = xr.where(pushed & (rank > 3), 0.01, 0.06)
    record["test_error"] = (error + 0 * rank).transpose(*result.margin.dims)
    return record


def test_claims_hold_and_fail_on_planted_records(smoke: xr.Dataset) -> None:
    record = planted(smoke)
    for claim in network_margin.CLAIMS:
        assert claim.check(record).holds, claim.id
        assert claim.control.change is not None
        broken = claim.control.change(record)
        assert not claim.check(broken).holds, claim.id
        assert claim.control.manipulation(broken).holds, claim.id
        assert not claim.control.manipulation(record.assign(train_error=record.train_error + 0.1)).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_points", 2),
        ("noise_std", -1.0),
        ("width", 0),
        ("steps", 10),
        ("rates", (0.1, 0.0)),
        ("rates", (0.1, float("inf"))),
        ("probes", 3),
        ("num_seeds", 0),
    ],
)
def test_bad_config(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(network_margin.SMOKE, **{field: value})
