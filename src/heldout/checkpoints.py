"""Checkpoints: named arrays in one ``.npz`` file without pickle, replaced atomically and tied to the run's arguments."""

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
from torch import Tensor

FINGERPRINT = "fingerprint"


def fingerprint(*parts: object) -> str:
    """A digest of everything that decides a run: arrays by their bytes, the rest by its text."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            part = part.detach().cpu().numpy()
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode() + part.tobytes())
        else:
            digest.update(repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


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
        ValueError: the file was written by a run with other arguments.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    found = str(arrays.pop(FINGERPRINT, ""))
    if found != digest:
        raise ValueError(
            f"checkpoint={str(path)!r}: must come from a run with the same members, data and arguments "
            f"(its fingerprint is {found[:12]}, this run's is {digest[:12]}); delete it or name another file"
        )
    return arrays
