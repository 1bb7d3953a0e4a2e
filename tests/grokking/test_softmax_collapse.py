"""One arm against a plain loop in float64, where the walls stand, planted records that make each check fail."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.grokking import softmax_collapse, softmax_collapse_checks, softmax_collapse_figures
from heldout.grokking.modular import split
from heldout.grokking.softmax_collapse import ARMS, SMOKE, Config


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return softmax_collapse.run(SMOKE)


def test_arms_against_a_plain_loop() -> None:
    """Multiplying the loss by a constant leaves Adam's steps as they are while epsilon is negligible."""
    config = replace(SMOKE, steps=30, num_probes=2, num_seeds=1, margins=(0.0,))
    record = softmax_collapse.run(config)
    data = split(config.modulus, config.train_fraction, 0)
    for arm, epsilon in (("float64", config.epsilon), ("usual epsilon", 1e-8)):
        model = softmax_collapse._member(config, 0)
        adam = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, betas=(0.9, config.beta2), eps=epsilon, weight_decay=0.0
        )
        for _ in range(config.steps):
            adam.zero_grad()
            functional.cross_entropy(model(data.train_pairs).double(), data.train_targets).backward()
            adam.step()
        with torch.no_grad():
            loss = functional.cross_entropy(model(data.train_pairs).double(), data.train_targets)
        found = record.sel(arm=arm).isel(seed=0, step=-1)
        assert float(found.train_loss) == pytest.approx(float(loss), rel=1e-3)


def test_arms_start_alike_and_agree_while_the_lead_is_small(record: xr.Dataset) -> None:
    assert float(record.test_accuracy.isel(step=0).std("arm").max()) == 0
    exact = record.sel(arm=["float64", "stable"]).train_loss
    np.testing.assert_allclose(exact.sel(arm="float64"), exact.sel(arm="stable"), rtol=1e-2)


def test_the_walls_stand_where_they_should(record: xr.Dataset) -> None:
    zero = record.loss == 0
    margins = record.margin.values
    walls = {name: margins[zero.sel(computation=name).all("seed").values] for name in ("float32", "float64", "stable")}
    assert walls["float32"].min() == 20
    assert walls["float64"].min() == 40
    assert walls["stable"].size == 0
    assert float(record.loss.sel(computation="exact", margin=80).max()) > 0
    assert float(abs(record.imbalance.sel(arithmetic="stable")).max()) < 1e-6
    np.testing.assert_allclose(record.imbalance.sel(arithmetic="float32", margin=20), 1, atol=0.01)


def test_a_scale_that_keeps_squares_from_vanishing() -> None:
    """The square of a float32 gradient below about 1e-19 is zero or nearly; multiplied by 2^40 it is an ordinary number."""
    gradient = torch.tensor(1e-23)
    assert float(gradient.square()) == 0
    assert float((gradient * SMOKE.loss_scale).square()) == pytest.approx(1e-46 * SMOKE.loss_scale**2, rel=1e-5)


def planted(finals: dict[str, float], *, rate: float = 0.0527, error: float = 1e-7, fitted: float = 1.0) -> xr.Dataset:
    """Two equal seeds that rise to given accuracies while the loss falls at a rate, and samples with one gradient error."""
    steps = np.arange(0, 1001, 10)
    accuracy = np.array([[np.linspace(0, finals[arm], len(steps)) for arm in ARMS]] * 2)
    loss = np.broadcast_to(np.exp(-rate * steps), accuracy.shape)
    margins = np.array([-200.0, 10.0, 60.0, 100.0])
    errors = np.full((2, 3, 4), 1.0)
    errors[:, 2, :3] = error
    errors[:, 1, :2] = error
    return xr.Dataset(
        {
            "test_accuracy": (("seed", "arm", "step"), accuracy),
            "train_accuracy": (("seed", "arm", "step"), np.full(accuracy.shape, fitted)),
            "train_loss": (("seed", "arm", "step"), loss.copy()),
            "silent": (("seed", "arm", "step"), np.zeros(accuracy.shape)),
            "gradient_error": (("seed", "arithmetic", "margin"), errors),
            "loss": (("seed", "computation", "margin"), np.ones((2, 4, 4))),
            "target_gradient": (("seed", "computation", "margin"), -np.ones((2, 4, 4))),
        },
        {
            "seed": [0, 1],
            "arm": list(ARMS),
            "step": steps,
            "margin": margins,
            "arithmetic": ["float32", "float64", "stable"],
            "computation": ["float32", "float64", "stable", "exact"],
        },
        {"beta2": 0.9},
    )


FINE = {"float32": 0.1, "float64": 0.25, "stable": 0.4, "usual epsilon": 0.1}


def test_checks_fail_on_planted_records() -> None:
    checks = softmax_collapse_checks
    fine = planted(FINE)
    each = (checks.stable_gradient, checks.slowed, checks.float64_postpones, checks.epsilon_slows, checks.speed_limit)
    assert all(check(fine).holds for check in each)
    assert not checks.stable_gradient(planted(FINE, error=2e-5)).holds
    zero = fine.copy(deep=True)
    zero.target_gradient[:, 2, 2] = 0
    assert not checks.stable_gradient(zero).holds
    beyond = fine.copy(deep=True)
    beyond.target_gradient[:, 2, 3] = 0  # past 60 nats nothing is claimed
    assert checks.stable_gradient(beyond).holds
    assert not checks.slowed(planted(FINE | {"float32": 0.21})).holds
    assert not checks.float64_postpones(planted(FINE | {"float64": 0.33})).holds
    assert not checks.float64_postpones(planted(FINE | {"float64": 0.09})).holds
    assert not checks.epsilon_slows(planted(FINE | {"usual epsilon": 0.3})).holds
    assert not checks.speed_limit(planted(FINE, rate=0.07)).holds
    assert not checks.speed_limit(planted(FINE, rate=0.01)).holds  # never as low as the end of the stretch


def test_controls_and_their_manipulation_checks() -> None:
    checks = softmax_collapse_checks
    fine = planted(FINE)
    usual = checks.float64_as_stable(fine)
    assert not checks.stable_gradient(usual).holds
    assert checks.accurate_to_twenty(usual).holds
    assert not checks.accurate_to_twenty(planted(FINE, error=1e-3)).holds
    slow = planted(FINE)
    slow.train_loss[:, ARMS.index("usual epsilon")] = 1e-6
    assert not checks.speed_limit(checks.put(slow, "usual epsilon", "stable")).holds
    assert checks.speed_limit(slow).holds
    grokked = dict.fromkeys(ARMS, 0.97)
    assert checks.float32_groks(planted(grokked)).holds
    assert not checks.float32_groks(planted(grokked, fitted=0.9)).holds
    assert not checks.float32_groks(fine).holds
    assert checks.all_fitted(fine).holds
    assert not checks.all_fitted(planted(FINE, fitted=0.9)).holds


def test_limit() -> None:
    assert softmax_collapse_checks.limit(planted(FINE)) == pytest.approx(math.log(1 / math.sqrt(0.9)))


def test_figure_of_single_samples(record: xr.Dataset) -> None:
    axes = softmax_collapse_figures.plot_errors(record)
    assert axes.get_yscale() == "log"
    assert len(axes.get_legend().get_texts()) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 12), ("train_fraction", 0.0), ("learning_rate", 0.0), ("weight_decay", -1.0), ("weight_decay", 1e4),
        ("hidden_size", 0), ("beta2", 1.0), ("epsilon", 0.0), ("epsilon", 1e-3), ("loss_scale", 0.0),
        ("loss_scale", 2.0**70), ("num_probes", 1), ("steps", 3), ("margins", (3.0, 1.0)), ("margins", ()), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_values_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        replace(SMOKE, **{field: value})


def test_presets_share_the_task() -> None:
    assert Config() == softmax_collapse.BOOK
