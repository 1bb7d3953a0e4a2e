"""Learning to tell digits by least squares: the split, the one-hot targets, and labels replaced at random."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from heldout.data import Samples, mnist
from heldout.devices import generator
from heldout.experiment import require

CLASSES = 10
SETS = {"bundled": 5000, "full": 70_000}


def split(
    digits: str, seed: int, num_train: int, num_validation: int, num_test: int
) -> tuple[Samples, Samples, Samples]:
    """Training, validation and test digits of one seed, disjoint.

    From the bundled digits all three are drawn by the seed; from the full set the test digits come from the canonical test
    set and the others are drawn from the canonical training set.

    Raises:
        DataError: the full set was not fetched.
    """
    if digits == "bundled":
        pool = mnist.bundled(seed)
        test = pool[num_train + num_validation :]
    else:
        pool, test = mnist.full()
        pool = pool.shuffled("mnist", seed)
    return pool[:num_train], pool[num_train : num_train + num_validation], test[:num_test]


def check_sizes(digits: str, num_train: int, num_validation: int, num_test: int) -> None:
    """Raise ``ValueError`` unless the digits exist in the numbers asked for."""
    require(digits in SETS, "digits", digits, f"one of {', '.join(SETS)}")
    require(num_train >= 20, "num_train", num_train, "at least 20")
    require(num_validation >= 1, "num_validation", num_validation, "at least 1")
    require(num_test >= 1, "num_test", num_test, "at least 1")
    wanted = num_train + num_validation
    if digits == "full":
        require(num_test <= 10_000, "num_test", num_test, "at most the 10,000 test digits")
        require(wanted <= 60_000, "num_train + num_validation", wanted, "at most the 60,000 training digits")
    else:
        require(wanted + num_test <= 5000, "num_train + num_validation + num_test", wanted + num_test, "at most 5000")


def one_hot(labels: Int[Tensor, " n"]) -> Float[Tensor, "n classes"]:
    """One column a class, 1 in the label's column and 0 elsewhere (float64)."""
    return functional.one_hot(labels, CLASSES).double()


def replace_labels(labels: Int[Tensor, " n"], share: float, *coordinates: int | float | str) -> Int[Tensor, " n"]:
    """Each label replaced with probability ``share`` by one of the nine others, drawn uniformly.

    The draws do not depend on ``share``, so a larger share replaces all that a smaller one does.
    """
    source = generator("replaced labels", *coordinates)
    chance = torch.rand(len(labels), generator=source)
    shift = torch.randint(1, CLASSES, labels.shape, generator=source)
    return torch.where(chance < share, (labels + shift) % CLASSES, labels)
