"""What the claims about slingshots measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Check, Evidence, across_seeds

LEAP = 10.0  # times: a rise of the training loss from one probe to the next that counts as a leap
_FITTED_BY = 200  # steps: from then on a wrong training pair has been right before
APART = 100  # steps: rises closer than this are one leap


def leap_steps(result: xr.Dataset, arm: str, seed: int) -> list[int]:
    """The steps at which one seed's training loss leaps, each leap once."""
    curve = result.train_loss.sel(arm=arm, seed=seed).values
    rises = result.step.values[1:][curve[1:] > LEAP * curve[:-1]]
    found: list[int] = []
    for step in map(int, rises):
        if not found or step - found[-1] >= APART:
            found.append(step)
    return found


def leaps(result: xr.Dataset, arm: str) -> xr.DataArray:
    """Per seed, how often the training loss leaps."""
    return xr.DataArray([len(leap_steps(result, arm, seed)) for seed in result.seed.values], dims="seed")


def final(result: xr.Dataset, arm: str, what: str = "test_accuracy") -> xr.DataArray:
    """Per seed, a curve of an arm at the end of training."""
    last: xr.DataArray = result[what].sel(arm=arm).isel(step=-1)
    return last


def leaps_twice(result: xr.Dataset) -> Evidence:
    """Per seed, leaps with the float32 loss."""
    return across_seeds(leaps(result, "float32"), above=1.5)


def never_leaps(result: xr.Dataset) -> Evidence:
    """Per seed, leaps with the float64 and with the stable loss together."""
    return across_seeds(leaps(result, "float64") + leaps(result, "stable"), below=0.5)


def drifts(result: xr.Dataset) -> Evidence:
    """Per seed, final length of the last layer's mean row with the float32 loss over that with the stable one."""
    return across_seeds(final(result, "float32", "mean_norm") / final(result, "stable", "mean_norm"), above=3.0)


def not_enough(result: xr.Dataset) -> Evidence:
    """Per seed, final held-out accuracy with the float32 loss; infinite where it did not leap twice."""
    leaped = leaps(result, "float32").values >= 2
    return across_seeds(np.where(leaped, final(result, "float32").values, np.inf), below=0.1)


def not_needed(result: xr.Dataset) -> Evidence:
    """Per seed, final held-out accuracy with weight decay and the stable loss; minus infinity where the loss leaped."""
    quiet = leaps(result, "decay").values == 0
    return across_seeds(np.where(quiet, final(result, "decay").values, -np.inf), above=0.8)


def fitted(arm: str) -> Check:
    """A manipulation check: nearly all training pairs are right at the end."""

    def check(result: xr.Dataset) -> Evidence:
        return across_seeds(final(result, arm, "train_accuracy"), above=0.95)

    return check


def put(result: xr.Dataset, arm: str, instead_of: str) -> xr.Dataset:
    """A record in which one arm's curves stand in the place of another's."""
    return result.assign(
        {
            name: curve.where(result.arm != instead_of, curve.sel(arm=arm, drop=True))
            for name, curve in result.data_vars.items()
        }
    )


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, counts of leaps with the fewest and the most."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "steps": int(result.step[-1]),
        "modulus": int(result.attrs["modulus"]),
        "train_pairs": int(result.attrs["train_pairs"]),
    }
    for arm in map(str, result.arm.values):
        count = leaps(result, arm)
        firsts = [leap_steps(result, arm, seed)[:1] for seed in result.seed.values]
        norms = result.mean_norm.sel(arm=arm)
        found |= {
            f"{arm}_leaps_least": int(count.min()),
            f"{arm}_leaps_most": int(count.max()),
            f"{arm}_first": float(np.median([float(steps[0]) for steps in firsts if steps] or [np.nan])),
            f"{arm}_test": float(final(result, arm).median()),
            f"{arm}_test_most": float(final(result, arm).max()),
            f"{arm}_missed": 1 - float(result.train_accuracy.sel(arm=arm, step=slice(_FITTED_BY, None)).min()),
            f"{arm}_mean": float(norms.isel(step=-1).median()),
        }
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Training loss over {n['steps']} updates, log scale. With float32 log-softmax it falls, then leaps up, at least "
        f"{n['float32_leaps_least']} times in every seed, the first time near step {n['float32_first']:.0f}. With float64 and "
        "with the stable form it falls smoothly."
    )
