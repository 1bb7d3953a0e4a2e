"""Explorables of the page on the small world."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.connecting_dots.world import numbers
from heldout.prose import fill

ALL = "all"
LABELS = {"apply": "apply it", "define": "define it", "invert": "invert it", "compose": "compose it"}


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader says whether names are defined that no line has defined."""
    n = numbers(result)
    measured = fill(
        "In the median seed [[silent_define:.0%]] of these names are defined right "
        "([[silent_define_lowest:.0%]] to [[silent_define_highest:.0%]] by seed).",
        n,
    )
    options = {
        "None, or no more than by guessing: no line has defined them.": 0.0,
        "About half.": 0.5,
        "Nearly all: they are defined as their synonyms are.": 1.0,
    }
    nearest = min(options.values(), key=lambda share: abs(share - float(n["silent_define"])))
    return {
        "title": "The name nobody defined",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": fill(
                "In a small language every function has [[synonyms]] names. A decoder learns it from lines that apply, invert, "
                "compose and define functions by name. One name of each function is left out of the definitions; it is applied, "
                "inverted and composed like the others, and no line says that names can be synonyms. Asked to define the names "
                "left out, how many does the decoder define right?",
                n,
            ),
            "options": [
                {"label": label, "feedback": measured} | ({"correct": True} if share == nearest else {})
                for label, share in options.items()
            ],
        },
    }


def between(result: xr.Dataset) -> dict[str, Any]:
    """Whose answers a mixed row gives, for each task, seed and pair of functions."""
    count = result.sizes["pair"]
    order = ("task", "seed", "pair", "share")
    by = ["task", "seed", "pair"]

    def lines(answer: str) -> np.ndarray:
        own = result.way.sel(answer=answer).transpose(*order)
        return np.concatenate([own.mean("pair").values[:, :, None], own.values], 2)

    first, second = lines("own"), lines("other")
    neither = (1 - first - second).max(-1)
    return {
        "title": "On the way from one name to another",
        "alt": "Whose answers the decoder gives as the row of a name is moved to another function's: those of the first function "
        "in the beginning, of the second in the end, and between them for some pairs also answers of neither.",
        "data": {
            "x": {
                "label": "share of the second function's row", "values": result.share.values, "symbol": "share",
                "format": ".2f",
            },
            "y": {"label": "share of answers", "range": [-0.03, 1.03], "format": ".2f"},
            "controls": [
                {
                    "name": "task", "label": "Ask the decoder to", "initial": LABELS["apply"],
                    "values": [LABELS[str(task)] for task in result.task.values],
                },
                {"name": "seed", "label": "Seed", "values": [str(int(seed)) for seed in result.seed.values]},
                {"name": "pair", "label": "Pair of functions", "values": [ALL, *(str(k + 1) for k in range(count))]},
            ],
            "series": [
                {"name": "the first function's", "by": by, "values": first, "color": 0, "dash": True},
                {"name": "the second function's", "by": by, "values": second, "color": 1},
            ],
            "lookups": {
                "middle": {"values": ((1 + first - second) / 2).mean(-1).tolist(), "by": by, "format": ".2f"},
                "neither": {"values": neither.tolist(), "by": by, "format": ".0%"},
            },
            "sentence": "{task}, seed {seed}, pair {pair}: the middle of the change-over is where {middle} of the row is the "
            "second function's; at most {neither} of the answers at one place are neither function's.",
        },
    }  # fmt: skip
