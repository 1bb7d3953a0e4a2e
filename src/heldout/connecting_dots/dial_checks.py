"""What the claims on the dial measure on a record."""

import xarray as xr

from heldout.claims import Evidence, across_seeds

ALONE, UNTOUCHED = "row alone", "untouched"
KNOWN = 0.98  # share of lines right: the gate of the chapter
GATES = ["apply", "define", "invert"]
SHARE = 0.8  # of seeds
NEAR = 2 / 3  # of the level: the lowest loss that counts as matched


def dial(result: xr.Dataset) -> xr.Dataset:
    """The settings in which all weights are trained."""
    return result.isel(setting=slice(1, None))


def _ends(result: xr.Dataset) -> xr.DataArray:
    """Right shares at the last level with the fastest and the slowest row, all weights trained."""
    ends: xr.DataArray = result.right.isel(level=-1, setting=[1, -1])
    return ends


def _fall(values: xr.DataArray) -> xr.DataArray:
    """From the first to the last setting; NaN where either is not at the level."""
    fall: xr.DataArray = values.isel(setting=0, drop=True) - values.isel(setting=-1, drop=True)
    return fall


def matched(result: xr.Dataset) -> Evidence:
    """Per seed, the lowest share right of trained pairs and old names over the dial; NaN if one is not at the level."""
    last = dial(result.isel(level=-1))
    pairs, old = last.right.sel(task="apply", drop=True), last.old.sel(task=GATES).min("task")
    near = ((last.loss <= last.level) & (last.loss >= NEAR * last.level)).all("setting")
    lowest = xr.concat([pairs, old], "part", join="outer", coords="minimal", compat="override").min(("part", "setting"))
    return across_seeds(lowest.where(near), above=KNOWN, share=SHARE)


def without_replay(result: xr.Dataset) -> xr.Dataset:
    """The record with old names, pairs and loss of the last setting as they are without replay."""
    here, last = result.setting == result.setting[-1], result.level == result.level[-1]
    return result.assign(
        old=result.old.where(~here, result.bare_old), loss=result.loss.where(~(here & last), result.bare_loss),
        right=result.right.where(~(here & last), result.bare_right),
    )  # fmt: skip


def bare_as_well_trained(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, trained pairs right without replay at the same loss."""
    level = result.level[-1]
    there = (result.bare_loss <= level) & (result.bare_loss >= NEAR * level)
    return across_seeds(result.bare_right.sel(task="apply").where(there), above=KNOWN, share=SHARE)


def words_fall(result: xr.Dataset) -> Evidence:
    """Per seed, by how much definitions right fall from the fastest to the slowest row."""
    return across_seeds(_fall(_ends(result).sel(task="define")), above=0.3, share=SHARE)


def uses_fall(result: xr.Dataset) -> Evidence:
    """Per seed, by how much inversions and compositions fall: the smaller of the two."""
    fall = _fall(_ends(result).sel(task=["invert", "compose"]))
    return across_seeds(fall.min("task", skipna=False), above=0.25, share=SHARE)


def fast_row_in_slow_rest(result: xr.Dataset) -> xr.Dataset:
    """The record with the row of the fastest setting in the slowest."""
    graft = result.grafted.isel(row_of=1, rest_of=result.sizes["setting"] - 1, drop=True)
    return result.assign(right=result.right.where(result.setting != result.setting[-1], graft))


def pairs_still_right(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, trained pairs right with the row of the fastest setting in the slowest."""
    graft = result.grafted.isel(row_of=1, rest_of=result.sizes["setting"] - 1)
    return across_seeds(graft.sel(task="apply"), above=0.85, share=SHARE)


def spread_ratio(result: xr.Dataset, task: str) -> xr.DataArray:
    """Per seed, the range over rests (mean over rows) over the range over rows (mean over rests), along the dial."""
    graft = result.grafted.sel(task=task).isel(row_of=slice(1, -1), rest_of=slice(1, -1))
    by_rest = (graft.max("rest_of") - graft.min("rest_of")).mean("row_of")
    ratio: xr.DataArray = by_rest / (graft.max("row_of") - graft.min("row_of")).mean("rest_of")
    return ratio.where(dial(result).loss.isel(level=-1).notnull().all("setting"))


def words_go_with_the_row(result: xr.Dataset) -> Evidence:
    """Per seed, that ratio for definitions."""
    return across_seeds(spread_ratio(result, "define"), below=0.5, share=SHARE)


def pairs_for_definitions(result: xr.Dataset) -> xr.Dataset:
    """The record with trained pairs in the place of definitions, in grafts."""
    return result.assign(
        grafted=result.grafted.where(result.task != "define", result.grafted.sel(task="apply", drop=True))
    )


def pairs_right(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the lowest share of trained pairs right over the dial, each with its own row."""
    return across_seeds(
        dial(result).right.isel(level=-1).sel(task="apply").min("setting", skipna=False), above=KNOWN, share=SHARE
    )


def idea_drifts(result: xr.Dataset) -> Evidence:
    """Per seed, by how much the cosine of new rows with their synonyms falls; NaN where an end is not at the level."""
    there = result.loss.isel(level=-1, setting=[1, -1]).notnull().all("setting")
    return across_seeds(_fall(result.cosine.isel(depth=0, setting=[1, -1])).where(there), above=0.3, share=SHARE)


def row_still_faster(result: xr.Dataset) -> xr.Dataset:
    """The record up to the second step of the dial, with a row that learns faster than the rest at both."""
    return result.isel(setting=slice(3))


def turned_down(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the second setting of the dial took at least a fifth more updates than the first."""
    updates = result.updates.isel(level=-1)
    return across_seeds(updates.isel(setting=2) / updates.isel(setting=1), above=1.2, share=SHARE)
