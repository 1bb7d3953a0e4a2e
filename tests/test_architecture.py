"""The house rules of the book, held by reading its source: arrows, sizes, forbidden things, and clean pages."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest
import yaml

from heldout import experiment

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "heldout"
MODULES = sorted(SOURCE.rglob("*.py"))
PAGES = sorted(path for path in (ROOT / "chapters").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
CHAPTERS = experiment.chapters()
EXPERIMENT_FILES = [SOURCE / Path(*name.split(".")).with_suffix(".py") for name in experiment.names()]

relative = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
every_experiment = pytest.mark.parametrize("path", EXPERIMENT_FILES, ids=lambda path: path.stem)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def chapter_of(path: Path) -> str | None:
    first = path.relative_to(SOURCE).parts[0]
    return first if first in CHAPTERS else None


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def calls(node: ast.AST) -> set[str]:
    return {ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}


@relative
def test_arrows(path: Path) -> None:
    """The core never knows a chapter; a chapter never imports another chapter; the store's digest sees every import."""
    relative_imports = [node for node in ast.walk(ast.parse(path.read_text())) if getattr(node, "level", 0)]
    assert not relative_imports
    own = chapter_of(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "heldout" and len(parts) > 1 and parts[1] in CHAPTERS:
            assert parts[1] == own, f"imports {name}"


@relative
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    for function in functions(ast.parse(text)):
        assert (function.end_lineno or 0) - function.lineno + 1 <= 60, function.name


@relative
def test_nothing_forbidden(path: Path) -> None:
    allowed_print = path.name == "cli.py"
    used = calls(ast.parse(path.read_text()))
    forbidden = {
        "plt.show",
        "torch.manual_seed",
        "np.random.seed",
        "random.seed",
        "torch.load",
        "torch.save",
        "np.load",
    }
    if path.name == "checkpoints.py":
        forbidden -= {"np.load"}  # with allow_pickle=False, which the next test holds
    assert not used & forbidden
    assert allowed_print or "print" not in used
    names = {name.split(".")[0] for name in imports(path)}
    assert not names & {"pickle", "dill", "joblib", "shelve"}
    if "data" not in path.relative_to(SOURCE).parts:
        assert not names & {"urllib", "requests", "socket", "http", "httpx"}


def test_arrays_are_loaded_without_pickle() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
                assert "allow_pickle=False" in ast.unparse(node), path


@every_experiment
def test_run_does_not_draw_and_plot_does_not_compute(path: Path) -> None:
    tree = ast.parse(path.read_text())
    by_name = {function.name: function for function in functions(tree)}
    assert not {name for name in calls(by_name["run"]) if name.startswith(("plt.", "style.", "ax."))}
    assert not {name for name in calls(by_name["plot"]) if name.startswith(("torch.", "run")) or name == "run"}
    assert not {
        name
        for name in calls(by_name["run"])
        if name in ("open", "Path") or name.endswith((".to_netcdf", ".write_text"))
    }


@every_experiment
def test_an_experiment_says_what_it_shows_and_where_from(path: Path) -> None:
    module = experiment.find(".".join(path.relative_to(SOURCE).with_suffix("").parts))
    text = module.__doc__ or ""
    assert "Axes:" in text
    assert "Deviations" in text
    for claim in module.CLAIMS:
        assert claim.source
        assert claim.rows
        assert claim.says.endswith(".")
        assert claim.control.says


@every_page
def test_page_is_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
            if "colab" in cell.metadata.get("tags", []):
                continue
            is_prose = re.match(r"\s*say\(", cell.source)
            assert is_prose or len(cell.source.splitlines()) <= 8, cell.source
            tree = ast.parse(re.sub(r"^%.*$", "", cell.source, flags=re.MULTILINE))
            classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
            assert not classes, "models belong in src"


def test_every_page_is_in_the_toc() -> None:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = {toc["root"]} | set(re.findall(r"'file': '([^']+)'", str(toc)))
    pages = {str(path.relative_to(ROOT).with_suffix("")) for path in PAGES}
    pages |= {str(path.relative_to(ROOT).with_suffix("")) for path in (ROOT / "chapters").rglob("*.md")}
    assert pages == listed


def test_instructors_find_every_page_of_every_chapter() -> None:
    plan = (ROOT / "chapters" / "back" / "for_instructors.md").read_text()
    pages = {str(path.relative_to(ROOT / "chapters")) for path in PAGES}
    linked = set(re.findall(r"\]\(\.\./([\w/]+\.ipynb)", plan))
    assert {page for page in pages if "/" in page and not page.startswith("back/")} <= linked


@every_page
def test_labels_are_linked_on_their_own_page(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells)
    linked = set(re.findall(r"\]\(((?:thm|prop|lem|def|cor|ex)-[\w-]+)\)", text))
    strange = sorted(linked - set(re.findall(r":label: ([\w-]+)", text)))
    assert not strange, f"Jupyter Book finds no label of another page; link the page instead of {strange}"


@every_page
def test_no_typed_number_where_results_are_told(path: Path) -> None:
    """Under a heading that tells results, numbers stand in cells and come from the record."""
    section = ""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "markdown":
            continue
        for line in cell.source.splitlines():
            if line.startswith("#"):
                section = line.strip("# ").lower()
            elif section in ("what happened", "what it shows", "at scale", "at paper scale"):
                prose = re.sub(r"\$[^$]*\$|\{[^}]+\}`[^`]*`|`[^`]*`|\[[^\]]*\]\([^)]*\)|\b(?:19|20)\d\d\b", "", line)
                assert not re.search(r"\d+\.\d+|\d+ ?%|\b\d{2,}\b", prose), f"{section}: {line}"


@every_page
def test_each_claimed_experiment_shows_its_claims(path: Path) -> None:
    """A page that loads an experiment's result also lists that experiment's claims, so no result stands unchecked."""
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    shown = set(re.findall(r"\bshow\(\s*(\w+)", text))
    claimed = set(re.findall(r"\bclaims_table\(\s*(\w+)", text))
    assert shown <= claimed


def test_no_trace_of_a_machine() -> None:
    """No download address in a lock file, and no absolute path of a machine in a committed text."""
    lock = json.loads((ROOT / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        assert re.fullmatch(r"#.*|\s*|[A-Za-z0-9._-]+(\[[\w,]+\])?==[\w.!+]+( ;.*)?", line), line
    texts = [*(ROOT / "records").glob("*.json"), *(ROOT / "chapters").rglob("*.md")]
    for path in [*MODULES, *PAGES, *texts, ROOT / "Makefile", ROOT / "README.md", ROOT / "_config.yml"]:
        assert not re.search(r"/(?:root|home|Users)/\w", path.read_text()), path
