"""The committed estimates of :mod:`heldout.estimates`: made, kept and told."""

import json
from pathlib import Path
from typing import Any

import torch

from heldout import experiment, store, work
from heldout.estimates import NoEstimateError, estimate
from heldout.experiment import Experiment

QUANTITIES = ("flops", "cached_bytes", "memory_bytes", "operations")


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
        **({"trainings": made.trainings, "made": made.made} if made.trainings else {"missed": made.missed}),
        **({"reduced": made.reduced} if made.reduced else {}),
        "each": numbers,
        "updates": {q: getattr(made.updates, q) for q in QUANTITIES},
    }


def work_of(found: dict[str, Any]) -> work.Work | None:
    """The work of all updates; None where there is no estimate."""
    return work.Work(**found["updates"]) if "updates" in found else None


def times(found: dict[str, Any]) -> dict[str, int]:
    """How many updates of each kind an estimate is for."""
    return {name: found["made"] if "made" in found else found["config"][name] for name in found["each"]}


def said(found: dict[str, Any]) -> str:
    """An estimate, or why there is none, as a sentence."""
    done = work_of(found)
    if done is None:
        return f"no estimate: {found['none']}"
    each = [f"one of {name} {in_words(work.Work(**one))}" for name, one in found["each"].items()]
    if "trainings" in found:
        counted = f"an update of each of the engine's {found['trainings']} trainings"
        return f"an estimate of the updates alone, from {counted}: {in_words(done)} (in the mean {each[0]})"
    checked = f"a run that was not used for it came out within {found['missed']:.1%}"
    smaller = [
        f", counted at {field} = {', '.join(map(str, sizes))}" for field, sizes in found.get("reduced", {}).items()
    ]
    return f"an estimate of the updates alone{''.join(smaller)}: {in_words(done)} ({'; '.join(each)}); {checked}"


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
