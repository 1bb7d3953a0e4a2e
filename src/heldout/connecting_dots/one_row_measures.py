"""What new names can do after training on pairs, by mode and by what pretraining had said of their functions."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.connecting_dots.named_functions import NAMED
from heldout.connecting_dots.observed_pairs import Split
from heldout.connecting_dots.pretraining import Pretrained, known_names
from heldout.connecting_dots.row_training import Tuned, by_hand
from heldout.experiment import variable

GROUPS = ("defined", "undefined", "unseen")
HAND, UNTOUCHED = "hand", "untouched"


def _mixed(started: Pretrained) -> np.ndarray:
    """Shares right (task, seed) of defined functions, with rows set by hand from names of two: its own and the next one's."""
    others = []
    for language in started.languages:
        own = language.defined
        following = dict(zip(own, (*own[1:], own[0]), strict=True))
        others.append([following.get(function, function) for function in range(len(language.functions))])
    mixed = by_hand(started, others)
    right = [mixed.correct(task)[0].mean(-1) for task in NAMED]
    return np.array(
        [
            [float(each[seed, list(language.defined)].mean()) for seed, language in enumerate(started.languages)]
            for each in right
        ]
    )


def dataset(
    started: Pretrained, splits: list[Split], parts: dict[tuple[str, ...], Tuned], seeds: list[int], modes: list[str]
) -> xr.Dataset:
    """The record of all modes, trained or not, in the order: the first trained, by hand, untouched, the others."""
    order = [name for names in parts for name in names]
    count = len(started.languages[0].functions)
    member = np.array(
        [[[f in getattr(each, group) for f in range(count)] for each in started.languages] for group in GROUPS]
    )
    pairs = np.stack([split.observed.numpy() for split in splits])

    def by_group(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
        """Mean (mode, group, seed) of values (mode, seed, function, number) over what counts (mode, seed, function, number)."""
        weight = member[..., None] * np.broadcast_to(counted, values.shape)[:, None]
        with np.errstate(invalid="ignore"):
            share: np.ndarray = (values[:, None] * weight).sum((-1, -2)) / weight.sum((-1, -2))
        return share

    def of_all(take: Any) -> np.ndarray:
        return np.concatenate([np.asarray(take(part)) for part in parts.values()])

    right = {task: of_all(lambda part, task=task: part.correct(task)) for task in NAMED}
    losses, everything = of_all(lambda part: part.losses()), np.ones((1, 1, 1))
    fit = np.where(pairs, right["apply"], 1).min(-1, keepdims=True)  # (mode, seed, function, 1)
    old = [np.stack([part.old_names()[task] for task in NAMED], 1) for part in parts.values()]
    known = known_names(started)
    described: dict[str, tuple[Any, ...]] = {
        "right": (
            ("mode", "group", "seed", "task"), np.stack([by_group(right[task], everything) for task in NAMED], -1),
            "share of lines about new names right",
        ),
        "observed": (("mode", "group", "seed"), by_group(right["apply"], pairs), "share of trained pairs right"),
        "held_out": (("mode", "group", "seed"), by_group(right["apply"], ~pairs), "share of held-out pairs right"),
        "fitted": (("mode", "group", "seed"), by_group(fit, everything), "share of functions with all trained pairs right"),
        "fitted_define": (
            ("mode", "group", "seed"), by_group(right["define"], fit), "share of definitions right, of functions whose trained "
            "pairs are",
        ),
        "fitted_held_out": (
            ("mode", "group", "seed"), by_group(right["apply"], fit * ~pairs), "share of held-out pairs right, of functions "
            "whose trained pairs are",
        ),
        "loss": (("mode", "seed"), by_group(losses, pairs)[:, 0], "cross-entropy of trained pairs", "nats a pair"),
        "old": (("mode", "task", "seed"), np.concatenate(old), "share of lines about old names right"),
        "mixed": (("task", "seed"), _mixed(started), "share right with a row set by hand from names of two functions"),
        "known": (("task", "seed"), np.stack([known[task] for task in NAMED]), "share right before any new name"),
    }  # fmt: skip
    coordinates = {
        "mode": variable("mode", order, "what is trained"), "group": variable("group", list(GROUPS), "functions"),
        "task": variable("task", list(NAMED), "what a line asks"), "seed": seeds,
    }  # fmt: skip
    data = {name: variable(dims, values, *label) for name, (dims, values, *label) in described.items()}
    first, *rest = modes
    return xr.Dataset(data, coordinates).sel(mode=[first, HAND, UNTOUCHED, *rest])
