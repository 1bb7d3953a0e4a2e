"""One arm against a plain loop, the count of leaps by hand, planted records that make each check fail."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.devices import generator
from heldout.grokking import slingshots, slingshots_checks
from heldout.grokking.modular import split
from heldout.grokking.pair_networks import DeepPairMLP
from heldout.grokking.slingshots import ARMS, SMOKE


@pytest.mark.parametrize("arm", ["float32", "decay"])
def test_an_arm_against_a_plain_loop(arm: str) -> None:
    config = replace(SMOKE, steps=40, num_seeds=1, arms=(arm,))
    record = slingshots.run(config)
    data = split(config.modulus, config.train_fraction, 0)
    model = DeepPairMLP(config.modulus, config.hidden_size, generator=generator("slingshots", 11, 24, 0))
    adam = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, betas=(0.9, config.beta2), eps=config.epsilon,
        weight_decay=config.weight_decay if arm == "decay" else 0.0,
    )  # fmt: skip
    for _ in range(config.steps):
        adam.zero_grad()
        functional.cross_entropy(model(data.train_pairs), data.train_targets).backward()
        adam.step()
    last = model.unembed.detach()
    found = record.isel(seed=0, arm=0, step=-1)
    loss = functional.cross_entropy(model(data.train_pairs).double(), data.train_targets)
    assert float(found.train_loss) == pytest.approx(float(loss.detach()), rel=1e-3)
    assert float(found.last_norm) == pytest.approx(float(last.norm()), rel=1e-4)
    assert float(found.mean_norm) == pytest.approx(float(last.mean(0).norm()), rel=1e-3)


def planted(leaps: dict[str, list[int]], **values: dict[str, float]) -> xr.Dataset:
    """Two equal seeds whose loss is 1e-7 but for tenfold-and-more rises at given steps; finals given by arm."""
    steps = np.arange(0, 1001, 10)
    shape = (2, len(ARMS), len(steps))
    loss = np.full(shape, 1e-7)
    for arm, where in leaps.items():
        for step in where:
            loss[:, ARMS.index(arm), step // 10] = 1e-5
    dims = ("seed", "arm", "step")

    def curve(name: str, default: float) -> tuple[tuple[str, ...], np.ndarray]:
        array = np.full(shape, default)
        for arm, value in values.get(name, {}).items():
            array[:, ARMS.index(arm)] = value
        return dims, array

    return xr.Dataset(
        {
            "train_loss": (dims, loss),
            "train_accuracy": curve("train_accuracy", 1.0),
            "test_accuracy": curve("test_accuracy", 0.01),
            "mean_norm": curve("mean_norm", 0.5),
        },
        {"seed": [0, 1], "arm": list(ARMS), "step": steps},
        {"modulus": 31, "train_pairs": 576},
    )


LEAPS = {"float32": [300, 310, 700]}
FINE = {"test_accuracy": {"decay": 0.95}, "mean_norm": {"float32": 4.0}}


def test_neighboring_rises_are_one_leap() -> None:
    record = planted({"float32": [300, 320, 700], "stable": [500]})
    assert slingshots_checks.leap_steps(record, "float32", 0) == [300, 700]
    assert slingshots_checks.leaps(record, "stable").values.tolist() == [1, 1]
    small = planted({})
    small.train_loss[:, 0, 50] = 9e-7  # ninefold
    assert slingshots_checks.leap_steps(small, "float32", 1) == []


def test_checks_fail_on_planted_records() -> None:
    checks = slingshots_checks
    fine = planted(LEAPS, **FINE)
    each = (checks.leaps_twice, checks.never_leaps, checks.drifts, checks.not_enough, checks.not_needed)
    assert all(check(fine).holds for check in each)
    assert not checks.leaps_twice(planted({"float32": [300]}, **FINE)).holds
    assert not checks.never_leaps(planted(LEAPS | {"float64": [600]}, **FINE)).holds
    assert not checks.never_leaps(planted(LEAPS | {"stable": [600]}, **FINE)).holds
    assert not checks.drifts(planted(LEAPS, **FINE | {"mean_norm": {"float32": 1.4}})).holds
    grokked = FINE | {"test_accuracy": {"decay": 0.95, "float32": 0.3}}
    assert not checks.not_enough(planted(LEAPS, **grokked)).holds
    assert not checks.not_enough(planted({}, **FINE)).holds
    assert not checks.not_needed(planted(LEAPS | {"decay": [400]}, **FINE)).holds
    assert not checks.not_needed(planted(LEAPS)).holds


def test_controls_break_their_claims() -> None:
    fine = planted(LEAPS, **FINE)
    for claim in slingshots.CLAIMS:
        if claim.control.change is not None:
            changed = claim.control.change(fine)
            assert not claim.check(changed).holds
            assert claim.control.manipulation(changed).holds
    assert not slingshots_checks.fitted("decay")(planted({}, train_accuracy={"decay": 0.9})).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 12), ("train_fraction", 0.0), ("arms", ()), ("arms", ("float16",)), ("learning_rate", 0.0),
        ("weight_decay", 1e4), ("hidden_size", 0), ("beta2", 0.0), ("epsilon", 0.0), ("probe_every", 0), ("steps", 9),
        ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_values_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        replace(SMOKE, **{field: value})
