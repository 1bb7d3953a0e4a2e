"""What the claims about stairs and their mean measure on a record."""

from collections.abc import Callable

import numpy as np
import xarray as xr
from jaxtyping import Float

from heldout.claims import Evidence, across_seeds
from heldout.quanta import emergence
from heldout.quanta.parity import CHANCE, tail

HIGH, LOW = 0.9, 0.1  # of chance: where a stair begins and ends
SLOPE = 1.5  # of log time against log rank, at the book's alpha


def middle(values: Float[np.ndarray, "..."]) -> float:
    """The median of what is finite, NaN of nothing."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    return float(np.median(finite)) if finite.size else float("nan")


def learned(result: xr.Dataset, time: str = "time") -> Float[np.ndarray, " seed"]:
    """Tasks learned by the end, by one of the two times, one number a seed."""
    return np.asarray(np.isfinite(result[time].values).sum(1), dtype=float)


def shared_ranks(result: xr.Dataset, time: str = "time") -> int:
    """How many ranks, from the first, every seed has learned."""
    return emergence.shared_ranks(result[time].values)


def _fall(steps: Float[np.ndarray, " step"], loss: Float[np.ndarray, " step"]) -> float:
    """Decades of updates from the last look at or above HIGH to the first at or below LOW, else to the end."""
    below = np.flatnonzero(loss <= LOW * CHANCE)
    stop = int(below[0]) if below.size else len(loss) - 1
    above = np.flatnonzero(loss[: stop + 1] >= HIGH * CHANCE)
    start = int(above[-1]) if above.size else 0
    return float(np.log10(steps[stop] / steps[start]))


def widths(result: xr.Dataset) -> Float[np.ndarray, "seed task"]:
    """Width of every stair in decades of updates; NaN where a loss does not come down to LOW."""
    steps = result.step.values
    down = (result.task_loss <= LOW * CHANCE).any("step").values
    found = [[_fall(steps, loss) for loss in losses] for losses in result.task_loss.values]
    judged: np.ndarray = np.where(down, found, np.nan)
    return judged


def mean_width(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """The same of the mean loss; where it does not come down to LOW, what it took so far."""
    return np.array([_fall(result.step.values, loss) for loss in result.mean_loss.values])


def width_ratio(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """Median width of a seed's stairs over the width of its mean."""
    ratio: np.ndarray = np.array([middle(row) for row in widths(result)]) / mean_width(result)
    return ratio


def window(result: xr.Dataset) -> tuple[float, float]:
    """Updates between which lines are fitted: from the median seed's last look at or above HIGH to the end."""
    loss = result.mean_loss.median("seed").values
    above = np.flatnonzero(loss >= HIGH * CHANCE)
    start = min(int(above[-1]) if above.size else 0, len(loss) - 2)
    return float(result.step[start]), float(result.step[-1])


def _lines(result: xr.Dataset) -> list[tuple[np.ndarray, np.ndarray]]:
    """Coefficients and residuals (log10) of a line through every seed's log mean loss."""
    start, end = window(result)
    inside = result.sel(step=slice(start, end))
    x, found = np.log10(inside.step.values), []
    for loss in inside.mean_loss.values:
        y = np.log10(loss)
        line = np.polyfit(x, y, 1)
        found.append((line, y - np.polyval(line, x)))
    return found


def exponents(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """Minus the slope of log mean loss against log updates, one a seed."""
    return np.array([-line[0] for line, _ in _lines(result)])


def bend(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """Root mean square distance of log10 mean loss from its line, one a seed."""
    return np.array([np.sqrt((rest**2).mean()) for _, rest in _lines(result)])


def fitted(result: xr.Dataset) -> Callable[[np.ndarray], np.ndarray]:
    """The median seed's straight line, as a function of updates."""
    line = np.median([line for line, _ in _lines(result)], 0)
    return lambda steps: np.asarray(10 ** np.polyval(line, np.log10(steps)))


def rank_correlation(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """Spearman correlation of rank and time over the tasks learned, one a seed; NaN where they cannot be ranked."""
    times = result.time.values
    return emergence.order(times, np.broadcast_to(np.arange(times.shape[1]), times.shape))


def slopes(result: xr.Dataset, time: str = "time") -> Float[np.ndarray, " seed"]:
    """Slope of log time against log rank over the ranks learned in every seed, one a seed."""
    return emergence.rank_slopes(result[time].values)


def asymptotic(result: xr.Dataset) -> float:
    """Exponent of the mean loss for infinitely many tasks, alpha / (alpha + 1); NaN where there is none."""
    alpha = float(result.alpha)
    return alpha / (alpha + 1) if alpha > 0 else float("nan")


def finite_exponent(result: xr.Dataset, when: str = "all along") -> float:
    """Minus the slope of log loss against log updates of sharp stairs at T_k = c / p_k, as many as the median seed learned.

    The loss is the sum of p_k over tasks not yet learned, read all along (every level as long as it lasts on the log axis, as
    evenly spaced looks see it), or only "before" or only "after" each stair.
    """
    shares, count = result.frequency.values, int(np.median(learned(result)))
    count = min(count, len(shares) - 1)
    if count < 3 or np.ptp(shares) == 0:
        return float("nan")
    falls, levels = -np.log(shares[: count + 1]), np.log(tail(shares)[:-1])
    if when == "all along":
        x = np.linspace(falls[0], falls[-1], 10_000, endpoint=False)
        y = levels[np.searchsorted(falls, x, side="right")]
    else:
        x, y = falls[:count], levels[int(when == "after") :][:count]
    return float(-np.polyfit(x, y, 1)[0])


def steep_stairs(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`width_ratio`."""
    return across_seeds(width_ratio(result), below=0.5)


def straight(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`bend`, as a share of the loss."""
    return across_seeds(10 ** bend(result) - 1, below=0.06)


def ordered(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`rank_correlation`; minus infinity where fewer than eight tasks are learned."""
    return across_seeds(np.where(learned(result) >= 8, rank_correlation(result), -np.inf), above=0.95 - 1e-9)


def predicted_slope(result: xr.Dataset) -> Evidence:
    """:func:`heldout.quanta.emergence.slope_near`, held against alpha + 1.

    Frequencies steeper than the book's, as the control has them, are held against the book's slope, which they must miss.
    """
    return emergence.slope_near(result.time.values, min(float(result.alpha) + 1, SLOPE))


def follows_alpha(result: xr.Dataset) -> Evidence:
    """A manipulation check: the slope is near the one that this record's alpha predicts."""
    return emergence.slope_near(result.time.values, float(result.alpha) + 1, 0.3)


def many_learned(result: xr.Dataset) -> Evidence:
    """A manipulation check: tasks are learned as well as in the book's run, at least eight of them in every seed."""
    return across_seeds(learned(result), above=7.5)
