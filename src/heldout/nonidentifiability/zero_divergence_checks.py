"""What the claims on zero divergence measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.nonidentifiability.cheapest import binary_divergence, cheapest_scores, cost

ZERO = 1e-8  # nats a sequence
CLOSE = 1e-3  # of a value in closed form
STILL = 1e-12  # nats
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


def shared_mass(result: xr.Dataset) -> xr.DataArray:
    """Total probability of the prompts with as many a's as this one (seed, prompt)."""
    counts = np.array([str(prompt).count("a") for prompt in result.prompt.values])
    same = xr.DataArray(
        (counts[:, None] == counts).astype(float), dims=("prompt", "other"), coords={"prompt": result.prompt}
    )
    total: xr.DataArray = (same * result.mass.rename(prompt="other").drop_vars("other")).sum("other")
    return total


def shared_price(result: xr.Dataset) -> xr.DataArray:
    """Their mass times kl(r || s): what a change costs if one row does it after all of them (kind, seed, prompt, left).

    Where the rule is sure, one row is enough if a string can break the rule by ending at once: prompts of odd length.
    """
    r, s = xr.broadcast(result.honest, result.reached)
    due: xr.DataArray = shared_mass(result) * r.copy(data=binary_divergence(r.values, s.values))
    return due.transpose(*result.cost.dims)


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
    """Per seed, how far fitting moves rows where the data are silent; NaN if tables differ elsewhere or are badly fitted."""
    elsewhere = result.apart.where(result.mass > 0).max(("kind", "prompt"))
    fine = (elsewhere < 0.01) & (result.fitted.max(("kind", "start")) < ZERO)
    return across_seeds(result.moved.where(result.mass == 0).max(("kind", "start", "prompt")).where(fine), below=STILL)


def mean_off_the_line(result: xr.Dataset) -> xr.DataArray:
    """Cost of halving the mean over the closed form, minus one; NaN if the mean was not halved (kind, seed)."""
    off = []
    for kind in result.kind.values:
        for seed in result.seed.values:
            one = result.sel(kind=kind, seed=seed)
            mass, honest, reached = one.mass.values, one.honest.values, float(one.mean_reached)
            due = float(cost(mass, honest, cheapest_scores(mass, honest, reached)))
            halved = abs(reached / float(honest.mean()) - 0.5) < CLOSE
            off.append(float(one.mean_cost) / due - 1 if halved else np.nan)
    found: xr.DataArray = result.mean_cost.copy(data=np.reshape(off, (result.sizes["kind"], -1)))
    return found


def rarest_first(result: xr.Dataset) -> Evidence:
    """Per seed, the larger kind's share of the cost of halving all; NaN if search and closed form differ."""
    shares = xr.concat([share_of_alike(result.sel(kind=kind)) for kind in result.kind.values], "kind").max("kind")
    return across_seeds(shares.where((abs(mean_off_the_line(result)) < CLOSE).all("kind")), below=0.05)


def mean_on_the_line(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the largest distance of the mean's cost from its closed form; NaN if badly fitted."""
    return across_seeds(
        abs(mean_off_the_line(result)).max("kind", skipna=False).where(_fitted_well(result)), below=CLOSE
    )


def charged_for_all(result: xr.Dataset) -> Evidence:
    """A manipulation check of shared rows: per seed, the largest distance of lawful costs from the mass of all that share a row.

    After prompts that are never written; NaN for a seed that is badly fitted or in which a change was not reached.
    """
    off = abs(result.cost / shared_price(result) - 1).where(result.mass == 0).sel(kind="lawful").max(("prompt", "left"))
    return across_seeds(off.where(_fitted_well(result)), below=CLOSE)


def _fitted_well(result: xr.Dataset) -> xr.DataArray:
    """Whether tables without a condition have reached the data, and the others what was asked of them (seed)."""
    well: xr.DataArray = (result.fitted.max(("kind", "start")) < ZERO) & (missed(result) < CLOSE)
    return well
