"""Regions of linearity: counts against hand cases and a plain loop, and claims on changed records."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.devices import generator
from heldout.interpolation import linear_regions
from heldout.interpolation.region_counts import active_units, flat_share, folding_network, pieces_along, region_labels
from heldout.networks import MLP


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return linear_regions.run(linear_regions.SMOKE, device="cpu")


def plane(side: int) -> torch.Tensor:
    axis = torch.linspace(-1, 1, side, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis)


def network(*sizes: int, seed: int = 0, activation: str = "relu") -> MLP:
    return MLP(2, sizes, 1, generator=generator("test", seed), activation=activation, dtype=torch.float64)


def test_three_lines_in_general_position_make_seven_regions() -> None:
    net = network(3)
    with torch.no_grad():
        net.get_parameter("layers.0.weight").copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        net.get_parameter("layers.0.bias").copy_(torch.tensor([0.0, 0.0, -0.5]))
    assert int(region_labels(net, plane(81)).max()) + 1 == 7
    diagonal = pieces_along(net, *torch.tensor([[-1.0, -0.9], [1.0, 0.8]], dtype=torch.float64))
    assert diagonal == 4


def test_labels_are_the_patterns() -> None:
    net, x = network(7, 5), plane(40)
    patterns = {tuple(row) for row in active_units(net, x).tolist()}
    labels = region_labels(net, x)
    assert int(labels.max()) + 1 == len(patterns)
    assert len(
        {(tuple(row), label) for row, label in zip(active_units(net, x).tolist(), labels.tolist(), strict=True)}
    ) == len(patterns)


@pytest.mark.parametrize("seed", range(5))
def test_pieces_along_a_line_against_a_fine_walk(seed: int) -> None:
    """A walk of 200,001 steps sees every switch that the exact count finds, unless two fall within one step."""
    net = network(8, 8, seed=seed)
    start, end = torch.tensor([[-2.0, -1.0], [2.0, 1.3]], dtype=torch.float64)
    walk = start + torch.linspace(0, 1, 200_001, dtype=torch.float64)[:, None] * (end - start)
    patterns = active_units(net, walk)
    switches = int((patterns[1:] != patterns[:-1]).any(1).sum())
    assert pieces_along(net, start, end) == switches + 1


def test_between_its_kinks_a_network_is_affine() -> None:
    net, x = network(8, 8), plane(60)
    labels, ones = region_labels(net, x), torch.ones(len(x), 1, dtype=torch.float64)
    with torch.no_grad():
        y = net(x)
    largest = int(labels.bincount().argmax())
    inside = torch.cat([x, ones], dim=1)[labels == largest]
    fitted = torch.linalg.lstsq(inside, y[labels == largest]).solution
    assert float((inside @ fitted - y[labels == largest]).abs().max()) < 1e-12


def test_flat_share_tells_relu_from_tanh() -> None:
    draw = generator("test", 9)
    centers = torch.rand(500, 2, generator=draw, dtype=torch.float64)
    step = torch.full((500, 2), 1e-3, dtype=torch.float64)
    assert flat_share(network(8, 8), centers, step) > 0.9
    assert flat_share(network(8, 8, activation="tanh"), centers, step) < 0.05


@pytest.mark.parametrize("width", [4, 9])
def test_folding_network_has_about_the_square_of_its_width(width: int) -> None:
    start, end = torch.tensor([[-2.0, 0.3], [2.0, 0.3]], dtype=torch.float64)
    pieces = pieces_along(folding_network(width, 2.0), start, end)
    assert width**2 <= pieces <= width**2 + width + 1


def test_claims_on_changed_records(smoke: xr.Dataset) -> None:
    good = smoke.copy(deep=True)
    good["regions"] = good.regions * 0 + good.width**2
    good["pieces"] = good.pieces * 0 + good.width
    good["folded_pieces"] = good.folded_pieces * 0 + 1.1 * good.width**2
    good.flat.loc[{"activation": "relu"}] = 0.95
    good.flat.loc[{"activation": "tanh"}] = 0.0
    good.train_error[:] = 0.0
    for claim in linear_regions.CLAIMS:
        assert claim.check(good).holds, claim.id
        control = cast(xr.Dataset, claim.control.change(good))  # type: ignore[misc]
        assert not claim.check(control).holds, claim.id
        assert claim.control.manipulation(control).holds, claim.id


def test_the_two_classes_are_half_moons() -> None:
    x, label = linear_regions.half_moons(replace(linear_regions.SMOKE, noise_std=0.0), 0)
    center = torch.stack([-0.5 * label, -0.25 * label], dim=1)
    assert np.allclose((x - center).norm(dim=1).numpy(), 1)
    assert float(label.sum()) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_train", 1),
        ("noise_std", -1.0),
        ("widths", (8,)),
        ("widths", (8, 4)),
        ("grid", 1),
        ("num_lines", 0),
        ("steps", 0),
    ],
)
def test_bad_config(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(linear_regions.SMOKE, **{field: value})
