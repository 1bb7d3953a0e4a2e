"""The four phases of a run, and what the claims about them measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.grokking.addition_toy import REACHED
from heldout.grokking.training import first_step

NAMES = ("comprehension", "grokking", "memorization", "confusion")
COMPREHENSION, GROKKING, MEMORIZATION, CONFUSION = range(4)
RULES = ("steps", "ratio")


def reached(result: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """The first probed step at which training and held-out accuracy are at least REACHED; NaN where they never are."""
    return first_step(result.train_accuracy, REACHED), first_step(result.test_accuracy, REACHED)


def phases(result: xr.Dataset, rule: str) -> xr.DataArray:
    """The phase of each run, a position in NAMES.

    A run that reaches both accuracies groks if the held-out pairs take more than ``gap_steps`` updates longer than the training
    pairs (rule "steps"), or more than ``gap_ratio`` times as many (rule "ratio"), and comprehends otherwise. One that reaches
    the training accuracy alone memorizes, one that does not is confused.

    Raises:
        ValueError: the rule is unknown.
    """
    if rule not in RULES:
        raise ValueError(f"rule={rule!r}: must be one of {', '.join(RULES)}")
    train, test = reached(result)
    late = test - train > result.gap_steps if rule == "steps" else test > result.gap_ratio * train
    general = late.where(late, COMPREHENSION).where(~late, GROKKING)
    found: xr.DataArray = general.where(test.notnull(), MEMORIZATION).where(train.notnull(), CONFUSION).astype(int)
    return found.transpose("embedding_rate", "decoder_rate", "seed")


def majority(phase: xr.DataArray) -> np.ndarray:
    """The phase of more than half of a cell's seeds (embedding_rate, decoder_rate); -1 where there is none."""
    shares = np.stack([(phase == number).mean("seed").values for number in range(len(NAMES))])
    return np.where(shares.max(0) > 0.5, shares.argmax(0), -1)


def generalizes(result: xr.Dataset) -> xr.DataArray:
    """Whether a run reached both accuracies."""
    train, test = reached(result)
    both: xr.DataArray = train.notnull() & test.notnull()
    return both


def agreement(phase: xr.DataArray) -> np.ndarray:
    """The share of a cell's seeds that are in its most frequent phase (embedding_rate, decoder_rate)."""
    shares = np.stack([(phase == number).mean("seed").values for number in range(len(NAMES))])
    result: np.ndarray = shares.max(0)
    return result


def final_rqi(result: xr.Dataset, which: xr.DataArray) -> xr.DataArray:
    """RQI after the last update of the runs picked out, NaN for the others."""
    last: xr.DataArray = result.rqi.isel(step=-1).where(which)
    return last


def four_phases(result: xr.Dataset) -> Evidence:
    """How many phases are the majority in some cell, by the rule of steps."""
    most = majority(phases(result, "steps"))
    found = len(set(most[most >= 0].tolist()))
    return Evidence(value=found, bound=f"all {len(NAMES)}", holds=found == len(NAMES), partly=found == len(NAMES) - 1)


def all_occur(result: xr.Dataset) -> Evidence:
    """The number of runs in the rarest phase, by the rule of steps."""
    phase = phases(result, "steps")
    rarest = min(int((phase == number).sum()) for number in range(len(NAMES)))
    return Evidence(value=rarest, bound=f"at least 5 of {phase.size} runs", holds=rarest >= 5, partly=rarest >= 1)


def seeds_with_all(phase: xr.DataArray) -> int:
    """How many seeds have each of the four phases somewhere in their own grid."""
    cells = ("embedding_rate", "decoder_rate")
    return int(np.logical_and.reduce([(phase == number).any(cells).values for number in range(len(NAMES))]).sum())


def embedding_first(result: xr.Dataset) -> Evidence:
    """The share of runs that generalize among those that learn the training pairs: fastest less slowest embedding."""
    learned, general = reached(result)[0].notnull(), generalizes(result)
    ends = []
    for row in (-1, 0):
        count = int(learned.isel(embedding_rate=row).sum())
        ends.append(float(general.isel(embedding_rate=row).sum()) / count if count else float("nan"))
    difference = ends[0] - ends[1]
    bound = f"at least 0.25 ({ends[0]:.2f} less {ends[1]:.2f})"
    return Evidence(value=difference, bound=bound, holds=difference >= 0.25, partly=difference > 0)


def race(result: xr.Dataset) -> Evidence:
    """The share of runs that generalize among those that learn the training pairs, at the fastest embedding."""
    train, _ = reached(result)
    general = generalizes(result)
    learned = int(train.isel(embedding_rate=-1).notnull().sum())
    share = float(general.isel(embedding_rate=-1).sum()) / learned if learned else 0.0
    slowest = int(general.isel(embedding_rate=0).sum())
    holds = share >= 2 / 3 and slowest == 0
    bound = f"at least 0.67 of {learned}, and 0 at the slowest ({slowest})"
    return Evidence(value=share, bound=bound, holds=holds, partly=share >= 2 / 3 or slowest == 0)


def short_delays(result: xr.Dataset) -> Evidence:
    """The share of generalizing runs that the rule of the ratio calls grokking."""
    general = generalizes(result)
    count = int(general.sum())
    late = int((phases(result, "ratio").transpose(*general.dims) == GROKKING).sum())
    share = late / count if count else float("nan")
    return Evidence(value=share, bound=f"at most 0.1 of {count} runs", holds=share <= 0.1)


def structure(result: xr.Dataset) -> Evidence:
    """Per seed, mean final RQI of the generalizing runs above that of the memorizing ones."""
    general = generalizes(result)
    memorized = phases(result, "steps").transpose(*general.dims) == MEMORIZATION
    cells = ("embedding_rate", "decoder_rate")
    difference = final_rqi(result, general).mean(cells) - final_rqi(result, memorized).mean(cells)
    return across_seeds(difference, above=0.3)


def learns_training_pairs(result: xr.Dataset) -> Evidence:
    """A manipulation check: at least half of the runs learn their training pairs."""
    share = float(reached(result)[0].notnull().mean())
    return Evidence(value=share, bound="at least 0.5 of the runs", holds=share >= 0.5)


def trained_early(result: xr.Dataset) -> xr.Dataset:
    """Training accuracies as they would be at a third of the updates."""
    early = result.train_accuracy.interp(step=(3 * result.step).clip(max=int(result.step[-1])).values, method="nearest")
    return result.assign(train_accuracy=early.assign_coords(step=result.step.values))


def same_generalizers(result: xr.Dataset) -> Evidence:
    """A manipulation check: the two orders of learning stay as they were, training pairs first."""
    train, test = reached(result)
    both = train.notnull() & test.notnull()
    share = float((train <= test).where(both).mean())
    return Evidence(
        value=share, bound="training pairs first in at least 0.9 of the runs that learn both", holds=share >= 0.9
    )


def confused_for_general(result: xr.Dataset) -> xr.Dataset:
    """Runs that learn not even the training pairs in the place of those that learn both sets."""
    general = generalizes(result)
    confused = phases(result, "steps").transpose(*general.dims) == CONFUSION
    names = ("train_accuracy", "test_accuracy")
    return result.assign({name: result[name].where(~general, 0.0).where(~confused, 1.0) for name in names})


def as_many_of_each(result: xr.Dataset) -> Evidence:
    """A manipulation check: every seed has runs of the kind compared and runs that memorize, five of each at least."""
    general = generalizes(result)
    memorized = phases(result, "steps").transpose(*general.dims) == MEMORIZATION
    cells = ("embedding_rate", "decoder_rate")
    fewest = np.minimum(general.sum(cells), memorized.sum(cells))
    return across_seeds(fewest, above=4)


def quoted(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes."""
    by = {rule: phases(result, rule) for rule in RULES}
    generalizing = generalizes(result)
    train, test = reached(result)
    ratio = (test / train).where(generalizing)
    found: dict[str, float | int | str] = {
        "cells": result.sizes["embedding_rate"] * result.sizes["decoder_rate"],
        "seeds": result.sizes["seed"],
        "runs": int(generalizing.size),
        "updates": int(result.step[-1]),
        "gap_steps": int(result.gap_steps),
        "gap_ratio": float(result.gap_ratio),
        "passed_over": int(result.passed_over.sum()),
        "generalizing": int(generalizing.sum()),
        "median_ratio": float(ratio.median()),
        "largest_ratio": float(ratio.max()),
        "above_ratio": int((ratio > result.gap_ratio).sum()),
        "agreement": float(np.mean(agreement(by["steps"]))),
        "rqi_general": float(final_rqi(result, generalizing).median()),
        "rqi_confused": float(final_rqi(result, by["steps"] == CONFUSION).median()),
        "rqi_memorized": float(final_rqi(result, by["steps"] == MEMORIZATION).median()),
        "seeds_with_all": seeds_with_all(by["steps"]),
        "seeds_general": int(generalizing.any(("embedding_rate", "decoder_rate")).sum()),
        "most_general": int(generalizing.sum(("embedding_rate", "decoder_rate")).max()),
        "general_slowest": int(generalizing.isel(embedding_rate=0).sum()),
        "general_fastest": int(generalizing.isel(embedding_rate=-1).sum()),
        "learned_slowest": int(train.isel(embedding_rate=0).notnull().sum()),
        "learned_fastest": int(train.isel(embedding_rate=-1).notnull().sum()),
        "row": int(generalizing.isel(embedding_rate=0).size),
    }
    for rule, phase in by.items():
        most = majority(phase)
        for number, name in enumerate(NAMES):
            found[f"{rule}_{name}"] = int((most == number).sum())
            found[f"{rule}_{name}_runs"] = int((phase == number).sum())
        found[f"{rule}_undecided"] = int((most < 0).sum())
    return found
