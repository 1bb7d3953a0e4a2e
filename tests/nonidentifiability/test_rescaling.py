"""Twins against the function they must keep, the trace against torch's Hessian, the balanced twin against its definition."""

import pytest
import torch
from torch.func import functional_call, hessian
from torch.nn import functional

from heldout.devices import generator
from heldout.networks import MLP
from heldout.nonidentifiability import rescaling


def network(*hidden: int, activation: str = "relu") -> MLP:
    source = generator("test rescaling", *hidden)
    return MLP(5, hidden, 3, generator=source, activation=activation, init_scale=2.0, dtype=torch.float64)


def inputs(count: int = 40) -> torch.Tensor:
    return torch.randn(count, 5, generator=generator("test rescaling inputs"), dtype=torch.float64)


@pytest.mark.parametrize("hidden", [(7,), (7, 6)])
def test_twins_compute_the_same_function(hidden: tuple[int, ...]) -> None:
    one, x = network(*hidden), inputs()
    before = [parameter.clone() for parameter in one.parameters()]
    scaled = rescaling.rescaled(one, rescaling.spread_scales(7, 10.0, 0))
    for twin in (scaled, rescaling.rebalanced(one), rescaling.rebalanced(scaled)):
        torch.testing.assert_close(twin(x), one(x), rtol=0, atol=1e-12)
    assert not torch.allclose(scaled.layers[0].weight, one.layers[0].weight, rtol=0.1)
    assert all(torch.equal(now, then) for now, then in zip(one.parameters(), before, strict=True))


def test_every_twin_has_the_same_balanced_form() -> None:
    one = network(7, 6)
    balanced = rescaling.rebalanced(one)
    incoming, outgoing = rescaling.unit_norms(balanced)
    torch.testing.assert_close(incoming, outgoing)
    squares = (incoming.square() + outgoing.square()).sum()
    for seed in range(5):
        twin = rescaling.rescaled(one, rescaling.spread_scales(7, 3.0, seed))
        again = rescaling.rebalanced(twin)
        for left, right in zip(again.parameters(), balanced.parameters(), strict=True):
            torch.testing.assert_close(left, right)
        into, out = rescaling.unit_norms(twin)
        assert float((into.square() + out.square()).sum()) > float(squares)


def test_scales_have_the_stated_spread() -> None:
    narrow, wide = rescaling.spread_scales(20_000, 3.0, 1).log(), rescaling.spread_scales(20_000, 10.0, 1).log()
    assert float(wide.std()) == pytest.approx(2.302585, rel=0.02)
    torch.testing.assert_close(narrow / 1.0986122886681098, wide / 2.302585092994046)


@pytest.mark.parametrize("hidden", [(4,), (4, 3)])
def test_trace_is_that_of_torchs_hessian(hidden: tuple[int, ...]) -> None:
    one, x = network(*hidden), inputs(12)
    for twin in (one, rescaling.rescaled(one, rescaling.spread_scales(4, 3.0, 0))):
        for y in (torch.arange(12) % 3, torch.zeros(12, dtype=torch.long)):
            names = [name for name, _ in twin.named_parameters()]

            def loss(
                *values: torch.Tensor, twin: MLP = twin, y: torch.Tensor = y, names: list[str] = names
            ) -> torch.Tensor:
                return functional.cross_entropy(functional_call(twin, dict(zip(names, values, strict=True)), x), y)

            parameters = tuple(parameter.detach() for parameter in twin.parameters())
            blocks = hessian(loss, argnums=tuple(range(len(names))))(*parameters)
            trace = sum(
                float(blocks[i][i].reshape(part.numel(), -1).diagonal().sum()) for i, part in enumerate(parameters)
            )
            assert rescaling.hessian_trace(twin, x) == pytest.approx(trace, rel=1e-9)


def test_trace_follows_the_squares_of_the_scales() -> None:
    """tr(s) = c + sum_j (a_j / s_j^2 + b_j s_j^2): for one common factor three numbers that three traces fix."""
    one, x = network(7, 6), inputs()
    traces = [
        rescaling.hessian_trace(rescaling.rescaled(one, torch.full((7,), k, dtype=torch.float64)), x)
        for k in (1.0, 2.0, 4.0)
    ]
    powers = torch.tensor([[1, k**-2, k**2] for k in (1.0, 2.0, 4.0)], dtype=torch.float64)
    parts = torch.linalg.solve(powers, torch.tensor(traces, dtype=torch.float64))
    assert (parts > 0).all()
    for k in (0.1, 10.0):
        told = float(parts @ torch.tensor([1, k**-2, k**2], dtype=torch.float64))
        assert rescaling.hessian_trace(
            rescaling.rescaled(one, torch.full((7,), k, dtype=torch.float64)), x
        ) == pytest.approx(told, rel=1e-8)


def test_a_factor_inside_the_activation_changes_no_gradient() -> None:
    one, x, y = network(7, 6), inputs(), torch.arange(40) % 3
    twin = rescaling.ScaledActivation.like(one, 1e5)
    torch.testing.assert_close(twin(x), one(x), rtol=1e-12, atol=1e-12)
    plain = rescaling.gradient(one, x, y)
    torch.testing.assert_close(rescaling.gradient(twin, x, y), plain, rtol=1e-10, atol=1e-12)
    moved = rescaling.rescaled(one, torch.full((7,), 1e5))
    assert float((rescaling.gradient(moved, x, y) - plain).abs().max()) > float(plain.abs().max())
    assert type(one) is MLP


def test_what_cannot_be_rescaled_is_refused_by_name() -> None:
    ones = torch.ones(7)
    for made, scales, field in (
        (network(7, activation="tanh"), ones, "activation"), (network(), ones, "network"),
        (network(7), torch.ones(6), "scales"), (network(7), torch.zeros(7), "scales"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=field):
            rescaling.rescaled(made, scales)
    dead = network(7)
    with torch.no_grad():
        dead.layers[1].weight[:, 2] = 0
    with pytest.raises(ValueError, match="network"):
        rescaling.rebalanced(dead)
