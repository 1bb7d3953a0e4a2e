"""What the claims on clock and pizza measure on a record."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

ENOUGH = 0.97  # of the held-out pairs: from here on a network counts as one that adds


def adds(result: xr.Dataset) -> xr.DataArray:
    """Which networks (rate, seed) could be brought to the one training loss and answer the held-out pairs."""
    there: xr.DataArray = result.test_loss.notnull() & (result.test_accuracy >= ENOUGH)
    return there


def gap(result: xr.Dataset) -> xr.DataArray:
    """Per seed, symmetricity with even attention minus that with trained attention; NaN unless both networks add."""
    both = adds(result).isel(rate=[0, -1]).all("rate")
    found: xr.DataArray = (result.symmetricity.isel(rate=0) - result.symmetricity.isel(rate=-1)).where(both)
    return found


def widest_gap(result: xr.Dataset) -> tuple[float, float]:
    """The two ends of the widest stretch of symmetricity, between networks that add, in which there is none."""
    values = np.sort(result.symmetricity.values[adds(result).values])
    if len(values) < 2:
        return float("nan"), float("nan")
    place = int(np.diff(values).argmax())
    return float(values[place]), float(values[place + 1])


def ruler(result: xr.Dataset, symmetricity: xr.DataArray) -> xr.DataArray:
    """The irrelevance of the written-down network with this symmetricity, interpolated between medians over seeds."""
    known = result.ruler_symmetricity.median("seed").values[::-1], result.ruler_irrelevance.median("seed").values[::-1]
    found: xr.DataArray = xr.apply_ufunc(lambda values: np.interp(values, *known), symmetricity)
    return found


def off_constant(result: xr.Dataset) -> float:
    """The median distance of a network's irrelevance from their median, the constant that comes nearest to all of them."""
    known = result.irrelevance.where(adds(result))
    return float(abs(known - known.median()).median())


def off_ruler(result: xr.Dataset) -> xr.DataArray:
    """How far a network's irrelevance is from the ruler's at the same symmetricity (rate, seed); NaN where it does not add."""
    found: xr.DataArray = abs(result.irrelevance - ruler(result, result.symmetricity)).where(adds(result))
    return found


def two_ways(result: xr.Dataset) -> Evidence:
    """Per seed, the difference of symmetricity between even and trained attention at one training loss."""
    return across_seeds(gap(result), above=0.3, share=0.8)


def by_degrees(result: xr.Dataset) -> Evidence:
    """Per seed, the smaller of the two falls of symmetricity, from even to half even and on to trained; NaN unless all add."""
    places = [0, result.sizes["rate"] // 2, -1]
    least = -result.symmetricity.isel(rate=places).diff("rate").max("rate")
    return across_seeds(least.where(adds(result).isel(rate=places).all("rate")), above=0.02, share=0.8)


def waves_are_added(result: xr.Dataset) -> Evidence:
    """Per seed, the added share of what the hidden units are given, with trained attention; NaN where it does not add."""
    return across_seeds(result.added_in.where(adds(result)).isel(rate=-1), above=0.9, share=0.8)


def layer_multiplies(result: xr.Dataset) -> Evidence:
    """Per seed with trained attention, the share of pairs right without its joint part; NaN where the network does not add."""
    return across_seeds(result.without_attention.where(adds(result)).isel(rate=-1), above=0.8, share=0.8)


def attention_multiplies_too(result: xr.Dataset) -> Evidence:
    """Per seed with trained attention, the share right without the layer's joint part; NaN where the network does not add."""
    return across_seeds(result.without_layer.where(adds(result)).isel(rate=-1), above=0.2, share=0.8)


def on_the_rulers(result: xr.Dataset) -> Evidence:
    """Over all networks, how far irrelevance is from the ruler's."""
    return across_seeds(off_ruler(result), below=0.1, share=0.8)


def fitted(result: xr.Dataset) -> Evidence:
    """A manipulation check: per network, held-out accuracy."""
    return across_seeds(result.test_accuracy, above=ENOUGH, share=0.8)


def loudness_felt(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed whose networks add, how much more symmetric louder attention is before training."""
    felt = (result.start_symmetricity.isel(rate=-1) - result.start_symmetricity.isel(rate=0)).where(
        gap(result).notnull()
    )
    return across_seeds(felt, above=0.1, share=0.8)


def loud_for_trained(result: xr.Dataset) -> xr.Dataset:
    """Even attention twice as loud in the place of trained attention."""
    names = ("symmetricity", "start_symmetricity", "test_accuracy", "test_loss")
    ends = result[list(names)].isel(rate=[0, -1])
    return ends.assign({name: ends[name].where(ends.rate <= 0, result[f"loud_{name}"]) for name in names})


def before_training(result: xr.Dataset) -> xr.Dataset:
    """The symmetricity of the untrained networks in the place of the trained ones'."""
    return result.assign(symmetricity=result.start_symmetricity)


def outputs_for_inputs(result: xr.Dataset) -> xr.Dataset:
    """What the hidden units give in the place of what they are given."""
    return result.assign(added_in=result.added_out)


def other_cut(result: xr.Dataset) -> xr.Dataset:
    """Attention left alone, and the layer's joint part taken out."""
    return result.assign(without_attention=result.without_layer)


def both_cuts(result: xr.Dataset) -> xr.Dataset:
    """Attention's joint part taken out as well as the layer's."""
    return result.assign(without_layer=result.without_both)


def exchanged(result: xr.Dataset) -> xr.Dataset:
    """Even and trained attention exchange their irrelevance."""
    ends = result.isel(rate=[0, -1])
    return ends.assign(irrelevance=ends.irrelevance.copy(data=ends.irrelevance.values[::-1]))
