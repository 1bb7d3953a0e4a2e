"""Explorables of the first page: a question, and a network that is trained in the page."""

import base64
from typing import Any

import numpy as np
import torch

from heldout.grokking import modular_addition


def question() -> dict[str, Any]:
    """The reader commits before the curves are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "After fifty steps the network knows all of its training sums and nearly none of the others. Training goes on "
            "as before, on the same sums. What happens to the others?",
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
                    "label": "For a long time nothing that their accuracy would show; then they are learned as well.",
                    "feedback": "So it is, and the wait is many times as long as the memorizing was.",
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
        "caption": f"Everything is computed by your browser, from the weights and the split with which seed {config.first_seed} of the "
        "figure above starts. A slider starts it anew.",
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
