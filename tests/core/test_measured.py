"""What the page on cost says, on records planted so that each sentence is decided, and the committed record itself."""

import json
from typing import Any

import matplotlib.pyplot as plt
import pytest

from heldout import experiment, kept_estimates, measured, paper_costs, store, work


def row(**changes: Any) -> dict[str, Any]:
    return {
        "chapter": "quanta", "what": "a sweep", "ours": 1.0, "plain": 4.0, "ratio": 4.0, "lowest": 3.5, "highest": 4.5,
        "target": 3.0, "products": 0.2, "memory": 0.1, "calls": 0.1, "product_time": 0.8, "peak_megabytes": 300.0, "note": "",
    } | changes  # fmt: skip


def record(*rows: dict[str, Any], loads: tuple[float, ...] = (1.0, 1.1)) -> dict[str, Any]:
    made = {
        "machine": "2 cores", "threads": 1, "rounds": 3, "jobs": 1, "torch": "2",
        "product_rate": 5e10, "cache_rate": 4e10, "memory_rate": 1e10,
        "call": 1e-6, "loads": list(loads), "started": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    grown = {"chapter": "quanta", "what": "a sweep", "axis": "members", "sizes": [1.0, 8.0], "seconds": [1.0, 2.0]}
    other = grown | {"axis": "width", "exponent": 2.0, "misfit": 1.5}
    return {"provenance": made, "rows": list(rows), "growth": [grown | {"exponent": 0.33, "misfit": 1.0}, other]}


def test_a_missed_target_says_by_how_much_and_what_binds() -> None:
    assert measured.verdicts(record(row())).text == "Every target is reached."
    at_the_limit = measured.verdicts(record(row(), row(what="b", target=8.0, memory=0.9))).text
    assert "*b*: 4.00 of 8" in at_the_limit
    assert "50% short" in at_the_limit
    assert "90% of the limit that memory set" in at_the_limit
    assert at_the_limit.count("- ") == 1
    too_much = measured.verdicts(record(row(target=20.0, products=0.4))).text
    assert "the ratio would be 10, short of the target, too" in too_much
    many = measured.verdicts(record(row(target=8.0, calls=0.4))).text
    assert "number of operations: calling them takes at least 40%" in many
    slow = measured.verdicts(record(row(target=8.0))).text
    assert "they take 80% of the time within operations and run at 25% of that rate" in slow
    other = measured.verdicts(record(row(target=8.0, product_time=0.3))).text
    assert "no products" in other
    assert "take 70% of the time within operations." in other
    named = measured.verdicts(record(row(target=8.0, product_time=0.3, other_time={"softmax": 0.3, "copy": 0.2}))).text
    assert "70% of the time within operations, the longest of them `softmax` 30%, `copy` 20%." in named


def test_rounds_on_both_sides_of_the_plain_loop_are_level_and_not_slower() -> None:
    near, slow = (
        row(ratio=0.99, lowest=0.97, highest=1.02, target=1.0),
        row(ratio=0.9, lowest=0.8, highest=0.95, target=1.0),
    )
    assert "0.990 of 1, but neither is the faster in every round" in measured.verdicts(record(near)).text
    assert "10% short" in measured.verdicts(record(slow)).text
    found = measured.numbers(record(near, slow, row()))
    assert (found["level"], found["slower"], found["missed"]) == (1, 1, 2)


def test_the_products_alone_are_told_where_they_were_timed() -> None:
    made = record(row(alone=0.84), row(what="b", alone=None), row(what="c"))
    assert measured.alone(made).text == "- *a sweep*: the products alone take 84% of our time."
    lines = measured.table(made).text.splitlines()
    shares = [line.split(" | ")[8].rstrip(" |") for line in lines if line.startswith(("| a sweep", "| b", "| c"))]
    assert shares == ["84%", "–", "–"]
    assert "products alone" not in measured.table(record(row())).text
    assert "none of the lines" in measured.alone(record(row())).text


def test_numbers_follow_the_record() -> None:
    found = measured.numbers(
        record(row(), row(ratio=0.9, highest=0.95, target=1.0, what="slow", memory=0.6), row(ratio=5.0))
    )
    assert (found["rows"], found["kept"], found["missed"], found["slower"], found["products_bind"]) == (3, 2, 1, 1, 2)
    assert (found["smallest_what"], found["largest"], found["share_highest"]) == ("slow", 5.0, 0.6)
    assert found["busy"] == "had nothing else to do"
    assert "busy" in str(measured.numbers(record(row(), loads=(3.0, 4.0)))["busy"])


def test_tables_and_figure() -> None:
    made = record(row(), row(chapter="nonidentifiability", what="slow", ratio=0.9, target=1.0))
    text = measured.table(made).text
    assert "**Quanta**" in text
    assert "**Non-identifiability**" in text
    assert "0.9 (missed)" in text
    grown = measured.growth(made).text
    assert "0.33 (1 to 8)" in grown
    assert "no power" in grown
    axes = measured.plot(made)
    assert [patch.get_width() for patch in axes.patches] == pytest.approx([3.0, -0.1])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a sweep", "slow"]
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    plt.close("all")
    assert "1 do not reach" in measured.describe(made)
    assert "<svg" in measured.ratios(made)._repr_mimebundle_()["text/html"]


def test_the_committed_record_is_whole() -> None:
    kept = measured.read()
    assert {one["chapter"] for one in kept["rows"]} == set(experiment.chapters()) - {"opening"}
    assert {one["chapter"] for one in kept["growth"]} == set(experiment.chapters()) - {"opening"}
    for one in kept["rows"]:
        assert one["lowest"] <= one["ratio"] <= one["highest"]
        assert one["ours"] > 0
        assert measured.share(one) > 0, f"{one['what']}: nothing was counted"
    for key in ("machine", "cores", "threads", "torch", "load_before", "loads", "product_rate", "memory_rate"):
        assert key in kept["provenance"]
    assert measured.verdicts(kept).text
    assert measured.numbers(kept)["rows"] == len(kept["rows"])


def test_paper_costs_say_what_is_known(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    names = experiment.names()[:4]
    monkeypatch.setattr(experiment, "names", lambda *_: names)
    monkeypatch.setattr(store, "records_directory", lambda: tmp_path)
    monkeypatch.setattr(experiment, "config_json", lambda _: '{"steps": 1000, "num_seeds": 5}')
    counted = {"flops": 1e12, "cached_bytes": 4e11, "memory_bytes": 0.0, "operations": 5.0}
    one = {"config": {"steps": 1000, "num_seeds": 5}, "missed": 0.02, "each": {"steps": counted}, "updates": counted}
    kept_estimates.keep(names[0], one)
    for name, why in zip(
        names[1:3], ("no field counts updates", "runs of 4 updates take too long to be counted"), strict=True
    ):
        kept_estimates.keep(name, {"config": one["config"], "none": why})
    kept_estimates.keep(names[3], one | {"config": {"steps": 10}})
    entry = {"experiment": names[1], "preset": "paper", "seconds": 61.0, "device": "a GPU"}
    (tmp_path / "manifest.json").write_text(json.dumps([entry]))
    found = paper_costs.numbers(record(row()))
    assert (found["experiments"], found["estimated"], found["without"], found["recorded"], found["not_yet_run"]) == (
        4,
        1,
        3,
        1,
        3,
    )
    assert (found["longest"], found["longest_time"]) == (names[0], "20 s")
    lines = paper_costs.table(work.Rates(flops=1e9, cache=1e9, memory=1e9)).text.splitlines()
    assert len(lines) == 3
    assert "1,000" in lines[2]
    assert "17 min" in lines[2]
    assert "products" in lines[2]
    assert "not yet run" in lines[2]
    said = paper_costs.without().text
    assert len(said.splitlines()) == 2
    assert f"1 with neither: {paper_costs.CHANGED}" in said
    assert "too long" in said
    assert "no number of updates" not in said  # it has a record
    (tmp_path / "manifest.json").write_text(json.dumps([{**entry, "experiment": name} for name in names[1:]]))
    assert paper_costs.without().text == "Every preset that has not been run has an estimate."
    assert "no estimate" in paper_costs.asked_of_a_gpu().text
    monkeypatch.setattr(paper_costs, "ASKED", {names[0]: (10.0, "one seed")})
    assert "2\u00a0×\u00a010¹⁰ a second" in paper_costs.asked_of_a_gpu().text
    assert [paper_costs.duration(s) for s in (0.5, 90.0, 130.0, 8000.0, 2e5)] == [
        "0.5 s",
        "90 s",
        "2 min",
        "2 h",
        "2 days",
    ]


def test_every_preset_that_has_not_been_run_has_been_counted() -> None:
    said = paper_costs.without().text
    missing = [why for why in (paper_costs.NOT_COUNTED, paper_costs.CHANGED) if why in said]
    assert not missing, f"{said}\nuse `heldout cost NAME --preset paper --record`"
