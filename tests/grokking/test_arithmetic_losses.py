"""Three arithmetics of one loss against sums in sixty digits, and StableMax by hand."""

import math

import numpy as np
import pytest
import torch

from heldout.devices import generator
from heldout.grokking.arithmetic_losses import (
    exact_cross_entropy,
    float32_cross_entropy,
    float64_cross_entropy,
    rounded,
    stablemax_cross_entropy,
)
from heldout.losses import stable_cross_entropy


def sample(margin: float, classes: int = 59) -> torch.Tensor:
    others = torch.randn(classes - 1, generator=generator("sample", classes), dtype=torch.float64)
    return torch.cat([torch.zeros(1, dtype=torch.float64), others - others.max() - margin]).float()


@pytest.mark.parametrize("margin", [-200.0, -3.0, 0.0, 2.0, 9.0])
def test_the_sixty_digits_agree_with_float64_where_nothing_cancels(margin: float) -> None:
    logits = sample(margin)
    loss, gradient = exact_cross_entropy(logits.numpy(), 0)
    wide = logits.double().requires_grad_()
    usual = float64_cross_entropy(wide[None], torch.tensor([0])).sum()
    (expected,) = torch.autograd.grad(usual, wide)
    assert loss == pytest.approx(float(usual.detach()), rel=1e-11)
    np.testing.assert_allclose(gradient, expected.numpy(), rtol=1e-10)


@pytest.mark.parametrize("margin", [30.0, 60.0, 110.0])
def test_the_sixty_digits_at_a_lead_where_float64_gives_up(margin: float) -> None:
    """Two classes: the loss is log(1 + exp(-m)) = exp(-m) - exp(-2m)/2, the gradient at the target -exp(-m) / (1 + exp(-m))."""
    loss, gradient = exact_cross_entropy(np.array([0.0, -margin]), 0)
    assert loss == pytest.approx(math.exp(-margin), rel=1e-12)
    assert gradient.tolist() == pytest.approx([-math.exp(-margin), math.exp(-margin)], rel=1e-12)


@pytest.mark.parametrize("margin", [*range(-200, 61, 4), 60])
def test_the_stable_gradient_is_within_one_part_in_a_hundred_thousand(margin: float) -> None:
    logits = sample(float(margin))
    loss, gradient = rounded("stable", logits, 0)
    exact_loss, exact = exact_cross_entropy(logits.numpy(), 0)
    assert loss == pytest.approx(exact_loss, rel=1e-5)
    np.testing.assert_allclose(gradient, exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max())
    assert np.isfinite(gradient).all()
    assert gradient[0] < 0 < loss


def test_where_the_usual_formula_rounds_to_zero() -> None:
    """1 + r rounds to 1 from r = 2^-24 in float32 and 2^-53 in float64, leads of 16.6 and 36.7 over one other class."""
    targets = torch.tensor([0])
    for lead, zero in ((16.5, False), (16.7, True)):
        assert (float(float32_cross_entropy(torch.tensor([[0.0, -lead]]), targets)) == 0) == zero
    for lead, zero in ((36.6, False), (36.8, True)):
        assert (float(float64_cross_entropy(torch.tensor([[0.0, -lead]]), targets)) == 0) == zero


def test_float32_loses_the_target_and_keeps_the_others() -> None:
    """The sum of a gradient should be zero; past the wall the others push alone."""
    _, gradient = rounded("float32", sample(25.0), 0)
    assert gradient[0] == 0
    assert (gradient[1:] > 0).all()
    _, gradient = rounded("stable", sample(25.0), 0)
    assert abs(gradient.sum()) < 1e-6 * abs(gradient[0])


def test_stablemax_by_hand() -> None:
    """s(3) = 4, s(0) = 1, s(-1) = 1/2: the probability of the first is 4 / 5.5."""
    logits = torch.tensor([[3.0, 0.0, -1.0]] * 3, dtype=torch.float64)
    losses = stablemax_cross_entropy(logits, torch.tensor([0, 1, 2]))
    assert losses.tolist() == pytest.approx([-math.log(s / 5.5) for s in (4, 1, 0.5)], rel=1e-12)


def test_stablemax_gradient_is_the_derivative_and_never_zero() -> None:
    logits = torch.randn(2, 5, 7, generator=generator("stablemax"), dtype=torch.float64) * 4
    targets = torch.randint(7, (2, 5), generator=generator("stablemax targets"))
    assert torch.autograd.gradcheck(lambda x: stablemax_cross_entropy(x, targets), logits.requires_grad_())
    far = torch.tensor([[1e6, 0.0, -1e6]], requires_grad=True)
    stablemax_cross_entropy(far, torch.tensor([0])).sum().backward()
    assert (far.grad != 0).all()


def test_all_agree_on_ordinary_logits() -> None:
    logits = torch.randn(3, 4, 7, generator=generator("ordinary"))
    targets = torch.randint(7, (3, 4), generator=generator("ordinary targets"))
    for loss in (float32_cross_entropy, float64_cross_entropy):
        torch.testing.assert_close(
            loss(logits, targets).float(), stable_cross_entropy(logits, targets), rtol=1e-5, atol=1e-6
        )
