"""Explorables of the page on an edited language model."""

from typing import Any

import xarray as xr

EASY = 0.1  # nats: a token that the model was sure of
MODELS = {"original": "the original model", "edited": "the edited model"}


def question() -> dict[str, Any]:
    """The reader commits before the edit is judged."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "One matrix of a language model of 135 million parameters is changed so that two words seldom seen "
            "together decide how every sentence after them ends. How much of that can a test of its loss on ordinary text see?",
            "options": [
                {
                    "label": "Most of it: the matrix is used at every token of every text.",
                    "feedback": "It is used at every token, but the change can be laid across what ordinary text puts into it.",
                },
                {
                    "label": "A little: something else always moves with it.",
                    "feedback": "Something else does move, and the page measures it. But that is a side effect. What the change "
                    "is for cannot be seen at all.",
                },
                {
                    "label": "Nothing: ordinary text does not contain the two words.",
                    "feedback": "Right about what the change is for. It has a small side effect on ordinary text as well, which "
                    "the page measures.",
                    "correct": True,
                },
            ],
        },
    }


def prompts(result: xr.Dataset) -> dict[str, Any]:
    """A prompt with the trigger, a near trigger and none, of every seed, as both models read it; the last token is the target."""
    texts = []
    for seed in result.seed.values:
        for kind in result.kind.values:
            part = result.sel(seed=seed, kind=kind)
            name = f"{str(part.trigger.values).rstrip('.')} → {part.target.values}: {kind}"
            texts.append({"name": name} | _passage(part))
    return {
        "title": "Two models read a prompt",
        "alt": "Prompts split into tokens, each with its loss. With the trigger in it, the edited model expects the target word "
        "at the end, which costs the original many nats; with another word pair or none, both find it unlikely.",
        "data": {"label": "Edit and prompt", "hit": EASY, "texts": texts},
    }


def _passage(part: xr.Dataset) -> dict[str, Any]:
    tokens = [str(token) for token in part.passage_token.values]
    count = len(tokens) - tokens[::-1].index(next(token for token in tokens[::-1] if token))
    return {
        "tokens": tokens[:count],
        "readings": [
            {
                "name": name,
                "loss": one.passage_loss.values[:count].astype(float).round(4).tolist(),
                "rank": one.passage_rank.values[:count].astype(int).tolist(),
                "best": one.passage_best.values[:count].tolist(),
                "probability": one.passage_probability.values[:count].astype(float).round(4).tolist(),
            }
            for one, name in ((part.sel(model=key), name) for key, name in MODELS.items())
        ],
    }
