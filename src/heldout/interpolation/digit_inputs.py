"""What the models of the first page are shown, and what they are asked about."""

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from heldout.data import Samples, digit_task, fashion_mnist, shifted


class Sizes(Protocol):
    """The fields of a config that decide the data."""

    @property
    def digits(self) -> str: ...  # noqa: D102

    @property
    def num_train(self) -> int: ...  # noqa: D102

    @property
    def num_test(self) -> int: ...  # noqa: D102

    @property
    def num_photographs(self) -> int: ...  # noqa: D102

    @property
    def clothes(self) -> bool: ...  # noqa: D102

    @property
    def angles(self) -> tuple[float, ...]: ...  # noqa: D102

    @property
    def training_turn(self) -> float: ...  # noqa: D102

    @property
    def photographs_shown(self) -> int: ...  # noqa: D102


def _digits(sizes: Sizes, seed: int) -> tuple[Samples, Samples, Samples]:
    return digit_task.split(sizes.digits, seed, sizes.num_train, sizes.num_train, sizes.num_test)


def shown(sizes: Sizes, seed: int) -> list[Samples]:
    """Two disjoint training sets of one seed, with what the controls turn or add."""
    sets = []
    for half, digits in enumerate(_digits(sizes, seed)[:2]):
        turned = shifted.turned(digits, sizes.training_turn) if sizes.training_turn else digits
        x, y = turned.x, turned.y
        if sizes.photographs_shown:
            # Other patches than those that are asked about: their seeds are negative.
            patches = shifted.photograph_patches(sizes.photographs_shown, -2 * seed - half - 1)
            x, y = torch.cat([x, patches]), torch.cat([y, torch.zeros(len(patches), dtype=y.dtype)])
        sets.append(Samples(x, y))
    return sets


def asked(sizes: Sizes, seed: int) -> tuple[Samples, dict[str, Float[Tensor, "inputs pixels"]]]:
    """The test digits, and by name all inputs that the models are asked about."""
    test = _digits(sizes, seed)[2]
    inputs = {turn(angle): shifted.turned(test, angle).x if angle else test.x for angle in sizes.angles}
    inputs["photographs"] = shifted.photograph_patches(sizes.num_photographs, seed)
    if sizes.clothes:
        inputs["clothes"] = fashion_mnist.full()[1].shuffled("clothes", seed).x[: sizes.num_test]
    return test, inputs


def turn(angle: float) -> str:
    """The name of the test digits turned by an angle in degrees."""
    return f"turned by {angle:g}"
