"""What the claims about rays look at in a record."""

from collections.abc import Callable

import xarray as xr

from heldout.claims import Evidence, across_seeds

CURVED = ("l1", "square", "cosine")


def outside(result: xr.Dataset, model: str) -> xr.DataArray:
    """What a line leaves unexplained (1 - R squared) beyond the ball, on the curved targets and both pieces of the ray."""
    return xr.DataArray(1 - result.line_r2.sel(model=model, target=list(CURVED), segment=["near", "far"]))


def exchange(name: str, **places: str) -> Callable[[xr.Dataset], xr.Dataset]:
    """The record with another target or model in the places of some: ``exchange("model", relu="tanh")``."""

    def change(result: xr.Dataset) -> xr.Dataset:
        labels = [str(label) for label in result[name].values]
        return result.sel({name: [places.get(label, label) for label in labels]}).assign_coords({name: labels})

    return change


def fits(result: xr.Dataset) -> Evidence:
    """As well fitted inside the ball: the least share of the targets' variance that the trained networks explain."""
    return across_seeds(result.fit.sel(model=["relu", "tanh"]).min(["target", "model"]), above=0.9)


def far_error(target: str) -> Callable[[xr.Dataset], xr.DataArray]:
    """Error of the trained ReLU network on one target, from radius 2 to 5, over the target."""
    return lambda result: xr.DataArray(result.error.sel(model="relu", target=target, segment="far"))


def moved_in(result: xr.Dataset) -> Evidence:
    """Per seed and at most over the curved targets: bend beyond the ball, trained over untrained."""
    bend = result.bend.sel(segment_end=1.0, target=list(CURVED))
    return across_seeds((bend.sel(model="relu") / bend.sel(model="untrained")).max("target"), below=0.5)
