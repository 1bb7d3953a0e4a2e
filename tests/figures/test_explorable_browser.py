"""Explorables in Chromium, as the static site shows them: no kernel, no network, mouse and keyboard, small screens."""

import functools
import http.server
import re
import runpy
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, ElementHandle, Page

from heldout.figures.explorable import MODULES, Explorable, bundle

DEMOS = runpy.run_path(str(Path(__file__).with_name("explorable_demos.py")))["DEMOS"]
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"


def document(*modules: str, theme: str = "light") -> str:
    paper, ink = {"light": ("#ffffff", "#222832"), "dark": ("#14181e", "#ced6dd")}[theme]
    figures = "".join(
        Explorable(m, data=DEMOS[m](), title=f"The {m} demo", alt=f"Summary of {m}.", caption="Caption.").html()
        for m in modules
    )
    return (
        f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>Test</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<style>body {{ background: {paper}; color: {ink}; --pst-color-background: {paper}; margin: 0 1rem; }}</style>"
        f'</head><body><main><h1>Test</h1>{figures}<p id="answer" hidden>The answer.</p></main></body></html>'
    )


class Opened:
    """A page and everything it asked for or complained of."""

    def __init__(self, browser: Browser, address: str, width: int = 900, **options: Any) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        self.page.on("console", lambda m: self.problems.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def ready(self, count: int) -> Page:
        self.page.wait_for_function(f"document.querySelectorAll('.hx-title').length === {count}")
        return self.page


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    opened: list[Opened] = []

    def build(*modules: str, theme: str = "light", **options: Any) -> Opened:
        (tmp_path / "page.html").write_text(document(*modules, theme=theme), encoding="utf-8")
        opened.append(Opened(browser, (tmp_path / "page.html").as_uri(), **options))
        if options.get("java_script_enabled", True):
            opened[-1].ready(len(modules))
        return opened[-1]

    yield build
    for each in opened:
        assert each.problems == []
        each.page.close()


def said(page: Page) -> str:
    return page.inner_text(".hx-live")


def drag(page: Page, element: ElementHandle, start: float, stop: float, height: float = 0.5) -> None:
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    assert box is not None
    y = box["y"] + height * box["height"]
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + stop * box["width"], y, steps=10)
    page.mouse.up()


def test_all_modules_share_a_page_opened_as_a_file(show: Any) -> None:
    opened = show(*MODULES, "frames")
    assert opened.page.locator(".hx-title").count() == len(MODULES) + 1
    assert [r for r in opened.requests if not r.startswith(("file:", "blob:", "data:"))] == []


def test_served_page_asks_no_other_host(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(document(*MODULES), encoding="utf-8")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """The test's output stays clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        home = f"http://127.0.0.1:{server.server_port}/"
        opened = Opened(browser, f"{home}page.html")
        opened.ready(len(MODULES))
        assert opened.problems == []
        assert [r for r in opened.requests if not r.startswith((home, f"blob:{home}", "data:"))] == []
        opened.page.close()
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("module", [m for m in MODULES if m != "choice"])
def test_every_range_moves_by_mouse_and_by_keyboard(module: str, show: Any) -> None:
    page = show(module).page
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    ranges = page.query_selector_all("input[type=range]")
    assert ranges
    for item in ranges:
        picture = "document.querySelector('figure').querySelector('.hx-body').innerHTML"
        output = "(input) => input.parentElement.querySelector('output').textContent"
        before, drawn = item.evaluate(output), page.evaluate(picture)
        low = item.evaluate("(input) => (input.value - input.min) / (input.max - input.min) < 0.5")
        drag(page, item, *((0.02, 0.98) if low else (0.98, 0.02)))
        after, redrawn = item.evaluate(output), page.evaluate(picture)
        assert after != before
        assert redrawn != drawn
        item.focus()
        page.keyboard.press("ArrowLeft" if low else "ArrowRight")
        assert item.evaluate(output) != after
        assert item.get_attribute("aria-valuetext") == item.evaluate(output)


def test_frames_says_what_its_controls_select(show: Any) -> None:
    page = show("frames").page
    data = DEMOS["frames"]()
    assert said(page) == "With n = 20 and noise 0.5: the peak 1.60 is at p = 20."
    page.focus("input[name=n]")
    page.keyboard.press("ArrowRight")
    page.focus("input[name=noise]")
    page.keyboard.press("ArrowLeft")
    peak = max(data["series"][0]["values"][1][0])
    assert said(page) == f"With n = 40 and noise 0.0: the peak {peak:.2f} is at p = 40."
    assert page.get_attribute(".hx-chart svg", "aria-label") == f"Summary of frames. {said(page)}"
    assert "p = n = 40" in page.text_content(".hx-chart svg")


def test_chart_reads_values_by_pointer_and_by_keyboard(show: Any) -> None:
    page = show("frames").page
    page.focus(".hx-chart")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.inner_text(".hx-readout").split("\n") == ["p = 20", "test error: 1.6", "training error: 0.05"]
    page.hover(".hx-chart", position={"x": 40, "y": 100})
    assert page.inner_text(".hx-readout").startswith("p = 5")


def test_prediction_hides_the_truth_until_it_is_committed(show: Any) -> None:
    page = show("predict").page
    visible = "document.querySelector('.hx-root').outerHTML"
    for hint in ("median measured", "Summary of predict", "hx-reveal", "hx-band"):
        assert hint not in page.evaluate(visible)
    assert "median measured" not in page.locator("body").aria_snapshot()
    assert page.is_disabled("button.hx-main")
    drag(page, page.query_selector(".hx-chart svg"), 0.1, 0.8, height=0.3)
    assert "median measured" not in page.evaluate(visible)
    page.click("button.hx-main")
    assert page.locator("path.hx-reveal").count() == 2
    assert "Summary of predict." in page.get_attribute(".hx-chart svg", "aria-label")
    page.click("text=Start again")
    assert page.locator("path.hx-reveal").count() == 0
    assert "Summary of predict" not in page.evaluate(visible)


def test_prediction_score_is_the_mean_distance_in_decades(show: Any) -> None:
    page = show("predict").page
    data = DEMOS["predict"]()
    page.click("summary")
    for item in page.query_selector_all("input[type=range]"):
        item.focus()
        page.keyboard.press("Home")
    page.click("button.hx-main")
    truth = np.interp(np.log(data["anchors"]), np.log(data["x"]["values"]), data["truth"]["values"])
    expected = float(np.mean(np.abs(np.log10(0.01 / truth))))
    shown = re.search(r"\(([\d.]+) in log10 units\)", said(page))
    assert shown is not None
    assert float(shown[1]) == pytest.approx(expected, abs=0.006)
    assert "largest miss is at p = 100: you drew 0.01, measured 2" in said(page)


@pytest.mark.parametrize(("answer", "verdict"), [(0, "does not hold; “It falls again” does."), (1, "is right.")])
def test_choice_explains_after_the_commitment(answer: int, verdict: str, show: Any) -> None:
    page = show("choice").page
    assert "7.1" not in page.evaluate("document.querySelector('.hx-root').outerHTML")
    assert page.is_hidden("#answer")
    assert page.is_disabled("button.hx-main")
    page.focus("input[type=radio]")
    page.keyboard.press("Space")
    for _ in range(answer):
        page.keyboard.press("ArrowDown")
    page.click("button.hx-main")
    assert verdict in said(page)
    assert page.locator(".hx-right").count() == 1
    assert page.inner_text("#answer") == "The answer."


def test_probe_of_the_opening_reads_the_curves(show: Any) -> None:
    page = show("opening").page
    data = DEMOS["opening"]()
    assert said(page).startswith("Training loss 0 = 0 = 0 = 0; at x = 0.37 the 4 curves differ by up to")
    drag(page, page.query_selector(".hx-chart svg"), 0.4, 0.85)
    at = float(page.inner_text(".hx-control output"))
    values = [np.interp(at, data["x"]["values"], curve["values"]) for curve in data["curves"]]
    spread = float(re.search(r"up to ([\d.]+)\.$", said(page))[1])
    assert spread == pytest.approx(max(values) - min(values), abs=0.0051)
    before = page.locator("path.hx-line").count()
    page.uncheck("input[name=polynomial]")
    assert page.locator("path.hx-line").count() == before - 1
    assert "0 = 0 = 0; " in said(page)
    for name in ("smooth kernel", "neural network"):
        page.uncheck(f'input[name="{name}"]')
    assert said(page) == "Show at least two curves to compare them."


def test_opening_probe_starts_in_the_widest_gap(show: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = DEMOS["opening"]()
    del data["probe"]
    monkeypatch.setitem(DEMOS, "opening", lambda: data)
    data["points"]["x"][2] = 0.55  # the widest gap is now 0.25 to 0.55
    assert "at x = 0.40 " in said(show("opening").page)


def test_scrub_links_the_error_chart_to_the_fit(show: Any) -> None:
    page = show("scrub").page
    assert said(page) == "At p = 4 (Legendre): training error 0.1, test error 0.1."
    fit = "document.querySelectorAll('.hx-chart')[0].querySelectorAll('.hx-line')[1].getAttribute('d')"
    before = page.evaluate(fit)
    drag(page, page.query_selector_all(".hx-chart svg[role=img]")[1], 0.3, 0.99)
    assert said(page) == "At p = 60 (Legendre): training error 0, test error 0.08."
    assert page.evaluate(fit) != before
    page.select_option("select[name=basis]", label="Fourier")
    assert said(page) == "At p = 60 (Fourier): test error 0.16."


def test_gaussian_risk_says_the_risk_of_the_formula(show: Any) -> None:
    page = show("gaussian_risk").page
    expected = 0.5 * (1 - 40 / 100) + (0.5 + 0.2**2) * (1 + 40 / (100 - 40 - 1))
    assert said(page).startswith(f"At p = 100: risk {expected:.3g}.")
    page.select_option("select[name=spectrum]", label="decaying in order, 1/j²")
    assert not said(page).startswith(f"At p = 100: risk {expected:.3g}.")


def test_tokens_say_what_was_expected_instead(show: Any) -> None:
    page = show("tokens").page
    assert said(page).startswith("“we” costs 8.25 nats: the model gave it under 0.1%, as its 112th choice.")
    assert "“the” 50%, “↵” under 0.1%" in said(page)
    assert page.inner_text(".hx-prompt") == "4 tokens, 3.77 nats on average; hits: 1; first choices: 2."
    assert page.locator(".hx-token").all_inner_texts() == ["Jesus\n6.6", "we\n8.3", "pt\n0.01", ".\n0.2"]
    page.click(".hx-token >> nth=2")
    assert "its 1st choice" in said(page)
    assert page.inner_text(".hx-chosen") == "pt\n0.01"
    page.focus("input[name=place]")
    page.keyboard.press("ArrowRight")
    assert said(page).startswith("“.” costs 0.22 nats")
    page.select_option("select[name=reading]", label="second")
    assert said(page).startswith("“.” costs 0.04 nats")
    page.select_option("select[name=text]", label="Genesis 1:3")
    assert said(page).startswith("“Let” costs 0.50 nats")
    assert page.inner_text(".hx-body output") == "1 of 2: Let"


def test_clusters_show_their_tokens_the_largest_first(show: Any) -> None:
    page = show("clusters").page
    assert said(page).startswith("Cluster 1 of 2 holds 3 of 4 tokens. Its most frequent target is “↵”, 2 of 3;")
    assert said(page).endswith("by kind of text: prose 2, code 1.")
    assert page.locator(".hx-contexts mark").all_inner_texts() == ["↵", "↵", " the"]
    page.focus("input[name=cluster]")
    page.keyboard.press("ArrowRight")
    assert said(page).startswith("Cluster 2 of 2 holds 1 of 4 tokens.")
    page.select_option("select[name=count]", label="3")
    assert said(page).startswith("Cluster 1 of 3 holds 2 of 4 tokens.")


def test_prompts_show_what_every_model_writes(show: Any) -> None:
    page = show("prompts").page
    assert said(page) == "After ba (outside): plain “ab.”, keeps the rule; taught “.”, keeps the rule."
    assert "0 of 0 in the language; 2 of 3 outside" in page.inner_text(".hx-caption >> nth=0")
    page.click(".hx-prompts span >> nth=1")
    assert said(page).startswith("After aba (outside): plain “b.”, keeps the rule; taught “bb.”, breaks the rule.")
    assert page.input_value("input[name=prompt]") == "1"
    assert page.locator(".hx-prompts .hx-kept").count() == 2
    page.select_option("select[name=model]", label="taught")
    assert page.locator(".hx-prompts .hx-kept").count() == 1
    page.select_option("select[name=run]", label="seed 2")
    assert said(page).startswith("After aba (outside): plain “bb.”, breaks the rule; taught “b.”, keeps the rule.")
    page.focus("input[name=prompt]")
    page.keyboard.press("ArrowRight")
    assert said(page).startswith("After bb (in the language): plain “.”, breaks the rule;")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_small_screens_need_no_sideways_scrolling(theme: str, show: Any) -> None:
    page = show(*MODULES, theme=theme, width=375).page
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    sizes = page.eval_on_selector_all(".hx-chart svg text", "(all) => all.map((t) => t.getBoundingClientRect().height)")
    assert min(sizes) >= 11
    page.set_viewport_size({"width": 800, "height": 900})
    page.wait_for_timeout(200)
    view = page.get_attribute(".hx-chart svg", "viewBox")
    assert view is not None
    assert float(view.split()[2]) > 700


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(theme: str, show: Any) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run npm ci")
    page = show(*MODULES, theme=theme).page
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.check("input[type=radio] >> nth=0")
    page.click("text=Commit to this answer")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then((r) => r.violations.map((v) => [v.id, v.nodes.map((n) => n.html)]))")
    assert found == []


def test_without_javascript_the_summary_stands(show: Any) -> None:
    page = show("frames", java_script_enabled=False).page
    assert "Summary of frames." in page.inner_text("body")


def test_a_kernel_is_waited_for(show: Any) -> None:
    """The page side of a live kernel: controls go out once, the status says so, new data come back."""
    page = show("choice").page
    page.evaluate(
        """async ([source, data]) => {
          const state = { data, title: "t", alt: "a", caption: "", controls: {}, live: true, error: "", revision: 0 };
          const calls = {};
          window.sent = [];
          window.model = {
            get: (k) => state[k], set: (k, v) => { state[k] = v; (calls["change:" + k] ?? []).forEach((f) => f()); },
            on: (e, f) => (calls[e] ??= []).push(f), off: (e, f) => { calls[e] = calls[e].filter((g) => g !== f); },
            save_changes: () => window.sent.push(state.controls),
          };
          const root = document.body.appendChild(document.createElement("div"));
          root.id = "live";
          const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
          window.stop = (await import(url)).default.render({ model: window.model, el: root });
        }""",
        [bundle("frames"), Explorable("frames", data=DEMOS["frames"](), title="t", alt="a").data],
    )
    page.focus("#live input[name=n]")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#live .hx-status") == "Recomputing in Python …"
    page.wait_for_function("window.sent.length === 1")
    assert page.evaluate("window.sent") == [{"n": 40, "noise": 0.5}]
    page.evaluate(
        """() => {
          const data = structuredClone(window.model.get("data"));
          data.series[0] = { name: "test error", values: [1, 1, 1, 9, 1, 1, 1] };
          window.model.set("data", data); window.model.set("revision", 1);
        }"""
    )
    assert page.inner_text("#live .hx-live") == "With n = 40 and noise 0.5: the peak 9.00 is at p = 30."
    assert page.is_hidden("#live .hx-status")
    page.evaluate("window.model.set('error', 'It failed.'); window.model.set('revision', 2)")
    assert page.inner_text("#live .hx-status") == "It failed."
    page.evaluate("window.stop(); window.model.set('revision', 3)")
