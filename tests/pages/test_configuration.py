"""Configuration, pins and addresses: what a tool would ignore in silence."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import build_book
import fetch_site_scripts
import jupyter_book
import nbformat
import notebooks
import pytest
import yaml
from jupyter_book.config import get_final_config
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
URL: str = CONFIG["repository"]["url"]
NOTEBOOKS = sorted((ROOT / "chapters").rglob("*.ipynb"))


def known_keys(schema: dict[str, Any], defaults: dict[str, Any], path: str = "") -> set[str]:
    """Every key that Jupyter Book's schema or its list of defaults names, with its section before it."""
    properties = schema.get("properties", {})
    found: set[str] = set()
    for key in set(properties) | set(defaults):
        full = f"{path}{key}"
        found.add(full)
        inner = defaults.get(key)
        found |= known_keys(properties.get(key, {}), inner if isinstance(inner, dict) else {}, f"{full}.")
    return found


def used_keys(config: dict[str, Any], path: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in config.items():
        full = f"{path}{key}"
        found.add(full)
        if isinstance(value, dict) and full not in {"sphinx.config", "sphinx.local_extensions"}:
            found |= used_keys(value, f"{full}.")
    return found


def test_every_key_of_the_configuration_is_known() -> None:
    package = Path(jupyter_book.__file__).parent
    schema = json.loads((package / "config_schema.json").read_text())
    defaults = yaml.safe_load((package / "default_config.yml").read_text())
    assert used_keys(CONFIG) - known_keys(schema, defaults) == set()
    misspelt = CONFIG | {"exclude_pattern": [], "html": {"favicom": ""}}
    assert used_keys(misspelt) - known_keys(schema, defaults) == {"exclude_pattern", "html.favicom"}


def test_every_sphinx_value_is_known(tmp_path: Path) -> None:
    final, _ = get_final_config(
        sourcedir=ROOT, user_yaml=ROOT / "_config.yml", cli_config={"latex_individualpages": False}
    )
    (tmp_path / "index.rst").write_text("x\n=\n")
    final |= {"external_toc_path": str(ROOT / "_toc.yml")}
    overrides = {key: value for key, value in final.items() if value is not None}
    app = Sphinx(str(ROOT), None, str(tmp_path / "out"), str(tmp_path / "doc"), "html", overrides, status=None)
    unknown = [key for key in CONFIG["sphinx"]["config"] if key not in app.config]
    assert unknown == []


def test_no_widget_scripts_and_no_static_folder() -> None:
    assert CONFIG["sphinx"]["config"]["nb_ipywidgets_js"] == {}
    # Jupyter Book loads every script and style below a folder of that name on every page.
    assert not (ROOT / "_static").exists()


def test_every_page_has_a_file_and_every_file_a_page() -> None:
    assert build_book.source_problems(ROOT) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_notebook_is_clean_and_begins_with_the_colab_cell(path: Path) -> None:
    assert notebooks.problems(nbformat.read(path, as_version=4), URL) == []


def test_the_colab_cell_is_short_and_does_nothing_elsewhere() -> None:
    source = notebooks.colab_source(URL)
    assert len(source.splitlines()) <= 6
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    asked: list[str] = []
    shell.register_magic_function(asked.append, magic_name="pip")
    assert shell.run_cell(source).success
    assert asked == []
    sys.modules["google.colab"] = sys.modules[__name__]
    try:
        assert shell.run_cell(source).success
    finally:
        del sys.modules["google.colab"]
    assert asked == [f'install --quiet "git+{URL}"']


def test_the_repository_has_one_address() -> None:
    name = URL.rsplit("/", 1)[-1]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    others = {}
    for file in (ROOT / line for line in listed if line):
        if not file.is_file() or file.suffix in {".nc", ".png", ".npz", ".gz"}:
            continue
        text = file.read_text(encoding="utf-8", errors="ignore")
        found = set(re.findall(rf"https://[\w./-]*/{re.escape(name)}(?=[\s\"'>)<#?/.\\]|$)", text)) - {URL}
        if found:
            others[file.relative_to(ROOT).as_posix()] = found
    assert others == {}
    assert PROJECT["urls"]["Repository"] == URL
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["repository-code"] == URL
    assert URL in (ROOT / "README.md").read_text()


def pins(path: Path) -> dict[str, str]:
    """Return name to version of a requirements file, which may hold exact pins and nothing else."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("--extra-index-url") and path.parent.name == ".binder":
            continue
        requirement = Requirement(line)
        assert re.fullmatch(r"==[\w.+!]+", str(requirement.specifier)), f"{line} is not an exact pin"
        assert requirement.url is None
        found[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return found


def test_the_lock_pins_everything_the_project_asks_for() -> None:
    lock = pins(ROOT / "requirements.txt")
    asked = PROJECT["dependencies"] + [name for extra in PROJECT["optional-dependencies"].values() for name in extra]
    for requirement in map(Requirement, asked):
        version = lock.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in requirements.txt"
        assert version in requirement.specifier, f"requirements.txt has {requirement.name} {version}"
    assert lock["jupyter-book"] == "1.0.4.post1"
    assert lock["torch"] == "2.13.0"


def test_every_package_that_the_library_imports_is_declared() -> None:
    from importlib.metadata import packages_distributions

    imported = (
        {
            line.split()[1].split(".")[0]
            for file in (ROOT / "src").rglob("*.py")
            for line in file.read_text(encoding="utf-8").splitlines()
            if re.match(r"\s*(import|from) [a-zA-Z]", line) and " import " in f" {line.strip()} "
        }
        - set(sys.stdlib_module_names)
        - {"heldout"}
    )
    owners = packages_distributions()
    declared = {canonicalize_name(Requirement(name).name) for name in PROJECT["dependencies"]}
    undeclared = {
        module for module in imported if not declared & {canonicalize_name(n) for n in owners.get(module, [])}
    }
    assert undeclared == set()


def test_the_lock_is_what_is_installed() -> None:
    from importlib.metadata import version

    lock = pins(ROOT / "requirements.txt")
    assert {name: version(name).removesuffix("+cpu") for name in lock} == lock


def test_binder_holds_what_the_package_and_the_lab_need() -> None:
    lock = pins(ROOT / "requirements.txt")
    binder = pins(ROOT / ".binder" / "requirements.txt")
    for name, version in binder.items():
        assert version.removesuffix("+cpu") == lock[name]
    asked = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["lab"]
    assert {canonicalize_name(Requirement(name).name) for name in asked} <= set(binder)
    assert binder["torch"].endswith("+cpu"), "the CUDA build does not fit into Binder's memory and disk"
    assert not {"jupyter-book", "playwright"} & set(binder), "tools of the build do not belong there"
    assert (ROOT / ".binder" / "runtime.txt").read_text().strip() == "python-3.11"
    for script in ("postBuild", "start"):
        file = ROOT / ".binder" / script
        assert file.stat().st_mode & stat.S_IXUSR, f"{script} is not executable"
        assert file.read_text().startswith("#!")
    assert (ROOT / ".binder" / "start").read_text().rstrip().endswith('exec "$@"')


def test_scripts_of_the_site_are_pinned_without_addresses() -> None:
    manifest = json.loads((ROOT / "package.json").read_text())
    lock = json.loads((ROOT / "package-lock.json").read_text())
    for name, version in (manifest["dependencies"] | manifest["devDependencies"]).items():
        assert re.fullmatch(r"[\d.]+", version), f"{name} {version} is not an exact pin"
        locked = lock["packages"][f"node_modules/{name}"]
        assert locked["version"] == version
        assert locked["integrity"].startswith("sha512-")
    assert "resolved" not in json.dumps(lock)
    assert re.fullmatch(r"[\w-]+==[\d.]+", fetch_site_scripts.NODE_WHEEL)
