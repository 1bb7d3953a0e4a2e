"""Full-batch training of an ensemble of sequence models, with a second loss for some of its members.

All members are one program: one forward and one backward pass, AdamW with a warm-up and a cosine, and each member's gradient
cut to its own length. A member comes out as it would alone, to rounding.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heldout.experiment import require
from heldout.nonidentifiability.anbn import IGNORED

Batch = tuple[Int[Tensor, "member row place"], Int[Tensor, "member row place"]]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """AdamW's numbers: the rate rises over ``warm_up`` updates and falls to zero along a cosine.

    Raises:
        ValueError: a number is out of its range.
    """

    steps: int
    learning_rate: float
    warm_up: int = 50
    weight_decay: float = 0.0
    clip: float = 1.0

    def __post_init__(self) -> None:
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.warm_up >= 0, "warm_up", self.warm_up, "0 or more")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        require(self.clip > 0, "clip", self.clip, "above 0")

    def rate(self, step: int) -> float:
        """The learning rate of update ``step``, from 0."""
        rise = min(1.0, (step + 1) / (self.warm_up + 1))
        return self.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * step / self.steps))


@dataclass(frozen=True, kw_only=True)
class Auxiliary:
    """A second loss for the members from ``first`` on.

    Attributes:
        first: the first member that has it.
        weight: what it is multiplied by.
        batch: gives for each step what the members read and what they should write, (members, rows, places).
    """

    first: int
    weight: float
    batch: Callable[[int], Batch]


def token_loss(
    logits: Float[Tensor, "member row place outputs"], targets: Int[Tensor, "member row place"]
) -> Float[Tensor, " member"]:
    """Each member's mean cross-entropy in nats over the tokens that count."""
    counts = targets != IGNORED
    own = logits.log_softmax(-1).gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return -(own * counts).sum((-1, -2)) / counts.sum((-1, -2))


def train(models: nn.Module, data: Batch, schedule: Schedule, auxiliary: Auxiliary | None = None) -> Iterator[int]:
    """Train all members in place; yields the number of updates made after each.

    Args:
        models: callable on tokens (member, row, place) and a slice of members, every parameter with members first.
        data: what is read and what is to be written, (members, sequences, places); all sequences at every update.
        schedule: rate, warm-up, decay and clip.
        auxiliary: the second loss, if any.
    """
    parameters = list(models.parameters())
    fused = parameters[0].device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(
        parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=fused
    )
    device = parameters[0].device
    inputs, targets = data[0].to(device), data[1].to(device)
    for step in range(schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        loss = token_loss(models(inputs), targets).sum()
        if auxiliary is not None and auxiliary.weight > 0:
            read, wanted = (part.to(device) for part in auxiliary.batch(step))
            loss = loss + auxiliary.weight * token_loss(models(read, slice(auxiliary.first, None)), wanted).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        _clip(parameters, schedule.clip)
        optimizer.step()
        yield step + 1


@torch.no_grad()
def _clip(parameters: Sequence[Tensor], longest: float) -> None:
    """Cut each member's gradient to a length of at most ``longest``, as torch.nn.utils.clip_grad_norm_ does for one."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0)
    factor = (longest / (squares.sqrt() + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))
