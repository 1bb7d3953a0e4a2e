"""Explorables of the page on fine-tuning."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.nonidentifiability.fine_tuning_checks import MOST, chosen_rate, factor, tuned
from heldout.nonidentifiability.fine_tuning_runs import BALANCED, ORIGINAL

RULES = {"sgd": "SGD", "adam": "Adam"}


def question() -> dict[str, Any]:
    """The reader commits before a loss is shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "Two networks give the same output for every input there is, only their weights differ. Both are "
            "fine-tuned on the same new task, with the same mini-batches, each with the best single learning rate of a grid. "
            "What can differ after 200 updates?",
            "options": [
                {
                    "label": "Nothing but rounding: gradient descent works on the function, and that is the same.",
                    "feedback": "Gradient descent works on the weights. The same change of the weights changes the two functions "
                    "differently.",
                },
                {
                    "label": "The best learning rate, but not the loss reached with it.",
                    "feedback": "Where one whole layer is scaled most of the difference is the rate, and all of it once each "
                    "layer has its own. For one of the twins below it is not so.",
                },
                {
                    "label": "The loss reached, too: one can learn the task while the other lags far behind.",
                    "feedback": "So it is for one of the twins below under SGD.",
                    "correct": True,
                },
            ],
        },
    }


def curves(result: xr.Dataset) -> dict[str, Any]:
    """Loss along fine-tuning for every rule, twin and rate, beside the original's at the same rate."""
    loss = (
        result.test_loss.isel(step=slice(1, None))
        .fillna(np.inf)
        .clip(max=MOST)
        .transpose("optimizer", "twin", "rate", ...)
    )
    kinds = [str(kind) for kind in result.optimizer.values]
    names = [_name(str(twin)) for twin in result.twin.values]
    rates = [f"{rate:.1g}" for rate in result.rate.values]
    best = result.rate[chosen_rate(result)].transpose("optimizer", "twin", "seed")
    least = tuned(result).median("seed").transpose("optimizer", "twin")

    def band(name: str, values: xr.DataArray, by: list[str], color: int, dash: bool) -> dict[str, Any]:
        low, middle, high = (values.quantile(q, "seed").values for q in (0.0, 0.5, 1.0))
        return {"name": name, "by": by, "values": middle, "low": low, "high": high, "color": color, "dash": dash}

    return {
        "title": "One function, many weights, many rates",
        "alt": "Loss on new labels along fine-tuning: a scaled layer needs another rate, the widest unit scales learn little at "
        "every rate under SGD and far better under Adam, and the balanced twin learns as the original does.",
        "data": {
            "x": {"label": "updates", "scale": "log", "values": loss.step.values, "symbol": "update", "format": ","},
            "y": {
                "label": f"loss on new labels (nats, at most {MOST:g})", "scale": "log", "symbol": "loss", "format": ".2f",
                "range": [0.1, MOST],
            },
            "controls": [
                {"name": "rule", "label": "Rule", "values": [RULES[kind] for kind in kinds], "initial": RULES[kinds[0]]},
                {"name": "twin", "label": "Twin", "values": names, "initial": names[-2]},
                {"name": "rate", "label": "Learning rate", "values": rates, "initial": rates[len(rates) // 2]},
            ],
            "series": [
                band("this twin", loss, ["rule", "twin", "rate"], 1, False),
                band("original, same rate", loss.sel(twin=ORIGINAL), ["rule", "rate"], 0, True),
            ],
            "lookups": {
                "now": {"series": "this twin", "stat": "last", "format": ".2f"},
                "plain": {"series": "original, same rate", "stat": "last", "format": ".2f"},
                "lowest": {"values": best.min("seed").values.tolist(), "by": ["rule", "twin"], "format": ".1e"},
                "highest": {"values": best.max("seed").values.tolist(), "by": ["rule", "twin"], "format": ".1e"},
                "least": {"values": least.values.tolist(), "by": ["rule", "twin"], "format": ".2f"},
            },
            "sentence": "{rule} at rate {rate}, {twin}: the loss ends at {now}, the original's at {plain} (medians; bands: "
            "all seeds). With the rate that validation chooses for it in each seed, {lowest} to {highest}, this twin ends at "
            "{least} in the median.",
        },
    }  # fmt: skip


def _name(twin: str) -> str:
    if twin in (ORIGINAL, BALANCED):
        return {ORIGINAL: "the original", BALANCED: "units balanced"}[twin]
    kind = {"layer": "first layer times", "units": "unit scales of spread"}[twin.split()[0]]
    return f"{kind} {factor(twin):g}"
