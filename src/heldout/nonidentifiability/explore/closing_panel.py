"""Explorables of the page that closes the chapter on non-identifiability."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.prose import written


def question() -> dict[str, Any]:
    """The reader commits before the panel is shown."""
    return {
        "title": "Before you look",
        "alt": "A question with four answers about two models that learned everything the data hold.",
        "data": {
            "question": "Two networks of one recipe differ in their random start alone. Both have learned the probability of "
            "every sequence there is, to one and the same loss, and nobody taught them anything else. Outside the data, how far "
            "apart are their answers, from 0 (the same) to 1 (nothing in common)?",
            "options": [
                {
                    "label": "About 0.05: one recipe, one loss, nearly one function.",
                    "feedback": "That is more than they are apart on the data. Elsewhere nothing was asked of them.",
                },
                {
                    "label": "About 0.35.",
                    "feedback": "Yes, and more in some seeds. Look for the black ticks in the panel.",
                    "correct": True,
                },
                {
                    "label": "About 0.9: what was not asked is free, so they have little in common.",
                    "feedback": "It is free for the loss, but not for the recipe: architecture and training choose, too.",
                },
                {
                    "label": "It is not defined: there is no right answer there.",
                    "feedback": "None is needed. Both models write something, and what they write can be compared.",
                },
            ],
        },
    }


def by_letters(result: xr.Dataset) -> dict[str, Any]:
    """Two starts by what a prompt lacks, for every number of prompts taught."""
    series = [
        {
            "name": name, "values": _middle(values, "median"), "by": ["taught"], "color": color, "points": True,
            "low": _middle(values, "min"), "high": _middle(values, "max"),
        }
        for name, values, color in (
            ("distance between two starts", result.start_profile, 1), ("probability of keeping the rule", result.rule_profile, 0),
        )
    ]  # fmt: skip
    return {
        "title": "Lessons elsewhere",
        "alt": "Distance between two starts, and the probability of the answer that keeps the rule, by the surplus of letters a, "
        "for a number of taught prompts that the reader sets.",
        "data": {
            "x": {
                "label": "letters a of an untaught prompt less its letters b", "values": result.surplus.values,
                "symbol": "surplus", "format": ",",
            },
            "y": {"label": "distance or probability", "symbol": "value", "format": ".2f", "range": [0.0, 1.0]},
            "controls": [
                {
                    "name": "taught", "label": "Prompts taught to both starts",
                    "values": [int(dose) for dose in result.dose.values], "initial": 0, "unit": "prompts",
                }
            ],
            "series": series,
            "markers": [],
            "lookups": {
                "data": {"values": result.start_test.max("seed").values, "by": ["taught"], "format": ".3f"},
                "apart": {"values": result.start_distance.median("seed").values, "by": ["taught"], "format": ".2f"},
                "right": {"values": 100 * result.right.median("seed").values, "by": ["taught"], "format": ".0f"},
            },
            "sentence": "With {taught} taught, two starts are at most {data} apart on whole sequences of the data in any seed, "
            f"and {{apart}} apart after untaught prompts (median of {written(result.sizes['seed'], 'd')} seeds). Of those "
            "prompts {right} % are ended as the rule says.",
        },
    }  # fmt: skip


def _middle(values: xr.DataArray, how: str) -> np.ndarray:
    found: np.ndarray = getattr(values, how)("seed").transpose("dose", "surplus").values
    return found
