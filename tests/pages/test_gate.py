"""The gate fails on each kind of fault that Jupyter Book would let through, and passes a book without faults."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import build_book
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
TOC = "format: jb-book\nroot: chapters/intro\nchapters:\n  - file: chapters/page\n  - file: chapters/back\n"
BACK = "# Back\n\n:::{glossary}\nridge\n  A penalty.\n:::\n\n```{bibliography}\n```\n"
PROSE = (
    "from IPython.display import Markdown\n"
    "Markdown('With {term}`ridge`, $n = 3$, as {cite:t}`belkin2019` found, $$R = 0.$$')"
)
FIGURE = "from IPython.display import HTML\nHTML('<figure class=\"heldout\">a figure</figure>')"


def write_notebook(path: Path, *sources: str) -> None:
    cells = [nbformat.v4.new_markdown_cell(f"# {path.stem}"), *map(nbformat.v4.new_code_cell, sources)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A book of three pages under the real configuration."""
    for name in ("_config.yml", "references.bib"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "_ext", tmp_path / "_ext", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "assets", tmp_path / "assets", ignore=shutil.ignore_patterns("vendor"))
    (tmp_path / "chapters").mkdir()
    (tmp_path / "_toc.yml").write_text(TOC)
    (tmp_path / "chapters" / "back.md").write_text(BACK)
    write_notebook(tmp_path / "chapters" / "intro.ipynb", PROSE, FIGURE)
    write_notebook(tmp_path / "chapters" / "page.ipynb", "6 * 7")
    return tmp_path


def test_a_whole_book_passes_and_each_page_is_executed_once(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count = "from pathlib import Path\nwith Path('runs.txt').open('a') as file:\n    print(file.write('x'))"
    write_notebook(book / "chapters" / "page.ipynb", count, "6 * 7")
    assert build_book.main(["--root", str(book)]) == 0
    assert str(book / "_build" / "html" / "index.html") in capsys.readouterr().out
    html = (book / "_build" / "html" / "chapters" / "intro.html").read_text()
    output = html[html.index("cell_output") :]
    assert "back.html#term-ridge" in output, "a role in a cell's Markdown is not rendered"
    assert r"\(n = 3\)" in output, "mathematics in a cell's Markdown is not rendered"
    assert "Belkin" in output, "a citation in a cell's Markdown is not rendered"
    assert '<figure class="heldout">' in output
    assert "42" in (book / "_build" / "html" / "chapters" / "page.html").read_text()
    assert "thebe" not in html.split("</head>")[0]
    assert (book / "chapters" / "runs.txt").read_text() == "x"


def raising_cell(book: Path) -> str:
    write_notebook(book / "chapters" / "page.ipynb", "1 / 0")
    return "jupyter-book exited with"


def broken_reference(book: Path) -> str:
    write_notebook(book / "chapters" / "page.ipynb", "6 * 7")
    (book / "chapters" / "back.md").write_text(BACK + "\nSee {ref}`no-such-place`.\n")
    return "jupyter-book exited with"


def broken_term_in_output(book: Path) -> str:
    write_notebook(book / "chapters" / "page.ipynb", PROSE.replace("`ridge`", "`no such term`"))
    return "jupyter-book exited with"


def page_outside_the_contents(book: Path) -> str:
    write_notebook(book / "chapters" / "extra.ipynb", "6 * 7")
    return "chapters/extra.ipynb is not in _toc.yml"


def page_without_a_file(book: Path) -> str:
    (book / "chapters" / "page.ipynb").unlink()
    return "_toc.yml names chapters/page, which has no file"


def notebook_not_executed(book: Path) -> str:
    config = book / "_config.yml"
    config.write_text(config.read_text().replace("execute_notebooks: force", 'execute_notebooks: "off"'))
    return "chapters/page.html has no cell output"


def warning_on_stderr(book: Path) -> str:
    write_notebook(book / "chapters" / "page.ipynb", "import warnings; warnings.warn('careful'); 6 * 7")
    return "jupyter-book exited with"


FAULTS = [
    raising_cell,
    broken_term_in_output,
    page_outside_the_contents,
    page_without_a_file,
    notebook_not_executed,
    warning_on_stderr,
]


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_each_fault_fails(book: Path, plant: Callable[[Path], str], capsys: pytest.CaptureFixture[str]) -> None:
    expected = plant(book)
    assert build_book.main(["--root", str(book)]) == 1
    assert expected in capsys.readouterr().err


def test_a_second_build_does_not_hide_a_broken_reference(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Jupyter Book itself exits 0 the second time, since it repeats no warning of an unchanged page."""
    expected = broken_reference(book)
    for _ in range(2):
        assert build_book.main(["--root", str(book)]) == 1
        assert expected in capsys.readouterr().err
