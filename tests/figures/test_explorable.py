"""Explorables: what they accept, what they emit, how they are bundled, and what recomputes in a live kernel."""

import base64
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from heldout.double_descent.gaussian_theory import exact_risk, signal, split
from heldout.figures.explorable import MODULES, Explorable, bundle
from heldout.figures.explorable_schema import encode

DEMOS = runpy.run_path(str(Path(__file__).with_name("explorable_demos.py")))["DEMOS"]


def explorable(module: str, **options: Any) -> Explorable:
    return Explorable(module, data=DEMOS[module](), title=f"The {module} demo", alt="What it shows.", **options)


def test_every_module_has_a_demo() -> None:
    assert set(DEMOS) == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_bundle_imports_nothing_and_keeps_its_default_export(module: str) -> None:
    text = bundle(module)
    assert not re.search(r"^\s*import\b", text, re.MULTILINE)
    assert len(re.findall(r"^export default", text, re.MULTILINE)) == 1
    assert text.count("function format(") == 1
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


@pytest.mark.parametrize("module", MODULES)
def test_bundle_is_valid_javascript(module: str, tmp_path: Path) -> None:
    node = shutil.which("node", path=f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}")
    assert node is not None, "no node: make installs one where there is none"
    (tmp_path / "bundle.mjs").write_text(bundle(module), encoding="utf-8")
    done = subprocess.run([node, "--check", str(tmp_path / "bundle.mjs")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_bundle_rejects_a_name_the_helper_does_not_export(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "frames.js": 'import { nothing } from "./plot.js";\nexport default {};\n',
        "plot.js": "export const one = 1;\n",
    }
    monkeypatch.setattr("heldout.figures.explorable._text", texts.__getitem__)
    with pytest.raises(ValueError, match="'nothing'"):
        bundle("frames")


def test_unknown_module_is_rejected() -> None:
    with pytest.raises(ValueError, match="module is 'pie'; allowed"):
        bundle("pie")
    with pytest.raises(ValueError, match="module is 'pie'; allowed"):
        Explorable("pie", data={}, title="t", alt="a")


def test_encode_turns_arrays_to_lists_and_non_finite_numbers_to_null() -> None:
    value = {"a": np.array([1.0, np.nan, np.inf]), "b": (np.int64(3), np.float32(0.5)), "c": 1 / 3, 4: None}
    assert encode(value) == {"a": [1.0, None, None], "b": [3, 0.5], "c": 0.333333, "4": None}
    with pytest.raises(ValueError, match="data holds"):
        encode({"a": object()})


@pytest.mark.parametrize(
    ("module", "change", "message"),
    [
        ("frames", lambda d: d.pop("series"), "lacks 'series'"),
        ("frames", lambda d: d["series"][1]["values"].pop(), "must have length 7"),
        ("frames", lambda d: d["series"][0].update(by=["depth"]), "allowed: \\['n', 'noise'\\]"),
        ("frames", lambda d: d.update(sentence="{peek}"), "uses {peek}"),
        ("frames", lambda d: d["controls"][0].update(initial=21), "starts at 21; allowed"),
        ("frames", lambda d: d["x"].update(values=[0, 1, 2, 3, 4, 5, 6]), "log scale it must be positive"),
        ("frames", lambda d: d["x"].update(values=[1, 2, 2, 3, 4, 5, 6]), "strictly increasing"),
        ("frames", lambda d: d["x"].update(scale="sqrt"), "allowed: 'linear', 'log'"),
        ("frames", lambda d: d["lookups"]["peak"].update(stat="mode"), "stat is 'mode'"),
        ("frames", lambda d: d["lookups"]["peak"].update(stat="at"), "needs 'x' or a 'control'"),
        ("frames", lambda d: d["lookups"]["peak"].update(series="train"), "series is 'train'"),
        ("frames", lambda d: d["markers"].append({"label": "x"}), "needs 'value'"),
        ("frames", lambda d: d["series"][1].update(values=["a"] * 7), "holds 'a'"),
        ("predict", lambda d: d.update(anchors=[1, 2]), "3 to 10"),
        ("predict", lambda d: d["truth"].update(low=[1.0]), "must have length 31"),
        ("predict", lambda d: d["y"].pop("range"), "lacks 'range'"),
        ("choice", lambda d: d["options"][1].pop("correct"), "one of them true"),
        ("opening", lambda d: d["points"]["y"].__len__() and d["points"].update(y=[1.0]), "points.y has length 1"),
        ("opening", lambda d: d["curves"][0].pop("training_loss"), "lacks 'training_loss'"),
        ("scrub", lambda d: d["bases"][0]["test_error"].pop(), "must have length 6"),
        ("scrub", lambda d: d["bases"][1].update(fits=[[1.0]]), "must have length 6"),
        ("gaussian_risk", lambda d: d["noise"].update(initial=2), "noise.initial is 2; allowed: 0 to 1"),
        ("scrub", lambda d: d["capacity"].update(initial=5), "capacity.initial is 5; allowed"),
        ("opening", lambda d: d.update(sentence="at {where}"), "uses {where}; allowed"),
        ("gaussian_risk", lambda d: d.update(spectrum="flat"), "spectrum is 'flat'"),
        ("tokens", lambda d: d["texts"][0]["tokens"].pop(), "must have length 3"),
        ("tokens", lambda d: d["texts"][0]["readings"][1]["best"].pop(), "2 texts for each of 4 tokens"),
        ("tokens", lambda d: d["texts"][1]["readings"].pop(), r"must be \['first', 'second'\]"),
        ("tokens", lambda d: d.update(hit=0), "hit is 0; it must be above 0"),
        ("clock", lambda d: d.update(modulus=58), "modulus is 58; it must be an odd number"),
        ("clock", lambda d: d.update(frequencies=[4, 4]), "different whole numbers from 1 to 29"),
        ("clock", lambda d: d.update(frequencies=[30]), "different whole numbers from 1 to 29"),
        ("clock", lambda d: d.update(initial={"a": 59}), "a and b from 0 to 58"),
        ("interpolants", lambda d: d.pop("extra"), "lacks 'extra'"),
        ("interpolants", lambda d: d["count"].update(initial=4), "keep 3 <= min <= initial <= max <= 15"),
        ("interpolants", lambda d: d["extra"].update(max=101), "keep 0 <= min <= initial <= max <= 100"),
        ("interpolants", lambda d: d.update(nodes="random"), "nodes is 'random'; allowed: 'even', 'chebyshev'"),
        ("interpolants", lambda d: d.update(pole=0), "pole is 0; it must be above 0"),
        ("interpolants", lambda d: d["y"].pop("range"), "lacks 'range'"),
        ("trainer", lambda d: d.update(modulus=13), "weights holds 3168 bytes; it must hold 3744"),
        ("trainer", lambda d: d.pop("order"), "lacks 'order'"),
        ("trainer", lambda d: d["decay"].update(initial=3), "starts at 3; allowed"),
        ("clusters", lambda d: d["labels"][1].pop(), "must have length 4"),
        ("clusters", lambda d: d["tokens"][0].pop("source"), "lacks 'source'"),
        ("clusters", lambda d: d.update(initial=4), r"initial is 4; allowed: \[2, 3\]"),
        ("prompts", lambda d: d.update(initial="aa"), "initial is 'aa'; it must be one of the 3 prompts"),
        ("prompts", lambda d: d["runs"][0]["written"].pop(), "must have length 2, one a model"),
        ("prompts", lambda d: d["runs"][1]["written"][0]["chance"][0].pop(), "one number for each letter"),
        ("prompts", lambda d: d["rule"].pop("kept"), "lacks 'kept'"),
    ],
)
def test_bad_data_are_rejected_with_what_is_allowed(module: str, change: Any, message: str) -> None:
    data = DEMOS[module]()
    change(data)
    with pytest.raises(ValueError, match=message):
        Explorable(module, data=data, title="t", alt="a")


@pytest.mark.parametrize("field", ["title", "alt"])
def test_title_and_alt_must_say_something(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is ' '"):
        Explorable("choice", data=DEMOS["choice"](), **({"title": "t", "alt": "a"} | {field: " "}))


@pytest.mark.parametrize("module", MODULES)
def test_site_form_is_html_that_holds_the_data_once(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELDOUT_SITE", "1")
    item = explorable(module, caption="A caption with </script> in it.")
    forms = item._repr_mimebundle_()
    assert set(forms) == {"text/html", "text/plain"}
    assert forms["text/plain"] == f"The {module} demo. What it shows."
    html = forms["text/html"]
    payload = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])
    assert payload["data"] == item.data == encode(DEMOS[module]())
    assert payload["caption"] == "A caption with </script> in it."
    assert "widget" not in item.__dict__, "the site form must not open a widget"
    assert html == item.html(), "the same record must give the same page"
    assert html.count("<script") == html.count("</script>") == 2


def test_site_form_gives_print_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def picture() -> Figure:
        figure, ax = plt.subplots()
        ax.plot([0, 1])
        return figure

    monkeypatch.setenv("HELDOUT_SITE", "1")
    before = plt.get_fignums()
    forms = explorable("frames", fallback=picture)._repr_mimebundle_()
    assert base64.b64decode(forms["image/png"]).startswith(b"\x89PNG")
    assert plt.get_fignums() == before


def test_live_form_is_a_widget_with_the_same_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HELDOUT_SITE", raising=False)
    item = explorable("frames")
    assert item.widget._esm == bundle("frames")
    assert item.widget.data == item.data
    assert item.widget.live is False
    assert item.widget.keys is not None
    assert {"data", "controls", "live", "revision", "error", "_esm", "_css"} <= set(item.widget.keys)


def test_controls_recompute_through_python() -> None:
    seen = []

    def recompute(controls: dict[str, Any]) -> dict[str, Any]:
        seen.append(controls)
        data = DEMOS["frames"]()
        data["series"] = [{"name": "test error", "values": np.full(7, controls["n"])}]
        return data

    widget = explorable("frames", recompute=recompute).widget
    assert widget.live is True
    widget.controls = {"n": 40, "noise": 0.0}
    assert seen == [{"n": 40, "noise": 0.0}]
    assert widget.data["series"][0]["values"] == [40] * 7
    assert widget.revision == 1
    assert widget.error == ""
    widget.controls = {"n": 20, "noise": 0.0}
    assert widget.data["series"][0]["values"] == [20] * 7
    assert widget.revision == 2


def test_a_failed_recomputation_tells_the_page() -> None:
    def recompute(controls: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(f"n is {controls['n']}; allowed: 20")

    widget = explorable("frames", recompute=recompute).widget
    with pytest.raises(ValueError, match="n is 40"):
        widget.controls = {"n": 40}
    assert widget.error == "The recomputation failed: n is 40; allowed: 20"
    assert widget.revision == 1


def reference_risk(n: int, d: int, p: int, noise: float, spectrum: str) -> float:
    weights = np.full(d, 1 / d) if spectrum == "even" else 1 / np.arange(1, d + 1) ** 2.0
    weights = weights / weights.sum()
    inside, outside = weights[:p].sum(), weights[p:].sum()
    if p <= n - 2:
        return float((outside + noise**2) * (1 + p / (n - p - 1)))
    if p <= n + 1:
        return float("inf")
    return float(inside * (1 - n / p) + (outside + noise**2) * (1 + n / (p - n - 1)))


def browser_risks(cases: list[dict[str, Any]], folder: Path) -> list[float]:
    """The same risks from the JavaScript function, run in node."""
    node = shutil.which("node", path=f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}")
    assert node is not None, "no node: make installs one where there is none"
    # The module draws too; its chart helper measures text on a canvas as it loads.
    stub = "globalThis.document = { createElement: () => ({ getContext: () => ({}) }) };\n"
    show = "(c) => { const r = risk(c); return Number.isFinite(r) ? r : null; }"
    call = f"\nconsole.log(JSON.stringify({json.dumps(cases)}.map({show})));\n"
    (folder / "risk.mjs").write_text(stub + bundle("gaussian_risk") + call, encoding="utf-8")
    done = subprocess.run([node, str(folder / "risk.mjs")], capture_output=True, text=True, check=True)
    return [float("inf") if value is None else value for value in json.loads(done.stdout)]


def test_risk_in_the_browser_is_the_risk_in_python(tmp_path: Path) -> None:
    cases = [
        {"n": n, "d": d, "p": p, "noise": noise, "spectrum": spectrum}
        for n, d in ((10, 40), (40, 200), (60, 50))
        for p in range(0, d + 1)
        for noise in (0.0, 0.5)
        for spectrum in ("even", "decaying")
    ]
    expected = [reference_risk(**case) for case in cases]
    np.testing.assert_allclose(browser_risks(cases, tmp_path), expected, rtol=1e-6)
    library = [
        exact_risk(c["n"], c["p"], *split(signal(c["d"], 0.0 if c["spectrum"] == "even" else 1.0), c["p"]), c["noise"])
        for c in cases
    ]
    np.testing.assert_allclose(library, expected, rtol=1e-6)
    assert sum(np.isinf(expected)) == 2 * 3 * 2 * 2


@pytest.mark.parametrize(("n", "p"), [(12, 5), (8, 20)])
def test_risk_formula_agrees_with_simulated_least_squares(n: int, p: int) -> None:
    d, noise, draws = 30, 0.5, 4000
    random = np.random.default_rng(0)
    weights = np.full(d, d**-0.5)
    risks = np.empty(draws)
    for draw in range(draws):
        X = random.standard_normal((n, d))
        y = X @ weights + noise * random.standard_normal(n)
        fitted = np.zeros(d)
        fitted[:p] = np.linalg.lstsq(X[:, :p], y, rcond=None)[0]
        risks[draw] = noise**2 + np.sum((weights - fitted) ** 2)
    error = risks.std() / draws**0.5
    assert abs(risks.mean() - reference_risk(n, d, p, noise, "even")) < 4 * error
