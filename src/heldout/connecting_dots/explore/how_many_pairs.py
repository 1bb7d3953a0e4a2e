"""Explorables of the page on the number of pairs."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.connecting_dots.explore.seed_points import apart_seeds
from heldout.connecting_dots.how_many_pairs import numbers
from heldout.connecting_dots.how_many_pairs_checks import GATES, PLAIN
from heldout.prose import fill


def draw_it(result: xr.Dataset) -> dict[str, Any]:
    """The reader draws how many names are defined right, beside what the pairs would allow."""
    n, right = numbers(result), result.right.sel(arm=PLAIN, task="define")
    low, middle, high = (right.quantile(q, "seed").values for q in (0.0, 0.5, 1.0))
    return {
        "title": "How many pairs until it can say the function?",
        "alt": fill(
            "Measured, definitions right rise from [[define_1:.0%]] with one pair shown over [[define_2:.0%]] with two to "
            "[[define_7:.0%]] with all seven."
            if 7 in result.pairs.values else "Measured, definitions right by the number of shown pairs.",
            n,
        ),
        "data": {
            "x": {
                "label": "pairs shown of each function", "values": result.pairs.values.astype(float), "symbol": "pairs",
                "format": ",",
            },
            "y": {"label": "share of names defined right", "range": [0.0, 1.0], "format": ".2f"},
            "anchors": [float(number) for number in result.pairs.values],
            "truth": {"name": "definitions right", "values": middle, "low": low, "high": high},
            "known": [{"name": "best reader of the pairs", "values": result.ideal.mean("seed").values}],
            "prompt": fill(
                "The row of a new name is trained on some of the [[modulus]] pairs of its function, until nearly all shown pairs "
                "are right. The best reader of the pairs, who knows the language, is drawn: two pairs tell it everything. "
                "Draw the share of names that the trained decoder defines right.",
                n,
            ),
            "start": 0.5,
        },
    }  # fmt: skip


def pretrained_otherwise(result: xr.Dataset) -> dict[str, Any]:
    """For every way to pretrain, what a new name can do after the largest number of pairs that all have; each point a seed."""
    there = result.observed.notnull().all(("arm", "seed")).values
    own = result.isel(pairs=int(np.flatnonzero(there)[-1]))
    shown = {
        "definition": own.right.sel(task="define"), "held-out pairs": own.held_out, "shown pairs": own.observed,
        "old names": own.known.sel(task=GATES).min("task"),
    }  # fmt: skip
    values = {name: value.transpose("arm", "seed").values for name, value in shown.items()}
    values["told"] = result.told.sel(task="apply").transpose("arm", "seed").values
    seeds = result.seed.values
    arms = [str(arm) for arm in result.arm.values]
    return {
        "title": "Pretrained otherwise",
        "alt": f"With {int(own.pairs)} pairs shown nearly all shown pairs are right in every arm. Definitions are not: without "
        "noise on the names fewer are right, though old names are known as well as before.",
        "data": {
            "x": {
                "label": "seed", "values": np.linspace(seeds[0], seeds[-1], 2 * len(seeds) - 1), "ticks": seeds, "format": ",",
            },
            "y": {"label": "share right", "range": [-0.05, 1.05], "format": ".2f"},
            "controls": [{"name": "arm", "label": "Pretraining", "values": arms, "initial": arms[min(1, len(arms) - 1)]}],
            "series": [
                {"name": name, "by": ["arm"], "values": apart_seeds(values[name]), "points": True, "color": color}
                for color, name in enumerate(shown)
            ],
            "lookups": {
                name.replace(" ", "_").replace("-", "_"): {
                    "values": np.median(value, 1).tolist(), "by": ["arm"], "format": ".0%",
                }
                for name, value in values.items()
            },
            "sentence": f"Pretraining: {{arm}}. Old names: {{old_names}} of the lines of their worst task, in the median "
            f"seed. With {int(own.pairs)} pairs shown: "
            "{shown_pairs} of the shown pairs, {held_out_pairs} of the held-out pairs, {definition} of the "
            "definitions. Told by definition alone: {told} of all pairs.",
        },
    }  # fmt: skip
