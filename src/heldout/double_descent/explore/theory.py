"""Explorables of the page on theory."""

from typing import Any

import xarray as xr

from heldout.double_descent.gaussian_risk import numbers


def risk(result: xr.Dataset) -> dict[str, Any]:
    """The exact risk, computed in the browser, starting from the sizes of case 1."""
    found = numbers(result)
    return {
        "title": "The exact risk, for any sizes",
        "alt": "The exact risk against the number of features used; it is infinite at p = n and falls on both sides of it.",
        "data": {
            "samples": {"min": 5, "max": 100, "initial": int(found["case1_n"])},
            "features": {"min": 10, "max": 300, "initial": int(found["case1_d"])},
            "noise": {"min": 0.0, "max": 1.5, "initial": float(result.attrs["noise_std"])},
            "spectrum": "even",
            "p": int(found["case1_n"]) // 2,
            "range": [0.03, 300],
        },
    }


def mean_at_the_threshold(result: xr.Dataset) -> dict[str, Any]:
    """What happens to the simulated mean at p = n with more trials?"""
    trials = int(result.attrs["num_trials"])
    return {
        "title": "One number that will not settle",
        "alt": "A question with three answers about the mean of the simulated risk at p = n.",
        "data": {
            "question": f"We average the risk at p = n over {trials:,} trials. What do a hundred times as many do to it?",
            "options": [
                {
                    "label": "It settles: the error of a mean falls with the square root of the number of trials",
                    "feedback": "That rule needs a finite variance. At p = n not even the mean is finite.",
                },
                {
                    "label": "It keeps growing, without bound",
                    "feedback": "Yes. The mean is infinite, so every now and then a single trial outweighs all before it.",
                    "correct": True,
                },
                {
                    "label": "It falls, because outliers average out",
                    "feedback": "They would if they were rare enough for their size. Here they are not: the mean is infinite.",
                },
            ],
            "closing": "The median, by contrast, settles. That is why the figure shows medians next to the threshold.",
        },
    }
