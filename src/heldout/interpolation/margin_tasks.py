"""Separable two-class tasks whose classes mirror each other, so that a separator needs no offset of its own.

A task is a matrix of signed inputs z_i = y_i x_i: a direction w separates sample i when z_i . w > 0.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.data import mnist
from heldout.data.samples import Samples
from heldout.devices import generator
from heldout.experiment import require

CLASSES = (3, 8)
TEST_DIGITS = {"bundled": 600, "full": 1984}  # threes and eights there are beside 400, or in the canonical test set


class Task(NamedTuple):
    """Signed inputs to train on and to test on, float64."""

    train: Float[Tensor, "n d"]
    test: Float[Tensor, "test d"]


def plane(seed: int, num_pairs: int, num_test: int, half_gap: float) -> Task:
    """Points on either side of a random line through the origin, normal but for an empty strip along the line.

    Each training point stands for itself in one class and for its mirror image -x in the other.

    Raises:
        ValueError: a number is not positive.
    """
    require(num_pairs >= 2, "num_pairs", num_pairs, "at least 2")
    require(num_test >= 1, "num_test", num_test, "at least 1")
    require(half_gap > 0, "half_gap", half_gap, "above 0")
    draw = generator("margin plane", seed)
    angle = torch.rand((), generator=draw, dtype=torch.float64) * 2 * torch.pi
    across = torch.stack([angle.cos(), angle.sin()])
    along = torch.stack([-angle.sin(), angle.cos()])
    normal = torch.randn(num_pairs + num_test, 2, generator=draw, dtype=torch.float64)
    points = (normal[:, :1].abs() + half_gap) * across + normal[:, 1:] * along
    return Task(points[:num_pairs], points[num_pairs:])


def digits(source: str, seed: int, num_train: int, *, random_labels: bool = False) -> Task:
    """Threes against eights: pixels less their training mean, and a constant 1, signed by the class.

    Args:
        source: "bundled" or "full".
        num_train: at most 400 from the bundled digits.
        random_labels: replace every label by a fair coin.

    Raises:
        DataError: the full set was not fetched.
        ValueError: unknown source, or more digits than there are.
    """
    require(source in TEST_DIGITS, "digits", source, f"one of {', '.join(TEST_DIGITS)}")
    require(2 <= num_train <= (400 if source == "bundled" else 5000), "num_train", num_train, "2 to 400 (full: 5000)")
    if source == "bundled":
        pool = _only(mnist.bundled(seed))
        train, test = pool[:num_train], pool[-TEST_DIGITS[source] :]
    else:
        both = mnist.full()
        train, test = _only(both[0]).shuffled("threes and eights", seed)[:num_train], _only(both[1])
    center = train.x.double().mean(0)
    signs = [_signs(part.y, name, seed, random_labels) for part, name in ((train, "train"), (test, "test"))]
    return Task(*(_signed(part.x.double() - center, sign) for part, sign in zip((train, test), signs, strict=True)))


def _only(samples: Samples) -> Samples:
    kept = (samples.y == CLASSES[0]) | (samples.y == CLASSES[1])
    return samples[torch.nonzero(kept).squeeze(1)]


def _signs(labels: Int[Tensor, " n"], name: str, seed: int, random_labels: bool) -> Float[Tensor, " n"]:
    if random_labels:
        coins = torch.randint(0, 2, labels.shape, generator=generator("coin labels", name, seed))
        return coins.double() * 2 - 1
    return (labels == CLASSES[0]).double() * 2 - 1


def _signed(x: Float[Tensor, "n d"], signs: Float[Tensor, " n"]) -> Float[Tensor, "n d1"]:
    return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1) * signs[:, None]
