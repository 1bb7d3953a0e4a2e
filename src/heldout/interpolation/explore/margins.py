"""Explorables of the page on margins."""

from typing import Any

import numpy as np
import xarray as xr

QUESTION = {
    "title": "Before you look",
    "alt": "A question with four answers about what gradient descent does once every training point is on its right side.",
    "data": {
        "question": "A linear classifier is trained by gradient descent on the logistic loss. At some step the last training "
        "point moves to its right side: the training error is zero. You let it run on. What happens to the line?",
        "options": [
            {
                "label": "It stays. There is no error left to correct.",
                "feedback": "The error is gone, the loss is not: a point on its right side still has a small logistic loss.",
            },
            {
                "label": "It only gets steeper: the weights grow and the line stays where it is.",
                "feedback": "The weights do grow, without end. But the points nearest to the line soon make up nearly all of the "
                "gradient, and they turn it.",
            },
            {
                "label": "It turns toward the line that is as far as possible from every point, ever more slowly.",
                "feedback": "Yes, and the page measures how slowly.",
                "correct": True,
            },
            {
                "label": "It wanders: all lines without error have the same loss.",
                "feedback": "They share the error. With weights of one length, a line farther from its points has a lower loss.",
            },
        ],
        "closing": "Step through the training below and watch the line.",
    },
}


def question() -> dict[str, Any]:
    """A choice about what goes on after the last training error."""
    return QUESTION


def turning_line(result: xr.Dataset) -> dict[str, Any]:
    """One plane, turned so that the line of largest margin is level, and the line of each rule at every step."""
    points = np.concatenate([result.point.values, -result.point.values])
    across, along = np.linspace(-3, 3, 121), result.direction
    height = -along.isel(axis=0) / along.isel(axis=1).where(abs(along.isel(axis=1)) > 1e-6)
    lines = height.values[..., None] * across
    lines = np.where(abs(lines) < 4, lines, np.nan)  # a steep line leaves the picture
    errors = result.test_error.sel(task="plane", seed=int(result.drawn_seed))
    return {
        "title": "Watch the line turn",
        "alt": "Points on two sides of a line. Under gradient descent and normalized descent the line turns until it lies level, "
        "as far as it can be from both sides; under the squared loss it stops elsewhere.",
        "caption": "Of all seeds, the one in which the line has farthest to turn. The picture lies so that the line of largest "
        "margin is level: points above it are of one class, points below, their mirror images, of the other.",
        "data": {
            "x": {"label": "along the line of largest margin", "values": across.round(3)},
            "y": {"label": "across it", "range": [-3, 3]},
            "capacity": {
                "label": "steps t",
                "name": "steps t",
                "scale": "log",
                "symbol": "t",
                "format": ",",
                "values": result.step.values,
                "initial": int(result.step[0]),
            },
            "error": {"label": "new points on the wrong side", "symbol": "error", "format": ".1%"},
            "bases": [
                {"name": rule, "fits": lines[k].round(4), "test_error": errors.sel(rule=rule).values}
                for k, rule in enumerate(result.rule.values)
            ],
            "points": {"x": points[:, 0].round(3), "y": points[:, 1].round(3)},
            "target": np.zeros(len(across)),
            "basis_label": "Descent",
            "sentence": "After {capacity} steps ({basis}), {test_error} of new points lie on the wrong side.",
        },
    }
