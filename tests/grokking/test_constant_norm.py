"""Held norms: the change of units that the page proves, norms that stay, claims against planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.devices import generator
from heldout.ensemble import Optimizer
from heldout.grokking import constant_norm, modular
from heldout.grokking import constant_norm_checks as checks
from heldout.grokking.constant_norm import DividedPairMLP
from heldout.grokking.pair_networks import PairMLP
from heldout.grokking.training import train_on_pairs


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return constant_norm.run(constant_norm.SMOKE, device="cpu")


def trained(factor: float, *, held: bool) -> torch.Tensor:
    """Logits after 40 updates from ``factor`` times one draw, with divisor, rate and decay changed to match."""
    one = modular.split(13, 0.6, 0)
    network = DividedPairMLP(13, 16, generator=generator("units"), init_scale=2 * factor, divisor=factor**3)
    history = train_on_pairs(
        [network], [one], steps=40, probe_steps=[40], learning_rate=0.01 * factor, weight_decay=0.5 / factor,
        device=torch.device("cpu"), optimizer=Optimizer(kind="adamw", betas=(0.9, 0.98), eps=1e-30, constant_norm=held),
    )  # fmt: skip
    network.load_state_dict(history.states[0])
    with torch.no_grad():
        return network(one.test_pairs)


@pytest.mark.parametrize("held", [False, True])
def test_a_change_of_units_changes_no_function(held: bool) -> None:
    torch.testing.assert_close(trained(1.0, held=held), trained(4.0, held=held), rtol=1e-3, atol=1e-3)


def test_homogeneous_of_degree_three() -> None:
    small, large = (PairMLP(7, 5, generator=generator("cube"), init_scale=scale) for scale in (1.0, 3.0))
    pairs = modular.all_pairs(7)
    torch.testing.assert_close(27 * small(pairs), large(pairs))


def test_held_norms_stay_and_the_usual_one_moves(record: xr.Dataset) -> None:
    start = record.norm.isel(step=0)
    np.testing.assert_allclose(record.norm, start.broadcast_like(record.norm), rtol=1e-4)
    ratio = start.isel(logits=0) / record.usual_norm.isel(usual_step=0)
    np.testing.assert_allclose(ratio, np.broadcast_to(record.held, ratio.shape), rtol=1e-5)
    assert float((record.usual_norm.isel(usual_step=-1) / record.usual_norm.isel(usual_step=0)).min()) > 1.5


def test_logits_start_as_at_the_named_norm(record: xr.Dataset) -> None:
    spread = record.spread.isel(step=0)
    np.testing.assert_allclose(spread.isel(held=0), spread.isel(held=1), rtol=1e-4)
    np.testing.assert_allclose(spread.isel(logits=1) / spread.isel(logits=0), (6 / 4) ** 3, rtol=1e-4)


def planted(small: list[float], large: list[float], usual: list[float], norm: list[float]) -> xr.Dataset:
    """Two equal seeds, held-out curves at two logit scales; training pairs are fitted from the second probe on."""
    test = np.stack([np.stack([small, large])] * 3)[None].repeat(2, 0)
    train = np.ones_like(test)
    train[..., 0] = 0.0
    usual_test = np.array([usual] * 2)
    usual_train = np.ones_like(usual_test)
    usual_train[:, 0] = 0.0
    dims, usual_dims = ("seed", "held", "logits", "step"), ("seed", "usual_step")
    return xr.Dataset(
        {
            "test_accuracy": (dims, test), "train_accuracy": (dims, train), "usual_norm": (usual_dims, np.array([norm] * 2)),
            "usual_test_accuracy": (usual_dims, usual_test), "usual_train_accuracy": (usual_dims, usual_train),
        },
        {"held": [2.0, 4.0, 6.0], "logits": [4.0, 6.0], "step": [0, 10, 20], "usual_step": [0, 20, 60]},
    )  # fmt: skip


FINE = ([0.0, 0.5, 1.0], [0.0, 0.0, 0.1], [0.0, 0.5, 1.0], [10.0, 60.0, 63.0])


def test_checks_fail_on_planted_records() -> None:
    fine = planted(*FINE)
    held = (checks.sooner, checks.learned_at_every_norm, checks.late_at_every_norm, checks.norm_stays)
    assert all(check(fine).holds for check in held)
    assert checks.faster(fine).values.tolist() == [3.0, 3.0]
    assert checks.norm_ratio(fine).values == pytest.approx([1.05, 1.05])
    assert not checks.sooner(planted([0.0, 0.5, 0.9], *FINE[1:])).holds
    assert not checks.learned_at_every_norm(planted([0.0, 0.5, 0.9], *FINE[1:])).holds
    assert not checks.late_at_every_norm(planted(FINE[0], [0.0, 0.0, 0.6], *FINE[2:])).holds
    assert not checks.norm_stays(planted(*FINE[:3], [10.0, 60.0, 50.0])).holds
    assert not checks.sooner(checks.largest_logits_only(fine)).holds
    assert not checks.late_at_every_norm(checks.smallest_logits_only(fine)).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 12), ("train_fraction", 1.0), ("usual_decay", 200.0), ("held", (4.0, 2.0)), ("logits", ()), ("steps", 30),
        ("usual_steps", 0), ("probe_every", 0), ("usual_scale", 0.0), ("hidden_size", 0), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="weight_decay" if field == "usual_decay" else field):
        replace(constant_norm.SMOKE, **{field: value})
