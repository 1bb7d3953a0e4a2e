"""The training engine: write one ordinary ``nn.Module``, train a thousand.

Members are independent networks. They may differ in width, initial weights, targets, learning rate and weight decay; they
share the number of steps, the batch size and the update rule. Training them here gives what ``torch.optim`` gives one by
one, to rounding, and takes a fraction of the time while they are small; large ones are trained one by one.

A *stream* is an order of inputs. Members of one stream read the same inputs in the same mini-batches, each with its own
targets; members of different streams have their own inputs and their own order.
"""

import itertools
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from heldout import checkpoints, devices, memory
from heldout.experiment import require
from heldout.fingerprints import fingerprint
from heldout.losses import stable_cross_entropy
from heldout.members import check
from heldout.optimizers import Optimizer, Rates
from heldout.stepping import Chunk, Job, Loss, Probe, Snapshot

Rate = float | Sequence[float]

__all__ = ["History", "Optimizer", "Snapshot", "TrainingData", "log_spaced_steps", "train"]


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What each member is trained on.

    Attributes:
        inputs: (streams, samples, ...) the inputs of each stream; an expanded view costs no memory.
        targets: (members, samples, ...) the targets of each member.
        streams: the stream that each member reads.
        keys: names the mini-batch order of each stream, by default its position; give the seed of a repetition, and its
            order does not depend on which others run beside it.

    Raises:
        ValueError: there is no sample, the lengths do not fit, or a member reads a stream that is not there.
    """

    inputs: Shaped[Tensor, "stream sample *features"]
    targets: Shaped[Tensor, "member sample *outputs"]
    streams: Sequence[int]
    keys: Sequence[int] | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.inputs.shape)
        require(
            len(shape) >= 2 and min(shape[:2]) >= 1, "inputs", shape, "streams x samples x ..., one of each or more"
        )
        (count, samples), shape = shape[:2], tuple(self.targets.shape)
        require(shape[:2] == (len(self.streams), samples), "targets", shape, f"{len(self.streams)} members x {samples}")
        inside = all(_is_whole(s) and 0 <= s < count for s in self.streams)
        require(inside, "streams", list(self.streams), f"whole numbers from 0 to {count - 1}")
        require(self.keys is None or len(self.keys) == count, "keys", self.keys, f"{count} integers, one a stream")

    @classmethod
    def shared(cls, inputs: Tensor, targets: Tensor, members: int) -> "TrainingData":
        """All members read the same inputs (samples, ...) in the same order, with the same targets (samples, ...)."""
        copies = targets.expand(members, *targets.shape)
        return cls(inputs=inputs.unsqueeze(0), targets=copies, streams=[0] * members)


@dataclass(frozen=True, kw_only=True)
class History:
    """What came of a training.

    Attributes:
        steps: (probe_step,) the steps at which the probe looked.
        values: what the probe returned, each (probe_step, member, ...).
        states: each member's trained parameters by name, and its buffers as they were; load with ``module.load_state_dict``.
        chunks: how many members were trained together, one number a chunk.
    """

    steps: list[int]
    values: dict[str, Float[np.ndarray, "probe_step member *rest"]]
    states: list[dict[str, Tensor]]
    chunks: list[int]


def log_spaced_steps(steps: int, count: int) -> list[int]:
    """At most ``count`` distinct whole numbers from 0 to ``steps``, both included, evenly spaced in the logarithm of 1 + t.

    Raises:
        ValueError: ``steps`` is negative or ``count`` is below 2.
    """
    require(steps >= 0, "steps", steps, "0 or more")
    require(count >= 2, "count", count, "2 or more")
    return sorted({round((steps + 1) ** (i / (count - 1))) - 1 for i in range(count)})


@devices.full_precision()
def train(
    members: Sequence[nn.Module],
    data: TrainingData,
    *,
    steps: int,
    learning_rate: Rate | Mapping[str, Rate],
    optimizer: Optimizer | None = None,
    weight_decay: Rate | Mapping[str, Rate] = 0.0,
    batch_size: int | None = None,
    seed: int = 0,
    loss: Loss = stable_cross_entropy,
    probe: Probe | None = None,
    probe_steps: Sequence[int] = (),
    device: str | torch.device = "cpu",
    memory_budget_bytes: int | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 1000,
    progress: Callable[[int, int], None] | None = None,
) -> History:
    """Train every member for ``steps`` updates; the modules given are left as they were.

    Args:
        members: ordinary modules of one dtype; what they may not hold is told by :func:`heldout.members.check`.
        data: inputs and targets.
        steps: updates.
        learning_rate: one number, or one a member; or for parts of a member, by the names of its parameters, one of these
            each. A name stands for the parameter and for all below it ("decoder" for "decoder.weight"), "" for the rest.
        optimizer: the update rule; Adam by default.
        weight_decay: likewise.
        batch_size: samples a step; None takes all. An epoch is a permutation cut into whole batches, the rest left out.
        seed: decides the permutations, with the stream's key and the epoch.
        loss: of some members, in any order: outputs (members, samples, ...) and targets to one loss a sample or target entry.
        probe: called before each of the increasing ``probe_steps`` and after the last step; returns tensors (members, ...).
        device: "auto", "cpu", "cuda" or a torch device.
        memory_budget_bytes: members are split into chunks that stay below it; by default a GPU's chunks take
            ``heldout.memory.CUDA_SHARE`` of its free memory.
        checkpoint: file to resume from when it exists, and to write every ``checkpoint_every`` steps and at a chunk's end. A
            run that is resumed keeps the chunks it began with.
        progress: called with (updates done, updates in all).

    Raises:
        ValueError: an argument is out of range, a member cannot be trained as alone, or the checkpoint is another run's.
    """
    _check(members, data, steps, batch_size, probe_steps, checkpoint_every, loss)
    keys = list(data.keys) if data.keys is not None else list(range(len(data.inputs)))
    job = Job(
        modules=members, inputs=data.inputs, targets=data.targets, streams=list(data.streams), keys=keys,
        learning_rate=_rates(learning_rate, members, "learning_rate"),
        weight_decay=_rates(weight_decay, members, "weight_decay"),
        rule=optimizer or Optimizer(), steps=steps, batch=batch_size or data.inputs.shape[1], seed=seed, loss=loss,
        probe=probe, probe_steps=frozenset(probe_steps), device=devices.resolve_device(device),
    )  # fmt: skip
    digest, plan, saved = _begun(job, checkpoint, memory_budget_bytes)

    def keep(prefix: str, chunk: Chunk) -> None:
        if checkpoint and (chunk.done == steps or chunk.done % checkpoint_every == 0):
            saved.update({prefix + name: array for name, array in chunk.arrays().items()})
            checkpoints.save(checkpoint, saved, digest)

    return _train_chunks(job, plan, saved, keep, progress)


def _begun(job: Job, checkpoint: Path | None, budget: int | None) -> tuple[str, list[list[int]], dict[str, np.ndarray]]:
    """The run's fingerprint, its cut into chunks, and what the checkpoint holds of it."""
    digest = _fingerprint(job) if checkpoint else ""
    saved = checkpoints.load(checkpoint, digest) if checkpoint and checkpoint.exists() else {}
    # A machine with other free memory would cut otherwise; sums in another order would not be the run that was begun.
    plan = memory.chunks(
        job.modules, job.inputs, job.streams, job.batch, job.rule.slots, job.device, budget, targets=job.targets,
        kept=memory.from_arrays(saved),
    )  # fmt: skip
    saved.update(memory.as_arrays(plan))
    return digest, plan, saved


def _train_chunks(
    job: Job,
    plan: list[list[int]],
    saved: dict[str, np.ndarray],
    keep: Callable[[str, Chunk], None],
    progress: Callable[[int, int], None] | None,
) -> History:
    devices.keep_freed_memory()
    states: list[dict[str, Tensor]] = [{} for _ in job.modules]
    found: list[dict[str, np.ndarray]] = []
    for index, together in enumerate(plan):
        prefix = f"chunk{index}/"
        chunk = Chunk(job, together)
        chunk.restore({name.removeprefix(prefix): saved[name] for name in saved if name.startswith(prefix)})
        for done in chunk.run():
            keep(prefix, chunk)
            if progress and (done == job.steps or done % max(1, job.steps // 200) == 0):
                progress(index * job.steps + done, len(plan) * job.steps)
        found.append(chunk.values())
        for member, state in chunk.snapshot().named_states():
            constants = {k: v for k, v in job.modules[member].state_dict().items() if k not in state}
            states[member] = state | {k: v.cpu().clone() for k, v in constants.items() if isinstance(v, Tensor)}
        del chunk  # before the next one takes its memory
    caller_order = np.argsort([member for together in plan for member in sorted(together)])
    values = {name: np.concatenate([part[name] for part in found], axis=1)[:, caller_order] for name in found[0]}
    steps = sorted(job.probe_steps)
    return History(steps=steps, values=values, states=states, chunks=[len(together) for together in plan])


def _fingerprint(job: Job) -> str:
    return fingerprint(
        job.rule, job.learning_rate, job.weight_decay, job.steps, job.batch, job.seed, sorted(job.probe_steps),
        job.streams, job.keys, job.loss, job.probe, job.inputs, job.targets, *job.modules,
    )  # fmt: skip


def _rates(value: Rate | Mapping[str, Rate], members: Sequence[nn.Module], field: str) -> Rates:
    """The numbers by name, every parameter of every member covered and every name in use.

    Raises:
        ValueError: a parameter has no number, a name fits none, or the numbers are not as they must be.
    """
    if not isinstance(value, Mapping):
        return Rates(values={"": tuple(_per_member(value, members, field))})
    names = {name for member in members for name, _ in member.named_parameters()}
    for key in value:
        fits = key == "" or any(name == key or name.startswith(f"{key}.") for name in names)
        require(fits, field, key, f"a name of parameters: {', '.join(sorted(names))}")
    left = sorted(n for n in names if not any(k in ("", n) or n.startswith(f"{k}.") for k in value))
    require(not left, field, list(value), f"with a number for {', '.join(left)}")
    return Rates(values={key: tuple(_per_member(each, members, f"{field}[{key!r}]")) for key, each in value.items()})


def _per_member(value: float | Sequence[float], members: Sequence[nn.Module], field: str) -> list[float]:
    one = isinstance(value, numbers.Real) or np.ndim(value) == 0
    given: Sequence[object] = [value] * len(members) if one else list(value)  # type: ignore[arg-type]  # a number is no list
    numeric = all(isinstance(v, numbers.Real) or (isinstance(v, np.ndarray | Tensor) and v.ndim == 0) for v in given)
    require(numeric, field, value, "one number, or one a member")
    values = [float(v) for v in given]  # type: ignore[arg-type]  # numbers, as just required
    require(len(values) == len(members), field, values, f"one number, or {len(members)}, one a member")
    require(all(v >= 0 and math.isfinite(v) for v in values), field, values, "finite and not negative")
    return values


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _check(
    members: Sequence[nn.Module], data: TrainingData, steps: int, batch_size: int | None, probe_steps: Sequence[int],
    checkpoint_every: int, loss: Loss,
) -> None:  # fmt: skip
    samples = data.inputs.shape[1]
    require(len(members) > 0, "members", len(members), "one or more")
    require(len(members) == len(data.streams), "members", len(members), f"{len(data.streams)}, as in data.streams")
    for number, member in enumerate(members):
        require(any(True for _ in member.parameters()), "members", number, "with at least one parameter each")
    kinds = {parameter.dtype for member in members for parameter in member.parameters()}
    require(len(kinds) == 1, "members", sorted(map(str, kinds)), "of one dtype, with at least one parameter")
    require(_is_whole(steps) and steps >= 0, "steps", steps, "0 or more, a whole number")
    whole = batch_size is None or (_is_whole(batch_size) and 1 <= batch_size <= samples)
    require(whole, "batch_size", batch_size, f"None, or 1 to {samples}, a whole number")
    inside = all(_is_whole(step) and 0 <= step <= steps for step in probe_steps)
    increasing = inside and all(a < b for a, b in itertools.pairwise(probe_steps))
    require(increasing, "probe_steps", list(probe_steps), f"increasing whole numbers from 0 to {steps}")
    require(_is_whole(checkpoint_every) and checkpoint_every >= 1, "checkpoint_every", checkpoint_every, "1 or more")
    check(members, data.inputs, data.targets, data.streams, batch_size or samples, loss)
