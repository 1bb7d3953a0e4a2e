"""What is read off a record of :mod:`heldout.double_descent.gaussian_risk`, and what its claims are judged by."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from heldout.claims import Evidence
from heldout.double_descent.gaussian_theory import exact_risk

JUDGED_FROM = 5  # |p - n| from which a mean over trials is compared with the exact risk
MAX_STANDARD_ERRORS = 4.0
FAR_FROM_ONE = 0.25  # |p / n - 1| from which the limit is compared with the simulation
LIMIT_TOLERANCE = 0.1


def of_case(result: xr.Dataset, case: int) -> xr.Dataset:
    """The points of one case."""
    return result.isel(point=np.flatnonzero(result.case.values == case))


def judged(result: xr.Dataset) -> xr.Dataset:
    """The points at which the mean over trials has a standard error that can be trusted."""
    distance = np.abs(result.feature_count.values - result.train_count.values)
    return result.isel(point=np.flatnonzero(distance >= JUDGED_FROM))


def best(result: xr.Dataset, case: int, *, over: bool) -> tuple[int, float]:
    """Of a case, the p beyond or before n at which the mean risk is lowest, and that risk."""
    part = of_case(result, case)
    p, mean, n = part.feature_count.values, part["mean"].values, part.train_count.values
    at = int(np.where(p > n if over else p < n, mean, np.inf).argmin())
    return int(p[at]), float(mean[at])


def peak(result: xr.Dataset, case: int) -> int:
    """Of a case, the p at which the median risk is largest."""
    part = of_case(result, case)
    return int(part.feature_count.values[part["median"].values.argmax()])


def deviations(result: xr.Dataset) -> Float[np.ndarray, " point"]:
    """Simulated mean minus exact risk in standard errors, at the points judged."""
    trusted = judged(result)
    return np.asarray((trusted["mean"] - trusted.exact) / trusted.standard_error)


def limit_deviation(result: xr.Dataset) -> xr.DataArray:
    """Relative difference between simulation and limit, away from p = n."""
    away = result.isel(aspect=np.flatnonzero(np.abs(result.aspect - 1) >= FAR_FROM_ONE))
    deviation: xr.DataArray = np.abs(away.limit_simulated / away.limit_theory - 1)
    return deviation


def agrees(result: xr.Dataset) -> Evidence:
    """The largest distance of a simulated mean from the exact risk, in standard errors."""
    z = np.abs(deviations(result))
    bound = f"< {MAX_STANDARD_ERRORS:g} standard errors at all {z.size} points (held at {int((z < MAX_STANDARD_ERRORS).sum())})"
    return Evidence(value=float(z.max()), bound=bound, holds=bool((z < MAX_STANDARD_ERRORS).all()))


def peak_offset(result: xr.Dataset) -> Evidence:
    """Distance of the median risk's maximum from p = n, the largest over the cases."""
    offsets = []
    for case in np.unique(result.case.values):
        offsets.append(abs(peak(result, int(case)) - int(of_case(result, int(case)).train_count[0])))
    return Evidence(value=float(max(offsets)), bound="<= 1 in every case", holds=max(offsets) <= 1)


def near_limit(result: xr.Dataset) -> Evidence:
    """The largest relative distance of a simulated excess risk from the limit."""
    worst = float(limit_deviation(result).max())
    bound = f"< {LIMIT_TOLERANCE:g} at every aspect at least {FAR_FROM_ONE:g} from 1, for both kinds of features"
    return Evidence(value=worst, bound=bound, holds=worst < LIMIT_TOLERANCE)


def order_decides(result: xr.Dataset) -> Evidence:
    """Best risk beyond p = n over best risk before it: the smallest margin by which flat and decaying signals differ."""
    flat, ordered = (best(result, case, over=True)[1] / best(result, case, over=False)[1] for case in (0, 2))
    return Evidence(value=ordered, low=flat, high=ordered, bound="flat < 1 < ordered", holds=flat < 1 < ordered)


def without_omitted_features(result: xr.Dataset) -> xr.Dataset:
    """The record with the exact risk of a formula that forgets what the features left out contribute."""
    altered = result.copy()
    points = zip(*(result[name].values for name in ("train_count", "feature_count", "signal_in")), strict=True)
    exact = [exact_risk(int(n), int(p), inside, 0.0, float(result.attrs["noise_std"])) for n, p, inside in points]
    altered["exact"] = ("point", exact)
    return altered


def right_where_none_is_left_out(result: xr.Dataset) -> Evidence:
    """The manipulation check: where p = d nothing is left out, and the altered formula must still be right."""
    whole = result.isel(point=np.flatnonzero(result.signal_in.values > 1 - 1e-9))
    z = np.abs(whole["mean"] - whole.exact) / whole.standard_error
    return Evidence(value=float(z.max()), bound="< 4 standard errors where p = d", holds=bool((z < 4).all()))


def right_below_one(result: xr.Dataset) -> Evidence:
    """The manipulation check: below p = n correlated features of full rank change nothing, and the limit must still hold."""
    return near_limit(result.isel(aspect=np.flatnonzero(result.aspect < 1)))


def ends_low(result: xr.Dataset) -> Evidence:
    """The manipulation check: a fair model at the largest p, below the risk of predicting zero."""
    ends = [float(of_case(result, int(case))["mean"][-1]) for case in np.unique(result.case.values)]
    zero = 1 + float(result.attrs["noise_std"]) ** 2
    return Evidence(value=max(ends), bound=f"< {zero:.3g}, the risk of predicting zero", holds=max(ends) < zero)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: the largest deviations, and the landmarks of each case."""
    trusted = judged(result)
    found: dict[str, float | int | str] = {
        "trials": int(result.attrs["num_trials"]),
        "judged_points": trusted.sizes["point"],
        "largest_z": float(np.abs(deviations(result)).max()),
        "largest_relative": float(np.abs(trusted["mean"] / trusted.exact - 1).max()),
        "limit_largest_relative": float(limit_deviation(result).max()),
    }
    for case in np.unique(result.case.values):
        part, label = of_case(result, int(case)), f"case{int(case) + 1}"
        at_n = part.isel(point=int(np.flatnonzero(part.feature_count == part.train_count)[0]))
        found |= {
            f"{label}_n": int(part.train_count[0]),
            f"{label}_d": int(result.attrs["dims"][int(case)]),
            f"{label}_median_at_n": float(at_n["median"]),
            f"{label}_mean_at_n": float(at_n["mean"]),
            f"{label}_last": float(part["mean"][-1]),
        }
        for side, over in (("under", False), ("over", True)):
            found[f"{label}_best_{side}_p"], found[f"{label}_best_{side}"] = best(result, int(case), over=over)
    return found
