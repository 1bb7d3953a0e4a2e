"""Explorables of the page on language models."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.interpolation.likely_text_checks import HIT
from heldout.interpolation.likely_texts import numbers
from heldout.prose import fill

READINGS = {"first": "first reading", "second": "second reading, right after the first"}


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader says how much of a famous verse the model has by heart before it is shown."""
    n = numbers(result)
    measured = fill(
        "Of the tokens of [[verses]] famous verses [[famous_first:.0%]] were its first choice and [[famous_hit:.0%]] were "
        "hit. The number of verses that were its first choice throughout is [[famous_recited]].",
        n,
    )
    return {
        "title": "How much of a famous verse is hit?",
        "alt": "A question with three answers about verses that the model has very likely been trained on.",
        "data": {
            "question": (
                "The model reads a well-known verse of the King James Bible after the verse before it, and we ask it for "
                "each next word. How often is its first choice right?"
            ),
            "options": [
                {
                    "label": "Nearly always: it has met these verses so often that it has them by heart.",
                    "feedback": f"That would be hitting the points. {measured}",
                },
                {
                    "label": "For part of the words, and hardly ever for a whole verse.",
                    "correct": True,
                    "feedback": measured,
                },
                {
                    "label": "Almost never: with some fifty thousand tokens to choose from, guessing is hopeless.",
                    "feedback": f"Language is far from uniform, and the model knows it well. {measured}",
                },
            ],
        },
    }


def verses(result: xr.Dataset) -> dict[str, Any]:
    """Verses and quotations token by token, for the first and the second reading."""
    texts = [_text(result.sel(example=name), str(name)) for name in result.example.values]
    means = result.example_loss.mean("place")
    low, high = float(means.sel(reading="first").min()), float(means.sel(reading="first").max())
    return {
        "title": "A text, token by token",
        "alt": (
            f"{len(texts)} texts split into tokens, each with its loss. At the first reading a text costs between "
            f"{low:.1f} and {high:.1f} nats a token on average: a few tokens carry most of it, and the ends of words and "
            "of fixed phrases are nearly free."
        ),
        "data": {"label": "Text", "hit": HIT, "texts": texts},
    }


def _text(part: xr.Dataset, name: str) -> dict[str, Any]:
    length = int((part.example_token != "").sum())
    kept = part.isel(place=slice(0, length))
    return {
        "name": name,
        "tokens": kept.example_token.values.tolist(),
        "readings": [
            {
                "name": label,
                "loss": _rounded(kept.example_loss.sel(reading=reading).values),
                "rank": kept.example_rank.sel(reading=reading).values.astype(int).tolist(),
                "best": kept.example_best.sel(reading=reading).values.tolist(),
                "probability": _rounded(kept.example_probability.sel(reading=reading).values),
            }
            for reading, label in READINGS.items()
        ],
    }


def _rounded(values: np.ndarray) -> list[Any]:
    """Three significant digits, as many as are shown: the page stays small."""
    return np.vectorize(lambda value: float(f"{value:.3g}"))(values).tolist()  # type: ignore[no-any-return]
