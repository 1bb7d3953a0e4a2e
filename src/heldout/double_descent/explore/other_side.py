"""Explorables of the pages on the other side of double descent."""

from typing import Any

import numpy as np
import xarray as xr

from heldout.double_descent import final_ascent, triple_descent

ERROR_AXIS = {"label": "test error, squared", "scale": "log", "symbol": "error", "format": ".2g"}


def _band(values: xr.DataArray) -> dict[str, Any]:
    """Median over seeds and the central 80 % of them, the other axes in their order."""
    moved = values.transpose("seed", ...)
    low, middle, high = np.quantile(moved.values, [0.1, 0.5, 0.9], axis=0)
    return {"values": middle, "low": low, "high": high}


def which_axis() -> dict[str, Any]:
    """A guess before effective parameters are shown."""
    return {
        "title": "Predict: what happens to the effective parameters beyond N = n?",
        "alt": "A question with three answers.",
        "data": {
            "question": "Beyond N = n every model fits all training digits. Counted on test digits, its effective parameters ...",
            "options": [
                {
                    "label": "keep growing with N",
                    "feedback": "The number of features grows. What a prediction does with them need not.",
                },
                {
                    "label": "stay at n",
                    "feedback": "That is what happens on the training digits, and it is the control of this page.",
                },
                {
                    "label": "come down again",
                    "feedback": "Yes: added features let the fit spread its weights.",
                    "correct": True,
                },
            ],
            "closing": "The figure below shows both counts.",
        },
    }


def averaging(result: xr.Dataset) -> dict[str, Any]:
    """Slider over the number of averaged draws."""
    n, means = int(result.num_train), result.test_mse.sel(combine="mean")
    curves = means.transpose("seed", "num_draws", "num_features")
    return {
        "title": "Average K feature draws",
        "alt": "Test error against the number of features for the chosen number of averaged draws, beside a single draw.",
        "data": {
            "x": {
                "label": "random features N of each draw",
                "scale": "log",
                "symbol": "N",
                "format": ",",
                "values": result.num_features.values,
            },
            "y": ERROR_AXIS,
            "controls": [
                {"name": "K", "label": "draws averaged K", "values": result.num_draws.values.tolist(), "initial": 1}
            ],
            "series": [
                {"name": "average of K draws", "by": ["K"], **_band(curves)},
                {"name": "one draw", "values": curves.sel(num_draws=1).median("seed"), "color": 1, "dash": True},
            ],
            "markers": [{"label": "N = n", "value": n}],
            "lookups": {
                "below": {"series": "average of K draws", "stat": "at", "x": round(0.9 * n), "format": ".2g"},
                "at": {"series": "average of K draws", "stat": "at", "x": n, "format": ".2g"},
                "above": {"series": "average of K draws", "stat": "at", "x": round(1.1 * n), "format": ".2g"},
            },
            "sentence": "With K = {K} draws the error is {below} at 0.9 n, {at} at N = n and {above} at 1.1 n.",
        },
    }


def activations(result: xr.Dataset) -> dict[str, Any]:
    """Selector over the activation of the random features."""
    curves = result.test_mse.transpose("seed", "activation", "num_train")
    names = [triple_descent.NAMES[str(name)] for name in result.activation.values]
    d, p = int(result.input_dim), int(result.num_features)
    return {
        "title": "One curve, up to two peaks",
        "alt": "Test error against the number of samples for the chosen activation, with both thresholds marked.",
        "data": {
            "x": {
                "label": "training samples n",
                "scale": "log",
                "symbol": "n",
                "format": ",",
                "values": result.num_train.values,
            },
            "y": ERROR_AXIS | {"label": "test error / signal variance"},
            "controls": [{"name": "activation", "label": "activation", "values": names, "initial": names[1]}],
            "series": [{"name": "test error", "by": ["activation"], **_band(curves)}],
            "markers": [{"label": "n = d", "value": d}, {"label": "n = p", "value": p}],
            "lookups": {
                "first": {"series": "test error", "stat": "at", "x": d, "format": ".2g"},
                "between": {"series": "test error", "stat": "at", "x": 3 * d, "format": ".2g"},
                "second": {"series": "test error", "stat": "at", "x": p, "format": ".2g"},
            },
            "sentence": "{activation}: {first} at n = d, {between} at n = 3 d, {second} at n = p.",
        },
    }


def ridge_rules(result: xr.Dataset) -> dict[str, Any]:
    """Selectors over the label noise and the ridge rule."""
    curves = result.test_mse.transpose("seed", "noise", "ridge_rule", "width")
    noises = [f"{share:.0%} wrong labels" for share in result.noise.values]
    rules = [final_ascent.NAMES[str(rule)] for rule in result.ridge_rule.values]
    return {
        "title": "Label noise and the ridge",
        "alt": "Test error against width for the chosen label noise and ridge rule.",
        "data": {
            "x": {
                "label": "random ReLU features N",
                "scale": "log",
                "symbol": "N",
                "format": ",",
                "values": result.width.values,
            },
            "y": {"label": "test error, squared", "symbol": "error", "format": ".2f"},
            "controls": [
                {"name": "noise", "label": "label noise", "values": noises, "initial": noises[-1]},
                {"name": "rule", "label": "ridge", "values": rules, "initial": rules[0]},
            ],
            "series": [{"name": "test error", "by": ["noise", "rule"], **_band(curves)}],
            "markers": [{"label": "N = n", "value": int(result.num_train)}],
            "lookups": {
                "best": {"series": "test error", "stat": "min", "format": ".2f"},
                "where": {"series": "test error", "stat": "argmin", "format": ","},
                "end": {"series": "test error", "stat": "last", "format": ".2f"},
            },
            "sentence": "{noise}, {rule}: least error {best} at N = {where}; at the largest width {end}.",
        },
    }


def which_activation() -> dict[str, Any]:
    """A guess before the two peaks are shown."""
    return {
        "title": "Predict: how many peaks?",
        "alt": "A question with three answers.",
        "data": {
            "question": "Noisy targets, p random tanh features of d inputs, d far below p. Where is the error largest?",
            "options": [
                {
                    "label": "only near n = d",
                    "feedback": "That is where plain linear regression peaks. The features are more than d.",
                },
                {"label": "only near n = p", "feedback": "The tallest peak is there. Look to its left."},
                {
                    "label": "near both",
                    "feedback": "Yes: a low peak at n = d and a tall one at n = p.",
                    "correct": True,
                },
            ],
            "closing": "Now exchange the activation in the figure below and see which peak goes.",
        },
    }
