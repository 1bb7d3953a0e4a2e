"""Settings that must stand before NumPy, PyTorch and Matplotlib are imported, and the one browser of all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# One thread a process, as in the build: two test processes do not fight over cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium; the tests fail when there is none, since ``make test`` installs one.

    Playwright allows one driver a process, so every test that needs a browser shares this one.
    """
    from find_browser import find_browser
    from playwright.sync_api import sync_playwright

    path = find_browser()
    assert path is not None, "no Chromium: run python tools/find_browser.py --install"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(path), args=["--no-sandbox"])
        yield chromium
        chromium.close()
