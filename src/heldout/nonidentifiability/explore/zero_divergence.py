"""Explorables of the page on zero divergence."""

from typing import Any

import xarray as xr


def question() -> dict[str, Any]:
    """The reader commits before the price is shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "In the data one string in 100,000 begins with a certain prompt, and after it a rule is always kept. A "
            "model's divergence from the data is a thousandth of a nat a sequence, with an entropy of several nats. How often "
            "must the model keep the rule after that prompt?",
            "options": [
                {
                    "label": "Nearly always: a divergence that small leaves no room.",
                    "feedback": "It leaves none after prompts that are common. This one is a hundred times rarer than the "
                    "divergence can see.",
                },
                {
                    "label": "About 97 % of the time, the root of the divergence being 3 %.",
                    "feedback": "Pinsker's inequality has such a root in it, but of the divergence over twice the "
                    "probability of the prompt.",
                },
                {
                    "label": "As seldom as it likes, for all practical purposes.",
                    "feedback": "The least probability is exp(-100): the divergence over the probability of the prompt, in the "
                    "exponent.",
                    "correct": True,
                },
            ],
        },
    }


def limits(result: xr.Dataset) -> dict[str, Any]:
    """How seldom a model may keep the rule after a prompt, against its divergence."""
    sources = [f"source {number}" for number in range(1, result.sizes["seed"] + 1)]
    words = {"lawful": "always", "mixed": "sometimes"}
    return {
        "title": "What a divergence allows",
        "alt": "The less frequent a prompt is, the smaller the divergence at which the rule may be broken after it; after a "
        "prompt that is never written it may be broken at any.",
        "data": {
            "x": {
                "label": "divergence (nats a sequence)", "scale": "log", "values": result.allowed.values,
                "symbol": "divergence", "format": ".2g",
            },
            "y": {"label": "least probability that the rule is kept", "range": [0, 1], "symbol": "probability", "format": ".3f"},
            "controls": [
                {"name": "rule", "label": "The data keep the rule", "values": [words[str(k)] for k in result.kind.values]},
                {"name": "source", "label": "Data", "values": sources},
                {"name": "prompt", "label": "Prompt", "values": [str(text) for text in result.prompt.values]},
            ],
            "series": [
                {
                    "name": "after this prompt", "by": ["rule", "source", "prompt"], "color": 0,
                    "values": result.lowest.transpose("kind", "seed", "prompt", "allowed").values,
                },
                {
                    "name": "mean over all prompts", "by": ["rule", "source"], "color": 1, "dash": True,
                    "values": result.lowest_mean.transpose("kind", "seed", "allowed").values,
                },
            ],
            "lookups": {
                "mass": {"values": result.mass.values.tolist(), "by": ["source", "prompt"], "format": ".2%"},
                "own": {
                    "values": result.honest.transpose("kind", "seed", "prompt").values.tolist(),
                    "by": ["rule", "source", "prompt"], "format": ".0%",
                },
                "least": {"series": "after this prompt", "stat": "at", "x": 0.01, "format": ".0%"},
                "mean": {"series": "mean over all prompts", "stat": "at", "x": 0.01, "format": ".0%"},
            },
            "markers": [{"label": "0.01 nats", "value": 0.01}],
            "sentence": "Of the strings of {source} {mass} begin with {prompt}; its rows there keep the rule {own} of the time. "
            "At a divergence of 0.01 nats a sequence a model may keep it as seldom as {least} there, or {mean} on average "
            "over all prompts.",
        },
    }  # fmt: skip
