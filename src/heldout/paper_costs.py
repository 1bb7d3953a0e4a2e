"""What the PAPER presets will cost, for the page on cost: the committed estimates, and what there is no estimate for."""

import json
from collections import Counter
from typing import Any

from heldout import estimates, experiment, kept_estimates, measured, store
from heldout.prose import Prose, written
from heldout.work import Rates, Work

CHANGED = "the preset has changed since it was counted"
NOT_COUNTED = "not counted yet"
# Seconds asked of one large GPU for all updates of a preset, or of one of its seeds.
ASKED = {
    "double_descent.convolutional": (600.0, "all"),
    "grokking.one_layer_transformer": (10.0, "one seed"),
    "grokking.toy_phases": (20.0, "all"),
    "quanta.exponents": (360.0, "all"),
    "nonidentifiability.rule_extrapolation": (300.0, "all"),
}


def counted() -> dict[str, dict[str, Any]]:
    """The committed estimates; where a preset has changed since, the reason why there is none now."""
    found = {}
    for name, entry in kept_estimates.kept().items():
        if name in experiment.names():
            current = json.loads(experiment.config_json(experiment.find(name).PAPER))
            found[name] = entry if entry["config"] == current else {"config": current, "none": CHANGED}
    return found


def recorded() -> dict[str, str]:
    """The experiments whose PAPER preset has a committed record, with where and how long it ran."""
    entries = [entry for entry in store.manifest() if entry["preset"] == "paper"]
    return {entry["experiment"]: f"{entry['seconds']:,.0f} s on {entry['device']}" for entry in entries}


def numbers(record: measured.Record) -> dict[str, float | int | str]:
    """What the page quotes; the rates are those of the machine that made the record."""
    kept, there, names = counted(), recorded(), experiment.names()
    with_one = [name for name in names if "updates" in kept.get(name, {})]
    return {
        "experiments": len(names),
        "recorded": sum(name in there for name in names),
        "not_yet_run": sum(name not in there for name in names),
        "estimated": len(with_one),
        "estimated_not_run": sum(name not in there for name in with_one),
        "without": len(names) - len(with_one),
        "missed": max((kept[name].get("missed", 0.0) for name in with_one), default=0.0),
        "on_the_engine": sum("trainings" in kept[name] for name in with_one),
        "fitted": sum("missed" in kept[name] for name in with_one),
        "tolerance": estimates.TOLERANCE,
        **_longest(kept, with_one, measured.rates(record)),
    }


def _longest(kept: dict[str, dict[str, Any]], names: list[str], rates: Rates) -> dict[str, str]:
    """The preset that takes longest at the least, and how long."""
    least = {name: max(rates.bounds(Work(**kept[name]["updates"])).values()) for name in names}
    longest = max(least, key=lambda name: least[name], default="none")
    return {"longest": longest, "longest_time": duration(least.get(longest, 0.0))}


def table(rates: Rates) -> Prose:
    """A line for each estimate: operations and bytes of all updates, the least time at these rates, and the record."""
    head = ("experiment", "updates", "operations of products", "bytes", "at least, here", "limit set by", "its record")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    kept, there = counted(), recorded()
    for name in experiment.names():
        done = kept_estimates.work_of(kept.get(name, {}))
        if done is None:
            continue
        updates = ", ".join(f"{count:,}" for count in kept_estimates.times(kept[name]).values())
        bounds = rates.bounds(done)
        cells = (
            f"`{name}`", updates, written(done.flops, ".2g"), written(done.bytes, ".2g"), duration(max(bounds.values())),
            max(bounds, key=lambda which: bounds[which]), there.get(name, "not yet run"),
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return Prose("\n".join(lines))


def without() -> Prose:
    """Why some presets have neither a record nor an estimate, with how many they are."""
    kept, there = counted(), recorded()
    neither = [name for name in experiment.names() if name not in there and "updates" not in kept.get(name, {})]
    found = Counter(_kind(kept.get(name)) for name in neither)
    lines = [f"- {count} with neither: {why}." for why, count in found.most_common()]
    return Prose("\n".join(lines) or "Every preset that has not been run has an estimate.")


def _kind(found: dict[str, object] | None) -> str:
    """A reason without its numbers."""
    if found is None:
        return NOT_COUNTED
    why = str(found["none"])
    kinds = {
        "no field": "the preset has no number of updates; how its work grows with widths and samples is not extrapolated",
        "too long": "even runs of few updates are too long to be counted on one core",
        "differs by": "the work is not in proportion to updates and seeds: the run that checks it came out otherwise",
        "no run": "the preset refuses runs of so few updates, or its data are not here",
    }
    return next((said for part, said in kinds.items() if part in why), why)


def asked_of_a_gpu() -> Prose:
    """The rates that a target in seconds asks for, from the estimate alone; no line where a record says how long it took."""
    kept, there = counted(), recorded()
    lines = ["| experiment | asked | product rate needed | bytes a second needed |", "|---|---|---|---|"]
    for name, (seconds, of) in ASKED.items():
        done = kept_estimates.work_of(kept.get(name, {}))
        if done is None or name in there:
            continue
        share = 1.0 if of == "all" else 1 / float(kept[name]["config"]["num_seeds"])
        flops, moved = (written(value * share / seconds, ".2g") for value in (done.flops, done.bytes))
        lines.append(f"| `{name}`, {of} | {seconds:g} s | {flops} a second | {moved} |")
    return Prose(
        "\n".join(lines) if len(lines) > 2 else "*Every preset with such a target has a record, or no estimate.*"
    )


def duration(seconds: float) -> str:
    """Seconds as seconds, minutes, hours or days."""
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.2g} s"
