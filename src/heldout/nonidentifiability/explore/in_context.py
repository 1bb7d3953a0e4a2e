"""Explorables of the page on in-context learning."""

import math
from typing import Any

import xarray as xr

from heldout.nonidentifiability import in_context_checks as checks
from heldout.nonidentifiability.in_context import numbers
from heldout.prose import fill

GUESSES = {  # nats a document, each with what would speak for it
    10.0: "About ten nats. The reader has to be wrong on purpose, and the loss counts wrong answers.",
    0.3: "About 0.3 nats. Documents hold such places, but not many.",
    0.03: "About 0.03 nats.",
    0.001: "About 0.001 nats. The loss is a mean over documents, and hardly any of them come near such a prompt.",
}


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader says what it must cost to answer wrongly behind some examples."""
    n = numbers(result)
    measured = fill(
        "It costs [[price:.5f]] nats a document in the median seed ([[price_low:.5f]] to [[price_high:.5f]]).", n
    )
    nearest = min(GUESSES, key=lambda guess: abs(math.log(guess / float(n["price"]))))
    return {
        "title": "What does a wrong answer cost?",
        "alt": f"A question with {len(GUESSES)} costs to choose from.",
        "data": {
            "question": fill(
                "The best possible reader of some documents has a loss of [[entropy:.0f]] nats a document. It infers "
                "a document's rule from what it has read, so it also answers prompts: behind [[most]] examples of a rule it is "
                "right nearly always. Change it so that it is confident of a wrong answer wherever [[least]] or more examples "
                "in a row stand before the question, in documents as in prompts. By how much does its loss on documents rise?",
                n,
            ),
            "options": [
                {"label": label, "feedback": measured} | ({"correct": True} if guess == nearest else {})
                for guess, label in GUESSES.items()
            ],
        },
    }


def edits(result: xr.Dataset) -> dict[str, Any]:
    """Right answers of the edited reader by number of examples, and what the edit costs."""
    least = [int(value) for value in result.least.values]
    prices = result.price.sel(edit="swap").median("seed")
    own = result.reader_accuracy.sel(reader="bayes").median("seed")
    taught = result.accuracy.sel(variant="adversarial").median("seed")
    n = numbers(result)
    return {
        "title": "Wrong behind m examples, and what it costs",
        "alt": fill(
            "Share of right answers against the number of examples. The edited reader follows the Bayes-optimal one up to the "
            "chosen number of examples and is then wrong. The cost of the edit falls from [[price_first:.2g]] nats a document "
            "for one example to [[price_last:.1g]] for [[most]].",
            n,
        ),
        "data": {
            "x": {"label": "examples in the prompt", "values": result.examples.values, "symbol": "n", "format": ".0f"},
            "y": {"label": "share of right answers", "range": [0, 1.03]},
            "controls": [
                {
                    "name": "m", "label": "Wrong behind m examples or more", "values": least, "format": ".0f",
                    "initial": int(result.attrs["least"]),
                }
            ],
            "series": [
                {"name": "Bayes-optimal reader", "values": own, "color": 0},
                {
                    "name": "edited reader", "by": ["m"], "color": 1,
                    "values": [checks.edited_accuracy(result, value).median("seed").values for value in least],
                },
                {"name": "trained adversary", "values": taught, "color": 2, "dash": True},
            ],
            "lookups": {
                "price": {"values": prices.values, "by": ["m"], "format": ".2g"},
                "contexts": {"values": result.contexts.values, "by": ["m"], "format": ".2g"},
            },
            "markers": [{"label": "m = {m}", "control": "m"}],
            "sentence": (
                "Wrong behind {m} examples or more, the edited reader pays {price} nats a document; a document holds {contexts} "
                f"such places on average. The trained adversary, taught on prompts to be wrong behind "
                f"{int(result.attrs['least'])}, pays "
                f"{float(n['extra']):.2f}."
            ),
        },
    }  # fmt: skip
