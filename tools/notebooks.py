"""Keep notebooks clean: no stored output, and a first cell that installs the package on Colab.

Without ``--write`` it reports what is not clean and exits 1; with it, it repairs.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[1]
COLAB_TAG = "colab"
COLAB_TAGS = ["remove-cell", COLAB_TAG]
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def repository_url(root: Path = ROOT) -> str:
    """Return the repository's address, which is set in _config.yml alone."""
    return str(yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"])


def colab_source(url: str) -> str:
    """Return the source of the first cell: it installs the package on Colab and does nothing elsewhere."""
    return (
        "# On Colab, install the book's package; anywhere else this cell does nothing.\n"
        "import sys\n"
        "\n"
        'if "google.colab" in sys.modules:\n'
        f'    %pip install --quiet "git+{url}"'
    )


def folding(source: str) -> str | None:
    """Return the tag that folds a cell on the site: prose loses its code, a figure keeps it one click away."""
    if re.match(r"\s*(say|claims_table)\(", source):
        return "remove-input"
    return "hide-input" if re.match(r"\s*(show|Explorable)\(", source) else None


def folded(cell: nbformat.NotebookNode) -> list[str]:
    """Return the cell's tags with the one that :func:`folding` asks for."""
    tags = list(cell.metadata.get("tags", []))
    tag = folding(cell.source) if cell.cell_type == "code" else None
    return tags if tag is None else [*(t for t in tags if t not in ("hide-input", "remove-input")), tag]


def problems(notebook: nbformat.NotebookNode, url: str) -> list[str]:
    """Return what is not clean in a notebook."""
    found = []
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "code" or first.source != colab_source(url):
        found.append("does not begin with the Colab cell")
    elif first.metadata.get("tags") != COLAB_TAGS:
        found.append(f"its Colab cell is not tagged {', '.join(COLAB_TAGS)}")
    for position, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count is not None):
            found.append(f"cell {position} stores an output or an execution count")
        if cell.metadata.get("tags", []) != folded(cell):
            found.append(f"cell {position} is not folded by {folding(cell.source)}")
    if notebook.metadata.get("kernelspec") != KERNEL:
        found.append("its kernel is not python3")
    return found


def repair(notebook: nbformat.NotebookNode, url: str) -> None:
    """Strip outputs, set the kernel and put the Colab cell first, in place."""
    cells = [cell for cell in notebook.cells if COLAB_TAG not in cell.metadata.get("tags", [])]
    first = nbformat.v4.new_code_cell(colab_source(url), metadata={"tags": list(COLAB_TAGS)}, id="colab")
    notebook.cells = [first, *cells]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)
            if tags := folded(cell):
                cell.metadata["tags"] = tags
    notebook.metadata = nbformat.from_dict({"kernelspec": dict(KERNEL), "language_info": {"name": "python"}})


def main(arguments: list[str] | None = None) -> int:
    """Check or repair every notebook below the given folders or files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, default=[ROOT / "chapters"])
    parser.add_argument("--write", action="store_true", help="repair instead of reporting")
    options = parser.parse_args(arguments)
    url = repository_url()
    status = 0
    for path in options.paths:
        for file in sorted(path.rglob("*.ipynb")) if path.is_dir() else [path]:
            if ".ipynb_checkpoints" in file.parts:
                continue
            notebook = nbformat.read(file, as_version=4)
            found = problems(notebook, url)
            if found and options.write:
                repair(notebook, url)
                nbformat.write(notebook, file)
            elif found:
                status = 1
                print(f"{file}: {'; '.join(found)}")
    return status


if __name__ == "__main__":
    sys.exit(main())
