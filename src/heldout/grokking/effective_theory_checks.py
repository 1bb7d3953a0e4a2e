"""What the claims about the effective theory measure on a record."""

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

from heldout.claims import Evidence
from heldout.devices import numpy_generator
from heldout.grokking.addition_toy import REACHED, STRUCTURED
from heldout.grokking.training import first_step

LARGE = 40  # training pairs from which the claims on large sets count
NEAR = 0.1 + 1e-9


def measured_step(result: xr.Dataset) -> xr.DataArray:
    """The first probed step with an RQI of at least STRUCTURED (num_train, seed); infinite where there is none."""
    steps: xr.DataArray = first_step(result.rqi, STRUCTURED).fillna(np.inf)
    return steps


def large(result: xr.Dataset) -> xr.Dataset:
    """The part of a record with LARGE training pairs or more."""
    return result.sel(num_train=result.num_train >= LARGE)


def near_ideal(result: xr.Dataset) -> xr.DataArray:
    """Whether the last accuracy on held-out pairs is within 0.1 of the ideal one."""
    near: xr.DataArray = abs(result.test_accuracy.isel(step=-1) - result.ideal_accuracy) <= NEAR
    return near


def ends_structured(result: xr.Dataset) -> xr.DataArray:
    """Whether the last RQI is at least STRUCTURED."""
    ends: xr.DataArray = result.rqi.isel(step=-1) >= STRUCTURED
    return ends


def _share(each: xr.DataArray, least: float) -> Evidence:
    """The share of runs in which something holds, with the lowest and the highest seed as its band."""
    by_seed, share = each.mean("num_train"), float(each.mean())
    return Evidence(
        value=share, low=float(by_seed.min()), high=float(by_seed.max()),
        bound=f"at least {least:g} of {each.size} runs ({int(each.sum())})", holds=share >= least, partly=share >= least / 2,
    )  # fmt: skip


def structured(result: xr.Dataset) -> Evidence:
    """The share of runs on large training sets that end structured."""
    return _share(ends_structured(large(result)), 0.6)


def ideal(result: xr.Dataset) -> Evidence:
    """The share of runs on large training sets that end near their ideal accuracy."""
    return _share(near_ideal(large(result)), 0.6)


def structure_answers(result: xr.Dataset) -> Evidence:
    """The share of structured runs that end near their ideal accuracy."""
    ends = ends_structured(result)
    count = int(ends.sum())
    share = float((near_ideal(result) & ends).sum()) / count if count else float("nan")
    return Evidence(value=share, bound=f"at least 0.9 of {count} runs", holds=share >= 0.9, partly=share >= 0.5)


def within_a_factor(result: xr.Dataset) -> Evidence:
    """The share of runs on large training sets whose measured step is within a factor of two of the predicted one."""
    return _share(_within_two(large(result)), 0.6)


def _within_two(result: xr.Dataset) -> xr.DataArray:
    with np.errstate(invalid="ignore"):
        ratio = measured_step(result) / result.predicted_step
    within: xr.DataArray = (ratio >= 0.5) & (ratio <= 2)
    return within


def both_times(result: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and measured step of the runs that have both."""
    predicted, measured = (
        result.predicted_step.values,
        measured_step(result).transpose(*result.predicted_step.dims).values,
    )
    both = np.isfinite(predicted) & np.isfinite(measured)
    return predicted[both], measured[both]


def slope(result: xr.Dataset) -> float:
    """Least-squares slope of log measured on log predicted step; NaN with fewer than five runs."""
    predicted, measured = both_times(result)
    return float(np.polyfit(np.log(predicted), np.log(measured), 1)[0]) if len(predicted) >= 5 else float("nan")


def rank_correlation(result: xr.Dataset) -> float:
    """Spearman's correlation of predicted and measured step, ties sharing their rank; NaN with fewer than five runs."""
    predicted, measured = both_times(result)
    if len(predicted) < 5:
        return float("nan")
    return float(spearmanr(predicted, measured).statistic)


def proportional(result: xr.Dataset) -> Evidence:
    """The slope, with its smallest and largest value as one seed after another is left out."""
    value = slope(result)
    left = [slope(result.drop_sel(seed=seed)) for seed in result.seed.values] if result.sizes["seed"] > 1 else [value]
    return Evidence(value=value, low=min(left), high=max(left), bound="0.8 to 1.25", holds=0.8 <= value <= 1.25)


def predicted_in_time(result: xr.Dataset) -> xr.DataArray:
    """Whether the predicted step comes before the last update."""
    early: xr.DataArray = result.predicted_step <= int(result.step[-1])
    return early


def whether(result: xr.Dataset) -> Evidence:
    """The share of runs predicted to find structure in time that do; in part where at least no other does."""
    found, predicted = measured_step(result) < np.inf, predicted_in_time(result)
    share = float(found.where(predicted).mean())
    wrong = int((found & ~predicted).sum())
    bound = f"at least 0.9 of {int(predicted.sum())}, and 0 of {int((~predicted).sum())} others ({wrong})"
    return Evidence(value=share, bound=bound, holds=share >= 0.9 and wrong == 0, partly=wrong == 0)


def fits(result: xr.Dataset) -> Evidence:
    """A manipulation check: three runs in four end with their training pairs learned."""
    return _share(result.train_accuracy.isel(step=-1) >= REACHED, 0.75)


def fits_most(result: xr.Dataset) -> Evidence:
    """A manipulation check: three runs in four answer at least seven in ten of their training pairs."""
    return _share(result.train_accuracy.isel(step=-1) >= 0.7, 0.75)


def neighbors_ideal(result: xr.Dataset) -> xr.Dataset:
    """Every seed with the ideal accuracies of the next."""
    return result.assign(ideal_accuracy=result.ideal_accuracy.roll(seed=1, roll_coords=False))


def ideals_differ(result: xr.Dataset) -> Evidence:
    """A manipulation check: for most runs of a size the next seed's ideal accuracy is another one."""
    other = result.ideal_accuracy.roll(seed=1, roll_coords=False)
    return _share(abs(other - result.ideal_accuracy) > NEAR, 0.5)


def exchanged(result: xr.Dataset) -> xr.Dataset:
    """Predicted steps dealt out anew among all runs."""
    flat = numpy_generator("exchanged predictions").permutation(result.predicted_step.values.ravel())
    return result.assign(predicted_step=result.predicted_step.copy(data=flat.reshape(result.predicted_step.shape)))


def still_predicted(result: xr.Dataset) -> Evidence:
    """A manipulation check: five runs or more have both times."""
    count = len(both_times(result)[0])
    return Evidence(value=count, bound="at least 5 runs", holds=count >= 5)


def quoted(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes."""
    found, predicted = measured_step(result) < np.inf, predicted_in_time(result)
    ends, last = ends_structured(result), result.isel(step=-1)
    expected, measured = both_times(result)
    numbers: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "all_pairs": int(result.pairs),
        "runs": int(found.size),
        "updates": int(result.step[-1]),
        "structured": int(ends.sum()),
        "structured_near": int((near_ideal(result) & ends).sum()),
        "above_ideal": int((last.test_accuracy > result.same_sum + NEAR).sum()),
        "predicted": int(predicted.sum()),
        "predicted_found": int((predicted & found).sum()),
        "never": int((~predicted).sum()),
        "never_found": int((~predicted & found).sum()),
        "slope": slope(result),
        "rank_correlation": rank_correlation(result),
        "both_times": len(measured),
        "fastest_measured": float(measured.min()) if len(measured) else float("nan"),
        "slowest_measured": float(measured.max()) if len(measured) else float("nan"),
        "fastest_predicted": float(expected.min()) if len(measured) else float("nan"),
        "slowest_predicted": float(expected.max()) if len(measured) else float("nan"),
        "within": int(_within_two(large(result)).sum()),
        "large_runs": large(result).sizes["num_train"] * result.sizes["seed"],
    }  # fmt: skip
    for name, position in (("smallest", 0), ("middle", result.sizes["num_train"] // 2), ("largest", -1)):
        mine = last.isel(num_train=position)
        numbers |= {
            name: int(mine.num_train),
            f"rqi_{name}": float(mine.rqi.median()),
            f"flow_rqi_{name}": float(mine.flow_rqi.median()),
            f"test_{name}": float(mine.test_accuracy.mean()),
            f"ideal_{name}": float(mine.ideal_accuracy.mean()),
            f"rate_{name}": float(mine.grokking_rate.median()),
        }
    for size in result.num_train.values:
        chosen = found.sel(num_train=size)
        numbers |= {f"found_{size}": int(chosen.sum()), f"predicted_{size}": int(predicted.sel(num_train=size).sum())}
        numbers[f"test_{size}"] = float(last.test_accuracy.sel(num_train=size).mean())
        numbers[f"train_{size}"] = float(last.train_accuracy.sel(num_train=size).mean())
    return numbers
