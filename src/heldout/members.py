"""What the training engine asks of its members, its loss and its data, tried on a copy before the first step.

The engine trains parameters and nothing else, each member's its own. A member that would come out otherwise than
alone, without an error, is refused here by name.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from heldout.experiment import require
from heldout.layouts import is_wide_hidden, kind
from heldout.losses import stable_cross_entropy

_SAMPLES = 64
_MODULE_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_PARAMETER_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
_SCALE = 1.25  # any number but 1: the trial's parameters must differ from the member's own

Loss = Callable[[Tensor, Tensor], Tensor]


def check(
    modules: Sequence[nn.Module], inputs: Tensor, targets: Tensor, streams: Sequence[int], batch: int, loss: Loss
) -> None:
    """Refuse what would be trained wrongly; one member of each kind is tried, every member is looked at.

    Args:
        modules: the members.
        inputs: (streams, samples, ...).
        targets: (members, samples, ...).
        streams: the stream that each member reads.
        batch: samples a step.
        loss: as the engine takes it.

    Raises:
        ValueError: a member has frozen or shared parameters, hooks, randomness or a state that changes in its forward
            pass; inputs or targets do not suit members or loss; the loss is not one number a member and sample.
    """
    kinds: dict[str, list[int]] = {}
    for member, module in enumerate(modules):
        _check_parts(member, module)
        kinds.setdefault(kind(module), []).append(member)
    # A label is looked up in memory where it is out of range, so all are compared, with one pass over them.
    classes = loss is stable_cross_entropy and targets.dtype == torch.long
    ranges = torch.stack(targets.flatten(1).aminmax(dim=1), dim=1) if classes else None
    for alike in kinds.values():
        member = alike[0]
        outputs = _try_member(member, modules[member], inputs[streams[member]][:_SAMPLES])
        if loss is stable_cross_entropy:
            require(targets.dtype == torch.long, "targets", targets.dtype, "torch.int64, classes for cross-entropy")
        if ranges is not None:
            low, high = int(ranges[alike, 0].min()), int(ranges[alike, 1].max())
            top = outputs.shape[-1] - 1
            require(low >= 0 and high <= top, "targets", (low, high), f"classes from 0 to {top}, as members[{member}]")
        _try_loss(member, outputs, targets[member, :batch], loss)


def _check_parts(member: int, module: nn.Module) -> None:
    """What can be told by looking."""
    names: dict[int, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if not parameter.requires_grad:
            _refuse(member, f"the frozen parameter {name!r}", "requires_grad=True for all; hold a constant as a buffer")
        if id(parameter) in names:
            _refuse(
                member, f"one parameter as {names[id(parameter)]!r} and {name!r}", "a parameter under one name only"
            )
        if any(getattr(parameter, hooks) for hooks in _PARAMETER_HOOKS):
            _refuse(member, f"a hook on the parameter {name!r}", "no hooks; compute it in forward")
        names[id(parameter)] = name
    for name, part in module.named_modules():
        settings = vars(part)
        if any(settings[hooks] for hooks in _MODULE_HOOKS):
            _refuse(member, f"a hook on {name or 'the module'!r}", "no hooks; compute it in forward")
        if isinstance(part, _DropoutNd) and part.training and part.p > 0:
            _refuse(member, f"dropout in training mode ({name!r})", "no randomness: p=0 or .eval()")
        if isinstance(part, _BatchNorm) and part.training:
            _refuse(member, f"batch norm in training mode ({name!r})", "layer or group norm, or batch norm in .eval()")


def _refuse(member: int, has: str, allowed: str) -> None:
    raise ValueError(f"members[{member}] has {has}: must be {allowed}")


def _try_member(member: int, module: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs of some samples, from a copy unless the member is an MLP whose pass is known."""
    here = inputs.to(next(module.parameters()).device)
    try:
        with torch.no_grad():
            outputs = module(here) if is_wide_hidden(module) else _try_twice(member, module, here)
    except (RuntimeError, IndexError) as error:
        given = f"{tuple(inputs.shape[1:])} of {inputs.dtype} a sample"
        raise ValueError(f"inputs={given}: must be what members[{member}] takes ({error})") from error
    found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    fits = isinstance(outputs, Tensor) and outputs.ndim > 0 and len(outputs) == len(inputs)
    require(fits, f"outputs of members[{member}]", found, f"one tensor with a first axis of {len(inputs)} samples")
    result: Tensor = outputs.to(inputs.device)
    return result


def _try_twice(member: int, module: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs of a copy with its parameters replaced, and again with them written in place: both must be the same."""
    trial = copy.deepcopy(module)
    scaled = {name: parameter * _SCALE for name, parameter in trial.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in trial.named_buffers()}
    before = torch.get_rng_state()
    try:
        first = functional_call(trial, scaled, (inputs,))
        for name, parameter in trial.named_parameters():
            parameter.copy_(scaled[name])
        second = trial(inputs)
        drawn = not torch.equal(before, torch.get_rng_state())
    finally:
        torch.set_rng_state(before)
    if drawn:
        _refuse(member, "random numbers in its forward pass", "without randomness, in dropout too")
    for name, buffer in trial.named_buffers():
        if name not in buffers or not _equal(buffer, buffers[name], exact=True):
            _refuse(member, f"the buffer {name!r}, which its forward pass changes", "of constant buffers")
    if isinstance(first, Tensor) and not _equal(first, second, exact=False):
        _refuse(
            member,
            "outputs that differ between two calls with equal parameters",
            "without a state or randomness of its own, and read its parameters by their registered names",
        )
    outputs: Tensor = first
    return outputs


def _equal(a: Tensor, b: Tensor, *, exact: bool) -> bool:
    """Whether two tensors agree; on a GPU sums may round otherwise from call to call."""
    if a.shape != b.shape:
        return False
    return bool(((a == b) | ((a != a) & (b != b))).all()) if exact else torch.allclose(a, b, 1e-4, 1e-6, equal_nan=True)


def _try_loss(member: int, outputs: Tensor, targets: Tensor, loss: Loss) -> None:
    """The loss of one member's batch; only shapes count, so the outputs at hand stand for those of all samples."""
    given = outputs[torch.arange(len(targets), device=outputs.device) % len(outputs)].unsqueeze(0)
    wanted = targets.to(outputs.device).unsqueeze(0)
    shapes = f"outputs {tuple(given.shape)}, targets {tuple(wanted.shape)} of {targets.dtype}"
    try:
        with torch.no_grad():
            losses = loss(given, wanted)
    except (RuntimeError, IndexError, TypeError) as error:
        raise ValueError(f"targets={shapes}: must suit the loss of members[{member}] ({error})") from error
    found = tuple(losses.shape) if isinstance(losses, Tensor) else ()
    each = wanted.shape[:2]
    one_a_sample = found[:2] == each and losses.numel() == each.numel()
    # One loss an entry of the targets, which the outputs hold too: no entry was repeated to fit another.
    one_an_entry = found == wanted.shape == given.shape[: wanted.ndim]
    require(one_a_sample or one_an_entry, "loss", f"{found} of {shapes}", f"one a member and sample, {tuple(each)}")
