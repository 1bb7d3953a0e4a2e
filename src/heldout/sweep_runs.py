"""Running a sweep's tasks: here, or on the workers of a Dask cluster.

A worker imports the experiment by name, computes one task, and puts it into the store; back comes only word of it. The store's
folder must therefore be one that the workers and this process share, as home folders on a cluster are. A worker computes one
task at a time on one thread, so that sums are taken in the same order everywhere.
"""

import asyncio
import importlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import dask
import torch
from threadpoolctl import threadpool_limits

from heldout import devices, experiment, store
from heldout.experiment import Experiment
from heldout.sweep import Sweep, Task, present

if TYPE_CHECKING:
    from distributed import Client, Future

LOST = "the scheduler is gone; what had ended is in the store, and the same command goes on from there"
POLL = 0.05  # seconds between two looks at what has ended
_ONE_AT_A_TIME = threading.Lock()

Ended = Callable[[int, int], None]


class SchedulerLostError(RuntimeError):
    """The scheduler went away in the middle of a sweep. What had ended by then is in the store."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Word of a task: how long it took (seconds), and what went wrong, or nothing."""

    key: str
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of a set of tasks.

    Attributes:
        found: tasks that were in the store before.
        computed: tasks computed now.
        failed: the others, each with the reason.
    """

    found: list[Task]
    computed: list[Task]
    failed: list[tuple[Task, str]]


def compute(name: str, config: Any, device: str, directory: str, key: str) -> Outcome:
    """One task, on a worker or here: compute it unless another process has, and keep it in the store at ``directory``."""
    started = time.perf_counter()
    try:
        # On a worker xarray would otherwise ask the scheduler for a lock on every file, even on one in memory.
        with _ONE_AT_A_TIME, _store_at(directory), _one_thread(), dask.config.set(scheduler="synchronous"):
            module: Experiment = importlib.import_module(name)
            if store.cache_key(module, config, device) != key:
                return Outcome(key=key, error="this worker's source or libraries differ from those of the sweep")
            store.load_or_run(module, config, device=device, progress=experiment.silent)
            kept = any(store.cache_directory().glob(f"{key}-*{store.SUFFIX}"))
            error = "" if kept else f"the result could not be kept in {directory}"
    except Exception as problem:  # whatever a config does, the others go on
        error = _words(problem)
    return Outcome(key=key, seconds=time.perf_counter() - started, error=error)


@contextmanager
def _store_at(directory: str) -> Iterator[None]:
    before = os.environ.get("HELDOUT_CACHE")
    os.environ["HELDOUT_CACHE"] = directory
    try:
        yield
    finally:
        if before is None:
            del os.environ["HELDOUT_CACHE"]
        else:
            os.environ["HELDOUT_CACHE"] = before


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


def run(sweep: Sweep, tasks: Sequence[Task], *, client: "Client | None" = None, ended: Ended | None = None) -> Report:
    """Compute those of the tasks that are not in the store, here or on a client's workers.

    Args:
        sweep: whose tasks they are.
        tasks: the sweep's tasks, or its trials.
        client: a client of any Dask cluster; None computes in this process.
        ended: called with the number of tasks done and their total.

    Raises:
        SchedulerLostError: the scheduler went away; run the same sweep again.
    """
    there = present(tasks)
    waiting = {task.key: task for task in tasks if task.key not in there}
    total, reasons = len(waiting), dict[str, str]()
    for done, outcome in enumerate(_outcomes(sweep, list(waiting.values()), client), 1):
        reasons[outcome.key] = outcome.error
        if ended:
            ended(done, total)
    kept = present(list(waiting.values()))
    unseen = "it was stored where this process does not see it: workers and sweep must share HELDOUT_CACHE"
    return Report(
        found=[task for task in tasks if task.key in there],
        computed=[task for task in waiting.values() if not reasons.get(task.key) and task.key in kept],
        failed=[(t, reasons.get(t.key) or unseen) for t in waiting.values() if reasons.get(t.key) or t.key not in kept],
    )


def _outcomes(sweep: Sweep, tasks: list[Task], client: "Client | None") -> Iterator[Outcome]:
    directory = str(store.cache_directory().absolute())
    if client is None:
        if sweep.device == "cuda":
            devices.resolve_device("cuda")
        for task in tasks:
            yield compute(sweep.module.__name__, task.config, sweep.device, directory, task.key)
        return
    killed: list[Task] = []
    # The same task of another sweep into the same store is the same name: the scheduler then computes it once.
    place = sha256(directory.encode()).hexdigest()[:8]
    yield from _on_workers(client, sweep, {f"{task.key}-{place}": task for task in tasks}, directory, killed)
    # A dead worker is held against every task that waited for it. Alone, a task answers for itself.
    for task in killed:
        again: list[Task] = []
        yield from _on_workers(client, sweep, {f"{task.key}-{place}-{time.time_ns()}": task}, directory, again)
        if again:
            yield Outcome(key=task.key, error="its worker died each time; most often memory ran out")


def _on_workers(
    client: "Client", sweep: Sweep, by_name: dict[str, Task], directory: str, killed: list[Task]
) -> Iterator[Outcome]:
    """Hand the tasks to the workers by name and yield each outcome as it comes; those whose workers died go to ``killed``."""
    from distributed import KilledWorker, as_completed

    tasks = list(by_name.values())
    if not tasks:
        return
    futures: list[Future] = client.map(
        compute, [sweep.module.__name__] * len(tasks), [task.config for task in tasks], [sweep.device] * len(tasks),
        [directory] * len(tasks), [task.key for task in tasks], key=list(by_name), pure=False,
        resources={"GPU": 1} if sweep.device == "cuda" else None,
    )  # fmt: skip
    waiting = as_completed(futures, loop=client.loop)
    del futures
    while not waiting.is_empty():
        batch = waiting.next_batch(block=False)
        for future in batch:
            task = by_name[future.key]
            try:
                problem = future.exception()
                outcome = future.result() if problem is None else None
            except (OSError, CancelledError):
                raise SchedulerLostError(LOST) from None
            if outcome is not None:
                yield outcome
            elif isinstance(problem, KilledWorker):
                killed.append(task)
            else:
                yield Outcome(key=task.key, error=_words(problem))
        if not batch:
            time.sleep(POLL)


def _words(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {' '.join(str(problem).split())}"


# --- clusters ----------------------------------------------------------------------------------------------------------


@contextmanager
def connected(address: str, timeout: float) -> Iterator["Client"]:
    """A client of the scheduler at this address.

    Raises:
        ValueError: nothing answers there in time, or it is no address.
    """
    import distributed
    import distributed.comm

    async def answers() -> None:
        security = distributed.Security().get_connection_args("client")
        comm = await distributed.comm.connect(address, timeout=timeout, **security)
        await comm.close()

    _quiet()
    try:
        # In a thread of its own: a notebook's kernel, for one, has a loop running in the main one.
        with ThreadPoolExecutor(1) as aside:
            aside.submit(asyncio.run, answers()).result()
    except OSError:
        raise ValueError(f"scheduler={address!r}: must answer; nothing did within {timeout:g} s") from None
    except ValueError:
        raise ValueError(f"scheduler={address!r}: must be an address such as tcp://10.0.0.1:8786") from None
    client = distributed.Client(address, timeout=timeout, set_as_default=False)
    try:
        yield client
    finally:
        client.close(timeout=2)


@contextmanager
def local_workers(count: int, device: str, memory: float | None = None) -> Iterator["Client"]:
    """A client of ``count`` worker processes of one thread each on this machine; on CUDA, each with a GPU of its own.

    Args:
        count: processes.
        device: cpu or cuda.
        memory: bytes at which a worker is ended and started anew; by default its share of the machine's.

    Raises:
        ValueError: fewer than one worker, or more than there are GPUs.
    """
    import distributed
    from distributed.nanny import Nanny  # a worker process and its guard
    from distributed.scheduler import Scheduler

    experiment.require(count >= 1, "workers", count, "at least 1")
    _quiet()
    options: dict[str, Any] = {"nthreads": 1, "silence_logs": logging.CRITICAL, "dashboard": False}
    options["memory_limit"] = int(memory) if memory else "auto"
    environments: list[dict[str, str]] = [{}] * count
    if device == "cuda":
        devices.resolve_device("cuda")
        there = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(torch.cuda.device_count())))).split(",")
        experiment.require(count <= len(there), "workers", count, f"at most {len(there)}, one a GPU")
        environments = [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in there[:count]]
        options["resources"] = {"GPU": 1}
    workers = {
        number: {"cls": Nanny, "options": options | {"env": environment}}
        for number, environment in enumerate(environments)
    }
    # The first death sets a worker's tasks apart, and they are tried once more: see _outcomes.
    scheduler = {
        "cls": Scheduler,
        "options": {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0", "allowed_failures": 0},
    }
    with (
        distributed.SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.CRITICAL) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _quiet() -> None:
    """The sweep says itself what went wrong, in one line."""
    for name in ("distributed", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
