"""The work of one update alone, counted between two calls of ``progress``; nothing after it is computed."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from torch.utils.flop_counter import FlopCounterMode

from heldout import work
from heldout.experiment import Experiment

_BEFORE = 2  # updates whose end is waited for: the first one allocates


class _EnoughError(Exception):
    """The update has been counted."""


def work_of(module: Experiment, config: Any, trainings: int | None) -> work.Work:
    """One update's, or of several trainings one update's of each."""
    return work_of_one(module, config) if trainings is None else work_of_each(module, config, trainings)


def work_of_one(module: Experiment, config: Any) -> work.Work:
    """Count the third update of a run that calls ``progress`` after each.

    Raises:
        ValueError: the run ended before it.
    """
    found: list[work.Work] = []
    with ExitStack() as modes:
        counter = FlopCounterMode(display=False, custom_mapping=work.formulas())
        traffic = work._Traffic(())

        def progress(done: int, _: int) -> None:
            if done == _BEFORE:
                modes.enter_context(traffic)
                modes.enter_context(counter)
            elif done > _BEFORE:
                modes.close()
                found.append(_counted(counter, traffic))
                raise _EnoughError

        try:
            module.run(config, device="cpu", progress=progress)
        except _EnoughError:
            return found[0]
    raise ValueError(f"steps: must be more than {_BEFORE}, and progress called after each")


def work_of_each(module: Experiment, config: Any, trainings: int) -> work.Work:
    """The third updates of an experiment's first trainings together; it makes each with its ``train``, a generator of updates.

    Raises:
        ValueError: the run ended before it had begun as many.
    """
    train, found = vars(module)["train"], list[work.Work]()

    def few(*given: Any, **named: Any) -> Iterator[int]:
        updates = train(*given, **named)
        for _ in range(_BEFORE):
            yield next(updates)
        found.append(work.count(lambda: next(updates), timed=False))
        if len(found) == trainings:
            raise _EnoughError

    with patch.object(module, "train", few):
        try:
            module.run(config, device="cpu")
        except _EnoughError:
            return sum(found[1:], found[0])
    raise ValueError(f"trainings={trainings}: must be at most {len(found)}")


def _counted(counter: FlopCounterMode, traffic: work._Traffic) -> work.Work:
    return work.Work(
        flops=float(counter.get_total_flops()),
        cached_bytes=float(traffic.cached),
        memory_bytes=float(traffic.memory),
        operations=float(traffic.operations),
    )
