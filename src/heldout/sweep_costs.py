"""What a task of a sweep costs beside its members, measured on this machine; and a member's time, from a committed record."""

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from heldout import experiment, store, sweep_runs

_REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Of a task and of a member.

    Attributes:
        dispatch_seconds: a task's way from client through scheduler to a worker and back, many in flight.
        keep_seconds: a worker's part beside computing: the store's keys and the file.
        collect_seconds: the sweep's own part, task after task: the key, and reading the file at the end.
        file_bytes: what a file holds beside its members.
        member_bytes: what a member adds to it.
        member_seconds: a member on the GPU of the record.
        gpu: that GPU.
        source: the record's experiment.
    """

    dispatch_seconds: float
    keep_seconds: float
    collect_seconds: float
    file_bytes: float
    member_bytes: float
    member_seconds: float
    gpu: str
    source: str


def measured(source: str, outcome: str, tasks: int) -> Costs:
    """Measure dispatch and keeping here; take a member's time and size from the PAPER record of ``source``.

    Raises:
        ValueError: there is no such record.
    """
    module = experiment.find(source)
    record = store.load_record(module, module.PAPER)
    if record is None:
        raise ValueError(f"source={source!r}: must have a record of its PAPER preset")
    members = int(np.prod([size for name, size in record[outcome].sizes.items() if name != "seed"]))
    seeds = record.sizes["seed"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, whole = (_file_bytes(part, folder) for part in (record.isel(seed=[0]), record))
        rounds = [_round(module, record.isel(seed=[0]), folder) for _ in range(_REPEATS)]
        keep, collect = (statistics.median(column) for column in zip(*rounds, strict=True))
    each = (whole - one) / max(1, seeds - 1)
    return Costs(
        dispatch_seconds=_dispatch_seconds(tasks),
        keep_seconds=keep,
        collect_seconds=collect,
        file_bytes=max(0.0, one - each),
        member_bytes=each / members,
        member_seconds=float(record.attrs["seconds"]) / (seeds * members),
        gpu=str(record.attrs["device"]),
        source=source,
    )


def _file_bytes(result: xr.Dataset, folder: Path) -> int:
    return store.save(result, folder / f"size{store.SUFFIX}").stat().st_size


def _round(module: experiment.Experiment, result: xr.Dataset, folder: Path) -> tuple[float, float]:
    """Seconds of keeping, where the worker makes the key once for itself and once in the store, and of collecting."""
    started = time.perf_counter()
    for _ in range(2):
        key = store.cache_key(module, module.PAPER, "cpu")
    path = store.save_keyed(result, folder, key)
    kept = time.perf_counter()
    store.cache_key(module, module.PAPER, "cpu")
    store.read(path)
    return kept - started, time.perf_counter() - kept


def _dispatch_seconds(tasks: int) -> float:
    with sweep_runs.local_workers(1, "cpu") as client:
        client.gather(client.map(nothing, range(tasks), pure=False))  # connections and imports
        started = time.perf_counter()
        client.gather(client.map(nothing, range(tasks, 2 * tasks), pure=False))
        return (time.perf_counter() - started) / tasks


def nothing(number: int) -> int:
    """A task without work."""
    return number
