"""The primer's computations against independent ones."""

import itertools

import numpy as np
import pytest
import torch

from heldout.opening import primer


def test_kl_against_a_sum_written_out() -> None:
    p, q = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]), np.array([[0.25, 0.5, 0.25], [0.2, 0.3, 0.5]])
    np.testing.assert_allclose(primer.kl(p, q), [0.5 * np.log(2), 0.0], atol=1e-15)


def test_kl_refuses_an_infinite_divergence() -> None:
    with pytest.raises(ValueError, match="wherever p is"):
        primer.kl(np.array([0.5, 0.5]), np.array([1.0, 0.0]))


def test_sequence_probabilities_against_enumeration() -> None:
    first, step = np.array([0.2, 0.3, 0.5]), np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4], [0.6, 0.2, 0.2]])
    expected = [first[a] * step[a, b] * step[b, c] * step[c, d] for a, b, c, d in itertools.product(range(3), repeat=4)]
    np.testing.assert_allclose(primer.sequence_probabilities(first, step, 4), expected)
    with pytest.raises(ValueError, match="at least 1"):
        primer.sequence_probabilities(first, step, 0)


def test_waves_are_the_real_and_imaginary_parts_of_numpys_transform() -> None:
    values = np.random.default_rng(0).normal(size=11)
    ours, theirs = primer.waves(11) @ values, np.fft.rfft(values)
    np.testing.assert_allclose(ours[0], theirs[0].real / np.sqrt(11))
    np.testing.assert_allclose(ours[1::2], theirs[1:].real * np.sqrt(2 / 11))
    np.testing.assert_allclose(ours[2::2], -theirs[1:].imag * np.sqrt(2 / 11))


@pytest.mark.parametrize("modulus", [1, 2, 8])
def test_waves_refuse_an_even_or_tiny_modulus(modulus: int) -> None:
    with pytest.raises(ValueError, match="odd"):
        primer.waves(modulus)


def test_a_silenced_transformer_is_a_table_of_the_last_token() -> None:
    network = primer.small_transformer(silence=True)
    tokens = torch.tensor([[1, 2, 3]])
    expected = (network.embed[3] + network.position[2]) @ network.unembed.T
    torch.testing.assert_close(network(tokens)[0], expected)


def test_large_starts_give_the_shortest_and_small_ones_the_sparse_solution() -> None:
    x, y, truth = primer.sparse_problem()
    lazy, rich = primer.train_product_model(x, y, 10.0), primer.train_product_model(x, y, 0.01)
    shortest = np.linalg.pinv(x) @ y
    assert np.linalg.norm(lazy - shortest) < 0.01 * np.linalg.norm(shortest)
    assert np.linalg.norm(rich - truth) < 0.05
    assert np.abs(lazy).sum() > 1.5 * np.abs(rich).sum()


def test_the_product_model_refuses_bad_input() -> None:
    x, y, _ = primer.sparse_problem()
    with pytest.raises(ValueError, match="above 0"):
        primer.train_product_model(x, y, 0.0)
    with pytest.raises(ValueError, match="must be reached"):
        primer.train_product_model(np.vstack([x, x]), np.concatenate([y, y + 1]), 10.0, max_steps=100)
