"""Explorables: what they accept, what they emit, how they are bundled, and what recomputes in a live kernel."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from heldout.figures.explorable import MODULES, Explorable, bundle
from heldout.figures.explorable_schema import encode


def frames() -> dict[str, Any]:
    p = [5, 10, 20, 30, 40, 80, 160]
    values = [[[0.1 + s + 1 / (abs(x - n) + 1) for x in p] for s in (0.0, 0.5)] for n in (20, 40)]
    return {
        "x": {"label": "features p", "scale": "log", "values": p, "symbol": "p", "format": ","},
        "y": {"label": "test error", "scale": "log"},
        "controls": [
            {"name": "n", "label": "Samples", "values": [20, 40], "format": ",", "unit": "samples"},
            {"name": "noise", "label": "Noise", "values": [0.0, 0.5], "initial": 0.5},
        ],
        "series": [
            {
                "name": "test error",
                "by": ["n", "noise"],
                "values": values,
                "low": np.array(values) * 0.8,
                "high": np.array(values) * 1.25,
            },
            {"name": "training error", "values": [0.5, 0.2, 0.05, np.nan, 0.02, 0.02, 0.02], "dash": True},
        ],
        "lookups": {
            "peak": {"series": "test error", "stat": "max", "format": ".2f"},
            "where": {"series": "test error", "stat": "argmax", "format": ","},
        },
        "markers": [{"label": "p = n = {n}", "control": "n"}],
        "sentence": "With n = {n} and noise {noise:.1f}: the peak {peak} is at p = {where}.",
    }


def predict() -> dict[str, Any]:
    x = np.geomspace(1, 1000, 31)
    truth = 0.05 + 2 / (1 + 25 * np.log10(x / 100) ** 2)
    return {
        "x": {"label": "features p", "scale": "log", "values": x, "symbol": "p", "format": ".3g"},
        "y": {"label": "test error", "scale": "log", "range": [0.01, 10]},
        "anchors": [1, 3, 10, 30, 100, 300, 1000],
        "truth": {"name": "median measured", "values": truth, "low": truth * 0.8, "high": truth * 1.25},
        "known": [{"name": "training error", "values": np.where(x < 100, 1 / x, np.nan), "color": 2}],
        "markers": [{"label": "p = n", "value": 100}],
        "prompt": "Draw the test error you expect.",
    }


def choice() -> dict[str, Any]:
    return {
        "question": "What happens to the test error just past p = n?",
        "options": [
            {"label": "It stays high", "feedback": "It falls from 7.1 to 0.9."},
            {"label": "It falls again", "correct": True, "feedback": "The error falls from 7.1 to 0.9."},
            {"label": "It oscillates", "feedback": "There is one peak."},
        ],
        "closing": "The rest of the page asks why.",
        "reveal": "answer",
    }


def opening() -> dict[str, Any]:
    x = np.linspace(0, 1, 101)
    at = [0.05, 0.25, 0.5, 0.7, 0.95]
    bump = np.prod([x - a for a in at], axis=0) * 100
    base = np.sin(2 * np.pi * x) / 2
    return {
        "x": {"label": "input x", "values": x, "symbol": "x"},
        "y": {"label": "output f(x)"},
        "curves": [
            {"name": "smooth kernel", "values": base, "training_loss": 3e-31},
            {"name": "polynomial", "values": base + bump, "training_loss": 1e-24},
            {"name": "neural network", "values": base - 0.7 * bump, "training_loss": 0.0},
            {"name": "nearest neighbor", "values": base + 0.3 * np.abs(bump), "training_loss": 0.0},
        ],
        "points": {"x": at, "y": np.sin(2 * np.pi * np.array(at)) / 2},
        "probe": 0.37,
    }


def scrub() -> dict[str, Any]:
    x = np.linspace(-1, 1, 61)
    sizes = [2, 4, 8, 15, 30, 60]
    fits = [np.sin(3 * x) + np.sin(17 * x + p) / (abs(p - 15) + 2) for p in sizes]
    error = [0.3, 0.1, 0.3, 4.0, 0.2, 0.08]
    return {
        "x": {"label": "input x", "values": x},
        "y": {"label": "output", "range": [-2, 2]},
        "capacity": {"label": "Features p", "symbol": "p", "scale": "log", "values": sizes, "initial": 4},
        "error": {"label": "test error", "scale": "log"},
        "bases": [
            {"name": "Legendre", "fits": fits, "test_error": error, "train_error": [0.2, 0.1, 0.01, 0, 0, 0]},
            {"name": "Fourier", "fits": fits, "test_error": [2 * e for e in error]},
        ],
        "points": {"x": x[::4], "y": np.sin(3 * x[::4])},
        "target": np.sin(3 * x),
        "markers": [{"label": "p = n", "value": 15}],
    }


def gaussian_risk() -> dict[str, Any]:
    return {
        "samples": {"min": 10, "max": 100, "initial": 40},
        "features": {"min": 50, "max": 400, "initial": 200},
        "noise": {"min": 0, "max": 1, "initial": 0.2, "step": 0.05},
        "p": 100,
    }


DEMOS = {f.__name__: f for f in (frames, predict, choice, opening, scrub, gaussian_risk)}


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
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
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
        ("gaussian_risk", lambda d: d.update(spectrum="flat"), "spectrum is 'flat'"),
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
        Explorable("choice", data=choice(), **({"title": "t", "alt": "a"} | {field: " "}))


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
        data = frames()
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
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    # The module draws too; its chart helper measures text on a canvas as it loads.
    stub = "globalThis.document = { createElement: () => ({ getContext: () => ({}) }) };\n"
    call = f"\nconsole.log(JSON.stringify({json.dumps(cases)}.map((c) => {{ const r = risk(c); return Number.isFinite(r) ? r : null; }})));\n"
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
