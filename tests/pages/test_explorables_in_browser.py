"""Every explorable on the built site moves by keyboard and by mouse, with no kernel, and says so in words."""

from __future__ import annotations

import pytest
from build_book import toc_pages
from playwright.sync_api import Locator, Page
from site_pages import CONTENT_PAGES, ROOT, open_page

pytestmark = pytest.mark.browser

# What a reader sees, and what a screen reader is told: live sentence, outputs, and the text of the control's value.
# A text set token by token and a list of contexts are pictures too: tints, marks and chosen tokens are what is seen.
PICTURE = """(figure) => [...figure.querySelectorAll("svg, img, canvas, .hx-tokens, .hx-contexts")]
  .map((node) => node.outerHTML).join("")"""
WORDS = """(figure) => [
  ...[...figure.querySelectorAll("[aria-live], output, [role=status]")].map((node) => node.textContent),
  ...[...figure.querySelectorAll("[aria-valuetext]")].map((node) => node.getAttribute("aria-valuetext")),
].join("|")"""
OPEN_ALL = (
    """() => document.querySelectorAll("figure.heldout-explorable details").forEach((node) => { node.open = true; })"""
)


def pages_with_explorables() -> list[str]:
    built = ROOT / "_build" / "html"
    paths = [page for page in CONTENT_PAGES if (built / page).is_file()]
    return [page for page in paths if 'class="heldout-explorable' in (built / page).read_text(encoding="utf-8")]


def look(figure: Locator) -> tuple[str, str]:
    return figure.evaluate(PICTURE), figure.evaluate(WORDS)


def assert_changed(figure: Locator, before: tuple[str, str], how: str) -> tuple[str, str]:
    page = figure.page
    for _ in range(20):
        after = look(figure)
        if after[0] != before[0] and after[1] != before[1]:
            return after
        page.wait_for_timeout(50)
    after = look(figure)
    name = figure.get_attribute("aria-label")
    assert after[0] != before[0], f"{name}: the picture did not change {how}"
    assert after[1] != before[1], f"{name}: the words did not change {how}"
    return after


def visible_sliders(figure: Locator) -> list[Locator]:
    return [slider for slider in figure.locator("input[type=range]").all() if slider.is_visible()]


def try_slider(figure: Locator, slider: Locator) -> None:
    slider.scroll_into_view_if_needed()
    label = slider.evaluate("(node) => node.labels?.[0]?.textContent || node.getAttribute('aria-label') || ''")
    assert label.strip(), "a slider without a name"
    before = look(figure)
    slider.focus()
    at_end = slider.evaluate("(node) => Number(node.value) >= Number(node.max)")
    slider.press("ArrowLeft" if at_end else "ArrowRight")
    before = assert_changed(figure, before, f"by keyboard ({label.strip()})")
    box = slider.bounding_box()
    assert box is not None
    low = slider.evaluate("(node) => (node.value - node.min) / (node.max - node.min) < 0.5")
    target = 0.85 if low else 0.15
    slider.page.mouse.click(box["x"] + target * box["width"], box["y"] + box["height"] / 2)
    assert_changed(figure, before, f"by mouse ({label.strip()})")


@pytest.mark.parametrize("path", CONTENT_PAGES)
def test_explorables_move(tab: Page, address: str, path: str) -> None:
    if path not in pages_with_explorables():
        assert "heldout-explorable" not in (ROOT / "_build" / "html" / path).read_text(encoding="utf-8")
        return
    heard = open_page(tab, f"{address}/{path}")
    tab.evaluate(OPEN_ALL)
    for figure in tab.locator("figure.heldout-explorable").all():
        assert figure.get_attribute("aria-label"), "an explorable without a name"
        assert figure.locator("[aria-live]").count() > 0, "an explorable that is silent to screen readers"
        for slider in visible_sliders(figure):
            try_slider(figure, slider)
    assert heard.errors == []
    assert tab.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("name", ["interpolation", "double_descent", "grokking"])
def test_enough_pages_have_one(name: str) -> None:
    """At least one explorable for two pages of a chapter."""
    chapter = [f"{page}.html" for page in toc_pages(ROOT) if f"{name}/" in page]
    assert chapter
    with_one = [page for page in chapter if page in pages_with_explorables()]
    assert 2 * len(with_one) >= len(chapter)
