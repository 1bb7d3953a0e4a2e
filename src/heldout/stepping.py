"""One chunk of members on its way through the steps: batches, probes, CUDA capture, and the state a checkpoint holds."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from heldout import devices
from heldout.layouts import Layout, arrange
from heldout.optimizers import FlatOptimizer, Optimizer, Rates

_SMALLEST_SLICE = 256
_WARM_UP_STEPS = 3

Loss = Callable[[Tensor, Tensor], Tensor]


class Snapshot:
    """The members of one chunk at one step, as a probe sees them.

    Attributes:
        step: updates made so far.
        members: (members,) the caller's index of each, in the order of every result.
    """

    def __init__(self, step: int, layouts: Sequence[Layout], streams: Sequence[int], batch: int) -> None:
        self.step = step
        self._layouts, self._streams, self._slice = layouts, list(streams), max(batch, _SMALLEST_SLICE)
        held = [member for layout in layouts for member in layout.members]
        order = sorted(range(len(held)), key=held.__getitem__)
        self.members = torch.tensor([held[i] for i in order])
        self._order = torch.tensor(order, device=layouts[0].parameters.device)

    def predict(self, inputs: Tensor, *, per_stream: bool = False) -> Tensor:
        """Outputs (members, samples, ...) for inputs (samples, ...), or (streams, samples, ...) with ``per_stream``."""
        batch = inputs[self._streams] if per_stream else inputs.expand(len(self._streams), *inputs.shape)
        parts = []
        for part in torch.split(batch, self._slice, dim=1):
            there = part.to(self._order.device)
            parts.append(torch.cat([layout.predict(there) for layout in self._layouts])[self._order])
        return torch.cat(parts, dim=1)

    def named_states(self) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """Each member with a copy, on the CPU, of its parameters by name."""
        for layout in self._layouts:
            for position, member in enumerate(layout.members):
                yield member, layout.state(position)


Probe = Callable[[Snapshot], dict[str, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Job:
    """The arguments of a training, checked."""

    modules: Sequence[nn.Module]
    inputs: Tensor
    targets: Tensor
    streams: Sequence[int]
    keys: Sequence[int]
    rule: Optimizer
    learning_rate: Rates
    weight_decay: Rates
    steps: int
    batch: int
    seed: int
    loss: Loss
    probe: Probe | None
    probe_steps: frozenset[int]
    device: torch.device


class Chunk:
    """Members that are trained together.

    Attributes:
        done: updates made so far.
    """

    def __init__(self, job: Job, members: Sequence[int]) -> None:
        self.job, self.done = job, 0
        self._used = sorted({job.streams[member] for member in members})
        local = {stream: position for position, stream in enumerate(self._used)}
        streams = [local.get(stream, 0) for stream in job.streams]
        self.layouts = arrange(members, streams, job.modules, job.device)
        self._optimizers = [self._optimizer(layout) for layout in self.layouts]
        held = [member for layout in self.layouts for member in layout.members]
        self._member_streams = torch.tensor([streams[member] for member in held], device=job.device)
        self._rows = torch.arange(len(held), device=job.device).unsqueeze(1)
        moved: dict[int, Tensor] = {}
        self._inputs = [_moved(job.inputs[stream], job.device, moved) for stream in self._used]
        self._targets = job.targets[held].to(job.device)
        self._epoch = -1
        self._epoch_inputs, self._epoch_targets = self._inputs[0].unsqueeze(0), self._targets
        self._values: dict[str, list[Tensor]] = defaultdict(list)
        self._graph: torch.cuda.CUDAGraph | None = None

    def _optimizer(self, layout: Layout) -> FlatOptimizer:
        parts = [(layout.members[position], name) for position, name in layout.parts()]
        rates = [self.job.learning_rate.of(member, name) for member, name in parts]
        decays = [self.job.weight_decay.of(member, name) for member, name in parts]
        vectors = (layout.parameters, layout.gradient)
        return FlatOptimizer(self.job.rule, *vectors, layout.part, layout.owner, rates, decays)

    def run(self) -> Iterator[int]:
        """Make the updates that are left, and yield the number made after each; the probe has seen its step by then."""
        total = self.job.steps
        if total == 0:
            self._look(0)
        while self.done < total:
            self._look(self.done)
            self._advance(*self._batch())
            self.done += 1
            if self.done == total:
                self._look(total)
            yield self.done

    def snapshot(self) -> Snapshot:
        """The members as they are now."""
        return Snapshot(self.done, self.layouts, self._used, self.job.batch)

    def values(self) -> dict[str, np.ndarray]:
        """What the probe returned so far: (probe_step, member, ...)."""
        return {name: torch.stack(seen).cpu().numpy() for name, seen in self._values.items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """All that :meth:`restore` needs."""
        state = {name: tensor.cpu().numpy() for name, tensor in self._state().items()}
        return {"done": np.array(self.done), **state, **{f"value/{k}": v for k, v in self.values().items()}}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from what :meth:`arrays` returned; nothing happens when it is empty."""
        if not arrays:
            return
        self.done = int(arrays["done"])
        for name, tensor in self._state().items():
            tensor.copy_(torch.from_numpy(arrays[name]))
        for name, array in arrays.items():
            if name.startswith("value/"):
                self._values[name.removeprefix("value/")] = list(torch.from_numpy(array).to(self.job.device))

    def _state(self) -> dict[str, Tensor]:
        state = {}
        for i, (layout, optimizer) in enumerate(zip(self.layouts, self._optimizers, strict=True)):
            state[f"{i}/parameters"] = layout.parameters
            state.update({f"{i}/{name}": tensor for name, tensor in optimizer.state().items()})
        return state

    def _look(self, step: int) -> None:
        if self.job.probe is not None and step in self.job.probe_steps:
            for name, value in self.job.probe(self.snapshot()).items():
                self._values[name].append(value.detach())

    def _batch(self) -> tuple[Tensor, Tensor]:
        size, samples = self.job.batch, self._targets.shape[1]
        if size == samples:
            if self._epoch < 0:
                self._epoch, self._epoch_inputs = 0, torch.stack(self._inputs)
            return self._epoch_inputs, self._epoch_targets
        epoch, position = divmod(self.done, samples // size)
        if epoch != self._epoch:
            self._shuffle(epoch, samples // size * size)
        part = slice(position * size, (position + 1) * size)
        return self._epoch_inputs[:, part], self._epoch_targets[:, part]

    def _shuffle(self, epoch: int, kept: int) -> None:
        """One gather an epoch. The order is a function of seed, key and epoch, so resuming needs no generator's state."""
        orders = []
        for stream in self._used:
            generator = devices.generator("batches", self.job.seed, self.job.keys[stream], epoch)
            orders.append(torch.randperm(self._targets.shape[1], generator=generator)[:kept])
        order = devices.onto(torch.stack(orders), self.job.device)
        self._epoch_inputs = torch.stack([x.index_select(0, o) for x, o in zip(self._inputs, order, strict=True)])
        self._epoch_targets = self._targets[self._rows, order[self._member_streams]]
        self._epoch = epoch

    def _advance(self, inputs: Tensor, targets: Tensor) -> None:
        if self.job.device.type != "cuda":
            self._update(inputs, targets)
            return
        if self._graph is None:
            self._capture(inputs, targets)
        self._static[0].copy_(inputs)
        self._static[1].copy_(targets)
        assert self._graph is not None
        self._graph.replay()

    def _update(self, inputs: Tensor, targets: Tensor) -> None:
        start = 0
        for layout, optimizer in zip(self.layouts, self._optimizers, strict=True):
            stop = start + len(layout.members)
            losses = self.job.loss(layout.forward(inputs), targets[start:stop])
            # The mean over a member's samples, summed over members.
            layout.backward(losses.sum() / losses[0].numel())
            optimizer.step()
            start = stop

    def _capture(self, inputs: Tensor, targets: Tensor) -> None:
        """Record one update as a CUDA graph. The warm-up that a capture needs makes real updates, which are undone."""
        self._static = (inputs.clone(), targets.clone())
        before = {name: tensor.clone() for name, tensor in self._state().items()}
        side = torch.cuda.Stream(self.job.device)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        side.wait_stream(torch.cuda.current_stream(self.job.device))
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP_STEPS):
                self._update(*self._static)
        torch.cuda.current_stream(self.job.device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._update(*self._static)
        for name, tensor in self._state().items():
            tensor.copy_(before[name])


def _moved(inputs: Tensor, device: torch.device, moved: dict[int, Tensor]) -> Tensor:
    """The inputs on the device; streams that share memory share it there too."""
    return moved.setdefault(inputs.data_ptr(), inputs if inputs.device == device else inputs.to(device))
