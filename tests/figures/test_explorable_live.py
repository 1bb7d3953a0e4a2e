"""An explorable in a running JupyterLab: moving its slider recomputes in Python."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CELL = """
from heldout.figures.explorable import Explorable

def data(square):
    return {
        "x": {"label": "x", "values": [0, 1]}, "y": {"label": "y"},
        "controls": [{"name": "k", "label": "Factor", "values": list(range(10))}],
        "series": [{"name": "line", "values": [0, square]}],
        "lookups": {"end": {"series": "line", "stat": "last"}},
        "sentence": "The square of {k} is {end}.",
    }

Explorable("frames", data=data(0), title="Squares", alt="A line.", recompute=lambda controls: data(controls["k"] ** 2))
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "live.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--IdentityProvider.token=", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={tmp_path}"]
    environment = {key: value for key, value in os.environ.items() if key != "HELDOUT_SITE"}
    # Settings of the reader's own JupyterLab must not matter, nor change.
    environment |= {
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
    }
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(120):
                try:
                    urllib.request.urlopen(f"{address}/api", timeout=1).close()
                    break
                except (urllib.error.URLError, TimeoutError):
                    assert server.poll() is None, (tmp_path / "lab.log").read_text()
                    time.sleep(0.5)
            yield f"{address}/lab/tree/live.ipynb?reset"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=30)


@pytest.mark.slow
def test_moving_a_slider_recomputes_in_the_kernel(lab: str, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    page.set_default_timeout(60_000)
    page.goto(lab)
    page.click(".jp-InputArea-editor:visible")
    page.keyboard.press("Shift+Enter")
    page.wait_for_selector(".hx-live")
    assert page.inner_text(".hx-live") == "The square of 0 is 0."
    page.focus("input[name=k]")
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.hx-live').textContent === 'The square of 7 is 49.'")
    assert page.is_hidden(".hx-status")
    page.close()
