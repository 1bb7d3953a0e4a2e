"""Explorables of the page on the experiment and the dispute."""

from typing import Any

import numpy as np
import torch

from heldout.connecting_dots.named_functions import OPERATIONS, Language
from heldout.connecting_dots.observed_pairs import agreeing

PAIRS = (1, 2)


def question() -> dict[str, Any]:
    """The reader says what follows from a small loss on pairs."""
    return {
        "title": "Before you read on",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A language model is trained further on pairs (x, f(x)) of a function under a new name, and on nothing "
            "else. Afterwards it predicts every trained pair. What follows for whether it can write a definition of f?",
            "options": [
                {
                    "label": "It can: to predict the pairs is to know the function, and to know it is to be able to say it.",
                    "feedback": "A table of the pairs predicts them as well, and has no words.",
                },
                {
                    "label": "It cannot: nobody has trained it to.",
                    "feedback": "Large models were trained on such pairs, and often they could.",
                },
                {
                    "label": "Neither. It depends on more than the pairs.",
                    "feedback": "The loss on the pairs does not say. What does is the matter of this chapter.",
                    "correct": True,
                },
            ],
        },
    }


def still_possible(language: Language) -> dict[str, Any]:
    """Which functions fit one or two pairs of a function, for every function and every first input but zero."""
    p = language.modulus
    names = [str(function) for function in language.functions]
    count = len(names)
    places = 2 * p - 1  # a gap between two numbers, so that no line joins their points
    values = np.full((len(OPERATIONS), count, p - 1, len(PAIRS), places), np.nan)
    second = np.full((p - 1, len(PAIRS)), -p)  # outside of the chart where one pair is shown
    left = np.zeros((count, p - 1, len(PAIRS)))
    for f in range(count):
        for x in range(1, p):
            for k, pairs in enumerate(PAIRS):
                inputs = torch.tensor([(x + i) % p for i in range(pairs)])
                fits = agreeing(language, inputs, language.values[f, inputs]).nonzero()[:, 0].tolist()
                left[f, x - 1, k] = len(fits)
                for g in fits:
                    operation = OPERATIONS.index(language.functions[g].operation)
                    values[operation, f, x - 1, k, ::2] = language.values[g].numpy()
                if pairs > 1:
                    second[x - 1, k] = inputs[1]
    by = ["function", "first", "pairs"]
    return {
        "title": "What the pairs leave open",
        "alt": "After one pair up to three functions fit, at most one of each operation; after two pairs one is left.",
        "data": {
            "x": {"label": "x", "values": [i / 2 for i in range(places)], "format": ","},
            "y": {"label": "f(x)", "range": [-0.5, p - 0.5], "format": ","},
            "controls": [
                {"name": "function", "label": "The function", "values": names, "initial": names[2]},
                {"name": "first", "label": "First x shown", "values": list(range(1, p)), "initial": 1},
                {"name": "pairs", "label": "Pairs shown", "values": list(PAIRS), "initial": 1},
            ],
            "series": [
                {"name": f"{operation} c", "by": by, "values": values[k], "points": True, "color": k}
                for k, operation in enumerate(OPERATIONS)
            ],
            "markers": [
                {"label": "shown", "axis": "x", "control": "first"},
                {"label": "shown", "axis": "x", "values": second, "by": ["first", "pairs"]},
            ],
            "lookups": {
                "left": {"values": left.tolist(), "by": by, "format": ","},
                "chance": {"values": (1 / left).tolist(), "by": by, "format": ".2f"},
            },
            "sentence": "Shown of {function}: {pairs} of its pairs, from x = {first} on. Functions that fit: {left}, each with "
            "probability {chance}.",
        },
    }  # fmt: skip
