"""What the claims about the small language models measure on a record.

A *curve* is the loss of one place against size, or against updates. Its *sharpness* is the largest fall between two neighbors as
a share of its whole fall.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int
from scipy.stats import spearmanr

from heldout.claims import Evidence, across_seeds
from heldout.devices import numpy_generator
from heldout.quanta.small_language_text import KINDS, kinds, written

FALLS = 0.5  # nats a place must fall from the smallest to the largest model for its sharpness to be asked
TWICE = 2.0  # a place is sudden when its curve is so many times as sharp as the mean's
WORSE = 0.25  # nats by which a place gets worse with size
EQUAL = 0.05  # nats between two places of equal loss
APART = 1.0  # nats between them at the largest size
BINS = 20


class Pairs(NamedTuple):
    """Pairs of places of equal loss at the smallest size and of different loss at the largest, by the other seeds' mean."""

    before: Float[
        np.ndarray, " pair"
    ]  # difference in this seed at the smallest size, with the others' sign at the largest
    after: Float[np.ndarray, " pair"]  # at the largest


def by_size(result: xr.Dataset) -> Float[np.ndarray, "seed width place"]:
    """Losses after the last update."""
    return np.asarray(result.token_loss.isel(step=-1).values, dtype=float)


def by_time(result: xr.Dataset) -> Float[np.ndarray, "seed step place"]:
    """Losses of the largest model along training, from the first update on."""
    return np.asarray(result.token_loss.isel(width=-1, step=slice(1, None)).values, dtype=float)


def sharpness(curves: Float[np.ndarray, "*rows point place"]) -> Float[np.ndarray, "*rows place"]:
    """Largest fall between neighbors over the whole fall; NaN where the whole fall is at most FALLS."""
    whole = curves[..., 0, :] - curves[..., -1, :]
    steepest = (curves[..., :-1, :] - curves[..., 1:, :]).max(-2)
    return np.where(whole > FALLS, steepest / np.where(whole > FALLS, whole, 1), np.nan)


def of_mean(curves: Float[np.ndarray, "seed point place"]) -> float:
    """Sharpness of the mean over places and seeds."""
    mean = curves.mean((0, 2))
    return float((mean[:-1] - mean[1:]).max() / (mean[0] - mean[-1]))


def sudden(curves: Float[np.ndarray, "seed point place"]) -> Float[np.ndarray, " seed"]:
    """Per seed, the share of falling places that are sudden."""
    sharp, bound = sharpness(curves), TWICE * of_mean(curves)
    return np.array([(row[~np.isnan(row)] > bound).mean() if np.isfinite(row).any() else np.nan for row in sharp])


def averaged(curves: Float[np.ndarray, "seed point place"]) -> Float[np.ndarray, "seed point place"]:
    """Every seed's curve replaced by the mean over seeds."""
    return np.broadcast_to(curves.mean(0), curves.shape)


def smooth(
    curves: Float[np.ndarray, "seed point place"], averaged_over: int = 1
) -> Float[np.ndarray, "seed point place"]:
    """Curves without a jump: each place falls as the mean does, from its own start to its own end, with the seeds' scatter.

    The scatter of a seed is its distance from the mean over seeds, widened for what the mean has taken out of it, and narrowed
    to that of a mean of ``averaged_over`` seeds.
    """
    mean, middle = curves.mean((0, 2)), curves.mean(0)
    fallen = (mean[0] - mean) / (mean[0] - mean[-1])
    base = middle[0] + (middle[-1] - middle[0]) * fallen[:, None]
    seeds = len(curves)
    width = np.sqrt(seeds / max(seeds - 1, 1) / averaged_over)
    scattered: Float[np.ndarray, "seed point place"] = base + (curves - middle) * width
    return scattered


def shared(values: Float[np.ndarray, "seed place"]) -> Float[np.ndarray, " seed"]:
    """Per seed, mean over the other seeds of the rank correlation over places, where both have a value."""
    found = np.full((len(values), len(values)), np.nan)
    for one in range(len(values)):
        for other in range(one):
            both = ~np.isnan(values[one]) & ~np.isnan(values[other])
            if both.sum() > 2:
                found[one, other] = found[other, one] = spearmanr(values[one][both], values[other][both])[0]
    return np.array([np.nanmean(row) if np.isfinite(row).any() else np.nan for row in found])


def recurs(curves: Float[np.ndarray, "seed point place"]) -> dict[str, float]:
    """Does a jump come again? Shares of places, means over ordered pairs of seeds, among the places that fall in both.

    Returns:
        again: of the places sudden in one seed, those sudden in the other; again_base: of all; again_same: of the sudden ones,
        those sudden at the same step; again_chance: again_same were the other's places independent of the one's; again_falls:
        of all places sudden in one seed, those that fall in the other.
    """
    sharp, at = sharpness(curves), (curves[:, :-1] - curves[:, 1:]).argmax(1)
    sudden_at = np.where(sharp > TWICE * of_mean(curves), at, -1)
    found: dict[str, list[float]] = {
        name: [] for name in ("again", "again_base", "again_same", "again_chance", "again_falls")
    }
    for one in range(len(curves)):
        for other in range(len(curves)):
            fall = ~np.isnan(sharp[one]) & ~np.isnan(sharp[other])
            mine = fall & (sudden_at[one] >= 0)
            if one == other or not mine.any():
                continue
            found["again_falls"].append(float(fall[sudden_at[one] >= 0].mean()))
            found["again"].append(float((sudden_at[other][mine] >= 0).mean()))
            found["again_base"].append(float((sudden_at[other][fall] >= 0).mean()))
            found["again_same"].append(float((sudden_at[other][mine] == sudden_at[one][mine]).mean()))
            steps = range(curves.shape[1] - 1)
            chances = [(sudden_at[one][mine] == k).mean() * (sudden_at[other][fall] == k).mean() for k in steps]
            found["again_chance"].append(float(sum(chances)))
    return {name: float(np.mean(each)) if each else float("nan") for name, each in found.items()}


def half_time(curves: Float[np.ndarray, "seed point place"]) -> Float[np.ndarray, "seed place"]:
    """Position at which a place has made half of its fall, NaN where the fall is at most FALLS."""
    whole = curves[:, :1] - curves[:, -1:]
    reached = (curves[:, :1] - curves) >= whole / 2
    return np.where(whole[:, 0] > FALLS, reached.argmax(1), np.nan)


def others(curves: Float[np.ndarray, "seed point place"], seed: int) -> Float[np.ndarray, "point place"]:
    """Mean over all seeds but one."""
    mean: Float[np.ndarray, "point place"] = np.delete(curves, seed, axis=0).mean(0)
    return mean


def pairs(result: xr.Dataset) -> list[Pairs]:
    """Per seed, the pairs that the other seeds choose: neighbors in the order of their loss at the smallest size."""
    curves, found = by_size(result), []
    for seed, mine in enumerate(curves):
        theirs = others(curves, seed)
        order = np.argsort(theirs[0], kind="stable")
        first, second = order[: len(order) // 2 * 2].reshape(-1, 2).T
        gap = theirs[-1, first] - theirs[-1, second]
        chosen = (np.abs(gap) > APART) & (np.abs(theirs[0, first] - theirs[0, second]) < EQUAL)
        sign = np.sign(gap[chosen])
        one, other = first[chosen], second[chosen]
        found.append(Pairs((mine[0, one] - mine[0, other]) * sign, (mine[-1, one] - mine[-1, other]) * sign))
    return found


def explained(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """Per seed, share of the variance of the loss at the largest size between BINS classes of the loss at the smallest."""
    found = []
    for start, *_, end in by_size(result):
        place = np.argsort(np.argsort(start)) * BINS // len(start)
        within = sum(((end[place == each] - end[place == each].mean()) ** 2).sum() for each in np.unique(place))
        found.append(1 - within / ((end - end.mean()) ** 2).sum())
    return np.array(found)


def rises_again(result: xr.Dataset, by: float = 0.0) -> Float[np.ndarray, " seed"]:
    """Per seed, of the places that get worse by more than WORSE in the others' mean, the share that do so by more than ``by``."""
    curves, found = by_size(result), []
    for seed, mine in enumerate(curves):
        theirs = others(curves, seed)
        worse = theirs[-1] - theirs[0] > WORSE
        found.append(float((mine[-1] - mine[0] > by)[worse].mean()) if worse.any() else np.nan)
    return np.array(found)


def power_law(result: xr.Dataset) -> tuple[Float[np.ndarray, " seed"], Float[np.ndarray, " seed"]]:
    """Per seed, slope of log mean loss against log parameters, and the largest residual of that line."""
    x, y = np.log(result.parameters.values.astype(float)), np.log(by_size(result).mean(2))
    lines = [np.polyfit(x, row, 1) for row in y]
    left = [np.abs(row - np.polyval(line, x)).max() for line, row in zip(lines, y, strict=True)]
    return np.array([line[0] for line in lines]), np.array(left)


def likeness(result: xr.Dataset) -> Float[np.ndarray, "seed width order"]:
    """Correlation over places of the models' losses with those of counts."""
    grams = result.ngram_loss.values
    return np.array([[[np.corrcoef(row, gram)[0, 1] for gram in grams] for row in curve] for curve in by_size(result)])


def kind_of(result: xr.Dataset) -> Int[np.ndarray, " place"]:
    """Position in KINDS of every place."""
    return np.concatenate([kinds(written(row)) for row in result.character.values])


def of_kind(result: xr.Dataset, name: str) -> Bool[np.ndarray, " place"]:
    """Which places are of a kind."""
    mask: Bool[np.ndarray, " place"] = kind_of(result) == KINDS.index(name)
    return mask


def context_worth(result: xr.Dataset, name: str) -> Float[np.ndarray, "seed width"]:
    """Nats that places of a kind gain from what lies further back than the short context."""
    gain = result.short_loss.values.astype(float) - by_size(result)
    mine = of_kind(result, name)
    if not mine.any():
        return np.full(gain.shape[:2], np.nan)
    worth: Float[np.ndarray, "seed width"] = gain[:, :, mine].mean(2)
    return worth


def falls_with_size(result: xr.Dataset) -> Evidence:
    """Per seed, the smallest fall of the mean loss between neighboring sizes."""
    return across_seeds(-np.diff(by_size(result).mean(2), axis=1).max(1), above=0.02)


def looks_sudden(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`sudden` over sizes."""
    return across_seeds(sudden(by_size(result)), above=0.5)


def shares_sharpness(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`shared` sharpness over sizes."""
    return across_seeds(shared(sharpness(by_size(result))), above=0.3)


def shares_times(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`shared` :func:`half_time` of the largest model."""
    return across_seeds(shared(half_time(by_time(result))), above=0.25)


def same_rises(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`rises_again`."""
    return across_seeds(rises_again(result), above=0.5)


def same_futures(result: xr.Dataset) -> Evidence:
    """Per seed, the share of :func:`pairs` that go the way they go in the other seeds."""
    return across_seeds(
        np.array([(each.after > 0).mean() if each.after.size else np.nan for each in pairs(result)]), above=0.8
    )


def longer_counts(result: xr.Dataset) -> Evidence:
    """Per seed, rise from smallest to largest of the likeness to counts of three less that to counts of one."""
    like = likeness(result)
    return across_seeds((like[:, -1, 2] - like[:, -1, 0]) - (like[:, 0, 2] - like[:, 0, 0]), above=0.1)


def copies(result: xr.Dataset) -> Evidence:
    """Per seed, how much more the largest model gains from far back in repeated words than in other words' later letters."""
    worth = context_worth(result, "repeated word") - context_worth(result, "later letter")
    return across_seeds(worth[:, -1], above=0.1)


def reaches_counts(result: xr.Dataset) -> Evidence:
    """A manipulation check: at every size the mean loss lies within 0.1 nats of that of counts of single characters."""
    distance = np.abs(by_size(result).mean(2) - result.ngram_loss.isel(order=0).values.mean())
    return across_seeds(distance.max(1), below=0.1)


def mean_as_low(result: xr.Dataset) -> Evidence:
    """A manipulation check: the mean loss falls from the smallest to the largest model by more than 0.15 nats."""
    mean = by_size(result).mean(2)
    return across_seeds(mean[:, 0] - mean[:, -1], above=0.15)


def worth_as_much(result: xr.Dataset) -> Evidence:
    """A manipulation check: over all places the largest model still gains from what lies further back."""
    gain = result.short_loss.values.astype(float) - by_size(result)
    return across_seeds(gain[:, -1].mean(1), above=0.0)


def mixed_places(result: xr.Dataset) -> xr.Dataset:
    """Each seed's curves handed to the places at random: the same curves, no longer of the same places."""
    random = numpy_generator("control, mixed places", result.sizes["seed"])
    token_loss = np.stack([row[..., random.permutation(row.shape[-1])] for row in result.token_loss.values])
    return result.assign(token_loss=(result.token_loss.dims, token_loss, result.token_loss.attrs))


def mixed_back(result: xr.Dataset) -> xr.Dataset:
    """What a place gains from far back handed to the places at random, the same way in all seeds and sizes."""
    order = numpy_generator("control, mixed gains", 0).permutation(result.sizes["place"])
    loss = by_size(result)
    short = loss + (result.short_loss.values - loss)[..., order]
    return result.assign(short_loss=(result.short_loss.dims, short, result.short_loss.attrs))


def mean_over_seeds(result: xr.Dataset) -> xr.Dataset:
    """Every seed's losses replaced by the mean over seeds."""
    loss = result.token_loss
    mean = np.broadcast_to(loss.values.mean(0), loss.shape).copy()
    return result.assign(token_loss=(loss.dims, mean, loss.attrs))
