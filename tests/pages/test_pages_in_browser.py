"""Every page of the built site, in a browser: quiet, self-contained, light, accessible, and whole on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from site_pages import ALL_PAGES, CONTENT_PAGES, ROOT, open_page

pytestmark = pytest.mark.browser

# Both are the theme's: buttons whose label is not their text, and content outside landmarks.
THEME_FINDINGS = {"label-content-name-mismatch", "region"}
MAXIMUM_WEIGHT = 2_500_000  # bytes, compressed, with everything the page loads
PHONE = {"width": 375, "height": 812}
DESKTOP = {"width": 1280, "height": 900}


def axe_findings(tab: Page) -> list[str]:
    if not tab.evaluate("() => 'axe' in window"):
        tab.evaluate((ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    result: dict[str, Any] = tab.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in result["violations"]
        if violation["id"] not in THEME_FINDINGS
        for node in violation["nodes"][:3]
    ]


def set_theme(tab: Page, theme: str) -> None:
    tab.evaluate(
        "(theme) => { document.documentElement.dataset.theme = theme; document.documentElement.dataset.mode = theme; }",
        theme,
    )


@pytest.fixture
def desktop(tab: Page) -> Iterator[Page]:
    tab.set_viewport_size(DESKTOP)
    yield tab
    tab.set_viewport_size(DESKTOP)


@pytest.mark.parametrize("path", ALL_PAGES)
def test_page(desktop: Page, address: str, path: str) -> None:
    heard = open_page(desktop, f"{address}/{path}")
    assert heard.foreign == [], "the page asks other hosts"
    assert heard.errors == [], "the console holds errors"
    assert heard.weight() <= MAXIMUM_WEIGHT
    assert desktop.locator("mjx-merror").count() == 0, "a formula does not parse"

    unnamed = desktop.evaluate(
        """() => [...document.querySelectorAll("article figure, article svg[role=img], article img")]
        .filter((node) => {
          const own = node.getAttribute("aria-label") || node.getAttribute("alt") || node.getAttribute("aria-labelledby");
          const inner = node.matches("figure") && (node.querySelector("figcaption, [aria-label], img[alt]"));
          return !own && !inner && node.getAttribute("aria-hidden") !== "true";
        }).map((node) => node.outerHTML.slice(0, 200))"""
    )
    assert unnamed == [], "figures without a name"
    if path in CONTENT_PAGES:
        assert_prose_is_rendered(desktop)

    for theme in ("light", "dark"):
        set_theme(desktop, theme)
        assert axe_findings(desktop) == [], f"axe, {theme} theme"

    desktop.set_viewport_size(PHONE)
    widths = desktop.evaluate("() => [document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1], overflowing(desktop)


def overflowing(tab: Page) -> list[str]:
    """Name what sticks out on the right, for the message of a failed test."""
    found: list[str] = tab.evaluate(
        """() => [...document.querySelectorAll("main *")]
        .filter((node) => node.getBoundingClientRect().right > window.innerWidth + 1)
        .map((node) => `${node.tagName}.${node.className} ${Math.round(node.getBoundingClientRect().right)}`)
        .slice(0, 8)"""
    )
    return found


@pytest.mark.parametrize("path", ALL_PAGES)
def test_page_opened_as_a_file(desktop: Page, site: Path, path: str) -> None:
    heard = open_page(desktop, (site / path).as_uri())
    assert heard.foreign == [], "the page asks other hosts"
    assert heard.errors == [], "the console holds errors"


def assert_prose_is_rendered(tab: Page) -> None:
    # Texts that a model reads are shown as they are, and may hold anything.
    text = tab.evaluate(
        """() => {
          const article = document.querySelector("article").cloneNode(true);
          const verbatim = "pre, code, script, style, mjx-container, .hx-tokens, .hx-contexts";
          article.querySelectorAll(verbatim).forEach((node) => node.remove());
          return article.textContent;
        }"""
    )
    for leftover in ("{term}`", "{cite", "{doc}`", "{math}`", "{numref}`", ":::", "```", "[[", "$$", "**"):
        assert leftover not in text, f"{leftover} is left in the text: {text[max(0, text.find(leftover) - 80) :][:200]}"


@pytest.mark.usefixtures("site")
def test_the_indexes_are_among_the_pages_tested() -> None:
    assert {"genindex.html", "search.html"} <= set(ALL_PAGES), "run again: the site was not built before collection"


def test_index_leads_to_the_first_page(desktop: Page, address: str) -> None:
    open_page(desktop, f"{address}/index.html")
    desktop.wait_for_url(f"**/{CONTENT_PAGES[0]}")
    assert desktop.title()


def test_the_reader_can_choose_the_theme(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport=DESKTOP, color_scheme="dark")
    try:
        page = context.new_page()
        open_page(page, f"{address}/{CONTENT_PAGES[0]}")
        background = "() => getComputedStyle(document.body).backgroundColor"
        assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
        dark = page.evaluate(background)
        set_theme(page, "light")
        page.wait_for_function(f"(dark) => ({background})() !== dark", arg=dark)
    finally:
        context.close()


def test_other_hosts_would_be_heard(desktop: Page, tmp_path: Path) -> None:
    """The listener itself: a page that does ask another host, and fails, is caught at both."""
    bad = tmp_path / "bad.html"
    bad.write_text('<script src="http://localhost.invalid/x.js"></script><script>undefinedName()</script>')
    heard = open_page(desktop, bad.as_uri())
    assert heard.foreign == ["http://localhost.invalid/x.js"]
    assert any("undefinedName" in error for error in heard.errors)
