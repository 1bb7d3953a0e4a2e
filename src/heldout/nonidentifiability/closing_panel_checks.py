"""The pairs of the closing panel, what its claims measure on a record, and the controls' changes of it."""

import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.distances import RISEN, Pair

PLAIN, OTHER_PLAIN, ORACLE, OTHER_ORACLE = "plain", "another plain", "oracle", "another oracle"
ADVERSARY, DEEP = "adversary", "deeper"
PAIRS = (
    Pair(first=ORACLE, second=OTHER_ORACLE, kind="constructed"),
    Pair(first=PLAIN, second=DEEP, kind="natural"),
    Pair(first=PLAIN, second=ORACLE, kind="constructed"),
    Pair(first=ORACLE, second=ADVERSARY, kind="constructed"),
)
ORACLES, DEPTHS, PLAIN_AND_ORACLE, OPPOSITE = (pair.name for pair in PAIRS)
RULER = Pair(first=PLAIN, second=OTHER_PLAIN, kind="natural")


def _agreed(result: xr.Dataset, pair: str) -> xr.DataArray:
    """Per seed, the elsewhere distance of a pair; NaN where the two are apart on the data."""
    own = result.distance.sel(pair=pair, drop=True)
    found: xr.DataArray = own.sel(set="elsewhere", drop=True).where((own.sel(set=["train", "test"]) < RISEN).all("set"))
    return found


def opposite_elsewhere(result: xr.Dataset) -> Evidence:
    """Per seed, oracle and adversary after untaught prompts; NaN where they are apart on the data."""
    return across_seeds(_agreed(result, OPPOSITE), above=0.9)


def starts_part(result: xr.Dataset) -> Evidence:
    """Per seed, two plain starts after untaught prompts; NaN where they are apart on the data."""
    ruler = result.yardstick
    close = (ruler.sel(set=["train", "test"]) < RISEN).all("set")
    return across_seeds(ruler.sel(set="elsewhere").where(close), above=0.1)


def depth_like_a_start(result: xr.Dataset) -> Evidence:
    """Per seed, the difference of the deeper network's distance from the plain one and another start's, elsewhere."""
    return across_seeds(
        abs(_agreed(result, DEPTHS) - result.yardstick.sel(set="elsewhere", drop=True)), below=0.3, share=0.8
    )


def lessons_close(result: xr.Dataset) -> Evidence:
    """Per seed, two starts taught the most prompts; NaN where they are apart on the data, or as near when taught the fewest."""
    apart = result.start_distance
    kept = (result.start_test.isel(dose=-1) < RISEN) & (apart.isel(dose=1) > 0.1)
    return across_seeds(apart.isel(dose=-1).where(kept), below=RISEN, share=0.8)


def matched(result: xr.Dataset) -> Evidence:
    """A manipulation check: the largest difference of the matched divergences, nats a sequence."""
    return across_seeds(result.loss_difference.max("pair", skipna=False), below=1e-6)


def taught_for_plain(result: xr.Dataset) -> xr.Dataset:
    """Two starts that were taught in the place of the two plain models."""
    return result.assign(yardstick=result.distance.sel(pair=ORACLES, drop=True))


def oracle_for_deeper(result: xr.Dataset) -> xr.Dataset:
    """The oracle in the place of the deeper network."""
    changed = result.copy(deep=True)
    changed.distance.loc[{"pair": DEPTHS}] = result.distance.sel(pair=PLAIN_AND_ORACLE).values
    return changed
