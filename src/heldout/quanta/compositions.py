"""Parities made of parities, and stacks of networks that learn them on the same samples.

Michaud et al. 2025 (arXiv 2505.15811) call the task compositional multitask sparse parity. Each part (their atomic skill) has a
control bit and a few bits of its own; a sample with one control bit on asks for the parity of that part's bits. A sample with
the control bits of all parts on is the composite: it asks for the parity of all their bits, the product of the parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from heldout.devices import onto
from heldout.experiment import require
from heldout.networks import MLP
from heldout.optimizers import FlatOptimizer, Optimizer


class Samples(NamedTuple):
    """Rows of the first part, of the second and so on, then of the composite; in every arm the same inputs."""

    inputs: Float[Tensor, "seed row feature"]
    odd: Float[Tensor, "seed arm row"]  # 1 where the parity asked for is odd
    parts: Float[Tensor, "seed row part"]  # the parities the composite is made of, -1 where odd

    def to(self, device: torch.device) -> "Samples":
        """The same on a device."""
        return Samples(*(onto(each, device) for each in self))

    def last(self, rows: int) -> "Samples":
        """The last rows alone, for one arm: of the composite, where all arms agree."""
        return Samples(self.inputs[:, -rows:], self.odd[:, :1, -rows:], self.parts[:, -rows:])


@dataclass(frozen=True, kw_only=True)
class Compositions:
    """The layout of a composite, and of what is trained beside it in every arm.

    The composite's bits are the first ``parts * subset``; the next as many serve for parts over the wrong bits.

    Attributes:
        right: for every arm how many of its parts are those of the composite; the others look at the wrong bits.
    """

    parts: int
    subset: int  # bits of a part
    num_bits: int
    right: tuple[int, ...]

    def __post_init__(self) -> None:
        require(self.parts >= 1, "parts", self.parts, "at least 1")
        require(self.subset >= 1, "subset", self.subset, "at least 1")
        least = 2 * self.parts * self.subset
        require(self.num_bits >= least, "num_bits", self.num_bits, f"at least 2 x parts x subset = {least}")
        inside = len(self.right) >= 1 and all(0 <= count <= self.parts for count in self.right)
        require(inside, "right", self.right, f"one or more numbers from 0 to {self.parts}")

    def draw(self, part_rows: int, composite_rows: int, randoms: Sequence[np.random.Generator]) -> Samples:
        """``part_rows`` samples of every part and ``composite_rows`` of the composite, for every seed's generator."""
        rows = self.parts * part_rows + composite_rows
        raw = [np.frombuffer(each.bytes(rows * -(-self.num_bits // 8)), dtype=np.uint8) for each in randoms]
        ones = np.unpackbits(np.stack(raw).reshape(len(randoms), rows, -1), axis=2, count=self.num_bits)
        signs = torch.from_numpy(1 - 2 * ones.astype(np.float32))
        on = torch.ones(rows, self.parts)
        on[: self.parts * part_rows] = torch.eye(self.parts).repeat_interleave(part_rows, 0)
        length = self.parts * self.subset
        mine, other = (
            signs[..., start : start + length].reshape(len(randoms), rows, self.parts, self.subset).prod(-1)
            for start in (0, length)
        )
        asked = []
        for right in self.right:
            here = torch.cat([mine[..., :right], other[..., right:]], -1)
            single = (here[:, : self.parts * part_rows] * on[: self.parts * part_rows]).sum(-1)
            asked.append(torch.cat([single, mine[:, self.parts * part_rows :].prod(-1)], 1))
        inputs = torch.cat([on.expand(len(randoms), -1, -1), signs], -1)
        return Samples(inputs, (torch.stack(asked, 1) < 0).float(), mine)


class Stack:
    """Networks of several arms and seeds, trained side by side; the arms of a seed read the same inputs."""

    def __init__(self, rows: Sequence[Sequence[MLP]], device: torch.device, learning_rate: float) -> None:
        """``rows[i][j]`` is seed i's network in arm j, all of one shape, with ReLU layers and one output."""
        self._arms, networks = len(rows[0]), [network for row in rows for network in row]
        self.sizes = networks[0].sizes
        pieces = [
            torch.stack([parameter.detach() for parameter in same])
            for same in zip(*(network.parameters() for network in networks), strict=True)
        ]
        self._shapes = [piece.shape for piece in pieces]
        self.parameters = torch.cat([piece.flatten() for piece in pieces]).to(device)
        self.gradient = torch.zeros_like(self.parameters)

        def none() -> Tensor:
            return torch.zeros(0)

        self._rule = FlatOptimizer(
            Optimizer(), self.parameters, self.gradient, none, none, [learning_rate], [0.0]
        )  # fmt: skip

    def layers(self, inputs: Float[Tensor, "seed row feature"], parameters: Tensor | None = None) -> list[list[Tensor]]:
        """What enters every layer, and what leaves it before its ReLU; (seeds x arms, row, unit) each."""
        flat = self.parameters if parameters is None else parameters
        views = [
            v.view(s)
            for v, s in zip(flat.split_with_sizes([s.numel() for s in self._shapes]), self._shapes, strict=True)
        ]
        entering = [inputs.unsqueeze(1).expand(-1, self._arms, -1, -1).flatten(0, 1)]
        leaving: list[Tensor] = []
        for weight, bias in zip(views[::2], views[1::2], strict=True):
            if leaving:
                entering.append(leaving[-1].relu())
            leaving.append(torch.baddbmm(bias.unsqueeze(1), entering[-1], weight.mT))
        return [entering, leaving]

    def update(self, samples: Samples) -> None:
        """One step of Adam on every network's mean cross-entropy."""
        flat = self.parameters.detach().requires_grad_()
        logits = self.layers(samples.inputs, flat)[1][-1].squeeze(-1)
        loss = functional.binary_cross_entropy_with_logits(logits, samples.odd.flatten(0, 1), reduction="none")
        (gradient,) = torch.autograd.grad(loss.mean(1).sum(), flat)
        self.gradient.copy_(gradient)
        self._rule.step()

    @torch.no_grad()
    def look(self, samples: Samples, part_rows: int) -> dict[str, Tensor]:
        """Losses (nats) and measures of every network on held-out samples, each (seed, arm, ...)."""
        entering, leaving = self.layers(samples.inputs)
        logits, odd = leaving[-1].squeeze(-1), samples.odd.flatten(0, 1)
        loss = functional.binary_cross_entropy_with_logits(logits, odd, reduction="none")
        right = ((logits > 0) == (odd > 0.5)).float()
        parts = samples.parts.shape[-1]
        composite = slice(parts * part_rows, None)
        truth = samples.parts[:, composite].repeat_interleave(self._arms, 0)
        found = {
            "part_loss": loss[:, : parts * part_rows].reshape(len(loss), parts, part_rows).mean(2),  # NaN of no samples
            "composite_loss": loss[:, composite].mean(1),
            "composite_accuracy": right[:, composite].mean(1),
            "read": read_out(torch.cat([hidden[:, composite] for hidden in entering[1:]], -1), truth),
        }
        return {name: value.reshape(-1, self._arms, *value.shape[1:]) for name, value in found.items()}


def read_out(hidden: Float[Tensor, "member row unit"], parts: Float[Tensor, "member row part"]) -> Tensor:
    """Share of the parts' parities that a linear probe of the hidden units gets right, on rows it was not fitted to.

    Ridge regression of the signs on the units, fitted to the even rows and judged on the odd ones.
    """
    units = functional.pad(hidden, (0, 1), value=1.0)
    fit, held = units[:, ::2], units[:, 1::2]
    ridge = 1e-3 * fit.square().mean() * fit.shape[1] * torch.eye(fit.shape[2], device=fit.device)
    weights = torch.linalg.solve(fit.mT @ fit + ridge, fit.mT @ parts[:, ::2])
    share: Tensor = ((held @ weights).sign() == parts[:, 1::2]).float().mean((1, 2))
    return share
