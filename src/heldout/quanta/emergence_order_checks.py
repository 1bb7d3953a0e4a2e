"""What the claims about the order and time of quanta measure on a record."""

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.stats import spearmanr

from heldout.claims import Evidence, across_seeds
from heldout.quanta import emergence


def times(result: xr.Dataset, arm: str, time: str = "time") -> Float[np.ndarray, "seed task"]:
    """Updates until each task is learned; infinite where it is not, NaN where it is not to be judged."""
    found: np.ndarray = result[time].sel(arm=arm).values
    return found


def learned(result: xr.Dataset, arm: str) -> Float[np.ndarray, " seed"]:
    """Tasks learned by the end, one number a seed."""
    return np.asarray(np.isfinite(times(result, arm)).sum(1), dtype=float)


def rank_correlation(result: xr.Dataset, arm: str) -> Float[np.ndarray, " seed"]:
    """Spearman correlation of time with minus frequency over the tasks learned, one a seed."""
    return emergence.order(times(result, arm), -result.frequency.sel(arm=arm).values)


def against_number(result: xr.Dataset, arm: str = "permuted") -> Float[np.ndarray, " seed"]:
    """Share of pairs in which the more frequent task comes first, of those where number and frequency disagree, one a seed.

    A task not learned counts as later than one that is; a pair is left out if neither is learned or both at the same look.
    """
    found = []
    for when, share in zip(times(result, arm), result.frequency.sel(arm=arm).values, strict=True):
        first, second = np.triu_indices(len(when), 1)
        judged = ~np.isnan(when[first]) & ~np.isnan(when[second]) & (when[first] != when[second])
        disagree = judged & (share[second] > share[first])
        found.append(float((when[second] < when[first])[disagree].mean()) if disagree.any() else np.nan)
    return np.array(found)


def partial_correlation(result: xr.Dataset, arm: str = "permuted") -> float:
    """Spearman correlation of time with a task's number at fixed frequency, over all tasks learned by all seeds."""
    when, share, seeds = times(result, arm), result.frequency.sel(arm=arm).values, range(result.sizes["seed"])
    number = np.broadcast_to(np.arange(when.shape[1]), when.shape)
    known = [np.isfinite(when[seed]) for seed in seeds]
    columns = [np.concatenate([x[seed][known[seed]] for seed in seeds]) for x in (when, number, -share)]
    if len(columns[0]) < 4:
        return float("nan")
    (_, a, b), (_, _, c), _ = spearmanr(np.stack(columns, 1)).statistic
    return float((a - b * c) / np.sqrt((1 - b * b) * (1 - c * c)))


def prefix(result: xr.Dataset, arm: str = "zipf", time: str = "time") -> int:
    """Ranks, from the first on without a gap, that every seed has learned."""
    return emergence.shared_ranks(times(result, arm, time))


def slopes(result: xr.Dataset, first: int = 1, time: str = "time") -> Float[np.ndarray, " seed"]:
    """Slope of log time on log rank from rank ``first`` to the last that every seed has learned, one a seed."""
    return emergence.rank_slopes(times(result, "zipf", time), first)


def own_samples(result: xr.Dataset, arm: str = "zipf") -> Float[np.ndarray, "seed task"]:
    """Samples of its own that a task has been shown, on average, when it is learned."""
    found: np.ndarray = times(result, arm) * result.frequency.sel(arm=arm).values * float(result.batch.sel(arm=arm))
    return found


def factors(result: xr.Dataset) -> Float[np.ndarray, "rank step"]:
    """At one frequency, median time with three bits over that with two, and with four over that with three.

    One row for every rank, from the first on, that every seed of the mixed arm has learned and that has all three sizes.
    """
    when, bits = times(result, "mixed"), result.bits.sel(arm="mixed").values
    found = []
    for rank in range(prefix(result, "mixed")):
        if set(bits[:, rank]) >= {2, 3, 4}:
            two, three, four = (np.median(when[:, rank][bits[:, rank] == size]) for size in (2, 3, 4))
            found.append([three / two, four / three])
    return np.array(found).reshape(-1, 2)


def batch_exponents(result: xr.Dataset) -> Float[np.ndarray, "seed task"]:
    """e in time ~ batch^-e from two batches, of every task: 0 if updates count, 1 if samples; NaN if not learned with both."""
    ratio = np.log(float(result.batch.sel(arm="zipf")) / float(result.batch.sel(arm="small batch")))
    few, many = times(result, "small batch"), times(result, "zipf")
    both = np.isfinite(few) & np.isfinite(many)
    found: np.ndarray = np.log(np.where(both, few, np.nan) / np.where(both, many, np.nan)) / ratio
    return found


def order_follows_frequency(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`rank_correlation` where frequencies are permuted."""
    return across_seeds(rank_correlation(result, "permuted"), above=0.9, share=0.8)


def frequency_beats_number(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`against_number`."""
    return across_seeds(against_number(result), above=0.9)


def slope_is_alpha_plus_one(result: xr.Dataset) -> Evidence:
    """:func:`heldout.quanta.emergence.slope_near`, held against alpha + 1."""
    return emergence.slope_near(times(result, "zipf"), float(result.attrs["alpha"]) + 1)


def harder_is_later(result: xr.Dataset) -> Evidence:
    """The smallest of :func:`factors`, over at least three ranks; the band holds them all."""
    found = factors(result)
    bound = f"> 1.15 at each of at least 3 ranks (here {len(found)}) and at both steps"
    if not len(found):
        return Evidence(value=float("nan"), bound=bound, holds=False)
    least, most = float(found.min()), float(found.max())
    return Evidence(value=least, low=least, high=most, bound=bound, holds=len(found) >= 3 and least > 1.15)


def equal_is_learned(result: xr.Dataset) -> Evidence:
    """A manipulation check: tasks learned in every seed in what stands in the place of the permuted arm."""
    return across_seeds(learned(result, "permuted"), above=4)


def prefix_is_long(result: xr.Dataset) -> Evidence:
    """A manipulation check: at least five ranks are learned in every seed."""
    return across_seeds(np.isfinite(times(result, "zipf")[:, :5]).sum(1).astype(float), above=4)


def mixed_is_learned(result: xr.Dataset) -> Evidence:
    """A manipulation check: the first three ranks are learned in every seed of what stands in the place of the mixed arm."""
    return across_seeds(np.isfinite(times(result, "mixed")[:, :3]).sum(1).astype(float), above=2)


def _in_place_of(result: xr.Dataset, arm: str, time: np.ndarray) -> xr.Dataset:
    """The record with other times in one arm."""
    changed = result.copy(deep=True)
    changed["time"].loc[{"arm": arm}] = time
    return changed


def equal_for_permuted(result: xr.Dataset) -> xr.Dataset:
    """Times learned with equal frequencies, read against permuted ones; tasks never drawn are not judged."""
    drawn = result.frequency.sel(arm="equal").values > 0
    return _in_place_of(result, "permuted", np.where(drawn, times(result, "equal"), np.nan))


def equal_for_zipf(result: xr.Dataset) -> xr.Dataset:
    """Times learned with equal frequencies in the place of those that fall with rank."""
    return _in_place_of(result, "zipf", times(result, "equal"))


def three_bits_for_mixed(result: xr.Dataset) -> xr.Dataset:
    """Times of tasks of three bits only, read as if they had two, three and four."""
    return _in_place_of(result, "mixed", times(result, "zipf"))


def quoted(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes, under the names by which it does."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "tasks": result.sizes["task"],
        "alpha_plus_one": float(result.attrs["alpha"]) + 1,
        "ranks": prefix(result),
        "partial": partial_correlation(result),
        "factor_ranks": len(factors(result)),
        "batch": int(result.batch.sel(arm="zipf")),
        "small_batch": int(result.batch.sel(arm="small batch")),
    }
    equal, exponents = times(result, "equal"), batch_exponents(result)
    judged = {
        "spearman_zipf": rank_correlation(result, "zipf"),
        "spearman": rank_correlation(result, "permuted"),
        "pairs": against_number(result),
        "spearman_equal": rank_correlation(equal_for_permuted(result), "permuted"),
        "slope": slopes(result),
        "late_slope": slopes(result, 3),
        "exponent": exponents[np.isfinite(exponents)],
        "exponent_1": exponents[:, 0],
        "equal_time": equal[np.isfinite(equal)],
        **{f"own_{rank}": own_samples(result)[:, rank - 1] for rank in (1, 2, 3, 4)},
        **{f"time_{rank}": times(result, "zipf")[:, rank - 1] for rank in (1, 2, 3, 4)},
        **{f"learned_{arm.split()[0]}": learned(result, arm) for arm in map(str, result.arm.values)},
    }
    steps = factors(result)
    judged |= {"three_over_two": steps[:, 0], "four_over_three": steps[:, 1]}
    for name, values in judged.items():
        proper = values if len(values) else np.array([np.nan])
        found |= {
            name: float(np.median(proper)),
            f"{name}_low": float(np.min(proper)),
            f"{name}_high": float(np.max(proper)),
        }
    found["sure_ranks"] = prefix(result, time="sure_time")
    for name, time in (("slope_mean", "time"), ("sure_slope_mean", "sure_time")):
        mean, low, high = emergence.slope_interval(times(result, "zipf", time))
        found |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return found
