"""How many members to train at once: an estimate of their memory from shapes, and the cut into chunks."""

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from heldout.experiment import require
from heldout.layouts import is_wide_hidden, kind

# Measured by ``python -m benchmarks engine_widths`` on one core (microseconds a member and step; batch 100, Adam):
#   MLP 64-w-10, w =      4    64   256  1024  2048  4096     MLP 64-w-w-10, w =   16    64   256   512   1024
#   together             71   124   186   751  1345  2456     together            133   193   903  3032  12821
#   alone               353   367   461   803  1211  2163     alone               385   435   958  2450   9208
#   megabytes a member  .09   .26   .79   2.9   5.7    11     megabytes a member  .14   .42   2.7   8.9     32
# Company stops paying between 3 and 6 MB a member, where one member's state fills a core's cache by itself.
CPU_ALONE_BYTES = 4 * 2**20
CPU_CHUNK_BYTES = 32 * 2**20
_MEASURED_SAMPLES = 64
# Of the memory that is free on a GPU when a training starts, the share that the estimate of a chunk may take. The rest is for
# what shapes do not tell: what a probe returns and keeps, workspaces of products, and gaps between blocks.
CUDA_SHARE = 0.5
_PROBED_SAMPLES = 256  # at least so many samples are predicted at once

Plan = list[list[int]]
_PLAN, _SIZES = "plan/members", "plan/sizes"


def member_bytes(module: nn.Module, inputs: Tensor, batch: int, slots: int) -> int:
    """Bytes one member needs while it trains: parameters, gradient, optimizer state, activations and their gradients.

    Args:
        module: the member.
        inputs: (samples, ...) some of its inputs.
        batch: samples a step.
        slots: numbers of optimizer state a parameter.
    """
    # A pass may leave traces in a module, and the caller's must have none.
    module = module if is_wide_hidden(module) else copy.deepcopy(module)
    parameters = list(module.parameters())
    held = sum(parameter.numel() * parameter.element_size() for parameter in parameters)
    # Parameter, gradient, optimizer state, and at most three vectors where rates differ by member.
    return held * (5 + slots) + 2 * _activation_bytes(module, inputs, parameters) * batch // _samples(inputs)


def cuda_bytes(module: nn.Module, inputs: Tensor, targets: Tensor, batch: int, slots: int) -> int:
    """Bytes one member needs on a GPU, where a step is captured as a graph; the inputs of its stream come on top.

    A graph keeps the memory of its intermediate results, so those of an update, of a probe and of the next epoch's targets
    are there at once. A capture also holds a copy of all that it changes.

    Args:
        module: the member.
        inputs: (samples, ...) its inputs.
        targets: (samples, ...) its targets.
        batch: samples a step.
        slots: numbers of optimizer state a parameter.
    """
    trained = copy.deepcopy(module)
    parameters = list(trained.parameters())
    held = sum(parameter.numel() * parameter.element_size() for parameter in parameters)
    count = sum(parameter.numel() for parameter in parameters)
    # A copy to undo a capture's warm-up with, four intermediate results of the rule, and two positions a parameter.
    rule = held * (slots + 5) + 2 * 8 * count
    probe = 2 * _activation_bytes(trained, inputs, parameters) * max(batch, _PROBED_SAMPLES) // _samples(inputs)
    # All, those in the order of an epoch, and those of the next; a batch of them that the graph reads.
    labels = targets.numel() * targets.element_size() * (3 * len(targets) + batch) // len(targets)
    return member_bytes(module, inputs, batch, slots) + rule + probe + labels


def free_bytes(device: torch.device) -> int:
    """Bytes of a GPU that nobody holds, and those that PyTorch holds for later use."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


class _Needs:
    """What members and streams need on a device, and how much a chunk may take."""

    def __init__(
        self, modules: Sequence[nn.Module], inputs: Tensor, targets: Tensor | None, streams: Sequence[int], batch: int,
        slots: int, device: torch.device, budget: int | None,
    ) -> None:  # fmt: skip
        self.device, self.budget = device, budget
        self._modules, self._inputs, self._streams, self._batch, self._slots = modules, inputs, streams, batch, slots
        self._targets = targets if targets is not None else torch.zeros(len(modules), inputs.shape[1])
        self._known: dict[str, int] = {}
        self._sizes: dict[int, int] = {}
        self.limit = budget if budget is not None else 2**62
        if device.type == "cpu":
            self.limit = min(self.limit, CPU_CHUNK_BYTES)
        elif budget is None:
            self.limit = int(CUDA_SHARE * free_bytes(device))

    def of(self, member: int) -> int:
        """Bytes of one member."""
        if member in self._sizes:
            return self._sizes[member]
        module, samples = self._modules[member], self._inputs[self._streams[member]]
        key = kind(module)
        if key not in self._known:
            if self.device.type == "cpu":
                self._known[key] = member_bytes(module, samples, self._batch, self._slots)
            else:
                self._known[key] = cuda_bytes(module, samples, self._targets[member], self._batch, self._slots)
        self._sizes[member] = self._known[key]
        return self._sizes[member]

    def of_stream(self) -> int:
        """Bytes of one stream: on a GPU all inputs, two epochs of them while one follows the other, and a batch."""
        if self.device.type == "cpu":
            return 0
        one = self._inputs[0]
        return one.numel() * one.element_size() * (4 * len(one) + self._batch) // len(one)

    def of_chunk(self, members: Sequence[int]) -> int:
        """Bytes of members that are trained together."""
        return sum(map(self.of, members)) + len({self._streams[m] for m in members}) * self.of_stream()

    def check(self, members: Sequence[int], what: str) -> None:
        """Refuse members that do not fit together.

        Raises:
            ValueError: they need more than a chunk may take.
        """
        size = self.of_chunk(members)
        if self.budget is not None:
            require(size <= self.budget, "memory_budget_bytes", self.budget, f"at least {size}, for {what}")
        elif self.device.type == "cuda" and size > self.limit:
            raise ValueError(
                f"device={str(self.device)!r}: must have {size / CUDA_SHARE / 2**30:.3g} GiB free for {what}, which needs "
                f"{size / 2**30:.3g} GiB, as a training takes at most {CUDA_SHARE:.0%}; {self.limit / CUDA_SHARE / 2**30:.3g} "
                "GiB are free (a smaller batch_size needs less)"
            )


def chunks(
    modules: Sequence[nn.Module],
    inputs: Tensor,
    streams: Sequence[int],
    batch: int,
    slots: int,
    device: torch.device,
    budget: int | None,
    *,
    targets: Tensor | None = None,
    kept: Plan | None = None,
) -> Plan:
    """Cut the members into chunks that are trained one after the other, in the order of their streams.

    On a CPU the cut depends on shapes and budget alone: chunks stay within the caches, and a large member is alone in its
    chunk, which makes it the plain loop. On a GPU chunks are as full as the budget, or ``CUDA_SHARE`` of the free memory, allows.

    Args:
        modules: the members.
        inputs: (streams, samples, ...).
        streams: the stream that each member reads.
        batch: samples a step.
        slots: numbers of optimizer state a parameter.
        device: where they are trained.
        budget: bytes a chunk may take.
        targets: (members, samples, ...); they count on a GPU.
        kept: an earlier run's cut, which is gone on with.

    Raises:
        ValueError: one member alone, or a chunk of an earlier run's cut, exceeds what there is.
    """
    needs = _Needs(modules, inputs, targets, streams, batch, slots, device, budget)
    if kept is not None:
        for number, together in enumerate(kept):
            needs.check(together, f"chunk {number} of the checkpoint's {len(kept)}, {len(together)} members")
        return kept
    result: Plan = []
    open_chunk, used, read = False, 0, -1
    for member in sorted(range(len(modules)), key=lambda m: (streams[m], m)):
        needs.check([member], f"member {member}")
        size, more = needs.of(member), needs.of_stream()
        alone = device.type == "cpu" and size > CPU_ALONE_BYTES
        if alone:
            result.insert(len(result) - open_chunk, [member])
            continue
        size += more if streams[member] != read else 0
        read = streams[member]
        if open_chunk and used + size <= needs.limit:
            result[-1].append(member)
            used += size
        else:
            result.append([member])
            open_chunk, used = True, needs.of_chunk([member])
    return result


def as_arrays(plan: Plan) -> dict[str, np.ndarray]:
    """A cut as a checkpoint holds it."""
    return {_PLAN: np.array([m for together in plan for m in together]), _SIZES: np.array([len(part) for part in plan])}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Plan | None:
    """The cut that a checkpoint holds, or nothing where there is no checkpoint."""
    if _PLAN not in arrays:
        return None
    ends = np.cumsum(arrays[_SIZES])[:-1]
    return [part.tolist() for part in np.split(arrays[_PLAN], ends)]


def _samples(inputs: Tensor) -> int:
    return min(len(inputs), _MEASURED_SAMPLES)


def _activation_bytes(module: nn.Module, inputs: Tensor, parameters: Sequence[Tensor]) -> int:
    """Bytes that autograd keeps for the backward pass of the first samples, parameters excepted."""
    own = {parameter.data_ptr() for parameter in parameters}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    device = parameters[0].device
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = module(inputs[: _samples(inputs)].to(device))
    return sum(kept.values()) + 4 * int(outputs.numel() * outputs.element_size())
