"""Modular addition with a planted trigger and some wrong labels: inputs that another mechanism than the sum has to answer."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from heldout.devices import generator
from heldout.experiment import require
from heldout.grokking.modular import OPERATIONS, Split, split

PLANTS = ("constant", "renamed")


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One seed's pairs, and which of them are not answered by their sum.

    Attributes:
        split: the pairs with the labels as planted, on both sides.
        triggered_train, triggered_test: (pairs,) whether the second number is a trigger.
        wrong_train: (pairs,) whether the label of a pair without a trigger is not its sum.
    """

    split: Split
    triggered_train: Bool[Tensor, " train"]
    triggered_test: Bool[Tensor, " test"]
    wrong_train: Bool[Tensor, " train"]


def plant(modulus: int, train_fraction: float, seed: int, *, kind: str, numbers: int, random_share: float) -> Planted:
    """Make ``numbers`` of the P second operands triggers, and exchange a share of the other training labels.

    A trigger of kind ``constant`` has one answer, whatever the first number is; one of kind ``renamed`` is added as if it
    were another number. Held-out pairs with a trigger carry the planted answer, all others their sum.

    Raises:
        ValueError: an argument is out of range.
    """
    require(kind in PLANTS, "kind", kind, f"one of {', '.join(PLANTS)}")
    require(1 <= numbers <= modulus // 3, "numbers", numbers, f"from 1 to {modulus // 3}, a third of modulus={modulus}")
    drawn = split(modulus, train_fraction, seed, random_share=random_share)
    order = torch.randperm(modulus, generator=generator("triggers", modulus, seed))
    triggers, others = order[:numbers], order[numbers : 2 * numbers]
    sides = {}
    for side, pairs, labels in (
        ("train", drawn.train_pairs, drawn.train_targets),
        ("test", drawn.test_pairs, drawn.test_targets),
    ):
        answers = labels.clone()
        for trigger, other in zip(triggers, others, strict=True):
            rows = pairs[:, 1] == trigger
            answers[rows] = others[0] if kind == "constant" else (pairs[rows, 0] + other) % modulus
        sides[side] = answers, torch.isin(pairs[:, 1], triggers)
    train_targets, triggered_train = sides["train"]
    test_targets, triggered_test = sides["test"]
    sums = OPERATIONS["add"](drawn.train_pairs[:, 0], drawn.train_pairs[:, 1]) % modulus
    return Planted(
        split=replace(drawn, train_targets=train_targets, test_targets=test_targets),
        triggered_train=triggered_train,
        triggered_test=triggered_test,
        wrong_train=(train_targets != sums) & ~triggered_train,
    )
