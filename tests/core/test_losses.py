"""The stable cross-entropy against PyTorch's, against float64, and where the usual formula rounds to zero."""

import math
from decimal import Decimal, localcontext

import pytest
import torch
from torch.nn import functional

from heldout import devices
from heldout.losses import squared_error, stable_cross_entropy


def random_case(*shape: int, classes: int = 7, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = devices.generator("losses", *shape)
    logits = 3 * torch.randn(*shape, classes, generator=generator, dtype=dtype)
    return logits, torch.randint(0, classes, shape, generator=generator)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4)])
def test_equals_the_usual_formula(shape):
    logits, targets = random_case(*shape)
    usual = functional.cross_entropy(logits.reshape(-1, 7), targets.reshape(-1), reduction="none").reshape(shape)
    torch.testing.assert_close(stable_cross_entropy(logits, targets), usual, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("classes_outside", [False, True])
def test_gradient_is_the_derivative(classes_outside):
    logits, targets = random_case(3, 4)
    if classes_outside:
        logits = logits.mT.contiguous().mT
    assert torch.autograd.gradcheck(lambda x: stable_cross_entropy(x, targets), logits.requires_grad_())


@pytest.mark.parametrize("lead", [1.0, 17.0, 40.0, 80.0])
def test_large_leads_keep_their_digits_in_float32(lead):
    logits = torch.tensor([[lead, 0.0, 0.0]], requires_grad=True)
    loss = stable_cross_entropy(logits, torch.tensor([0]))
    loss.sum().backward()
    exact = math.log1p(2 * math.exp(-lead))
    assert loss.item() == pytest.approx(exact, rel=1e-5)
    assert logits.grad[0, 0].item() == pytest.approx(-2 * math.exp(-lead) / (1 + 2 * math.exp(-lead)), rel=1e-5)
    assert (logits.grad != 0).all()


@pytest.mark.parametrize("lead", [*range(-200, 61, 10), 17, 36, 37])
def test_float32_gradient_against_sixty_digits(lead):
    others = torch.randn(30, generator=devices.generator("leads"))
    logits = torch.cat([(others.max() + lead)[None], others]).requires_grad_()
    loss = stable_cross_entropy(logits[None], torch.tensor([0])).sum()
    loss.backward()
    with localcontext() as context:
        context.prec = 60
        sizes = [Decimal(logit).exp() for logit in logits.detach().double().tolist()]
        rest = sum(sizes[1:])
        exact_loss = float((1 + rest / sizes[0]).ln())
        exact = [-float(rest / sum(sizes)), *(float(size / sum(sizes)) for size in sizes[1:])]
    assert loss.item() == pytest.approx(exact_loss, rel=1e-5)
    assert logits.grad.tolist() == pytest.approx(exact, rel=1e-5, abs=1e-5 * max(map(abs, exact)))
    assert logits.grad[0] < 0
    assert torch.isfinite(logits.grad).all()


def test_the_usual_formula_does_round_to_zero_there():
    logits = torch.tensor([[40.0, 0.0, 0.0]], requires_grad=True)
    loss = functional.cross_entropy(logits, torch.tensor([0]))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad[0, 0].item() == 0


@pytest.mark.parametrize("scale", [1e3, 1e20, 3e38])
def test_finite_for_every_finite_logit(scale):
    logits = torch.tensor([[scale, 0.0, 1.0], [0.0, scale, 1.0]], requires_grad=True)
    loss = stable_cross_entropy(logits, torch.tensor([0, 0]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()
    assert loss[1].item() == pytest.approx(scale, rel=1e-6)


def test_works_under_vmap():
    logits, targets = random_case(3, 4)
    mapped = torch.func.vmap(stable_cross_entropy)(logits, targets)
    torch.testing.assert_close(mapped, stable_cross_entropy(logits, targets))


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="at least 2 classes"):
        stable_cross_entropy(torch.zeros(3, 1), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match=r"targets of shape \(2,\): must be \(3,\)"):
        stable_cross_entropy(torch.zeros(3, 4), torch.zeros(2, dtype=torch.long))


def test_squared_error():
    assert squared_error(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0])).tolist() == [1, 4]
