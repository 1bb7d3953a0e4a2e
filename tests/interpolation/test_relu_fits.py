"""One-dimensional ReLU networks: how they start, that they fit, and how they bend."""

import numpy as np
import pytest
import torch

from heldout.devices import generator
from heldout.interpolation.relu_fits import fit_curves, relu_curve, slope_variation
from heldout.networks import MLP


def by_hand(slopes: list[float], kinks: list[float], outputs: list[float]) -> MLP:
    network = MLP(1, (len(kinks),), 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.tensor(slopes, dtype=torch.float64)
    with torch.no_grad():
        network.get_parameter("layers.0.weight").copy_(weight[:, None])
        network.get_parameter("layers.0.bias").copy_(-weight * torch.tensor(kinks, dtype=torch.float64))
        network.get_parameter("layers.1.weight").copy_(torch.tensor([outputs], dtype=torch.float64))
        network.get_parameter("layers.1.bias").zero_()
    return network


def test_slope_variation_of_a_hand_case() -> None:
    """Kinks at -0.5 (jump 2), at 0 (jumps 3 and -1, which add up to 2) and at 2, outside."""
    network = by_hand([1.0, -3.0, 1.0, 1.0], [-0.5, 0.0, 0.0, 2.0], [2.0, 1.0, -1.0, 5.0])
    assert slope_variation(network, -1, 1) == pytest.approx(4.0)
    assert slope_variation(network, -1, 3) == pytest.approx(9.0)
    assert slope_variation(network, 0.5, 1) == 0.0


def test_slope_variation_against_finite_differences() -> None:
    network = relu_curve(30, generator=generator("test", 1), init_scale=1.3)
    x = torch.linspace(-1, 1, 400_001, dtype=torch.float64)
    with torch.no_grad():
        slope = (network(x[:, None])[:, 0]).diff() / x.diff()
    assert slope_variation(network, -1, 1) == pytest.approx(float(slope.diff().abs().sum()), rel=1e-4)


@pytest.mark.parametrize("scale", [0.1, 4.0])
def test_antisymmetric_start_is_the_zero_function(scale: float) -> None:
    network = relu_curve(40, generator=generator("test", 2), init_scale=scale, antisymmetric=True)
    x = torch.linspace(-3, 3, 101, dtype=torch.float64)[:, None]
    with torch.no_grad():
        assert float(network(x).abs().max()) < 1e-15 * max(1, scale**2) * 10
    assert slope_variation(network, -1, 1) < 1e-13


def test_plain_start_scales_with_the_square() -> None:
    small, large = (relu_curve(40, generator=generator("test", 3), init_scale=s) for s in (0.5, 2.0))
    assert slope_variation(large, -1, 1) == pytest.approx(16 * slope_variation(small, -1, 1))


def test_every_member_fits_its_own_points() -> None:
    x_SN = torch.linspace(-1, 1, 5, dtype=torch.float64).expand(2, 5).contiguous()
    y_SN = torch.tensor([[0.0, 1, 0, 1, 0], [0.0, 0, 1, 1, 2]], dtype=torch.float64)
    nets = [relu_curve(80, generator=generator("test", k), init_scale=0.5) for k in range(3)]
    errors = fit_curves(nets, x_SN, y_SN, [0, 1, 1], seeds=[0, 1], steps=300, learning_rates=(1e-2, 1e-3))
    assert float(errors.max()) < 1e-20
    with torch.no_grad():
        assert np.allclose(nets[2](x_SN[1][:, None])[:, 0].numpy(), y_SN[1].numpy())


@pytest.mark.parametrize(
    ("width", "settings", "field"),
    [
        (0, {"init_scale": 1.0}, "width"),
        (5, {"init_scale": 1.0, "antisymmetric": True}, "width"),
        (4, {"init_scale": 0.0}, "init_scale"),
        (4, {"init_scale": 1.0, "reach": 0.0}, "reach"),
    ],
)
def test_refused(width: int, settings: dict[str, float], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        relu_curve(width, generator=generator("test"), **settings)  # type: ignore[arg-type]
