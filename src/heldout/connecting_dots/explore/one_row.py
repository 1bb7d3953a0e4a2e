"""Explorables of the page on one trained row."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.connecting_dots.explore.seed_points import apart_seeds
from heldout.connecting_dots.one_row import numbers
from heldout.prose import fill

GUESSES = {  # shares of the new names, each with what would speak for it
    0.0: "Almost none. Nothing was trained to define them.",
    0.33: "About a third. It learns which operation it is at best, or guesses.",
    0.66: "About two thirds. Some names land where definitions work, others do not.",
    1.0: "Nearly all. Whoever finds the function has found its definition.",
}
GROUP_LABELS = {"defined": "defined in pretraining", "undefined": "applied, never defined", "unseen": "never shown"}


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader says how many new names can be defined after their rows alone were trained on pairs."""
    n = numbers(result)
    measured = fill(
        "In the median seed [[row_define:.0%]] of them ([[row_define_lowest:.0%]] to [[row_define_highest:.0%]] by seed).",
        n,
    )
    nearest = min(GUESSES, key=lambda guess: abs(guess - float(n["row_define"])))
    return {
        "title": "How many can it define?",
        "alt": f"A question with {len(GUESSES)} shares to choose from, about names of which only pairs were ever shown.",
        "data": {
            "question": fill(
                "A decoder can apply, define, invert and compose functions that it knows by name. Each of these functions gets "
                "one more name. All that is trained is the row of numbers that stands for the new name, on [[observed_inputs]] "
                "of the function's [[modulus]] pairs (x, f(x)); no other weight changes. Then the decoder is asked to define the "
                "new names, which no line has ever done. How many does it define right?",
                n,
            ),
            "options": [
                {"label": label, "feedback": measured} | ({"correct": True} if guess == nearest else {})
                for guess, label in GUESSES.items()
            ],
        },
    }


def what_was_trained(result: xr.Dataset) -> dict[str, Any]:
    """Every seed's answers about new names, by what was trained and by what pretraining said of the function."""
    tasks = {"definition": "define", "inversion": "invert", "composition": "compose"}
    measures = {"trained pairs": result.observed, "held-out pairs": result.held_out}
    measures |= {name: result.right.sel(task=task, drop=True) for name, task in tasks.items()}
    by = ["trained", "group"]
    shown = {name: values.transpose("mode", "group", "seed").values for name, values in measures.items()}
    places = np.linspace(result.seed.values[0], result.seed.values[-1], 2 * result.sizes["seed"] - 1)
    return {
        "title": "What was trained, and what can be said",
        "alt": "After its row alone was trained, a new name of a function that pretraining defines is applied, defined, inverted "
        "and composed. After everything else was trained instead, the trained pairs are right and little else is. A function "
        "that pretraining never defines is applied and not defined.",
        "data": {
            "x": {"label": "seed", "values": places, "ticks": result.seed.values, "format": ","},
            "y": {"label": "share right for new names", "range": [-0.05, 1.05], "format": ".2f"},
            "controls": [
                {"name": "trained", "label": "What was trained", "values": result.mode.values.tolist(), "initial": "row"},
                {
                    "name": "group", "label": "The function was", "initial": GROUP_LABELS["defined"],
                    "values": [GROUP_LABELS[str(group)] for group in result.group.values],
                },
            ],
            "series": [
                {"name": name, "by": by, "values": apart_seeds(values), "points": True, "color": color}
                for color, (name, values) in enumerate(shown.items())
            ],
            "lookups": {
                name.replace(" ", "_").replace("-", "_"): {"values": np.median(values, 2).tolist(), "by": by, "format": ".0%"}
                for name, values in shown.items()
            },
            "sentence": "Trained: {trained}; functions {group}. Right in the median seed: {trained_pairs} of the trained pairs, "
            "{held_out_pairs} of the held-out pairs, {definition} of the definitions, {inversion} of the inversions, "
            "{composition} of the compositions.",
        },
    }  # fmt: skip
