"""What the claims on the twins of a language model measure on a record. Thresholds were fixed on seeds 0 to 4."""

import numpy as np
import xarray as xr

from heldout.claims import Claim, Control, Evidence, across_seeds

TWINS = ORIGINAL, RESCALED, BALANCED = ("original", "rescaled", "balanced")
SAME, GAP, LESS = 1e-9, 0.3, 0.3  # of the largest logit, and nats twice


def chosen(result: xr.Dataset) -> xr.DataArray:
    """Which rate validation chooses, (optimizer, twin, seed)."""
    best: xr.DataArray = result.validation.fillna(np.inf).argmin("rate")
    return best


def tuned(result: xr.Dataset) -> xr.DataArray:
    """Test loss at that rate."""
    found: xr.DataArray = result.test.fillna(np.inf).isel(rate=chosen(result))
    return found


def gap(result: xr.Dataset, optimizer: str, twin: str = RESCALED) -> xr.DataArray:
    """How far a twin stays above the original, each at its own rate."""
    losses = tuned(result).sel(optimizer=optimizer)
    return losses.sel(twin=twin) - losses.sel(twin=ORIGINAL)


def gap_remains(result: xr.Dataset) -> Evidence:
    """The gap under SGD, if the twin is the same function."""
    same = same_function(result)
    return same if not same.holds else across_seeds(gap(result, "sgd"), above=GAP)


def adam_needs_less(result: xr.Dataset) -> Evidence:
    """The gap under SGD minus the gap under Adam."""
    return across_seeds(gap(result, "sgd") - gap(result, "adam"), above=LESS)


def same_function(result: xr.Dataset, twin: str = RESCALED) -> Evidence:
    """Largest difference of a logit in double precision over the largest logit."""
    return across_seeds(result.difference.sel(precision="double", twin=twin) / result.largest_logit, below=SAME)


def learns(result: xr.Dataset) -> Evidence:
    """What stands in the twin's place is the same function, and SGD takes it below where it began."""
    if not same_function(result).holds:
        return same_function(result)
    return across_seeds(tuned(result).sel(optimizer="sgd", twin=RESCALED) - result.before, below=-GAP)


def balanced_instead(result: xr.Dataset) -> xr.Dataset:
    """The balanced twin in the place of the rescaled one."""
    changed = result.copy(deep=True)
    for name in ("validation", "test", "difference"):
        changed[name].loc[{"twin": RESCALED}] = result[name].sel(twin=BALANCED)
    return changed


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, with the least and the largest seed."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "factor": float(result.factor.max()),
        "largest_logit": float(result.largest_logit),
        "before": float(result.before.median()),
        "before_low": float(result.before.min()),
        "before_high": float(result.before.max()),
        "double": float(result.difference.sel(precision="double").max()),
        "single": float(result.difference.sel(precision="single").max()),
        "threshold": GAP,
    }
    for optimizer in result.optimizer.values:
        for twin in TWINS:
            losses = tuned(result).sel(optimizer=optimizer, twin=twin)
            differences = gap(result, str(optimizer), twin)
            rates = result.learning_rate.sel(optimizer=optimizer).isel(
                rate=chosen(result).sel(optimizer=optimizer, twin=twin)
            )
            name = f"{twin}_{optimizer}"
            found |= {
                name: float(losses.median()), f"{name}_gap": float(differences.median()),
                f"{name}_gap_low": float(differences.min()), f"{name}_gap_high": float(differences.max()),
                f"{name}_rate_low": float(rates.min()), f"{name}_rate_high": float(rates.max()),
            }  # fmt: skip
    return found


_REIZINGER = "Reizinger et al. 2024, arXiv 2405.01964, case study on fine-tuning; the language model is ours"
_BALANCED = Control(
    says="the twin with the least sum of squared weights, which all rescaled twins share, in the place of the rescaled one",
    change=balanced_instead,
    manipulation=learns,
)

CLAIMS = (
    Claim(
        id="model_twins.gap_remains",
        says="With equal logits (to a billionth) the rescaled twin ends fine-tuning by SGD, at the rate that validation chooses, "
        "at least 0.3 nats above the original.",
        rows=("S4.4",),
        source=_REIZINGER,
        check=gap_remains,
        control=_BALANCED,
    ),
    Claim(
        id="model_twins.adam_needs_less",
        says="That gap is at least 0.3 nats larger with SGD than with Adam.",
        rows=("S4.4",),
        source="this book",
        check=adam_needs_less,
        control=_BALANCED,
    ),
)
