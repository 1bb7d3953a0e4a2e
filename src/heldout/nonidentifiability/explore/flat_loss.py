"""Explorables of the page along a flat loss."""

from typing import Any

import xarray as xr

PAIRS = {"opposite": "breaks R1, keeps R1", "alike": "both keep R1"}


def question() -> dict[str, Any]:
    """The reader commits before the curves are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "Two networks know a language equally well. After prompts that the language does not hold, both keep one "
            "of its rules, because both were taught to. Join their weights by a path, and bend it so that the loss on the "
            "language is as low as possible all along. What do the networks on the path do after those prompts?",
            "options": [
                {
                    "label": "They keep the rule: both ends do, and the loss says nothing against it.",
                    "feedback": "It says nothing for it either, and nothing else holds the rule while the path is bent.",
                },
                {
                    "label": "In the middle of the path they keep it less often than the ends, at a loss that is lower.",
                    "feedback": "So it is below: the middle was trained on without the lessons, and part of them is lost.",
                    "correct": True,
                },
                {
                    "label": "There is no such path: between two networks the loss rises.",
                    "feedback": "Between these two the straight line hardly rises, either: they have one start and one lesson.",
                },
            ],
        },
    }


def training(result: xr.Dataset) -> dict[str, Any]:
    """Divergence and R1 of one seed along training, with all seeds behind it."""
    result = result.transpose("seed", "step", ...)
    seeds = [str(int(seed)) for seed in result.seed.values]

    def row(name: str, values: xr.DataArray, color: int) -> list[dict[str, Any]]:
        low, high = values.min("seed").values, values.max("seed").values
        return [
            {"name": name, "by": ["seed"], "values": values.values, "color": color},
            {"name": f"{name}, median", "values": values.median("seed").values, "low": low, "high": high, "color": color,
             "dash": True},
        ]  # fmt: skip

    last, start = result.isel(step=-1), result.sel(step=result.attrs["learned"])
    return {
        "title": "One data set, and a rule that moves",
        "alt": "Along training the divergence of every seed falls to below a hundredth or so and then rises a little, while the "
        "share of prompts after which the rule is kept differs from seed to seed and goes on changing.",
        "data": {
            "x": {"label": "updates", "values": result.step.values, "symbol": "update", "format": ","},
            "y": {"label": "share of prompts; nats a sequence", "scale": "log", "range": [0.003, 1], "symbol": "height",
                  "format": ".3f"},
            "controls": [{"name": "seed", "label": "Seed", "values": seeds}],
            "series": [*row("R1 kept", result.r1, 0), *row("divergence", result.data_kl, 1)],
            "lookups": {
                "before": {"values": start.r1.values.tolist(), "by": ["seed"], "format": ".0%"},
                "after": {"values": last.r1.values.tolist(), "by": ["seed"], "format": ".0%"},
                "first": {"values": start.data_kl.values.tolist(), "by": ["seed"], "format": ".4f"},
                "last": {"values": last.data_kl.values.tolist(), "by": ["seed"], "format": ".4f"},
            },
            "markers": [{"label": "weight decay from here on", "value": int(result.attrs["learned"])}],
            "sentence": "Seed {seed}: while it trains on, its divergence goes from {first} to {last} nats a sequence, and the "
            "share of prompts after which it keeps R1 from {before} to {after}.",
        },
    }  # fmt: skip


def path(result: xr.Dataset) -> dict[str, Any]:
    """A place to move along the curve and the straight line between two models."""
    result = result.transpose("pair", "path", "route", "seed", "place", ...)
    seeds = [str(int(seed)) for seed in result.seed.values]
    by, places = ["pair", "seed", "place"], result.place.values.round(3).tolist()

    def quoted(values: xr.DataArray, form: str) -> dict[str, Any]:
        return {"values": values.values.tolist(), "by": by, "format": form}

    kept = {name: result.r1.sel(path=name) for name in ("curve", "line")}
    cost = {name: result.data_kl.sel(route=name) for name in ("curve", "line")}
    return {
        "title": "Along a path of low loss",
        "alt": "Along the bent curve the share of prompts with the rule kept changes, in some seeds by degrees and in others "
        "mostly in one step, while the divergence stays low; between two models that keep the rule it is lower in the middle.",
        "data": {
            "x": {"label": "place along the path", "values": result.place.values, "symbol": "place", "format": ".2f"},
            "y": {"label": "share of prompts with R1 kept", "range": [0, 1], "symbol": "share", "format": ".2f"},
            "controls": [
                {"name": "pair", "label": "Ends", "values": [PAIRS[str(pair)] for pair in result.pair.values]},
                {"name": "seed", "label": "Seed", "values": seeds},
                {"name": "place", "label": "Place", "values": places, "initial": 0.5, "format": ".2f"},
            ],
            "series": [
                {"name": "bent curve", "by": ["pair", "seed"], "values": kept["curve"].values, "color": 0, "points": True},
                {"name": "straight line", "by": ["pair", "seed"], "values": kept["line"].values, "color": 2, "dash": True},
            ],
            "lookups": {
                "share": quoted(kept["curve"], ".0%"), "other": quoted(kept["line"], ".0%"),
                "nats": quoted(cost["curve"], ".4f"), "dear": quoted(cost["line"], ".4f"),
            },
            "markers": [{"label": "place {place}", "control": "place"}],
            "sentence": "At place {place} of the curve R1 is kept after {share} of the prompts, at a divergence of {nats} nats a "
            "sequence; on the straight line after {other}, at {dear}.",
        },
    }  # fmt: skip
