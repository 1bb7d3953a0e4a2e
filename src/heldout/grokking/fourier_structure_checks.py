"""What the claims about the Fourier structure of trained networks measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

NETWORKS = ("MLP", "transformer")
# A transformer's moment of generalizing moves with rounding, so one of five may be late on one machine and not on another.
MOST = 0.8


def frequencies_holding(power: xr.DataArray, share: float = 0.9) -> xr.DataArray:
    """The fewest frequencies that together hold this share of the power."""
    held = np.cumsum(np.sort(power.values, axis=-1)[..., ::-1], axis=-1)
    return xr.DataArray((held < share).sum(-1) + 1, dims=[dim for dim in power.dims if dim != "frequency"])


def arm_numbers(arm: xr.Dataset, name: str) -> dict[str, float | int | str]:
    """What the page may quote of one arm (no arm dimension): medians over seeds, and the least and the most."""
    held, whole = frequencies_holding(arm.power.sel(when="after")), arm.accuracy.sel(cut="whole", pairs="held-out")
    found: dict[str, float | int | str] = {
        f"loss_{name}": float(arm.train_loss.median()),
        f"generalized_{name}": int((whole >= 0.99).sum()),
        f"holding_{name}": int(held.median()),
        f"holding_most_{name}": int(held.max()),
    }
    for what in ("gini", "tuned", "aligned"):
        for when in ("before", "after"):
            found[f"{what}_{when}_{name}"] = float(arm[what].sel(when=when).median())
    for cut in map(str, arm.cut.values):
        for pairs in map(str, arm.pairs.values):
            values = arm.accuracy.sel(cut=cut, pairs=pairs)
            key = f"{cut}_{pairs}_{name}".replace(" ", "_").replace("-", "_")
            found |= {
                key: float(values.median()),
                f"{key}_least": float(values.min()),
                f"{key}_most": float(values.max()),
            }
    return found


def without_decay(result: xr.Dataset) -> xr.Dataset:
    """The networks trained without weight decay in the places of those trained with it."""
    return result.sel(arm=[f"{name}, no decay" for name in NETWORKS]).assign_coords(arm=list(NETWORKS))


def units_are_tuned(result: xr.Dataset) -> Evidence:
    """Per seed, how much of the median unit's input one frequency explains, in the network where it is less."""
    return across_seeds(result.tuned.sel(when="after", arm=list(NETWORKS)).min("arm"), above=0.75, share=MOST)


def few_frequencies(result: xr.Dataset) -> Evidence:
    """Per seed, the Gini coefficient of the transformer's embedding."""
    return across_seeds(result.gini.sel(when="after", arm="transformer"), above=0.7, share=MOST)


def _held_out(result: xr.Dataset, cut: str) -> xr.DataArray:
    values: xr.DataArray = result.accuracy.sel(cut=cut, pairs="held-out")
    return values


def keys_carry_it(result: xr.Dataset) -> Evidence:
    """Per seed, accuracy without as many others minus that without the keys, in the network where it is less."""
    lost = _held_out(result, "without others") - _held_out(result, "without keys")
    return across_seeds(lost.sel(arm=list(NETWORKS)).min("arm"), above=0.8, share=MOST)


def keys_suffice(result: xr.Dataset) -> Evidence:
    """Per seed, held-out accuracy of the keys alone, in the network where it is less."""
    return across_seeds(_held_out(result, "only keys").sel(arm=list(NETWORKS)).min("arm"), above=0.95, share=MOST)


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
