"""Networks of pairs against textbook ones, the benchmark's two loops, splits and refusals, and steps read off planted curves."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from benchmarks.grokking_step import largest_difference, plain_logits, problem
from heldout.devices import generator
from heldout.grokking import modular, training
from heldout.grokking.pair_networks import PairMLP, PairTransformer
from heldout.networks import OneLayerTransformer


def transformer(modulus: int = 11, dtype: torch.dtype = torch.float64) -> PairTransformer:
    return PairTransformer(modulus, generator=generator("test"), model_size=16, heads=4, hidden_size=24, dtype=dtype)


def with_equals(pairs: torch.Tensor, modulus: int) -> torch.Tensor:
    return torch.cat([pairs, torch.full((len(pairs), 1), modulus)], 1)


def test_pair_transformer_is_the_textbook_transformer() -> None:
    """Outputs and gradients, on the same weights."""
    ours = transformer()
    textbook = OneLayerTransformer(
        12, 3, 11, generator=generator("other"), model_size=16, heads=4, hidden_size=24, dtype=torch.float64
    )
    textbook.load_state_dict(ours.state_dict())
    pairs = modular.all_pairs(11)
    outputs = [ours(pairs), textbook(with_equals(pairs, 11))]
    torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-12)
    for output in outputs:
        output.square().mean().backward()
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, textbook.get_parameter(name).grad, rtol=1e-9, atol=1e-12)


def test_plain_loop_of_the_benchmark_is_the_textbook_transformer() -> None:
    ours, pairs = transformer(), modular.all_pairs(11)
    torch.testing.assert_close(plain_logits(ours, with_equals(pairs, 11))[:, -1], ours(pairs))


def test_losses_of_thirty_steps_are_those_of_the_plain_loop() -> None:
    assert largest_difference(*problem(23, 32, 64, 0.4), 30) < 1e-5


@pytest.mark.slow
def test_losses_of_thirty_steps_at_the_papers_size() -> None:
    assert largest_difference(*problem(113, 128, 512, 0.3), 30) < 1e-5


@pytest.mark.parametrize(("activation", "function"), [("square", torch.square), ("relu", torch.relu)])
def test_pair_mlp_against_one_hot_products(activation: str, function: Any) -> None:
    net = PairMLP(7, 5, generator=generator("test"), activation=activation, dtype=torch.float64)
    pairs = modular.all_pairs(7)
    first, second = (functional.one_hot(pairs[:, i], 7).double() for i in (0, 1))
    hidden = function(first @ net.left + second @ net.right)
    torch.testing.assert_close(net(pairs), hidden @ net.unembed.T)
    torch.testing.assert_close(net.hidden(pairs), hidden)


def test_initial_scale() -> None:
    net = PairMLP(59, 128, generator=generator("test"), init_scale=2.0)
    assert float(net.left.detach().std()) == pytest.approx(2 / np.sqrt(128), rel=0.03)


@pytest.mark.parametrize(
    ("field", "options"),
    [("sizes", {"hidden_size": 0}), ("activation", {"activation": "cube"}), ("init_scale", {"init_scale": 0.0})],
)
def test_bad_pair_mlps_are_refused(field: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=field):
        PairMLP(**{"modulus": 7, "hidden_size": 4, "generator": generator("x")} | options)


@pytest.mark.parametrize(
    ("field", "options"), [("sizes", {"hidden_size": 0}), ("heads", {"heads": 3}), ("init_scale", {"init_scale": -1.0})]
)
def test_bad_pair_transformers_are_refused(field: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=field):
        PairTransformer(7, generator=generator("x"), model_size=8, **options)


def test_a_split_holds_every_pair_once_and_a_larger_one_contains_a_smaller() -> None:
    small, large = (modular.split(13, fraction, 5) for fraction in (0.3, 0.5))
    both = torch.cat([small.train_pairs, small.test_pairs])
    assert sorted(map(tuple, both.tolist())) == list(map(tuple, modular.all_pairs(13).tolist()))
    assert len(small.train_pairs) == int(0.3 * 169)
    torch.testing.assert_close(large.train_pairs[: len(small.train_pairs)], small.train_pairs)
    assert torch.equal(small.train_targets, small.train_pairs.sum(1) % 13)
    other = modular.split(13, 0.3, 6)
    assert not torch.equal(small.train_pairs, other.train_pairs)


@pytest.mark.parametrize(("operation", "answer"), [("add", 2), ("subtract", 4), ("multiply", 2)])
def test_operations_by_hand(operation: str, answer: int) -> None:
    pairs = modular.split(5, 0.5, 0, operation=operation)
    both = torch.cat([pairs.train_pairs, pairs.test_pairs]).tolist()
    targets = torch.cat([pairs.train_targets, pairs.test_targets]).tolist()
    assert targets[both.index([3, 4])] == answer


def test_random_labels_replace_the_training_targets_alone() -> None:
    true, drawn = modular.split(31, 0.5, 3), modular.split(31, 0.5, 3, random_share=1.0)
    assert torch.equal(true.train_pairs, drawn.train_pairs)
    assert torch.equal(true.test_targets, drawn.test_targets)
    assert float((true.train_targets == drawn.train_targets).double().mean()) < 0.1
    half = modular.split(31, 0.5, 3, random_share=0.5)
    changed = float((true.train_targets != half.train_targets).double().mean())
    assert changed == pytest.approx(0.5 * 30 / 31, abs=0.07)


def test_mirrored_by_hand() -> None:
    pairs = modular.Split(
        train_pairs=torch.tensor([[0, 1], [2, 2]]), train_targets=torch.tensor([1, 1]),
        test_pairs=torch.tensor([[1, 0], [0, 0], [2, 1]]), test_targets=torch.tensor([1, 0, 0]),
    )  # fmt: skip
    assert modular.mirrored(pairs).tolist() == [True, False, False]


@pytest.mark.parametrize("modulus", [2, 4, 9, 15, 1, 0])
def test_even_and_composite_moduli_are_refused(modulus: int) -> None:
    with pytest.raises(ValueError, match=f"modulus={modulus}: must be an odd prime"):
        modular.split(modulus, 0.5, 0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 0.01])
def test_fractions_that_leave_a_side_empty_are_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="train_fraction"):
        modular.split(5, fraction, 0)


def test_other_bad_splits_are_refused() -> None:
    with pytest.raises(ValueError, match="operation='power': must be one of add"):
        modular.split(5, 0.5, 0, operation="power")
    with pytest.raises(ValueError, match="random_share"):
        modular.split(5, 0.5, 0, random_share=1.5)


def test_decay_that_turns_weights_around_is_refused() -> None:
    modular.require_decay(0.01, 100.0)
    with pytest.raises(ValueError, match=r"weight_decay=101\.0: must be at most 1 / learning_rate = 100"):
        modular.require_decay(0.01, 101.0)
    with pytest.raises(ValueError, match="weight_decay"):
        modular.require_decay(0.01, -1.0)
    with pytest.raises(ValueError, match="learning_rate"):
        modular.require_decay(0.0, 1.0)


def curves(train: list[float], test: list[float]) -> xr.Dataset:
    return xr.Dataset(
        {"train_accuracy": (("seed", "step"), [train]), "test_accuracy": (("seed", "step"), [test])},
        {"seed": [0], "step": [0, 10, 20, 200]},
    )


def test_first_step_and_delay_ratio() -> None:
    late = curves([0.1, 0.99, 0.5, 1.0], [0.0, 0.1, 0.5, 0.995])
    assert training.first_step(late.train_accuracy).item() == 10
    assert training.first_step(late.test_accuracy, 0.5).item() == 20
    assert training.delay_ratio(late).item() == 20
    never = curves([0.1, 0.99, 1.0, 1.0], [0.0, 0.1, 0.5, 0.98])
    assert np.isnan(training.first_step(never.test_accuracy).item())
    assert training.delay_ratio(never).item() == np.inf
    neither = curves([0.1, 0.2, 0.3, 0.4], [0.0, 0.1, 0.5, 0.98])
    assert np.isnan(training.delay_ratio(neither).item())


def test_curves_are_those_of_each_member_alone() -> None:
    splits = [modular.split(7, 0.5, seed) for seed in (0, 1)]
    nets = [PairMLP(7, 12, generator=generator("test", seed)) for seed in (0, 1)]
    history = training.train_on_pairs(
        nets, splits, steps=5, probe_steps=[0, 5], learning_rate=0.01, weight_decay=0.1, device=torch.device("cpu")
    )
    for index, (net, pairs) in enumerate(zip(nets, splits, strict=True)):
        for position in (0, 1):
            if position:
                net.load_state_dict(history.states[index])
            logits = net(pairs.test_pairs).detach()
            loss = float(functional.cross_entropy(logits, pairs.test_targets))
            assert history.values["test_loss"][position, index] == pytest.approx(loss, rel=1e-5)
            right = float((logits.argmax(1) == pairs.test_targets).float().mean())
            assert history.values["test_accuracy"][position, index] == pytest.approx(right)
