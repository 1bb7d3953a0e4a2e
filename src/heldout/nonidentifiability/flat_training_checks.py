"""What the claims on training at a flat loss measure on a record.

Bounds and shares were fixed on seeds 0 to 11 before any seed from 100 up was run. What :func:`moves` compares was changed after
the judged runs: at first R1 before and after training on, where the divergence had changed by less than 0.01; now R1 at one
divergence. Its bound and share are the old ones.
"""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

MOVED = 0.05  # share of the judged prompts
CLOSE, ALIKE = 0.003, 0.8  # nats a sequence; share of the judged prompts
SAME, SHARPER = 1e-6, 10.0  # nats a sequence; factor of the trace


def at_start(result: xr.Dataset) -> xr.Dataset:
    """The look at which training on begins."""
    start: xr.Dataset = result.sel(step=result.attrs["learned"])
    return start.drop_vars("step")


def drift(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the largest change of the divergence while training on, at any look."""
    later = result.data_kl.where(result.step > result.attrs["learned"], drop=True)
    largest: xr.DataArray = abs(later - at_start(result).data_kl).max("step")
    return largest


def rise(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the last share of R1 less the share when training on begins."""
    change: xr.DataArray = result.r1.isel(step=-1, drop=True) - at_start(result).r1
    return change


def as_divergent(result: xr.Dataset) -> xr.Dataset:
    """Per seed, the last look of first learning at which the divergence was the final one or more (step, r1, data_kl)."""
    first = result[["r1", "data_kl"]].where(result.step <= result.attrs["learned"], drop=True)
    high = first.data_kl >= result.data_kl.isel(step=-1, drop=True)
    latest = first.step.where(high).max("step")
    then = first.where(first.step == latest).max("step")
    return then.assign(step_then=latest)


def regained(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the last share of R1 less the share when the divergence was last as high in first learning."""
    change: xr.DataArray = result.r1.isel(step=-1, drop=True) - as_divergent(result).r1
    return change


def moves(result: xr.Dataset) -> Evidence:
    """Per seed, how much more R1 is kept at the end than at the same divergence, or a higher one, in first learning."""
    return across_seeds(regained(result), above=MOVED, share=0.8)


def no_worse(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the final divergence less that when training on began."""
    return across_seeds(result.data_kl.isel(step=-1, drop=True) - at_start(result).data_kl, below=0.0, share=0.8)


def others(table: xr.DataArray) -> xr.DataArray:
    """A table of pairs of seeds at the end, with NaN for a seed and itself."""
    last = table.isel(stage=-1)
    apart: xr.DataArray = last.where(last.seed != last.other)
    return apart


def seeds_differ(result: xr.Dataset) -> Evidence:
    """Per seed, the median share of prompts after which another writes the same; NaN where one is not close on the data."""
    near = others(result.pair_kl).max("other") < CLOSE
    return across_seeds(others(result.same_text).median("other").where(near), below=ALIKE, share=0.8)


def close_on_data(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the largest divergence from another on the data."""
    return across_seeds(others(result.pair_kl).max("other"), below=CLOSE, share=0.8)


def sharpened(result: xr.Dataset, twin: str = "values") -> xr.DataArray:
    """Per seed, the rescaled twin's trace over that of the weights as trained."""
    trained = result.twin_trace.sel(twin="as trained", drop=True)
    factor: xr.DataArray = result.twin_trace.sel(twin=twin, drop=True) / trained
    return factor


def rescaled(result: xr.Dataset) -> Evidence:
    """Per seed, the factor by which rescaling changes the trace; 0 where divergence or R1 changes."""
    own, moved = (result.sel(twin=name) for name in ("as trained", "values"))
    same = (abs(own.twin_kl - moved.twin_kl) < SAME) & (own.twin_r1 == moved.twin_r1)
    return across_seeds(sharpened(result).where(same.drop_vars("twin", errors="ignore"), 0.0), above=SHARPER)


def hidden_units(result: xr.Dataset) -> xr.Dataset:
    """The record with the twin that is rescaled around its hidden units in the place of the one rescaled around its values."""
    changed = result.copy(deep=True)
    for name in ("twin_kl", "twin_r1", "twin_trace"):
        changed[name].loc[{"twin": "values"}] = result[name].sel(twin="hidden units")
    return changed


def sharper(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the factor by which the trace changes."""
    return across_seeds(sharpened(result), above=SHARPER, share=0.8)


def ranks(values: xr.DataArray) -> np.ndarray:
    """Ranks of seeds, ties at their mean."""
    numbers = np.asarray(values, dtype=float).ravel()
    return np.array([(numbers < one).sum() + 0.5 * ((numbers == one).sum() - 1) for one in numbers])


def rank_correlation(first: xr.DataArray, second: xr.DataArray) -> tuple[float, float, float]:
    """Spearman's rank correlation over seeds with its 95 % bootstrap interval: (value, low, high)."""
    pairs = np.stack([np.asarray(first, dtype=float), np.asarray(second, dtype=float)])
    picks = np.random.default_rng(0).integers(0, pairs.shape[1], size=(2000, pairs.shape[1]))
    drawn = [_correlation(pairs[:, pick]) for pick in picks]
    known = [value for value in drawn if not np.isnan(value)] or [float("nan")]
    low, high = np.quantile(known, [0.025, 0.975])
    return _correlation(pairs), float(low), float(high)


def _correlation(pairs: np.ndarray) -> float:
    first, second = (ranks(xr.DataArray(row)) for row in pairs)
    spread = float(first.std() * second.std())
    return float(((first - first.mean()) * (second - second.mean())).mean()) / spread if spread else float("nan")
