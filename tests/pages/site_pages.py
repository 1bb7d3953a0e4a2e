"""What the tests of the site share: the list of its pages, and how to open one and listen to it."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from build_book import toc_pages
from playwright.sync_api import ConsoleMessage, Error, Page, Request, Response

ROOT = Path(__file__).resolve().parents[2]
CONTENT_PAGES = [f"{page}.html" for page in toc_pages(ROOT)]
# The index of theorems is there only when the book has theorems.
INDEX_PAGES = ["genindex.html", "search.html", "prf-prf.html"]
ALL_PAGES = CONTENT_PAGES + [page for page in INDEX_PAGES if (ROOT / "_build" / "html" / page).is_file()]
LOCAL_SCHEMES = {"data", "blob", "file", "about"}
ALREADY_COMPRESSED = (".woff2", ".woff", ".png", ".webp", ".jpg")


@dataclass
class Heard:
    """What a page asked for and complained about while it was open."""

    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)

    def weight(self) -> int:
        """Bytes of everything the page loaded, text compressed as a web server would."""
        total = 0
        for response in self.responses:
            try:
                body = response.body()
            except Error:
                continue  # a redirect has no body
            packed = urlsplit(response.url).path.endswith(ALREADY_COMPRESSED)
            total += len(body) if packed else len(gzip.compress(body, 6))
        return total


def open_page(tab: Page, url: str) -> Heard:
    """Open a page, wait until its mathematics and explorables are drawn, and return what was heard."""
    heard = Heard()

    def on_request(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in LOCAL_SCHEMES and parts.hostname != "127.0.0.1":
            heard.foreign.append(request.url)

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            heard.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def on_response(response: Response) -> None:
        heard.responses.append(response)

    def on_page_error(error: Error) -> None:
        heard.errors.append(str(error))

    listeners = {
        "request": on_request,
        "console": on_console,
        "pageerror": on_page_error,
        "response": on_response,
    }
    tab.goto("about:blank")
    for event, listener in listeners.items():
        tab.on(event, listener)
    try:
        tab.goto(url, wait_until="networkidle")
        tab.evaluate("() => window.MathJax?.startup?.promise?.then(() => true)")
        tab.wait_for_function(
            "() => [...document.querySelectorAll('figure.heldout-explorable')]"
            ".every((figure) => figure.querySelector('.hx-title'))"
        )
    finally:
        for event, listener in listeners.items():
            tab.remove_listener(event, listener)
    return heard
