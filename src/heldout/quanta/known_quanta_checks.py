"""What the claims about known quanta measure on a record."""

import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.quanta.sample_gradients import WITHOUT_ROWS


def at(result: xr.Dataset, measure: str, similarity: str, sharing: float, stage: str = "after") -> xr.DataArray:
    """One measure per seed."""
    found: xr.DataArray = result[measure].sel(similarity=similarity, stage=stage, sharing=sharing)
    return found


def least_accuracy(result: xr.Dataset, sharing: float) -> xr.DataArray:
    """Per seed, the accuracy on the task that is known worst, after training."""
    least: xr.DataArray = result.accuracy.sel(stage="after", sharing=sharing).min("task")
    return least


def best(result: xr.Dataset, sharing: float) -> xr.DataArray:
    """Per seed, the highest adjusted Rand index of the similarities that leave the embedding rows out, after training."""
    found: xr.DataArray = result.ari.sel(stage="after", sharing=sharing, similarity=list(WITHOUT_ROWS)).max(
        "similarity"
    )
    return found


def expected_overlap(sharing: xr.DataArray, num_tasks: int) -> xr.DataArray:
    """Of the units open to one task, the expected share that is open to another: counts expected, in ratio."""
    both = 2 / num_tasks * sharing + (1 - 2 / num_tasks) * sharing**2
    one: xr.DataArray = (1 + (num_tasks - 1) * sharing) / num_tasks
    return both / one


def measured_overlap(result: xr.Dataset, stage: str = "after") -> xr.DataArray:
    """Absolute gradients: mean cosine between tasks over that within, divided by its value where all is shared."""
    mine = result.sel(similarity="absolute", stage=stage)
    ratio = mine.between / mine.within
    whole: xr.DataArray = ratio / ratio.sel(sharing=1.0)
    return whole


def learned(result: xr.Dataset, values: xr.DataArray, sharing: float) -> xr.DataArray:
    """NaN in the place of a seed that has not learned every task: it counts against a claim, and is in no range."""
    kept: xr.DataArray = values.where(least_accuracy(result, sharing) > 0.95)
    return kept


def passes_disjoint(result: xr.Dataset) -> Evidence:
    """Per seed, the index of absolute gradients in private subnetworks that have learned."""
    return across_seeds(learned(result, at(result, "ari", "absolute", 0.0), 0.0), above=0.6, share=0.9)


def published_fails(result: xr.Dataset) -> Evidence:
    """Per seed, the index of the published similarity in private subnetworks that have learned."""
    return across_seeds(learned(result, at(result, "ari", "published", 0.0), 0.0), below=0.3)


def signs_cancel(result: xr.Dataset) -> Evidence:
    """Per seed, the mean published cosine of two samples of one private subnetwork."""
    return across_seeds(at(result, "within", "published", 0.0), below=0.05)


def none_in_shared(result: xr.Dataset) -> Evidence:
    """Per seed, :func:`best` of the usual network, where it has learned every task."""
    return across_seeds(learned(result, best(result, 1.0), 1.0), below=0.1)


def untrained_passes(result: xr.Dataset) -> Evidence:
    """Per seed, the index of absolute gradients in private subnetworks before training."""
    return across_seeds(at(result, "ari", "absolute", 0.0, "before"), above=0.6, share=0.9)


def rows_give_away(result: xr.Dataset) -> Evidence:
    """Per seed, the index of the embedding rows' gradients in the usual network before training."""
    return across_seeds(at(result, "ari", "rows", 1.0, "before"), above=0.95)


# Manipulation checks, and the changes of the record that they go with.


def all_learned(result: xr.Dataset) -> Evidence:
    """Accuracy over all tasks is high at every degree of sharing."""
    return across_seeds(result.accuracy.sel(stage="after").mean("task").min("sharing"), above=0.95)


def nothing_learned(result: xr.Dataset) -> Evidence:
    """Before training, accuracy over all tasks is near one half at every degree of sharing."""
    away: xr.DataArray = abs(result.accuracy.sel(stage="before").mean("task") - 0.5)
    return across_seeds(away.max("sharing"), below=0.1)


def not_orthogonal(result: xr.Dataset) -> Evidence:
    """The cosines of one task have a size, whatever their sign."""
    return across_seeds(at(result, "within", "unsigned", 0.0), above=0.1)


def as_alike_within(result: xr.Dataset) -> Evidence:
    """In what stands in the place of the embedding rows, samples of one task are alike too, before training."""
    return across_seeds(at(result, "within", "rows", 1.0, "before"), above=0.3)


def swapped_ends(result: xr.Dataset) -> xr.Dataset:
    """The usual network in the place of private subnetworks, and the other way round."""
    ends = result.sel(sharing=[1.0, 0.0])
    return ends.assign_coords(sharing=[0.0, 1.0])


def standing_in(result: xr.Dataset, place: str, other: str) -> xr.Dataset:
    """The results of one similarity in the place of another's."""
    names = [other if name == place else str(name) for name in result.similarity.values]
    return result.sel(similarity=names).assign_coords(similarity=result.similarity)
