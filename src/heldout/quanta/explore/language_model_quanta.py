"""Explorables of the page on clusters of a language model's gradients."""

from typing import Any

import xarray as xr

from heldout.prose import fill
from heldout.quanta.gradient_cluster_checks import MIDDLE
from heldout.quanta.gradient_clusters import numbers

CHARACTERS = 72  # of the context that is shown
EASY = 0.3  # nats, below which a token may be drawn


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader guesses what a cluster has in common before it is opened."""
    n = numbers(result)
    found = fill(
        "Adjusted for chance, [[clusters]] clusters agree with the target token by [[gradients_target:.2f]], with the kind of "
        "text by [[gradients_source:.2f]] and with the token before by [[gradients_previous:.2f]]. The answer depends on the "
        "number of clusters: of [[counts]], the target leads the kind of text at [[gradients_led]].",
        n,
    )
    guesses = {
        "target": "The token that is predicted.",
        "previous": "The token before it.",
        "source": "The kind of text it stands in.",
    }
    best = max(guesses, key=lambda guess: float(n[f"gradients_{guess}"]))
    return {
        "title": "What do the tokens of a cluster share?",
        "alt": "A question with three answers: the predicted token, the token before it, or the kind of text.",
        "data": {
            "question": (
                f"{n['tokens']} tokens are divided into {n['clusters']} groups by the gradients of their losses. What do the "
                "tokens of a group share most?"
            ),
            "options": [
                {"label": label, "feedback": found} | ({"correct": True} if name == best else {})
                for name, label in guesses.items()
            ],
        },
    }


def losses(result: xr.Dataset) -> dict[str, Any]:
    """A passage of every kind of text with the loss of each token, read once and then once more."""
    n = numbers(result)
    return {
        "title": "Losses, token by token",
        "alt": (
            f"Five passages split into tokens, each with its loss, at a first and a second reading. Over all excerpts the mean "
            f"loss is {n['losses']}, in nats. The passages cost {n['first_reading']:.1f} nats a token at the first reading and "
            f"{n['second_reading']:.1f} at the second, where all can be copied."
        ),
        "data": {
            "label": "Kind of text",
            "hit": EASY,
            "texts": [_passage(result.sel(text=name)) | {"name": str(name)} for name in result.text.values],
        },
    }


def _passage(part: xr.Dataset) -> dict[str, Any]:
    return {
        "tokens": part.passage_token.values.tolist(),
        "readings": [
            {
                "name": str(name),
                "loss": part.passage_loss.sel(reading=name).values.astype(float).round(4).tolist(),
                "rank": part.passage_rank.sel(reading=name).values.astype(int).tolist(),
                "best": part.passage_best.sel(reading=name).values.tolist(),
                "probability": part.passage_probability.sel(reading=name).values.astype(float).round(4).tolist(),
            }
            for name in part.reading.values
        ],
    }


def opened(result: xr.Dataset) -> dict[str, Any]:
    """All clusters of the first clustering, for every number of clusters, with the tokens in their contexts."""
    counts = [int(count) for count in result["count"].values]
    columns = (result.before.values, result.target.values, result.source.values)
    n = numbers(result)
    return {
        "title": "Open a cluster",
        "alt": (
            f"{n['tokens']} tokens in clusters by gradient. At {n['clusters']} clusters, agreement with the target token is "
            f"{n['gradients_target']:.2f} and with the kind of text {n['gradients_source']:.2f}, adjusted for chance."
        ),
        "data": {
            "counts": counts,
            "initial": counts[MIDDLE],
            "labels": result.labels.sel(kind="gradients").isel(seed=0).values.tolist(),
            "tokens": [
                {"before": str(before)[-CHARACTERS:], "token": str(token), "source": str(source)}
                for before, token, source in zip(*columns, strict=True)
            ],
        },
    }
