"""Checkpoints: named arrays in one ``.npz`` file without pickle, replaced atomically and tied to the run's arguments."""

import os
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

FINGERPRINT = "fingerprint"


def save(path: Path, arrays: dict[str, np.ndarray], digest: str) -> None:
    """Write the arrays beside ``path``, force them to the disk, and rename: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **{FINGERPRINT: np.array(digest)}, **arrays)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load(path: Path, digest: str) -> dict[str, np.ndarray]:
    """Read the arrays back.

    Raises:
        ValueError: the file was written by a run with other arguments, or is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, AttributeError, TypeError) as error:
        # NumPy raises the last two when the file holds a bare array.
        raise ValueError(
            f"checkpoint={str(path)!r}: must be a whole file that a training wrote; this one is cut short or damaged "
            f"({error}): delete it to start again"
        ) from error
    found = str(arrays.pop(FINGERPRINT, ""))
    if found != digest:
        raise ValueError(
            f"checkpoint={str(path)!r}: must come from a run with the same members, data and arguments "
            f"(its fingerprint is {found[:12]}, this run's is {digest[:12]}); delete it or name another file"
        )
    return arrays
