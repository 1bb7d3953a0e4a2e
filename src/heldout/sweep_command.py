"""``heldout sweep``: an experiment over a grid of configs and many seeds, here or on a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from tqdm.auto import tqdm

from heldout import experiment, store, sweep_results, sweep_runs
from heldout.cli_parts import PRESET, SETTINGS, configured, one_line, writable
from heldout.sweep import DEVICES, Sweep, Task, fitted, parse_grid

GIB = 2**30
SAME = 1e-2  # of a variable's largest value: rounding, even where training makes it grow, stays below at SMOKE size


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where the tasks run."""

    scheduler: str | None
    workers: int | None
    worker_memory: float | None  # GiB
    timeout: float  # seconds


@click.command()
@click.argument("name")
@PRESET
@SETTINGS
@click.option("--grid", multiple=True, metavar="KEY=V1,V2,...", help="A field and its values; may be repeated.")
@click.option("--seeds", type=int, help="Seeds of every grid point; by default the preset's.")
@click.option("--seeds-per-task", type=int, help="Seeds in a task; by default the preset's number of seeds.")
@click.option(
    "--check-blocks", is_flag=True, help="First see at SMOKE size whether blocks of seeds give what one run does."
)
@click.option(
    "--worker-memory", type=float, metavar="GIB", help="Size the tasks to fill a worker (or GPU) of this memory."
)
@click.option(
    "--device", default="cpu", show_default=True, help=f"{' or '.join(DEVICES)}; cuda needs workers with GPU=1."
)
@click.option("--scheduler", metavar="ADDRESS", help="Run on the Dask cluster whose scheduler is at this address.")
@click.option("--workers", type=int, help="Run in this many processes on this machine.")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds to wait for the scheduler to answer.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE.nc", help="Where to write the whole dataset.")
def sweep(
    name: str, preset: str, settings: tuple[str, ...], grid: tuple[str, ...], seeds: int | None,
    seeds_per_task: int | None, check_blocks: bool, worker_memory: float | None, device: str, scheduler: str | None,
    workers: int | None, timeout: float, output: Path | None,
) -> None:  # fmt: skip
    """Run the experiment NAME at every point of a grid on many seeds.

    Every task is kept in the store as it ends: stopped and started again, the sweep goes on where it was. Exit code 1: some
    tasks failed, or the scheduler was lost.
    """
    with one_line():
        module = experiment.find(name)
        base = configured(module, preset, settings, None)
        experiment.require(scheduler is None or workers is None, "workers", workers, "given without --scheduler")
        asked = seeds_per_task is None or worker_memory is None
        experiment.require(asked, "worker_memory", worker_memory, "given without --seeds-per-task")
        writable(output, ".nc")
        wanted = Sweep(
            module=module,
            base=base,
            grid=parse_grid(base, grid),
            num_seeds=base.num_seeds if seeds is None else seeds,
            seeds_per_task=seeds_per_task,
            device=device,
        )
        if not wanted.tasks:
            raise ValueError(next(iter(wanted.refused.values())))
        if check_blocks and wanted.block < wanted.num_seeds:
            _check_blocks(module, wanted.block)
        where = Where(scheduler=scheduler, workers=workers, worker_memory=worker_memory, timeout=timeout)
        try:
            failed = _carry_out(wanted, where, output)
        except sweep_runs.SchedulerLostError as lost:
            click.echo(f"heldout: {lost}", err=True)
            failed = True
    raise SystemExit(1 if failed else 0)


def _check_blocks(module: experiment.Experiment, block: int) -> None:
    apart = sweep_results.block_difference(module)
    share = f"{apart:.1g} of a variable's largest value"
    alike = f"all seeds: this experiment's seeds share draws, and blocks differ from one run by {share}"
    experiment.require(apart < SAME, "seeds_per_task", block, alike)
    click.echo(f"blocks give what one run gives, to {share}")


def _carry_out(wanted: Sweep, where: Where, output: Path | None) -> bool:
    """Run, tell, write; whether anything failed."""
    with _client(wanted.device, where) as client:
        if client is not None:
            _tell_of_missing_workers(client, wanted.device)
        if where.worker_memory is not None:
            sweep_runs.run(wanted, wanted.trials(), client=client)
            wanted = fitted(wanted, where.worker_memory * GIB)
        click.echo(
            f"{experiment.short_name(wanted.module)}: {len(wanted.points)} grid points x {wanted.num_seeds} seeds "
            f"= {len(wanted.tasks)} tasks of at most {wanted.block} seeds"
        )
        with tqdm(desc="tasks", delay=store.PROGRESS_AFTER, leave=False) as line:

            def ended(done: int, total: int) -> None:
                line.total = total
                line.update(done - line.n)

            report = sweep_runs.run(wanted, wanted.tasks, client=client, ended=ended)
    failures = [(wanted.label(point), reason) for point, reason in wanted.refused.items()]
    failures += [(f"{wanted.label(task.point)}, seeds {_seeds(task)}", reason) for task, reason in report.failed]
    for label, reason in failures:
        click.echo(f"failed: {label}: {reason}", err=True)
    if output and (report.found or report.computed):
        store.save(sweep_results.dataset(wanted), output)
    click.echo(
        f"{len(report.found)} tasks were in the store, {len(report.computed)} computed, {len(failures)} failed; "
        f"store: {store.cache_directory()}"
    )
    return bool(failures)


def _seeds(task: Task) -> str:
    return f"{task.first_seed} to {task.last_seed}"


@contextmanager
def _client(device: str, where: Where) -> Iterator[Any]:
    # On CUDA the memory asked about is the GPU's, and says nothing of a worker process.
    memory = None if where.worker_memory is None or device == "cuda" else where.worker_memory * GIB
    if where.scheduler is not None:
        opened: Any = sweep_runs.connected(where.scheduler, where.timeout)
    elif where.workers is not None:
        opened = sweep_runs.local_workers(where.workers, device, memory)
    else:
        opened = nullcontext()
    with opened as client:
        yield client


def _tell_of_missing_workers(client: Any, device: str) -> None:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if device == "cuda":
        workers = [worker for worker in workers if worker["resources"].get("GPU", 0) >= 1]
    if not workers:
        kind = "worker with --resources GPU=1" if device == "cuda" else "worker"
        click.echo(f"no {kind} yet: the tasks wait for one", err=True)
