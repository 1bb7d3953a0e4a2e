"""What the claims on telling mechanisms apart measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

TOLD, UNTOLD = 0.9, 0.7


def _at_end(result: xr.Dataset, kind: str, anomaly: str) -> xr.DataArray:
    """Areas of every score after the last update (seed, score)."""
    areas: xr.DataArray = result.auc.isel(step=-1).sel(plant=kind, anomaly=anomaly)
    return areas


def circuit_tells_triggers(result: xr.Dataset) -> Evidence:
    """Per seed, the circuit's area on constant triggers."""
    return across_seeds(_at_end(result, "constant", "trigger").sel(score="circuit"), above=TOLD)


def plain_scores_fail(result: xr.Dataset) -> Evidence:
    """Per seed, the larger of the areas of confidence and distance on constant triggers."""
    areas = _at_end(result, "constant", "trigger").sel(score=["confidence", "distance"])
    return across_seeds(areas.max("score"), below=UNTOLD)


def confidence_is_enough(result: xr.Dataset) -> Evidence:
    """Per seed, confidence's area less the circuit's on wrong labels."""
    areas = _at_end(result, "constant", "memorized")
    return across_seeds(areas.sel(score="confidence") - areas.sel(score="circuit"), above=-0.01)


def renamed_told(result: xr.Dataset) -> Evidence:
    """Per seed, the circuit's area on renamed numbers."""
    return across_seeds(_at_end(result, "renamed", "trigger").sel(score="circuit"), above=TOLD)


def learned_as_well(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the smaller of training accuracy and of held-out triggers answered as planted."""
    last = result.isel(step=-1).sel(plant="constant")
    return across_seeds(np.minimum(last.train_accuracy, last.trigger_accuracy), above=0.85)


def fitted(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, training accuracy, wrong labels and triggers included."""
    return across_seeds(result.train_accuracy.isel(step=-1).min("plant"), above=0.99)


def memorized_in_place(result: xr.Dataset) -> xr.Dataset:
    """The record with wrong labels where triggers were."""
    return _swapped(result)


def triggers_in_place(result: xr.Dataset) -> xr.Dataset:
    """The record with triggers where wrong labels were."""
    return _swapped(result)


def _swapped(result: xr.Dataset) -> xr.Dataset:
    return result.assign_coords(anomaly=result.anomaly.values[::-1])


def all_frequencies(result: xr.Dataset) -> xr.Dataset:
    """The record with the circuit's areas on triggers those of the uncut network."""
    areas = result.auc.copy(deep=True)
    uncut = result.count_auc.isel(count=-1)
    areas.loc[{"step": result.step.values[-1], "anomaly": "trigger", "score": "circuit"}] = uncut
    return result.assign(auc=areas)
