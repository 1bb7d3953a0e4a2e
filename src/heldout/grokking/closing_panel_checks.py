"""The pairs of the closing panel, what its claims measure on a record, and the controls' changes of it."""

import numpy as np
import xarray as xr

from heldout import distances
from heldout.claims import Evidence, across_seeds
from heldout.distances import Pair

GROKKED, MEMORY, TRANSFORMER = "grokked", "memory", "transformer"
OTHER_GROKKED, OTHER_MEMORY = "another grokked", "another memory"
UNITS = "with 3 units"
PAIRS = (
    Pair(first=GROKKED, second=MEMORY, kind="natural"),
    Pair(first=MEMORY, second=OTHER_MEMORY, kind="natural"),
    Pair(first=GROKKED, second=TRANSFORMER, kind="natural"),
    Pair(first=GROKKED, second=UNITS, kind="constructed"),
)
RULE_AND_MEMORY, MEMORIES, MECHANISMS, BUILT = (pair.name for pair in PAIRS)
RULER = Pair(first=GROKKED, second=OTHER_GROKKED, kind="natural")


def _close(result: xr.Dataset, pair: str, *sets: str) -> xr.DataArray:
    """Per seed, whether a pair is within RISEN on all of the sets."""
    close: xr.DataArray = (result.distance.sel(pair=pair, set=list(sets)) <= distances.RISEN).all("set")
    return close.drop_vars("pair")


def memory_parts(result: xr.Dataset) -> Evidence:
    """Per seed, test distance of the grokked network from the memory; NaN where they differ on the training pairs."""
    apart = result.distance.sel(pair=RULE_AND_MEMORY, set="test")
    return across_seeds(apart.where(_close(result, RULE_AND_MEMORY, "train")), above=0.5)


def rule_agrees(result: xr.Dataset) -> Evidence:
    """Per seed, the larger test distance of the grokked network from the transformer and from another draw."""
    apart = np.maximum(result.distance.sel(pair=MECHANISMS, set="test"), result.yardstick.sel(set="test"))
    return across_seeds(apart, below=distances.RISEN, share=0.8)


def parts_elsewhere(result: xr.Dataset) -> Evidence:
    """Per seed, the least elsewhere distance of the pairs that agree on training and held-out pairs, over the yardstick's there.

    NaN where a pair does not agree.
    """
    agreed = _close(result, MECHANISMS, "train", "test") & _close(result, BUILT, "train", "test")
    apart = result.distance.sel(pair=[MECHANISMS, BUILT], set="elsewhere").min("pair")
    return across_seeds((apart / result.yardstick.sel(set="elsewhere")).where(agreed), above=1.5, share=0.8)


def matched(result: xr.Dataset) -> Evidence:
    """A manipulation check: the largest difference of the training losses."""
    return across_seeds(result.loss_difference.max("pair", skipna=False), below=1e-6)


def rule_for_memory(result: xr.Dataset) -> xr.Dataset:
    """Two draws of the grokked network in the place of every pair."""
    return _in_every_place(result, result.yardstick)


def memory_for_rule(result: xr.Dataset) -> xr.Dataset:
    """Two draws of the memory in the place of every pair and of the yardstick."""
    measured = result.distance.sel(pair=MEMORIES, drop=True)
    return _in_every_place(result, measured).assign(yardstick=measured)


def _in_every_place(result: xr.Dataset, measured: xr.DataArray) -> xr.Dataset:
    return result.assign(distance=measured.expand_dims(pair=result.pair).transpose(*result.distance.dims))
