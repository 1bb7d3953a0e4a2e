"""The pairs of the closing panel, what its claims measure on a record, and the controls' changes of it."""

import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.distances import RISEN, Pair

PLAIN, OTHER_PLAIN, ORACLE, OTHER_ORACLE = "plain", "another plain", "oracle", "another oracle"
ADVERSARY, DEEP, OTHER_DEEP = "adversary", "deeper", "another deeper"
PAIRS = (
    Pair(first=ORACLE, second=OTHER_ORACLE, kind="constructed"),
    Pair(first=PLAIN, second=DEEP, kind="natural"),
    Pair(first=PLAIN, second=ORACLE, kind="constructed"),
    Pair(first=ORACLE, second=ADVERSARY, kind="constructed"),
)
ORACLES, DEPTHS, PLAIN_AND_ORACLE, OPPOSITE = (pair.name for pair in PAIRS)
RULER = Pair(first=PLAIN, second=OTHER_PLAIN, kind="natural")


def _agreed(result: xr.Dataset, pair: str) -> xr.DataArray:
    """Per seed, the elsewhere distance of a pair; NaN where the two are, or could be, apart on the data."""
    own, rest = result.distance.sel(pair=pair, drop=True), result.rest_data.sel(model=pair.split(" / "))
    most = own.sel(set="test", drop=True) + rest.min("model")
    close = (most < RISEN) & (own.sel(set="train", drop=True) < RISEN)
    found: xr.DataArray = own.sel(set="elsewhere", drop=True).where(close)
    return found


def opposite_elsewhere(result: xr.Dataset) -> Evidence:
    """Per seed, oracle and adversary after untaught prompts; NaN where they are apart on the data."""
    return across_seeds(_agreed(result, OPPOSITE), above=0.9)


def starts_part(result: xr.Dataset) -> Evidence:
    """Per seed, two plain starts after untaught prompts; NaN where they are, or could be, apart on the data."""
    return across_seeds(result.start_distance.isel(dose=0).where(result.start_test.isel(dose=0) < RISEN), above=0.2)


def depth_adds_little(result: xr.Dataset) -> Evidence:
    """Per seed, how far networks of two depths are apart elsewhere, less how far those of one depth are, either way."""
    return across_seeds(abs(result.across - result.within), below=0.15, share=0.8)


def lessons_close(result: xr.Dataset) -> Evidence:
    """Per seed, the most that two starts can be apart when taught the most prompts.

    NaN where they could be apart on the data, or are as near when taught the fewest.
    """
    kept = (result.start_test.isel(dose=-1) < RISEN) & (result.start_distance.isel(dose=1) > 0.2)
    return across_seeds(result.start_farthest.isel(dose=-1).where(kept), below=0.1)


def open_beside(result: xr.Dataset) -> Evidence:
    """Per seed, two taught starts after prompts with one letter less or one more, whichever is nearer."""
    beside = result.taught_by_length.isel(letters=[0, -1])
    return across_seeds(beside.min("letters", skipna=False), above=0.1)


def matched(result: xr.Dataset) -> Evidence:
    """A manipulation check: the largest difference of the matched divergences, nats a sequence."""
    return across_seeds(result.loss_difference.max("pair", skipna=False), below=1e-6)


def matched_and_learned(result: xr.Dataset) -> Evidence:
    """A manipulation check: the share of lessons that both starts learned; NaN where the divergences are not matched."""
    equal = result.loss_difference.max("pair", skipna=False) < 1e-6
    return across_seeds(result.learned.isel(dose=-1).where(equal), above=0.8)


def same_lessons(result: xr.Dataset) -> xr.Dataset:
    """Two oracles in the place of oracle and adversary."""
    changed = result.copy(deep=True)
    changed.distance.loc[{"pair": OPPOSITE}] = result.distance.sel(pair=ORACLES).values
    return changed


def taught_for_plain(result: xr.Dataset) -> xr.Dataset:
    """Two starts that were taught the most prompts in the place of the two plain models."""
    changed = result.copy(deep=True)
    for name in ("start_distance", "start_test"):
        changed[name][:, 0] = result[name].isel(dose=-1).values
    return changed


def oracle_for_deeper(result: xr.Dataset) -> xr.Dataset:
    """The oracle in the place of the deeper networks."""
    apart = result.distance.sel(pair=PLAIN_AND_ORACLE, set="elsewhere", drop=True)
    return result.assign(across=apart, within=result.start_distance.isel(dose=0, drop=True))


def same_length(result: xr.Dataset) -> xr.Dataset:
    """Prompts of the length that was taught, untaught ones, in the place of the other lengths."""
    own = result.taught_by_length.isel(letters=[1, 1, 1]).values
    return result.assign(taught_by_length=result.taught_by_length.copy(data=own))
