"""Explorables of the page on the dial."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.connecting_dots.dial import numbers
from heldout.connecting_dots.dial_checks import BARE, GATES, UNTOUCHED, dial
from heldout.prose import fill

TASKS = {"trained pairs": "apply", "definition": "define", "inversion": "invert", "composition": "compose"}
STAYS, FALLS = 0.1, 0.3  # of definitions right, from the fastest row to the slowest


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader says what becomes of the definitions when the row is slowed down."""
    n = numbers(result)
    fall = float(n["fast_define"]) - float(n["slow_define"])
    measured = fill(
        "Definitions right in the median seed: [[fast_define:.0%]] with the fastest row, [[slow_define:.0%]] with the slowest.",
        n,
    )
    options = (
        ("They stay right. All inputs are known, so the function is.", fall <= STAYS),
        ("They fall a little.", STAYS < fall <= FALLS),
        ("They fall far.", fall > FALLS),
    )
    return {
        "title": "The same pairs, the same loss",
        "alt": "A question with three answers to choose from, about names that are trained on all pairs of their function.",
        "data": {
            "question": fill(
                "A decoder learns new names from all [[modulus]] pairs of each function, and all weights are trained. You "
                "may set two learning rates: of the new names' rows, and of everything else. You slow the rows down until the "
                "rest learns faster, and stop each time at the same loss, with all pairs right and old names known as before. "
                "What happens to the definitions of the new names, which were never trained?",
                n,
            ),
            "options": [
                {"label": label, "feedback": measured} | ({"correct": True} if right else {}) for label, right in options
            ],
        },
    }  # fmt: skip


def _series(values: xr.DataArray, by: list[str], color: int, name: str) -> dict[str, Any]:
    """Median over seeds with the range of all seeds."""
    low, middle, high = (values.quantile(q, "seed").values for q in (0.0, 0.5, 1.0))
    return {"name": name, "by": by, "values": middle, "low": low, "high": high, "color": color}


def turn_the_dial(result: xr.Dataset) -> dict[str, Any]:
    """What a new name can do as the loss on its pairs comes down, at each setting of the dial."""
    own = dial(result)
    order = own.curve.sortby("level").transpose("setting", "level", "task", "seed")
    shown = {name: order.sel(task=task) for name, task in TASKS.items()}
    first = own.isel(place=0)
    old = first.old.sel(task=GATES).min(("task", "seed"))
    middle = {
        "cosine": first.cosine.isel(depth=0),
        "moved": first.moved,
        "noisy": first.noisy,
        "updates": first.updates,
    }
    formats = {"cosine": ".2f", "moved": ".0%", "noisy": ".2f", "updates": ".0f"}
    lookups = {name: (value.median("seed"), formats[name]) for name, value in middle.items()} | {"old": (old, ".1%")}
    lookups |= {name.replace(" ", "_"): (values.isel(level=0).median("seed"), ".0%") for name, values in shown.items()}
    return {
        "title": "Turn the dial",
        "alt": "At every setting the trained pairs come to nearly all right as the loss falls. With a fast row definitions come "
        "with them; the slower the row, the fewer definitions are right at the same loss.",
        "data": {
            "x": {
                "label": "loss on the pairs (nats)", "scale": "log", "values": order.level.values, "symbol": "loss",
                "format": ".2f",
            },
            "y": {"label": "share right for new names", "range": [-0.03, 1.03], "format": ".2f"},
            "controls": [
                {
                    "name": "dial", "label": "Row's rate over the rest's", "values": own.setting.values.tolist(),
                    "initial": str(own.setting.values[0]),
                }
            ],
            "series": [_series(values, ["dial"], color, name) for color, (name, values) in enumerate(shown.items())],
            "lookups": {
                name: {"values": value.values.tolist(), "by": ["dial"], "format": form} for name, (value, form) in lookups.items()
            },
            "sentence": "Row's rate over the rest's: {dial}. At the lowest loss, after {updates} updates: {trained_pairs} of the "
            "pairs, {definition} of the definitions, {inversion} of the inversions, {composition} of the compositions right. "
            "With the noise of training the loss is {noisy} nats. The old weights have moved by {moved} of their length, "
            "old names are right in at least {old} of the lines of a task, and a new row has cosine {cosine} with its synonyms.",
        },
    }  # fmt: skip


def whose_row(result: xr.Dataset) -> dict[str, Any]:
    """Definitions and pairs with the row of each setting among the other weights of any."""
    settings = dial(result).setting.values.tolist()
    rests = [*settings, BARE, UNTOUCHED]
    graft = result.grafted.sel(row_of=settings[::-1], rest_of=rests).transpose("rest_of", "row_of", "task", "seed")
    shown = {name: graft.sel(task=TASKS[name]) for name in ("trained pairs", "definition")}
    return {
        "title": "The row from one, the rest from another",
        "alt": "Definitions rise with the rate at which the row was trained, nearly alike among all other weights that were "
        "trained with replay. The trained pairs need a row and other weights that fit each other.",
        "data": {
            "x": {
                "label": "rate of the row, over its rest's, where it is from", "scale": "log",
                "values": np.array([float(name) for name in settings[::-1]]), "symbol": "row from", "format": "g",
            },
            "y": {"label": "share right for new names", "range": [-0.03, 1.03], "format": ".2f"},
            "controls": [{"name": "rest", "label": "All other weights from", "values": rests, "initial": settings[-1]}],
            "series": [_series(values, ["rest"], color, name) for color, (name, values) in enumerate(shown.items())],
            "lookups": {
                f"{place}_{name.split()[-1]}": {
                    "values": values.isel(row_of=end).median("seed").values.tolist(), "by": ["rest"], "format": ".0%",
                }
                for name, values in shown.items() for place, end in (("slow", 0), ("fast", -1))
            },
            "sentence": "All other weights from {rest}: with the slowest row {slow_pairs} of the pairs and {slow_definition} of "
            "the definitions are right, with the fastest {fast_pairs} and {fast_definition}.",
        },
    }  # fmt: skip
