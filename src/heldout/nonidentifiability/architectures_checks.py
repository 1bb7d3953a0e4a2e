"""What the claims on architectures measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

MATCHED = 0.003  # nats a sequence: below it two divergences count as equal
SOME = 0.15  # share of the prompts
LEARNING = 5.0  # nats a sequence
DRAWS = 10_000  # relabelings
LABELED = ("transformer", "LSTM", "state space")  # whose labels are drawn anew
RIVALS = ("LSTM", "state space", "linear")
OUTSIDE = ["balanced", "rearranged", "other"]
UNBALANCED = ["rearranged", "other"]


def over(result: xr.Dataset, name: str, kinds: list[str]) -> xr.DataArray:
    """A share over the prompts of several kinds together. Drops ``kind``."""
    number = result.prompts.sel(kind=kinds)
    weighted: xr.DataArray = (result[name].sel(kind=kinds) * number).where(number > 0, 0).sum("kind", skipna=False)
    found: xr.DataArray = weighted / number.sum("kind")
    return found


def last(result: xr.Dataset) -> xr.Dataset:
    """The record at the lowest level of the divergence."""
    return result.isel(level=-1)


def unbalanced(result: xr.Dataset) -> xr.DataArray:
    """R1 at the lowest level after prompts outside the language in which letters are lacking (language, family, seed)."""
    return over(last(result), "r1", UNBALANCED)


def of_ended(result: xr.Dataset) -> xr.DataArray:
    """R1 at the lowest level as Mészáros et al. count it: of the completions that end, after all prompts outside the language."""
    whole = last(result)
    return over(whole, "r1", OUTSIDE) / over(whole, "finished", OUTSIDE)


def free_score(result: xr.Dataset) -> xr.DataArray:
    """R1 of a model that ends at once after every prompt outside the language (language)."""
    number = result.prompts.sel(kind=OUTSIDE)
    share: xr.DataArray = number.sel(kind="balanced", drop=True) / number.sum("kind")
    return share


def spread(result: xr.Dataset) -> xr.DataArray:
    """Largest difference between two families' divergences at the lowest level, over languages (seed); NaN if one is missing."""
    found = last(result).divergence
    apart: xr.DataArray = found.max("family", skipna=False) - found.min("family", skipna=False)
    return apart.max("language", skipna=False)


def matched(result: xr.Dataset) -> Evidence:
    """Per seed, the largest difference between two families' divergences at the lowest level, in either language."""
    return across_seeds(spread(result), below=MATCHED)


def scores_outside(result: xr.Dataset) -> Evidence:
    """Per seed, the LSTM's R1 after all prompts outside the first language, at the lowest level."""
    share = over(last(result).isel(language=0).sel(family="LSTM"), "r1", OUTSIDE)
    return across_seeds(share, above=SOME, share=0.8)


def lead(result: xr.Dataset) -> xr.DataArray:
    """How far the LSTM is below transformer and state space, where letters are lacking, in the closest case of a seed (seed)."""
    share = unbalanced(result)
    lower = share.sel(family=["transformer", "state space"]).min("family", skipna=False)
    ahead: xr.DataArray = (lower - share.sel(family="LSTM", drop=True)).min("language", skipna=False)
    return ahead


def lstm_last(result: xr.Dataset) -> Evidence:
    """Per seed, the lead of the closer family in the closer language; see :func:`lead`."""
    return across_seeds(lead(result), above=0.0, share=0.8)


def rearranged_lead(result: xr.Dataset) -> xr.DataArray:
    """How far the state space is above the LSTM after rearranged prompts, in the closer language of a seed (seed)."""
    share = last(result).r1.sel(kind="rearranged")
    above: xr.DataArray = share.sel(family="state space", drop=True) - share.sel(family="LSTM", drop=True)
    return above.min("language", skipna=False)


def rearranged(result: xr.Dataset) -> Evidence:
    """Per seed, the state space's lead in the closer language; see :func:`rearranged_lead`."""
    return across_seeds(rearranged_lead(result), above=0.0, share=0.8)


def first_of_ended(result: xr.Dataset) -> xr.DataArray:
    """Per seed, how far the transformer is above the best other family in the first language, counted as in the paper."""
    share = of_ended(result).isel(language=0)
    best = share.sel(family=list(RIVALS)).max("family", skipna=False)
    ahead: xr.DataArray = share.sel(family="transformer", drop=True) - best
    return ahead


def transformer_first(result: xr.Dataset) -> Evidence:
    """Per seed, the transformer's margin; see :func:`first_of_ended`."""
    return across_seeds(first_of_ended(result), above=0.0, share=0.8)


def level_kept(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, how far a family's divergence is from the lowest level, at most."""
    away = abs(last(result).divergence - result.level.values[-1])
    return across_seeds(away.max(("language", "family"), skipna=False), below=MATCHED)


def all_learn(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the largest divergence of a family; an even guess costs more than 10 nats."""
    return across_seeds(last(result).divergence.max(("language", "family"), skipna=False), below=LEARNING)


def after_equal_updates(result: xr.Dataset) -> xr.Dataset:
    """The record with the members after the first stop in the place of those at the lowest level."""
    stopped = result.divergence_stop.isel(stop=0, drop=True)
    there = result.level == result.level.values[-1]
    return result.assign(
        divergence=result.divergence.where(~there, stopped), r1=result.r1.where(~there, result.r1_stop.isel(stop=0))
    )


def relabeled(result: xr.Dataset) -> xr.Dataset:
    """The record with the labels of transformer, LSTM and state space drawn anew over their members, in each language."""
    draws = np.random.default_rng(0)
    own = np.array([family in LABELED for family in result.family.values])
    members = int(own.sum()) * result.sizes["seed"]
    orders = [draws.permutation(members) for _ in range(result.sizes["language"])]
    changed = {}
    for name, variable in result.data_vars.items():
        if variable.dims[:3] == ("language", "family", "seed"):
            values = variable.values.copy()
            for number, order in enumerate(orders):
                mine = values[number, own]
                flat = mine.reshape(members, *mine.shape[2:])
                values[number, own] = flat[order].reshape(mine.shape)
            changed[name] = variable.copy(data=values)
    return result.assign(changed)


def chance_last(result: xr.Dataset) -> float:
    """Share of relabelings of transformer, LSTM and state space in which the LSTM is last in at least four seeds in five."""
    share = unbalanced(result).sel(family=list(LABELED)).transpose("language", "family", "seed").values
    seeds = share.shape[-1]
    flat = np.broadcast_to(share.reshape(len(share), -1), (DRAWS, len(share), len(LABELED) * seeds))
    drawn = np.random.default_rng(1).permuted(flat, axis=-1).reshape(DRAWS, len(share), len(LABELED), seeds)
    below = (drawn[:, :, 1] < drawn[:, :, 0]) & (drawn[:, :, 1] < drawn[:, :, 2])
    kept = below.all(1).sum(-1)
    return float((kept >= np.ceil(0.8 * seeds - 1e-9)).mean())
