"""The small computations of the primer page, each short enough to read beside its explanation.

No experiment: every function is exact or runs in well under a second, and the page asserts what it says about the result.
"""

import math

import numpy as np
import torch
from jaxtyping import Float

from heldout.devices import generator
from heldout.experiment import require
from heldout.networks import OneLayerTransformer


def kl(p: Float[np.ndarray, "*any outcomes"], q: Float[np.ndarray, "*any outcomes"]) -> Float[np.ndarray, "*any"]:
    """KL(p || q) in nats along the last axis.

    Raises:
        ValueError: an outcome has probability above 0 under p and 0 under q, where the divergence is infinite.
    """
    require(not np.any((p > 0) & (q == 0)), "q", q, "above 0 wherever p is")
    ratio = np.where(p > 0, p / np.where(q > 0, q, 1), 1)
    return np.asarray((p * np.log(ratio)).sum(-1))


def sequence_probabilities(
    first: Float[np.ndarray, " tokens"], transition: Float[np.ndarray, "tokens tokens"], length: int
) -> Float[np.ndarray, " sequences"]:
    """Probability of every sequence of ``length`` tokens under a Markov chain, the last token varying fastest.

    Raises:
        ValueError: ``length`` is below 1.
    """
    require(length >= 1, "length", length, "at least 1")
    joint = first
    for _ in range(length - 1):
        last = np.tile(np.arange(len(first)), len(joint) // len(first))
        joint = (joint[:, None] * transition[last]).ravel()
    return joint


def waves(modulus: int) -> Float[np.ndarray, "frequencies residues"]:
    """The discrete Fourier basis on the residues mod P: constant, then cosine and sine of each frequency, rows of length 1.

    Raises:
        ValueError: the modulus is not an odd number of at least 3.
    """
    require(modulus >= 3 and modulus % 2 == 1, "modulus", modulus, "odd and at least 3")
    angles = 2 * np.pi * np.outer(np.arange(1, (modulus + 1) // 2), np.arange(modulus)) / modulus
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).reshape(modulus - 1, modulus)
    return np.vstack([np.full(modulus, 1 / math.sqrt(modulus)), rows * math.sqrt(2 / modulus)])


def small_transformer(*, silence: bool = False) -> OneLayerTransformer:
    """A transformer for three tokens out of 12, untrained; ``silence`` sets to zero what attention and ReLU layer write."""
    network = OneLayerTransformer(
        12, 3, 12, generator=generator("primer", "transformer"), model_size=16, heads=2, hidden_size=32
    )
    if silence:
        with torch.no_grad():
            network.attention_out.zero_()
            network.hidden_out.zero_()
    return network


def sparse_problem(
    num_train: int = 20, dim: int = 40, nonzero: int = 2
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"], Float[np.ndarray, " d"]]:
    """Gaussian inputs, noiseless targets, and the true coefficients, of which the first ``nonzero`` are 1 and the rest 0."""
    draw = generator("primer", "sparse")
    x = torch.randn(num_train, dim, generator=draw, dtype=torch.float64).numpy()
    truth = np.zeros(dim)
    truth[:nonzero] = 1
    return x, x @ truth, truth


def train_product_model(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    init: float,
    *,
    tolerance: float = 1e-6,
    max_steps: int = 200_000,
) -> Float[np.ndarray, " d"]:
    """Coefficients u^2 - v^2 where gradient descent from u = v = init brings the mean squared error below the tolerance.

    The model of Woodworth et al. 2020 (arXiv 2002.09277): linear in x, not linear in its parameters, zero at the start.

    Raises:
        ValueError: ``init`` is not positive, or the tolerance is not reached within ``max_steps``.
    """
    require(init > 0, "init", init, "above 0")
    curvature = np.linalg.eigvalsh(x.T @ x / len(x))[-1]
    rate = 0.05 / (curvature * max(1.0, init**2))
    u, v = np.full(x.shape[1], init), np.full(x.shape[1], init)
    for _ in range(max_steps):
        residual = x @ (u**2 - v**2) - y
        if np.mean(residual**2) < tolerance:
            return np.asarray(u**2 - v**2)
        gradient = x.T @ residual / len(x)
        u, v = u - rate * 2 * u * gradient, v + rate * 2 * v * gradient
    raise ValueError(
        f"tolerance={tolerance!r}: must be reached within {max_steps:,} steps; it was not from init={init!r}"
    )
