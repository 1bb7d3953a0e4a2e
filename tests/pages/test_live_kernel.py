"""In a running JupyterLab, moving an explorable's slider recomputes through the library, in Python."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser

from heldout.double_descent import polynomials

pytestmark = pytest.mark.browser

# The curve does not depend on the control in the browser: only Python can make it move.
LIVE_CELL = """
from dataclasses import replace
from heldout.double_descent import polynomials
from heldout.figures.explorable import Explorable

def recompute(controls):
    config = replace(polynomials.SMOKE, noise_std=controls.get("noise", 0.0))
    curve = polynomials.run(config, device="cpu").test_mse.median("seed").sel(basis="legendre")
    return {
        "x": {"label": "features", "scale": "log", "values": list(config.feature_counts)},
        "y": {"label": "error", "scale": "log"},
        "controls": [{"name": "noise", "label": "noise", "values": [0.0, 0.1, 0.2, 0.3]}],
        "series": [{"name": "test error", "values": curve.values}],
        "lookups": {"end": {"series": "test error", "stat": "last"}},
        "sentence": "With noise {noise} the last error is {end:.6f}.",
    }

Explorable("frames", data=recompute({}), title="Live", alt="Error by features.", recompute=recompute)
"""


def expected_error(noise: float) -> float:
    result = polynomials.run(replace(polynomials.SMOKE, noise_std=noise), device="cpu")
    return float(result.test_mse.median("seed").sel(basis="legendre")[-1])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """A JupyterLab over one notebook, with settings and state of its own; its whole process group ends with the test."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(LIVE_CELL.strip())], metadata={"kernelspec": kernel}
    )
    work = tmp_path / "work"
    work.mkdir()
    nbformat.write(notebook, work / "live.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name != "HELDOUT_SITE"}
    environment |= {
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
    }
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", f"--notebook-dir={work}"]
    options += ["--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"]
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/api/status", server, tmp_path / "lab.log")
            yield address
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.poll() is None, f"JupyterLab ended: {log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not answer: {log.read_text()[-2000:]}")


def test_moving_a_slider_recomputes_in_python(browser: Browser, lab: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    try:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{lab}/lab/tree/live.ipynb?reset")
        page.locator("#jp-main-statusbar").get_by_text("Idle").wait_for()
        page.locator(".jp-InputArea-editor:visible").first.click()
        page.keyboard.press("Shift+Enter")
        explorable = page.locator(".heldout-explorable").first
        slider, sentence, picture = (
            explorable.locator(part).first for part in ("input[type=range]", "[aria-live]", "svg")
        )
        first, second = f"{expected_error(0.0):.6f}", f"{expected_error(0.1):.6f}"
        assert first != second
        sentence.filter(has_text=first).wait_for()
        before = picture.inner_html()
        slider.focus()
        slider.press("ArrowRight")
        sentence.filter(has_text=second).wait_for()
        assert picture.inner_html() != before
        assert "noise 0.1" in sentence.inner_text()
    finally:
        context.close()
