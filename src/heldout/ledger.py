"""The ledger: every claim of the book with its evidence, and with the verdict of the control that must break it."""

import math
from collections import Counter
from typing import Any

import xarray as xr

from heldout import experiment, store
from heldout.claims import NO_PAPER_VALUE, Claim, Evidence
from heldout.experiment import Experiment
from heldout.prose import Prose, written

NOT_YET_RUN = "not yet run"


def judge(module: Experiment, claim: Claim, result: xr.Dataset, *, controls: bool = True) -> dict[str, Any]:
    """One row of the ledger: the claim held against a record, and its control held against the same check.

    Keys: id, says, rows, source, paper_value, value, low, high, ours, bound, verdict, expected, experiment, preset, device,
    seconds, peak_memory; with ``controls`` also control, control_verdict, control_value, manipulation, manipulation_holds.
    """
    evidence = claim.check(result)
    row: dict[str, Any] = {
        "id": claim.id,
        "says": claim.says,
        "rows": list(claim.rows),
        "source": claim.source,
        "paper_value": claim.paper_value,
        "value": evidence.value,
        "low": evidence.low,
        "high": evidence.high,
        "ours": in_words(evidence),
        "bound": evidence.bound,
        "verdict": evidence.verdict,
        "expected": claim.expected,
        "experiment": experiment.short_name(module),
        **{key: _plain(result.attrs[key]) for key in ("device", "seconds", "peak_memory")},
    }
    if controls:
        altered = control_result(module, claim, result)
        against, fair = claim.check(altered), claim.control.manipulation(altered)
        row |= {
            "control": claim.control.says,
            "control_value": against.value,
            "control_verdict": "still holds" if against.holds else "fails, as it must",
            "control_holds": against.holds,
            "manipulation": f"{in_words(fair)}, must be {fair.bound}",
            "manipulation_holds": fair.holds,
        }
    return row


def control_result(module: Experiment, claim: Claim, result: xr.Dataset) -> xr.Dataset:
    """The record in which the claim must fail: another run, or a change of this one."""
    if claim.control.change is not None:
        return claim.control.change(result)
    return store.load_or_run(module, claim.control.config)


def rows(chapter: str | None = None, *, preset: str = "book", controls: bool = True) -> list[dict[str, Any]]:
    """The ledger of a chapter, or of the book, at one preset. PAPER rows exist only where a record is committed."""
    found = []
    for name in experiment.names(chapter):
        module = experiment.find(name)
        config = experiment.preset(module, preset)
        result = store.load_record(module, config) if preset == "paper" else store.load_or_run(module, config)
        for claim in module.CLAIMS:
            if result is None:
                verdict = {
                    "verdict": NOT_YET_RUN,
                    "ours": NOT_YET_RUN,
                    "bound": "",
                    "expected": claim.expected_at(preset),
                }
                found.append({"id": claim.id, "says": claim.says, "source": claim.source, "experiment": name} | verdict)
            else:
                row = judge(module, claim, result, controls=controls)
                found.append(row | {"preset": preset, "expected": claim.expected_at(preset)})
    return found


def summary(found: list[dict[str, Any]]) -> Prose:
    """How many claims have which verdict."""
    verdicts = Counter(row["verdict"] for row in found)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    experiments = len({row["experiment"] for row in found})
    return Prose(f"{len(found)} claims on {experiments} experiments: {counts}.")


def table(found: list[dict[str, Any]]) -> Prose:
    """The rows as a table, a section for each experiment."""
    parts = []
    for name in dict.fromkeys(row["experiment"] for row in found):
        own = [row for row in found if row["experiment"] == name]
        where = f"On {own[0]['device']}, {own[0]['seconds']:.1f} s." if "device" in own[0] else ""
        parts.append(f"**`{name}`**\n\n{markdown(own)}\n\n{where}")
    return Prose("\n\n".join(parts))


def markdown(found: list[dict[str, Any]]) -> str:
    """Rows of one experiment as a table."""
    if all(row["verdict"] == NOT_YET_RUN for row in found):
        return f"Not yet run: {len(found)} claims."
    given = any(row["paper_value"] != NO_PAPER_VALUE for row in found)
    head = ("claim", "source", *(["the paper"] if given else []), "here", "must be", "verdict", "in the control")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in found:
        control = f"{row['control_verdict']}: {row['control']}" if "control" in row else "at BOOK scale"
        cells = [row["says"], row["source"], row["ours"], row["bound"], f"**{row['verdict']}**", control]
        if given:
            cells.insert(2, row["paper_value"])
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def costs() -> Prose:
    """Time and memory of every experiment's BOOK run, and their sums by chapter."""
    lines = ["| experiment | seconds | peak memory, GiB | threads |", "|---|---|---|---|"]
    for chapter in experiment.chapters():
        total = 0.0
        for name in experiment.names(chapter):
            module = experiment.find(name)
            attrs = store.load_or_run(module, module.BOOK).attrs
            total += float(attrs["seconds"])
            memory = float(attrs["peak_memory"]) / 2**30
            lines.append(f"| `{name}` | {float(attrs['seconds']):.1f} | {memory:.2f} | {int(attrs['threads'])} |")
        lines.append(f"| *{chapter.replace('_', ' ')}, in all* | {total:.1f} | | |")
    return Prose("\n".join(lines))


def changed(row: dict[str, Any]) -> bool:
    """Whether a row's verdict is not the agreed one, or its control does not break the claim, or is not a fair control."""
    if row["verdict"] == NOT_YET_RUN:
        return False
    broken = row["expected"] == "reproduced" and (row["control_holds"] or not row["manipulation_holds"])
    return row["verdict"] != row["expected"] or broken


def in_words(evidence: Evidence) -> str:
    """Value and band as text, e.g. ``0.31 [0.28, 0.35]``."""
    if math.isnan(evidence.low) or math.isnan(evidence.high):
        return written(evidence.value, ".3g")
    value, low, high = (written(number, ".3g") for number in (evidence.value, evidence.low, evidence.high))
    return f"{value} [{low}, {high}]"


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
