"""Explorables of the page on clock and pizza."""

from typing import Any

import xarray as xr


def question() -> dict[str, Any]:
    """The reader commits before the cuts are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A transformer with trained attention adds without a mistake. Now every pair (a, b) gets the same "
            "attention, each head's mean over all pairs; nothing else is changed, nothing is trained. How many of all pairs are "
            "still right?",
            "options": [
                {
                    "label": "Next to none: turning one angle by another is a product, and attention makes it.",
                    "feedback": "That is the clock as it was first described. Here most answers are still right without what "
                    "attention multiplies.",
                },
                {
                    "label": "Most of them, not all.",
                    "feedback": "So it is here. Attention does something for the answer, and the layer's product alone "
                    "suffices for most answers.",
                    "correct": True,
                },
                {
                    "label": "All of them: attention is an ornament.",
                    "feedback": "So it is where attention was trained to be even. Trained attention is missed when it is gone.",
                },
            ],
        },
    }


def profile(result: xr.Dataset) -> dict[str, Any]:
    """The mean right logit of every network, by the distance of its two numbers."""
    rates = [f"{float(rate):.0%}" for rate in result.rate.values]
    seeds = [int(seed) for seed in result.seed.values]
    names = ("symmetricity", "irrelevance")
    swing = (result.profile / result.profile.mean("distance")).transpose("rate", "seed", "distance")
    return {
        "title": "The right logit, by distance",
        "alt": "With even attention the logit of the right answer swings with the distance of the two numbers; with "
        "trained attention it swings less.",
        "data": {
            "x": {"label": "distance b - a, modulo P", "values": result.distance.values, "symbol": "distance", "format": ","},
            "y": {"label": "mean right logit, over its mean", "symbol": "logit", "format": ".2f"},
            "controls": [
                {"name": "rate", "label": "Trained attention", "values": rates, "initial": rates[0]},
                {"name": "seed", "label": "Seed", "values": seeds, "format": "d"},
            ],
            "series": [
                {
                    "name": "right logit", "values": swing.values,
                    "by": ["rate", "seed"], "color": 0,
                },
            ],
            "lookups": {
                name: {"values": result[name].transpose("rate", "seed").values, "by": ["rate", "seed"], "format": ".2f"}
                for name in names
            },
            "sentence": "{rate} trained attention, seed {seed}: gradient symmetricity {symmetricity}, distance irrelevance "
            "{irrelevance}.",
        },
    }  # fmt: skip
