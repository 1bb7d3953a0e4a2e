"""Explorables of the page on exponents."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.quanta import exponents_checks as checks

ALPHAS = (0.1, 0.2, 0.3, 0.5, 0.8)
TASKS = (30, 100, 500, 5000, 100_000, 1_000_000)
KNOWN = np.arange(1, 21)
AT = 10  # tasks known, where the sentence reads the exponent


def question() -> dict[str, Any]:
    """The reader commits before the exponents are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "Thirty tasks, with frequencies that go as rank to the power −1.5. Were there infinitely many, the loss "
            "would fall as updates to the power −1/3. What will you measure with thirty, while the first few are learned?",
            "options": [
                {
                    "label": "About 1/3. The first few do not know how many come after them.",
                    "feedback": "They do: the loss is the sum of all that is left, and with thirty tasks that sum ends soon.",
                },
                {
                    "label": "More than 1/3: the loss falls faster than the law.",
                    "feedback": "Yes. What the list lacks at its end the loss lacks, too, and its logarithm falls faster.",
                    "correct": True,
                },
                {
                    "label": "Less than 1/3: a small network falls behind the law.",
                    "feedback": "Networks do fall behind in one of the three axes below, but not in updates.",
                },
            ],
        },
    }


def finite_list(result: xr.Dataset) -> dict[str, Any]:
    """The local exponent in steps of the exact sum, for lists of six lengths and five alphas; arithmetic, no training."""
    told = [[checks.local(tasks, alpha, "steps", KNOWN) for tasks in TASKS] for alpha in ALPHAS]
    laws = [checks.law(alpha, "steps") for alpha in ALPHAS]
    here = checks.exact(result.frequency.values, "steps", result.level.values)
    return {
        "title": "How long must a list be?",
        "alt": (
            "Local exponent of the loss in steps against the number of tasks learned, for a chosen alpha and length of the "
            f"list, beside the law of an infinite list. With {result.sizes['task']} tasks the exponent over this page's window "
            f"is {here:.2f}."
        ),
        "data": {
            "x": {"label": "tasks learned", "scale": "log", "values": KNOWN, "symbol": "learned", "format": ","},
            "y": {"label": "local exponent in steps", "scale": "log", "symbol": "exponent", "format": ".2f"},
            "controls": [
                {"name": "alpha", "label": "Alpha", "values": list(ALPHAS), "initial": 0.5, "format": ".1f"},
                {"name": "tasks", "label": "Tasks in the list", "values": list(TASKS), "initial": TASKS[0], "format": ","},
            ],
            "series": [
                {"name": "exact sum", "by": ["alpha", "tasks"], "color": 2, "values": told},
                {"name": "law", "by": ["alpha"], "color": 1, "values": [[law] * len(KNOWN) for law in laws]},
            ],
            "lookups": {
                "here": {"values": [[row[AT - 1] for row in rows] for rows in told], "by": ["alpha", "tasks"], "format": ".2f"},
                "law": {"values": laws, "by": ["alpha"], "format": ".2f"},
                "needed": {"values": [checks.tasks_needed(a, AT, 0.1) for a in ALPHAS], "by": ["alpha"], "format": ".2g"},
            },
            "sentence": "With alpha {alpha} and {tasks} tasks, the exponent when "
            f"{AT} tasks are learned is {{here}}; the law says {{law}}. For the bound to be within a tenth of the law there, "
            "the list needs about {needed} tasks.",
        },
    }  # fmt: skip
