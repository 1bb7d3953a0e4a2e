"""What the updates of a PAPER preset compute and move, counted before it is run, at its own widths and on its own data.

A few runs with few updates, few looks and one seed more or less are counted. The cost of a run is taken to be
A + B x seeds + sum over kinds of updates of (c + d x seeds) x updates; one run for each unknown gives them, and c + d x seeds
is the work of an update of all seeds. A last run, larger in everything, was used for none of them and must come out within
``TOLERANCE``. Where it does not, where a preset has no updates to leave out, or where even few of them take too long, there is
no estimate, and it says why. What is done before, between and after the updates is left out.
"""

import dataclasses
import itertools
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heldout import experiment, store, work
from heldout.data import DataError
from heldout.experiment import Experiment

TOLERANCE = 0.1
FEW = (4, 16, 48)
QUANTITIES = ("flops", "cached_bytes", "memory_bytes", "operations")
_LOOKS = ("looks", "probes", "num_probes")
_BETWEEN_LOOKS = ("probe_every", "look_every")


class NoEstimateError(Exception):
    """There is none; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """Of one preset.

    Attributes:
        updates: work of all updates of all seeds.
        each: work of one update of all seeds, by the name of the field that counts such updates.
        missed: largest relative difference between the last run and what the others said of it.
    """

    updates: work.Work
    each: dict[str, work.Work]
    missed: float


def update_fields(config: Any) -> list[str]:
    """The fields of a config that count updates."""
    names = [field.name for field in dataclasses.fields(config) if isinstance(getattr(config, field.name), int)]
    return [n for n in names if n in ("steps", "epochs", "most_updates") or n.endswith("_steps")]


def estimate(module: Experiment, config: Any, *, limit: float = 60.0) -> Estimate:
    """Count a few runs on the CPU, and say what all updates will cost.

    Args:
        module: the experiment.
        config: a preset, or another config, with its own widths and data.
        limit: seconds of processor time that the runs may take together, about.

    Raises:
        NoEstimateError: there is nothing to say that would not be a guess.
        DataError: the data of the config have not been fetched.
    """
    fields = [name for name in update_fields(config) if getattr(config, name) > 0]
    if not fields:
        raise NoEstimateError("no field counts updates, and what grows with widths and samples is not extrapolated")
    started, missed, refused = time.process_time(), math.nan, ""
    for base in FEW:
        try:
            unknowns, missed = _fitted(module, config, fields, base, started + limit)
        except DataError:  # says nothing of the preset
            raise
        except (ValueError, IndexError, RuntimeError, OSError) as error:
            refused = " ".join(str(error).split())[:160]
            continue
        every = unknowns[2::2] + config.num_seeds * unknowns[3::2]  # the work of an update of each kind
        if missed <= TOLERANCE and every[:, 0].min() >= 0:
            each = {name: _work(row) for name, row in zip(fields, every, strict=True)}
            times = np.array([getattr(config, name) for name in fields], dtype=float)
            return Estimate(updates=_work(times @ every), each=each, missed=missed)
    if math.isnan(missed):
        raise NoEstimateError(f"no run with so few updates: {refused}")
    raise NoEstimateError(f"the last run differs by {missed:.0%} from a cost in proportion to updates and seeds")


def _fitted(module: Experiment, config: Any, fields: list[str], base: int, until: float) -> tuple[np.ndarray, float]:
    """The unknowns from runs of ``base`` updates and more, and by how much the last run misses what they say of it."""
    quiet, seeds, first = _first(module, config, fields, base)
    designs, found = list(_designs(fields, (base, 3 * base, 5 * base), seeds)), [first]
    for counts, repeats in designs[1:]:
        if time.process_time() > until:
            raise NoEstimateError(f"runs of {base} to {5 * base} updates take too long to be counted on one core")
        found.append(_counted(module, quiet, counts, repeats))
    rows = np.array(
        [[1.0, n, *(x for name in fields for x in (counts[name], n * counts[name]))] for counts, n in designs]
    )
    seen = np.array([[getattr(one, quantity) for quantity in QUANTITIES] for one in found])
    unknowns = np.linalg.solve(rows[:-1], seen[:-1])
    there = seen[-1] > 0
    return unknowns, float(np.abs((rows[-1] @ unknowns)[there] / seen[-1][there] - 1).max())


def _work(row: np.ndarray) -> work.Work:
    return work.Work(**{quantity: max(0.0, float(value)) for quantity, value in zip(QUANTITIES, row, strict=True)})


def _first(module: Experiment, config: Any, fields: list[str], base: int) -> tuple[Any, int, work.Work]:
    """The smallest run that the config allows: the config with few looks, its seeds, and what was counted."""
    counts, refused = dict.fromkeys(fields, base), ""
    # One member may be trained in another way than several.
    for seeds, looks in itertools.product((2, 5), (2, 3, None)):
        try:
            quiet = _with_few_looks(config, looks)
            return quiet, seeds, _counted(module, quiet, counts, seeds)
        except DataError:
            raise
        except (ValueError, IndexError, RuntimeError, OSError) as error:
            refused = str(error)
    raise ValueError(refused)


def _with_few_looks(config: Any, looks: int | None) -> Any:
    """Looks as few as asked for, or as they are, and farther apart than a run is long, also where they are denser at first."""
    names = {field.name for field in dataclasses.fields(config)}
    far = 100 * max(5 * FEW[-1], *(getattr(config, name) for name in update_fields(config)))
    changes = {name: far for name in _BETWEEN_LOOKS if name in names}
    return dataclasses.replace(config, **changes, **({n: looks for n in _LOOKS if n in names} if looks else {}))


def _designs(fields: list[str], few: tuple[int, int, int], seeds: int) -> Iterator[tuple[dict[str, int], int]]:
    low, high, last = few
    base = dict.fromkeys(fields, low)
    yield base, seeds
    yield base, seeds + 1
    for name, repeats in itertools.product(fields, (seeds, seeds + 1)):
        yield base | {name: high}, repeats
    yield dict.fromkeys(fields, last), seeds + 2


def _counted(module: Experiment, config: Any, counts: dict[str, int], seeds: int) -> work.Work:
    smaller = dataclasses.replace(config, **counts, num_seeds=seeds)
    return work.count(lambda: module.run(smaller, device="cpu"), timed=False)


def entry(module: Experiment, *, limit: float = 60.0) -> dict[str, Any]:
    """The PAPER preset's estimate, or why there is none, as the committed file holds it."""
    found: dict[str, Any] = {
        "config": json.loads(experiment.config_json(module.PAPER)),
        "torch": str(torch.__version__),
    }
    try:
        made = estimate(module, module.PAPER, limit=limit)
    except NoEstimateError as reason:
        return found | {"none": str(reason)}
    numbers = {name: {q: getattr(one, q) for q in QUANTITIES} for name, one in made.each.items()}
    return found | {
        "missed": made.missed,
        "each": numbers,
        "updates": {q: getattr(made.updates, q) for q in QUANTITIES},
    }


def work_of(found: dict[str, Any]) -> work.Work | None:
    """The work of all updates; None where there is no estimate."""
    return work.Work(**found["updates"]) if "updates" in found else None


def said(found: dict[str, Any]) -> str:
    """An estimate, or why there is none, as a sentence."""
    done = work_of(found)
    if done is None:
        return f"no estimate: {found['none']}"
    each = [f"one of {name} {in_words(work.Work(**one))}" for name, one in found["each"].items()]
    checked = f"a run that was not used for it came out within {found['missed']:.1%}"
    return f"an estimate of the updates alone, {in_words(done)} ({'; '.join(each)}); {checked}"


def in_words(done: work.Work) -> str:
    """Operations and bytes."""
    return f"{done.flops:.3g} operations of products, {done.bytes:.3g} bytes read and written"


def path() -> Path:
    """Where the committed estimates lie."""
    return store.records_directory() / "estimates.json"


def kept() -> dict[str, dict[str, Any]]:
    """The committed estimates by experiment."""
    found: dict[str, dict[str, Any]] = json.loads(path().read_text()) if path().exists() else {}
    return found


def keep(name: str, found: dict[str, Any]) -> None:
    """Put an estimate among the committed ones."""
    text = json.dumps(dict(sorted({**kept(), name: found}.items())), indent=1)
    unfinished = path().with_suffix(".part")
    unfinished.write_text(text + "\n")
    unfinished.replace(path())
