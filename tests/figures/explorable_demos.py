"""Small made-up data for every explorable, for tests only."""

import base64
from typing import Any

import numpy as np


def frames() -> dict[str, Any]:
    p = [5, 10, 20, 30, 40, 80, 160]
    values = [[[0.1 + s + 1 / (abs(x - n) + 1) for x in p] for s in (0.0, 0.5)] for n in (20, 40)]
    return {
        "x": {"label": "features p", "scale": "log", "values": p, "symbol": "p", "format": ","},
        "y": {"label": "test error", "scale": "log"},
        "controls": [
            {"name": "n", "label": "Samples", "values": [20, 40], "format": ",", "unit": "samples"},
            {"name": "noise", "label": "Noise", "values": [0.0, 0.5], "initial": 0.5},
        ],
        "series": [
            {
                "name": "test error",
                "by": ["n", "noise"],
                "values": values,
                "low": np.array(values) * 0.8,
                "high": np.array(values) * 1.25,
            },
            {"name": "training error", "values": [0.5, 0.2, 0.05, np.nan, 0.02, 0.02, 0.02], "dash": True},
        ],
        "lookups": {
            "peak": {"series": "test error", "stat": "max", "format": ".2f"},
            "where": {"series": "test error", "stat": "argmax", "format": ","},
        },
        "markers": [{"label": "p = n = {n}", "control": "n"}],
        "sentence": "With n = {n} and noise {noise:.1f}: the peak {peak} is at p = {where}.",
    }


def predict() -> dict[str, Any]:
    x = np.geomspace(1, 1000, 31)
    truth = 0.05 + 2 / (1 + 25 * np.log10(x / 100) ** 2)
    return {
        "x": {"label": "features p", "scale": "log", "values": x, "symbol": "p", "format": ".3g"},
        "y": {"label": "test error", "scale": "log", "range": [0.01, 10]},
        "anchors": [1, 3, 10, 30, 100, 300, 1000],
        "truth": {"name": "median measured", "values": truth, "low": truth * 0.8, "high": truth * 1.25},
        "known": [{"name": "training error", "values": np.where(x < 100, 1 / x, np.nan), "color": 2}],
        "markers": [{"label": "p = n", "value": 100}],
        "prompt": "Draw the test error you expect.",
    }


def choice() -> dict[str, Any]:
    return {
        "question": "What happens to the test error just past p = n?",
        "options": [
            {"label": "It stays high", "feedback": "It falls from 7.1 to 0.9."},
            {"label": "It falls again", "correct": True, "feedback": "The error falls from 7.1 to 0.9."},
            {"label": "It oscillates", "feedback": "There is one peak."},
        ],
        "closing": "The rest of the page asks why.",
        "reveal": "answer",
    }


def opening() -> dict[str, Any]:
    x = np.linspace(0, 1, 101)
    at = [0.05, 0.25, 0.5, 0.7, 0.95]
    bump = np.prod([x - a for a in at], axis=0) * 100
    base = np.sin(2 * np.pi * x) / 2
    return {
        "x": {"label": "input x", "values": x, "symbol": "x"},
        "y": {"label": "output f(x)"},
        "curves": [
            {"name": "smooth kernel", "values": base, "training_loss": 3e-31},
            {"name": "polynomial", "values": base + bump, "training_loss": 1e-24},
            {"name": "neural network", "values": base - 0.7 * bump, "training_loss": 0.0},
            {"name": "nearest neighbor", "values": base + 0.3 * np.abs(bump), "training_loss": 0.0},
        ],
        "points": {"x": at, "y": np.sin(2 * np.pi * np.array(at)) / 2},
        "probe": 0.37,
    }


def scrub() -> dict[str, Any]:
    x = np.linspace(-1, 1, 61)
    sizes = [2, 4, 8, 15, 30, 60]
    fits = [np.sin(3 * x) + np.sin(17 * x + p) / (abs(p - 15) + 2) for p in sizes]
    error = [0.3, 0.1, 0.3, 4.0, 0.2, 0.08]
    return {
        "x": {"label": "input x", "values": x},
        "y": {"label": "output", "range": [-2, 2]},
        "capacity": {"label": "Features p", "symbol": "p", "scale": "log", "values": sizes, "initial": 4},
        "error": {"label": "test error", "scale": "log"},
        "bases": [
            {"name": "Legendre", "fits": fits, "test_error": error, "train_error": [0.2, 0.1, 0.01, 0, 0, 0]},
            {"name": "Fourier", "fits": fits, "test_error": [2 * e for e in error]},
        ],
        "points": {"x": x[::4], "y": np.sin(3 * x[::4])},
        "target": np.sin(3 * x),
        "markers": [{"label": "p = n", "value": 15}],
    }


def gaussian_risk() -> dict[str, Any]:
    return {
        "samples": {"min": 10, "max": 100, "initial": 40},
        "features": {"min": 50, "max": 400, "initial": 200},
        "noise": {"min": 0, "max": 1, "initial": 0.2, "step": 0.05},
        "p": 100,
    }


def interpolants() -> dict[str, Any]:
    return {
        "x": {"label": "input x"},
        "y": {"label": "output", "range": [-1, 2]},
        "count": {"min": 5, "max": 15, "initial": 9},
        "extra": {"min": 0, "max": 60, "initial": 20},
        "pole": 0.2,
    }


def clock() -> dict[str, Any]:
    return {"modulus": 59, "frequencies": [4, 5, 22], "initial": {"a": 12, "b": 40}}


def tokens() -> dict[str, Any]:
    def reading(name: str, loss: list[float], rank: list[int]) -> dict[str, Any]:
        best = [[" the", "\n"] for _ in loss]
        return {"name": name, "loss": loss, "rank": rank, "best": best, "probability": [[0.5, 0.0004] for _ in loss]}

    return {
        "label": "Verse",
        "hit": 0.05,
        "texts": [
            {
                "name": "John 11:35",
                "tokens": [" Jesus", " we", "pt", "."],
                "readings": [
                    reading("first", [6.6, 8.25, 0.01, 0.22], [60, 111, 0, 0]),
                    reading("second", [0.5, 0.1, 0.0, 0.04], [1, 0, 0, 0]),
                ],
            },
            {
                "name": "Genesis 1:3",
                "tokens": [" Let", " light"],
                "readings": [reading("first", [2.0, 1.0], [3, 1]), reading("second", [0.5, 0.1], [0, 0])],
            },
        ],
    }


def trainer() -> dict[str, Any]:
    modulus, hidden, random = 11, 24, np.random.default_rng(0)
    weights = random.standard_normal(3 * modulus * hidden).astype("<f4") / np.sqrt(hidden).astype("<f4")
    order = random.permutation(modulus**2).astype("<u2")
    return {
        "modulus": modulus,
        "hidden": hidden,
        "weights": base64.b64encode(weights.tobytes()).decode(),
        "order": base64.b64encode(order.tobytes()).decode(),
        "learning_rate": 0.01,
        "decay": {"values": [0, 0.3, 1.0], "initial": 1.0},
        "fraction": {"values": [0.4, 0.6, 0.8], "initial": 0.6},
        "steps": 300,
    }


def clusters() -> dict[str, Any]:
    texts = [
        ("the whale\nand", "\n", "prose"),
        ("return x", "\n", "code"),
        ("1. rice", "\n", "lists"),
        ("one of", " the", "prose"),
    ]
    return {
        "counts": [2, 3],
        "labels": [[0, 0, 1, 0], [0, 1, 2, 2]],
        "tokens": [{"before": before, "token": token, "source": source} for before, token, source in texts],
    }


def prompts() -> dict[str, Any]:
    first = {"text": ["ab.", "b.", "…"], "chance": [[0.5, 0.75, 1.0], [0.9, 1.0], [0.25]], "kept": [1, 1, 0]}
    second = {"text": [".", "bb.", "."], "chance": [[0.5], [0.9, 0.9, 1.0], [0.6]], "kept": [1, 0, 0]}
    return {
        "prompts": ["ba", "aba", "bb"],
        "groups": ["in the language", "outside"],
        "models": ["plain", "taught"],
        "rule": {"says": "writes as many a as b", "kept": "keeps the rule", "broken": "breaks the rule"},
        "runs": [
            {"name": "seed 1", "groups": [1, 1, 1], "written": [first, second]},
            {"name": "seed 2", "groups": [1, 1, 0], "written": [second, first]},
        ],
    }


DEMOS = {
    f.__name__: f
    for f in (
        frames,
        predict,
        choice,
        opening,
        scrub,
        gaussian_risk,
        interpolants,
        clock,
        tokens,
        trainer,
        clusters,
        prompts,
    )
}
