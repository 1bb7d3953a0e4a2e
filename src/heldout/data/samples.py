"""What every data set looks like to an experiment, and the checks that stand between a file and that form."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.devices import generator


class DataError(ValueError):
    """A data set is missing, damaged or unknown. The message says what to do about it."""


@dataclass(frozen=True)
class Samples:
    """Inputs and targets, one sample a row, on the CPU.

    Attributes:
        x: inputs; pixels lie in [0, 1], tabular columns keep their own units.
        y: class labels 0, 1, ... for images, real targets for tabular data.
        columns: names of the columns of ``x``, with units where they have one; empty for images.
    """

    x: Float[Tensor, "samples features"]
    y: Int[Tensor, " samples"] | Float[Tensor, " samples"]
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: slice | Int[Tensor, " rows"]) -> "Samples":
        return Samples(self.x[rows], self.y[rows], self.columns)

    def shuffled(self, *coordinates: int | float | str) -> "Samples":
        """The same rows in an order drawn from the generator of the named coordinates."""
        return self[torch.randperm(len(self), generator=generator("shuffle", *coordinates))]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a data set comes from. ``sha256`` is of ``what_is_hashed``; ``present`` tells whether it can be loaded here."""

    name: str
    says: str
    package: str
    license: str
    sha256: str
    what_is_hashed: str
    is_present: Callable[[], bool] = lambda: True

    @property
    def present(self) -> bool:
        """Whether the data set can be loaded on this machine now."""
        return self.is_present()


def data_directory() -> Path:
    """Where fetched data sets are kept: ``HELDOUT_DATA``, else a folder of the platform's cache."""
    return Path(os.environ.get("HELDOUT_DATA") or Path(platformdirs.user_cache_dir("heldout")) / "data")


def verify(source: Source, content: bytes) -> bytes:
    """Hand ``content`` back if it has the source's checksum.

    Raises:
        DataError: it has another one.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256:
        raise DataError(
            f"{source.name}: {source.what_is_hashed} from {source.package} has SHA-256 {found[:12]}..., "
            f"must be {source.sha256[:12]}...; install the version pinned in requirements.txt or fetch it again"
        )
    return content
