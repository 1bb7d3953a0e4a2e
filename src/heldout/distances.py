"""How far apart two models are as functions, set beside how far apart their losses are.

Every chapter closes with the same panel: pairs of models at equal loss, and their distance on the training set, on the test
set and elsewhere. The distance between two probabilistic classifiers on a set S is the mean over S of the total variation
between their predictions; for deterministic classifiers that is the share of S on which they disagree. For regression it is
the share of S on which they differ by more than 5 % of the target's range. All distances lie between 0 and 1.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from heldout.experiment import require, variable

SETS = ("train", "test", "elsewhere")
RISEN = 0.05  # a bar has risen when its median over seeds exceeds this
Distance = Callable[[Tensor, Tensor], float]


def total_variation(f: Float[Tensor, "samples classes"], g: Float[Tensor, "samples classes"]) -> float:
    """Mean over samples of half the summed absolute difference of two predictive distributions.

    Raises:
        ValueError: the shapes differ, or the rows are not distributions.
    """
    require(f.shape == g.shape, "shapes", (tuple(f.shape), tuple(g.shape)), "equal")
    for name, rows in (("f", f), ("g", g)):
        sums = rows.sum(-1)
        proper = bool((rows >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-6)
        require(proper, name, f"rows from {float(rows.min()):.3g}", "nonnegative rows that sum to 1")
    return float((f - g).abs().sum(-1).mean() / 2)


def disagreement(f: Int[Tensor, " samples"], g: Int[Tensor, " samples"]) -> float:
    """Share of samples with different labels: total variation between deterministic predictions.

    Raises:
        ValueError: the shapes differ.
    """
    require(f.shape == g.shape, "shapes", (tuple(f.shape), tuple(g.shape)), "equal")
    return float((f != g).double().mean())


def regression_distance(
    f: Float[Tensor, " samples"], g: Float[Tensor, " samples"], target_range: float, tolerance: float = 0.05
) -> float:
    """Share of samples on which two functions differ by more than ``tolerance`` of the target's range.

    Raises:
        ValueError: the shapes differ or the range is not positive.
    """
    require(f.shape == g.shape, "shapes", (tuple(f.shape), tuple(g.shape)), "equal")
    require(target_range > 0, "target_range", target_range, "positive")
    return float(((f - g).abs() > tolerance * target_range).double().mean())


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two models of the panel, by name, and how the pair came about: both found by training, or one built on purpose."""

    first: str
    second: str
    kind: Literal["natural", "constructed"]

    @property
    def name(self) -> str:
        """The pair as the panel labels it."""
        return f"{self.first} / {self.second}"


def measure(
    pairs: Sequence[Pair],
    predictions: Mapping[str, Mapping[str, Tensor]],
    losses: Mapping[str, float],
    distance: Distance,
) -> dict[str, np.ndarray]:
    """Distances of every pair on every set, and the differences of their losses.

    Args:
        predictions: for each model's name, its predictions on each set of ``SETS``.
        losses: the loss that is matched, by model.

    Returns:
        distance (pair, set) and loss_difference (pair).
    """
    table = [
        [distance(predictions[pair.first][name], predictions[pair.second][name]) for name in SETS] for pair in pairs
    ]
    return {
        "distance": np.array(table),
        "loss_difference": np.array([abs(losses[pair.first] - losses[pair.second]) for pair in pairs]),
    }


def panel_dataset(
    pairs: Sequence[Pair],
    seeds: Sequence[int],
    measured: Sequence[Mapping[str, np.ndarray]],
    yardstick: Float[np.ndarray, "seed set"],
    loss_name: str,
) -> xr.Dataset:
    """The record of a closing panel, in the form that :func:`heldout.figures.panel.plot` draws.

    Args:
        measured: one result of :func:`measure` a seed.
        yardstick: distances between two seeds of one recipe.
        loss_name: what the matched loss is, with its unit.

    Returns:
        distance (seed, pair, set), loss_difference (seed, pair), yardstick (seed, set), natural (pair).
    """
    return xr.Dataset(
        {
            "distance": variable(
                ("seed", "pair", "set"), [one["distance"] for one in measured], "distance as functions"
            ),
            "loss_difference": variable(
                ("seed", "pair"), [one["loss_difference"] for one in measured], f"absolute difference of {loss_name}"
            ),
            "yardstick": variable(("seed", "set"), yardstick, "distance between two seeds of one recipe"),
            "natural": variable(
                "pair", [pair.kind == "natural" for pair in pairs], "both models found by fitting alone"
            ),
        },
        {"seed": list(seeds), "pair": [pair.name for pair in pairs], "set": list(SETS)},
    )


def first_to_rise(result: xr.Dataset, margin: float = RISEN) -> xr.DataArray:
    """For every pair the first of train, test, elsewhere whose median distance exceeds the margin, or "none"."""
    risen = result.distance.median("seed") > margin
    names = [
        next((name for name in SETS if bool(risen.sel(pair=pair, set=name))), "none") for pair in result.pair.values
    ]
    return xr.DataArray(names, dims="pair", coords={"pair": result.pair})
