"""What the claims about softmax collapse measure on a record."""

import math

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

ACCURATE = 1e-5  # a gradient's error relative to its largest entry
REACHED = 60.0  # nats: the largest margin at which the stable form is held to that
SPEED_LOSS = (1e-5, 1e-13)  # nats: the stretch of the training loss on which its rate of fall is measured


def stable_gradient(result: xr.Dataset) -> Evidence:
    """Per seed, the largest error of the stable gradient up to a margin of 60; infinite where an entry is 0 or not finite."""
    range_ = result.sel(margin=slice(None, REACHED))
    error = range_.gradient_error.sel(arithmetic="stable").max("margin", skipna=False)
    sound = np.isfinite(range_.loss.sel(computation="stable")) & (range_.target_gradient.sel(computation="stable") != 0)
    return across_seeds(error.where(sound.all("margin"), np.inf), below=ACCURATE)


def accurate_to_twenty(result: xr.Dataset) -> Evidence:
    """A manipulation check: what stands in the place of the stable form is as accurate at margins up to 20."""
    error = result.gradient_error.sel(arithmetic="stable", margin=slice(None, 20.0)).max("margin")
    return across_seeds(error, below=ACCURATE)


def final(result: xr.Dataset, arm: str, what: str = "test_accuracy") -> xr.DataArray:
    """Per seed, a curve of an arm at the end of training."""
    last: xr.DataArray = result[what].sel(arm=arm).isel(step=-1)
    return last


def slowed(result: xr.Dataset) -> Evidence:
    """Per seed, final held-out accuracy with float32 over that with the stable form."""
    return across_seeds(final(result, "float32") / final(result, "stable"), below=0.5)


def float64_postpones(result: xr.Dataset) -> Evidence:
    """Per seed, final held-out accuracy with float64 over that with the stable form; infinite where it does not
    even exceed that with float32.
    """
    share = final(result, "float64") / final(result, "stable")
    return across_seeds(share.where(final(result, "float64") > final(result, "float32"), np.inf), below=0.8)


def epsilon_slows(result: xr.Dataset) -> Evidence:
    """Per seed, final held-out accuracy with Adam's usual epsilon over that with a negligible one."""
    return across_seeds(final(result, "usual epsilon") / final(result, "stable"), below=0.5)


def rate(result: xr.Dataset, arm: str) -> xr.DataArray:
    """Per seed, by how many nats the logarithm of the training loss falls a step on a fixed stretch of the loss.

    NaN where the loss does not reach the end of the stretch.
    """
    found = []
    for seed in result.seed.values:
        curve = result.train_loss.sel(arm=arm, seed=seed).values
        begins, ends = (int(np.argmax(curve < level)) for level in SPEED_LOSS)
        fell = curve[begins] < SPEED_LOSS[0] and curve[ends] < SPEED_LOSS[1]
        steps = float(result.step[ends] - result.step[begins])
        found.append(math.log(curve[begins] / curve[ends]) / steps if fell and steps > 0 else math.nan)
    return xr.DataArray(found, dims="seed")


def limit(result: xr.Dataset) -> float:
    """Half the logarithm of 1 / beta2: the rate at which Adam's scale can follow a falling gradient."""
    return -0.5 * math.log(float(result.attrs["beta2"]))


def speed_limit(result: xr.Dataset) -> Evidence:
    """Per seed, how far the loss's rate of fall in the stable arm is from the limit, relative to it."""
    return across_seeds(abs(rate(result, "stable") / limit(result) - 1), below=0.2)


def float32_groks(result: xr.Dataset) -> Evidence:
    """A manipulation check: held-out accuracy of float32 at the end, which weight decay is predicted to bring above 0.9."""
    fitted = (result.train_accuracy.isel(step=-1) == 1).all("arm")
    return across_seeds(final(result, "float32").where(fitted, -np.inf), above=0.9)


def all_fitted(result: xr.Dataset) -> Evidence:
    """A manipulation check: every arm ends without an error on its training pairs."""
    return across_seeds(result.train_accuracy.isel(step=-1).min("arm"), above=0.999)


def put(result: xr.Dataset, arm: str, instead_of: str) -> xr.Dataset:
    """A record in which one arm's curves stand in the place of another's."""
    curves = [name for name in result.data_vars if "arm" in result[name].dims]
    return result.assign(
        {name: result[name].where(result.arm != instead_of, result[name].sel(arm=arm, drop=True)) for name in curves}
    )


def float64_as_stable(result: xr.Dataset) -> xr.Dataset:
    """The usual remedy in the place of the stable form, in single samples."""
    by = {"gradient_error": "arithmetic", "loss": "computation", "target_gradient": "computation"}
    moved = {
        name: result[name].where(result[dim] != "stable", result[name].sel({dim: "float64"}, drop=True))
        for name, dim in by.items()
    }
    return result.assign(moved)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds at the end, with the smallest and the largest, and margins of single samples."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "steps": int(result.step[-1]),
        "modulus": int(result.attrs["modulus"]),
        "train_pairs": int(result.attrs["train_pairs"]),
        "limit": limit(result),
        "rate": float(rate(result, "stable").median()),
        "stable_error": float(result.gradient_error.sel(arithmetic="stable", margin=slice(None, REACHED)).max()),
    }
    for arm in result.arm.values:
        name = str(arm).replace(" ", "_")
        accuracy = final(result, arm)
        found |= {
            f"{name}": float(accuracy.median()),
            f"{name}_least": float(accuracy.min()),
            f"{name}_most": float(accuracy.max()),
            f"{name}_best": float(result.test_accuracy.sel(arm=arm).max("step").median()),
            f"{name}_loss": float(final(result, arm, "train_loss").median()),
            f"{name}_silent": float(final(result, arm, "silent").median()),
            f"{name}_half": _first(result, arm),
        }
    for arithmetic in result.arithmetic.values:
        loss = result.loss.sel(computation=arithmetic)
        off = result.gradient_error.sel(arithmetic=arithmetic) > 0.01
        found |= {
            f"{arithmetic}_zero": _least_margin((loss == 0).any("seed")),
            f"{arithmetic}_off": _least_margin(off.any("seed")),
        }
    return found


def _first(result: xr.Dataset, arm: str) -> float:
    """The median over seeds of the first probed step at which half of the training pairs are silent; NaN where never."""
    steps = result.step.where(result.silent.sel(arm=arm) >= 0.5).min("step")
    return float(steps.median(skipna=False))


def _least_margin(here: xr.DataArray) -> float:
    """The smallest of the margins at which something holds; NaN where at none."""
    margins = here.margin.values[here.values]
    return float(margins.min()) if margins.size else math.nan


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Accuracy on held-out pairs over {n['steps']} updates without weight decay. At first all four curves agree. Then that "
        f"of float32 log-softmax stops rising and ends at {n['float32']:.2f}; float64 stops later, at {n['float64']:.2f}; the "
        f"stable form is at {n['stable']:.2f} and still rising; with Adam's usual epsilon it ends at {n['usual_epsilon']:.2f}."
    )
