"""The work of trainings on the engine: each makes three updates, the third is counted, and the rest is left out.

An update of the engine is the same operations at every step, so one says what all of them cost. What an experiment does with
the trained members it then does with members that have hardly been trained; that costs its time, and nobody reads the result.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from torch.optim.optimizer import register_optimizer_step_pre_hook

from heldout import work
from heldout.experiment import Experiment
from heldout.optimizers import FlatOptimizer
from heldout.stepping import Chunk, Job

_COUNTED = 2  # the update that is counted, from 0: the first one makes its buffers


class ElsewhereError(Exception):
    """Updates are made outside the engine, or none on it."""


class TooLongError(Exception):
    """What lies beside the updates takes too long."""


@dataclass
class Training:
    """One training: how many updates, and the work of one in each of its chunks of members."""

    job: Job = field(repr=False)
    each: list[work.Work]

    @property
    def updates(self) -> int:
        """How many each chunk makes."""
        return self.job.steps


def trainings(module: Experiment, config: Any, *, limit: float = 600.0) -> list[Training]:
    """All of a run's, in its order.

    Args:
        module: the experiment.
        config: of the run, at its full size.
        limit: seconds of processor time, about.

    Raises:
        ElsewhereError: an optimizer makes an update outside the engine, or there is no training.
        TooLongError: the limit is reached.
    """
    made = _Run(time.process_time() + limit)
    step = FlatOptimizer.step

    def watched(optimizer: FlatOptimizer) -> None:
        made.require_inside()
        step(optimizer)

    hook = register_optimizer_step_pre_hook(lambda *_: made.require_inside())
    with ExitStack() as undone:
        undone.callback(hook.remove)
        undone.enter_context(patch.object(FlatOptimizer, "step", watched))
        undone.enter_context(patch.object(Chunk, "run", made.few))
        module.run(config, device="cpu", progress=made.progress)
    if not made.found:
        raise ElsewhereError("no training of this run is the engine's")
    return made.found


class _Run:
    def __init__(self, until: float) -> None:
        self.found: list[Training] = []
        self._until, self._inside = until, False

    def require_inside(self) -> None:
        if not self._inside:
            raise ElsewhereError("an optimizer makes an update outside the engine")

    def progress(self, *_: object) -> None:
        if time.process_time() > self._until:
            raise TooLongError("what lies beside the updates takes too long")

    @property
    def few(self) -> Any:
        """In place of :meth:`Chunk.run`: probes see the members once, and what they return stands for all looks."""

        def run(chunk: Chunk) -> Iterator[int]:
            self.progress()
            job = chunk.job
            if not self.found or self.found[-1].job is not job:
                self.found.append(Training(job, []))
            for chunk.done in range(min(_COUNTED + 1, job.steps)):
                self._update(chunk, counted=chunk.done == min(_COUNTED, job.steps - 1))
            chunk.done, looks = job.steps, sorted(job.probe_steps)
            for step in looks[:1]:
                chunk._look(step)
            for seen in chunk._values.values():
                seen.extend(seen * (len(looks) - 1))
            yield job.steps

        return run

    def _update(self, chunk: Chunk, *, counted: bool) -> None:
        batch = chunk._batch()
        self._inside = True
        if counted:
            self.found[-1].each.append(work.count(lambda: chunk._update(*batch), timed=False))
        else:
            chunk._update(*batch)
        self._inside = False
