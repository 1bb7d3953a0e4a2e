"""The runs behind the dial: each trained until two losses have come down, and what its members can do at these two places."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from heldout.connecting_dots.matched_training import Matched, NoisyLoss, drift, looks, moved, right_shares
from heldout.connecting_dots.named_functions import NAMED
from heldout.connecting_dots.observed_pairs import Split
from heldout.connecting_dots.pair_measures import definition_odds
from heldout.connecting_dots.pretraining import Pretrained
from heldout.connecting_dots.row_training import Mode, Tuned, Tuning, first_rows, tune
from heldout.experiment import Progress, silent

CLEAN, NOISY = "without noise", "with noise"
PLACES = (CLEAN, NOISY)  # which loss came down to its level
FAR = 3.0  # times the last level: as long as all losses are above, looks are four times as rare


@dataclass(frozen=True, kw_only=True)
class Levels:
    """Where members are taken.

    Attributes:
        clean: falling levels of the loss without noise, in nats a pair; members are kept at the last.
        noisy: of the loss with the noise of training; None looks at the other loss alone.
        finest: updates between looks at first.
        draws: of the noise, for a look.
    """

    clean: Sequence[float]
    noisy: float | None
    finest: int
    draws: int = 1


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """One run: where its members came down to the levels, and these members by place."""

    curve: Matched
    looks: dict[str, Matched]
    members: dict[str, Tuned]
    measure: NoisyLoss


def everything(started: Pretrained) -> Split:
    """All pairs of all functions."""
    language = started.languages[0]
    return Split(observed=torch.ones(len(language.functions), language.modulus, dtype=torch.bool))


def arrive(
    started: Pretrained, seeds: Sequence[int], mode: Mode, tuning: Tuning, levels: Levels, shares: dict[str, float],
    progress: Progress = silent,
) -> Arrived:  # fmt: skip
    """Train one mode on all pairs until every member has come down to the last levels."""
    splits = [everything(started) for _ in seeds]
    shape, measure = (1, len(seeds)), NoisyLoss(seeds, tuning.noise, levels.draws)
    own = {CLEAN: Matched(levels.clean, shape)}
    if levels.noisy is not None:
        own[NOISY] = Matched([levels.noisy], shape, measure)

    rests = 0  # until this update nobody looks

    def probe(step: int, tuned: Tuned) -> bool:
        nonlocal rests
        if step < rests:
            return False
        arrived = [look(step, tuned) for look in own.values()]
        if all(look.nearest > FAR for look in own.values() if not look.done()):
            rests = step + 4 * levels.finest
        return all(arrived)

    last = tune(
        started, seeds, splits, [mode], tuning, shares=shares, probe=probe, probe_steps=looks(tuning.steps, levels.finest),
        progress=progress,
    )  # fmt: skip
    progress(tuning.steps, tuning.steps)
    members = {place: look.members(last) for place, look in own.items()}
    return Arrived(curve=own[CLEAN], looks=own, members=members, measure=measure)


def first_seeds(started: Pretrained, count: int) -> Pretrained:
    """The members of the first seeds alone."""
    return replace(
        started,
        models=started.models.select(range(count)),
        languages=started.languages[:count],
        loss=started.loss[:count],
    )


def by_task(values: dict[str, Tensor], axis: int = 0) -> np.ndarray:
    """Tasks in their order, stacked."""
    return np.stack([np.asarray(values[task]) for task in NAMED], axis)


def at_places(arrived: Arrived, seeds: int) -> dict[str, np.ndarray]:
    """What members can do at each place, with the place first and the seed last; NaN where it was not reached or not run."""
    found = [_measured(arrived, place) for place in PLACES if place in arrived.members]
    blank = {name: np.full_like(value, np.nan) for name, value in found[0].items()}
    return {name: padded(np.stack([part[name] for part in (*found, blank)][: len(PLACES)]), seeds) for name in blank}


def padded(values: np.ndarray, seeds: int) -> np.ndarray:
    """Values with as many seeds, which come last; NaN for those that were not run."""
    more = seeds - values.shape[-1]
    return np.pad(values.astype(float), [(0, 0)] * (values.ndim - 1) + [(0, more)], constant_values=np.nan)


def _measured(arrived: Arrived, place: str) -> dict[str, np.ndarray]:
    look, member = arrived.looks[place], arrived.members[place]
    values = {
        "updates": look.step[-1, 0].numpy(), "clean": member.losses().mean((2, 3))[0].numpy(),
        "noisy": arrived.measure(member)[0].numpy(), "noisy_pairs": arrived.measure.right(member)[0].numpy(),
        "right": by_task(right_shares(member))[:, 0], "old": by_task(member.old_names())[:, 0], "moved": moved(member)[0].numpy(),
        "cosine": drift(member)[:, 0].numpy(), "define_loss": member.losses("define").mean((2, 3))[0].numpy(),
    }  # fmt: skip
    missing = np.isnan(look.step[-1, 0].numpy())
    return {name: np.where(missing, np.nan, value.astype(float)) for name, value in values.items()}


def _said(tuned: Tuned) -> Int[Tensor, "member function"]:
    """The function whose definition is likeliest after each new name."""
    return definition_odds(tuned).argmax(-1)


def wrong_words(member: Tuned, untouched: Tuned, seeds: Sequence[int], start: float) -> dict[str, np.ndarray]:
    """Per seed, how many definitions are wrong, how many of these the untouched decoder gives, and how many are of the old
    name nearest to where the row began."""
    started = member.pretrained
    count, first = len(started.languages[0].functions), started.models.first_name
    old, rows = started.models.embed.detach()[:, first:], first_rows(started, seeds, start)
    nearest = torch.cdist(rows, old).argmin(-1).cpu() // started.languages[0].synonyms
    said, before = _said(member), _said(untouched)
    wrong = said != torch.arange(count)
    return {
        "wrong": wrong.sum(1).numpy().astype(float), "wrong_as_before": (wrong & (said == before)).sum(1).numpy().astype(float),
        "wrong_as_nearest": (wrong & (said == nearest)).sum(1).numpy().astype(float),
    }  # fmt: skip
