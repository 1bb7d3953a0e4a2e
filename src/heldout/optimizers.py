"""torch.optim's update rules on one flat vector that holds the parameters of many independent members.

Where every member has the same learning rate and weight decay, one fused kernel does the update; otherwise they are
vectors with one entry a parameter. Both follow ``torch.optim`` term by term; a test compares them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from heldout.experiment import require

_TINY = 1e-30  # keeps a quotient finite where a tensor or its gradient is zero

Kind = Literal["sgd", "momentum", "adam", "adamw"]


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """An update rule, with torch.optim's names and defaults.

    ``sgd`` and ``momentum`` are ``torch.optim.SGD`` (weight decay added to the gradient, no dampening), ``adam`` is
    ``torch.optim.Adam`` (weight decay added to the gradient), ``adamw`` is ``torch.optim.AdamW`` (weight decay apart).

    Three changes of a rule that papers on grokking propose, each off by default:

    * ``slow_gradient``: add this many times the exponential average of past gradients, kept with ``slow_decay``, to the
      gradient (Lee et al. 2024, arXiv 2405.20233, section 2.3, Grokfast-EMA).
    * ``orthogonal``: take away from the gradient of each tensor what lies along the tensor, and scale what is left to the
      gradient's own length (Prieto et al. 2025, arXiv 2501.04697, section 5, as in its code).
    * ``constant_norm``: after each step scale a member's parameters back to the norm they started with (Liu et al. 2023,
      arXiv 2210.01117, section 2).

    Raises:
        ValueError: unknown kind, or a constant outside its range.
    """

    kind: Kind = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.9
    slow_gradient: float = 0.0
    slow_decay: float = 0.98
    orthogonal: bool = False
    constant_norm: bool = False

    def __post_init__(self) -> None:
        require(self.kind in get_args(Kind), "kind", self.kind, f"one of {', '.join(get_args(Kind))}")
        require(all(0 <= beta < 1 for beta in self.betas), "betas", self.betas, "two numbers in [0, 1)")
        require(self.eps > 0, "eps", self.eps, "above 0")
        require(0 <= self.momentum < 1, "momentum", self.momentum, "in [0, 1)")
        require(0 <= self.slow_gradient < math.inf, "slow_gradient", self.slow_gradient, "finite and not negative")
        require(0 <= self.slow_decay < 1, "slow_decay", self.slow_decay, "in [0, 1)")

    @property
    def slots(self) -> int:
        """How many numbers of state a parameter carries."""
        return self._own_slots + (self.slow_gradient > 0)

    @property
    def _own_slots(self) -> int:
        return {"sgd": 0, "momentum": 1, "adam": 2, "adamw": 2}[self.kind]


@dataclass(frozen=True, kw_only=True)
class Rates:
    """One number a member, or by name of its parameters one number a member.

    Attributes:
        values: for each name, (members,) numbers. The name "" stands for all parameters; "decoder" for "decoder" and all
            that begin with "decoder.". The longest name that fits counts.
    """

    values: Mapping[str, tuple[float, ...]]

    def of(self, member: int, parameter: str) -> float:
        """The number of one parameter of one member.

        Raises:
            ValueError: no name fits.
        """
        fitting = [name for name in self.values if name in ("", parameter) or parameter.startswith(f"{name}.")]
        require(bool(fitting), "parameter", parameter, f"named by one of {', '.join(self.values)}")
        return self.values[max(fitting, key=len)][member]


class FlatOptimizer:
    """The state of an :class:`Optimizer` for one flat parameter vector, updated in place by :meth:`step`."""

    def __init__(
        self,
        rule: Optimizer,
        parameters: Tensor,
        gradient: Tensor,
        part: Callable[[], Tensor],
        owner: Callable[[], Tensor],
        learning_rate: Sequence[float],
        weight_decay: Sequence[float],
    ) -> None:
        """``part()`` gives, for each number, the position of its tensor in ``learning_rate`` and ``weight_decay``.

        ``owner()`` gives the position of its member.
        """
        self.rule, self.parameters, self.gradient = rule, parameters, gradient
        self.slots = [torch.zeros_like(parameters) for _ in range(rule.slots)]
        # A tensor on the device, so that a captured CUDA graph counts its own steps.
        self.steps = torch.zeros((), dtype=torch.float32, device=parameters.device)
        self._uniform = len(set(learning_rate)) == 1 and len(set(weight_decay)) == 1
        self._one_rate, self._one_decay = float(learning_rate[0]), float(weight_decay[0])
        if not self._uniform:
            position = part()
            rates = torch.tensor(learning_rate, dtype=torch.float64, device=parameters.device)
            decays = torch.tensor(weight_decay, dtype=torch.float64, device=parameters.device)
            self._rate, self._decay = rates.to(parameters)[position], decays.to(parameters)[position]
            # torch.optim forms this product, too, in float64.
            self._kept = (1 - rates * decays).to(parameters)[position]
        if rule.orthogonal:
            self._part, self._parts = part(), len(learning_rate)
        if rule.constant_norm:
            self._owner = owner()
            self._norms = self._sums(parameters.square(), self._owner, int(self._owner.max()) + 1).sqrt()

    def state(self) -> dict[str, Tensor]:
        """Everything that must be saved to go on later."""
        return {"steps": self.steps, **{f"slot{i}": slot for i, slot in enumerate(self.slots)}}

    def rescale(self, factor: float) -> None:
        """Multiply every learning rate, for the updates from here on.

        Raises:
            ValueError: the factor is not positive, or members of AdamW differ in their rates.
        """
        require(0 < factor < math.inf, "factor", factor, "positive and finite")
        require(self._uniform or self.rule.kind != "adamw", "kind", self.rule.kind, "another where rates differ")
        self._one_rate *= factor
        if not self._uniform:
            self._rate *= factor

    @torch.no_grad()
    def step(self) -> None:
        """One update from the gradient as it stands."""
        self.steps.add_(1)
        if self.rule.slow_gradient:
            self._add_slow_gradient()
        if self.rule.orthogonal:
            self._take_orthogonal()
        if self._uniform:
            self._fused()
        elif self.rule.kind in ("adam", "adamw"):
            self._adam()
        else:
            self._sgd()
        if self.rule.constant_norm:
            now = self._sums(self.parameters.square(), self._owner, len(self._norms)).sqrt()
            self.parameters.mul_((self._norms / now)[self._owner])

    def _add_slow_gradient(self) -> None:
        slow = self.slots[-1]
        # The first average is the first gradient itself, as in the paper's code.
        # 1 - decay is formed in float64: in float32 it would lose two digits.
        fresh = (1 - self.rule.slow_decay * (self.steps > 1).double()).to(slow)
        slow.lerp_(self.gradient, fresh)
        self.gradient.add_(slow, alpha=self.rule.slow_gradient)

    def _take_orthogonal(self) -> None:
        along = self._sums(self.parameters * self.gradient, self._part, self._parts)
        squares = self._sums(self.parameters.square(), self._part, self._parts)
        before = self._sums(self.gradient.square(), self._part, self._parts).sqrt()
        self.gradient.sub_(self.parameters * (along / (squares + _TINY))[self._part])
        after = self._sums(self.gradient.square(), self._part, self._parts).sqrt()
        self.gradient.mul_((before / (after + _TINY))[self._part])

    @staticmethod
    def _sums(values: Tensor, position: Tensor, count: int) -> Tensor:
        return torch.zeros(count, dtype=values.dtype, device=values.device).index_add_(0, position, values)

    def _fused(self) -> None:
        rule, (parameters, gradient) = self.rule, ([self.parameters], [self.gradient])
        slots = [[slot] for slot in self.slots[: rule._own_slots]]
        if rule.kind in ("adam", "adamw"):
            kernel = torch._fused_adam_ if rule.kind == "adam" else torch._fused_adamw_
            kernel(
                parameters, gradient, slots[0], slots[1], [], [self.steps],
                lr=self._one_rate, beta1=rule.betas[0], beta2=rule.betas[1], weight_decay=self._one_decay, eps=rule.eps,
                amsgrad=False, maximize=False,
            )  # fmt: skip
        else:
            torch._fused_sgd_(
                parameters, gradient, slots[0] if slots else [],
                weight_decay=self._one_decay, momentum=rule.momentum if slots else 0.0, lr=self._one_rate, dampening=0.0,
                nesterov=False, maximize=False, is_first_step=False,
            )  # fmt: skip

    def _sgd(self) -> None:
        direction = torch.addcmul(self.gradient, self.parameters, self._decay)
        if self.rule.kind == "momentum":
            direction = self.slots[0].mul_(self.rule.momentum).add_(direction)
        self.parameters.addcmul_(direction, self._rate, value=-1)

    def _adam(self) -> None:
        first, second = self.slots[:2]
        beta1, beta2 = self.rule.betas
        gradient = self.gradient
        if self.rule.kind == "adamw":
            self.parameters.mul_(self._kept)
        else:
            gradient = torch.addcmul(gradient, self.parameters, self._decay)
        first.lerp_(gradient, 1 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        # 1 - 0.999 ** t loses four digits in float32 at small t.
        steps = self.steps.double()
        bias1 = (1 - beta1**steps).to(first.dtype)
        root_bias2 = (1 - beta2**steps).sqrt().to(first.dtype)
        denominator = second.sqrt().div_(root_bias2).add_(self.rule.eps)
        self.parameters.addcdiv_(first * self._rate, denominator.mul_(bias1), value=-1)
