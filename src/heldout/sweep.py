"""A sweep: every point of a grid of configs on many seeds, cut into tasks whose results the store keeps one by one.

A task is one point of the grid with a block of consecutive seeds. Its config says so itself (``first_seed``, ``num_seeds``),
so the store's key of that config names the task, and a task that is in the store is never computed again. Sums over members
that are computed together may round differently with their number; the blocks are therefore part of what a sweep is, and
depend on what was asked for and never on how many workers there are.
"""

import dataclasses
import functools
import itertools
import json
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heldout import experiment, store
from heldout.experiment import Experiment, require

DEVICES = ("cpu", "cuda")
SEED_FIELDS = ("num_seeds", "first_seed")
# Of a worker's memory, the share that a task may fill; from 60 to 70 % up, Dask begins to move results to disk.
FILL = 0.6
_SMALLEST_GROWTH = 2**20  # bytes a seed: two runs whose memory differs by less cannot be told apart


@dataclass(frozen=True, kw_only=True)
class Task:
    """A point of the grid with a block of seeds: its config, the point's number, and the store's key of the result."""

    point: int
    config: Any
    key: str

    @property
    def first_seed(self) -> int:
        """The first of its seeds."""
        return int(self.config.first_seed)

    @property
    def last_seed(self) -> int:
        """The last of its seeds."""
        return int(self.config.first_seed + self.config.num_seeds - 1)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is to be computed.

    Attributes:
        module: the experiment; workers import it by its name.
        base: the config that every point changes.
        grid: field of the config to the values it takes; the points are all their combinations, the last field fastest.
        num_seeds: seeds of every point, from the first seed of ``base`` up.
        seeds_per_task: seeds in a block, by default those of ``base``, which fit the machine that its preset is for.
        device: cpu or cuda. There is no auto here: a cluster's machines must not choose differently.

    Raises:
        ValueError: a number is below 1, a field is unknown, empty, repeats a value or is one of the seeds, or the device is
            neither of the two.
    """

    module: Experiment
    base: Any
    grid: Mapping[str, Sequence[Any]]
    num_seeds: int
    seeds_per_task: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        require(self.num_seeds >= 1, "seeds", self.num_seeds, "at least 1")
        require(self.block >= 1, "seeds_per_task", self.seeds_per_task, "at least 1")
        require(self.device in DEVICES, "device", self.device, " or ".join(DEVICES))
        fields = [field.name for field in dataclasses.fields(self.base)]
        for key, values in self.grid.items():
            require(key not in SEED_FIELDS, "grid", key, "another field: every point takes the same seeds (--seeds)")
            require(key in fields, "grid", key, f"one of {', '.join(fields)}")
            require(len(values) > 0, key, list(values), "at least one value")
            require(len(set(values)) == len(values), key, list(values), "different values")

    @property
    def block(self) -> int:
        """Seeds in a block; the last one may have fewer."""
        size = self.base.num_seeds if self.seeds_per_task is None else self.seeds_per_task
        return min(int(size), self.num_seeds)

    @property
    def first_seed(self) -> int:
        """Where the seeds begin."""
        return int(self.base.first_seed)

    @property
    def points(self) -> list[dict[str, Any]]:
        """The points of the grid, each as field to value; one empty point where there is no grid."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]

    @functools.cached_property
    def _cut(self) -> tuple[list[Task], dict[int, str]]:
        tasks: list[Task] = []
        refused: dict[int, str] = {}
        for number, point in enumerate(self.points):
            try:
                configs = [self._config(point, first) for first in range(0, self.num_seeds, self.block)]
            except Exception as error:  # whatever a config does, the others go on
                refused[number] = " ".join(str(error).split())
                continue
            keys = [store.cache_key(self.module, config, self.device) for config in configs]
            tasks += [Task(point=number, config=c, key=k) for c, k in zip(configs, keys, strict=True)]
        return tasks, refused

    def _config(self, point: Mapping[str, Any], first: int) -> Any:
        seeds = {"first_seed": self.first_seed + first, "num_seeds": min(self.block, self.num_seeds - first)}
        return dataclasses.replace(self.base, **point, **seeds)

    @property
    def tasks(self) -> list[Task]:
        """Every task, point after point, its blocks in the order of their seeds."""
        return self._cut[0]

    @property
    def refused(self) -> dict[int, str]:
        """Points whose config the experiment refuses, with its words."""
        return self._cut[1]

    def label(self, point: int) -> str:
        """A point in words, such as ``width=20, noise=0.1``."""
        return ", ".join(f"{key}={text(value)}" for key, value in self.points[point].items()) or "the config as it is"

    def trials(self) -> list[Task]:
        """What is run to measure the memory of a task: one seed, then two, at the grid's first and last point.

        Raises:
            ValueError: the experiment refuses one of them.
        """
        found: list[Task] = []
        for seeds, end in itertools.product((1, 2), sorted({0, len(self.points) - 1})):
            seen = {"first_seed": self.first_seed, "num_seeds": seeds}
            config = dataclasses.replace(self.base, **self.points[end], **seen)
            found.append(Task(point=end, config=config, key=store.cache_key(self.module, config, self.device)))
        return found


def text(value: Any) -> str:
    """A grid's value as it is typed on the command line."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def parse_grid(base: Any, entries: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Read ``key=v1,v2,...``; the values of a field that is itself a list are parted by semicolons: ``widths=4,8;16,32``.

    Only names and types are looked at. Whether the config allows a value depends on the others, and is seen at each point.

    Raises:
        ValueError: no equals sign, a key given twice, an unknown field, or text that is not of the field's type.
    """
    types = typing.get_type_hints(type(base))
    # The same fields without the config's own checks.
    plain = dataclasses.make_dataclass("plain", list(types.items()), frozen=True)(**vars(base))
    grid: dict[str, tuple[Any, ...]] = {}
    for entry in entries:
        key, equals, words = entry.partition("=")
        require(bool(equals), "grid", entry, "key=v1,v2,...")
        require(key not in grid, "grid", key, "given once")
        parted = ";" if typing.get_origin(types.get(key)) is tuple else ","
        values = [word.strip() for word in words.split(parted) if word.strip()]
        grid[key] = tuple(getattr(experiment.change(plain, {key: value}), key) for value in values)
    return grid


def present(tasks: Sequence[Task]) -> set[str]:
    """Keys of the tasks whose results are in the store. Whether a file is whole is checked when it is read."""
    directory = store.cache_directory()
    names = {path.stem.rpartition("-")[0] for path in _files(directory)}
    return {task.key for task in tasks} & names


def _files(directory: Path) -> list[Path]:
    return list(directory.glob(f"*{store.SUFFIX}")) if directory.is_dir() else []


def fitting_block(one: float, two: float, worker_memory: float, num_seeds: int) -> int:
    """How many seeds fill a worker, from the peak memory of a run of one seed and of two (all in bytes).

    A straight line through both, up to a share of the worker's memory, rounded down to a power of two: a measurement's noise
    then seldom changes the answer.

    Raises:
        ValueError: not even one seed fits.
    """
    need = f"at least {one / FILL / 2**30:.2f} GiB, which one seed fills"
    require(one <= FILL * worker_memory, "worker_memory", round(worker_memory / 2**30, 2), need)
    growth = max(two - one, _SMALLEST_GROWTH)
    most = 1 + int((FILL * worker_memory - one) / growth)
    return int(min(2 ** (most.bit_length() - 1), num_seeds))


def fitted(sweep: Sweep, worker_memory: float) -> Sweep:
    """The same sweep in blocks that fill a worker, by what the stored trials needed; run the trials first.

    Raises:
        ValueError: not even one seed fits, or a trial is not in the store.
    """
    trials = sweep.trials()
    there = present(trials)
    missing = [sweep.label(trial.point) for trial in trials if trial.key not in there]
    require(bool(trials) and not missing, "trial", missing, "in the store: the trials that measure memory failed")
    field = "device_memory" if sweep.device == "cuda" else "peak_memory"
    peaks: dict[int, float] = {}
    for trial in trials:
        attrs = store.load_or_run(sweep.module, trial.config, device=sweep.device).attrs
        seeds = int(trial.config.num_seeds)
        peaks[seeds] = max(peaks.get(seeds, 0.0), float(attrs[field]))
    size = fitting_block(peaks[1], peaks.get(2, peaks[1]), worker_memory, sweep.num_seeds)
    return dataclasses.replace(sweep, seeds_per_task=size)


def describe(sweep: Sweep) -> str:
    """What was asked for, as JSON: the same text for the same sweep."""
    grid = {key: [text(value) for value in values] for key, values in sweep.grid.items()}
    asked = {"grid": grid, "base": json.loads(experiment.config_json(sweep.base)), "seeds_per_task": sweep.block}
    return json.dumps(asked | {"first_seed": sweep.first_seed, "num_seeds": sweep.num_seeds}, sort_keys=True)
