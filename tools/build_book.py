"""The gate: build the whole book and fail on anything that is missing, broken or did not run.

Jupyter Book 1.x exits 0 on most faults, so the build is fresh, warnings are errors, and afterwards every page
of _toc.yml must have its HTML and every notebook its outputs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import yaml
from jupyter_cache import get_cache

ROOT = Path(__file__).resolve().parents[1]
PAGE_SUFFIXES = (".ipynb", ".md")
CELL_TIMEOUT = 1800  # seconds; a slow machine may take its time over a first run
# Explorables emit plain HTML on the site; each notebook gets one thread.
SITE_ENVIRONMENT = {"HELDOUT_SITE": "1", "OMP_NUM_THREADS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def toc_pages(root: Path) -> list[str]:
    """Return the pages of _toc.yml in reading order, as paths without suffix relative to the book's root."""

    def walk(node: Any) -> list[str]:
        if isinstance(node, list):
            return [page for item in node for page in walk(item)]
        if not isinstance(node, dict):
            return []
        own = [str(node[key]) for key in ("root", "file") if key in node]
        return own + [page for key in ("parts", "chapters", "sections") for page in walk(node.get(key))]

    return walk(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))


def page_source(root: Path, page: str) -> Path | None:
    """Return the source file of a page, or None when there is none."""
    sources = [root / f"{page}{suffix}" for suffix in PAGE_SUFFIXES]
    return next((source for source in sources if source.is_file()), None)


def source_problems(root: Path) -> list[str]:
    """Return what is wrong before building: pages without a file, and files no page of _toc.yml names."""
    pages = toc_pages(root)
    problems = [f"_toc.yml names {page}, which has no file" for page in pages if page_source(root, page) is None]
    problems += [f"_toc.yml names {page} twice" for page in sorted({p for p in pages if pages.count(p) > 1})]
    for source in sorted((root / "chapters").rglob("*")):
        if source.suffix in PAGE_SUFFIXES and ".ipynb_checkpoints" not in source.parts:
            page = source.relative_to(root).with_suffix("").as_posix()
            if page not in pages:
                problems.append(f"{source.relative_to(root).as_posix()} is not in _toc.yml")
    return problems


def site_problems(root: Path) -> list[str]:
    """Return what is wrong with the built site: missing pages, notebooks without outputs, tracebacks."""
    html_root = root / "_build" / "html"
    problems = [] if (html_root / "index.html").is_file() else ["index.html was not built"]
    for page in toc_pages(root):
        built = html_root / f"{page}.html"
        if not built.is_file():
            problems.append(f"{page}.html was not built")
            continue
        html = built.read_text(encoding="utf-8")
        source = page_source(root, page)
        if source is not None and source.suffix == ".ipynb" and expects_output(source):
            if not re.search(r'class="[^"]*\bcell_output\b', html):
                problems.append(f"{page}.html has no cell output: the notebook was not executed")
            if re.search(r'class="[^"]*\btraceback\b', html):
                problems.append(f"{page}.html shows a traceback")
            if "application/vnd.jupyter.widget-view+json" in html:
                problems.append(f"{page}.html holds a widget, which no script on the site would show")
    problems += [f"{log.name}: a page failed" for log in sorted((html_root / "reports").glob("*.log"))]
    return problems


def expects_output(notebook: Path) -> bool:
    """Whether a notebook has a code cell that the site shows."""
    cells = nbformat.read(notebook, as_version=4).cells
    hidden = {"remove-cell", "remove-output"}
    return any(
        cell.cell_type == "code" and cell.source.strip() and not hidden & set(cell.metadata.get("tags", []))
        for cell in cells
    )


def execute(notebook: Path, executed: Path, name: str) -> bool:
    """Execute one notebook into the file ``executed``, and return whether no cell failed."""
    start = time.monotonic()
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", str(notebook)]
    command += ["--output-dir", str(executed.parent), "--output", executed.name]
    command += [f"--ExecutePreprocessor.timeout={CELL_TIMEOUT}"]
    # The cache tells notebooks apart by their cells and the cells' metadata, which times of execution would change.
    command += ["--ExecutePreprocessor.record_timing=False"]
    result = subprocess.run(
        command,
        check=False,
        cwd=notebook.parent,
        env={**os.environ, **SITE_ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    print(f"  {name}: {time.monotonic() - start:.0f} s", flush=True)
    return result.returncode == 0


def execute_all(root: Path, jobs: int, cache_folder: Path) -> None:
    """Execute the notebooks ``jobs`` at a time and put what they show where Jupyter Book looks for it.

    Jupyter Book executes pages one after another. A notebook that fails here is left for its own pass, which
    executes it once more and reports the failure.
    """
    sources = [page_source(root, page) for page in toc_pages(root)]
    notebooks = [source for source in sources if source is not None and source.suffix == ".ipynb"]
    print(f"executing {len(notebooks)} notebooks, {jobs} at a time", flush=True)
    cache = get_cache(str(cache_folder))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        outputs = [Path(folder) / f"{number}.ipynb" for number in range(len(notebooks))]
        names = [notebook.relative_to(root).as_posix() for notebook in notebooks]
        whole = pool.map(execute, notebooks, outputs, names)
        for notebook, executed, passed in zip(notebooks, outputs, whole, strict=True):
            if passed:
                cache.cache_notebook_file(executed, uri=str(notebook), overwrite=True)


def config_that_reads_the_cache(root: Path, output: Path) -> Path:
    """Write _config.yml anew with execution ``force`` replaced by ``cache``, and return the file's path."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    if config["execute"]["execute_notebooks"] == "force":
        config["execute"]["execute_notebooks"] = "cache"
    extensions = config["sphinx"]["local_extensions"]
    config["sphinx"]["local_extensions"] = {key: str(root / folder) for key, folder in extensions.items()}
    written = output / "_config.yml"
    written.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return written


def build(root: Path, jobs: int = 1) -> list[str]:
    """Build the book at ``root`` and return the list of problems, empty when the book is whole."""
    if problems := source_problems(root):
        return problems
    output = root / "_build"
    for stale in ("html", ".doctrees", ".jupyter_cache"):
        shutil.rmtree(output / stale, ignore_errors=True)
    output.mkdir(exist_ok=True)
    execute_all(root, jobs, output / ".jupyter_cache")
    book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    config = config_that_reads_the_cache(root, output)
    result = subprocess.run(
        [*book, "build", str(root), "--config", str(config), "-n", "--all", "-W", "--keep-going"],
        check=False,
        env={**os.environ, **SITE_ENVIRONMENT},
    )
    problems = site_problems(root)
    if result.returncode != 0:
        problems.insert(0, f"jupyter-book exited with {result.returncode}; its messages are above")
    return problems


def main(arguments: list[str] | None = None) -> int:
    """Build, then say where the site is or what is wrong. Exit status 0 only for a whole book."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="folder that holds _config.yml")
    parser.add_argument("--jobs", type=int, default=1, help="notebooks executed at a time")
    options = parser.parse_args(arguments)
    root: Path = options.root.resolve()
    start = time.monotonic()
    if problems := build(root, options.jobs):
        print("\nThe book is NOT built:", file=sys.stderr)
        for problem in problems:
            print(f"  - {problem}", file=sys.stderr)
        return 1
    index = root / "_build" / "html" / "index.html"
    print(f"\nThe book is built: {len(toc_pages(root))} pages in {time.monotonic() - start:.0f} s.")
    print(f"  {index}")
    print("Open that file in a browser, or run: make serve")
    return 0


if __name__ == "__main__":
    sys.exit(main())
