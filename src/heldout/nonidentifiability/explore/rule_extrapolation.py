"""Explorables of the page on rule extrapolation."""

from typing import Any

import xarray as xr

from heldout.nonidentifiability import anbn
from heldout.nonidentifiability import rule_extrapolation_checks as checks
from heldout.nonidentifiability.rule_extrapolation import numbers
from heldout.prose import fill

GUESSES = {  # shares of the prompts, each with what would speak for it
    0.0: "Almost none. The data say nothing about such prompts.",
    0.25: "About a quarter. Two networks of one kind are alike, but not that much.",
    0.5: "About half. Where the data say nothing, chance decides.",
    0.9: "Nearly all. They know the same language equally well.",
}
GROUPS = ("in the language", "outside, taught to the twins", "outside, taught to none")


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader says how often two models with one loss go on alike where the data have no say."""
    n = numbers(result)
    measured = fill(
        "In the median seed the oracle and the adversary write the same after [[same_text:.0%]] of the [[untaught]] prompts "
        "that neither was taught ([[same_text_low:.0%]] to [[same_text_high:.0%]] by seed).",
        n,
    )
    nearest = min(GUESSES, key=lambda guess: abs(guess - float(n["same_text"])))
    return {
        "title": "How often do they write the same?",
        "alt": f"A question with {len(GUESSES)} shares to choose from, about two models with one loss.",
        "data": {
            "question": (
                "Two transformers give the sequences of a language nearly the same probabilities. Each was also taught, by a "
                "second loss of its own, how to go on from some prompts that begin no sequence of the language. Both now go "
                "on from other such prompts, which neither has met. After how many of them do the two write the same?"
            ),
            "options": [
                {
                    "label": why if why.startswith(("About", "Almost", "Nearly")) else f"{guess:.0%}. {why}",
                    "feedback": measured,
                }
                | ({"correct": True} if guess == nearest else {})
                for guess, why in GUESSES.items()
            ],
        },
    }


def prompts(result: xr.Dataset) -> dict[str, Any]:
    """Every prompt, and what each model of each seed writes after it with the likeliest tokens."""
    kept = checks.kept(result, "equal_counts").transpose("seed", "variant", "prompt")
    n = numbers(result)
    return {
        "title": "One loss, three ways to go on",
        "alt": fill(
            "[[prompts]] prompts as squares, and what each of three models writes after the chosen one. The oracle ends nearly "
            "all prompts outside the language with as many a as b, the adversary nearly none, and the plain model few but those "
            "that have as many already.",
            n,
        ),
        "data": {
            "prompts": [str(prompt) for prompt in result.prompt.values],
            "groups": list(GROUPS),
            "models": ["adversary" if name == "adversarial" else str(name) for name in result.variant.values],
            "rule": {"says": "ends with as many a as b", "kept": "as many a as b", "broken": "not as many a as b"},
            "initial": _telling(result.isel(seed=0)),
            "label": "Seed",
            "runs": [
                {
                    "name": str(int(seed)),
                    "groups": _groups(result.sel(seed=seed)),
                    "written": [
                        _written(result.sel(seed=seed, variant=name), kept.sel(seed=seed, variant=name))
                        for name in result.variant.values
                    ],
                }
                for seed in result.seed.values
            ],
        },
    }


def _telling(part: xr.Dataset) -> str:
    """The first untaught prompt after which three models write three things, each of three letters or more; else the first."""
    for number, prompt in enumerate(part.prompt.values):
        texts = {anbn.text(tokens) for tokens in part.greedy.isel(prompt=number).values}
        untaught = not part.inside[number] and not part.taught[number]
        if untaught and len(texts) == part.sizes["variant"] and min(map(len, texts)) > 3:
            return str(prompt)
    return str(part.prompt.values[0])


def _groups(part: xr.Dataset) -> list[int]:
    inside, taught = part.inside.values, part.taught.values
    return [0 if here else 1 if known else 2 for here, known in zip(inside, taught, strict=True)]


def _written(part: xr.Dataset, kept: xr.DataArray) -> dict[str, Any]:
    texts = [anbn.text(tokens) for tokens in part.greedy.values]
    chances = [
        [round(float(chance), 3) for chance in row[: len(text.rstrip("…"))]] + [1.0] * text.endswith("…")
        for row, text in zip(part.greedy_chance.values, texts, strict=True)
    ]
    return {"text": texts, "chance": chances, "kept": [int(value) for value in kept.values]}
