"""What the claims on two languages measure on a record."""

from collections import Counter

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.connecting_dots import two_languages_world as world
from heldout.connecting_dots.two_languages_training import EXCHANGED, VERB_DRAWN, WHO_DRAWN

TAUGHT, NEW = 0.98, 0.95  # gates: sums in A with verbs from sums, and with verbs from stories only
TRUE, QUARTER, NOTHING = "half shared", "quarter shared", "nothing shared"
SAME = 0.01  # nats a token
MANY = 30  # seeds; with fewer a mean near 1/3 says nothing


def has(result: xr.Dataset, *conditions: str) -> bool:
    """Whether a record has these conditions."""
    return set(conditions) <= set(result.condition.values.tolist())


def gated(result: xr.Dataset, values: xr.DataArray) -> xr.DataArray:
    """Values by seed; NaN where A's sums were not learned, or not carried to verbs known from stories only."""
    ready = (result.known.sel(verbs="in sums", drop=True) >= TAUGHT) & (
        result.known.sel(verbs="in stories only", drop=True) >= NEW
    )
    return values.where(ready)


def crosses(result: xr.Dataset) -> Evidence:
    """Per seed, the lower share of exact answers in B of half and a quarter of the words shared."""
    lower = result.exact.sel(condition=[TRUE, QUARTER]).min("condition")
    return across_seeds(gated(result, lower), above=0.8)


def wrong_operation(result: xr.Dataset) -> Evidence:
    """Per seed, answers with the exchanged operation; NaN where more than 5 % have the right number."""
    own = result.sel(condition=EXCHANGED)
    return across_seeds(gated(result, own.exchanged.where(own.kept <= 0.05)), above=0.75)


def direction(result: xr.Dataset) -> Evidence:
    """Per seed, sums in the right direction with nothing shared."""
    return across_seeds(gated(result, result.direction.sel(condition=NOTHING)), above=0.9)


def size_left_open(result: xr.Dataset) -> Evidence:
    """The mean over seeds of sums of the right size with nothing shared, against 1/3; not judged by fewer than 30 seeds."""
    values = sizes_of_learned(result)
    if len(values) < MANY:
        mean = float(values.mean()) if len(values) else float("nan")
        return Evidence(value=mean, bound=f"{MANY} seeds that have learned A (here {len(values)})", holds=False)
    mean, reach = float(values.mean()), standard_errors(values)
    return Evidence(
        value=mean, low=float(values.min()), high=float(values.max()),
        bound=f"mean of {len(values)} seeds within {reach:.3f} of 1/3", holds=abs(mean - 1 / 3) <= reach,
    )  # fmt: skip


def sizes_of_learned(result: xr.Dataset) -> np.ndarray:
    """With nothing shared, the share of right sizes of the seeds whose decoders learned A; the others say nothing about B."""
    every = gated(result, result["size"].sel(condition=NOTHING)).values
    return np.asarray(every[np.isfinite(every)], dtype=float)


def standard_errors(values: np.ndarray) -> float:
    """Two standard errors of a mean over seeds, by the seeds themselves."""
    return 2 * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else float("nan")


def size_numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """The mean share of right sizes with nothing shared, its two standard errors, and what a blind choice gives."""
    values, untaught = sizes_of_learned(result), 1 / world.INPUTS
    return {
        "size_seeds": len(values), "size_gated": float(values.mean()) if len(values) else float("nan"),
        "size_reach": standard_errors(values), "size_third": 1 / 3,
        # Another operation's answer falls on an x that A never taught it; half of what comes then has the right size.
        "size_blind": 1 / 3 + 2 / 3 * untaught / 2,
    }  # fmt: skip


def loss_numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """How far apart the losses with verbs exchanged and not are, and what was lost in the seed where they are farthest."""
    distance = loss_difference(result)
    who = result.loss.sel(answer="who").isel(seed=int(distance.values.argmax()))
    return {
        "loss_difference": float(distance.max()), "loss_over": int((distance >= SAME).sum()), "loss_bound": SAME,
        "loss_worst_true": float(who.sel(condition=TRUE)), "loss_worst_exchanged": float(who.sel(condition=EXCHANGED)),
    }  # fmt: skip


def verbs_at_random(result: xr.Dataset) -> xr.Dataset:
    """The record with verbs drawn at random in the place of both true conditions."""
    return _in_place(result, (TRUE, QUARTER), VERB_DRAWN)


def form_kept(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the lower share of sums that follow some operation and of those with their noun."""
    own = result.sel(condition=TRUE)
    return across_seeds(np.minimum(own.valid, own.noun), above=0.8)


def not_exchanged(result: xr.Dataset) -> xr.Dataset:
    """The record with the same stories, verbs not exchanged, in the place of the exchanged ones."""
    changed = _in_place(result, (EXCHANGED,), TRUE)
    return changed.assign(difference=loss_difference(result))


def loss_difference(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the distance of the losses of stories with verbs exchanged and not, in nats a token."""
    losses = result.loss.mean("answer")
    distance: xr.DataArray = abs(losses.sel(condition=EXCHANGED, drop=True) - losses.sel(condition=TRUE, drop=True))
    return distance


def same_loss(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the loss differs by less than a hundredth of a nat a token."""
    return across_seeds(result.difference, below=SAME)


def who_at_random(result: xr.Dataset) -> xr.Dataset:
    """The record with the one who gains drawn at random, in the place of nothing shared."""
    return _in_place(result, (NOTHING,), WHO_DRAWN)


def size_kept(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the share of sums of the right size stays well above one third, in 4 of 5 seeds."""
    return across_seeds(result["size"].sel(condition=NOTHING), above=0.5, share=0.8)


def quarter_shared(result: xr.Dataset) -> xr.Dataset:
    """The record with a quarter of the words shared in the place of none."""
    return _in_place(result, (NOTHING,), QUARTER)


def direction_kept(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the direction is right as it was with nothing shared."""
    return across_seeds(result.direction.sel(condition=NOTHING), above=0.9)


def sizes_applied(result: xr.Dataset) -> np.ndarray:
    """With nothing shared, the size most verbs of each operation apply (seed, gain or lose, size); 0 where they do not agree."""
    favorite = abs(result.favorite.sel(condition=NOTHING)).values.astype(int)
    most = [[Counter(verbs).most_common(1)[0] for verbs in seed] for seed in favorite.tolist()]
    agreed = [[size if times > world.SYNONYMS // 2 else 0 for size, times in seed] for seed in most]
    return np.array(agreed).reshape(len(favorite), 2, world.SIZES)


def assignments(result: xr.Dataset) -> dict[str, float | int | str]:
    """How many seeds assign the sizes one to one, the same for gains and losses; and how many of these as they should."""
    own = sizes_applied(result)
    right = np.arange(1, world.SIZES + 1)
    one_to_one = (np.sort(own, -1) == right).all((1, 2))
    alike = one_to_one & (own[:, 0] == own[:, 1]).all(-1)
    return {
        "one_to_one": int(one_to_one.sum()), "assigned_alike": int(alike.sum()),
        "assigned_right": int((own == right).all((1, 2)).sum()),
    }  # fmt: skip


def _in_place(result: xr.Dataset, conditions: tuple[str, ...], other: str) -> xr.Dataset:
    """The record with one condition in the place of others."""
    place, own = result.condition.isin(list(conditions)), result.sel(condition=other, drop=True)
    return result.assign(
        {name: value.where(~place, own[name]) for name, value in result.items() if "condition" in value.dims}
    )
