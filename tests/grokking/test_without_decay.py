"""The network of two ReLU layers by hand, two recipes against plain loops, planted records that make each check fail."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.devices import generator
from heldout.grokking import without_decay, without_decay_checks
from heldout.grokking.modular import split
from heldout.grokking.pair_networks import DeepPairMLP
from heldout.grokking.without_decay import METHODS, NETWORKS, SMOKE


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return without_decay.run(SMOKE)


def test_deep_network_against_one_hot_products() -> None:
    model = DeepPairMLP(5, 4, generator=generator("deep"), dtype=torch.float64)
    pairs = torch.tensor([[0, 3], [4, 4], [2, 1]])
    one_hot = functional.one_hot(pairs, 5).double().flatten(1)
    first = torch.relu(one_hot @ torch.cat([model.left, model.right]))
    torch.testing.assert_close(model(pairs), torch.relu(first @ model.middle.T) @ model.unembed.T)
    wide = DeepPairMLP(50, 100, generator=generator("deep"))
    bounds = {"left": 100**-0.5, "right": 100**-0.5, "middle": 0.1, "unembed": 0.1}
    for name, parameter in wide.named_parameters():
        assert float(parameter.detach().abs().max()) <= bounds[name]
        assert float(parameter.detach().std()) == pytest.approx(bounds[name] / 3**0.5, rel=0.05)
    with pytest.raises(ValueError, match="positive"):
        DeepPairMLP(5, 0, generator=generator("deep"))


def stablemax(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The paper's definition, in float64."""
    wide = logits.double()
    sizes = torch.where(wide < 0, 1 / (1 - wide), wide + 1)
    return -torch.log(sizes / sizes.sum(-1, keepdim=True)).gather(-1, targets[:, None]).mean()


def orthogonal(model: torch.nn.Module) -> None:
    for parameter in model.parameters():
        weight, gradient = parameter.detach().double(), parameter.grad.double()
        rest = gradient - (weight * gradient).sum() / weight.square().sum() * weight
        parameter.grad = (rest * gradient.norm() / rest.norm()).float()


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
def test_a_recipe_against_a_plain_loop(method: str, network: str) -> None:
    config = replace(SMOKE, steps=25, num_probes=2, num_seeds=1, networks=(network,), methods=(method,))
    record = without_decay.run(config)
    data = split(config.modulus, config.train_fraction, 0)
    model = without_decay._member(config, network, 0)
    adam = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, betas=(0.9, config.beta2), eps=config.epsilon,
        weight_decay=config.weight_decay if method == "decay" else 0.0,
    )  # fmt: skip
    loss: Callable[..., torch.Tensor] = stablemax if method == "stablemax" else functional.cross_entropy
    before = torch.stack([p.detach().square().sum() for p in model.parameters()]).sum().sqrt()
    for _ in range(config.steps):
        adam.zero_grad()
        loss(model(data.train_pairs), data.train_targets).backward()
        if method == "orthogonal":
            orthogonal(model)
        adam.step()
    with torch.no_grad():
        expected = functional.cross_entropy(model(data.train_pairs).double(), data.train_targets)
        norm = torch.stack([p.square().sum() for p in model.parameters()]).sum().sqrt()
    found = record.isel(seed=0, network=0, recipe=0)
    assert float(found.train_loss[-1]) == pytest.approx(float(expected), rel=2e-3)
    assert float(found.norm[0]) == pytest.approx(float(before), rel=1e-5)
    assert float(found.norm[-1]) == pytest.approx(float(norm), rel=1e-3)


def test_the_orthogonal_gradient_lets_norms_grow_least(record: xr.Dataset) -> None:
    grown = (record.norm.isel(step=-1) / record.norm.isel(step=0)).median("seed")
    assert (grown.sel(recipe="orthogonal") < grown.sel(recipe="plain") - 0.3).all()


def test_larger_initial_weights_are_larger() -> None:
    config = replace(SMOKE, networks=("square",), methods=("plain",), steps=2, num_probes=2)
    once, twice = (without_decay.run(replace(config, init_scale=scale)) for scale in (1.0, 2.0))
    np.testing.assert_allclose(twice.norm.isel(step=0), 2 * once.norm.isel(step=0), rtol=1e-6)


def planted(finals: dict[tuple[str, str], float], *, late: float = 1.5, fitted: float = 1.0) -> xr.Dataset:
    """Two equal seeds; training pairs right from step 10, held-out pairs at their final value from step 10 times ``late``."""
    steps = np.arange(0, 101)
    shape = (2, len(NETWORKS), len(METHODS), len(steps))
    test = np.zeros(shape)
    for (method, network), value in finals.items():
        test[:, NETWORKS.index(network), METHODS.index(method), int(10 * late) :] = value
    train = np.where(steps >= 10, fitted, 0.0) * np.ones(shape)
    dims = ("seed", "network", "recipe", "step")
    return xr.Dataset(
        {"test_accuracy": (dims, test), "train_accuracy": (dims, train), "norm": (dims, np.ones(shape))},
        {"seed": [0, 1], "network": list(NETWORKS), "recipe": list(METHODS), "step": steps},
    )


FINE = {
    ("orthogonal", "relu"): 0.95, ("decay", "relu"): 0.95, ("stablemax", "relu"): 0.02, ("plain", "relu"): 0.01,
    ("orthogonal", "square"): 0.6, ("decay", "square"): 0.97, ("stablemax", "square"): 0.7, ("plain", "square"): 0.1,
}  # fmt: skip


def test_checks_fail_on_planted_records() -> None:
    checks = without_decay_checks
    fine = planted(FINE)
    each = (
        checks.orthogonal_generalizes, checks.no_delay, checks.stablemax_helps, checks.stablemax_fails,
        checks.orthogonal_fails,
    )  # fmt: skip
    assert all(check(fine).holds for check in each)
    assert not checks.orthogonal_generalizes(planted(FINE | {("orthogonal", "relu"): 0.85})).holds
    assert not checks.no_delay(planted(FINE, late=2.5)).holds
    assert not checks.no_delay(planted(FINE | {("orthogonal", "relu"): 0.85})).holds  # never there
    assert not checks.stablemax_helps(planted(FINE | {("stablemax", "square"): 0.19})).holds
    assert not checks.stablemax_fails(planted(FINE | {("stablemax", "relu"): 0.2})).holds
    assert not checks.orthogonal_fails(planted(FINE | {("orthogonal", "square"): 0.85})).holds


def test_controls_break_their_claims() -> None:
    fine = planted(FINE)
    for claim in without_decay.CLAIMS:
        change = claim.control.change
        if change is not None:
            assert not claim.check(change(fine)).holds or claim.id == "without_decay.no_delay"
            assert claim.control.manipulation(change(fine)).holds
    assert not without_decay_checks.fitted("plain", "relu")(planted(FINE, fitted=0.9)).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 12), ("train_fraction", 1.0), ("learning_rate", 0.0), ("weight_decay", -1.0), ("hidden_size", 0),
        ("networks", ()), ("networks", ("relu", "relu")), ("methods", ("magic",)), ("init_scale", 0.0), ("beta2", 1.0),
        ("epsilon", 0.0), ("num_probes", 1), ("steps", 3), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_values_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        replace(SMOKE, **{field: value})
