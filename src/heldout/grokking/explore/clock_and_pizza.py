"""Explorables of the page on clock and pizza."""

from typing import Any

import xarray as xr


def question() -> dict[str, Any]:
    """The reader commits before the cuts are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A transformer with trained attention adds without a mistake. Now all that attention makes of a and b "
            "together is taken out: what the hidden layer is given becomes the nearest sum of a function of a and one of b. "
            "Nothing else is changed, nothing is trained. How many of all pairs are still right?",
            "options": [
                {
                    "label": "Next to none: turning one angle by another is a product, and attention makes it.",
                    "feedback": "That is the clock as it was first described. Here nearly all answers are still right: the layer "
                    "multiplies what it is given as a sum.",
                },
                {
                    "label": "About half: attention and the layer share the work.",
                    "feedback": "Both multiply, but they do not share: the layer's product alone suffices for nearly all.",
                },
                {
                    "label": "Nearly all: the layer's product suffices.",
                    "feedback": "So it is here. Attention is not idle: the table below says what its own product can do.",
                    "correct": True,
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
