"""What the claims about a composite's score measure on a record."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from heldout.claims import Evidence, across_seeds
from heldout.quanta.parity import CHANCE

FIRST, LAST = 0.1, 0.9  # of the way from chance to perfect: where a rise begins and ends


def rescaled(result: xr.Dataset, model: str) -> Float[np.ndarray, "seed asked look"]:
    """Exact match, with guessing at 0 and all right at 1."""
    guess = 0.5 ** result.asked.values[:, None]
    return np.asarray((result.exact.sel(model=model).values - guess) / (1 - guess))


def fall(result: xr.Dataset, model: str) -> Float[np.ndarray, "seed look"]:
    """Share of the mean cross-entropy's way from chance to zero."""
    return np.asarray(1 - result.task_loss.sel(model=model).mean("task").values / CHANCE)


def crossing(times: Float[np.ndarray, " look"], curve: Float[np.ndarray, " look"], level: float) -> float:
    """When a curve first reaches a level, between looks along a line in log time; infinite where it does not."""
    above = np.flatnonzero(curve >= level)
    if not above.size:
        return float("inf")
    i = int(above[0])
    if i == 0:
        return float(times[0])
    part = (level - curve[i - 1]) / (curve[i] - curve[i - 1])
    return float(times[i - 1] * (times[i] / times[i - 1]) ** part)


def _crossings(result: xr.Dataset, model: str, curves: Float[np.ndarray, "seed look"], level: float) -> np.ndarray:
    times = result.clock.sel(model=model).values
    return np.array([crossing(times, curve, level) for curve in curves])


def start(result: xr.Dataset, model: str) -> float:
    """When the median seed's loss has fallen to .9 of chance."""
    return float(np.median(_crossings(result, model, fall(result, model), FIRST)))


def lead(result: xr.Dataset, model: str, which: int = -1) -> Float[np.ndarray, " seed"]:
    """Decades from the loss at .9 of chance to exact match at .1, of the ``which``-th number of answers."""
    later = _crossings(result, model, rescaled(result, model)[:, which], FIRST)
    return np.asarray(np.log10(later / _crossings(result, model, fall(result, model), FIRST)))


def lead_ratio(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """The lead in random features over the lead in the network, for the most answers."""
    return np.asarray(lead(result, "random features") / lead(result, "network"))


def hidden(result: xr.Dataset, model: str, which: int = -1) -> Float[np.ndarray, " seed"]:
    """Share of the loss's fall that is over when exact match reaches .1; NaN where it does not."""
    times = np.log(result.clock.sel(model=model).values)
    at = np.log(_crossings(result, model, rescaled(result, model)[:, which], FIRST))
    shares = [np.interp(t, times, f) for t, f in zip(at, fall(result, model), strict=True)]
    return np.where(np.isfinite(at), shares, np.nan)


def rise(result: xr.Dataset, model: str, which: int) -> Float[np.ndarray, " seed"]:
    """Decades in which exact match of the ``which``-th number of answers rises from .1 to .9."""
    curves = rescaled(result, model)[:, which]
    ends = [_crossings(result, model, curves, level) for level in (FIRST, LAST)]
    return np.asarray(np.log10(ends[1] / ends[0]))


def loss_width(result: xr.Dataset, model: str) -> Float[np.ndarray, " seed"]:
    """Decades in which the mean cross-entropy falls from .9 to .1 of chance."""
    ends = [_crossings(result, model, fall(result, model), level) for level in (FIRST, LAST)]
    return np.asarray(np.log10(ends[1] / ends[0]))


def put_off(result: xr.Dataset, model: str) -> Float[np.ndarray, " seed"]:
    """How many times later the most answers reach one half than one answer does."""
    scores = rescaled(result, model)
    return np.asarray(_crossings(result, model, scores[:, -1], 0.5) / _crossings(result, model, scores[:, 0], 0.5))


def off(result: xr.Dataset, model: str) -> float:
    """Largest distance of exact match of the most answers from the product of mean chances, over seeds and looks."""
    one = result.sel(model=model).isel(asked=-1)
    return float(np.abs(one.exact - one["product"]).max())


def early(result: xr.Dataset, model: str) -> Float[np.ndarray, " seed"]:
    """Share of strings on which the likelier of the most answers are all right when the loss is at .9 of chance."""
    times = np.log(result.clock.sel(model=model).values)
    at = np.log(_crossings(result, model, fall(result, model), FIRST))
    curves = result.likelier.sel(model=model).isel(asked=-1).values
    shares = [np.interp(t, times, curve) for t, curve in zip(at, curves, strict=True)]
    return np.where(np.isfinite(at), shares, np.nan)


def chance_at_first(asked: int) -> float:
    """Chance of each answer, equal for all strings, at which rescaled exact match of ``asked`` reaches FIRST."""
    return float((FIRST + (1 - FIRST) * 0.5**asked) ** (1 / asked))


def arithmetic(asked: int) -> float:
    """Share of the cross-entropy's fall that is over at that chance, whatever the model."""
    return float(1 + np.log(chance_at_first(asked)) / CHANCE)


def as_table(result: xr.Dataset) -> xr.Dataset:
    """The record of a table with the same mean chances: an answer is right for certain on some strings, guessed on the others.

    Of a table that is right on a share c of strings the loss is 1 - c of chance, and tasks err on strings of their own.
    """
    changed, chance = result.copy(deep=True), result.exact.isel(asked=0).values[:, :, None]
    changed["task_loss"][:] = np.broadcast_to(2 * (1 - chance) * CHANCE, result.task_loss.shape)
    changed["exact"][:] = result["product"].values
    return changed


def as_arithmetic(result: xr.Dataset) -> Evidence:
    """Per seed, the larger of the two models' distances of :func:`hidden` from :func:`arithmetic`."""
    expected = arithmetic(int(result.asked[-1]))
    return across_seeds(np.max([np.abs(hidden(result, str(m)) - expected) for m in result.model.values], 0), below=0.03)


def warned(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`lead_ratio`."""
    return across_seeds(lead_ratio(result), above=2.0)


def both_learn(result: xr.Dataset) -> Evidence:
    """A manipulation check: in both models the mean cross-entropy ends below a fifth of chance."""
    return across_seeds(np.min([fall(result, str(m))[:, -1] for m in result.model.values], 0), above=0.8)
