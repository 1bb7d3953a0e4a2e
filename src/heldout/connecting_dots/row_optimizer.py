"""Adam with its own rate for every number of every member."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


class Adam:
    """``torch.optim.Adam`` with betas 0.9 and 0.98 on some tensors, where each number has its rate; rate zero changes nothing.

    Args:
        parts: tensors that are trained, each with the rates of its numbers.
    """

    betas, eps = (0.9, 0.98), 1e-8

    def __init__(self, parts: Sequence[tuple[Tensor, Float[Tensor, "..."]]]) -> None:
        self.values = [value for value, _ in parts]
        self.rates = [rate.to(value) for value, rate in parts]
        self.first = [torch.zeros_like(value) for value in self.values]
        self.second = [torch.zeros_like(value) for value in self.values]
        self.steps = 0

    def step(self, loss: Tensor, factor: float = 1.0) -> None:
        """One update against the loss, with all rates multiplied by ``factor``; nothing is done where nothing is trained."""
        if not self.values:
            return
        gradients = torch.autograd.grad(loss, self.values, materialize_grads=True)
        self.steps += 1
        first, second = self.betas
        even, size = 1 - first**self.steps, (1 - second**self.steps) ** 0.5
        with torch.no_grad():
            for value, rate, mean, square, gradient in zip(
                self.values, self.rates, self.first, self.second, gradients, strict=True
            ):
                mean.lerp_(gradient, 1 - first)
                square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
                value.addcdiv_(mean * rate, square.sqrt().div_(size).add_(self.eps), value=-factor / even)
