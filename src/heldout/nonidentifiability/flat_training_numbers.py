"""What the page quotes of a record on training at a flat loss."""

import numpy as np
import xarray as xr

from heldout.nonidentifiability import flat_training_checks as checks


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """Medians over seeds, with the lowest and the highest where the name says so."""
    before, after = checks.at_start(result), result.isel(step=-1)
    rise, drift, then, gain = (
        checks.rise(result), checks.drift(result), checks.as_divergent(result), checks.regained(result),
    )  # fmt: skip
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "prompts": result.sizes["prompt"], "longest": int(result.attrs["longest"]),
        "learned": int(result.attrs["learned"]), "updates": int(result.step[-1]),
        "more": int(result.step[-1]) - int(result.attrs["learned"]), "decay": float(result.attrs["decay"]),
        "rose": int((rise > checks.MOVED).sum()), "fell": int((rise < -checks.MOVED).sum()),
        "risen": int((after.data_kl > before.data_kl).sum()), "near": int((drift < checks.CLOSE).sum()),
        "won": int((gain > checks.MOVED).sum()), "lost": int((gain < -checks.MOVED).sum()),
        "entropy": float(np.log(result.attrs["longest"])),
    }  # fmt: skip
    found |= _spread("kl_before", before.data_kl) | _spread("kl_after", after.data_kl)
    found |= _spread("r1_before", before.r1) | _spread("r1_after", after.r1)
    found |= _spread("outside_before", before.r1_outside) | _spread("outside_after", after.r1_outside)
    found |= _spread("rise", rise) | _spread("drift", drift) | _spread("gain", gain)
    found |= _spread("r1_then", then.r1) | _spread("kl_then", then.data_kl) | _spread("step_then", then.step_then)
    found["grown"] = float((drift / before.data_kl).median())
    found |= _spread("shrunk", after.length / before.length)
    found |= _spread("length_before", before.length) | _spread("length_after", after.length)
    pairs = np.triu_indices(result.sizes["seed"], 1)
    for place, stage in enumerate(("before", "after")):
        found |= _spread(f"same_{stage}", xr.DataArray(result.same_text.values[place][pairs]))
        found |= _spread(f"distinct_{stage}", result.distinct.isel(stage=place))
        found |= _spread(f"trace_{stage}", result.trace.isel(stage=place))
    found["pair_kl"] = float(checks.others(result.pair_kl).max())
    found |= _spread("sharper", checks.sharpened(result)) | _spread(
        "hidden_sharper", checks.sharpened(result, "hidden units")
    )
    trained, hidden = (result.sel(twin=name) for name in ("as trained", "hidden units"))
    found["hidden_change"] = float(abs(trained.twin_kl - hidden.twin_kl).median())
    found["value_change"] = float(abs(trained.twin_kl - result.twin_kl.sel(twin="values")).max())
    related = {
        "kl": after.data_kl, "trace": result.trace.isel(stage=-1), "first": before.r1, "length": after.length,
    }  # fmt: skip
    for name, other in related.items():
        value, low, high = checks.rank_correlation(after.r1, other)
        found |= {f"rank_{name}": value, f"rank_{name}_low": low, f"rank_{name}_high": high}
    return found


def _spread(name: str, values: xr.DataArray) -> dict[str, float]:
    return {name: float(values.median()), f"{name}_low": float(values.min()), f"{name}_high": float(values.max())}
