"""What :mod:`heldout.interpolation.noisy_fits` claims, measured on its record: one number a seed."""

from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

ZERO = 1e-16  # squared error that counts as none, in squared units of the target
NO_MORE = 1.15  # times the larger one of spline and sharp
MIDDLE = 64  # points; the largest n at which every rule is compared


def at_most_points(result: xr.Dataset, rule: str) -> xr.DataArray:
    """The rule's excess with noisy labels at the largest n."""
    found: xr.DataArray = result.excess.sel(rule=rule, labels="noisy").isel(count=-1)
    return found


def middle(result: xr.Dataset, rule: str) -> xr.DataArray:
    """The rule's excess with noisy labels at n = 64, where the polynomials still are."""
    found: xr.DataArray = result.excess.sel(rule=rule, labels="noisy").sel(count=MIDDLE)
    return found


def tempered(result: xr.Dataset) -> Evidence:
    """Spline and nearest neighbor at the largest n: how far the worse is from its constant, as a share of it."""
    spline, near = at_most_points(result, "spline") * 1.5 - 1, at_most_points(result, "nearest") - 1
    return across_seeds(np.maximum(abs(spline), abs(near)), below=0.2)


def benign(result: xr.Dataset) -> Evidence:
    """The wide kernel's excess at the largest n."""
    return across_seeds(at_most_points(result, "wide kernel"), below=0.05)


def catastrophic(result: xr.Dataset) -> Evidence:
    """The polynomial's excess at n = 64, as a power of ten."""
    return across_seeds(np.log10(middle(result, "polynomial")), above=6)


def norm_is_not_all(result: xr.Dataset) -> Evidence:
    """How much more the sharp rule pays than the spline at the largest n, where their norms agree."""
    more = at_most_points(result, "sharp") - at_most_points(result, "spline")
    return across_seeds(more.where(result.norm_gap.isel(count=-1) < 1e-9), above=0.5)


def over_larger(result: xr.Dataset, fit: str) -> xr.DataArray:
    """A network's excess over the larger one of spline and sharp, where it has no training error; NaN elsewhere."""
    built = result.network_excess.sel(fit=["spline", "sharp"]).max("fit")
    found: xr.DataArray = (result.network_excess.sel(fit=fit) / built).where(result.network_mse.sel(fit=fit) < ZERO)
    return found


def above_smaller(result: xr.Dataset, fit: str) -> xr.DataArray:
    """Whether a network without training error pays no less than the smaller one of spline and sharp."""
    built = result.network_excess.sel(fit=["spline", "sharp"]).min("fit")
    excess = result.network_excess.sel(fit=fit)
    found: xr.DataArray = (excess >= built) & (result.network_mse.sel(fit=fit) < ZERO)
    return found


def between(result: xr.Dataset) -> Evidence:
    """The small-start network's excess over the larger one of spline and sharp; an upper bound only."""
    return across_seeds(over_larger(result, "small start"), below=NO_MORE, share=0.8)


def networks_fit(result: xr.Dataset) -> Evidence:
    """The manipulation check: the network that stands for the small start has no training error."""
    return across_seeds(result.network_mse.sel(fit="small start"), below=ZERO, share=0.8)


def clean_and_fitted(result: xr.Dataset) -> Evidence:
    """Without noise the same rules still fit, and their excess at the largest n takes the predicted value, nothing."""
    rules = ["nearest", "spline", "sharp"]
    fitted = result.train_mse.sel(rule=rules, labels="noisy").max(["rule", "count"]) < ZERO
    excess = result.excess.sel(rule=rules, labels="noisy").isel(count=-1).max("rule")
    return across_seeds(excess.where(fitted), below=0.01)


def narrow_is_tempered(result: xr.Dataset) -> Evidence:
    """What stands for the wide kernel still fits; its excess at the largest n is that at n = 64, within a factor of two."""
    fitted = result.train_mse.sel(rule="wide kernel", labels="noisy").max("count") < ZERO
    ratio = at_most_points(result, "wide kernel") / middle(result, "wide kernel").median()
    return across_seeds((ratio.where(ratio > 1, 1 / ratio)).where(fitted), below=2)


def nodes_tame_it(result: xr.Dataset) -> Evidence:
    """The polynomial that stands for the first still fits, and its excess is below 2, a bound on the mean over draws there."""
    fitted = result.train_mse.sel(rule="polynomial", labels="noisy", count=MIDDLE) < ZERO
    return across_seeds(middle(result, "polynomial").where(fitted), below=2)


def clean(result: xr.Dataset) -> xr.Dataset:
    """The same inputs and rules, the noise taken out of the targets."""
    return result.sel(labels=["clean", "clean"]).assign_coords(labels=result.labels)


def exchange(dim: str, swap: Mapping[str, str]) -> Callable[[xr.Dataset], xr.Dataset]:
    """The same samples, some rules or networks exchanged for others."""

    def change(result: xr.Dataset) -> xr.Dataset:
        names = [swap.get(str(name), str(name)) for name in result[dim].values]
        return result.sel({dim: names}).assign_coords({dim: result[dim]})

    return change


def networks(result: xr.Dataset) -> dict[str, float | int]:
    """The small sample in numbers: medians and counts over the seeds whose networks have no training error."""
    fitted = result.network_mse < ZERO
    excess, norms = result.network_excess.where(fitted), result.network_norm.where(fitted)
    over = {start: over_larger(result, f"{start} start") for start in ("small", "large")}
    found: dict[str, float | int] = {
        "small_fitted": int(fitted.sel(fit="small start").sum()),
        "small_norm_worst": float(norms.sel(fit="small start").max()),
        "large_norm": float(norms.sel(fit="large start").median()),
        "small_above": int((over["small"] > 1).sum()),
        "small_between": int(((over["small"] <= 1) & above_smaller(result, "small start")).sum()),
    }
    found |= {f"{start}_kept": int((ratio < NO_MORE).sum()) for start, ratio in over.items()}
    return found | {f"net_{str(fit).split()[0]}": float(excess.sel(fit=fit).median()) for fit in result.fit.values}
