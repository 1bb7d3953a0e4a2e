"""Explorables of the page on a lazy start."""

from typing import Any

import xarray as xr

LEAST_DRAWN = 1e-4  # as the label of the axis says


def question() -> dict[str, Any]:
    """The reader commits before the curves are shown."""
    return {
        "title": "Before you look",
        "alt": "A question with three answers to choose from.",
        "data": {
            "question": "A network is trained by plain gradient descent: no weight decay, nothing that pulls the weights "
            "down. Its training error is small after about a hundred updates, and held-out error is still large. What can "
            "happen after that?",
            "options": [
                {
                    "label": "Nothing: the gradient is as good as zero, and no other force is left.",
                    "feedback": "The gradient is small and not zero, and ten times as many updates follow. That can be enough.",
                },
                {
                    "label": "Held-out error falls late, and the weights shrink meanwhile.",
                    "feedback": "It falls late. The weights have grown several times over by then.",
                },
                {
                    "label": "Held-out error falls late, and the weights do not shrink.",
                    "feedback": "What changes is the direction of the weights: the network learns features.",
                    "correct": True,
                },
            ],
        },
    }


def conditions(result: xr.Dataset) -> dict[str, Any]:
    """Training and held-out error along training for each training size and output scale."""
    result = result.isel(step=slice(1, None))
    sizes = [f"{int(size)}" for size in result.num_train.values]
    scales = [f"{float(scale):g}" for scale in result.output_scale.values]

    def band(name: str, values: xr.DataArray, color: int, dash: bool) -> dict[str, Any]:
        low, middle, high = (values.quantile(q, "seed").values for q in (0.0, 0.5, 1.0))
        by = ["size", "scale"]
        return {"name": name, "by": by, "values": middle, "low": low, "high": high, "color": color, "dash": dash}

    return {
        "title": "How many inputs, how lazy a start",
        "alt": "With few training inputs held-out error never falls, with many it falls together with training error, and "
        "between them it falls late; a larger output scale makes it later.",
        "data": {
            "x": {"label": "updates", "scale": "log", "values": result.step.values, "symbol": "update", "format": ","},
            "y": {"label": "error (target variances, at least 0.0001)", "scale": "log", "symbol": "error", "format": ".3f"},
            "controls": [
                {"name": "size", "label": "Training inputs", "values": sizes, "initial": sizes[len(sizes) // 2]},
                {"name": "scale", "label": "Output scale", "values": scales, "initial": scales[len(scales) // 2]},
            ],
            "series": [
                band("held-out error", result.test_error, 0, False),
                band("training error", result.train_error.clip(min=LEAST_DRAWN), 2, True),
            ],
            "lookups": {
                "train": {
                    "values": result.train_error.isel(step=-1).median("seed").values.tolist(), "by": ["size", "scale"],
                    "format": ".5f",
                },
                "last": {"series": "held-out error", "stat": "last", "format": ".3f"},
                "growth": {
                    "values": result.norm.isel(step=-1).median("seed").values.tolist(), "by": ["size", "scale"], "format": ".1f",
                },
                "aligned": {
                    "values": result.alignment.isel(step=-1).median("seed").values.tolist(), "by": ["size", "scale"],
                    "format": ".2f",
                },
            },
            "sentence": "{size} training inputs, output scale {scale}: at the end training error is {train} and held-out error "
            "{last}; the weights are {growth} times as long as at the start, and their cosine with the target's direction is "
            "{aligned}.",
        },
    }  # fmt: skip
