"""Models of many tasks that are solved rather than trained: a memorizer, random features, and products of two numbers.

Hutter 2021 (arXiv 2102.04074); Nam et al. 2024 (arXiv 2404.17563). Losses are shares of the loss at chance.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import eigh

from heldout.quanta.parity import Tasks

Array = Float[np.ndarray, "..."]


def seen(
    shares: Float[np.ndarray, " task"], strings: int, times: Float[np.ndarray, " look"], random: np.random.Generator
) -> tuple[Float[np.ndarray, "task look"], Float[np.ndarray, " task"]]:
    """A memorizer's losses: the share of a task's strings not among the first ``times`` samples.

    Returns:
        The losses, and for each task the sample at which its string number 0 first came, infinite where it did not.
    """
    samples, edges = int(times[-1]), np.cumsum(shares)
    task = np.searchsorted(edges, random.random(samples) * edges[-1], side="right")
    kinds, first = np.unique(task * strings + random.integers(strings, size=samples), return_index=True)
    when = first + 1.0
    known = [np.searchsorted(np.sort(when[kinds // strings == k]), times, side="right") for k in range(len(shares))]
    one = np.full(len(shares), np.inf)
    zero = kinds % strings == 0
    one[kinds[zero] // strings] = when[zero]
    return 1 - np.array(known) / strings, one


def skill_loss(time: Array, start: Array) -> Array:
    """Loss (1 - a b)^2 of a product under gradient flow from a = b, a b = ``start``; ``time`` is frequency times time.

    Each of a and b moves at frequency x the other x (1 - a b), so r = a b obeys r' = 2 r (1 - r), a logistic curve.
    """
    rest: Array = 1 / (1 + start / (1 - start) * np.exp(np.minimum(2 * time, 600)))
    return rest**2


def every_string(num_bits: int) -> Float[np.ndarray, "string bits"]:
    """All strings of -1 and +1."""
    odd: Bool[np.ndarray, "string bits"] = (np.arange(2**num_bits)[:, None] >> np.arange(num_bits)) & 1 == 1
    return np.where(odd, -1.0, 1.0)


def answers(tasks: Tasks) -> Float[np.ndarray, "string task"]:
    """The parity of every task on every string: -1 where it is odd."""
    strings = every_string(tasks.num_bits)
    return np.stack([strings[:, list(subset)].prod(1) for subset in tasks.subsets], 1)


def random_kernel(
    num_bits: int, num_features: int, near: float, random: np.random.Generator
) -> Float[np.ndarray, "string string"]:
    """Inner products of random waves sqrt(2/N) cos(w x + b) on all strings, divided by the number of strings.

    For infinitely many features two strings that differ in d bits have the inner product ``near`` ** d.
    """
    strings = every_string(num_bits)
    waves = random.normal(0, np.sqrt(-np.log(near) / 2), (num_bits, num_features))
    features = np.cos(strings @ waves + random.uniform(0, 2 * np.pi, num_features))
    kernel: Float[np.ndarray, "string string"] = features @ features.T * (2 / num_features / len(strings))
    return kernel


def random_feature_loss(
    tasks: Tasks, num_features: int, near: float, times: Float[np.ndarray, " look"], random: np.random.Generator
) -> Float[np.ndarray, "task look"]:
    """Squared error of every task under gradient flow from zero, over all strings, with output weights of its own.

    The error on a task of frequency p is exp(-p K t) y with the kernel K, so its square is a sum of exponentials.
    """
    values, vectors = eigh(random_kernel(tasks.num_bits, num_features, near, random))
    target = answers(tasks)
    weight = (vectors.T @ target) ** 2 / len(target)  # (eigenvalue, task)
    rates = -2 * np.outer(times, np.maximum(values, 0.0))  # (look, eigenvalue)
    return np.stack([np.exp(p * rates) @ weight[:, k] for k, p in enumerate(tasks.probabilities)])
