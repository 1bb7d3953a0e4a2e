"""Fashion-MNIST: pictures of clothes, 28 x 28 pixels, ten classes (Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747).

License: MIT (Zalando SE). 60,000 + 10,000, of the size and form of MNIST, in Debian's package dataset-fashion-mnist.
Checksum of the four files one after the other: FULL.sha256.
"""

import functools
import gzip
import shutil
import subprocess
import tempfile
from pathlib import Path

from heldout.data import idx
from heldout.data.samples import DataError, Samples, Source, data_directory, verify

PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")  # where the package puts the files once it is installed
FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")

FULL = Source(
    name="fashion-mnist",
    says="all of Fashion-MNIST: 60,000 training and 10,000 test pictures of clothes",
    package=f"{PACKAGE} (Debian)",
    license="MIT",
    sha256="362ba1f5424f406d0db9c78b0e83db011b09c121c5c5f94ee5c077628f9adb5c",
    what_is_hashed="the four compressed files, one after the other",
    is_present=lambda: all(path.exists() for path in paths(folder())),
)


def full() -> tuple[Samples, Samples]:
    """All of Fashion-MNIST: the 60,000 training and the 10,000 test pictures, in their canonical order.

    Raises:
        DataError: it was not fetched (the message says the command), or a file is damaged.
    """
    if not FULL.present:
        raise DataError(f"fashion-mnist: not on this machine ({folder()}); run `heldout data fetch fashion-mnist`")
    return _decoded(folder(), max(path.stat().st_mtime_ns for path in paths(folder())))


@functools.lru_cache(maxsize=1)
def _decoded(place: Path, _modified: int) -> tuple[Samples, Samples]:
    """The four files, read once a process (220 MB)."""
    images, labels, test_images, test_labels = (idx.decode(gzip.decompress(content)) for content in _verified(place))
    return idx.samples(images, labels), idx.samples(test_images, test_labels)


def _verified(place: Path) -> list[bytes]:
    contents = [path.read_bytes() for path in paths(place)]
    verify(FULL, b"".join(contents))
    return contents


def folder() -> Path:
    """Where the four files lie once fetched."""
    return data_directory() / FULL.name


def paths(place: Path) -> list[Path]:
    """The four files in a folder, in the order in which they are hashed."""
    return [place / f"{name}-ubyte.gz" for name in FILES]


def fetch() -> Path:
    """Take the files from the installed Debian package, or fetch it with apt; verify them; put them in place in one step.

    Needs no rights beyond the reader's own: the package is unpacked, not installed.

    Raises:
        DataError: apt is missing or fails, or what came is not what was expected; nothing is left behind.
    """
    place = folder()
    if FULL.present:
        _verified(place)
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
        source = INSTALLED if INSTALLED.exists() else _unpacked(Path(temporary))
        gathered = Path(temporary) / "gathered"
        gathered.mkdir()
        for path in paths(source):
            if path.exists():
                shutil.copyfile(path, gathered / path.name)
        verify(FULL, b"".join(path.read_bytes() for path in paths(gathered) if path.exists()))
        shutil.rmtree(place, ignore_errors=True)  # what an interrupted copy may have left there
        gathered.replace(place)
    return place


def _unpacked(temporary: Path) -> Path:
    """Download the package into a folder and unpack it there."""
    _call(["apt-get", "download", PACKAGE], temporary, hint="; `apt-get update` renews the package lists")
    archives = list(temporary.glob(f"{PACKAGE}_*.deb"))
    if not archives:
        raise DataError(f"fashion-mnist: `apt-get download {PACKAGE}` brought no package")
    _call(["dpkg-deb", "-x", str(archives[0]), "unpacked"], temporary)
    return temporary / "unpacked" / INSTALLED.relative_to("/")


def _call(command: list[str], where: Path, hint: str = "") -> None:
    if shutil.which(command[0]) is None:
        raise DataError(
            f"fashion-mnist: {command[0]} is needed and was not found; on a machine without Debian's tools put "
            f"the four files of the package {PACKAGE} into {folder()}"
        )
    finished = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if finished.returncode:
        said = finished.stderr.strip()[-300:]
        raise DataError(f"fashion-mnist: `{' '.join(command[:2])}` failed: {said}{hint}")
