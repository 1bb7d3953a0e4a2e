"""Explorables of the page on language models."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.interpolation.likely_text_checks import HIT
from heldout.interpolation.likely_texts import numbers
from heldout.prose import fill

READINGS = {"first": "first reading", "second": "second reading, right after the first"}


GUESSES = {  # shares of the tokens, each with what would speak for it
    0.1: "With some fifty thousand tokens to choose from, a guess is rarely right.",
    0.3: "Some words follow from grammar; most do not.",
    0.5: "Grammar and habit settle much.",
    0.7: "Only the important words are open.",
    0.95: "It has met these verses so often that it has them by heart.",
}


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader says how much of a famous verse the model gets right before it is shown."""
    n = numbers(result)
    measured = fill(
        "In the median sample its first choice was right for [[famous_first:.0%]] of the tokens, and [[famous_hit:.1%]] hit. "
        "Of the [[verses]] famous verses it had [[famous_recited]] right throughout.",
        n,
    )
    nearest = min(GUESSES, key=lambda guess: abs(guess - float(n["famous_first"])))
    return {
        "title": "How much of a famous verse is right?",
        "alt": f"A question with {len(GUESSES)} shares to choose from, about verses that the model was very likely trained on.",
        "data": {
            "question": (
                "The model reads a well-known verse of the King James Bible after the verse before it, and we ask it for "
                "each next word. For how many of the tokens is its first choice right?"
            ),
            "options": [
                {"label": f"About {guess:.0%}. {why}", "feedback": measured}
                | ({"correct": True} if guess == nearest else {})
                for guess, why in GUESSES.items()
            ],
        },
    }


def verses(result: xr.Dataset) -> dict[str, Any]:
    """Verses and quotations token by token, for the first and the second reading."""
    texts = [_text(result.sel(example=name), str(name)) for name in result.example.values]
    means = _loss(result).mean("place")
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
                "loss": _rounded(_loss(kept).sel(reading=reading).values),
                "rank": kept.example_rank.sel(reading=reading).values.astype(int).tolist(),
                "best": kept.example_best.sel(reading=reading).values.tolist(),
                "probability": _rounded(kept.example_best_probability.sel(reading=reading).values),
            }
            for reading, label in READINGS.items()
        ],
    }


def _loss(part: xr.Dataset) -> xr.DataArray:
    """The tokens' losses in nats; the record keeps probabilities, whose rounding does not grow as they near 1."""
    loss: xr.DataArray = -np.log(part.example_probability)
    return loss


def _rounded(values: np.ndarray) -> list[Any]:
    """Three significant digits, as many as are shown: the page stays small."""
    return np.vectorize(lambda value: float(f"{value:.3g}"))(values).tolist()  # type: ignore[no-any-return]  # NumPy types no list
