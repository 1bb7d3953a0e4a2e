"""The landscape of held norms: norms stay, a run against a plain loop, claims against planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.grokking import digit_networks, norm_landscape


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return norm_landscape.run(norm_landscape.SMOKE, device="cpu")


def test_the_norm_is_held_at_the_initial_one(record: xr.Dataset) -> None:
    for seed in record.seed.values:
        (network,) = digit_networks.members([int(seed)], 49, 48, 4.0, divide=False)
        initial = float(torch.nn.utils.parameters_to_vector(network.parameters()).detach().norm())
        assert float(record.norm.sel(seed=seed, scale=4.0)) == pytest.approx(initial, rel=1e-4)


def test_a_full_batch_run_against_a_plain_loop() -> None:
    config = replace(norm_landscape.SMOKE, batch_size=40, steps=30, num_seeds=1, num_probes=2)
    record = norm_landscape.run(config, device="cpu")
    data = digit_networks.load("bundled", [0], 40, 100, 4)
    (network,) = digit_networks.members([0], 49, 48, 1.0, divide=False)
    flat = torch.nn.utils.parameters_to_vector
    norm = flat(network.parameters()).norm().detach()
    adam = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.0)
    for _ in range(30):
        adam.zero_grad()
        functional.mse_loss(network(data.x[0]), functional.one_hot(data.y[0], 10).float()).backward()
        adam.step()
        with torch.no_grad():
            factor = norm / flat(network.parameters()).norm()
            for parameter in network.parameters():
                parameter.mul_(factor)
    loss = functional.mse_loss(network(data.x[0]), functional.one_hot(data.y[0], 10).float())
    assert float(record.train_loss.sel(scale=1.0).isel(seed=0)) == pytest.approx(float(loss), rel=1e-3)


def test_guessing_costs_what_is_said() -> None:
    target = functional.one_hot(torch.arange(10), 10).float()
    assert float((target - 0.1).square().mean()) == pytest.approx(norm_landscape.GUESSING)


def planted(train: list[float], test: list[float]) -> xr.Dataset:
    """Two equal seeds at three norms."""
    dims = ("seed", "scale")
    found = {"train_loss": train, "test_loss": test}
    return xr.Dataset({k: (dims, np.array([v] * 2)) for k, v in found.items()}, {"scale": [0.25, 1.0, 8.0]})


def test_checks_fail_on_planted_records() -> None:
    fine = planted([0.07, 1e-5, 1e-3], [0.08, 0.02, 5.0])
    assert norm_landscape.is_a_u(fine).holds
    assert norm_landscape.end_rise(fine).values == pytest.approx([4.0, 4.0])
    assert norm_landscape.left_arm(fine).holds
    assert norm_landscape.lowest_scale(fine).values.tolist() == [1.0, 1.0]
    assert not norm_landscape.is_a_u(planted([0.07, 1e-5, 1e-3], [0.08, 0.02, 0.03])).holds
    assert not norm_landscape.is_a_u(planted([0.07, 1e-5, 1e-3], [0.01, 0.02, 5.0])).holds
    assert not norm_landscape.left_arm(planted([0.03, 1e-5, 1e-3], [0.08, 0.02, 5.0])).holds
    assert not norm_landscape.left_arm(planted([0.07, 1e-2, 1e-2], [0.08, 0.02, 5.0])).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scales", (1.0, 2.0)), ("scales", (2.0, 1.0, 4.0)), ("scales", (0.0, 1.0, 2.0)), ("shrink", 5), ("steps", 0),
        ("batch_size", 0), ("learning_rate", 0.0), ("num_probes", 1), ("num_seeds", 0), ("hidden_size", 0),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(norm_landscape.SMOKE, **{field: value})
