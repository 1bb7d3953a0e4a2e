"""Explorables of the page on clusters of a language model's gradients."""

from typing import Any

import xarray as xr

from heldout.prose import fill
from heldout.quanta.gradient_cluster_checks import MIDDLE
from heldout.quanta.gradient_clusters import numbers

CHARACTERS = 72  # of the context that is shown


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader guesses what a cluster has in common before it is opened."""
    n = numbers(result)
    found = fill(
        "Adjusted for chance, the clusters agree with the target token by [[gradients_target:.2f]], with the kind of text by "
        "[[gradients_source:.2f]] and with the token before by [[gradients_previous:.2f]].",
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
            "question": "Tokens are grouped by the gradients of their losses. What do the tokens of a group share most?",
            "options": [
                {"label": label, "feedback": found} | ({"correct": True} if name == best else {})
                for name, label in guesses.items()
            ],
        },
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
