"""How many members to train at once: an estimate of their memory from shapes, and the cut into chunks."""

import copy
from collections.abc import Sequence

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


def chunks(
    modules: Sequence[nn.Module],
    inputs: Tensor,
    streams: Sequence[int],
    batch: int,
    slots: int,
    device: torch.device,
    budget: int | None,
) -> list[list[int]]:
    """Cut the members into chunks that are trained one after the other, in the order of their streams.

    The cut depends on shapes, budget and kind of device alone. A CPU's chunks stay within the caches, and a large member
    is alone in its chunk, which makes it the plain loop.

    Raises:
        ValueError: one member alone exceeds the budget.
    """
    known: dict[str, int] = {}
    limit = budget if budget is not None else 2**62
    if device.type == "cpu":
        limit = min(limit, CPU_CHUNK_BYTES)
    result: list[list[int]] = []
    open_chunk, used = False, 0
    for member in sorted(range(len(modules)), key=lambda m: (streams[m], m)):
        module = modules[member]
        key = kind(module)
        if key not in known:
            known[key] = member_bytes(module, inputs[streams[member]], batch, slots)
        size = known[key]
        require(
            budget is None or size <= budget, "memory_budget_bytes", budget, f"at least {size}, for member {member}"
        )
        alone = device.type == "cpu" and size > CPU_ALONE_BYTES
        if alone:
            result.insert(len(result) - open_chunk, [member])
        elif open_chunk and used + size <= limit:
            result[-1].append(member)
            used += size
        else:
            result.append([member])
            open_chunk, used = True, size
    return result


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
