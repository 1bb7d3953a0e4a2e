"""What the claims about the efficiency of circuits measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.grokking.ungrokking_checks import crossing

MEMORIZED, RULE = 0.1, 0.95  # held-out accuracy at most, at least


def target(result: xr.Dataset) -> float:
    """The middle one of the training losses at which costs are read."""
    return float(result.target[result.sizes["target"] // 2])


def last(result: xr.Dataset, penalty: int = 0) -> xr.Dataset:
    """The accuracies after the last update, with one of the penalties."""
    return result[["train_accuracy", "test_accuracy"]].isel(step=-1, penalty=penalty)


def costs(result: xr.Dataset) -> xr.DataArray:
    """Costs with the first penalty at the middle target (seed, arm, fraction)."""
    read: xr.DataArray = result.cost.isel(penalty=0).sel(target=target(result)).transpose("seed", "arm", "fraction")
    return read


def _per_seed(result: xr.Dataset, values: list[float]) -> xr.DataArray:
    return xr.DataArray(values, {"seed": result.seed}, ("seed",))


def place(result: xr.Dataset, penalty: int = 0) -> xr.DataArray:
    """Per seed, the fraction at which held-out accuracy after a grokked start passes one half; NaN where it does not."""
    accuracy = last(result, penalty).test_accuracy.sel(arm="grokked").transpose("seed", "fraction").values
    return _per_seed(result, [crossing(result.fraction.values, one) for one in accuracy])


def rule_cost(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the cost on the most pairs after a grokked start; NaN where the held-out pairs do not confirm the rule."""
    holds = last(result).test_accuracy.sel(arm="grokked").isel(fraction=-1, drop=True) >= RULE
    cost: xr.DataArray = costs(result).sel(arm="grokked").isel(fraction=-1, drop=True).where(holds)
    return cost


def growth(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the cost of random labels on the fraction nearest to 0.3 over that on the one nearest to 0.1."""
    random = costs(result).sel(arm="random")
    ratio: xr.DataArray = random.sel(fraction=0.3, method="nearest", drop=True) / random.sel(
        fraction=0.1, method="nearest", drop=True
    )
    return ratio


def random_crossing(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the fraction at which random labels come to cost what the rule costs; NaN where they do not."""
    random = costs(result).sel(arm="random").values
    pairs = zip(random, rule_cost(result).values, strict=True)
    return _per_seed(result, [crossing(result.fraction.values, one, level) for one, level in pairs])


def table_law(result: xr.Dataset) -> list[tuple[float, float]]:
    """Per seed, exponent and prefactor of the cost of memorized true labels as a power of the fraction, through the fractions
    at which held-out accuracy is at most :data:`MEMORIZED`; NaN with fewer than two of them."""
    true, accuracy = costs(result).sel(arm="grokked"), last(result).test_accuracy.sel(arm="grokked")
    found = []
    for seed in result.seed.values:
        lost = (accuracy.sel(seed=seed) <= MEMORIZED).values
        x, y = np.log(result.fraction.values[lost]), np.log(true.sel(seed=seed).values[lost])
        slope, intercept = np.polyfit(x, y, 1) if len(x) >= 2 else (float("nan"), float("nan"))
        found.append((float(slope), float(np.exp(intercept))))
    return found


def table_crossing(result: xr.Dataset) -> xr.DataArray:
    """Per seed, where the cost of memorized true labels, continued by :func:`table_law`, would meet the rule's."""
    pairs = zip(table_law(result), rule_cost(result).values, strict=True)
    return _per_seed(result, [float((rule / factor) ** (1 / power)) for (power, factor), rule in pairs])


def agreement(result: xr.Dataset) -> xr.DataArray:
    """Per seed, :func:`table_crossing` over :func:`place`."""
    ratio: xr.DataArray = table_crossing(result) / place(result)
    return ratio


def spread(result: xr.Dataset) -> xr.DataArray:
    """Per seed, how far the place with the largest penalty is from that with the least, as a share of the smaller one."""
    places = [place(result, i) for i in (0, result.sizes["penalty"] - 1)]
    apart: xr.DataArray = np.exp(abs(np.log(places[1] / places[0]))) - 1
    return apart


def exponent(result: xr.Dataset, arm: str) -> xr.DataArray:
    """Per seed, the power of the number of pairs with which an arm's cost grows between the two largest fractions."""
    mine = costs(result).sel(arm=arm, drop=True)
    ratio = mine.isel(fraction=-1, drop=True) / mine.isel(fraction=-2, drop=True)
    pairs = float(result.fraction[-1] / result.fraction[-2])
    power: xr.DataArray = xr.apply_ufunc(np.log, ratio) / float(np.log(pairs))
    return power


def table_grows(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`exponent` of random labels."""
    return across_seeds(exponent(result, "random"), above=0.3)


def same_place(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`spread`."""
    return across_seeds(spread(result), below=0.1)


def crossing_is_the_place(result: xr.Dataset) -> Evidence:
    """Per seed, how far :func:`agreement` is from 1, as a share of the smaller of its two numbers."""
    return across_seeds(np.exp(abs(np.log(agreement(result)))) - 1, below=0.25)


def fitted(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the least accuracy on training pairs of all that was trained."""
    least = result.train_accuracy.isel(step=-1).min(("arm", "penalty", "fraction"))
    return across_seeds(least, above=0.99)


def fitted_from_the_rule(result: xr.Dataset) -> Evidence:
    """A manipulation check: as :func:`fitted`, of the networks that started grokked."""
    least = result.train_accuracy.isel(step=-1).sel(arm="grokked").min(("penalty", "fraction"))
    return across_seeds(least, above=0.99)


def rule_as_table(result: xr.Dataset) -> xr.Dataset:
    """A control: the networks that started grokked, and hold the rule on the most pairs, in the place of random labels."""
    changed = result.copy(deep=True)
    changed.cost.loc[{"arm": "random"}] = result.cost.sel(arm="grokked", drop=True).transpose(
        *changed.cost.sel(arm="random").dims
    )
    return changed


def read_early(result: xr.Dataset) -> xr.Dataset:
    """A control: the record as it stood after about a tenth of the updates."""
    early = float(result.step[-1]) / 10
    until = int(np.abs(result.step.values - early).argmin())
    return result.isel(step=slice(0, until + 1))


def unequal_losses(result: xr.Dataset) -> xr.Dataset:
    """A control: the rule's cost is read at the largest of the target losses, those of memorized true labels at the smallest."""
    changed = result.copy(deep=True)
    rule, table = (result.cost.sel(arm="grokked", target=loss, drop=True) for loss in _ends(result))
    read = table.where(result.fraction < float(result.fraction[-1]), rule)
    where = {"arm": "grokked", "target": target(result)}
    changed.cost.loc[where] = read.transpose(*changed.cost.sel(where).dims)
    return changed


def _ends(result: xr.Dataset) -> tuple[float, float]:
    """Largest and smallest target loss."""
    return float(result.target.max()), float(result.target.min())
