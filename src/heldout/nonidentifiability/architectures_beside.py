"""What a page quotes of three records of architectures together: the families, forgetful state spaces, and other rates."""

import xarray as xr

from heldout.nonidentifiability.architectures_numbers import beside


def numbers(records: tuple[xr.Dataset, xr.Dataset, xr.Dataset]) -> dict[str, float | int | str]:
    """The numbers of the page's record, with those of the others, see :func:`beside`."""
    return beside(*records)
