"""Explorables of the page on small language models."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.quanta import small_language_model_checks as checks
from heldout.quanta.small_language_model_numbers import numbers
from heldout.quanta.small_language_text import written

BEFORE = 22  # characters shown before a place
EACH = 5  # places of each sort


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader commits before the curves of single places are shown."""
    n = numbers(result)
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A family of language models from small to large is trained, and one character of a text is followed "
            "through it: its loss falls at once between two sizes. The family is trained again from other initial weights. What "
            "will the loss of that character do?",
            "options": [
                {
                    "label": "Fall at once, between the same two sizes. A skill has its size.",
                    "feedback": "That is what the picture of quanta suggests. Of the places that were sudden here and fell "
                    f"again, {n['again_same']:.0%} did so at once and at the same size, against "
                    f"{n['again_chance']:.0%} by chance.",
                },
                {
                    "label": "Fall again, but hardly more suddenly than that of any other character that falls.",
                    "feedback": f"So it came out. {n['again_falls']:.0%} fall again by half a nat, and of these {n['again']:.0%} "
                    f"suddenly, at whatever size; so do {n['again_base']:.0%} of all that fall.",
                    "correct": True,
                },
                {
                    "label": "It might as well rise.",
                    "feedback": "Some places rise with size, but which ones do is largely the same with other seeds: of those "
                    f"that rise by a quarter of a nat in the mean of four, {n['rises_again']:.0%} rise in the fifth, "
                    f"against {n['rises_base']:.0%} of all.",
                },
            ],
        },
    }


def context(result: xr.Dataset, place: int) -> str:
    """The characters before a place, and the place in brackets."""
    length = result.sizes["position"] - 1
    text = written(result.character.values[place // length]).replace("\n", "↵")
    at = place % length + 1
    return f"{text[max(0, at - BEFORE) : at]}[{text[at]}]"


def chosen(result: xr.Dataset) -> dict[str, str]:
    """Places by name, with their sort: the sharpest and the most even falls of the mean over seeds, and the largest rises."""
    mean = checks.by_size(result).mean(0)
    sharp, whole = checks.sharpness(mean), mean[0] - mean[-1]
    steady = np.where((whole > 1.5) & (np.diff(mean, axis=0).max(0) < 0.25), sharp, np.nan)
    sorts = (
        ("falls at once", np.argsort(np.where(np.isnan(steady), -1, steady))[::-1]),
        ("falls slowly", np.argsort(np.where(np.isnan(steady), np.inf, steady))),
        ("gets worse", np.argsort(whole)),
    )
    return {f"{sort}: …{context(result, int(place))}": str(place) for sort, order in sorts for place in order[:EACH]}


def one_place(result: xr.Dataset) -> dict[str, Any]:
    """The loss of one place against size, with all seeds, beside the mean over places and what counts of three give."""
    places = chosen(result)
    at = [int(place) for place in places.values()]
    curves, size = checks.by_size(result), result.parameters.values
    mine, grams = curves[:, :, at], result.ngram_loss.values[:, at]
    sharp = checks.sharpness(mine)
    n = numbers(result)
    return {
        "title": "One place through the family",
        "alt": (
            "The loss of a single character against the size of the model, beside the mean over all places. The mean falls "
            f"evenly from {n['loss_small']:.2f} to {n['loss_large']:.2f} nats; single places fall at once, slowly, or rise, "
            "and the band over seeds is wide."
        ),
        "data": {
            "x": {"label": "parameters", "scale": "log", "values": size, "symbol": "parameters", "format": ","},
            "y": {"label": "loss in nats", "symbol": "loss", "format": ".2f"},
            "controls": [{"name": "place", "label": "Place", "values": list(places), "initial": next(iter(places))}],
            "series": [
                {
                    "name": "this place", "by": ["place"], "color": 0, "values": mine.mean(0).T,
                    "low": mine.min(0).T, "high": mine.max(0).T, "points": True,
                },
                {"name": "mean over places", "color": 1, "values": curves.mean((0, 2))},
                {
                    "name": "counts of three characters", "by": ["place"], "color": 2, "dash": True,
                    "values": np.repeat(grams[2][:, None], len(size), 1),
                },
            ],
            "lookups": {
                "small": {"values": mine[:, 0].mean(0), "by": ["place"], "format": ".2f"},
                "large": {"values": mine[:, -1].mean(0), "by": ["place"], "format": ".2f"},
                "sudden": {"values": (sharp > checks.TWICE * checks.of_mean(curves)).sum(0), "by": ["place"], "format": ".0f"},
            },
            "sentence": "{place}: {small} nats with the smallest model, {large} with the largest, means over seeds. It is "
            f"sudden in {{sudden}} of {n['seeds']} seeds.",
        },
    }  # fmt: skip
