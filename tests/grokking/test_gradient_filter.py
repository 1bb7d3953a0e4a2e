"""The filter against a plain loop, what Adam makes of a constant gradient, claims against planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.grokking import gradient_filter, gradient_filter_checks, grokked
from heldout.grokking.gradient_filter import ARMS
from heldout.grokking.modular import split


def test_the_published_filter_against_a_plain_loop() -> None:
    config = replace(gradient_filter.SMOKE, num_seeds=1, weight_decays=(0.3, 1.0), steps=(20, 20), probe_every=20)
    record = gradient_filter.run(config)
    (model,) = grokked.members(config.modulus, config.hidden_size, [0])
    data = split(config.modulus, config.train_fraction, 0)
    adam = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=1.0)
    slow: list[torch.Tensor] = []
    for _ in range(20):
        adam.zero_grad()
        functional.cross_entropy(model(data.train_pairs), data.train_targets).backward()
        grads = [weight.grad for weight in model.parameters() if weight.grad is not None]
        slow = slow or [grad.clone() for grad in grads]
        for kept, grad in zip(slow, grads, strict=True):
            kept.mul_(config.published_memory).add_(grad, alpha=1 - config.published_memory)
            grad.add_(kept, alpha=config.amplify)
        adam.step()
    with torch.no_grad():
        right = (model(data.train_pairs).argmax(-1) == data.train_targets).float().mean()
    found = record.train_accuracy.sel(arm="published filter", weight_decay=1.0, step=20)
    assert float(found.item()) == pytest.approx(float(right), abs=0.01)


def test_a_constant_factor_of_the_gradient_is_divided_out_by_adam() -> None:
    ends = []
    for factor in (1.0, 3.0):
        weight = torch.nn.Parameter(torch.tensor([0.5, -0.2], dtype=torch.float64))
        adam = torch.optim.AdamW([weight], lr=0.1, eps=1e-30)
        for _ in range(5):
            adam.zero_grad()
            (factor * weight.pow(4).sum()).backward()
            adam.step()
        ends.append(weight.detach().clone())
    torch.testing.assert_close(*ends)


def planted(steps: dict[tuple[float, str], int], budget: tuple[int, int] = (100, 100)) -> xr.Dataset:
    """Two equal seeds that are right on held-out pairs from the given step on; -1 never."""
    grid = np.arange(0, 101, 10)
    test = np.zeros((2, 2, len(ARMS), len(grid)))
    for (decay, arm), step in steps.items():
        if step >= 0:
            test[:, [0.3, 1.0].index(decay), ARMS.index(arm)] = grid >= step
    dims = ("seed", "weight_decay", "arm", "step")
    return xr.Dataset(
        {"test_accuracy": (dims, test), "train_accuracy": (dims, np.ones_like(test)), "budget": ("weight_decay", list(budget))},
        {"seed": [0, 1], "weight_decay": [0.3, 1.0], "arm": list(ARMS), "step": grid},
    )  # fmt: skip


def everywhere(plain: tuple[int, int], published: tuple[int, int], shorter: tuple[int, int]) -> xr.Dataset:
    """Steps at weight decays 0.3 and 1."""
    steps = {}
    for arm, pair in zip(ARMS, (plain, published, shorter, plain), strict=True):
        steps |= {(decay, arm): step for decay, step in zip((0.3, 1.0), pair, strict=True)}
    return planted(steps)


def test_checks_on_planted_records() -> None:
    checks = gradient_filter_checks
    fine = everywhere((80, 30), (90, 40), (80, 30))
    assert checks.published_slows(fine).holds
    assert checks.little_gain(fine).holds
    assert checks.looks_faster(fine).holds
    assert not checks.published_slows(everywhere((80, 30), (90, 30), (80, 30))).holds
    assert not checks.little_gain(everywhere((80, 30), (90, 40), (60, 30))).holds
    assert not checks.looks_faster(everywhere((80, 30), (90, 80), (80, 30))).holds
    assert not checks.published_slows(checks.shorter_as_published(fine)).holds
    assert not checks.little_gain(checks.decay_as_filter(fine)).holds
    assert not checks.looks_faster(checks.one_decay(fine)).holds


def test_a_run_that_never_got_there_is_a_lower_bound_and_a_baseline_that_did_not_cannot_be_judged() -> None:
    checks = gradient_filter_checks
    assert checks.slowed(everywhere((80, 30), (-1, 40), (80, 30))).values == pytest.approx([100 / 80] * 2)
    assert np.isnan(checks.slowed(everywhere((-1, 30), (90, 40), (80, 30)))).all()
    assert not checks.looks_faster(everywhere((80, 30), (90, -1), (80, 30))).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 4), ("weight_decays", (1.0,)), ("weight_decays", (1.0, 0.3)), ("steps", (10,)), ("steps", (0, 10)),
        ("amplify", 0.0), ("published_memory", 1.0), ("probe_every", 7), ("faster", 0.0), ("weight_decay", (0.3, 90.0)),
        ("train_fraction", 1.0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    name = "weight_decays" if field == "weight_decay" else field
    with pytest.raises(ValueError, match=field):
        replace(gradient_filter.SMOKE, **{name: value})
