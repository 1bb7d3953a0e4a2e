"""What the claims about training without weight decay measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Check, Evidence, across_seeds
from heldout.grokking.training import first_step

AT_ONCE = 2.0  # steps to nine tenths of the held-out pairs over steps to nine tenths of the training pairs


def final(result: xr.Dataset, method: str, network: str, what: str = "test_accuracy") -> xr.DataArray:
    """Per seed, a curve at the end of training."""
    last: xr.DataArray = result[what].sel(recipe=method, network=network).isel(step=-1)
    return last


def orthogonal_generalizes(result: xr.Dataset) -> Evidence:
    """Per seed, final held-out accuracy of the orthogonal gradient on two ReLU layers."""
    return across_seeds(final(result, "orthogonal", "relu"), above=0.9)


def fitted(method: str, network: str) -> Check:
    """A manipulation check: the training pairs are all right at the end."""

    def check(result: xr.Dataset) -> Evidence:
        return across_seeds(final(result, method, network, "train_accuracy"), above=0.99)

    return check


def ratio(result: xr.Dataset, method: str = "orthogonal", network: str = "relu") -> xr.DataArray:
    """Per seed, steps to nine tenths of the held-out pairs over steps to nine tenths of the training pairs."""
    mine = result.sel(recipe=method, network=network)
    held_out = first_step(mine.test_accuracy, 0.9)
    found: xr.DataArray = (held_out / first_step(mine.train_accuracy, 0.9)).fillna(np.inf)
    return found


def no_delay(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`ratio` of the orthogonal gradient on two ReLU layers."""
    return across_seeds(ratio(result), below=AT_ONCE)


def stablemax_helps(result: xr.Dataset) -> Evidence:
    """Per seed, final held-out accuracy with StableMax over that with plain cross-entropy, on the network with the square."""
    return across_seeds(final(result, "stablemax", "square") / final(result, "plain", "square"), above=2.0)


def stablemax_fails(result: xr.Dataset) -> Evidence:
    """Per seed, final held-out accuracy of StableMax on two ReLU layers."""
    return across_seeds(final(result, "stablemax", "relu"), below=0.1)


def orthogonal_fails(result: xr.Dataset) -> Evidence:
    """Per seed, final held-out accuracy of the orthogonal gradient on the network with the square."""
    return across_seeds(final(result, "orthogonal", "square"), below=0.8)


def put(result: xr.Dataset, method: str, instead_of: str) -> xr.Dataset:
    """A record in which one method's curves stand in the place of another's."""
    return result.assign(
        {
            name: curve.where(result.recipe != instead_of, curve.sel(recipe=method, drop=True))
            for name, curve in result.data_vars.items()
        }
    )


def another_plain_draw(result: xr.Dataset) -> xr.Dataset:
    """A record in which plain training on the next seed's pairs stands in the place of StableMax."""
    plain = result.sel(recipe="plain", drop=True).roll(seed=1, roll_coords=False)
    return result.assign(
        {name: curve.where(result.recipe != "stablemax", plain[name]) for name, curve in result.data_vars.items()}
    )


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds at the end, with the smallest and the largest."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "steps": int(result.step[-1]),
        "modulus": int(result.attrs["modulus"]),
        "train_pairs": int(result.attrs["train_pairs"]),
    }
    if {"relu", "orthogonal"} <= {*result.network.values, *result.recipe.values}:
        found |= {
            "undelayed": int((ratio(result) < AT_ONCE).sum()),
            "delay_most": float(ratio(result).max()),
        }
    for network in map(str, result.network.values):
        for method in map(str, result.recipe.values):
            accuracy, name = final(result, method, network), f"{method}_{network}"
            norms = result.norm.sel(recipe=method, network=network)
            found |= {
                name: float(accuracy.median()),
                f"{name}_least": float(accuracy.min()),
                f"{name}_most": float(accuracy.max()),
                f"{name}_train": float(final(result, method, network, "train_accuracy").median()),
                f"{name}_step": _median_step(result, method, network, "test_accuracy"),
                f"{name}_fit_step": _median_step(result, method, network, "train_accuracy"),
                f"{name}_grown": float((norms.isel(step=-1) / norms.isel(step=0)).median()),
                f"{name}_ratio": float(ratio(result, method, network).median()),
            }
    return found


def _median_step(result: xr.Dataset, method: str, network: str, what: str) -> float:
    """The median over seeds of the first probed step at nine tenths; NaN where a seed never gets there."""
    return float(first_step(result[what].sel(recipe=method, network=network), 0.9).median(skipna=False))


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Accuracy on held-out pairs over {n['steps']} updates for two hidden layers of ReLU. With the orthogonal gradient it "
        f"rises first and ends at {n['orthogonal_relu']:.2f}; with weight decay it rises late and ends at "
        f"{n['decay_relu']:.2f}; with StableMax it ends at {n['stablemax_relu']:.2f}, with plain cross-entropy at "
        f"{n['plain_relu']:.2f}."
    )
