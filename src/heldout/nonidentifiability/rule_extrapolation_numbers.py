"""What the page on rule extrapolation quotes from a record."""

import math

import numpy as np
import xarray as xr

from heldout.nonidentifiability import rule_extrapolation_checks as checks
from heldout.nonidentifiability.lessons import KINDS

Numbers = dict[str, float | int | str]


def numbers(result: xr.Dataset) -> Numbers:
    """Medians over seeds, with the lowest and the highest seed where the name says so."""
    return _prompts(result) | _losses(result) | _texts(result) | _scores(result)


def _with_ends(name: str, values: xr.DataArray) -> Numbers:
    return {name: float(values.median()), f"{name}_low": float(values.min()), f"{name}_high": float(values.max())}


def _prompts(result: xr.Dataset) -> Numbers:
    outside = ~result.inside
    late = int((outside & checks.ordered(result)).sum())
    return {
        "seeds": result.sizes["seed"],
        "prompts": result.sizes["prompt"],
        "inside": int(result.inside.sum()),
        "outside": int(outside.sum()),
        "late": late,
        "broken": int(outside.sum()) - late,
        "taught": int(result.taught.sum("prompt").median()),
        "untaught": int(checks.chosen(result, "untaught").sum("prompt").median()),
        "longest": int(result.attrs["longest"]),
        "updates": int(result.attrs["updates"]),
        "room": result.sizes["place"],
        "rearranged": float(checks.rearranged(result).min()),
    } | _with_ends("balanced", checks.ending_at_once(result))


def _losses(result: xr.Dataset) -> Numbers:
    kl, spread = result.data_kl.transpose("variant", "seed"), checks.spread(result.data_kl)
    found: Numbers = {
        "pair_kl": float(checks.largest_pair(result.pair_kl).max()),
        "spread_kl": float(spread.max()),
        "entropy": math.log(result.attrs["longest"]),
        "kl_ratio": float((kl.max("variant") / kl.min("variant")).isel(seed=int(np.argmax(spread.values)))),
        "loss_kept": int((spread < checks.SAME_LOSS).sum()),
        "elsewhere_kl": float(result.elsewhere_kl.sel(variant="oracle", other="adversarial").median()),
    }
    return found | {f"{name}_kl": float(kl.sel(variant=name).median()) for name in kl.variant.values}


def _texts(result: xr.Dataset) -> Numbers:
    found = _with_ends("same_text", checks.same_text(result)) | _with_ends("alike", checks.same_text_of_pairs(result))
    return found | {f"{kind}_as_taught": float(checks.as_taught(result, kind).median()) for kind in KINDS}


def _scores(result: xr.Dataset) -> Numbers:
    """Of each variant, and over all models where no variant is named."""
    rules: dict[str, checks.Rule] = {"r1": "equal_counts", "r2": "a_before_b", "end": "finished", "at_once": "at_once"}
    scores = {short: checks.rule(result, rule, "untaught") for short, rule in rules.items()}
    scores |= {
        "r1_drawn": checks.rule(result, "equal_counts", "untaught", drawn=True),
        "r1_lacking": checks.rule(result, "equal_counts", "lacking"),
        "r1_inside": result.inside_r1,
    }
    scores |= {f"r1_of_{int(n)}": result.length_r1.sel(length=n) for n in result.length.values}
    found: Numbers = {"between_kept": int((checks.margin(result) > checks.APART).sum())}
    for label, score in scores.items():
        found |= _with_ends(label, score)
        for name in result.variant.values:
            found |= _with_ends(f"{name}_{label}", score.sel(variant=name))
    return found
