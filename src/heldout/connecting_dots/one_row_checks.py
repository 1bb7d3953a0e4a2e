"""What the claims on one trained row measure on a record."""

import xarray as xr

from heldout.claims import Evidence, across_seeds

KNOWN = 0.98  # share of lines right: the gate of the chapter
FITTED = 0.96
GATES = ["apply", "define", "invert"]


def says(result: xr.Dataset, mode: str = "row") -> xr.DataArray:
    """Per seed, the share of definitions right for new names of defined functions; NaN where the trained pairs are not right."""
    own = result.sel(mode=mode, group="defined")
    told: xr.DataArray = own.right.sel(task="define").where(own.observed >= KNOWN)
    return told


def row_suffices(result: xr.Dataset) -> Evidence:
    """Per seed, definitions right after training the row alone, where the trained pairs are."""
    return across_seeds(says(result), above=0.8, share=0.8)


def all_but_the_row(result: xr.Dataset) -> xr.Dataset:
    """The record with everything but the row trained, in the place of the row."""
    return _in_place_of_the_row(result, "all but the row")


def as_well_trained(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, trained pairs right and old names as well known as before, the lowest share."""
    own = result.sel(mode="row")
    known = own.old.sel(task=GATES).min("task")
    lowest = xr.concat([own.observed.sel(group="defined", drop=True), known], "part", join="outer").min("part")
    return across_seeds(lowest, above=FITTED, share=0.8)


def goes_beyond(result: xr.Dataset) -> Evidence:
    """Per seed, the lowest share right on held-out pairs, inversions and compositions after training the row alone."""
    own = result.sel(mode="row", group="defined")
    asked = own.right.sel(task=["invert", "compose"], drop=True).min("task")
    return across_seeds(xr.concat([asked, own.held_out], "part", join="outer").min("part"), above=0.8, share=0.8)


def not_defined(result: xr.Dataset) -> Evidence:
    """Per seed, definitions right for functions that pretraining never defines; NaN where they are not applied to held-out x."""
    own = result.sel(mode="row", group="undefined")
    return across_seeds(own.right.sel(task="define").where(own.right.sel(task="apply") >= 0.9), below=0.34, share=0.8)


def defined_functions(result: xr.Dataset) -> xr.Dataset:
    """The record with defined functions in the place of the others."""
    own = result.sel(group="defined", drop=True)
    return result.assign(
        {
            name: own[name].expand_dims(group=result.group)
            for name in ("right", "observed", "held_out", "fitted", "fitted_define", "fitted_held_out")
        }
    )


def applied(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, application right for the same new names, on all x."""
    return across_seeds(result.right.sel(mode="row", group="undefined", task="apply"), above=0.9, share=0.8)


def not_found(result: xr.Dataset) -> Evidence:
    """Per seed, the higher share right of definitions and of held-out pairs for functions that pretraining never shows.

    Only functions whose trained pairs are all right are counted; NaN where there is none.
    """
    own = result.sel(mode="row", group="unseen")
    both = xr.concat([own.fitted_define, own.fitted_held_out], "part", join="outer")
    return across_seeds(both.max("part"), below=0.34, share=0.8)


def fitted(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the share of the group's functions with all trained pairs right."""
    return across_seeds(result.fitted.sel(mode="row", group="unseen"), above=0.6, share=0.8)


def by_hand(result: xr.Dataset) -> Evidence:
    """Per seed, the lowest share right over tasks for rows set by hand."""
    return across_seeds(result.right.sel(mode="hand", group="defined").min("task"), above=0.95)


def mixed_by_hand(result: xr.Dataset) -> xr.Dataset:
    """The record with rows set by hand from names of two functions, half of them the next one's."""
    return result.assign(right=result.right.where(result.mode != "hand", result.mixed))


def known_before(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the lowest share right of old names."""
    return across_seeds(result.known.sel(task=GATES).min("task"), above=KNOWN)


def _in_place_of_the_row(result: xr.Dataset, mode: str) -> xr.Dataset:
    other = result.sel(mode=mode, drop=True)
    place = (result.mode == "row").values
    changed = {}
    for name in ("right", "observed", "held_out", "loss", "old"):
        value = result[name]
        changed[name] = value.where(xr.DataArray(~place, dims="mode", coords={"mode": result.mode}), other[name])
    return result.assign(changed)
