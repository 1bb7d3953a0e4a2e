"""What the claims about stairs and their mean measure on a record."""

from collections.abc import Callable

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.stats import spearmanr

from heldout.claims import Evidence, across_seeds
from heldout.quanta.parity import CHANCE, tail

SURE = 0.95  # share of a task's held-out samples that are right
HIGH, LOW = 0.9, 0.1  # of chance: where a stair begins and ends
SLOPE = 1.5  # of log time against log rank, at alpha = .5


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
    return int(np.isfinite(result[time].values).all(0).cumprod().sum())


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
    found = []
    for when in result.time.values:
        known = np.flatnonzero(np.isfinite(when))
        varied = len(known) >= 3 and np.ptp(when[known]) > 0
        found.append(float(spearmanr(known, when[known]).statistic) if varied else np.nan)
    return np.array(found)


def slopes(result: xr.Dataset, time: str = "time") -> Float[np.ndarray, " seed"]:
    """Slope of log time against log rank over the ranks learned in every seed, one a seed."""
    count = shared_ranks(result, time)
    if count < 3:
        return np.full(result.sizes["seed"], np.nan)
    x = np.log(np.arange(1, count + 1))
    return np.array([np.polyfit(x, np.log(when[:count]), 1)[0] for when in result[time].values])


def asymptotic(result: xr.Dataset) -> float:
    """Exponent of the mean loss for infinitely many tasks, alpha / (alpha + 1); NaN where there is none."""
    alpha = float(result.alpha)
    return alpha / (alpha + 1) if alpha > 0 else float("nan")


def finite_exponent(result: xr.Dataset) -> float:
    """Minus the slope of log tail sum against log 1 / p_n, over as many ranks as the median seed learned."""
    shares, count = result.frequency.values, int(np.median(learned(result)))
    count = min(count, len(shares) - 1)
    if count < 3 or np.ptp(shares) == 0:
        return float("nan")
    return float(-np.polyfit(np.log(1 / shares[:count]), np.log(tail(shares)[1 : count + 1]), 1)[0])


def steep_stairs(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`width_ratio`."""
    return across_seeds(width_ratio(result), below=0.5)


def straight(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`bend`, as a share of the loss."""
    return across_seeds(10 ** bend(result) - 1, below=0.06)


def ordered(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`rank_correlation`; minus infinity where fewer than eight tasks are learned."""
    return across_seeds(np.where(learned(result) >= 8, rank_correlation(result), -np.inf), above=0.95 - 1e-9)


def _near(result: xr.Dataset, aim: float, within: float) -> Evidence:
    found = slopes(result)
    mean = float(found.mean())
    return Evidence(
        value=mean,
        low=float(found.min()),
        high=float(found.max()),
        bound=f"mean over seeds within {within:g} of {aim:g}",
        holds=bool(abs(mean - aim) <= within),
    )


def predicted_slope(result: xr.Dataset) -> Evidence:
    """Mean over seeds of :func:`slopes`, held against SLOPE."""
    return _near(result, SLOPE, 0.15)


def follows_alpha(result: xr.Dataset) -> Evidence:
    """A manipulation check: the slope is near the one that this record's alpha predicts."""
    return _near(result, float(result.alpha) + 1, 0.3)


def many_learned(result: xr.Dataset) -> Evidence:
    """A manipulation check: tasks are learned as well as in the book's run, at least eight of them in every seed."""
    return across_seeds(learned(result), above=7.5)
