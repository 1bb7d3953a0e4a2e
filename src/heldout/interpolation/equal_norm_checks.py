"""What :mod:`heldout.interpolation.equal_norm` claims, measured on its record: one number a seed."""

import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.interpolation.equal_norm_points import natural_cubic

BUILT = ("spline", "halfway", "sharp", "round")
ZERO = 1e-16  # squared error that counts as none, in squared units of the target
TIMES = 5  # as far from the spline where bridges are free as elsewhere


def spread(result: xr.Dataset) -> xr.DataArray:
    """How far the built members' norms lie from the spline's, as a share of it; the worse of both data."""
    built = result.variation.sel(member=list(BUILT))
    found: xr.DataArray = abs(built / built.sel(member="spline") - 1).max(["member", "data"])
    return found


def excess(result: xr.Dataset) -> xr.DataArray:
    """The trained network's norm over the smallest, less 1; (seed, data)."""
    found: xr.DataArray = result.variation.sel(member="network") / result.variation.sel(member="spline") - 1
    return found


def saved(result: xr.Dataset) -> xr.DataArray:
    """What the sharp member saves of the spline's norm with biases, as a share; (seed, data)."""
    found: xr.DataArray = 1 - result.with_biases.sel(member="sharp") / result.with_biases.sel(member="spline")
    return found


def free_over_forced(result: xr.Dataset) -> xr.DataArray:
    """The trained network's mean distance from the spline where bridges are free over that where they are not; the wave."""
    one = result.sel(data="wave", member="network")
    found: xr.DataArray = one.free_distance / one.forced_distance
    return found


def network_hits(result: xr.Dataset) -> xr.DataArray:
    """Whether the network, or what stands for it, has no training error on the wave."""
    found: xr.DataArray = result.train_mse.sel(data="wave", member="network") < ZERO
    return found


def fitted(result: xr.Dataset) -> xr.DataArray:
    """Whether all built curves of both data hit the points at one norm, to rounding."""
    errors = result.train_mse.sel(member=list(BUILT)).max(["member", "data"])
    found: xr.DataArray = (errors < ZERO) & (spread(result) < 1e-12)
    return found


def one_norm_many_curves(result: xr.Dataset) -> Evidence:
    """The farthest of the built members, where they fit at one norm."""
    distance = result.distance.sel(data="wave", member=list(BUILT)).max("member")
    return across_seeds(distance.where(fitted(result)), above=0.1)


def built(result: xr.Dataset) -> Evidence:
    """The manipulation check: the built curves fit, and their norms agree."""
    return across_seeds(spread(result).where(fitted(result)), below=1e-12)


def biases_break_the_tie(result: xr.Dataset) -> Evidence:
    """The sharp member's saving, where the built members fit at one norm."""
    return across_seeds(saved(result).sel(data="wave").where(fitted(result)), above=0.001)


def training_chooses(result: xr.Dataset) -> Evidence:
    """Free over forced distance of the networks without training error."""
    return across_seeds(free_over_forced(result).where(network_hits(result)), above=TIMES, share=0.8)


def more_than_smooth(result: xr.Dataset) -> Evidence:
    """The same ratio over that of the natural cubic spline, networks without training error."""
    ratio = free_over_forced(result) / free_over_forced(natural_cubic(result))
    return across_seeds(ratio.where(network_hits(result)), above=2, share=0.8)


def bends_as_far(result: xr.Dataset) -> Evidence:
    """The manipulation check: what stands for the network hits the points and leaves the spline by 1 % of the range or more."""
    free = result.free_distance.sel(data="wave", member="network")
    return across_seeds(free.where(network_hits(result)), above=0.01, share=0.9)


def network_fits(result: xr.Dataset) -> Evidence:
    """The manipulation check: the trained networks have no training error."""
    return across_seeds(result.train_mse.sel(member="network").max("data"), below=ZERO)


def alternating(result: xr.Dataset) -> xr.Dataset:
    """The same measurements on the points whose turns alternate, so that no bridge is free."""
    return result.sel(data=["zigzag", "zigzag"]).assign_coords(data=["wave", "zigzag"])
