"""Networks that learn multitask sparse parity, and all widths and seeds of them trained as one program.

Michaud et al. 2023 (arXiv 2303.13506, section 3) feed a one-hot task number and the bits to one hidden ReLU layer. The
one-hot half of the first layer only picks a row, so here it is an embedding: the same function without the product. The output
is one logit, the log-odds of an odd parity, where the paper has two.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from heldout.devices import onto
from heldout.experiment import require
from heldout.optimizers import FlatOptimizer, Optimizer
from heldout.quanta.parity import Batch


class ParityMLP(nn.Module):
    """relu(embedding of the task + bits A + b) w + c: one network, as a reader would write it.

    Weights start uniform in +-1/sqrt(fan-in), with the fan-in of the layer on the one-hot task number and the bits.

    Raises:
        ValueError: a size is below 1.
    """

    def __init__(self, num_tasks: int, num_bits: int, width: int, *, generator: torch.Generator) -> None:
        super().__init__()
        require(min(num_tasks, num_bits, width) >= 1, "sizes", (num_tasks, num_bits, width), "positive")

        def weight(*shape: int, fan_in: int) -> nn.Parameter:
            return nn.Parameter((torch.rand(*shape, generator=generator) * 2 - 1) / math.sqrt(fan_in))

        self.embed = weight(num_tasks, width, fan_in=num_tasks + num_bits)
        self.bits = weight(num_bits, width, fan_in=num_tasks + num_bits)
        self.bias = weight(width, fan_in=num_tasks + num_bits)
        self.readout = weight(width, fan_in=width)
        self.offset = weight(1, fan_in=width)

    def hidden(self, task: Int[Tensor, " sample"], bits: Float[Tensor, "sample bits"]) -> Float[Tensor, "sample width"]:
        """The hidden layer after its ReLU."""
        return functional.relu(self.embed[task] + bits @ self.bits + self.bias)

    def forward(self, task: Int[Tensor, " sample"], bits: Float[Tensor, "sample bits"]) -> Float[Tensor, " sample"]:
        """The log-odds of an odd parity."""
        return self.hidden(task, bits) @ self.readout + self.offset


class Together:
    """Networks of several rows, each row on samples of its own, each with the same widths, side by side in the hidden layer.

    Attributes:
        widths: hidden sizes, in the order of the outputs.
    """

    def __init__(self, rows: Sequence[Sequence[ParityMLP]], device: torch.device) -> None:
        """``rows[i][j]`` is row i's network of the j-th width.

        Raises:
            ValueError: rows of different widths, or of different numbers of tasks or bits.
        """
        self.widths = [len(network.readout) for network in rows[0]]
        sizes = {(len(n.embed), len(n.bits)) for row in rows for n in row}
        require(len(sizes) == 1, "rows", sorted(sizes), "of one number of tasks and one of bits")
        same = all([len(n.readout) for n in row] == self.widths for row in rows)
        require(same, "rows", [[len(n.readout) for n in row] for row in rows], "of the same widths")
        ((tasks, bits),) = sizes
        shapes = [(tasks, sum(self.widths)), (bits, sum(self.widths)), (sum(self.widths),), (sum(self.widths),)]
        shapes.append((len(self.widths),))
        self._pieces = [len(rows) * math.prod(shape) for shape in shapes]
        self._shapes = [(len(rows), *shape) for shape in shapes]
        self.parameters = torch.empty(sum(self._pieces), device=device)
        self.gradient = torch.zeros_like(self.parameters)
        names = ("embed", "bits", "bias", "readout", "offset")
        for view, name in zip(self._views(self.parameters), names, strict=True):
            parts = [torch.cat([getattr(network, name).detach() for network in row], -1) for row in rows]
            view.copy_(torch.stack(parts))

    def _views(self, flat: Tensor) -> list[Tensor]:
        pieces = flat.split_with_sizes(self._pieces)
        return [piece.view(shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    def network(self, row: int, column: int) -> dict[str, Tensor]:
        """One network's parameters, on the CPU, as :class:`ParityMLP` names them."""
        start = sum(self.widths[:column])
        ours = slice(start, start + self.widths[column])
        embed, bits, bias, readout, offset = self._views(self.parameters)
        parts = {"embed": embed[row][:, ours], "bits": bits[row][:, ours], "bias": bias[row][ours]}
        parts |= {"readout": readout[row][ours], "offset": offset[row][column : column + 1]}
        return {name: part.detach().cpu().clone() for name, part in parts.items()}

    def _hidden(self, task: Tensor, bits: Tensor) -> Tensor:
        embed, matrix, bias, _, _ = self._views(self.parameters)
        # Adding the bias to the table costs tasks x width, to the batch samples x width.
        table = embed + bias.unsqueeze(1)
        hidden = torch.stack([rows.index_select(0, which) for rows, which in zip(table, task, strict=True)])
        return torch.baddbmm(hidden, bits, matrix).relu_()

    def _read(self, hidden: Tensor) -> Tensor:
        _, _, _, readout, offset = self._views(self.parameters)
        blocks = zip(hidden.split_with_sizes(self.widths, -1), readout.split_with_sizes(self.widths, -1), strict=True)
        return torch.cat([block @ weights.unsqueeze(-1) for block, weights in blocks], -1) + offset.unsqueeze(1)

    @torch.no_grad()
    def logits(self, batch: Batch) -> Float[Tensor, "row sample width"]:
        """The log-odds of every network, from one batch a row, stacked."""
        return self._read(self._hidden(batch.task, batch.bits))

    @torch.no_grad()
    def backward(self, batch: Batch) -> None:
        """Write the gradient of each network's mean cross-entropy."""
        hidden = self._hidden(batch.task, batch.bits)
        errors = (self._read(hidden).sigmoid_() - batch.label.unsqueeze(-1)).div_(batch.bits.shape[1])
        embed, matrix, bias, readout, offset = self._views(self.gradient)
        torch.sum(errors, 1, out=offset)
        _, _, _, weights, _ = self._views(self.parameters)
        below = torch.empty_like(hidden)
        start = 0
        for column, width in enumerate(self.widths):
            ours, error = slice(start, start + width), errors[..., column]
            readout[:, ours] = (error.unsqueeze(1) @ hidden[..., ours]).squeeze(1)
            torch.mul(error.unsqueeze(-1), weights[:, None, ours], out=below[..., ours])
            start += width
        torch.ops.aten.threshold_backward.grad_input(below, hidden, 0, grad_input=below)
        torch.bmm(batch.bits.mT, below, out=matrix)
        embed.zero_()
        for table, which, rows in zip(embed, batch.task, below, strict=True):
            table.index_add_(0, which, rows)
        torch.sum(embed, 1, out=bias)


def stacked(batches: Sequence[Batch], device: torch.device) -> Batch:
    """One batch a row, of equal sizes, as one."""
    return Batch(*(onto(torch.stack(each), device) for each in zip(*batches, strict=True)))


Probe = Callable[[Together], Mapping[str, Tensor | np.ndarray]]


def train(
    networks: Together,
    sources: Sequence[Iterator[Batch]],
    *,
    steps: int,
    learning_rate: float,
    optimizer: Optimizer | None = None,
    last_part: float = 0.0,
    last_rate: float = 0.2,
    probe: Probe | None = None,
    probe_steps: Sequence[int] = (),
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Train all networks for ``steps`` updates, a batch of each row's source an update; ``networks`` change in place.

    Args:
        optimizer: the update rule; Adam by default.
        last_part: share of the updates, at the end, in which the learning rate is ``last_rate`` times as large.
        probe: called before each of the increasing ``probe_steps``, the last of which may be ``steps``.

    Returns:
        What the probe returned, each stacked along a first axis of probe steps.

    Raises:
        ValueError: an argument is out of range.
    """
    require(steps >= 0, "steps", steps, "0 or more")
    require(0 <= last_part < 1, "last_part", last_part, "from 0 to below 1")
    require(learning_rate > 0 and math.isfinite(learning_rate), "learning_rate", learning_rate, "above 0, finite")
    inside = list(probe_steps) == sorted(set(probe_steps)) and all(0 <= step <= steps for step in probe_steps)
    require(inside, "probe_steps", list(probe_steps), f"increasing, from 0 to {steps}")

    def none() -> Tensor:
        return torch.zeros(0)

    rule = FlatOptimizer(
        optimizer or Optimizer(), networks.parameters, networks.gradient, none, none, [learning_rate], [0.0]
    )
    wanted, found = set(probe_steps), dict[str, list[np.ndarray]]()
    slow_from = steps - round(last_part * steps)
    for step in range(steps + 1):
        if probe and step in wanted:
            for name, value in probe(networks).items():
                array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
                found.setdefault(name, []).append(array)
        if step == steps:
            break
        if step == slow_from:
            rule.rescale(last_rate)
        networks.backward(stacked([next(source) for source in sources], networks.parameters.device))
        rule.step()
        if progress and (step + 1 == steps or (step + 1) % max(1, steps // 200) == 0):
            progress(step + 1, steps)
    return {name: np.stack(values) for name, values in found.items()}


class ByTask:
    """A probe: cross-entropy (nats) and accuracy of every network on every task, from held-out samples of each.

    Returns ``task_loss`` and ``task_accuracy``, each (row, width, task).
    """

    def __init__(self, batches: Sequence[Batch], num_tasks: int, device: torch.device, *, slices: int = 8192) -> None:
        """``batches`` hold equally many samples of every task, in the order of the tasks, one batch a row."""
        self._batch, self._tasks, self._slices = stacked(batches, device), num_tasks, slices

    def __call__(self, networks: Together) -> dict[str, Tensor]:
        """Both measures."""
        pieces = zip(*(torch.split(each, self._slices, 1) for each in self._batch), strict=True)
        logits = torch.cat([networks.logits(Batch(*piece)) for piece in pieces], 1)
        label = self._batch.label.unsqueeze(-1).expand_as(logits)
        loss = functional.binary_cross_entropy_with_logits(logits, label, reduction="none")
        right = ((logits > 0) == (label > 0.5)).float()
        by_task = {"task_loss": loss, "task_accuracy": right}
        return {name: v.view(len(v), self._tasks, -1, v.shape[-1]).mean(2).mT for name, v in by_task.items()}
