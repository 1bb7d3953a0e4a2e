"""What the claims on the dial measure on a record."""

import xarray as xr

from heldout.claims import Evidence, across_seeds

UNTOUCHED, BARE, BOTH_SLOW = "untouched", "no replay", "both slow"
NEAR = ("near, fast row", "near, slow row")
QUIET = ("near, fast row, no noise", "near, slow row, no noise")
KNOWN = 0.98  # share of lines right: the gate of the chapter
GATES = ["apply", "define", "invert"]
SHARE = 0.8  # of seeds
WITHIN = 2 / 3  # of the level: the lowest loss that counts as matched
WORDS, USES, STARTS = 0.3, 0.2, 0.2  # falls in shares right
LONGER = 3.0  # times as many updates


def dial(result: xr.Dataset) -> xr.Dataset:
    """The settings of the dial, without the runs beside it."""
    return result.isel(setting=slice(int(result.attrs["dial"])))


def _fall(values: xr.DataArray) -> xr.DataArray:
    """From the first to the last setting of the dial; NaN where either did not come down to the level."""
    fall: xr.DataArray = values.isel(setting=0, drop=True) - values.isel(setting=-1, drop=True)
    return fall


def in_place_of_the_slowest(result: xr.Dataset, name: str, only: tuple[str, ...] = ()) -> xr.Dataset:
    """The record with another run in the place of the dial's slowest setting."""
    there = xr.DataArray(result.setting == dial(result).setting[-1], dims="setting")
    by_setting = only or [str(key) for key, value in result.data_vars.items() if "setting" in value.dims]
    return result.assign(
        {key: result[key].where(~there, result[key].sel(setting=name, drop=True)) for key in by_setting}
    )


def matched(result: xr.Dataset) -> Evidence:
    """Per seed, the lowest share right of trained pairs and old names over the dial and both places.

    NaN where a loss is not at its level at one of them.
    """
    own = dial(result)
    at_level = xr.concat(
        [own.clean.isel(place=0) / own.level[-1], own.noisy.isel(place=1) / own.attrs["noisy_level"]], "place",
        coords="minimal", compat="override", join="outer",
    )  # fmt: skip
    near = ((at_level <= 1) & (at_level >= WITHIN)).all(("place", "setting"))
    pairs, old = own.right.sel(task="apply", drop=True), own.old.sel(task=GATES).min("task")
    lowest = xr.concat([pairs, old], "part", join="outer", coords="minimal", compat="override")
    return across_seeds(lowest.min(("part", "place", "setting"), skipna=False).where(near), above=KNOWN, share=SHARE)


def without_replay(result: xr.Dataset) -> xr.Dataset:
    """The record with the slowest setting as it is without replay; where that was not run, at the second place, as before."""
    bare = in_place_of_the_slowest(result, BARE)
    second = result.place == result.place[1]
    return bare.assign({name: bare[name].where(~second, result[name]) for name in ("clean", "noisy", "right", "old")})


def _trained_as_well(result: xr.Dataset, name: str) -> xr.DataArray:
    """Per seed, pairs right in a run beside the dial where its loss without noise is at the level; else NaN."""
    own = result.sel(setting=name).isel(place=0)
    there = (own.clean <= result.level[-1]) & (own.clean >= WITHIN * result.level[-1])
    pairs: xr.DataArray = own.right.sel(task="apply").where(there)
    return pairs


def bare_as_well_trained(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, trained pairs right without replay at the same loss."""
    return across_seeds(_trained_as_well(result, BARE), above=KNOWN, share=SHARE)


def words_fall(result: xr.Dataset) -> Evidence:
    """Per seed, by how much definitions right fall from the fastest to the slowest row: the smaller fall of the two places."""
    fall = _fall(dial(result).right.sel(task="define"))
    return across_seeds(fall.min("place", skipna=False), above=WORDS, share=SHARE)


def uses_fall(result: xr.Dataset) -> Evidence:
    """Per seed, by how much inversions and compositions fall: the smallest of the two and the two places."""
    fall = _fall(dial(result).right.sel(task=["invert", "compose"]))
    return across_seeds(fall.min(("task", "place"), skipna=False), above=USES, share=SHARE)


def both_slow(result: xr.Dataset) -> xr.Dataset:
    """The record with both rates slowed down alike in the place of the row's alone."""
    return in_place_of_the_slowest(result, BOTH_SLOW)


def as_long_and_as_well(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, updates with both rates slow over those of the fastest row, at the loss without noise.

    NaN where the loss is not at either level, or trained pairs or old names are not right.
    """
    own = result.sel(setting=BOTH_SLOW)
    kept = (own.right.sel(task="apply") >= KNOWN) & (own.old.sel(task=GATES) >= KNOWN).all("task")
    at_level = (own.clean.isel(place=0) >= WITHIN * result.level[-1]) & own.updates.notnull().all("place")
    longer = own.updates.isel(place=0) / dial(result).updates.isel(place=0, setting=0)
    return across_seeds(longer.where(kept.all("place") & at_level), above=LONGER, share=SHARE)


def fast_row_in_slow_rest(result: xr.Dataset) -> xr.Dataset:
    """The record with the row of the fastest setting in the slowest, at both places as at the first."""
    own = dial(result)
    graft = result.grafted.sel(row_of=own.setting[0], rest_of=own.setting[-1], drop=True)
    return result.assign(right=result.right.where(result.setting != own.setting[-1], graft))


def pairs_still_right(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, trained pairs right with the row of the fastest setting in the slowest."""
    own = dial(result)
    graft = result.grafted.sel(row_of=own.setting[0], rest_of=own.setting[-1], task="apply")
    return across_seeds(graft, above=0.85, share=SHARE)


def spread_ratio(result: xr.Dataset, task: str) -> xr.DataArray:
    """Per seed, the range over rests (mean over rows) over the range over rows (mean over rests), along the dial."""
    own = dial(result)
    graft = result.grafted.sel(task=task, row_of=own.setting.values, rest_of=own.setting.values)
    by_rest = (graft.max("rest_of") - graft.min("rest_of")).mean("row_of")
    ratio: xr.DataArray = by_rest / (graft.max("row_of") - graft.min("row_of")).mean("rest_of")
    return ratio.where(own.updates.isel(place=0).notnull().all("setting"))


def words_go_with_the_row(result: xr.Dataset) -> Evidence:
    """Per seed, that ratio for definitions."""
    return across_seeds(spread_ratio(result, "define"), below=0.5, share=SHARE)


def rest_without_replay(result: xr.Dataset) -> xr.Dataset:
    """The record with the old weights trained without replay in the place of the slowest setting's, in grafts."""
    there = result.rest_of == dial(result).setting[-1]
    return result.assign(grafted=result.grafted.where(~there, result.grafted.sel(rest_of=BARE, drop=True)))


def idea_drifts(result: xr.Dataset) -> Evidence:
    """Per seed, by how much the cosine of new rows with their synonyms falls: the smaller fall of the two places."""
    fall = _fall(dial(result).cosine.isel(depth=0))
    return across_seeds(fall.min("place", skipna=False), above=0.3, share=SHARE)


def near_seeds(result: xr.Dataset) -> slice:
    """The seeds with which rows near the mean were run."""
    return slice(int(result.attrs["near_seeds"]))


def _near_fall(result: xr.Dataset, names: tuple[str, str]) -> xr.DataArray:
    fast, slow = (result.right.sel(setting=name, task="define", drop=True).isel(place=0) for name in names)
    fall: xr.DataArray = fast - slow
    return fall


def lost_when_near(result: xr.Dataset) -> xr.DataArray:
    """Per seed, how much smaller the fall of definitions is where rows begin nearer to the mean, at the loss without noise."""
    far = _fall(dial(result).right.isel(place=0).sel(task="define", drop=True))
    lost: xr.DataArray = far - _near_fall(result, NEAR)
    return lost


def start_matters(result: xr.Dataset) -> Evidence:
    """Per seed, that difference of falls."""
    return across_seeds(lost_when_near(result).isel(seed=near_seeds(result)), above=STARTS, share=SHARE)


def near_without_noise(result: xr.Dataset) -> xr.Dataset:
    """The record with rows near the mean that are trained without noise in the place of those trained with it."""
    for noisy, quiet in zip(NEAR, QUIET, strict=True):
        there = xr.DataArray(result.setting == noisy, dims="setting")
        result = result.assign(right=result.right.where(~there, result.right.sel(setting=quiet, drop=True)))
    return result


def quiet_as_well_trained(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, trained pairs and old names right without noise at both rates, at the same loss."""
    pairs = [_trained_as_well(result, name).drop_vars("setting") for name in QUIET]
    old = [result.old.sel(setting=name, task=GATES, drop=True).isel(place=0).min("task") for name in QUIET]
    both = xr.concat([*pairs, *old], "part", join="outer", coords="minimal", compat="override")
    return across_seeds(both.min("part", skipna=False).isel(seed=near_seeds(result)), above=KNOWN, share=SHARE)
