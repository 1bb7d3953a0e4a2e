"""Find a Chromium for the site's tests, and install one when asked and none is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> Path | None:
    """Return a Chromium: ``HELDOUT_BROWSER``, one on the PATH, playwright's own, or None."""
    if chosen := os.environ.get("HELDOUT_BROWSER"):
        return Path(chosen)
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    return own if own.exists() else None


def install_browser() -> None:
    """Install Chromium: from the system's packages when root on Debian, else playwright's own build."""
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = [
            "apt-get",
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "chromium",
            "fonts-dejavu-core",
        ]
        if (
            subprocess.run(["apt-get", "update", "-qq"], check=False).returncode == 0
            and subprocess.run(install, env=environment, check=False).returncode == 0
            and find_browser() is not None
        ):
            return
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


def main(arguments: list[str]) -> int:
    """Print the browser's path; with ``--install`` install one first if there is none."""
    if find_browser() is None and "--install" in arguments:
        install_browser()
    browser = find_browser()
    if browser is None:
        print("no Chromium found; set HELDOUT_BROWSER to one, or run: python tools/find_browser.py --install")
        return 1
    print(f"browser: {browser}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
