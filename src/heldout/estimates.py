"""What the updates of a PAPER preset compute and move, counted before it is run, at its own widths and on its own data.

Where all updates are the engine's, one of each training says it, see :mod:`heldout.engine_updates`. Elsewhere a few runs with
few updates, few looks and one seed more or less are counted. The cost of a run is taken to be A + B x seeds + sum over kinds
of updates of (c + d x seeds) x updates; one run for each unknown gives them, and c + d x seeds is the work of an update of all
seeds. A last run, larger in everything, was used for none of them and must come out within ``TOLERANCE``. Where it does not,
where a preset has no updates to leave out, or where even few of them take too long, there is no estimate, and it says why.
What is done before, between and after the updates is left out. Presets whose updates are too heavy to be counted on one core
are counted smaller, see :mod:`heldout.reductions`.
"""

import contextlib
import dataclasses
import itertools
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from heldout import engine_updates, reductions, single_updates, work
from heldout.data import DataError
from heldout.experiment import Experiment

TOLERANCE = 0.1
FEW = (4, 16, 48, 120)
_LOOKS = ("looks", "probes", "num_probes")
_BETWEEN_LOOKS = ("probe_every", "look_every")


class NoEstimateError(Exception):
    """There is none; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """Of one preset.

    Attributes:
        updates: work of all updates of all seeds.
        each: work of one update of all seeds, by the name of the field that counts such updates; of the engine's the mean over
            all trainings, by the name "updates".
        missed: largest relative difference between the last run and what the others said of it; 0 of the engine's, where no
            run says anything of another.
        reduced: sizes of a field at which runs were counted in place of the preset's own, by the field's name.
        trainings: how many were counted, where all are the engine's.
        made: updates of all these trainings.
    """

    updates: work.Work
    each: dict[str, work.Work]
    missed: float
    reduced: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    trainings: int = 0
    made: int = 0


def update_fields(config: Any) -> list[str]:
    """The fields of a config that count updates."""
    names = [field.name for field in dataclasses.fields(config) if isinstance(getattr(config, field.name), int)]
    return [n for n in names if n in ("steps", "epochs", "most_updates") or n.endswith("_steps")]


def estimate(module: Experiment, config: Any, *, limit: float = 60.0) -> Estimate:
    """Count a few runs on the CPU, smaller ones where :mod:`heldout.reductions` has a way, and say what all updates will cost.

    Args:
        module: the experiment.
        config: a preset, or another config, with its own widths and data.
        limit: seconds of processor time that the runs may take together, about.

    Raises:
        NoEstimateError: there is nothing to say that would not be a guess.
        DataError: the data of the config have not been fetched.
    """
    name = getattr(module, "__name__", "").removeprefix("heldout.")
    small = dataclasses.replace(config, **reductions.aside(name, config))
    way, trainings = reductions.REDUCED.get(name), reductions.TRAININGS.get(name)
    alone = name in reductions.ONE_ALONE or trainings is not None
    if way is None or getattr(config, way.field) <= max(way.sizes):
        if alone:
            return _from_single_updates(module, small, trainings)
        return _on_the_engine(module, config, limit) or _as_it_is(module, small, limit)
    sizes = [dataclasses.replace(small, **{way.field: size}) for size in way.sizes]
    if alone:
        found = [_from_single_updates(module, one, trainings) for one in sizes]
    else:
        found = [_as_it_is(module, one, limit / len(sizes), together=True) for one in sizes]
    return _extrapolated(found, way, getattr(config, way.field), {n: getattr(config, n) for n in found[0].each})


def _on_the_engine(module: Experiment, config: Any, limit: float) -> Estimate | None:
    """From one update of each training; none where others than the engine's are made, which a small run shows first."""
    try:
        engine_updates.trainings(module, module.SMOKE)
        found = engine_updates.trainings(module, config, limit=limit)
    except engine_updates.ElsewhereError:
        return None
    except engine_updates.TooLongError as error:
        raise NoEstimateError(str(error)) from error
    except DataError:  # says nothing of the preset
        raise
    except (ValueError, IndexError, RuntimeError) as error:
        raise NoEstimateError(f"no run with members that are hardly trained: {error}") from error
    made = sum(one.updates for one in found)
    every = sum(one.updates * sum(_row(each, together=False) for each in one.each) for one in found)
    each = {"updates": _work(np.asarray(every) / made)}
    return Estimate(updates=_work(np.asarray(every)), each=each, missed=0.0, trainings=len(found), made=made)


def _extrapolated(found: list[Estimate], way: reductions.Reduction, size: int, times: dict[str, int]) -> Estimate:
    """The polynomial through all but the last, at the preset's own size.

    Which operands would fit a cache there is not known. All bytes count as from caches: a least time stays a least time.
    """
    powers = np.vander(np.array([*way.sizes, size], dtype=float), way.degree + 1)
    missed, each = max(one.missed for one in found), {}
    for name in times:
        rows = [one.each[name] for one in found]
        seen = np.array([_row(row, together=True) for row in rows])
        factors = np.linalg.solve(powers[:-2], seen[:-1])
        there = seen[-1] > 0
        missed = max(missed, float(np.abs((powers[-2] @ factors)[there] / seen[-1][there] - 1).max()))
        each[name] = _work(powers[-1] @ factors)
    if missed > TOLERANCE:
        raise NoEstimateError(
            f"the last run differs by {missed:.0%} from a polynomial of degree {way.degree} in {way.field}"
        )
    total = sum(times[name] * _row(one, together=True) for name, one in each.items())
    return Estimate(updates=_work(np.asarray(total)), each=each, missed=missed, reduced={way.field: way.sizes})


def _row(one: work.Work, *, together: bool) -> np.ndarray:
    """The quantities; with all bytes as if from caches where ``together``."""
    moved = (one.bytes, 0.0) if together else (one.cached_bytes, one.memory_bytes)
    return np.array([one.flops, *moved, one.operations])


def _from_single_updates(module: Experiment, config: Any, trainings: int | None = None) -> Estimate:
    """From one update each of two and three seeds, in several trainings one of each; those of four seeds check them."""
    (field,) = update_fields(config)
    few = [_shortest(config, field, seeds) for seeds in (2, 3, 4)]
    counted = (single_updates.work_of(module, one, trainings) for one in few)
    two, three, four = (_row(one, together=True) for one in counted)
    told, there = two + 2 * (three - two), four > 0
    missed = float(np.abs(told[there] / four[there] - 1).max())
    every = two + (config.num_seeds - 2) * (three - two)
    return Estimate(updates=_work(getattr(config, field) * every), each={field: _work(every)}, missed=missed)


def _shortest(config: Any, field: str, seeds: int) -> Any:
    """The config with the fewest updates of ``FEW`` that it allows."""
    for base in FEW:
        with contextlib.suppress(ValueError):
            return dataclasses.replace(config, num_seeds=seeds, **{field: base})
    raise NoEstimateError(f"no run with so few updates: {field} must be above {FEW[-1]}")


def _as_it_is(module: Experiment, config: Any, limit: float, *, together: bool = False) -> Estimate:
    """From runs of few updates at the config's own sizes."""
    fields = [name for name in update_fields(config) if getattr(config, name) > 0]
    if not fields:
        raise NoEstimateError("no field counts updates, and what grows with widths and samples is not extrapolated")
    started, missed, refused = time.process_time(), math.nan, ""
    for base in FEW:
        try:
            unknowns, missed = _fitted(module, config, fields, base, started + limit, together)
        except DataError:  # says nothing of the preset
            raise
        except (ValueError, IndexError, RuntimeError, OSError) as error:
            refused = " ".join(str(error).split())[:160]
            continue
        last = 2 + 2 * len(fields)
        every = unknowns[2:last:2] + config.num_seeds * unknowns[3:last:2]  # the work of an update of each kind
        every[np.abs(every) < 1e-6 * np.abs(every).max(0)] = 0.0  # rounding, where a field counts no updates after all
        if missed <= TOLERANCE and every[:, 0].min() >= 0:
            each = {name: _work(row) for name, row in zip(fields, every, strict=True) if row.any()}
            times = np.array([getattr(config, name) for name in fields], dtype=float)
            return Estimate(updates=_work(times @ every), each=each, missed=missed)
    if math.isnan(missed):
        raise NoEstimateError(f"no run with so few updates: {refused}")
    raise NoEstimateError(f"the last run differs by {missed:.0%} from a cost in proportion to updates and seeds")


def _fitted(
    module: Experiment, config: Any, fields: list[str], base: int, until: float, together: bool
) -> tuple[np.ndarray, float]:
    """The unknowns from runs of ``base`` updates and more, and by how much the last run misses what they say of it."""
    quiet, seeds, first = _first(module, config, fields, base)
    # With updates of two kinds looks cannot be as few in every run, so their cost is an unknown of its own.
    dense = len(fields) > 1 and quiet.often
    designs, found = list(_designs(fields, (base, 3 * base, 5 * base), seeds, dense=dense)), [first]
    for design in designs[1:]:
        if time.process_time() > until:
            raise NoEstimateError(f"runs of {base} to {5 * base} updates take too long to be counted on one core")
        found.append(_counted(module, quiet, design))
    rows = np.array([design.row(looks=dense) for design in designs])
    seen = np.array([_row(one, together=together) for one in found])
    unknowns = np.linalg.solve(rows[:-1], seen[:-1])
    there = seen[-1] > 0
    return unknowns, float(np.abs((rows[-1] @ unknowns)[there] / seen[-1][there] - 1).max())


def _work(row: np.ndarray) -> work.Work:
    flops, cached, memory, operations = (max(0.0, float(value)) for value in row)
    return work.Work(flops=flops, cached_bytes=cached, memory_bytes=memory, operations=operations)


@dataclasses.dataclass(frozen=True)
class _Design:
    """One run: how many updates of each kind, of how many seeds, and after how many it looks where it looks as it goes."""

    counts: dict[str, int]
    seeds: int
    every: int

    def row(self, *, looks: bool) -> list[float]:
        """The factors of the unknowns: a run's own, of each kind of updates and, asked for, of looks; alone and times seeds."""
        found = [1.0, *self.counts.values(), *([sum(self.counts.values()) / self.every] if looks else [])]
        return [factor * one for one in found for factor in (1.0, float(self.seeds))]


@dataclasses.dataclass(frozen=True)
class _Quiet:
    """A config and the fields that make its looks few; ``often`` where it refuses to look farther apart than a run is long."""

    config: Any
    changes: dict[str, int]
    often: bool


def _first(module: Experiment, config: Any, fields: list[str], base: int) -> tuple[_Quiet, int, work.Work]:
    """The smallest run that the config allows: the config with few looks, its seeds, and what was counted."""
    counts, refused = dict.fromkeys(fields, base), ""
    # One member may be trained in another way than several.
    for often, seeds, looks in itertools.product((False, True), (2, 5), (2, 3, 4, 10, None)):
        try:
            quiet = _Quiet(config, _few_looks(config, looks, often=often), often)
            return quiet, seeds, _counted(module, quiet, _Design(counts, seeds, base))
        except DataError:
            raise
        except (ValueError, IndexError, RuntimeError, OSError) as error:
            refused = str(error)
    raise ValueError(refused)


def _few_looks(config: Any, looks: int | None, *, often: bool) -> dict[str, int]:
    """Looks as few as asked for, or as they are, and farther apart than a run is long, also where they are denser at first."""
    names = {field.name for field in dataclasses.fields(config)}
    far = 100 * max(5 * FEW[-1], *(getattr(config, name) for name in update_fields(config)))
    changes = {} if often else {name: far for name in _BETWEEN_LOOKS if name in names}
    changes |= {"first_look": 1} if "first_look" in names else {}
    return {**changes, **({n: looks for n in _LOOKS if n in names} if looks else {})}


def _designs(fields: list[str], few: tuple[int, int, int], seeds: int, *, dense: bool) -> Iterator[_Design]:
    low, high, last = few
    base = dict.fromkeys(fields, low)
    for counts in (base, *(base | {name: high} for name in fields)):
        yield from (_Design(counts, repeats, math.gcd(*counts.values())) for repeats in (seeds, seeds + 1))
    if dense:
        yield _Design(base, seeds, low // 2)
        yield _Design(base, seeds + 1, low // 2)
    yield _Design(dict.fromkeys(fields, last), seeds + 2, last)


def _counted(module: Experiment, quiet: _Quiet, design: _Design) -> work.Work:
    # All at once: no config in between could be refused.
    changes = {**quiet.changes, **design.counts, "num_seeds": design.seeds}
    if quiet.often:
        changes |= {name: design.every for name in _BETWEEN_LOOKS if hasattr(quiet.config, name)}
    smaller = dataclasses.replace(quiet.config, **changes)
    return work.count(lambda: module.run(smaller, device="cpu"), timed=False)
