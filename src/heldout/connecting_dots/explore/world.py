"""Explorables of the page on the small world."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.connecting_dots.world import numbers

ANCHORS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
ALL = "all"
LABELS = {"apply": "apply it", "define": "define it", "invert": "invert it", "compose": "compose it"}


def _share(result: xr.Dataset) -> dict[str, Any]:
    label = "share of the second function's row"
    return {"label": label, "values": result.share.values, "symbol": "share", "format": ".2f"}


def guess_the_way(result: xr.Dataset) -> dict[str, Any]:
    """The reader draws how many definitions are the second function's as the row is moved to that function's."""
    part = result.way.sel(task="define", answer="other").mean("pair")
    low, middle, high = (part.quantile(q, "seed").values for q in (0.0, 0.5, 1.0))
    turn = float(numbers(result)["define_turns"])
    return {
        "title": "Half of one name, half of another",
        "alt": f"Measured, definitions change over abruptly, when about {turn:.2f} of the row is the second function's.",
        "data": {
            "x": _share(result),
            "y": {"label": "share of definitions that are the second function's", "range": [0.0, 1.0], "format": ".2f"},
            "anchors": list(ANCHORS),
            "truth": {"name": "definitions of the second function", "values": middle, "low": low, "high": high},
            "prompt": "The row of a name is exchanged for a mixture of its own function's mean row and another function's. The "
            "decoder is then asked to define the name. Draw how many of the answers define the other function.",
            "start": 0.5,
        },
    }  # fmt: skip


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
    shares = np.broadcast_to(result.share.values, second.shape)
    turn = np.where(second >= 0.5, shares, np.inf).min(-1)
    return {
        "title": "On the way from one name to another",
        "alt": "For a single pair of functions the answers change over abruptly from those of the first function to those of the "
        "second, in every task, and mixed rows in between give few answers of a third kind.",
        "data": {
            "x": _share(result),
            "y": {"label": "share of answers", "range": [-0.03, 1.03], "format": ".2f"},
            "controls": [
                {
                    "name": "task", "label": "Ask the decoder to", "initial": LABELS["define"],
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
                "turn": {"values": turn.tolist(), "by": by, "format": ".2f"},
                "neither": {"values": neither.tolist(), "by": by, "format": ".0%"},
            },
            "sentence": "{task}, seed {seed}, pair {pair}: half of the answers are the second function's when {turn} of the row "
            "is; at most {neither} of the answers at one place are neither function's.",
        },
    }  # fmt: skip
