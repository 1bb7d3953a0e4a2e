"""What the claims of :mod:`convolutional` measure: where the peak over width lies, and what equal training error leaves open.

Peak, valley and the narrowest network that fits are those of :mod:`trained_network_checks`.
"""

import xarray as xr

from heldout.claims import Claim, Control, Evidence, across_seeds, bootstrap_interval
from heldout.data.digit_task import CLASSES
from heldout.double_descent.trained_network_checks import (
    CORRECT_LABELS,
    FACTOR,
    FITTED,
    NO_RISE,
    SOURCE,
    at_best_epoch,
    at_earlier_epoch,
    at_end,
    interpolation_width,
    mean_rise,
    never_stopped,
    noisy,
    offset,
    turns,
    well_trained,
    with_noise,
    without_noise,
)

THIRD = 3.0  # the peak is looked at after the whole training, and after the first third of it
GAP = 0.05  # two networks that fit the same labels differ when their test errors are this far apart
EXACT = 0.01  # a stricter fit, of which the page tells the gap too
MOST = 0.8  # share of the seeds in which a claim about each seed must hold


def fit_gap(result: xr.Dataset) -> xr.DataArray:
    """Per seed, test error of the narrowest network that fits its noisy labels, minus that of the widest; NaN: none fits."""
    final = at_end(noisy(result))
    just = final.test_error.where(final.width == interpolation_width(final)).max("width")
    gap: xr.DataArray = just - final.test_error.isel(width=-1, drop=True)
    return gap


def correct_at_the_same_widths(result: xr.Dataset) -> xr.Dataset:
    """The test errors of the networks with correct labels, at the widths that noisy labels point out."""
    clean = result.isel(noise=[0] * result.sizes["noise"]).assign_coords(noise=result.noise)
    return result.assign(test_error=clean.test_error, true_train_error=clean.train_error)


def both_fit(result: xr.Dataset) -> Evidence:
    """Manipulation check: at both widths the networks with correct labels fit theirs too."""
    final = at_end(noisy(result))
    inside = final.width >= interpolation_width(final)
    missed = final.true_train_error.where(inside).max("width").fillna(1.0)
    return across_seeds(missed, below=FITTED + 1e-6)


def reach(error: xr.DataArray, clean: xr.DataArray, share: float) -> xr.DataArray:
    """How many test answers a wrong label moves for each training label moved; 0: it stays by itself.

    With probability reach x share an answer is exchanged for another class, drawn uniformly; ``clean`` is the error without.
    """
    moved_answers: xr.DataArray = (error - clean) / (share * (1 - clean * CLASSES / (CLASSES - 1)))
    return moved_answers


def moved(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the factor from the peak's width at the end to its width after a third of the training; NaN without a peak."""
    places = []
    for final in (at_end(noisy(result)), at_earlier_epoch(noisy(result), THIRD)):
        found = turns(final)
        places.append(found.peak_width.where(found.peak > found.valley + NO_RISE))
    factor: xr.DataArray = places[1] / places[0]
    return factor


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, rises of the mean over seeds, intervals by bootstrap over seeds."""
    final, clean = at_end(noisy(result)), at_end(result).isel(noise=0)
    found = turns(final)
    typical = found.median("seed")
    risen, stopped = mean_rise(final), at_best_epoch(noisy(result))
    clean_risen, stopped_risen = mean_rise(clean), mean_rise(stopped)
    end_gap, end_low, end_high = bootstrap_interval((found.end - found.valley).values)
    fits = interpolation_width(final)
    same_place = ((final.width <= FACTOR * fits) & (fits <= FACTOR * final.width)).sum("width")
    return {
        "noise": float(result.noise[-1]),
        "seeds": result.sizes["seed"],
        "n": int(result.num_train),
        "fitted": FITTED,
        "no_rise": NO_RISE,
        "epochs": round(float(result.epoch[-1])),
        "first_width": int(result.width[0]),
        "last_width": int(result.width[-1]),
        "num_widths": result.sizes["width"],
        "last_parameters": int(result.parameters[-1]),
        "valley": float(typical.valley),
        "valley_width": int(typical.valley_width),
        "peak": float(typical.peak),
        "peak_width": int(typical.peak_width),
        "peak_parameters": int(final.parameters.sel(width=float(typical.peak_width), method="nearest")),
        "rise": risen.value,
        "rise_low": risen.low,
        "rise_high": risen.high,
        "end": float(typical.end),
        "end_minus_valley": end_gap,
        "end_minus_valley_low": end_low,
        "end_minus_valley_high": end_high,
        "fit_width": float(fits.median("seed")),  # NaN: no width fits
        "seeds_in_place": int((offset(final) <= FACTOR).sum()),
        "same_place_least": int(same_place.min()),
        "same_place_most": int(same_place.max()),
        "clean_end": float(clean.test_error.isel(width=-1).median("seed")),
        "clean_rise": clean_risen.value,
        "clean_rise_high": clean_risen.high,
        "stopped_end": float(stopped.test_error.isel(width=-1).median("seed")),
        "stopped_rise": stopped_risen.value,
        "stopped_rise_high": stopped_risen.high,
        "stopped_train": float(stopped.train_error.isel(width=-1).median("seed")),
        **_later(result, int(typical.peak_width)),
        **_gaps(result),
        **_reaches(result),
    }


def _later(result: xr.Dataset, peak_width: int) -> dict[str, float | int]:
    """From a third of the training to its end: how the networks at the peak change, and the widest."""
    final, third = at_end(noisy(result)), at_earlier_epoch(noisy(result), THIRD)
    change = final.test_error - third.test_error
    narrow, wide = change.sel(width=peak_width, method="nearest", drop=True), change.isel(width=-1, drop=True)
    third_peaks, factors = turns(third).peak_width, moved(result)
    along = noisy(result)
    best = along.isel(epoch=along.test_error.argmin("epoch")).train_error.where(along.width >= peak_width)
    return {
        "third": round(float(third.epoch)),
        "third_fit_width": float(interpolation_width(third).median("seed")),
        "third_train_at_peak": float(third.train_error.sel(width=peak_width, method="nearest").median("seed")),
        "third_at_peak": float(third.test_error.sel(width=peak_width, method="nearest").median("seed")),
        "end_at_peak": float(final.test_error.sel(width=peak_width, method="nearest").median("seed")),
        "third_end": float(third.test_error.isel(width=-1).median("seed")),
        "seeds_moved": int((factors > 1).sum()),
        "moved_least": float(factors.min()),
        "moved_most": float(factors.max()),
        "seeds_at_edge": int((third_peaks == result.width[-1]).sum()),
        **_spread("best_train", best),
        **_spread("worse_at_peak", narrow),
        **_spread("worse_widest", wide),
        "seeds_widest_better": int((wide < 0).sum()),
        "seeds_narrow_more": int((narrow > wide).sum()),
    }


def _gaps(result: xr.Dataset) -> dict[str, float | int]:
    """Test error of a network that just fits, minus that of the widest; and the losses at which the two stand."""
    final = at_end(noisy(result))
    gaps, just = fit_gap(result), final.width == interpolation_width(final)
    every = final.width.where(final.train_error.max("seed") <= EXACT)
    full = final.test_error.where(final.width == every.min()).max("width") - final.test_error.isel(width=-1, drop=True)
    return {
        "seeds_with_gap": int((gaps > GAP).sum()),
        **_spread("gap", gaps),
        **_spread("clean_gap", fit_gap(correct_at_the_same_widths(result))),
        **_spread("own_gap", fit_gap(without_noise(result))),
        "exact": EXACT,
        "exact_width": float(every.min()),
        **_spread("exact_gap", full),
        "just_loss": float(final.train_loss.where(just).max("width").median("seed")),
        "widest_loss": float(final.train_loss.isel(width=-1).median("seed")),
    }


def _reaches(result: xr.Dataset) -> dict[str, float | int]:
    """The reach of a wrong label in networks that just fit, in the widest, and in the widest stopped early."""
    final, clean = at_end(noisy(result)), at_end(result).isel(noise=0).test_error
    share, just = float(result.noise[-1]), final.width == interpolation_width(final)
    reaches = reach(final.test_error, clean, share)
    stopped = reach(at_best_epoch(noisy(result)).test_error, clean, share)
    return {
        **_spread("reach_fit", reaches.where(just).max("width")),
        **_spread("reach_end", reaches.isel(width=-1)),
        **_spread("reach_stopped", stopped.isel(width=-1)),
    }


def _spread(name: str, values: xr.DataArray) -> dict[str, float]:
    """Median, smallest and largest seed."""
    return {name: float(values.median()), f"{name}_low": float(values.min()), f"{name}_high": float(values.max())}


CLAIMS = (
    Claim(
        id="convolutional.peak_where_it_fits",
        says="With 20 % wrong labels, in four of five seeds the test error has a peak over the number of channels, within a "
        "factor of two of the narrowest network that fits its labels.",
        rows=("S0.6",),
        source=SOURCE,
        check=lambda result: across_seeds(offset(at_end(noisy(result))), below=FACTOR * 1.0001, share=MOST),
        control=CORRECT_LABELS,
    ),
    Claim(
        id="convolutional.peak_moves",
        says="In four of five seeds the error stands highest above the best narrower network at more channels after a third of "
        "the training than at its end.",
        rows=("S0.6",),
        source=SOURCE,
        check=lambda result: across_seeds(moved(result), above=1.0, share=MOST),
        control=CORRECT_LABELS,
    ),
    Claim(
        id="convolutional.equal_training_error",
        says="In four of five seeds, of two networks that both miss at most 5 % of the noisy labels, the narrowest such and the "
        "widest, the narrow one misclassifies more of the test set, by over 0.05.",
        rows=("S0.6",),
        source="this book",
        check=lambda result: across_seeds(fit_gap(result), above=GAP, share=MOST),
        control=Control(
            says="networks of the same widths with correct labels",
            change=correct_at_the_same_widths,
            manipulation=both_fit,
        ),
    ),
    Claim(
        id="convolutional.no_peak_without_noise",
        says="With correct labels the test error over channels rises nowhere by more than 0.01 above its running minimum.",
        rows=("S0.6",),
        source=SOURCE,
        check=lambda result: mean_rise(at_end(result).isel(noise=0)),
        control=Control(says="the same networks with wrong labels", change=with_noise, manipulation=well_trained),
    ),
    Claim(
        id="convolutional.no_peak_stopped_early",
        says="With each network stopped at its lowest validation error, the same holds although the labels are wrong.",
        rows=("S0.4", "S0.6"),
        source=SOURCE,
        check=lambda result: mean_rise(at_best_epoch(noisy(result))),
        control=Control(says="the same networks, never stopped", change=never_stopped, manipulation=well_trained),
    ),
)
