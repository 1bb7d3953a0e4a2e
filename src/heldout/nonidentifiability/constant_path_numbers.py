"""What the page quotes of a record on paths of one loss."""

import xarray as xr

from heldout.nonidentifiability import constant_path_checks as checks


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, with the lowest and the highest seed where the name says so."""
    found: dict[str, float | int | str] = {"seeds": result.sizes["seed"], "places": result.sizes["place"]}
    found |= {name: int(result.attrs[name]) for name in ("judged", "longest", "updates", "bends")}
    for pair in ("opposite", "alike"):
        own = result.sel(pair=pair)
        for route in map(str, result.route.values):
            kl = own.data_kl.sel(route=route)
            found |= _spread(f"{pair}_{route}_most", kl.max("place")) | _spread(
                f"{pair}_{route}_least", kl.min("place")
            )
            found |= _spread(f"{pair}_{route}_mid", kl.sel(place=0.5))
            found |= _spread(f"{pair}_{route}_above", checks.above_ends(result, pair, route))
            least = kl.min("place")
            found |= _spread(f"{pair}_{route}_lower_end", kl.isel(place=[0, -1]).min("place") / least)
            found |= _spread(f"{pair}_{route}_chance", own.chance.sel(route=route, place=0.5))
        for path in map(str, result.path.values):
            kept = own.r1.sel(path=path)
            found |= _spread(f"{pair}_{path}_lowest", kept.min("place")) | _spread(
                f"{pair}_{path}_middle", kept.sel(place=0.5)
            )
        found |= _spread(f"{pair}_first", kept.isel(place=0)) | _spread(f"{pair}_last", kept.isel(place=-1))
    curve = result.r1.sel(pair="opposite", path="curve")
    found |= _spread("between", ((curve > checks.LOW) & (curve < checks.HIGH)).mean("place"))
    found |= _spread("jump", abs(curve.diff("place")).max("place"))
    for training in map(str, result.training.values):
        own = result.sel(training=training)
        name = training.replace(" ", "_")
        found |= _spread(f"{name}_r1", own.trained_r1) | _spread(f"{name}_kl", own.trained_kl)
    middle = result.r1.sel(pair="alike", path="curve", place=0.5)
    found["curve_keeps_more"] = int((middle > result.trained_r1.sel(training="alone")).sum())
    found["curve_loses"] = int((middle < checks.HIGH).sum())
    return found


def _spread(name: str, values: xr.DataArray) -> dict[str, float]:
    return {name: float(values.median()), f"{name}_low": float(values.min()), f"{name}_high": float(values.max())}
