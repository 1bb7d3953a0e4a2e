"""Explorables of the first page: a question, and a network that is trained in the page."""

import base64
from typing import Any

import numpy as np
import torch
import xarray as xr

from heldout.grokking import modular_addition


def question() -> dict[str, Any]:
    """The reader commits before the curves are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "After fifty steps the network knows all its training sums and hardly one of the others. Training goes "
            "on as before, on the same sums. What happens to the others?",
            "options": [
                {
                    "label": "Nothing: with every training sum known there is nothing left to learn.",
                    "feedback": "The training loss is small but not zero, and weight decay pulls at the weights all the time. "
                    "What they compute goes on changing.",
                },
                {
                    "label": "They get worse: the longer it trains, the more it overfits.",
                    "feedback": "They do at first, judged by their loss. It does not stay so.",
                },
                {
                    "label": "They are learned as well, many times as many steps later.",
                    "feedback": "So it is. Twice as long as the memorizing took, hardly one is added; then they come in.",
                    "correct": True,
                },
            ],
        },
    }


def train_it() -> dict[str, Any]:
    """The network of the record's first seed, with its weights before training and its order of the pairs."""
    config = modular_addition.BOOK
    net = modular_addition.member(config, config.first_seed)
    weights = torch.stack([net.left, net.right, net.unembed]).detach().numpy()
    split = modular_addition.split_of(config, config.first_seed)
    pairs = torch.cat([split.train_pairs, split.test_pairs]).numpy()
    order = pairs[:, 0] * config.modulus + pairs[:, 1]
    return {
        "title": "Train it here",
        "alt": "A network is trained in the page: curves of accuracy and loss on training and held-out sums, the spectrum of its "
        "weights, and the addition table with the sums that it answers correctly.",
        "caption": f"Everything is computed by your browser, from the weights and the split of seed {config.first_seed} of "
        "the figure above starts. A slider starts it anew.",
        "data": {
            "modulus": config.modulus,
            "hidden": config.hidden_size,
            "weights": _text(weights, "<f4"),
            "order": _text(order, "<u2"),
            "learning_rate": config.learning_rate,
            "decay": {"values": [0.0, 0.1, 0.3, 0.5, 1.0, 1.5, 2.0], "initial": 1.0},
            "fraction": {"values": [0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8], "initial": config.train_fraction},
            "steps": 2000,
        },
    }


def _text(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()


RUNS = {
    "Weight decay, true labels": None,
    "No weight decay": modular_addition.NO_DECAY,
    "Random training labels": modular_addition.RANDOM_LABELS,
    "Half of the training pairs": modular_addition.TOO_FEW,
    "Twice the training pairs": modular_addition.MANY,
}


def controls(records: dict[str, xr.Dataset]) -> dict[str, Any]:
    """Accuracy along training in the run and in its controls, by the names of :data:`RUNS`."""
    grid = next(iter(records.values())).step.values[1:]
    # A shorter run ends early: a gap after its last step.
    aligned = [record.reindex(step=grid) for record in records.values()]
    return {
        "title": "Take one cause away",
        "alt": "The training sums are learned in every run. The held-out sums are learned late in the run itself, soon after the "
        "training sums with twice the pairs, and not at all without decay, with random labels, or with half of the pairs.",
        "data": {
            "x": {
                "label": "training step",
                "scale": "log",
                "values": grid,
                "symbol": "step",
                "format": ",",
            },
            "y": {"label": "share answered correctly", "range": [0.0, 1.0], "format": ".2f"},
            "controls": [{"name": "run", "label": "Run", "values": list(records)}],
            "series": [
                _band("held-out sums", [record.test_accuracy for record in aligned], 1),
                _band("training sums", [record.train_accuracy for record in aligned], 2),
            ],
            "lookups": {
                name: {
                    "values": [float(record.final.sel(set=kind).median()) for record in records.values()],
                    "by": ["run"],
                    "format": ".1%",
                }
                for name, kind in (("train", "train"), ("test", "test"))
            }
            | {"end": {"values": [int(record.step[-1]) for record in records.values()], "by": ["run"], "format": ","}},
            "sentence": "{run}: after {end} steps {train} of the training sums and {test} of the held-out sums are right.",
        },
    }


def _band(name: str, curves: list[xr.DataArray], color: int) -> dict[str, Any]:
    """The median over seeds of each run, with the smallest and the largest seed as a band."""
    low, middle, high = (
        np.stack([curve.quantile(q, "seed", skipna=False).values for curve in curves]) for q in (0.0, 0.5, 1.0)
    )
    return {"name": name, "values": middle, "low": low, "high": high, "by": ["run"], "color": color}
