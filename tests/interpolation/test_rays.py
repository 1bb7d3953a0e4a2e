"""Lines, bends and fits against hand cases and plain code; the claims on planted records."""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.stats import linregress

from heldout.interpolation import ray_fits, rays
from heldout.networks import MLP


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return rays.run(rays.SMOKE, device="cpu")


def hand_network() -> MLP:
    """f(x) = relu(x_1 - 0.5) + 3 relu(x_1 - 2): along (1, 0) it bends by 1 at radius 0.5 and by 3 at radius 2."""
    network = MLP(2, (2,), 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        network.get_parameter("layers.0.weight").copy_(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        network.get_parameter("layers.0.bias").copy_(torch.tensor([-0.5, -2.0]))
        network.get_parameter("layers.1.weight").copy_(torch.tensor([[1.0, 3.0]]))
        network.get_parameter("layers.1.bias").zero_()
    return network


def test_bends_by_hand() -> None:
    along = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert ray_fits.bend_beyond(hand_network(), along, 1.0) == pytest.approx(0.75)
    assert ray_fits.bend_beyond(hand_network(), along, 2.5) == 0.0
    assert ray_fits.bend_beyond(hand_network(), along / 2, 1.5) == pytest.approx(0.75)


def test_a_line_explains_what_regression_says() -> None:
    places = torch.linspace(1, 2, 50, dtype=torch.float64)
    values = torch.stack([2 * places - 1, places**2, torch.sin(9 * places)])
    plain = [linregress(places.numpy(), row.numpy()).rvalue ** 2 for row in values]
    np.testing.assert_allclose(ray_fits.line_share(values, places).numpy(), plain, atol=1e-12)


def test_a_relu_network_is_a_line_beyond_its_last_bend() -> None:
    fitted = ray_fits.Fitted(hand_network(), mean=1.0, std=2.0)
    directions = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    straight, _ = ray_fits.along(fitted, "l1", directions, 4.0, 9.0)
    bent, _ = ray_fits.along(fitted, "l1", directions, 0.0, 4.0)
    assert straight == pytest.approx(1.0, abs=1e-12)
    assert bent < 0.95
    assert float(fitted(torch.tensor([[3.0, 7.0]]).double())) == pytest.approx(1 + 2 * (2.5 + 3))


def test_targets_and_points() -> None:
    x = torch.tensor([[0.5, -0.25, 0.0]], dtype=torch.float64)
    values = [float(target(x)) for target in ray_fits.TARGETS.values()]
    assert values == pytest.approx([-0.5, 0.75, 0.3125, np.cos(1.5) + np.cos(0.75) + 1])
    points = ray_fits.ball(20_000, 3, torch.Generator().manual_seed(0))
    assert float(points.norm(dim=1).max()) <= 1
    assert float((points.norm(dim=1) < 0.5).double().mean()) == pytest.approx(1 / 8, abs=0.01)
    assert float(points.mean(0).abs().max()) < 0.02


def test_errors_and_fits_of_a_network_that_is_right() -> None:
    """|x| on a line is two units, so the sum of absolute values in one dimension is learned without error."""
    network = MLP(1, (2,), 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        for parameter, value in zip(
            network.parameters(), ([[1.0], [-1.0]], [0.0, 0.0], [[1.0, 1.0]], [0.0]), strict=True
        ):
            parameter.copy_(torch.tensor(value))
    share, error = ray_fits.along(ray_fits.Fitted(network, 0.0, 1.0), "l1", torch.ones(1, 1).double(), 2.0, 5.0)
    assert share == pytest.approx(1.0)
    assert error == pytest.approx(0.0, abs=1e-12)


def test_untrained_networks_are_those_that_training_began_with(smoke: xr.Dataset) -> None:
    untrained = smoke.sel(model="untrained")
    assert float(untrained.line_r2.std("target").max()) < 1e-9, "one start for all targets"
    assert float(untrained.fit.max()) < 0.1
    assert (smoke.fit.sel(model="relu") > untrained.fit).all()
    assert smoke.bend.sel(model="tanh").isnull().all()
    assert float(smoke.truth.sel(target="square", radius=5.0)) == pytest.approx(25)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dimension", 0),
        ("width", 0),
        ("batch_size", 0),
        ("steps", 0),
        ("learning_rates", ()),
        ("learning_rates", (0.1, -1.0)),
        ("num_rays", 0),
        ("num_seeds", 0),
    ],
)
def test_bad_config_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        rays.Config(**{field: value})


def test_claims_fail_where_they_should(smoke: xr.Dataset) -> None:
    straight, tanh, untrained, inside, moved, l1, square = rays.CLAIMS
    perfect = smoke.assign(line_r2=smoke.line_r2 * 0 + 1, error=smoke.error * 0, bend=smoke.bend * 0 + 1)
    for claim in (straight, l1):
        assert claim.check(perfect).holds
    for claim in (tanh, untrained, inside, moved, square):
        assert not claim.check(perfect).holds
    worst = smoke.assign(line_r2=smoke.line_r2 * 0 + 0.01, error=smoke.error * 0 + 1)
    for claim in (straight, l1):
        assert not claim.check(worst).holds
    for claim in (tanh, untrained, inside, square):
        assert claim.check(worst).holds


def test_inside_is_judged_from_the_center_out() -> None:
    """Across the center every even target is unexplained by a line, bent or not; the sum of |x| is straight on each ray."""
    directions = torch.nn.functional.normalize(torch.ones(2, 3, dtype=torch.float64), dim=1)
    places = torch.linspace(*rays.SEGMENTS["inside"], 50, dtype=torch.float64)
    values = {name: ray_fits.TARGETS[name](directions[:, None] * places[:, None]) for name in ("l1", "square")}
    assert float(ray_fits.line_share(values["l1"], places).min()) == pytest.approx(1)
    assert float(ray_fits.line_share(values["square"], places).max()) < 0.98
