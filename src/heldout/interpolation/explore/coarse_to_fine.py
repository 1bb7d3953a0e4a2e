"""Explorables of the page on coarse and fine."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.interpolation.cantor_checks import LEARNED, at_end
from heldout.interpolation.cantor_sets import intervals

FRAMES = 14  # steps to walk through
BAR = -0.09  # height of a level's row of gaps, times the level
LEVEL_COLORS = (0, 1, 2, 3, 6)


OPTIONS = (
    "All five: every level has the same share of the data",
    "The coarse ones, which have few and wide gaps",
    "The fine ones, which have the most gaps",
    "None in particular: it is a little better than chance on each",
)


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader says which levels the widest network learns; the feedback is filled from the record."""
    widest = at_end(result).isel(width=-1)
    counts = (widest > LEARNED).sum("seed")
    tally = ", ".join(f"level {int(level)} in {int(counts.sel(level=level))}" for level in counts.level)
    measured = f"Measured, by the number of seeds out of {result.sizes['seed']} that learn it: {tally}."
    return {
        "title": "Which levels will be learned?",
        "alt": measured,
        "data": {
            "question": (
                f"A network with four hidden layers of {int(result.width[-1])} ReLU units is shown points of the set and points "
                "of the gaps. Each of the five levels has the same share of the gap points. Which levels does it learn?"
            ),
            "options": [
                {"label": label, "feedback": measured, "correct": place == 1} for place, label in enumerate(OPTIONS)
            ],
        },
    }


def walk(result: xr.Dataset) -> dict[str, Any]:
    """The first seed's network at the chosen width and step, drawn over the set it is learning."""
    places = np.unique(np.linspace(0, result.sizes["step"] - 1, FRAMES).round().astype(int))
    chosen = result.isel(step=places)
    belief = 1 / (1 + np.exp(-chosen.output.astype(float).clip(-40, 40)))
    first = chosen.accuracy.isel(seed=0)
    by = ["width", "step"]
    lookups = {
        f"level{int(level)}": {"values": first.sel(level=level).round(3).values, "by": by, "format": ".2f"}
        for level in first.level
    }
    told = ", ".join(f"{int(level)}: {{level{int(level)}}}" for level in first.level)
    return {
        "title": "Watch the levels come",
        "alt": "The probability that a network gives to being in the set, over the position, against the set itself. With more "
        "updates the network's curve follows first the widest gap, then the next two, and never the narrowest.",
        "caption": "First seed. Dots at the top: the intervals of the set. Below: the gaps of each level.",
        "data": {
            "x": {"label": "position", "values": result.x.values, "symbol": "x", "format": ".3f"},
            "y": {"label": "probability of being in the set", "range": [BAR * result.sizes["level"] - 0.05, 1.1]},
            "controls": [
                {"name": "step", "label": "Updates", "values": chosen.step.values, "initial": 0, "format": ","},
                {
                    "name": "width",
                    "label": "Units a layer",
                    "values": chosen.width.values,
                    "initial": int(chosen.width[-1]),
                },
            ],
            "series": [
                {"name": "network", "values": belief.round(3).values, "by": by, "color": 5},
                *_bars(result),
            ],
            "lookups": lookups,
            "sentence": f"{{width}} units a layer after {{step}} updates. Balanced accuracy by level: {told}.",
        },
    }


def _bars(result: xr.Dataset) -> list[dict[str, Any]]:
    """The set, and the gaps of each level below it, as rows of bars or dots."""
    x = result.x.values
    _, gaps = intervals((1 / 3,) * result.sizes["level"])
    rows = [{"name": "set", "values": np.where(result.in_set.values == 1, 1.04, np.nan), "points": True, "color": 4}]
    for level, (color, pieces) in enumerate(zip(LEVEL_COLORS, gaps, strict=False), start=1):
        inside = np.any([(low < x) & (x < high) for low, high in pieces], axis=0)
        values = np.where(inside, BAR * level, np.nan)
        # The finest gaps hold one place each, which no line would show.
        rows.append({"name": f"gaps {level}", "values": values, "points": level == len(gaps), "color": color})
    return rows


def sines(result: xr.Dataset) -> dict[str, Any]:
    """The first seed's network on the sum of sines, step by step, with the position or with Fourier features as input."""
    places = np.unique(np.linspace(0, result.sizes["step"] - 1, FRAMES).round().astype(int))
    chosen = result.sel(amplitudes="equal").isel(step=places)
    words = {"position": "the position", "fourier": "Fourier features"}
    output = chosen.output.transpose("inputs", "step", "x")
    share = chosen.learned.isel(seed=0)
    by = ["inputs", "step"]
    lookups = {
        f"at{int(k)}": {
            "values": share.sel(frequency=k).transpose("inputs", "step").round(3).values,
            "by": by,
            "format": ".2f",
        }
        for k in share.frequency
    }
    told = ", ".join(f"{int(k)}: {{at{int(k)}}}" for k in share.frequency)
    limit = float(abs(result.target).max()) * 1.3
    return {
        "title": "Watch the frequencies come",
        "alt": "The network's output against a sum of five sines. From the position it follows the slow waves first and the fast "
        "ones late; from Fourier features all of them at once.",
        "data": {
            "x": {"label": "position", "values": result.x.values, "symbol": "x", "format": ".2f"},
            "y": {"label": "function", "range": [-limit, limit]},
            "controls": [
                {"name": "step", "label": "Updates", "values": chosen.step.values, "initial": 0, "format": ","},
                {"name": "inputs", "label": "Input", "values": [words[str(name)] for name in chosen.inputs.values]},
            ],
            "series": [
                {"name": "target", "values": result.target.sel(amplitudes="equal").values, "color": 1, "dash": True},
                {"name": "network", "values": output.round(3).values, "by": by, "color": 0},
            ],
            "lookups": lookups,
            "sentence": f"From {{inputs}}, after {{step}} updates. Share learned by frequency: {told}.",
        },
    }
