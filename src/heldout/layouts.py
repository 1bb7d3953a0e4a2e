"""How the parameters of many independent members lie in memory, and one forward and backward pass over all of them.

Every layout keeps its members' parameters in one flat vector, with the gradient beside it, so that the optimizer sees a
single tensor. Members share nothing: the gradient of the summed losses holds every member's own gradient.

======================  ==================================================  ============================================
layout                  members                                             work a step
======================  ==================================================  ============================================
:class:`WideHidden`     MLPs with one hidden ReLU layer, widths may differ  one first-layer product for all of a stream
:class:`Stacked`        any modules of equal shapes                         one ``vmap`` over a ``functional_call``
:class:`Single`         one member of any kind                              a plain call: the loop a reader would write
======================  ==================================================  ============================================
"""

import copy
import itertools
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from heldout.fingerprints import structure
from heldout.networks import MLP


class Layout(ABC):
    """Members that step together.

    Attributes:
        members: the caller's index of each member, in the order of every output.
        parameters: (parameters,) all members' parameters.
        gradient: (parameters,) the gradient of the summed losses, written by :meth:`backward`.
    """

    def __init__(self, members: Sequence[int], count: int, modules: Sequence[nn.Module], device: torch.device) -> None:
        dtype = next(modules[members[0]].parameters()).dtype
        self.members = list(members)
        self.parameters = torch.zeros(count, dtype=dtype, device=device)
        self.gradient = torch.zeros_like(self.parameters)
        for position, member in enumerate(members):
            initial = dict(modules[member].named_parameters())
            for name, view in self._views(self.parameters, position).items():
                view.copy_(initial[name].detach())

    def owner(self) -> Tensor:
        """The position in ``members`` of the member that each number belongs to, (parameters,)."""
        return torch.tensor([i for i, _ in self.parts()], device=self.parameters.device)[self.part()]

    def parts(self) -> list[tuple[int, str]]:
        """Every tensor of every member: the member's position, and the name of the parameter."""
        return [(i, name) for i in range(len(self.members)) for name in self._views(self.parameters, i)]

    def part(self) -> Tensor:
        """The position in :meth:`parts` of the tensor that each number belongs to, (parameters,)."""
        result = torch.zeros_like(self.parameters, dtype=torch.long)
        for number, (i, name) in enumerate(self.parts()):
            self._views(result, i)[name].fill_(number)
        return result

    @abstractmethod
    def _views(self, flat: Tensor, position: int) -> dict[str, Tensor]:
        """One member's parameters by name, as views of a flat vector, in the shapes of its module."""

    @abstractmethod
    def forward(self, batch: Tensor) -> Tensor:
        """Outputs (members, samples, ...), ready for :meth:`backward`, from one batch a stream (streams, samples, ...)."""

    @abstractmethod
    def backward(self, loss: Tensor) -> None:
        """Write ``gradient`` of a scalar loss of the last forward's outputs."""

    @abstractmethod
    def predict(self, batch: Tensor) -> Tensor:
        """Outputs as in :meth:`forward`, without a gradient."""

    def state(self, position: int) -> dict[str, Tensor]:
        """A copy, on the CPU, of one member's parameters by name."""
        return {name: view.detach().cpu().clone() for name, view in self._views(self.parameters, position).items()}


class WideHidden(Layout):
    """MLPs with one hidden ReLU layer, laid side by side along the hidden axis.

    A *row* is a list of members that read the same stream; all rows hold the same widths. A row's first layers form one
    matrix (hidden of all widths, inputs + 1), so they are one product with the batch, the bias included as the weight of
    a constant input. The second layers are one product a width. Hidden units lie outside, samples inside, so that
    every width's block is contiguous. The backward pass is written out: autograd would cost as much as the products.
    """

    def __init__(
        self, rows: Sequence[Sequence[int]], streams: Sequence[int], modules: Sequence[nn.Module], device: torch.device
    ) -> None:
        self.inputs, _, self.outputs = _sizes(modules[rows[0][0]])
        self.widths = [_sizes(modules[member])[1] for member in rows[0]]
        self.rows, self.hidden = len(rows), sum(self.widths)
        self._pieces = [self.rows * self.hidden * (self.inputs + 1)]
        self._pieces += [self.rows * self.outputs * width for width in self.widths]
        self._pieces += [self.rows * len(self.widths) * self.outputs]
        super().__init__([member for row in rows for member in row], sum(self._pieces), modules, device)
        row_streams = [streams[row[0]] for row in rows]
        self._one_row_a_stream = row_streams == list(range(self.rows))
        self._row_streams = torch.tensor(row_streams, device=device)
        self._first, self._second, self._bias = self._matrices(self.parameters)
        self._first_gradient, self._second_gradient, self._bias_gradient = self._matrices(self.gradient)
        self._buffers: tuple[Tensor, ...] = ()

    def _matrices(self, flat: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """First layers (rows, hidden, inputs + 1), second layers (rows, outputs, width) a width, second biases."""
        first, *second, bias = flat.split_with_sizes(self._pieces)
        blocks = [w.view(self.rows, self.outputs, width) for w, width in zip(second, self.widths, strict=True)]
        return first.view(self.rows, self.hidden, -1), blocks, bias.view(self.rows, len(self.widths), self.outputs)

    def _views(self, flat: Tensor, position: int) -> dict[str, Tensor]:
        row, block = divmod(position, len(self.widths))
        first, second, bias = self._matrices(flat)
        mine = first[row].split_with_sizes(self.widths)[block]
        return {
            "layers.0.weight": mine[:, :-1],
            "layers.0.bias": mine[:, -1],
            "layers.1.weight": second[block][row],
            "layers.1.bias": bias[row, block],
        }

    def _allocate(self, samples: int) -> tuple[Tensor, ...]:
        def empty(*shape: int) -> Tensor:
            return torch.empty(*shape, dtype=self.parameters.dtype, device=self.parameters.device)

        constant_input = empty(self.rows, samples, self.inputs + 1).fill_(1)
        hidden = empty(self.rows, self.hidden, samples)
        return constant_input, hidden, empty(self.rows, len(self.widths), self.outputs, samples)

    def _outputs(self, batch: Tensor, buffers: tuple[Tensor, ...]) -> Tensor:
        inputs, hidden, outputs = buffers
        same = self._one_row_a_stream and len(batch) == self.rows
        inputs[:, :, :-1] = batch if same else batch[self._row_streams]
        torch.bmm(self._first, inputs.mT, out=hidden).relu_()
        for block, part in enumerate(hidden.split_with_sizes(self.widths, dim=1)):
            bias = self._bias[:, block].unsqueeze(-1)
            torch.baddbmm(bias, self._second[block], part, out=outputs[:, block])
        return outputs.flatten(0, 1).mT

    @torch.no_grad()
    def predict(self, batch: Tensor) -> Tensor:
        """Outputs of the members, without a gradient."""
        return self._outputs(batch, self._allocate(batch.shape[1]))

    def forward(self, batch: Tensor) -> Tensor:
        """Outputs of the members, kept for the backward pass."""
        if not self._buffers or self._buffers[0].shape[1] != batch.shape[1]:
            self._buffers = self._allocate(batch.shape[1])
            self._hidden_gradient = torch.empty_like(self._buffers[1])
        with torch.no_grad():
            self._leaf = self._outputs(batch, self._buffers).detach()
        return self._leaf.requires_grad_()

    def backward(self, loss: Tensor) -> None:
        """Write the gradient of a loss of the last outputs."""
        (gradient,) = torch.autograd.grad(loss, self._leaf)
        inputs, hidden, outputs = self._buffers
        errors = gradient.mT.reshape(outputs.shape)
        hidden_gradient = self._hidden_gradient
        torch.sum(errors, dim=-1, out=self._bias_gradient)
        parts = zip(
            hidden.split_with_sizes(self.widths, dim=1),
            hidden_gradient.split_with_sizes(self.widths, dim=1),
            strict=True,
        )
        for block, (part, part_gradient) in enumerate(parts):
            torch.bmm(errors[:, block], part.mT, out=self._second_gradient[block])
            torch.bmm(self._second[block].mT, errors[:, block], out=part_gradient)
        # The hidden layer holds ReLU's output, so this is ReLU's derivative; a product with (hidden > 0) takes six times as long.
        torch.ops.aten.threshold_backward.grad_input(hidden_gradient, hidden, 0, grad_input=hidden_gradient)
        torch.bmm(hidden_gradient, inputs, out=self._first_gradient)


class Stacked(Layout):
    """Modules of equal shapes, each parameter stacked along a first axis of members."""

    def __init__(
        self, members: Sequence[int], streams: Sequence[int], modules: Sequence[nn.Module], device: torch.device
    ) -> None:
        first = modules[members[0]]
        self._shapes = {name: parameter.shape for name, parameter in first.named_parameters()}
        self._pieces = [len(members) * shape.numel() for shape in self._shapes.values()]
        super().__init__(members, sum(self._pieces), modules, device)
        template = copy.deepcopy(first).to(device)
        self._buffers = dict(template.named_buffers())
        mine = [streams[member] for member in members]
        self._one_stream = mine[0] if len(set(mine)) == 1 else None
        self._streams = torch.tensor(mine, device=device)
        # Leaves whose .grad is a view of the flat gradient: autograd adds into it.
        self._leaves = {name: view.requires_grad_() for name, view in self._stacks(self.parameters).items()}
        for name, view in self._stacks(self.gradient).items():
            self._leaves[name].grad = view

        def call(parameters: dict[str, Tensor], batch: Tensor) -> Tensor:
            result: Tensor = functional_call(template, (parameters, self._buffers), (batch,))
            return result

        self._call: Any = vmap(call, in_dims=(0, None if self._one_stream is not None else 0))

    def _stacks(self, flat: Tensor) -> dict[str, Tensor]:
        pieces = zip(self._shapes.items(), flat.detach().split_with_sizes(self._pieces), strict=True)
        return {name: piece.view(-1, *shape) for (name, shape), piece in pieces}

    def _views(self, flat: Tensor, position: int) -> dict[str, Tensor]:
        return {name: stack[position] for name, stack in self._stacks(flat).items()}

    def forward(self, batch: Tensor) -> Tensor:
        """Outputs of the members, kept for the backward pass."""
        read = batch[self._one_stream] if self._one_stream is not None else batch[self._streams]
        outputs: Tensor = self._call(self._leaves, read)
        return outputs

    @torch.no_grad()
    def predict(self, batch: Tensor) -> Tensor:
        """Outputs of the members, without a gradient."""
        return self.forward(batch)

    def backward(self, loss: Tensor) -> None:
        """Write the gradient of a loss of the last outputs."""
        self.gradient.zero_()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


class Single(Stacked):
    """One member, called without ``vmap``: the loop a reader would write, for members that keep the machine busy alone."""

    def __init__(self, member: int, streams: Sequence[int], modules: Sequence[nn.Module], device: torch.device) -> None:
        super().__init__([member], streams, modules, device)
        self._module = copy.deepcopy(modules[member]).to(device)
        views, gradients = self._views(self.parameters, 0), self._views(self.gradient, 0)
        for name, parameter in self._module.named_parameters():
            parameter.data, parameter.grad = views[name], gradients[name]

    def forward(self, batch: Tensor) -> Tensor:
        """Outputs of the members, kept for the backward pass."""
        outputs: Tensor = self._module(batch[self._one_stream])
        return outputs.unsqueeze(0)


def arrange(
    members: Sequence[int], streams: Sequence[int], modules: Sequence[nn.Module], device: torch.device
) -> list[Layout]:
    """The layouts for the given members; ``streams`` holds, for every module, the stream it reads.

    MLPs with one hidden ReLU layer are laid in rows of one stream and distinct widths; rows of the same sizes form one
    layout, which for a lone MLP is still the fastest. Other modules are stacked by shape, a lone one is called plainly.
    """
    if len(members) == 1 and not is_wide_hidden(modules[members[0]]):
        return [Single(members[0], streams, modules, device)]
    rows: dict[tuple[int, ...], list[int]] = defaultdict(list)
    duplicates: dict[tuple[int, ...], int] = defaultdict(int)
    shapes: dict[str, list[int]] = defaultdict(list)
    for member in members:
        if is_wide_hidden(modules[member]):
            inputs, width, outputs = _sizes(modules[member])
            key = (streams[member], inputs, width, outputs)
            rows[streams[member], inputs, outputs, duplicates[key]].append(member)
            duplicates[key] += 1
        else:
            shapes[structure(modules[member])].append(member)
    blocks: dict[tuple[int, ...], list[list[int]]] = defaultdict(list)
    for (_, inputs, outputs, _), row in rows.items():
        row.sort(key=lambda member: _sizes(modules[member])[1])
        blocks[(inputs, outputs, *(_sizes(modules[member])[1] for member in row))].append(row)
    layouts: list[Layout] = [WideHidden(block, streams, modules, device) for block in blocks.values()]
    return layouts + [Stacked(group, streams, modules, device) for group in shapes.values()]


def is_wide_hidden(module: nn.Module) -> bool:
    """Whether a module fits :class:`WideHidden`; a subclass or a changed part may compute something else, so it does not."""
    if type(module) is not MLP or len(module.sizes) != 3 or module.activation != "relu" or "forward" in vars(module):
        return False
    shapes = [(fan_out, fan_in) for fan_in, fan_out in itertools.pairwise(module.sizes)]
    return [_plain_shape(layer) for layer in module.layers] == shapes


def kind(module: nn.Module) -> str:
    """Equal for modules that compute the same from equal parameters."""
    if is_wide_hidden(module):
        return f"{_sizes(module)}"
    return structure(module)


def _plain_shape(layer: nn.Module) -> tuple[int, ...] | None:
    """Outputs and inputs of a linear layer with a bias; nothing where it is any other."""
    if type(layer) is not nn.Linear or layer.bias is None or "forward" in vars(layer):
        return None
    return tuple(layer.weight.shape)


def _sizes(module: nn.Module) -> tuple[int, int, int]:
    assert isinstance(module, MLP)
    inputs, width, outputs = module.sizes
    return inputs, width, outputs
