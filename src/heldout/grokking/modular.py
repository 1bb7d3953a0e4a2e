"""Arithmetic on the integers modulo P, split into pairs that are trained on and pairs that are held out.

The task of Power et al. 2022 (arXiv 2201.02177) and Nanda et al. 2023 (arXiv 2301.05217). Pairs are ordered, so (a, b) may be
trained on while (b, a) is held out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from heldout.devices import generator
from heldout.ensemble import TrainingData
from heldout.experiment import require

OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
}


@dataclass(frozen=True, kw_only=True)
class Split:
    """The pairs of one seed.

    Attributes:
        train_pairs, test_pairs: (pairs, 2) operands.
        train_targets, test_targets: (pairs,) results modulo P; training labels may have been exchanged.
    """

    train_pairs: Int[Tensor, "train 2"]
    train_targets: Int[Tensor, " train"]
    test_pairs: Int[Tensor, "test 2"]
    test_targets: Int[Tensor, " test"]


def require_modulus(modulus: int) -> None:
    """Refuse a modulus that is not an odd prime.

    An even one has a frequency of its own (P / 2) whose sine is zero, and with a composite one frequencies repeat with a
    shorter period; either would make the Fourier measures of the chapter mean something else.

    Raises:
        ValueError: the modulus is not an odd prime.
    """
    prime = modulus >= 3 and all(modulus % k for k in range(2, int(modulus**0.5) + 1))
    require(prime, "modulus", modulus, "an odd prime")


def require_train_fraction(train_fraction: float, modulus: int) -> None:
    """Refuse a fraction of the P^2 pairs that leaves no pair to train on, or none to hold out.

    Raises:
        ValueError: the fraction is not between 0 and 1, or a side of the split is empty.
    """
    require(0 < train_fraction < 1, "train_fraction", train_fraction, "above 0 and below 1")
    count = num_train(modulus, train_fraction)
    require(
        1 <= count < modulus**2, "train_fraction", train_fraction, f"such that both sides of {modulus**2} hold a pair"
    )


def require_decay(learning_rate: float, weight_decay: float) -> None:
    """Refuse rates with which AdamW's decay alone, one minus their product, would turn every weight around or explode it.

    Raises:
        ValueError: the learning rate is not positive, the decay is negative, or their product exceeds 1.
    """
    require(learning_rate > 0, "learning_rate", learning_rate, "above 0")
    require(weight_decay >= 0, "weight_decay", weight_decay, "at least 0")
    most = f"at most 1 / learning_rate = {1 / learning_rate:g}"
    require(learning_rate * weight_decay <= 1, "weight_decay", weight_decay, most)


def num_train(modulus: int, train_fraction: float) -> int:
    """Pairs in the training set: the fraction of P^2, rounded down, as in Nanda et al.'s code."""
    return int(train_fraction * modulus**2)


def all_pairs(modulus: int) -> Int[Tensor, "pairs 2"]:
    """Every ordered pair (a, b), a outermost."""
    return torch.cartesian_prod(torch.arange(modulus), torch.arange(modulus))


def split(
    modulus: int, train_fraction: float, seed: int, *, operation: str = "add", random_share: float = 0.0
) -> Split:
    """The training and the held-out pairs of a seed; a larger fraction contains the pairs of a smaller one.

    Args:
        random_share: share of the training labels that is replaced by uniform random ones.

    Raises:
        ValueError: an argument is out of range.
    """
    require_modulus(modulus)
    require_train_fraction(train_fraction, modulus)
    require(operation in OPERATIONS, "operation", operation, f"one of {', '.join(OPERATIONS)}")
    require(0 <= random_share <= 1, "random_share", random_share, "from 0 to 1")
    pairs = all_pairs(modulus)[torch.randperm(modulus**2, generator=generator("pairs", modulus, seed))]
    targets = OPERATIONS[operation](pairs[:, 0], pairs[:, 1]) % modulus
    count = num_train(modulus, train_fraction)
    kept = targets[count:]
    if random_share:
        random = torch.randint(modulus, (modulus**2,), generator=generator("random labels", modulus, seed))
        drawn = torch.rand(modulus**2, generator=generator("which labels", modulus, seed))
        targets = torch.where(drawn < random_share, random, targets)
    return Split(train_pairs=pairs[:count], train_targets=targets[:count], test_pairs=pairs[count:], test_targets=kept)


def mirrored(split: Split) -> Bool[Tensor, " test"]:
    """Which held-out pairs (a, b) have their mirror image (b, a) in the training set.

    A network that knows a + b = b + a and nothing else can answer these, and only these.
    """
    modulus = int(torch.cat([split.train_pairs, split.test_pairs]).max()) + 1
    trained = torch.zeros(modulus, modulus, dtype=torch.bool)
    trained[split.train_pairs[:, 0], split.train_pairs[:, 1]] = True
    return trained[split.test_pairs[:, 1], split.test_pairs[:, 0]]


def training_data(splits: Sequence[Split]) -> TrainingData:
    """One stream a split, each read by one member."""
    return TrainingData(
        inputs=torch.stack([one.train_pairs for one in splits]),
        targets=torch.stack([one.train_targets for one in splits]),
        streams=range(len(splits)),
    )
