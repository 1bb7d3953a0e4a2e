"""The training engine: write one ordinary ``nn.Module``, train a thousand.

Members are independent networks. They may differ in width, initial weights, targets, learning rate and weight decay; they
share the number of steps, the batch size and the update rule. Training them here gives what ``torch.optim`` gives one by
one, to rounding, and takes a fraction of the time while they are small; large ones are trained one by one.

A *stream* is an order of inputs. Members of one stream read the same inputs in the same mini-batches, each with its own
targets; members of different streams have their own inputs and their own order.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from heldout import checkpoints, devices
from heldout.experiment import require
from heldout.layouts import structure
from heldout.losses import stable_cross_entropy
from heldout.memory import chunks
from heldout.optimizers import Optimizer
from heldout.stepping import Chunk, Job, Loss, Probe, Snapshot

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
        ValueError: the lengths do not fit, or a member reads a stream that is not there.
    """

    inputs: Shaped[Tensor, "stream sample *features"]
    targets: Shaped[Tensor, "member sample *outputs"]
    streams: Sequence[int]
    keys: Sequence[int] | None = None

    def __post_init__(self) -> None:
        count, samples = self.inputs.shape[:2]
        shape = tuple(self.targets.shape)
        require(shape[:2] == (len(self.streams), samples), "targets", shape, f"{len(self.streams)} members x {samples}")
        require(all(0 <= s < count for s in self.streams), "streams", list(self.streams), f"from 0 to {count - 1}")
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
        states: the trained parameters of each member by name; load one with ``module.load_state_dict``.
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


def train(
    members: Sequence[nn.Module],
    data: TrainingData,
    *,
    steps: int,
    learning_rate: float | Sequence[float],
    optimizer: Optimizer | None = None,
    weight_decay: float | Sequence[float] = 0.0,
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
        members: ordinary modules of one dtype, with no randomness in their forward pass.
        data: inputs and targets.
        steps: updates.
        learning_rate: one number, or one a member.
        optimizer: the update rule; Adam by default.
        weight_decay: one number, or one a member.
        batch_size: samples a step; None takes all. An epoch is a permutation cut into whole batches, the rest left out.
        seed: decides the permutations, with the stream's key and the epoch.
        loss: from outputs (members, samples, ...) and targets to a loss of each sample; the step takes their mean.
        probe: called before the step of each number in ``probe_steps`` and after the last; returns tensors (members, ...).
        probe_steps: increasing whole numbers from 0 to ``steps``.
        device: "auto", "cpu", "cuda" or a torch device.
        memory_budget_bytes: members are split into chunks so that an estimate of a chunk's memory stays below it.
        checkpoint: file to resume from when it exists, and to write every ``checkpoint_every`` steps and at each chunk's end.
        progress: called with (updates done, updates in all), over all chunks.

    Raises:
        ValueError: an argument is out of range, or the checkpoint comes from another run.
    """
    _check(members, data, steps, batch_size, probe_steps, checkpoint_every)
    job = Job(
        modules=members, inputs=data.inputs, targets=data.targets, streams=list(data.streams),
        keys=list(data.keys) if data.keys is not None else list(range(len(data.inputs))),
        learning_rate=_per_member(learning_rate, members, "learning_rate"),
        weight_decay=_per_member(weight_decay, members, "weight_decay"),
        rule=optimizer or Optimizer(), steps=steps, batch=batch_size or data.inputs.shape[1], seed=seed, loss=loss,
        probe=probe, probe_steps=frozenset(probe_steps), device=devices.resolve_device(device),
    )  # fmt: skip
    plan = chunks(members, job.inputs, job.streams, job.batch, job.rule.slots, job.device, memory_budget_bytes)
    digest = _fingerprint(job, plan) if checkpoint else ""
    saved = checkpoints.load(checkpoint, digest) if checkpoint and checkpoint.exists() else {}

    def keep(prefix: str, chunk: Chunk) -> None:
        if checkpoint and (chunk.done == steps or chunk.done % checkpoint_every == 0):
            saved.update({prefix + name: array for name, array in chunk.arrays().items()})
            checkpoints.save(checkpoint, saved, digest)

    return _train_chunks(job, plan, saved, keep, progress)


def _train_chunks(
    job: Job,
    plan: list[list[int]],
    saved: dict[str, np.ndarray],
    keep: Callable[[str, Chunk], None],
    progress: Callable[[int, int], None] | None,
) -> History:
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
            states[member] = state
        del chunk  # before the next one takes its memory
    caller_order = np.argsort([member for together in plan for member in sorted(together)])
    values = {name: np.concatenate([part[name] for part in found], axis=1)[:, caller_order] for name in found[0]}
    steps = sorted(job.probe_steps)
    return History(steps=steps, values=values, states=states, chunks=[len(together) for together in plan])


def _fingerprint(job: Job, plan: list[list[int]]) -> str:
    weights = [parameter for module in job.modules for parameter in module.parameters()]
    loss = getattr(job.loss, "__qualname__", type(job.loss).__qualname__)
    return checkpoints.fingerprint(
        job.rule, job.learning_rate, job.weight_decay, job.steps, job.batch, job.seed, sorted(job.probe_steps), plan,
        job.streams, job.keys, loss, [structure(module) for module in job.modules], job.inputs, job.targets, *weights,
    )  # fmt: skip


def _per_member(value: float | Sequence[float], members: Sequence[nn.Module], field: str) -> list[float]:
    values = [float(value)] * len(members) if isinstance(value, int | float) else [float(v) for v in value]
    require(len(values) == len(members), field, values, f"one number, or {len(members)}, one a member")
    require(all(v >= 0 and math.isfinite(v) for v in values), field, values, "finite and not negative")
    return values


def _check(
    members: Sequence[nn.Module], data: TrainingData, steps: int, batch_size: int | None, probe_steps: Sequence[int],
    checkpoint_every: int,
) -> None:  # fmt: skip
    samples = data.inputs.shape[1]
    require(len(members) > 0, "members", len(members), "one or more")
    require(len(members) == len(data.streams), "members", len(members), f"{len(data.streams)}, as in data.streams")
    kinds = {parameter.dtype for member in members for parameter in member.parameters()}
    require(len(kinds) == 1, "members", sorted(map(str, kinds)), "of one dtype, with at least one parameter")
    require(steps >= 0, "steps", steps, "0 or more")
    require(batch_size is None or 1 <= batch_size <= samples, "batch_size", batch_size, f"None, or 1 to {samples}")
    increasing = all(a < b for a, b in itertools.pairwise(probe_steps))
    inside = all(0 <= step <= steps for step in probe_steps)
    require(increasing and inside, "probe_steps", list(probe_steps), f"increasing whole numbers from 0 to {steps}")
    require(checkpoint_every >= 1, "checkpoint_every", checkpoint_every, "1 or more")
