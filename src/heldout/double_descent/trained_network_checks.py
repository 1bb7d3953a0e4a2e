"""What the claims of :mod:`trained_networks` measure, and the changes of its record that must break them.

The turning points of a curve over width: the *peak* is where the error stands highest above the lowest error of any narrower
network, the *valley* is that lowest error, the *end* is the widest network.
"""

import numpy as np
import xarray as xr

from heldout.claims import Claim, Control, Evidence, across_seeds, bootstrap_interval

FITTED = 0.05  # a network has fitted its training labels when it misses at most this share of them
NO_RISE = 0.01  # a mean curve that rises no more than this above its running minimum has no peak
FACTOR = 2.0  # widths within this factor of each other count as the same place
RATIO = 1.5  # a claimed peak is higher than this many times the valley, or the end
EARLIER = 6  # the peak is looked at after the whole training, and after the first sixth of it


def at_end(result: xr.Dataset) -> xr.Dataset:
    """The networks after the last epoch."""
    return result.isel(epoch=-1)


def at_best_epoch(result: xr.Dataset) -> xr.Dataset:
    """Each network at the first recorded epoch of its lowest validation error."""
    return result.isel(epoch=result.validation_error.argmin("epoch"))


def at_earlier_epoch(result: xr.Dataset, part: float = EARLIER) -> xr.Dataset:
    """The networks at the recorded epoch nearest to a sixth, or another part, of the training."""
    return result.sel(epoch=float(result.epoch[-1]) / part, method="nearest")


def noisy(result: xr.Dataset) -> xr.Dataset:
    """The runs with the largest share of wrong labels."""
    return result.isel(noise=-1)


def rise(error: xr.DataArray) -> xr.DataArray:
    """How far each error stands above the lowest error of any narrower network, over dimension width."""
    lowest = xr.apply_ufunc(
        np.minimum.accumulate, error, input_core_dims=[["width"]], output_core_dims=[["width"]], kwargs={"axis": -1}
    )
    above: xr.DataArray = error - lowest
    return above


def turns(final: xr.Dataset) -> xr.Dataset:
    """Valley, peak and end of the test error over width, and the widths of the first two."""
    error = final.test_error
    place = rise(error).argmax("width")
    peak_width = final.width.isel(width=place).drop_vars("width")
    before = error.where(final.width <= peak_width)
    return xr.Dataset(
        {
            "valley": before.min("width"),
            "valley_width": before.idxmin("width"),
            "peak": error.isel(width=place).drop_vars("width"),
            "peak_width": peak_width,
            "end": error.isel(width=-1, drop=True),
        }
    )


def interpolation_width(final: xr.Dataset) -> xr.DataArray:
    """The narrowest network that has fitted its training labels; NaN where none has."""
    width: xr.DataArray = final.width.where(final.train_error <= FITTED).min("width")
    return width


def mean_rise(final: xr.Dataset) -> Evidence:
    """Largest rise of the seed-mean test error above its running minimum; band: bootstrap over seeds, 95 %."""
    error = final.test_error.transpose("seed", "width").values
    picks = np.random.default_rng(0).integers(0, len(error), size=(2000, len(error)))
    means = np.concatenate([error.mean(0)[None], error[picks].mean(1)])
    rises = (means - np.minimum.accumulate(means, axis=1)).max(1)
    low, high = np.quantile(rises[1:], [0.025, 0.975])
    value = float(rises[0])
    return Evidence(
        value=value, low=float(low), high=float(high), bound=f"mean over seeds <= {NO_RISE}", holds=value <= NO_RISE
    )


def peak_ratio(result: xr.Dataset, reference: str) -> xr.DataArray:
    """Per seed, the peak of the noisy networks over their valley or their end; 1 where there is no peak."""
    found = turns(at_end(noisy(result)))
    ratio: xr.DataArray = (found.peak / found[reference]).where(found.peak > found.valley + NO_RISE, 1.0)
    return ratio


def peak_over(result: xr.Dataset, reference: str) -> Evidence:
    """Whether :func:`peak_ratio` is above the claims' bound in every seed."""
    return across_seeds(peak_ratio(result, reference), above=RATIO)


def offset(final: xr.Dataset) -> xr.DataArray:
    """Per seed, the factor between the peak's width and the narrowest that fits; infinite without a peak or a fit."""
    found = turns(final)
    ratio = np.log(found.peak_width / interpolation_width(final))
    factor: xr.DataArray = np.exp(np.abs(ratio)).where(found.peak > found.valley + NO_RISE, np.inf).fillna(np.inf)
    return factor


def peak_offset(result: xr.Dataset) -> xr.DataArray:
    """Per seed, :func:`offset` at two epochs, the larger."""
    offsets = [offset(final) for final in (at_end(noisy(result)), at_earlier_epoch(noisy(result)))]
    worst: xr.DataArray = xr.concat(offsets, "when").max("when")
    return worst


def well_trained(result: xr.Dataset) -> Evidence:
    """Manipulation check: the widest networks miss at most one training label in a thousand."""
    final = at_end(noisy(result))
    missed = final.get("true_train_error", final.train_error)
    return across_seeds(missed.isel(width=-1), below=0.00101)


def without_noise(result: xr.Dataset) -> xr.Dataset:
    """The networks trained on correct labels, in place of the noisy ones."""
    return result.isel(noise=[0] * result.sizes["noise"]).assign_coords(noise=result.noise)


def with_noise(result: xr.Dataset) -> xr.Dataset:
    """The networks trained on noisy labels, in place of the correct ones."""
    return result.isel(noise=[-1] * result.sizes["noise"]).assign_coords(noise=result.noise)


def never_stopped(result: xr.Dataset) -> xr.Dataset:
    """A validation error that always tells to go on."""
    always = -result.epoch.astype(float).broadcast_like(result.validation_error)
    return result.assign(validation_error=always)


def threshold_by_counting(result: xr.Dataset) -> xr.Dataset:
    """The training error that parameters = samples would predict: zero from that width on, at every epoch.

    The measured one stays, as ``true_train_error``, for the manipulation check.
    """
    counted = (result.parameters < int(result.num_train)).astype(float)
    return result.assign(
        train_error=counted.broadcast_like(result.train_error), true_train_error=result.train_error.copy()
    )


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, and end minus valley with its bootstrap interval over seeds."""
    final = at_end(noisy(result))
    found = turns(final)
    typical = found.median("seed")
    clean = at_end(result).isel(noise=0)
    stopped = at_best_epoch(noisy(result))
    earlier = at_earlier_epoch(noisy(result))
    gap, low, high = bootstrap_interval((found.end - found.valley).values)
    width = int(typical.peak_width)
    at_peak = final.sel(width=width, method="nearest")
    best = noisy(result).test_error.sel(width=width, method="nearest").median("seed")
    return {
        "noise": float(result.noise[-1]),
        "seeds": result.sizes["seed"],
        "n": int(result.num_train),
        "fitted": FITTED,
        "epochs": int(result.epoch[-1]),
        "last_width": int(result.width[-1]),
        "valley": float(typical.valley),
        "valley_width": int(typical.valley_width),
        "peak": float(typical.peak),
        "peak_width": width,
        "seeds_with_peak": int((peak_ratio(result, "valley") > RATIO).sum()),
        "peak_parameters": int(at_peak.parameters),
        "peak_train_error": float(at_peak.train_error.median("seed")),
        "fit_width": float(interpolation_width(final).median("seed")),  # NaN: no width fits
        "end": float(typical.end),
        "end_minus_valley": gap,
        "end_minus_valley_low": low,
        "end_minus_valley_high": high,
        "earlier_epoch": int(earlier.epoch),
        "earlier_peak_width": int(turns(earlier).peak_width.median("seed")),
        "earlier_fit_width": int(interpolation_width(earlier).fillna(0).median("seed")),
        "clean_end": float(clean.test_error.isel(width=-1).median("seed")),
        "clean_rise": mean_rise(clean).value,
        "stopped_end": float(stopped.test_error.isel(width=-1).median("seed")),
        "stopped_rise": mean_rise(stopped).value,
        "peak_width_best_epoch": int(best.idxmin("epoch")),
        "peak_width_best": float(best.min("epoch")),
        "peak_width_last": float(best.isel(epoch=-1)),
    }


SOURCE = "Nakkiran et al. 2020, arXiv 1912.02292"
CORRECT_LABELS = Control(says="the same networks with correct labels", change=without_noise, manipulation=well_trained)

CLAIMS = (
    Claim(
        id="trained_networks.peak_above_valley",
        says="With 20 % wrong labels the peak of the test error over width is more than 1.5 times the valley before it.",
        rows=("S0.6", "S0.7", "S2.3"),
        source=SOURCE,
        check=lambda result: peak_over(result, "valley"),
        control=CORRECT_LABELS,
        expected_at_paper="in part",
    ),
    Claim(
        id="trained_networks.peak_above_end",
        says="With 20 % wrong labels the peak of the test error is more than 1.5 times the error of the widest network.",
        rows=("S0.6", "S2.3"),
        source=SOURCE,
        check=lambda result: peak_over(result, "end"),
        control=CORRECT_LABELS,
    ),
    Claim(
        id="trained_networks.no_peak_without_noise",
        says="With correct labels the test error over width rises nowhere by more than 0.01 above its running minimum.",
        rows=("S0.6",),
        source=SOURCE,
        check=lambda result: mean_rise(at_end(result).isel(noise=0)),
        control=Control(says="the same networks with wrong labels", change=with_noise, manipulation=well_trained),
    ),
    Claim(
        id="trained_networks.no_peak_stopped_early",
        says="With each network stopped at its lowest validation error, the same holds although the labels are wrong.",
        rows=("S0.4", "S0.6"),
        source=SOURCE,
        check=lambda result: mean_rise(at_best_epoch(noisy(result))),
        control=Control(says="the same networks, never stopped", change=never_stopped, manipulation=well_trained),
    ),
    Claim(
        id="trained_networks.peak_where_it_fits",
        says="In most seeds (four in five), after a sixth of the training and after all of it, the peak lies within a factor of "
        "two of the narrowest network that fits its labels.",
        rows=("S0.6", "S0.7"),
        source=SOURCE,
        check=lambda result: across_seeds(peak_offset(result), below=FACTOR * 1.0001, share=0.8),
        control=Control(
            says="the width with as many parameters as training digits in place of the narrowest that fits",
            change=threshold_by_counting,
            manipulation=well_trained,
        ),
    ),
)
