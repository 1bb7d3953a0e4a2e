"""A two-layer linear network with one unit an input, two tasks it meets, and the two margins that it stands between."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linprog
from sklearn.svm import SVC
from torch import Tensor, nn
from torch.nn import functional

from heldout.devices import generator
from heldout.experiment import require

TASKS = ("sparse", "dense")


class DiagonalNetwork(nn.Module):
    """``f(x) = sum_i (u_i^2 - v_i^2) x_i``, begun with every weight at ``initial``, so that f = 0 (Lyu et al., section 3).

    Raises:
        ValueError: ``initial`` is not positive.
    """

    def __init__(self, dimension: int, initial: float) -> None:
        super().__init__()
        require(initial > 0, "initial", initial, "above 0")
        self.positive = nn.Parameter(torch.full((dimension,), initial))
        self.negative = nn.Parameter(torch.full((dimension,), initial))

    def forward(self, x: Float[Tensor, "batch dimension"]) -> Float[Tensor, " batch"]:
        """The output; its sign is the class."""
        return x @ (self.positive.square() - self.negative.square())


def logistic_loss(outputs: Float[Tensor, "*batch"], classes: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """``log(1 + exp(-y f))`` of each sample, in nats, for classes -1 and 1."""
    return functional.softplus(-classes * outputs)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Training and held-out inputs (samples, dimension) with classes -1 and 1 (samples,)."""

    train_x: Float[Tensor, "train dimension"]
    train_y: Float[Tensor, " train"]
    test_x: Float[Tensor, "test dimension"]
    test_y: Float[Tensor, " test"]


def draw(task: str, seed: int, *, dimension: int, num_train: int, num_test: int, shift: float) -> Sample:
    """One seed's sample of a task.

    ``sparse``: inputs of -1 and 1 whose class is the majority of the first three coordinates. ``dense``: normal inputs moved by
    ``shift`` times the class along a random unit vector, which has a little of every coordinate.

    Raises:
        ValueError: the task is unknown.
    """
    require(task in TASKS, "task", task, f"one of {', '.join(TASKS)}")
    own = generator("diagonal network", task, seed)
    count = num_train + num_test
    signs = torch.randint(2, (count, dimension), generator=own).float() * 2 - 1
    if task == "sparse":
        x, y = signs, signs[:, :3].sum(1).sign()
    else:
        direction = torch.randn(dimension, generator=own)
        y = signs[:, 0]
        noise = torch.randn(count, dimension, generator=own)
        x = noise + shift * y.unsqueeze(1) * direction / direction.norm()
    return Sample(train_x=x[:num_train], train_y=y[:num_train], test_x=x[num_train:], test_y=y[num_train:])


def euclidean_margin(sample: Sample) -> Float[np.ndarray, " dimension"]:
    """The separating direction of largest margin per Euclidean length, through the origin."""
    signed = (sample.train_x * sample.train_y.unsqueeze(1)).double().numpy()
    # Points and their mirror images: the separator of the two goes through the origin.
    machine = SVC(kernel="linear", C=1e6).fit(np.vstack([signed, -signed]), np.repeat([1, -1], len(signed)))
    direction: np.ndarray = machine.coef_[0]
    return direction


def absolute_margin(sample: Sample) -> Float[np.ndarray, " dimension"]:
    """The separating direction of largest margin per sum of absolute weights: a linear program.

    Raises:
        ValueError: the classes cannot be separated.
    """
    signed = (sample.train_x * sample.train_y.unsqueeze(1)).double().numpy()
    dimension = signed.shape[1]
    found = linprog(
        np.ones(2 * dimension), A_ub=-np.hstack([signed, -signed]), b_ub=-np.ones(len(signed)), bounds=(0, None), method="highs",
    )  # fmt: skip
    require(found.status == 0, "sample", len(signed), "separable")
    direction: np.ndarray = found.x[:dimension] - found.x[dimension:]
    return direction


def accuracy(sample: Sample, direction: Float[np.ndarray, " dimension"]) -> float:
    """Share of the held-out inputs on the right side of a direction."""
    return float(((sample.test_x.double().numpy() @ direction) * sample.test_y.numpy() > 0).mean())
