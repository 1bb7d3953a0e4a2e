"""What the claims on the small world measure on a record."""

import xarray as xr

from heldout.claims import Evidence, across_seeds

KNOWN = 0.98  # share of lines right: the gate of the chapter
GATES = ["apply", "define", "invert"]
COMPUTING = ["apply", "invert"]


def chance(result: xr.Dataset) -> float:
    """Share of unseen names whose nearest other one would be a synonym if rows lay at random."""
    count = result.attrs["unseen"] * result.synonyms
    return float((result.synonyms - 1) / (count - 1))


def turning_point(result: xr.Dataset, task: str) -> xr.DataArray:
    """Per seed, the smallest share of the other row at which half of the answers are the other function's; NaN if none is."""
    part = result.way.sel(task=task, answer="other").mean("pair")
    turn: xr.DataArray = result.share.where(part >= 0.5).min("share")
    return turn


def of_a_third(result: xr.Dataset, task: str) -> xr.DataArray:
    """Per seed, the largest share of answers over all mixtures that are neither function's."""
    third: xr.DataArray = (1 - result.way.sel(task=task).sum("answer").mean("pair")).max("share")
    return third


def learned(result: xr.Dataset) -> Evidence:
    """Per seed, the lowest share of right lines over the tasks of the gate, for names of defined functions."""
    return across_seeds(result.accuracy.sel(group="defined", task=GATES).min("task"), above=KNOWN)


def applied(result: xr.Dataset) -> Evidence:
    """A manipulation check: the same without definitions."""
    return across_seeds(result.accuracy.sel(group="defined", task=COMPUTING).min("task"), above=KNOWN)


def synonyms_meet(result: xr.Dataset) -> Evidence:
    """Per seed, the lower share of names beside a synonym, at the embedding, of defined and never defined functions."""
    return across_seeds(result.nearest.sel(group=["defined", "undefined"], depth=0).min("group"), above=0.95)


def unseen_names(result: xr.Dataset) -> xr.Dataset:
    """The record with the unseen functions' names in the place of all others, in what concerns their rows."""
    return result.assign(nearest=result.nearest.sel(group="unseen", drop=True).expand_dims(group=result.group))


def learned_known(result: xr.Dataset) -> Evidence:
    """A manipulation check: the decoders are as well trained."""
    return learned(result)


def row_decides(result: xr.Dataset) -> Evidence:
    """Per seed, the lowest share of answers over tasks that follow the function put in at the first depth of the record."""
    return across_seeds(result.follows.sel(answer="other").isel(depth=0).min("task"), above=0.95)


def one_layer_later(result: xr.Dataset) -> xr.Dataset:
    """The record from the second depth on."""
    return result.isel(depth=slice(1, None))


def stays_itself(result: xr.Dataset) -> Evidence:
    """A manipulation check: after the exchange application still answers, with the name's own function."""
    return across_seeds(result.follows.sel(answer="own", task="apply").isel(depth=0), above=0.5)


def cannot_say(result: xr.Dataset) -> Evidence:
    """Per seed, the share of definitions right of never defined names; not a number where they are not computed with."""
    own = result.accuracy.sel(group="undefined")
    computed = own.sel(task=COMPUTING).min("task") > 0.95
    return across_seeds(own.sel(task="define").where(computed), below=0.34)


def defined_names(result: xr.Dataset) -> xr.Dataset:
    """The record with the defined functions' names in the place of all others."""
    return result.assign(accuracy=result.accuracy.sel(group="defined", drop=True).expand_dims(group=result.group))


def computes(result: xr.Dataset) -> Evidence:
    """A manipulation check: the names are applied and inverted."""
    return across_seeds(result.accuracy.sel(group="undefined", task=COMPUTING).min("task"), above=0.95)
