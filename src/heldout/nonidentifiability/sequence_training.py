"""Full-batch training of an ensemble of sequence models, with a second loss for some of its members.

All members are one program: one forward and one backward pass, AdamW with a warm-up and a cosine, and each member's gradient
cut to its own length. A member comes out as it would alone, to rounding.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heldout.devices import onto
from heldout.experiment import require
from heldout.nonidentifiability.anbn import IGNORED
from heldout.prefix_tree import PrefixTree

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


def tree_loss(logits: Float[Tensor, "member node outputs"], tree: PrefixTree) -> Float[Tensor, " member"]:
    """The same mean over the sequences of a tree."""
    return -(logits.log_softmax(-1) * tree.counts).sum((-1, -2)) / tree.counts.sum()


def train(
    models: nn.Module, data: Batch | PrefixTree, schedule: Schedule, auxiliary: Auxiliary | None = None
) -> Iterator[int]:
    """Train all members in place; yields the number of updates made after each.

    The parameters become parts of one tensor, so that the optimizer and the clipping work on a single one.

    Args:
        models: callable on tokens (member, row, place) and a slice of members, every parameter with members first; with a tree
            as data also ``on_tree``, see :class:`~heldout.decoders.Transformers`.
        data: what is read and what is to be written, (members, sequences, places), or the tree of sequences that all members
            read; all sequences at every update.
        schedule: rate, warm-up, decay and clip.
        auxiliary: the second loss, if any.
    """
    parameters = list(models.parameters())
    whole = _flattened(parameters)
    optimizer = torch.optim.AdamW(
        [whole], lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=whole.device.type in ("cpu", "cuda")
    )  # fmt: skip
    on_data = _on_data(models, data, whole)
    for step in range(schedule.steps):
        optimizer.param_groups[0]["lr"] = schedule.rate(step)
        loss = on_data().sum()
        if auxiliary is not None and auxiliary.weight > 0:
            read, wanted = (onto(part, whole.device) for part in auxiliary.batch(step))
            loss = loss + auxiliary.weight * token_loss(models(read, slice(auxiliary.first, None)), wanted).sum()
        gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
        whole.grad = _clipped(torch.cat([part.reshape(len(part), -1) for part in gradients], 1), schedule.clip)
        optimizer.step()
        yield step + 1


def _on_data(models: nn.Module, data: Batch | PrefixTree, like: Tensor) -> Callable[[], Tensor]:
    """The loss of each member on the data."""
    if isinstance(data, PrefixTree):
        tree, on_tree = data.to(like), cast(Callable[[PrefixTree], Tensor], models.on_tree)
        return lambda: tree_loss(on_tree(tree), tree)
    inputs, targets = data[0].to(like.device), data[1].to(like.device)
    return lambda: token_loss(models(inputs), targets)


def _flattened(parameters: Sequence[nn.Parameter]) -> nn.Parameter:
    """All parameters as one, (member, number): they are parts of it from now on."""
    whole = nn.Parameter(torch.cat([value.detach().reshape(len(value), -1) for value in parameters], 1))
    parts = torch.split(whole.detach(), [value[0].numel() for value in parameters], 1)
    for value, part in zip(parameters, parts, strict=True):
        value.data = part.view(value.shape)
    return whole


def _clipped(gradient: Float[Tensor, "member number"], longest: float) -> Float[Tensor, "member number"]:
    """Each member's gradient, cut to a length of at most ``longest`` as by torch.nn.utils.clip_grad_norm_."""
    return gradient.mul_((longest / (gradient.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1))
