"""When a task counts as learned, in what order tasks are, and how time grows with rank: one definition for every page.

A task's time is the first look at which its held-out loss is at most half of chance, the middle of its stair. A parity of three
bits cannot be half solved so far down: the best simple guess, the negated majority, is right on 6 of 8 strings, at .81 of chance.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import spearmanr

from heldout.claims import Evidence, bootstrap_interval
from heldout.quanta.parity import CHANCE

KNOWN = CHANCE / 2  # nats: a task is learned at or below it
SURE = 0.95  # the stricter measure, kept beside it: share of a task's held-out samples that are right
SLICES = 1000  # held-out samples a network reads at once: blocks of a batch's size leave no holes in memory
WITHIN = 0.15  # how near a slope must be to alpha + 1


def first_looks(known: Bool[np.ndarray, "look seed task"], looks: list[int]) -> Float[np.ndarray, "seed task"]:
    """Updates made at the first look at which a task is known; infinite where it never is."""
    return np.asarray(np.where(known, np.array(looks, dtype=float)[:, None, None], np.inf).min(0))


def measured(
    found: dict[str, np.ndarray], looks: list[int]
) -> tuple[Float[np.ndarray, "seed task"], Float[np.ndarray, "seed task"]]:
    """Times by loss and by the stricter measure, of one network a seed, from what a ``ByTask`` probe found at the looks."""
    by_loss = first_looks(found["task_loss"][:, :, 0] <= KNOWN, looks)
    return by_loss, first_looks(found["task_accuracy"][:, :, 0] >= SURE, looks)


def order(times: Float[np.ndarray, "seed task"], rarity: Float[np.ndarray, "seed task"]) -> Float[np.ndarray, " seed"]:
    """Spearman correlation of time with rarity over the tasks learned, one a seed; NaN where they cannot be ranked.

    Tasks not learned are left out: tied last, they would bound the correlation below 1 however good the order.
    """
    found = []
    for when, rare in zip(times, rarity, strict=True):
        known = np.isfinite(when)
        varied = known.sum() >= 3 and np.ptp(rare[known]) > 0 and np.ptp(when[known]) > 0
        found.append(float(spearmanr(rare[known], when[known]).statistic) if varied else np.nan)
    return np.array(found)


def shared_ranks(times: Float[np.ndarray, "seed rank"]) -> int:
    """How many ranks, from the first on without a gap, every seed has learned."""
    return int(np.isfinite(times).all(0).cumprod().sum())


def rank_slopes(times: Float[np.ndarray, "seed rank"], first: int = 1) -> Float[np.ndarray, " seed"]:
    """Slope of log time on log rank from rank ``first`` to the last that every seed has learned, one a seed.

    NaN where that is fewer than three ranks.
    """
    last = shared_ranks(times)
    if last - first < 2:
        return np.full(len(times), np.nan)
    x = np.log(np.arange(first, last + 1))
    return np.array([np.polyfit(x, np.log(when[first - 1 : last]), 1)[0] for when in times])


def slope_interval(times: Float[np.ndarray, "seed rank"]) -> tuple[float, float, float]:
    """Mean over seeds of :func:`rank_slopes` and its bootstrap interval of 95 %: (mean, low, high); NaN where there is none."""
    found = rank_slopes(times)
    return bootstrap_interval(found) if np.isfinite(found).all() else (float("nan"),) * 3


def slope_near(times: Float[np.ndarray, "seed rank"], target: float, within: float = WITHIN) -> Evidence:
    """:func:`slope_interval`, all of which must keep the bound; in part if some of it does."""
    ranks = f"over the {shared_ranks(times)} ranks learned in every seed"
    bound = f"95 % interval of the mean within {within:g} of {target:g}, {ranks}"
    mean, low, high = slope_interval(times)
    if not np.isfinite(mean):
        return Evidence(value=float("nan"), bound=bound, holds=False)
    inside = target - within < low <= high < target + within
    overlaps = low < target + within and high > target - within
    return Evidence(value=mean, low=low, high=high, bound=bound, holds=inside, partly=overlaps)
