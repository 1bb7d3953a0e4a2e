"""Sweeps on real worker processes: the same bytes, and nothing computed twice, whatever dies on the way."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from heldout import store, sweep_results, sweep_runs
from heldout.sweep import Sweep

sys.path.insert(0, str(Path(__file__).parent))
import sweep_fake as fake

FOLDER = Path(__file__).parent
PATIENCE = 120.0  # seconds; a busy machine may take its time, and a test that waits longer has failed
MEMORY = 2**30  # bytes a worker; half of it is taken by what it imports


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with sweep_runs.local_workers(2, "cpu", MEMORY) as client:
        yield client


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELDOUT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def swept(log: Path | str = "", *, widths: tuple[int, ...] = (2, 3), pause: float = 0.0, seeds: int = 6) -> Sweep:
    base = fake.Config(log=str(log), pause=pause)
    return Sweep(module=fake, base=base, grid={"width": widths}, num_seeds=seeds, seeds_per_task=2)


def noted(log: Path, word: str) -> Counter[tuple[str, str]]:
    """How often each task began or ended, by its width and first seed."""
    lines = log.read_text().splitlines() if log.exists() else []
    return Counter((line.split()[1], line.split()[2]) for line in lines if line.startswith(word))


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)


class Beside:
    """A call in a thread, its result or its error handed back by ``result``."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._thread = threading.Thread(target=self._run, args=(call,))
        self._found: Any = None
        self._error: BaseException | None = None
        self._thread.start()

    def _run(self, call: Callable[[], Any]) -> None:
        try:
            self._found = call()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self._error:
            raise self._error
        return self._found


def same_bytes(first: xr.Dataset, second: xr.Dataset) -> bool:
    return set(first.variables) == set(second.variables) and all(
        first[name].values.tobytes() == second[name].values.tobytes() for name in first.variables
    )


def test_workers_give_the_bytes_of_one_process(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    sweep = swept(widths=(2, fake.RAISES, 3))
    report = sweep_runs.run(sweep, sweep.tasks, client=client)
    assert len(report.computed) == 6
    assert {(task.config.width, reason) for task, reason in report.failed} == {
        (fake.RAISES, "ValueError: the run does not like this width")
    }
    on_workers = sweep_results.dataset(sweep)
    monkeypatch.setenv("HELDOUT_CACHE", str(tmp_path / "another"))
    sweep_runs.run(sweep, sweep.tasks)
    assert same_bytes(on_workers, sweep_results.dataset(sweep))


def test_a_killed_worker_costs_the_task_it_had(client: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    sweep = swept(log, pause=0.3, seeds=8)
    running = Beside(lambda: sweep_runs.run(sweep, sweep.tasks, client=client))
    wait_for(lambda: noted(log, "ended"))
    pid = int(next(line for line in reversed(log.read_text().splitlines()) if line.startswith("began")).split()[3])
    kept = {(str(task.config.width), str(task.first_seed)) for task in sweep_runs.present(sweep.tasks)}
    os.kill(pid, signal.SIGKILL)
    report = running.result()
    assert report.failed == []
    ended = noted(log, "ended")
    assert set(ended) == {(str(task.config.width), str(task.first_seed)) for task in sweep.tasks}
    assert all(ended[task] == 1 for task in kept)
    assert sum(ended.values()) <= len(sweep.tasks) + 1  # one may have ended and been killed before it was kept
    assert sum(noted(log, "began").values()) <= len(sweep.tasks) + 1
    assert bool(sweep_results.dataset(sweep).computed.all())


def test_two_sweeps_into_one_store_compute_once(client: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    sweep = swept(log, pause=0.2)
    other = Beside(lambda: sweep_runs.run(sweep, sweep.tasks, client=client))
    here = sweep_runs.run(sweep, sweep.tasks)
    assert here.failed == other.result().failed == []
    assert noted(log, "began") == Counter({(str(t.config.width), str(t.first_seed)): 1 for t in sweep.tasks})


def test_a_worker_of_another_version_is_refused(client: Any) -> None:
    sweep = swept()
    changed = [type(task)(point=task.point, config=task.config, key=task.key + "0") for task in sweep.tasks[:1]]
    report = sweep_runs.run(sweep, changed, client=client)
    assert [reason for _, reason in report.failed] == [
        "this worker's source or libraries differ from those of the sweep"
    ]


def test_a_task_that_eats_its_worker_is_named_and_the_others_end(client: Any, tmp_path: Path) -> None:
    sweep = swept(tmp_path / "log", widths=(fake.HOG, 2, 3), seeds=2)
    report = sweep_runs.run(sweep, sweep.tasks, client=client)
    assert [task.config.width for task in report.computed] == [2, 3]
    assert [(task.config.width, reason) for task, reason in report.failed] == [
        (fake.HOG, "its worker died each time; most often memory ran out")
    ]


def test_a_sweep_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    log = tmp_path / "log"
    sweep = swept(log, pause=0.2)
    words = (
        f"import sweep_fake as fake\nfrom heldout import sweep_runs\nfrom heldout.sweep import Sweep\n"
        f"base = fake.Config(log={str(log)!r}, pause=0.2)\n"
        f"sweep = Sweep(module=fake, base=base, grid={{'width': (2, 3)}}, num_seeds=6, seeds_per_task=2)\n"
        f"sweep_runs.run(sweep, sweep.tasks)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(FOLDER)}
    with subprocess.Popen([sys.executable, "-c", words], env=environment) as process:
        wait_for(lambda: sum(noted(log, "began").values()) >= 3)
        process.kill()
    before = len(sweep_runs.present(sweep.tasks))
    assert before >= 2
    report = sweep_runs.run(sweep, sweep.tasks)
    assert (len(report.found), len(report.computed)) == (before, 6 - before)
    # A result that had ended without being in the store yet is the one that is computed again.
    assert sum(noted(log, "began").values()) <= 6 + 1


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"PYTHONPATH": str(FOLDER)}
    words = [sys.executable, "-m", *arguments]
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def cluster(address: str) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler and a worker as a user of a cluster starts them."""
    port = address.rpartition(":")[2]
    scheduler = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    worker = ("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
    with started(*scheduler) as first, started(*worker):
        yield first


def test_a_killed_scheduler_and_a_new_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    log = tmp_path / "log"
    sweep = swept(log, pause=0.3, seeds=8)

    def sweeping() -> sweep_runs.Report:
        with sweep_runs.connected(address, PATIENCE) as client:
            return sweep_runs.run(sweep, sweep.tasks, client=client)

    with cluster(address) as scheduler:
        running = Beside(sweeping)
        wait_for(lambda: len(sweep_runs.present(sweep.tasks)) >= 2)
        scheduler.kill()
        with pytest.raises(sweep_runs.SchedulerLostError, match="in the store"):
            running.result()
    before = len(sweep_runs.present(sweep.tasks))
    with cluster(address):
        report = sweeping()
    assert (len(report.found), report.failed) == (before, [])
    assert len(report.computed) == len(sweep.tasks) - before
    assert sum(noted(log, "began").values()) <= len(sweep.tasks) + 2  # what the dead cluster's worker had in hand
    assert store.cache_directory().is_dir()
