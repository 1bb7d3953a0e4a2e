"""What the claims on zero divergence measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.nonidentifiability.cheapest import binary_divergence, cheapest_scores, cost

ZERO = 1e-8  # nats a sequence
CLOSE = 1e-3  # of a value in closed form
ALL = ("kind", "prompt", "left")


def price(result: xr.Dataset) -> xr.DataArray:
    """m kl(r || s) at the probabilities reached (kind, seed, prompt, left), in nats a sequence."""
    r, s = xr.broadcast(result.honest, result.reached)
    due: xr.DataArray = result.mass * r.copy(data=binary_divergence(r.values, s.values))
    return due.transpose(*result.cost.dims)


def off_the_line(result: xr.Dataset) -> xr.DataArray:
    """Cost of the cheapest table found over its price, minus one; NaN for prompts that are never written."""
    off: xr.DataArray = (result.cost / price(result).where(result.mass > 0)) - 1
    return off


def missed(result: xr.Dataset) -> xr.DataArray:
    """Largest relative distance of a probability reached from the one asked for (seed)."""
    far: xr.DataArray = abs(result.reached / (result.honest * result.left) - 1).max(ALL)
    return far


def alike(result: xr.Dataset) -> xr.DataArray:
    """Cost of halving the rule's probability on every prompt, in closed form, for the record of one kind (seed)."""
    r = result.honest
    halved: xr.DataArray = (result.mass * r.copy(data=binary_divergence(r.values, r.values / 2))).sum("prompt")
    return halved


def share_of_alike(result: xr.Dataset) -> xr.DataArray:
    """Cost of halving the mean over prompts, by search, over that of halving every one; one kind (seed)."""
    share: xr.DataArray = result.mean_cost / alike(result)
    return share


def apart_where_free(result: xr.Dataset) -> xr.DataArray:
    """Mean total variation of two fitted tables after prompts that are never written, over prompts and kinds (seed)."""
    distance: xr.DataArray = result.apart.where(result.mass == 0).mean(("kind", "prompt"))
    return distance


def free(result: xr.Dataset) -> Evidence:
    """Per seed, the largest cost of a change after a prompt that is never written; NaN if the change was not reached."""
    worst = result.cost.where(result.mass == 0).max(ALL)
    return across_seeds(worst.where(missed(result) < CLOSE), below=ZERO)


def attained(result: xr.Dataset) -> Evidence:
    """Per seed, the largest distance of cost from price, relative to the price; NaN if a change was not reached."""
    return across_seeds(abs(off_the_line(result)).max(ALL).where(missed(result) < CLOSE), below=CLOSE)


def starts(result: xr.Dataset) -> Evidence:
    """Per seed, the distance of two fitted tables where the data are silent; 0 if they differ elsewhere or are badly fitted."""
    elsewhere = result.apart.where(result.mass > 0).max(("kind", "prompt"))
    fine = (elsewhere < 0.01) & (result.fitted.max(("kind", "start")) < ZERO)
    return across_seeds(apart_where_free(result).where(fine, 0), above=0.2)


def rarest_first(result: xr.Dataset) -> Evidence:
    """Per seed, the larger kind's share of the cost of halving all; NaN if search and closed form differ."""
    shares = []
    for kind in result.kind.values:
        own = result.sel(kind=kind)
        for seed in result.seed.values:
            one = own.sel(seed=seed)
            mass, honest = one.mass.values, one.honest.values
            due = float(cost(mass, honest, cheapest_scores(mass, honest, float(one.mean_reached))))
            asked = abs(float(one.mean_reached) / float(one.honest.mean()) - 0.5) < CLOSE
            good = asked and abs(float(one.mean_cost) / due - 1) < CLOSE
            shares.append(float(share_of_alike(own).sel(seed=seed)) if good else np.nan)
    by_seed = np.reshape(shares, (result.sizes["kind"], -1)).max(0)
    return across_seeds(by_seed, below=0.05)


def fitted_well(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the largest divergence of the tables fitted without a condition."""
    return across_seeds(result.fitted.max(("kind", "start")), below=ZERO)
