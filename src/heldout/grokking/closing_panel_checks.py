"""The pairs of the closing panel, what its claims measure on a record, and the controls' changes of it."""

import numpy as np
import xarray as xr

from heldout import distances
from heldout.claims import Evidence, across_seeds
from heldout.distances import Pair

GROKKED, MEMORY, TRANSFORMER = "grokked", "memory", "transformer"
OTHER_GROKKED, OTHER_MEMORY = "another grokked", "another memory"
UNITS, SHIFTED = "with 3 units", "weights shifted"
PAIRS = (
    Pair(first=GROKKED, second=MEMORY, kind="natural"),
    Pair(first=MEMORY, second=OTHER_MEMORY, kind="natural"),
    Pair(first=GROKKED, second=TRANSFORMER, kind="natural"),
    Pair(first=GROKKED, second=UNITS, kind="constructed"),
)
RULE_AND_MEMORY, MEMORIES, MECHANISMS, BUILT = (pair.name for pair in PAIRS)
RULER = Pair(first=GROKKED, second=OTHER_GROKKED, kind="natural")
SAME = Pair(first=GROKKED, second=SHIFTED, kind="constructed")


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
    """Per seed, the least elsewhere distance of the pairs that agree on training and held-out pairs; NaN where one does not."""
    agreed = _close(result, MECHANISMS, "train", "test") & _close(result, BUILT, "train", "test")
    apart = result.distance.sel(pair=[MECHANISMS, BUILT], set="elsewhere").min("pair")
    return across_seeds(apart.where(agreed), above=distances.RISEN, share=0.8)


def matched(result: xr.Dataset) -> Evidence:
    """A manipulation check: the largest difference of the training losses."""
    return across_seeds(result.loss_difference.max("pair", skipna=False), below=1e-6)


def matched_and_moved(result: xr.Dataset) -> Evidence:
    """A manipulation check: how far the weights are shifted; NaN where the training losses are not matched."""
    fine = result.loss_difference.max("pair", skipna=False) < 1e-6
    return across_seeds(result["shift"].where(fine), above=0.1)


def rule_for_memory(result: xr.Dataset) -> xr.Dataset:
    """Two draws of the grokked network in the place of every pair."""
    return _in_every_place(result, result.yardstick)


def memory_for_rule(result: xr.Dataset) -> xr.Dataset:
    """Two draws of the memory in the place of every pair and of the yardstick."""
    measured = result.distance.sel(pair=MEMORIES, drop=True)
    return _in_every_place(result, measured).assign(yardstick=measured)


def shift_for_every_pair(result: xr.Dataset) -> xr.Dataset:
    """The network with shifted weights in the place of every partner."""
    return _in_every_place(result, result.control_distance)


def _in_every_place(result: xr.Dataset, measured: xr.DataArray) -> xr.Dataset:
    return result.assign(distance=measured.expand_dims(pair=result.pair).transpose(*result.distance.dims))
