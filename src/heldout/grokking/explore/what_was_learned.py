"""Explorables of the page on what was learned."""

from typing import Any

import numpy as np
import xarray as xr


def question() -> dict[str, Any]:
    """The reader commits before the cuts are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A network has memorized its sums and guesses at all others. From the weights of each hidden unit we now "
            "remove every frequency but the strongest. No label is looked at, nothing is trained. How many of the sums that it "
            "has never seen does it answer then?",
            "options": [
                {
                    "label": "About as few as before: what it knows is a list, and the list is now damaged.",
                    "feedback": "For the transformer that is right. The MLP of this page does something else.",
                },
                {
                    "label": "About half of them.",
                    "feedback": "It is more than that, and it is so in every seed.",
                },
                {
                    "label": "Nearly all.",
                    "feedback": "So it is for the MLP of this page, and not for the transformer. The rest of the page asks why.",
                    "correct": True,
                },
            ],
        },
    }


def spectra(result: xr.Dataset) -> dict[str, Any]:
    """The spectrum of every network and seed, before and after training."""
    names, seeds = [str(arm) for arm in result.arm.values], [int(seed) for seed in result.seed.values]
    power = result.power.transpose("when", "arm", "seed", "frequency")
    gini = result.gini.transpose("when", "arm", "seed")
    series = [
        {"name": name, "values": power.sel(when=when).values, "by": ["network", "seed"], "color": color, "dash": dash}
        for name, when, color, dash in (("after training", "after", 1, False), ("before", "before", 5, True))
    ]
    return {
        "title": "The spectrum of one network",
        "alt": "A transformer that has generalized keeps a few frequencies, the MLP keeps all of them, and networks that "
        "memorized keep all of them, more or less evenly.",
        "data": {
            "x": {"label": "frequency k", "values": result.frequency.values, "symbol": "k", "format": ","},
            "y": {"label": "share of the power of the weights", "symbol": "share", "format": ".3f", "free": True},
            "controls": [
                {"name": "network", "label": "Network", "values": names, "initial": names[-2]},
                {"name": "seed", "label": "Seed", "values": seeds, "format": "d"},
            ],
            "series": series,
            "lookups": {
                "peak": {"series": "after training", "stat": "max", "format": ".0%"},
                "where": {"series": "after training", "stat": "argmax", "format": ","},
                "after": {"values": gini.sel(when="after").values, "by": ["network", "seed"], "format": ".2f"},
                "before": {"values": gini.sel(when="before").values, "by": ["network", "seed"], "format": ".2f"},
            },
            "sentence": "{network}, seed {seed}: the strongest frequency, {where}, holds {peak} of the power; Gini coefficient "
            "{after} after training, {before} before.",
        },
    }


def keys(result: xr.Dataset, share: float = 0.8, most: int = 6) -> list[int]:
    """The frequencies that hold this share of the power in the first seed's grokked transformer, in order, at most so many."""
    power = result.power.sel(when="after", arm="transformer").isel(seed=0).values
    order = np.argsort(power)[::-1]
    count = int((np.cumsum(power[order]) < share).sum()) + 1
    return sorted(int(k) for k in result.frequency.values[order[: min(count, most)]])


def clock(result: xr.Dataset) -> dict[str, Any]:
    """The clock, with the frequencies that one trained transformer chose."""
    modulus = 2 * result.sizes["frequency"] + 1
    return {
        "title": "The clock",
        "alt": "Two hands turned one after the other point to the sum; summed over a few frequencies, only the right answer "
        "stands out.",
        "caption": "The frequencies are those that the grokked transformer of the first seed kept.",
        "data": {
            "modulus": modulus,
            "frequencies": keys(result),
            "initial": {"a": modulus // 5 + 1, "b": 2 * modulus // 3},
        },
    }
