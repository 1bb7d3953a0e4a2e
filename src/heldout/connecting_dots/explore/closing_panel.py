"""Explorables of the page that closes the chapter on connecting the dots."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.connecting_dots.closing_panel_checks import ELSEWHERE, numbers
from heldout.connecting_dots.explore.seed_points import apart_seeds
from heldout.prose import fill

LABELS = {"define": "definitions", "invert": "inversions", "compose": "compositions"}


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader says which function a falsely defined name is used for."""
    n = numbers(result)
    pairs, words = float(n["beside_follows_pairs"]), float(n["beside_follows_words"])
    right = 2 if abs(pairs - words) < 0.1 else (0 if pairs > words else 1)
    measured = fill("Measured: [[beside_follows_pairs:.0%]] undo f and [[beside_follows_words:.0%]] undo g.", n)
    labels = (
        "Mostly f, which the pairs show.",
        "Mostly g, which the definition names.",
        "About as often f as g, or neither.",
    )
    return {
        "title": "Words against deeds",
        "alt": "A question with three answers about a name whose pairs show one function and whose definition names another.",
        "data": {
            "question": "A new name is trained on all pairs of a function f, and on one more line, which defines it as another "
            "function g. The decoder learns both: every pair is right, and asked for the definition it writes g. Then it is "
            "asked to invert the name, which no line has done. Which function does it undo?",
            "options": [
                {"label": label, "feedback": measured} | ({"correct": True} if place == right else {})
                for place, label in enumerate(labels)
            ],
        },
    }


def by_task(result: xr.Dataset) -> dict[str, Any]:
    """The distance of two models on the trained pairs and on what is asked elsewhere, by pair and seed."""
    measures = {"trained pairs": result.apart.sel(task="apply", drop=True)}
    measures |= {LABELS[task]: result.apart.sel(task=task, drop=True) for task in ELSEWHERE}
    shown = {name: values.transpose("pair", "seed").values for name, values in measures.items()}
    places = np.linspace(result.seed.values[0], result.seed.values[-1], 2 * result.sizes["seed"] - 1)
    return {
        "title": "Where two models part",
        "alt": "Distances of two models by seed. On the trained pairs they are close to 0 for every pair of models; on "
        "definitions, inversions and compositions they are far above.",
        "data": {
            "x": {"label": "seed", "values": places, "ticks": result.seed.values, "format": ","},
            "y": {"label": "distance as functions", "range": [-0.05, 1.05], "format": ".2f"},
            "controls": [
                {
                    "name": "pair", "label": "Models", "values": result.pair.values.tolist(),
                    "initial": str(result.pair.values[0]),
                }
            ],
            "series": [
                {"name": name, "by": ["pair"], "values": apart_seeds(values), "points": True, "color": color}
                for color, (name, values) in enumerate(shown.items())
            ],
            "lookups": {
                name.replace(" ", "_"): {"values": np.median(values, 1).tolist(), "by": ["pair"], "format": ".2f"}
                for name, values in shown.items()
            },
            "sentence": "{pair}: in the median seed {trained_pairs} apart on the trained pairs, {definitions} on definitions, "
            "{inversions} on inversions and {compositions} on compositions.",
        },
    }  # fmt: skip
