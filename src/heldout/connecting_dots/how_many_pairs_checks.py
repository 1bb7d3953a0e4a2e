"""What the claims on the number of pairs measure on a record."""

import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.connecting_dots.several_starts import LEAST, MEAN, WIDEST

PLAIN, QUIET, FALSE = "as it is", "no noise", "false definitions"
KNOWN = 0.98  # share of lines right about old names: the gate of the chapter
FITTED = 0.96  # share of shown pairs right
GATES = ["apply", "define", "invert"]
SHARE = 0.8
NOISE_PAIRS = 5
COMPARED = 0.7  # noise under which starts are compared, in standard deviations of the old names' rows


def word(name: str) -> str:
    """A name as part of another one."""
    return name.replace(",", "").replace(".", "").replace(" ", "_")


def gated(values: xr.DataArray, result: xr.Dataset, arm: str) -> xr.DataArray:
    """The values, NaN in seeds where old names are not known."""
    return values.where(result.known.sel(arm=arm, task=GATES, drop=True).min("task") >= KNOWN)


def defined(result: xr.Dataset, pairs: int, arm: str = PLAIN) -> xr.DataArray:
    """Per seed, definitions right; NaN where the shown pairs are not, or old names are not known."""
    own = result.sel(arm=arm, pairs=pairs, drop=True)
    right: xr.DataArray = own.right.sel(task="define", drop=True).where(own.observed >= FITTED)
    return gated(right, result, arm)


def two_do_not_do(result: xr.Dataset) -> Evidence:
    """Per seed, definitions right with two pairs shown."""
    return across_seeds(defined(result, 2), below=0.85, share=SHARE)


def widest_is_right(result: xr.Dataset) -> Evidence:
    """Per seed, by how much more names are defined right by the row of least loss under noise, the loss that was
    trained, than by any one row."""
    own = result.kept_define.sel(start_pairs=2)
    gain = own.sel(choice=WIDEST, drop=True) - own.sel(choice=MEAN, drop=True)
    return across_seeds(gated(gain, result, PLAIN), above=0.12, share=SHARE)


def least_loss(result: xr.Dataset) -> xr.Dataset:
    """The record with the row of least loss in the place of the row of least loss under noise."""
    names = [f"kept_{name}" for name in ("define", "held_out", "observed")]
    there = result.choice == WIDEST
    return result.assign(
        {name: result[name].where(~there, result[name].sel(choice=LEAST, drop=True)) for name in names}
    )


def kept_fits(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, shown pairs right with the row that was kept."""
    return across_seeds(result.kept_observed.sel(start_pairs=2, choice=WIDEST), above=FITTED, share=SHARE)


def all_shown(result: xr.Dataset) -> xr.Dataset:
    """The record with names that were shown all pairs in the place of those that were shown two."""
    most = result.sel(pairs=result.pairs.values[-1], drop=True)
    there = result.pairs == 2
    return result.assign({name: result[name].where(~there, most[name]) for name in ("right", "observed", "loss")})


def pairs_learned(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, shown pairs right where all are shown."""
    return across_seeds(result.observed.sel(arm=PLAIN, pairs=2), above=FITTED, share=SHARE)


def noise_helps(result: xr.Dataset) -> Evidence:
    """Per seed, by how much definitions right fall without noise, with five pairs shown."""
    fall = defined(result, NOISE_PAIRS) - defined(result, NOISE_PAIRS, QUIET)
    return across_seeds(fall, above=0.2, share=SHARE)


def other_dictionary(result: xr.Dataset) -> xr.Dataset:
    """The record with another change of pretraining, false definitions, in the place of no noise.

    Definitions count as right where they are those that this pretraining gave.
    """
    other, there = result.sel(arm=FALSE, drop=True), result.arm == QUIET
    other = other.assign(right=other.right.where(result.task != "define", other.taught))
    return result.assign(
        {name: result[name].where(~there, other[name]) for name in ("right", "known", "observed", "loss")}
    )


def quiet_fits(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, shown pairs right in the changed pretraining, and old names known."""
    own = result.observed.sel(arm=QUIET, pairs=NOISE_PAIRS, drop=True)
    return across_seeds(gated(own, result, QUIET), above=0.9, share=SHARE)


def told_is_applied(result: xr.Dataset, arm: str = PLAIN) -> Evidence:
    """Per seed, application right on all x for names whose definition alone was trained; NaN where it is not right."""
    own = result.told.sel(arm=arm, drop=True)
    right = own.sel(task="apply", drop=True).where(own.sel(task="define", drop=True) >= FITTED)
    return across_seeds(gated(right, result, arm), above=0.7, share=SHARE)


def without_noise(result: xr.Dataset) -> xr.Dataset:
    """The record with the decoders pretrained without noise in the place of the others."""
    quiet = result.sel(arm=QUIET, drop=True)
    there = result.arm == PLAIN
    return result.assign({name: result[name].where(~there, quiet[name]) for name in ("told", "known")})


def definitions_learned(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the trained definitions right, and old names known."""
    own = result.told.sel(arm=PLAIN, task="define", drop=True)
    return across_seeds(gated(own, result, PLAIN), above=FITTED, share=SHARE)


def says_what_it_was_taught(result: xr.Dataset) -> Evidence:
    """Per seed, new names defined as the false dictionary defines their function, less those defined right, with five pairs."""
    own = result.sel(arm=FALSE, pairs=NOISE_PAIRS, drop=True)
    gap = (own.taught - own.right.sel(task="define", drop=True)).where(own.right.sel(task="apply", drop=True) >= 0.9)
    return across_seeds(gated(gap, result, FALSE), above=0.7, share=SHARE)


def true_definitions(result: xr.Dataset) -> xr.Dataset:
    """The record with the decoders that read true definitions in the place of those that read false ones."""
    true = result.sel(arm=PLAIN, drop=True)
    there = result.arm == FALSE
    return result.assign(
        {name: result[name].where(~there, true[name]) for name in ("right", "known", "observed", "taught")}
    )


def true_is_learned(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, new names applied right, and old names known."""
    own = result.right.sel(arm=FALSE, pairs=NOISE_PAIRS, task="apply", drop=True)
    return across_seeds(gated(own, result, FALSE), above=0.9, share=SHARE)
