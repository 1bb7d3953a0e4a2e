"""What the claims about Runge's function hold against a record, the changes that must break them, and what prose quotes."""

import numpy as np
import xarray as xr

from heldout.claims import Evidence, across_seeds

POLE = 0.2  # Runge's function: 1 / (1 + 25 x^2)
OUTSIDE = 1.0  # a pole height at which even points do no harm
WINDOW = (11, 31)  # counts over which rates are measured; above, rounding errors show where the error is small
FROM, NOISY, TRAINED = 21, 31, 21  # counts at which claims are judged
FITTED = 1e-8  # training error of a network that counts as fitted, in squared units of the target


def _even(values: xr.DataArray) -> xr.DataArray:
    found: xr.DataArray = values.sel(nodes="equispaced")
    return found


def growth(result: xr.Dataset) -> Evidence:
    """Largest error of the polynomial through even points at the largest count, over that at 11 points."""
    error = _even(result.largest_error.sel(pole=POLE))
    return across_seeds(error.isel(count=-1) / error.sel(count=WINDOW[0]), above=1e4)


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


def variation_over_spline(result: xr.Dataset) -> xr.DataArray:
    """Per seed and count, the network's total variation of the slope over the linear spline's, where it fits."""
    ratio: xr.DataArray = _even((result.network_variation / result.spline_variation).where(result.network_mse < FITTED))
    return ratio


def bends_no_more(result: xr.Dataset) -> Evidence:
    """The same at 11 points."""
    return across_seeds(variation_over_spline(result).sel(network_count=WINDOW[0]), below=1.1, share=0.9)


def network_over_polynomial(result: xr.Dataset) -> Evidence:
    """Error of the network over the polynomial's, through the same 21 even points."""
    polynomial = result.rmse.sel(curve="polynomial", count=TRAINED)
    ratio = (result.network_rmse / polynomial).where(result.network_mse < FITTED).sel(network_count=TRAINED)
    return across_seeds(_even(ratio), below=0.01, share=0.9)


def exchange_nodes(result: xr.Dataset) -> xr.Dataset:
    """Every measure at the other node set; the limits of the theory stay where they were."""
    exchanged = result.isel(nodes=[1, 0]).assign_coords(nodes=result.nodes.values)
    return exchanged.assign(limiting_rate=result.limiting_rate)


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


def every_network_fits(result: xr.Dataset) -> Evidence:
    """Training error of the networks at their largest count, at worst over the node sets."""
    return across_seeds(result.network_mse.max("nodes").sel(network_count=TRAINED), below=FITTED, share=0.9)


def large_starts_fit(result: xr.Dataset) -> Evidence:
    """Training error of the networks through 11 even points."""
    return across_seeds(_even(result.network_mse).sel(network_count=WINDOW[0]), below=FITTED, share=0.9)


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
    return found | _of_rates(result) | _of_networks(result)


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
    ratio, last = variation_over_spline(result), int(result.network_count[-1])
    even, fits = _even(result.network_rmse).median("seed"), _even(result.network_mse) < FITTED
    found: dict[str, float | int | str] = {"network_last_n": last}
    for n in result.network_count.values:
        found |= {
            f"network_at_{n}": float(even.sel(network_count=n)),
            f"network_chebyshev_at_{n}": float(result.network_rmse.sel(nodes="chebyshev", network_count=n).median()),
            f"network_distance_at_{n}": float(_even(result.network_distance).sel(network_count=n).median()),
            f"network_variation_at_{n}": float(ratio.sel(network_count=n).median()),
            f"network_variation_largest_at_{n}": float(ratio.sel(network_count=n).max()),
            f"networks_fitted_at_{n}": int(fits.sel(network_count=n).sum()),
        }
    return found
