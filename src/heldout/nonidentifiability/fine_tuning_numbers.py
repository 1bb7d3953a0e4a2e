"""What prose may quote of the experiment on fine-tuning."""

import xarray as xr

from heldout.nonidentifiability import fine_tuning_checks as checks
from heldout.nonidentifiability import fine_tuning_runs as runs


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, with the smallest and largest seed where a name ends in low or high."""
    wide, layer = checks.widest(result), checks.largest_layer(result)
    narrow, small = (str(next(t for t in result.twin.values if str(t).startswith(kind))) for kind in ("units", "layer"))
    roles = {
        "original": runs.ORIGINAL,
        "balanced": runs.BALANCED,
        "wide": wide,
        "narrow": narrow,
        "layer": layer,
        "small": small,
    }
    loss, error, rate = (
        checks.tuned(result),
        checks.tuned(result, "test_error"),
        result.rate[checks.chosen_rate(result)],
    )
    gaps = checks.gap(result, wide)
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "updates": int(result.step[-1]), "rates": result.sizes["rate"],
        "least_rate": float(result.rate[0]), "largest_rate": float(result.rate[-1]), "spread": checks.factor(wide),
        "narrow_spread": checks.factor(narrow), "layer_factor": checks.factor(layer), "small_factor": checks.factor(small),
        "pretrained": float(1 - result.pretrain_error.median()), "difference": float(result.difference.max()),
        "single": float(result.single_difference.max()), "published": float(result.published_gradient.max()),
        "moved": float(result.moved_gradient.median()), "layered": float(checks.layered_gap(result).median()),
        "layered_low": float(checks.layered_gap(result).min()), "layered_high": float(checks.layered_gap(result).max()),
        "gaps_counted": int((gaps > checks.GAP).sum()),
        "gaps_inside": int(((gaps > checks.GAP) & checks.inner(result, wide)).sum()), "threshold": checks.GAP,
    }  # fmt: skip
    for role, twin in roles.items():
        found[f"{role}_trace"] = float(result.trace.sel(twin=twin).median())
        found[f"{role}_trace_ratio"] = float(
            (result.trace.sel(twin=twin) / result.trace.sel(twin=runs.ORIGINAL)).median()
        )
        if twin in result.factored.values:
            found[f"{role}_undone"] = float(result.undone_difference.sel(factored=twin).max())
        for kind in map(str, result.optimizer.values):
            name, gaps = f"{role}_{kind}", checks.gap(result, twin, kind)
            found |= {
                f"{name}_loss": float(loss.sel(optimizer=kind, twin=twin).median()),
                f"{name}_right": float(1 - error.sel(optimizer=kind, twin=twin).median()),
                f"{name}_rate": float(rate.sel(optimizer=kind, twin=twin).median()), f"{name}_gap": float(gaps.median()),
                f"{name}_gap_low": float(gaps.min()), f"{name}_gap_high": float(gaps.max()),
                f"{name}_untuned": float(checks.untuned_gap(result, twin, kind).median()),
            }  # fmt: skip
    return found
