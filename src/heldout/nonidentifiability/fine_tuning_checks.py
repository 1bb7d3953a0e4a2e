"""What the claims on fine-tuning measure on a record.

Thresholds and shares were fixed on seeds 0 to 4.
"""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.nonidentifiability.fine_tuning_runs import BALANCED, ORIGINAL

SAME, UNDONE = 1e-10, 1e-8  # largest difference of outputs of one function, in double precision
GAP, CLOSE, LEARNED = 0.3, 0.1, 0.3  # nats, nats, share of test digits missed
MOST = 30.0  # nats: a figure draws no larger loss


def factor(twin: str) -> float:
    """The number in a twin's name."""
    return float(twin.split()[1])


def widest(result: xr.Dataset) -> str:
    """The twin with the widest unit scales."""
    return [str(name) for name in result.twin.values if str(name).startswith("units")][-1]


def largest_layer(result: xr.Dataset) -> str:
    """The twin with the largest factor on a whole layer."""
    return [str(name) for name in result.twin.values if str(name).startswith("layer")][-1]


def chosen_rate(result: xr.Dataset) -> xr.DataArray:
    """The place of the rate with the least validation loss after the last update (optimizer, twin, seed)."""
    place: xr.DataArray = result.validation_loss.isel(step=-1).fillna(np.inf).argmin("rate")
    return place


def tuned(result: xr.Dataset, name: str = "test_loss") -> xr.DataArray:
    """A measure after the last update at the rate that validation chose (optimizer, twin, seed)."""
    value: xr.DataArray = result[name].isel(step=-1).isel(rate=chosen_rate(result))
    return value


def gap(result: xr.Dataset, twin: str, optimizer: str = "sgd") -> xr.DataArray:
    """Test loss of a twin above the original's, each at its own chosen rate (seed)."""
    losses = tuned(result).sel(optimizer=optimizer)
    difference: xr.DataArray = losses.sel(twin=twin) - losses.sel(twin=ORIGINAL)
    return difference.drop_vars(("rate", "twin", "optimizer"), errors="ignore")


def untuned_gap(result: xr.Dataset, twin: str, optimizer: str = "sgd") -> xr.DataArray:
    """Test loss of a twin above the original's, both at the original's chosen rate (seed); infinite where it diverged."""
    place = chosen_rate(result).sel(optimizer=optimizer, twin=ORIGINAL, drop=True)
    losses = result.test_loss.sel(optimizer=optimizer).isel(step=-1).isel(rate=place)
    difference: xr.DataArray = losses.sel(twin=twin).fillna(np.inf) - losses.sel(twin=ORIGINAL)
    return difference.drop_vars(("rate", "twin", "optimizer"), errors="ignore")


def layered_gap(result: xr.Dataset) -> xr.DataArray:
    """As :func:`gap` under SGD for the widest unit scales, the ratio of the layers' rates chosen by validation too (seed)."""
    own = result.sel(optimizer="sgd", twin=widest(result)).isel(step=-1)
    validation, test = (
        np.concatenate([one.transpose("rate", "seed").values, *two.transpose("ratio", "rate", "seed").values])
        for one, two in ((own.validation_loss, own.layered_validation), (own.test_loss, own.layered_test))
    )
    cell = np.where(np.isnan(validation), np.inf, validation).argmin(0)
    original = tuned(result).sel(optimizer="sgd", twin=ORIGINAL, drop=True)
    difference: xr.DataArray = (test[cell, np.arange(test.shape[1])] - original).drop_vars("rate", errors="ignore")
    return difference


def inner(result: xr.Dataset, twin: str, optimizer: str = "sgd") -> xr.DataArray:
    """Whether the chosen rate is neither the least nor the largest of the grid (seed)."""
    place = chosen_rate(result).sel(twin=twin, optimizer=optimizer)
    return (place > 0) & (place < result.sizes["rate"] - 1)


def gap_remains(result: xr.Dataset) -> Evidence:
    """Per seed, the gap of the widest unit scales under SGD; NaN if outputs differ or its rate is at the grid's end."""
    twin = widest(result)
    fair = (result.difference.sel(twin=twin) < SAME) & inner(result, twin)
    return across_seeds(gap(result, twin).where(fair), above=GAP, share=0.8)


def layer_rates_undo(result: xr.Dataset) -> Evidence:
    """Per seed, the largest difference that layer rates leave, over all factors of a whole layer."""
    rows = [str(name) for name in result.factored.values if str(name).startswith("layer")]
    return across_seeds(result.undone_difference.sel(factored=rows).max("factored"), below=UNDONE)


def uniform_is_mostly_rate(result: xr.Dataset) -> Evidence:
    """Per seed, the gap of the largest layer factor after retuning; NaN where there was none of :data:`GAP` before."""
    twin = largest_layer(result)
    kept = gap(result, twin).where(untuned_gap(result, twin) > GAP)
    return across_seeds(kept, below=GAP, share=0.8)


def adam_needs_less(result: xr.Dataset) -> Evidence:
    """Per seed, the gap of the widest unit scales under SGD above that under Adam, both retuned."""
    twin = widest(result)
    return across_seeds(gap(result, twin) - gap(result, twin, "adam"), above=CLOSE, share=0.8)


def sharp_and_as_good(result: xr.Dataset) -> Evidence:
    """Per seed, the trace at the largest layer factor over the original's; NaN where Adam leaves a gap of :data:`CLOSE`."""
    twin = largest_layer(result)
    ratio = result.trace.sel(twin=twin, drop=True) / result.trace.sel(twin=ORIGINAL, drop=True)
    return across_seeds(ratio.where(np.abs(gap(result, twin, "adam")) < CLOSE), above=10, share=0.8)


def published_factor(result: xr.Dataset) -> Evidence:
    """Per seed, the relative change of the gradient with the factor inside the activation."""
    return across_seeds(result.published_gradient, below=SAME)


def learned_and_same(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the error of the twin in the widest's place; NaN if it is another function."""
    twin = widest(result)
    errors = tuned(result, "test_error").sel(optimizer="sgd", twin=twin)
    return across_seeds(errors.where(result.difference.sel(twin=twin) < SAME), below=LEARNED)


def same_in_the_layers_place(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the largest difference of outputs before fine-tuning in the layer factor's place."""
    return across_seeds(result.difference.sel(twin=largest_layer(result)), below=SAME)


def trained_too(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the error that the twin in the layer factors' place has after layer rates."""
    rows = [str(name) for name in result.factored.values if str(name).startswith("layer")]
    return across_seeds(result.undone_error.sel(factored=rows).max("factored"), below=0.5, share=0.8)


def learns_by_adam(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the error under Adam of the twin in the largest layer factor's place."""
    errors = tuned(result, "test_error").sel(optimizer="adam", twin=largest_layer(result))
    return across_seeds(errors, below=LEARNED, share=0.8)


def weights_moved_alone(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the largest difference of outputs with the factor in the weights."""
    return across_seeds(result.moved_difference, below=UNDONE)


def _in_the_place(result: xr.Dataset, place: str, source: str) -> xr.Dataset:
    """The record with everything of twin ``place`` taken from twin ``source``."""
    changed = result.copy(deep=True)
    for name in ("validation_loss", "test_loss", "test_error", "difference", "single_difference", "trace"):
        changed[name].loc[{"twin": place}] = result[name].sel(twin=source)
    return changed


def balanced_units(result: xr.Dataset) -> xr.Dataset:
    """The balanced twin in the place of the widest unit scales."""
    return _in_the_place(result, widest(result), BALANCED)


def balanced_layer(result: xr.Dataset) -> xr.Dataset:
    """The balanced twin in the place of the largest layer factor."""
    return _in_the_place(result, largest_layer(result), BALANCED)


def units_for_layer(result: xr.Dataset) -> xr.Dataset:
    """The widest unit scales in the place of the largest layer factor."""
    return _in_the_place(result, largest_layer(result), widest(result))


def units_undone(result: xr.Dataset) -> xr.Dataset:
    """What layer rates leave of the narrowest unit scales in the place of all layer factors."""
    changed = result.copy(deep=True)
    rows = [str(name) for name in result.factored.values]
    source = next(name for name in rows if name.startswith("units"))
    for name in ("undone_difference", "undone_error"):
        for row in (row for row in rows if row.startswith("layer")):
            changed[name].loc[{"factored": row}] = result[name].sel(factored=source)
    return changed


def factor_in_the_weights(result: xr.Dataset) -> xr.Dataset:
    """The change of the gradient with the factor in the weights in the place of that with the factor in the activation."""
    return result.assign(published_gradient=result.moved_gradient)
