"""Explorables of the page on quanta that need each other."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.quanta.compositional_parity_checks import KNOWN, composite_times, part_times
from heldout.quanta.parity import CHANCE


def question() -> dict[str, Any]:
    """The reader commits before the curves are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "Two networks see the same samples of one hard task, at a rate of 96 an update. The second also gets "
            "samples of three easy tasks, 32 of each; the hard one is only half of what it must fit. Which learns that first?",
            "options": [
                {
                    "label": "The first: all of its units and every update serve the hard task.",
                    "feedback": "It keeps its units free to the end of the run. The figure below shows what it does with them.",
                },
                {
                    "label": "Neither first: the same samples of the hard task teach the same.",
                    "feedback": "If a skill waited only for samples of its own, this would be so. Samples are counted below.",
                },
                {
                    "label": "The second, if the easy tasks are the right ones.",
                    "feedback": "The three easy tasks are parts of the hard one. Three others, just as easy, do not help it.",
                    "correct": True,
                },
            ],
        },
    }


def parts(result: xr.Dataset) -> dict[str, Any]:
    """The losses of one seed's composite and its training's parts, and what a probe reads, by how many parts are right."""
    one = result.isel(seed=0)
    count, by = result.sizes["part"], ["training"]
    names = ["alone, no parts", *(f"{right} of {count} parts right" for right in range(count + 1))]
    times, last = (
        np.where(np.isfinite(each), each, np.nan) for each in (composite_times(result)[0], part_times(result)[0])
    )
    known = (one.part_loss.isel(step=-1) <= KNOWN * CHANCE).sum("part").values
    series = [
        {
            "name": f"part {part}",
            "values": np.clip(one.part_loss.sel(part=part).values, 0, None),
            "by": by,
            "color": 3,
        }
        for part in result.part.values
    ]
    series.append({"name": "composite", "values": one.composite_loss.values, "by": by, "color": 1})
    series.append({"name": "share a probe reads", "values": one["read"].values, "by": by, "color": 2, "dash": True})
    return {
        "title": "Take the parts away",
        "alt": "Losses of one composite and of the parts trained beside it, and the share of the composite's parts that a probe "
        "reads, along training.",
        "data": {
            "x": {"label": "updates", "scale": "log", "values": one.step.values, "symbol": "updates", "format": ","},
            "y": {"label": "loss in nats; share read", "symbol": "value", "format": ".2f", "range": [0.0, 1.05]},
            "controls": [{"name": "training", "label": "Trained beside", "values": names, "initial": names[-1]}],
            "series": series,
            "markers": [
                {"label": "chance", "axis": "y", "value": CHANCE},
                {"label": "last part: {parts}", "values": last, "by": by},  # a time that is not reached has no line
                {"label": "composite: {learned}", "values": times, "by": by},
            ],
            "lookups": {
                "learned": {"values": times, "by": by, "format": ",.0f"},
                "parts": {"values": last, "by": by, "format": ",.0f"},
                "known": {"values": known, "by": by, "format": "d"},
                "loss": {"series": "composite", "stat": "last", "format": ".3f"},
                "read": {"series": "share a probe reads", "stat": "last", "format": ".0%"},
            },
            "sentence": "{training}: at the end {known} parts beside the composite are learned, the composite costs {loss} nats, "
            "and a probe reads {read} of the right parts' parities (guessing: 50%). Upright lines mark when the last part and "
            "the composite are learned, if they are.",
        },
    }
