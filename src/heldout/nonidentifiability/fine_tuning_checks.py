"""What the claims on fine-tuning measure on a record.

Thresholds and shares were fixed on seeds 0 to 4 before any seed from 110 up was run.
"""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.nonidentifiability.fine_tuning_measures import SEARCHED
from heldout.nonidentifiability.fine_tuning_runs import BALANCED, ORIGINAL

SAME, UNDONE = 1e-10, 1e-8  # largest difference of outputs of one function, in double precision
GAP, CLOSE, LEARNED = 0.3, 0.1, 0.3  # nats, nats, share of test digits missed
WIDEST, FIRST_ALONE = SEARCHED[1:]
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


def layer_twins(result: xr.Dataset) -> list[str]:
    """The twins with a factor on a whole layer."""
    return [str(name) for name in result.twin.values if str(name).startswith("layer")]


def two_rates_loss(result: xr.Dataset, searched: str, twin: str) -> xr.DataArray:
    """Test loss at the end of SGD with the rates that validation chose among single ones and pairs (seed)."""
    own = result.sel(optimizer="sgd", twin=twin).isel(step=-1)
    pairs = result.sel(searched=searched).stack(cell=("scaled_rate", "rest_rate"))
    validation, test = (
        np.concatenate([one.transpose("rate", "seed").values, two.transpose("cell", "seed").values])
        for one, two in ((own.validation_loss, pairs.two_validation), (own.test_loss, pairs.two_test))
    )
    cell = np.where(np.isnan(validation), np.inf, validation).argmin(0)
    return xr.DataArray(test[cell, np.arange(test.shape[1])], {"seed": result.seed}, ("seed",))


def two_rates_gap(result: xr.Dataset) -> xr.DataArray:
    """As :func:`gap` under SGD for the widest unit scales, with pairs of rates for it and for the original (seed)."""
    return two_rates_loss(result, WIDEST, widest(result)) - two_rates_loss(result, ORIGINAL, ORIGINAL)


def frozen_loss(result: xr.Dataset) -> xr.DataArray:
    """Test loss with both rescaled layers fixed, the rate of all else chosen by validation: one number for all twins (seed)."""
    fixed = result.sel(searched=ORIGINAL, scaled_rate=0.0)
    place = fixed.two_validation.fillna(np.inf).argmin("rest_rate")
    loss: xr.DataArray = fixed.two_test.isel(rest_rate=place)
    return loss.drop_vars(("searched", "scaled_rate", "rest_rate"))


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
    """Per seed, the larger gap of the layer factors after retuning; NaN where one left none of :data:`GAP` before."""
    twins = layer_twins(result)
    after = np.max([gap(result, twin).values for twin in twins], axis=0)
    before = np.min([untuned_gap(result, twin).values for twin in twins], axis=0)
    return across_seeds(np.where(before > GAP, after, np.nan), below=GAP, share=0.8)


def two_rates_suffice(result: xr.Dataset) -> Evidence:
    """Per seed, the gap of the widest unit scales under SGD, with pairs of rates for it and for the original."""
    return across_seeds(two_rates_gap(result), below=CLOSE, share=0.8)


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


def trained_too(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the larger error that a twin with a layer factor has after layer rates."""
    rows = [str(name) for name in result.factored.values if str(name).startswith("layer")]
    return across_seeds(result.undone_error.sel(factored=rows).max("factored"), below=0.5, share=0.8)


def learns_by_adam(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the error in Adam's place of the twin in the largest layer factor's place."""
    errors = tuned(result, "test_error").sel(optimizer="adam", twin=largest_layer(result))
    return across_seeds(errors, below=LEARNED, share=0.8)


def widest_learns_by_adam(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, the error under Adam of the widest unit scales, NaN if they are another function."""
    twin = widest(result)
    errors = tuned(result, "test_error").sel(optimizer="adam", twin=twin)
    return across_seeds(errors.where(result.difference.sel(twin=twin) < SAME), below=LEARNED, share=0.8)


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


def units_for_layer(result: xr.Dataset) -> xr.Dataset:
    """The widest unit scales in the place of the largest layer factor."""
    return _in_the_place(result, largest_layer(result), widest(result))


def narrow_for_layer(result: xr.Dataset) -> xr.Dataset:
    """The narrowest unit scales in the place of the largest layer factor."""
    source = next(str(name) for name in result.twin.values if str(name).startswith("units"))
    return _in_the_place(result, largest_layer(result), source)


def first_layer_alone(result: xr.Dataset) -> xr.Dataset:
    """Pairs of rates, one of them for the first layer alone, in the place of pairs for both rescaled layers."""
    changed = result.copy(deep=True)
    for name in ("two_validation", "two_test"):
        changed[name].loc[{"searched": WIDEST}] = result[name].sel(searched=FIRST_ALONE)
    return changed


def half_undone(result: xr.Dataset) -> xr.Dataset:
    """Layer rates that differ by the factor in the place of those that differ by its square."""
    return result.assign(undone_difference=result.half_difference, undone_error=result.half_error)


def factor_in_the_weights(result: xr.Dataset) -> xr.Dataset:
    """The change of the gradient with the factor in the weights in the place of that with the factor in the activation."""
    return result.assign(published_gradient=result.moved_gradient)
