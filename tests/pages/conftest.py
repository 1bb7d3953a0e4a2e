"""The built site, a server for it and one browser, shared by all tests of this folder."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
# Neither folder is a package: the tests here share helpers, and test the build's own tools.
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "pages")]


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a line on the terminal for each of them."""

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="session")
def site() -> Path:
    """The built site; built here only if it is missing."""
    html = ROOT / "_build" / "html"
    (ROOT / "_build").mkdir(exist_ok=True)
    with FileLock(ROOT / "_build" / "site.lock"):
        if not (html / "index.html").is_file():
            subprocess.run([sys.executable, str(ROOT / "tools" / "build_book.py")], check=True)
    return html


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """The site's address on a server that lives as long as the tests."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def tab(browser: Browser) -> Iterator[Page]:
    """One tab, reused from test to test."""
    # Reduced motion: colours must not be read in the middle of a transition.
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme="light", reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()
