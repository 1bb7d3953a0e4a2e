"""The digit task of the page on norms: a multilayer perceptron whose initial weights are scaled, on few real digits.

The setting of Liu, Michaud and Tegmark 2023 (arXiv 2210.01117, Omnigrok): one-hot targets, squared error, every parameter of
PyTorch's own initial draw multiplied by one factor.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from heldout.data import digit_task, mnist
from heldout.devices import generator
from heldout.ensemble import History, Optimizer, Snapshot, TrainingData, train
from heldout.experiment import require
from heldout.grokking.norm_probe import norms
from heldout.losses import squared_error
from heldout.networks import MLP

SHRINKS = (1, 2, 4, 7, 14)


class DividedMLP(MLP):
    """A multilayer perceptron whose outputs are divided by a constant, which training does not touch."""

    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        output_size: int,
        *,
        generator: torch.Generator,
        init_scale: float = 1.0,
        divisor: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(input_size, hidden_sizes, output_size, generator=generator, init_scale=init_scale, dtype=dtype)
        require(divisor > 0, "divisor", divisor, "above 0")
        self.divisor = divisor

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        """Outputs of the perceptron over the divisor."""
        return super().forward(x) / self.divisor


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Training and test digits of several seeds, pixels averaged over squares.

    Attributes:
        x, test_x: (seeds, digits, pixels).
        y, test_y: (seeds, digits) classes.
    """

    x: Float[Tensor, "seed train pixels"]
    y: Int[Tensor, "seed train"]
    test_x: Float[Tensor, "seed test pixels"]
    test_y: Int[Tensor, "seed test"]


def load(digits: str, seeds: Sequence[int], num_train: int, num_test: int, shrink: int) -> Digits:
    """The digits of each seed; a larger training set of a seed contains a smaller one.

    Raises:
        ValueError: there are not so many digits, or pictures of 28 pixels a side cannot be cut so.
        DataError: the full set was not fetched.
    """
    digit_task.check_sizes(digits, num_train, 1, num_test)
    require(shrink in SHRINKS, "shrink", shrink, f"one of {', '.join(map(str, SHRINKS))}")
    parts = [digit_task.split(digits, seed, num_train, 1, num_test) for seed in seeds]
    return Digits(
        x=torch.stack([_shrunk(train.x, shrink) for train, _, _ in parts]),
        y=torch.stack([train.y for train, _, _ in parts]),
        test_x=torch.stack([_shrunk(test.x, shrink) for _, _, test in parts]),
        test_y=torch.stack([test.y for _, _, test in parts]),
    )


def _shrunk(x: Float[Tensor, "digits 784"], shrink: int) -> Float[Tensor, "digits pixels"]:
    return functional.avg_pool2d(x.view(-1, 1, mnist.SIDE, mnist.SIDE), shrink).flatten(1)


def members(seeds: Sequence[int], pixels: int, hidden_size: int, scale: float, *, divide: bool) -> list[DividedMLP]:
    """Three layers a seed, all parameters the seed's own draw times ``scale``; with ``divide``, outputs over ``scale``^3.

    Three linear maps follow one another, so scaling the weights alone would scale the outputs by the cube.
    """
    return [
        DividedMLP(
            pixels,
            (hidden_size, hidden_size),
            digit_task.CLASSES,
            generator=generator("digit network", seed),
            init_scale=scale,
            divisor=scale**3 if divide else 1.0,
        )
        for seed in seeds
    ]


def train_on_digits(
    networks: Sequence[DividedMLP],
    data: Digits,
    seeds: Sequence[int],
    *,
    steps: int,
    probe_steps: Sequence[int],
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    constant_norm: bool,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> History:
    """Train one network a seed with AdamW; values train_ and test_accuracy, train_ and test_loss, each (probe, seed)."""
    targets = functional.one_hot(data.y, digit_task.CLASSES).float()
    return train(
        networks, TrainingData(inputs=data.x, targets=targets, streams=range(len(seeds)), keys=seeds), steps=steps,
        learning_rate=learning_rate, weight_decay=weight_decay,
        optimizer=Optimizer(kind="adamw", constant_norm=constant_norm), batch_size=batch_size, loss=squared_error,
        probe=_Probe(data, device), probe_steps=probe_steps, device=device, progress=progress,
    )  # fmt: skip


class _Probe:
    """Accuracy, mean squared error per output, and norm of all parameters, of the members in a chunk."""

    def __init__(self, data: Digits, device: torch.device) -> None:
        self._sets = {
            "train": (data.x.to(device), data.y.to(device)),
            "test": (data.test_x.to(device), data.test_y.to(device)),
        }

    def __call__(self, snapshot: Snapshot) -> dict[str, Float[Tensor, " members"]]:
        found: dict[str, Tensor] = {}
        for name, (x, y) in self._sets.items():
            outputs, wanted = snapshot.predict(x, per_stream=True), y[snapshot.members]
            found[f"{name}_accuracy"] = (outputs.argmax(-1) == wanted).float().mean(1)
            errors = outputs - functional.one_hot(wanted, digit_task.CLASSES)
            found[f"{name}_loss"] = errors.square().mean((1, 2))
        found["norm"] = norms(snapshot).to(x.device)
        return found
