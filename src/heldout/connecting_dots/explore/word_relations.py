"""Explorables of the page on a real language model, and a table of what its rows answer."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.connecting_dots.explore.seed_points import apart_seeds
from heldout.connecting_dots.word_pairs import DIFFERENT, FAMILIES
from heldout.connecting_dots.word_relations_checks import SCORES, right_label
from heldout.connecting_dots.word_relations_numbers import numbers
from heldout.prose import Prose, fill

GUESSES = {  # of the score above chance, each with what would speak for it
    0.0: "None of it. Without a rule in the pairs there is nothing to name.",
    0.25: "About a quarter. Some traces of the relation are left in the words themselves.",
    0.75: "Most of it. The answers alone betray what kind of relation it was.",
    1.0: "All of it. The test never looked at the pairing.",
}
ASKED = {
    "five different relations": DIFFERENT,
    "next, previous or same": FAMILIES["order"],
    "opposite or synonym": FAMILIES["meaning"],
}
SENTENCES = {
    "means": "The word NAME means ...", "list": "kid = child, NAME = ...", "short": "Here NAME is short for ...",
    "which": "The word for this is NAME, which means ...",
}  # fmt: skip
EVERY = "all four, mean"


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader says how much of the score is left when the pairs are shuffled."""
    n = numbers(result)
    measured = fill("Here [[kept:.0%]] of the score above chance was left.", n)
    nearest = min(GUESSES, key=lambda guess: abs(guess - float(n["kept"])))
    return {
        "title": "How much is left after shuffling?",
        "alt": f"A question with {len(GUESSES)} answers, about a test passed after training on pairs without a rule.",
        "data": {
            "question": "A language model learns a new word from pairs such as France, Paris. Asked what the word means, it "
            "ranks capital first among five answers. In a second run the same answers are shuffled among the same inputs: "
            "France goes with Madrid, Spain with Oslo. How much of the test's score, above chance, is left?",
            "options": [
                {"label": label, "feedback": measured} | ({"correct": True} if guess == nearest else {})
                for guess, label in GUESSES.items()
            ],
        },
    }


def scores(result: xr.Dataset) -> dict[str, Any]:
    """Relations named right, by what is asked, the sentence and the way of scoring; every seed a point."""
    arms = {"real": "real pairs", "shuffled": "shuffled pairs", "untrained": "untrained"}
    values = np.full((len(arms), len(ASKED), len(SENTENCES) + 1, len(SCORES), result.sizes["seed"]), np.nan)
    for k, among in enumerate(ASKED.values()):
        for j, score in enumerate(SCORES):
            right = right_label(result, score, among).mean("relation").transpose("arm", "template", "seed")
            every = right.sel(arm=list(arms), template=list(SENTENCES)).values
            values[:, k, :, j] = np.concatenate([every.mean(1, keepdims=True), every], 1)
    by = ["asked", "sentence", "score"]
    chance = np.array([1 / len(among) for among in ASKED.values()])
    everywhere = np.broadcast_to(chance[:, None, None, None], (*values.shape[1:-1], 2 * values.shape[-1] - 1))
    places = np.linspace(result.seed.values[0], result.seed.values[-1], everywhere.shape[-1])
    return {
        "title": "A score, and its control",
        "alt": "Points of every seed for rows trained on real pairs, on shuffled pairs and not at all, beside chance, "
        "by what is asked, the sentence and the way of scoring.",
        "data": {
            "x": {"label": "seed", "values": places, "ticks": result.seed.values, "format": ","},
            "y": {"label": "share of relations named right", "range": [-0.05, 1.05], "format": ".2f"},
            "controls": [
                {"name": "asked", "label": "Choose among", "values": list(ASKED), "initial": next(iter(ASKED))},
                {"name": "sentence", "label": "Sentence", "values": [EVERY, *SENTENCES.values()], "initial": EVERY},
                {"name": "score", "label": "Score", "values": list(SCORES), "initial": SCORES[0]},
            ],
            "series": [
                {"name": name, "by": by, "values": apart_seeds(values[k]), "points": True, "color": k}
                for k, name in enumerate(arms.values())
            ]
            + [{"name": "chance", "by": by, "values": everywhere, "color": 6, "dash": True}],
            "lookups": {
                arm: {"values": np.nan_to_num(values[k].mean(-1)).tolist(), "by": by, "format": ".2f"}
                for k, arm in enumerate(arms)
            },
            "sentence": "{asked}; {score} score. Means over seeds: real pairs {real}, shuffled pairs {shuffled}, untrained row "
            "{untrained} (the calibrated score is measured from the untrained row, which has none itself).",
        },
    }  # fmt: skip


def said_table(result: xr.Dataset, relations: tuple[str, ...] = ("capital", "past"), places: int = 4) -> Prose:
    """What the rows of the first seed answer to some held-out inputs, as a table."""
    lines = [
        "| relation | held-out input | right | real pairs | shuffled pairs | untrained |",
        "|---|---|---|---|---|---|",
    ]
    for relation in relations:
        one = result.isel(seed=0).sel(relation=relation)
        for place in range(places):
            asked, wanted = str(one.asked.values[place]), str(one.wanted.values[place])
            told = [_shown(str(one.said.sel(arm=arm).values[place])) for arm in ("real", "shuffled", "untrained")]
            lines.append(f"| {relation} | {asked} | {wanted} | " + " | ".join(told) + " |")
    return Prose("\n".join(lines))


def _shown(token: str) -> str:
    """A token as it can stand in a table."""
    return token.replace("\n", "⏎").replace("|", "\\|").replace("*", "\\*").replace("_", "\\_") or "(space)"
