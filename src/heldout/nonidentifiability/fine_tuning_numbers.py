"""What prose may quote of the experiment on fine-tuning."""

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

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
    gaps, original = checks.gap(result, wide), loss.sel(twin=runs.ORIGINAL)
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "updates": int(result.step[-1]), "rates": result.sizes["rate"],
        "least_rate": float(result.rate[0]), "largest_rate": float(result.rate[-1]), "spread": checks.factor(wide),
        "narrow_spread": checks.factor(narrow), "layer_factor": checks.factor(layer), "small_factor": checks.factor(small),
        "pretrained": float(1 - result.pretrain_error.median()), "difference": float(result.difference.max()),
        "single": float(result.single_difference.max()), "published": float(result.published_gradient.max()),
        "moved": float(result.moved_gradient.median()), "pairs": result.sizes["scaled_rate"] * result.sizes["rest_rate"],
        "dead_before": float(result.dead_before.median()), "close": checks.CLOSE,
        "two_counted": int((checks.two_rates_gap(result) < checks.CLOSE).sum()),
        "gaps_counted": int((gaps > checks.GAP).sum()),
        "gaps_inside": int(((gaps > checks.GAP) & checks.inner(result, wide)).sum()), "threshold": checks.GAP,
    }  # fmt: skip
    for name, values in _spread_over_seeds(result).items():
        found |= _three(name, values)
    untuned = np.array([checks.untuned_gap(result, twin).values for twin in checks.layer_twins(result)])
    found["untuned_counted"] = int((untuned.min(0) > checks.GAP).sum())
    found["uniform_counted"] = int((_spread_over_seeds(result)["uniform"] < checks.GAP).sum())
    for kind in map(str, result.optimizer.values):
        ranks = spearmanr(
            [float(result.trace.sel(twin=twin).median()) for twin in result.twin.values],
            [float(checks.gap(result, str(twin), kind).median()) for twin in result.twin.values],
        )
        found[f"trace_rank_{kind}"] = float(ranks.statistic)
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
                f"{name}_untuned": float(checks.untuned_gap(result, twin, kind).median()),
                f"{name}_kept_loss": float((checks.untuned_gap(result, twin, kind) + original.sel(optimizer=kind)).median()),
            }  # fmt: skip
            found |= _three(f"{name}_gap", gaps) | _three(f"{name}_rate", rate.sel(optimizer=kind, twin=twin))
    return found


def _three(name: str, values: xr.DataArray) -> dict[str, float | int | str]:
    return {name: float(values.median()), f"{name}_low": float(values.min()), f"{name}_high": float(values.max())}


def _spread_over_seeds(result: xr.Dataset) -> dict[str, xr.DataArray]:
    """What is told with its smallest and largest seed (seed)."""
    wide = checks.widest(result)
    dead = result.dead.isel(rate=checks.chosen_rate(result)).sel(optimizer="sgd")
    uniform = [checks.gap(result, twin) for twin in checks.layer_twins(result)]
    return {
        "two": checks.two_rates_gap(result), "first": checks.two_rates_gap(checks.first_layer_alone(result)),
        "frozen": checks.frozen_loss(result), "two_wide_loss": checks.two_rates_loss(result, checks.WIDEST, wide),
        "two_original_loss": checks.two_rates_loss(result, runs.ORIGINAL, runs.ORIGINAL),
        "wide_dead": dead.sel(twin=wide), "original_dead": dead.sel(twin=runs.ORIGINAL),
        "layer_over_balanced": checks.gap(result, checks.layer_twins(result)[-1]) - checks.gap(result, runs.BALANCED),
        "small_over_balanced": checks.gap(result, checks.layer_twins(result)[0]) - checks.gap(result, runs.BALANCED),
        "uniform": xr.concat(uniform, "twin").max("twin"),
        "balance": xr.concat([result.balance_least, result.balance_most], "end"),
        "lengths": xr.concat([result.balance_least**-2, result.balance_most**-2], "end"),
    }  # fmt: skip
