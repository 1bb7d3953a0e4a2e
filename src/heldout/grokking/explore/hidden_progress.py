"""Explorables of the page on progress before it shows."""

from typing import Any

import xarray as xr


def question() -> dict[str, Any]:
    """The reader commits before the nulls are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "The restricted loss has fallen to half of a uniform guess. The held-out loss has not. Now take the "
            "logits of every new pair and exchange which wrong answer got which of them, pair by pair. How much of the fall is "
            "left?",
            "options": [
                {
                    "label": "Almost nothing: the fall showed a circuit, and its waves are gone.",
                    "feedback": "The waves are gone from these pairs, and the restricted loss hardly notices.",
                },
                {
                    "label": "About half: some of it was a circuit, some of it was memory.",
                    "feedback": "Less is lost than that. Memory alone, with its mirror images, makes up most of the fall.",
                },
                {
                    "label": "Nearly all: an average over a fiber needs only right answers a little ahead of scattered errors.",
                    "feedback": "That is what the figure shows, so the fall alone is no evidence of a circuit.",
                    "correct": True,
                },
            ],
        },
    }


def alone(result: xr.Dataset, shown: int = 6) -> dict[str, Any]:
    """Along the training of a few seeds: accuracy on new pairs, and what the measure and its null rescue of the rest."""
    result = result.isel(seed=slice(0, shown))
    steps = [int(step) for step in result.step.values]
    rescued = {name: result.rescued.sel(filter=name).values for name in ("network", "scattered")}
    series = [
        {"name": "right on new pairs", "values": result.new_accuracy.values, "by": ["run"], "color": 6, "dash": True},
        {"name": "wrong ones rescued", "values": rescued["network"], "by": ["run"], "color": 1},
        {"name": "wrong ones rescued, errors scattered", "values": rescued["scattered"], "by": ["run"], "color": 0},
    ]
    looked = zip(("right", "rescued", "null"), series, strict=True)
    lookups: dict[str, Any] = {
        name: {"series": one["name"], "stat": "at", "control": "step", "format": ".0%"} for name, one in looked
    }
    lookups["loss"] = {"values": result.new_loss.values, "by": ["run", "step"], "format": ".2f"}
    return {
        "title": "Walk along the training of one network",
        "alt": "The share of wrongly answered new pairs that the key frequencies answer right rises early, before most new pairs "
        "are answered right; with scattered errors it stays near chance throughout.",
        "data": {
            "x": {"label": "updates made", "values": steps, "symbol": "update", "format": ","},
            "y": {"label": "share", "symbol": "share", "format": ".2f", "range": [0.0, 1.0]},
            "controls": [
                {
                    "name": "step",
                    "label": "Updates made",
                    "values": steps,
                    "initial": 80 if 80 in steps else steps[len(steps) // 2],
                },
                {"name": "run", "label": "Network", "values": [f"seed {int(seed)}" for seed in result.seed.values]},
            ],
            "series": series,
            "markers": [{"label": "{step}", "control": "step"}],
            "lookups": lookups,
            "sentence": "{run}, after {step} updates: {right} of the new pairs are answered right, at a loss of {loss}. Of the "
            "others the key frequencies alone answer {rescued} right; in the null with the same losses, {null}.",
        },
    }
