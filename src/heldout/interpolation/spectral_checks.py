"""What is read off a record of the spectral-bias experiment, and the claims that rest on it."""

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from heldout.claims import Check, Claim, Control, Evidence, across_seeds

INPUTS = ("position", "fourier")
AMPLITUDES = ("equal", "increasing")
HALF = 0.5  # share of a sine that must be there for it to count as learned
SOURCE = "Rahaman et al. 2019, arXiv 1806.08734"


def times(result: xr.Dataset) -> xr.DataArray:
    """The step, plus one, from which on half of a sine is there at every look; the last step plus two where it never is."""
    never = int(result.step[-1]) + 2
    missing = (result.learned <= HALF).transpose(..., "step").values
    last_missing = missing.shape[-1] - 1 - missing[..., ::-1].argmax(axis=-1)
    following = np.where(missing.any(axis=-1), last_missing + 1, 0)
    found = np.append(result.step.values + 1, never)[following]
    return xr.DataArray(found, coords={name: result[name] for name in result.learned.dims if name != "step"})


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """Median times to learn a sine, the ratio of the last to the first, and what is left of the target at the end."""
    found: dict[str, float | int | str] = {"seeds": result.sizes["seed"], "steps": int(result.step[-1])}
    low, high = (int(result.frequency[k]) for k in (0, -1))
    found |= {"lowest": low, "highest": high}
    when = times(result)
    for inputs in INPUTS:
        for kind in AMPLITUDES:
            here, name = when.sel(inputs=inputs, amplitudes=kind), f"{inputs}_{kind}"
            ratio = here.isel(frequency=-1) / here.isel(frequency=0)
            found |= {f"{name}_ratio": float(ratio.median()), f"{name}_ratio_low": float(ratio.min())}
            found |= {f"{name}_ratio_high": float(ratio.max()), f"{name}_ordered": int((_order_of(here) > 0.99).sum())}
            found[f"{name}_residual"] = float(
                result.residual.sel(inputs=inputs, amplitudes=kind).isel(step=-1).median()
            )
            for frequency in here.frequency.values:
                found[f"{name}_at{frequency}"] = float(here.sel(frequency=frequency).median()) - 1
    return found


def _order_of(when: xr.DataArray) -> xr.DataArray:
    """Per seed, the rank correlation of frequency and time to learn it: 1 where low always comes before high."""
    ranks = rankdata(when.transpose("seed", "frequency").values, axis=1)
    places = np.arange(ranks.shape[1]) - (ranks.shape[1] - 1) / 2
    centered = ranks - ranks.mean(axis=1, keepdims=True)
    sizes = np.sqrt((centered**2).sum(axis=1) * (places**2).sum())
    return xr.DataArray((centered @ places) / np.maximum(sizes, 1e-12), dims="seed")


def _ordered(amplitudes: str) -> Check:
    def check(result: xr.Dataset) -> Evidence:
        return across_seeds(_order_of(times(result).sel(inputs="position", amplitudes=amplitudes)), above=0.85)

    return check


def _wait(result: xr.Dataset) -> Evidence:
    """Per seed, how many times longer the highest frequency takes than the lowest; at least so many where it is never learned."""
    when = times(result).sel(inputs="position", amplitudes="equal")
    return across_seeds(when.isel(frequency=-1) / when.isel(frequency=0), above=4)


def _features_instead(result: xr.Dataset) -> xr.Dataset:
    """The same targets and training, with Fourier features in the place of the position."""
    return result.sel(inputs=["fourier", "fourier"]).assign_coords(inputs=list(INPUTS))


def _fitted(result: xr.Dataset) -> Evidence:
    """The manipulation check: in the control the target is fitted, with both kinds of amplitudes."""
    residual = result.residual.sel(inputs="position").isel(step=-1)
    return across_seeds(residual.max("amplitudes"), below=0.01)


_FEATURES = Control(
    says="sines and cosines of all the frequencies as inputs, at equal scale",
    change=_features_instead,
    manipulation=_fitted,
)

CLAIMS = (
    Claim(
        id="spectral_bias.low_first",
        says="With equal amplitudes the sines are learned in the order of their frequency (rank correlation above .85).",
        rows=("S0.5",),
        source=f"{SOURCE}, experiment with equal amplitudes",
        check=_ordered("equal"),
        control=_FEATURES,
    ),
    Claim(
        id="spectral_bias.high_waits",
        says="The highest frequency takes more than four times as many updates as the lowest.",
        rows=("S0.5",),
        source=f"{SOURCE}, experiment with equal amplitudes",
        check=_wait,
        control=_FEATURES,
    ),
    Claim(
        id="spectral_bias.amplitude_does_not_matter",
        says="The order is the same when the amplitudes grow with the frequency.",
        rows=("S0.5",),
        source=f"{SOURCE}, experiment with increasing amplitudes",
        check=_ordered("increasing"),
        control=_FEATURES,
    ),
)
