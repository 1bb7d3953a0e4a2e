"""What the claims about the Fourier structure of trained networks measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

NETWORKS = ("MLP", "transformer")


def frequencies_holding(power: xr.DataArray, share: float = 0.9) -> xr.DataArray:
    """The fewest frequencies that together hold this share of the power."""
    held = np.cumsum(np.sort(power.values, axis=-1)[..., ::-1], axis=-1)
    return xr.DataArray((held < share).sum(-1) + 1, dims=[dim for dim in power.dims if dim != "frequency"])


def without_decay(result: xr.Dataset) -> xr.Dataset:
    """The networks trained without weight decay in the places of those trained with it."""
    return result.sel(arm=[f"{name}, no decay" for name in NETWORKS]).assign_coords(arm=list(NETWORKS))


def units_are_tuned(result: xr.Dataset) -> Evidence:
    """Per seed, how much of the median unit's input one frequency explains, in the network where it is less."""
    return across_seeds(result.tuned.sel(when="after", arm=list(NETWORKS)).min("arm"), above=0.75)


def few_frequencies(result: xr.Dataset) -> Evidence:
    """Per seed, the Gini coefficient of the transformer's embedding."""
    return across_seeds(result.gini.sel(when="after", arm="transformer"), above=0.7)


def _held_out(result: xr.Dataset, cut: str) -> xr.DataArray:
    values: xr.DataArray = result.accuracy.sel(cut=cut, pairs="held-out")
    return values


def keys_carry_it(result: xr.Dataset) -> Evidence:
    """Per seed, accuracy without as many others minus that without the keys, in the network where it is less."""
    lost = _held_out(result, "without others") - _held_out(result, "without keys")
    return across_seeds(lost.sel(arm=list(NETWORKS)).min("arm"), above=0.8)


def keys_suffice(result: xr.Dataset) -> Evidence:
    """Per seed, held-out accuracy of the keys alone, in the network where it is less."""
    return across_seeds(_held_out(result, "only keys").sel(arm=list(NETWORKS)).min("arm"), above=0.95)


def phases_add(result: xr.Dataset) -> Evidence:
    """Per seed, the alignment of phases in the memorizing MLP after training."""
    return across_seeds(result.aligned.sel(when="after", arm="MLP, no decay"), above=0.8)


def memorizer_holds_it(result: xr.Dataset) -> Evidence:
    """Per seed, held-out accuracy of the memorizing MLP after the cut; minus infinity where it was 0.1 or more before."""
    mine = result.sel(arm="MLP, no decay")
    return across_seeds(_held_out(mine, "only keys").where(_held_out(mine, "whole") < 0.1, -np.inf), above=0.9)


def memorized(result: xr.Dataset) -> Evidence:
    """A manipulation check: all training pairs are answered, fewer than half of the others."""
    whole = result.accuracy.sel(cut="whole")
    fitted = whole.sel(pairs="training").min("arm").where(whole.sel(pairs="held-out").max("arm") < 0.5, -np.inf)
    return across_seeds(fitted, above=0.999)
