"""Explorables of the page on the order in which quanta are learned, and on when."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.quanta.emergence_order_checks import prefix, times

NAMES = {
    "zipf": "Frequency falls with the task's number",
    "permuted": "The same frequencies, permuted",
    "equal": "Equal frequencies",
    "small batch": "A tenth of the samples an update",
}
SHOWN = 8  # ranks, from the most frequent on


def question(result: xr.Dataset) -> dict[str, Any]:
    """The reader draws time against rank before seeing it."""
    known = max(3, prefix(result))
    when = times(result, "zipf")[:, :known]
    ranks, share = np.arange(1, known + 1), result.frequency.sel(arm="zipf").values[0]
    ceiling = 4 * float(result.budget.sel(arm="zipf"))
    low, middle, high = (np.quantile(when, q, axis=0, method="nearest") for q in (0.0, 0.5, 1.0))
    return {
        "title": "When will the rarer tasks be learned?",
        "alt": "Time grows along a nearly straight line on logarithmic axes, about in proportion to 1/frequency.",
        "data": {
            "x": {
                "label": "rank of the task's frequency",
                "scale": "log",
                "values": ranks,
                "symbol": "rank",
                "format": ",",
            },
            "y": {
                "label": "updates until it is learned",
                "scale": "log",
                "range": [20.0, ceiling],
                "symbol": "updates",
                "format": ",",
            },
            "anchors": ranks,
            "truth": {"name": "learned", "values": middle, "low": low, "high": high},
            "start": float(np.sqrt(20.0 * ceiling)),
            "prompt": f"The first task has {share[0]:.0%} of all samples, the third {share[2]:.0%}. Draw when each is learned.",
        },
    }


def _by_rank(result: xr.Dataset) -> tuple[list[np.ndarray], np.ndarray]:
    """Least, median and greatest time by arm and rank, and the line in proportion to 1/frequency."""
    found, line = [], []
    for arm in NAMES:
        share = result.frequency.sel(arm=arm).values
        order = np.argsort(-share, axis=1, kind="stable")[:, :SHOWN]
        found.append(np.take_along_axis(times(result, arm), order, axis=1))
        ranked = np.take_along_axis(share, order, axis=1)[0]
        with np.errstate(divide="ignore"):
            line.append(np.median(found[-1][:, 0]) * ranked[0] / ranked)
    stack = np.stack(found)
    # A rank that some seed has not learned has no median that we could vouch for.
    everywhere = np.isfinite(stack).all(1)
    quantiles = [np.quantile(stack, q, axis=1, method="nearest") for q in (0.0, 0.5, 1.0)]
    return [np.where(everywhere, each, np.nan) for each in quantiles], np.stack(line)


def arms(result: xr.Dataset) -> dict[str, Any]:
    """Time against the rank of a task's frequency in every arm of three bits, beside a line in proportion to 1/frequency."""
    (low, middle, high), line = _by_rank(result)
    return {
        "title": "Change how the frequencies are dealt",
        "alt": "With falling frequencies, however they are dealt, time follows the rank of frequency; with equal ones it is "
        "flat; with fewer samples an update every time is longer.",
        "data": {
            "x": {
                "label": "rank of the task's frequency",
                "scale": "log",
                "values": np.arange(1, middle.shape[1] + 1),
                "symbol": "rank",
                "format": ",",
            },
            "y": {
                "label": "updates until it is learned",
                "scale": "log",
                "range": [20.0, 10_000.0],
                "symbol": "updates",
                "format": ",",
            },
            "controls": [
                {
                    "name": "arm",
                    "label": "Training",
                    "values": list(NAMES.values()),
                    "initial": next(iter(NAMES.values())),
                }
            ],
            "series": [
                {
                    "name": "learned in every seed",
                    "values": middle,
                    "low": low,
                    "high": high,
                    "by": ["arm"],
                    "color": 1,
                },
                {
                    "name": "1/frequency, from the first",
                    "values": line,
                    "by": ["arm"],
                    "color": 2,
                    "dash": True,
                },
            ],
            "lookups": {
                "first": {"series": "learned in every seed", "stat": "at", "x": 1, "format": ",.0f"},
                "second": {"series": "learned in every seed", "stat": "at", "x": 2, "format": ",.0f"},
                "expected": {"series": "1/frequency, from the first", "stat": "at", "x": 2, "format": ",.0f"},
            },
            "sentence": "{arm}: the first task is learned after {first} updates and the second after {second}; in proportion to "
            "1/frequency it would be {expected}.",
        },
    }
