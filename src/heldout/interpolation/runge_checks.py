"""What the claims about Runge's function hold against a record, the changes that must break them, and what prose quotes."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

POLE = 0.2  # Runge's function: 1 / (1 + 25 x^2)
OUTSIDE = 1.0  # a pole height at which even points do no harm
WINDOW = (11, 31)  # counts over which rates are measured; above, rounding errors show where the error is small
FROM, NOISY, TRAINED = 21, 31, 21  # counts at which claims are judged
ZERO = 1e-16  # squared error that counts as none, in squared units of the target
BEND = 1.1  # variation of the slope, over the linear spline's, up to which a network bends like it


def at(values: xr.DataArray, **where: int) -> xr.DataArray:
    """The values at one place of a dimension; NaN where the record does not have it."""
    found: xr.DataArray = values.reindex({dim: [place] for dim, place in where.items()}).squeeze(list(where), drop=True)
    return found


def _even(values: xr.DataArray) -> xr.DataArray:
    found: xr.DataArray = values.sel(nodes="equispaced")
    return found


def growth(result: xr.Dataset) -> Evidence:
    """Largest error of the polynomial through 31 even points, over that through 11: the window of the rates."""
    error = _even(result.largest_error.sel(pole=POLE))
    return across_seeds(error.sel(count=WINDOW[1]) / error.sel(count=WINDOW[0]), above=100)


def chebyshev_wins(result: xr.Dataset) -> Evidence:
    """From 21 points on, the Chebyshev polynomial's error over that of the linear spline through even points, at worst."""
    rmse = result.rmse.sel(count=slice(FROM, None))
    ratio = rmse.sel(nodes="chebyshev", curve="polynomial") / rmse.sel(nodes="equispaced", curve="linear spline")
    return across_seeds(ratio.max("count"), below=1)


def rates_off(result: xr.Dataset) -> Evidence:
    """Measured growth per point against the limit, at worst over poles and both node sets."""
    return across_seeds(abs(result.rate - result.limiting_rate).max(("pole", "nodes")), below=0.06)


def noise_gain(result: xr.Dataset) -> Evidence:
    """How much larger noise comes out between even points than it went in."""
    return across_seeds(_even(result.noise_gain.sel(curve="polynomial", count=NOISY)), above=1e4)


def fitted(values: xr.DataArray, result: xr.Dataset) -> xr.DataArray:
    """The values of networks without training error; NaN, which is not judged, where one is left."""
    found: xr.DataArray = values.where(result.network_mse < ZERO)
    return found


def variation_over_spline(result: xr.Dataset) -> xr.DataArray:
    """Per seed and count, the network's total variation of the slope over the linear spline's, where it fits."""
    return _even(fitted(result.network_variation / result.spline_variation, result))


def bends_no_more(result: xr.Dataset) -> Evidence:
    """The same at 11 points."""
    return across_seeds(at(variation_over_spline(result), network_count=WINDOW[0]), below=BEND, share=0.9)


def network_over_polynomial(result: xr.Dataset) -> Evidence:
    """Error of the network over the polynomial's, through the same 21 even points, where the network fits."""
    polynomial = result.rmse.sel(curve="polynomial", count=TRAINED)
    ratio = fitted(result.network_rmse, result) / polynomial
    return across_seeds(at(_even(ratio), network_count=TRAINED), below=0.01, share=0.9)


def exchange_nodes(result: xr.Dataset) -> xr.Dataset:
    """Every measure at the other node set; the limits of the theory stay where they were."""
    exchanged = result.isel(nodes=[1, 0]).assign_coords(nodes=result.nodes.values)
    return exchanged.assign(limiting_rate=result.limiting_rate)


def polynomial_elsewhere(result: xr.Dataset) -> xr.Dataset:
    """The polynomial's error at the other node set; the networks and the splines stay where they were."""
    moved = result.rmse.isel(nodes=[1, 0]).assign_coords(nodes=result.nodes.values)
    return result.assign(rmse=moved.where(result.curve == "polynomial", result.rmse))


def move_pole(result: xr.Dataset) -> xr.Dataset:
    """Runge's function exchanged for its relative with poles farther from the interval; the points stay."""
    return result.sel(pole=[OUTSIDE]).assign_coords(pole=[POLE])


def falls_as_predicted(result: xr.Dataset) -> Evidence:
    """With the pole outside, the error through the same even points falls, at the rate of the limit within 0.06 a point."""
    return across_seeds(abs(_even(result.rate - result.limiting_rate)).max("pole"), below=0.06)


def other_nodes_calm(result: xr.Dataset) -> Evidence:
    """At the Chebyshev nodes, now under the name of the even ones, what goes in comes out at most tenfold."""
    return across_seeds(_even(result.lebesgue.sel(curve="polynomial")).max("count"), below=10)


def splines_agree(result: xr.Dataset) -> Evidence:
    """The exchanged points still tell the function: the cubic spline through them is as good as before."""
    rmse = result.rmse.sel(curve="cubic spline").sel(count=slice(FROM, None))
    return across_seeds(rmse.max(("nodes", "count")), below=0.02)


def splines_agree_and_networks_fit(result: xr.Dataset) -> Evidence:
    """The cubic spline through either node set, at worst, in the seeds whose network through 21 even points fits."""
    rmse = result.rmse.sel(curve="cubic spline").sel(count=slice(FROM, None)).max(("nodes", "count"))
    return across_seeds(at(_even(fitted(rmse, result)), network_count=TRAINED), below=0.02, share=0.9)


def large_starts_fit(result: xr.Dataset) -> Evidence:
    """Training error of the networks through 11 even points."""
    return across_seeds(at(_even(result.network_mse), network_count=WINDOW[0]), below=ZERO, share=0.9)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, and where said the extreme."""
    rmse, last = result.rmse.median("seed"), int(result["count"][-1])
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "first_n": int(result["count"][0]),
        "last_n": last,
    }
    for name, nodes, curve in (
        ("even", "equispaced", "polynomial"),
        ("chebyshev", "chebyshev", "polynomial"),
        ("linear", "equispaced", "linear spline"),
        ("cubic", "equispaced", "cubic spline"),
    ):
        one = rmse.sel(nodes=nodes, curve=curve)
        gain, constant = (result[key].sel(nodes=nodes, curve=curve) for key in ("noise_gain", "lebesgue"))
        found |= {
            f"{name}_first": float(one[0]),
            f"{name}_at_11": float(one.sel(count=11)),
            f"{name}_at_21": float(one.sel(count=21)),
            f"{name}_last": float(one[-1]),
            f"{name}_gain": float(gain.sel(count=NOISY).median()),
            f"{name}_gain_largest": float(gain.sel(count=NOISY).max()),
            f"{name}_lebesgue": float(constant.sel(count=NOISY).median()),
            f"{name}_lebesgue_at_11": float(constant.sel(count=11).median()),
            f"{name}_lebesgue_last": float(constant.isel(count=-1).median()),
            f"{name}_lebesgue_largest": float(constant.max()),
        }
    return found | _of_lead(rmse, result) | _of_rates(result) | _of_networks(result)


def _of_lead(rmse: xr.DataArray, result: xr.Dataset) -> dict[str, float | int | str]:
    """From which count on the Chebyshev polynomial beats the even linear spline in every seed; how far the cubic leads."""
    polynomial = {"nodes": "chebyshev", "curve": "polynomial"}
    ratio = result.rmse.sel(polynomial) / result.rmse.sel(nodes="equispaced", curve="linear spline")
    counts, behind = result["count"].values, (ratio >= 1).any("seed").values
    ahead = counts[np.logical_and.accumulate(~behind[::-1])[::-1]]
    cubic = (rmse.sel(nodes="equispaced", curve="cubic spline") < rmse.sel(polynomial)).values
    leads = counts[np.logical_and.accumulate(cubic)]
    return {
        "polynomial_leads_from": int(ahead[0]) if ahead.size else "no count",
        "cubic_leads_to": int(leads[-1]) if leads.size else "no count",
    }


def _of_rates(result: xr.Dataset) -> dict[str, float | int | str]:
    rate, limit = result.rate.median("seed"), result.limiting_rate
    grows = _even(rate) > 0
    largest = result.largest_error.sel(nodes="equispaced", pole=OUTSIDE).median("seed")
    return {
        "even_factor": float(np.exp(rate.sel(nodes="equispaced", pole=POLE))),
        "even_factor_limit": float(np.exp(limit.sel(nodes="equispaced", pole=POLE))),
        "chebyshev_factor": float(np.exp(rate.sel(nodes="chebyshev", pole=POLE))),
        "chebyshev_factor_limit": float(np.exp(limit.sel(nodes="chebyshev", pole=POLE))),
        "outside_factor": float(np.exp(rate.sel(nodes="equispaced", pole=OUTSIDE))),
        "highest_growing": float(result.pole.where(grows).max()),
        "lowest_falling": float(result.pole.where(~grows).min()),
        "rate_off_even": float(abs(_even(result.rate - limit)).max()),
        "rate_off_chebyshev": float(abs((result.rate - limit).sel(nodes="chebyshev")).max()),
        "outside_lowest": float(largest.min()),
        "outside_lowest_n": int(largest.idxmin()),
        "outside_last": float(largest[-1]),
    }


def _of_networks(result: xr.Dataset) -> dict[str, float | int | str]:
    """Of the networks at each count, and again under the names ``first`` and ``last`` at the fewest and the most points."""
    sizes = [int(n) for n in result.network_count.values]
    found: dict[str, float | int | str] = {
        "network_sizes": " and ".join(map(str, sizes)) if len(sizes) < 3 else f"{sizes[0]} to {sizes[-1]}",
        "network_first_n": sizes[0],
        "network_last_n": sizes[-1],
    }
    for name, n in [*((f"at_{n}", n) for n in sizes), ("first", sizes[0]), ("last", sizes[-1])]:
        one = result.sel(network_count=n)
        ratio, missed = variation_over_spline(one), one.network_mse >= ZERO
        error, distance = (_even(fitted(one[key], one)) for key in ("network_rmse", "network_distance"))
        found |= {
            f"network_error_{name}": float(error.median()),
            f"network_error_largest_{name}": float(error.max()),
            f"network_distance_{name}": float(distance.median()),
            f"network_variation_{name}": float(ratio.median()),
            f"network_variation_largest_{name}": float(ratio.max()),
            f"networks_bent_{name}": int((ratio >= BEND).sum()),
            f"networks_fitted_{name}": int((~_even(missed)).sum()),
            f"networks_missed_{name}": int(_even(missed).sum()),
            f"networks_missed_chebyshev_{name}": int(missed.sel(nodes="chebyshev").sum()),
            f"network_mse_largest_{name}": float(one.network_mse.max()),
        }
    return found
