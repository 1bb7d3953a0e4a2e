"""Explorables of the page on architectures."""

from typing import Any

import xarray as xr

from heldout.nonidentifiability import architectures_checks as checks
from heldout.nonidentifiability.architectures_numbers import numbers
from heldout.prose import fill

GUESSES = {  # shares of the prompts where letters are lacking
    0.28: "About as many as of all prompts. A rule is kept or it is not.",
    0.14: "About half as many.",
    0.05: "Hardly any.",
}
GROUPS = {
    "all outside the language": checks.OUTSIDE,
    "where letters are lacking": checks.UNBALANCED,
    "rearranged": ["rearranged"],
    "lacking and not rearranged": ["other"],
}
LABELS = {"a^n b^n": "aⁿbⁿ", "a^n b^n c^n": "aⁿbⁿcⁿ"}


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader says what an overall score is made of, before seeing its parts."""
    n = numbers(result)
    share, whole = float(n["lstm_lacking"]), float(n["lstm_all"])
    nearest = min(GUESSES, key=lambda guess: abs(guess - share))
    feedback = fill(
        "Where letters are lacking, [[lacking]] prompts, it ends [[lstm_lacking:.0%]] with as many a as b in the median seed "
        "([[lstm_lacking_low:.0%]] to [[lstm_lacking_high:.0%]]).",
        n,
    )
    return {
        "title": "What is a score made of?",
        "alt": f"A question with {len(GUESSES)} shares to choose from, about the prompts behind a score.",
        "data": {
            "question": (
                "An LSTM has learned to write some letters a, then as many b, and to end. We give it all strings of eight "
                f"letters that begin no such sequence, such as abababab. After {whole:.0%} of them it ends with as many a as b. "
                "But some of these strings hold four a and four b already. Of the others, where letters are lacking, how many "
                "does it end with as many a as b?"
            ),
            "options": [
                {"label": text, "feedback": feedback} | ({"correct": True} if guess == nearest else {})
                for guess, text in GUESSES.items()
            ],
        },
    }


def levels(result: xr.Dataset) -> dict[str, Any]:
    """R1 of every family at every level of the divergence, for each language and group of prompts."""
    shares = xr.concat(
        [checks.over(result, "r1", kinds) for kinds in GROUPS.values()],
        xr.DataArray(list(GROUPS), dims="group", name="group"),
    )
    shares = shares.isel(level=slice(None, None, -1)).transpose("language", "group", "family", "level", "seed")
    families = [str(family) for family in result.family.values]

    def band(number: int, family: str) -> dict[str, Any]:
        low, middle, high = (shares.sel(family=family).quantile(q, "seed").values for q in (0.0, 0.5, 1.0))
        return {
            "name": family, "by": ["language", "group"], "values": middle, "low": low, "high": high, "color": number,
            "points": True,
        }  # fmt: skip

    now = {
        family.replace(" ", "_").lower(): {"series": family, "stat": "first", "format": ".0%"} for family in families
    }
    told = ", ".join(f"{family} {{{name}}}" for family, name in zip(families, now, strict=True))
    n = numbers(result)
    return {
        "title": "The same divergence, other families",
        "alt": fill(
            "Share of prompts ended with equally many of all letters against the divergence from the data, for four families. "
            "In the first language, where letters are lacking, the medians of transformer and state space lie above that of the "
            "LSTM, which stays near [[lstm_lacking:.2f]]; falling divergence changes the order of families little.",
            n,
        ),
        "caption": "Lines: median seed. Bands: lowest to highest seed. Training runs from right to left.",
        "data": {
            "x": {
                "label": "divergence (nats a sequence)", "scale": "log",
                "values": shares.level.values, "symbol": "divergence", "format": ".2f",
            },
            "y": {"label": "share ended with equal counts", "range": [0.0, 1.0], "symbol": "share", "format": ".0%"},
            "controls": [
                {"name": "language", "label": "Language", "values": [LABELS[str(name)] for name in result.language.values]},
                {"name": "group", "label": "Prompts", "values": list(GROUPS), "initial": list(GROUPS)[1]},
            ],
            "series": [band(number, family) for number, family in enumerate(families)],
            "lookups": now,
            "sentence": f"{{language}}, {{group}}. At {result.level.values[-1]:g} nats a sequence: {told} in the median seed.",
        },
    }  # fmt: skip
