"""Multitask sparse parity: many small tasks in one data set, each the parity of a few bits that only it looks at.

Michaud et al. 2023 (arXiv 2303.13506, section 3). An input is the number of a task and a string of random bits; the label is
the parity of the bits that the task names. Task k, counted from 1, is drawn with probability p_k proportional to
k^-(alpha + 1). Deviation from the paper: bits are -1 and +1 where the paper has 0 and 1, and a label is the sign of a product.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.devices import numpy_generator
from heldout.experiment import require

CHANCE = float(np.log(2))  # nats: the loss of a network that knows nothing of a parity


class Batch(NamedTuple):
    """Samples: which task, which bits, and whether the parity is odd (1) or even (0) in -1 bits."""

    task: Int[Tensor, " sample"]
    bits: Float[Tensor, "sample bits"]
    label: Float[Tensor, " sample"]


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """The tasks of one data set.

    Attributes:
        subsets: for every task the positions of its bits.
        probabilities: (tasks,) how often each is drawn; sums to 1.
        num_bits: length n of the bit string.
    """

    subsets: tuple[tuple[int, ...], ...]
    probabilities: Float[np.ndarray, " task"]
    num_bits: int

    def __post_init__(self) -> None:
        positions = [position for subset in self.subsets for position in subset]
        inside = bool(positions) and min(positions) >= 0 and max(positions) < self.num_bits
        require(inside, "subsets", self.subsets[:3], f"of positions from 0 to {self.num_bits - 1}")
        shares = np.asarray(self.probabilities, dtype=float)
        proper = shares.shape == (len(self.subsets),) and (shares >= 0).all() and abs(shares.sum() - 1) < 1e-9
        require(bool(proper), "probabilities", shares, f"{len(self.subsets)} numbers, not negative, that sum to 1")

    def _padded(self) -> Int[np.ndarray, "task most"]:
        """Positions of every task, shorter ones filled with the position of a bit that is always +1."""
        most = max(map(len, self.subsets))
        return np.array([[*subset, *[self.num_bits] * (most - len(subset))] for subset in self.subsets])

    def batch(self, task: Int[np.ndarray, " sample"], random: np.random.Generator) -> Batch:
        """One sample for every given task, its bits drawn."""
        raw = np.frombuffer(random.bytes(len(task) * -(-self.num_bits // 8)), dtype=np.uint8).reshape(len(task), -1)
        zeros_and_ones = np.unpackbits(raw, axis=1, count=self.num_bits)
        with_constant = np.concatenate([zeros_and_ones, np.zeros((len(task), 1), dtype=np.uint8)], axis=1)
        odd = np.take_along_axis(with_constant, self._padded()[task], axis=1).sum(1) & 1
        return Batch(
            torch.from_numpy(task.astype(np.int64)),
            torch.from_numpy(1 - 2 * zeros_and_ones.astype(np.float32)),
            torch.from_numpy(odd.astype(np.float32)),
        )

    def draw(self, samples: int, random: np.random.Generator) -> Batch:
        """Samples from the mixture."""
        edges = np.cumsum(self.probabilities)
        return self.batch(np.searchsorted(edges, random.random(samples) * edges[-1], side="right"), random)

    def balanced(self, samples: int, random: np.random.Generator) -> Batch:
        """``samples`` of every task, in the order of the tasks."""
        return self.batch(np.repeat(np.arange(len(self.subsets)), samples), random)


def zipf(num_tasks: int, alpha: float) -> Float[np.ndarray, " task"]:
    """p_k proportional to k^-(alpha + 1), k = 1 to ``num_tasks`` (Michaud et al. 2023, hypothesis QH3); -1 makes them equal.

    Raises:
        ValueError: fewer than one task, or alpha below -1.
    """
    require(num_tasks >= 1, "num_tasks", num_tasks, "at least 1")
    require(alpha >= -1, "alpha", alpha, "at least -1")
    weights = np.arange(1, num_tasks + 1, dtype=float) ** -(alpha + 1)
    return np.asarray(weights / weights.sum())


def tail(probabilities: Float[np.ndarray, " task"]) -> Float[np.ndarray, " known"]:
    """Share of samples from tasks not yet known when the first n are: entry n is the sum of p_k over k > n, n = 0 to K."""
    return np.append(np.cumsum(probabilities[::-1])[::-1], 0.0)


def random_tasks(
    seed: int, num_tasks: int, num_bits: int, sizes: int | Sequence[int], probabilities: Float[np.ndarray, " task"]
) -> Tasks:
    """Distinct random subsets of ``sizes`` bits, one number or one a task, the same for a seed whatever the probabilities.

    Raises:
        ValueError: a size is out of range, or there are not as many distinct subsets.
    """
    wanted = [sizes] * num_tasks if isinstance(sizes, int) else list(sizes)
    require(len(wanted) == num_tasks, "sizes", wanted, f"one number, or {num_tasks}, one a task")
    require(all(1 <= size <= num_bits for size in wanted), "sizes", wanted, f"from 1 to num_bits={num_bits}")
    random, chosen = numpy_generator("subsets of bits", seed, num_bits), list[tuple[int, ...]]()
    for size in wanted:
        for _ in range(1000):
            subset = tuple(sorted(int(i) for i in random.choice(num_bits, size, replace=False)))
            if subset not in chosen:
                break
        else:
            require(False, "num_tasks", num_tasks, f"few enough for distinct subsets of {size} of {num_bits} bits")
        chosen.append(subset)
    return Tasks(subsets=tuple(chosen), probabilities=probabilities, num_bits=num_bits)


def online(tasks: Tasks, batch_size: int, *coordinates: int | str) -> Iterator[Batch]:
    """Fresh samples without end; the coordinates name the stream."""
    random = numpy_generator("parity samples", *coordinates)
    while True:
        yield tasks.draw(batch_size, random)


def finite(tasks: Tasks, samples: int, batch_size: int, *coordinates: int | str) -> Iterator[Batch]:
    """The same ``samples`` over and over, in a new order every epoch, whole batches only.

    Raises:
        ValueError: fewer samples than a batch takes.
    """
    require(1 <= batch_size <= samples, "batch_size", batch_size, f"from 1 to samples={samples}")
    random = numpy_generator("parity samples", *coordinates)
    whole = tasks.draw(samples, random)
    while True:
        order = torch.from_numpy(random.permutation(samples))
        for rows in torch.split(order[: samples // batch_size * batch_size], batch_size):
            yield Batch(*(each[rows] for each in whole))
