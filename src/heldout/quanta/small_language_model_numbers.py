"""What the page on small language models quotes from a record."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from heldout.quanta import small_language_model_checks as checks
from heldout.quanta.small_language_text import KINDS


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, and shares of places."""
    curves = checks.by_size(result)
    return (
        _sizes(result, curves)
        | _futures(result, curves)
        | _jumps(result, curves)
        | _likeness(result)
        | _kinds(result, curves)
    )


def _sizes(result: xr.Dataset, curves: Float[np.ndarray, "seed width place"]) -> dict[str, float | int | str]:
    """What was run, and the mean loss."""
    mean, (slope, left) = curves.mean(2), checks.power_law(result)
    return {
        "seeds": result.sizes["seed"],
        "sizes": result.sizes["width"],
        "places": result.sizes["place"],
        "passages": result.sizes["passage"],
        "steps": int(result.step[-1]),
        "read": int(result.characters_read),
        "passes": float(result.characters_read / result.distinct),
        "parameters_small": int(result.parameters[0]),
        "parameters_large": int(result.parameters[-1]),
        "loss_small": float(np.median(mean[:, 0])),
        "loss_large": float(np.median(mean[:, -1])),
        "least_fall": float(-np.diff(mean, axis=1).max()),
        "exponent": float(-np.median(slope)),
        "residual": float(np.median(left)),
        "residual_most": float(left.max()),
    }


def _futures(result: xr.Dataset, curves: Float[np.ndarray, "seed width place"]) -> dict[str, float | int | str]:
    """Places that rise, and places of equal loss."""
    rise, futures = curves[:, -1] - curves[:, 0], [each for each in checks.pairs(result) if each.after.size]
    equal = [each.after[np.abs(each.before) < checks.EQUAL] for each in futures]  # in the seed left out as well

    def median(values: list[float]) -> float:
        return float(np.median(values)) if values else float("nan")

    return {
        "worse_by": checks.WORSE,
        "equal": checks.EQUAL,
        "apart": checks.APART,
        "worse": float(np.median((rise > checks.WORSE).mean(1))),
        "worse_mean": float((rise.mean(0) > checks.WORSE).mean()),
        "worse_everywhere": float((rise > 0).all(0).mean()),
        "rises_again": float(np.median(checks.rises_again(result))),
        "rises_as_far": float(np.median(checks.rises_again(result, by=checks.WORSE))),
        "rises_base": float(np.median((rise > 0).mean(1))),
        "falls": float(np.median((rise < -checks.FALLS).mean(1))),
        "drop_shared": float(np.median(checks.shared(-rise))),
        "explained": float(np.median(checks.explained(result))),
        "pairs": round(median([each.after.size for each in futures])),
        "pairs_same": median([float((each.after > 0).mean()) for each in futures]),
        "pairs_before": median([float(each.before.mean()) for each in futures]),
        "pairs_after": median([float(each.after.mean()) for each in futures]),
        "pairs_scatter": median([float(np.median(np.abs(each.before))) for each in futures]),
        "pairs_equal": round(median([after.size for after in equal])) if equal else 0,
        "pairs_equal_same": median([float((after > 0).mean()) for after in equal if after.size]),
    }


def _jumps(result: xr.Dataset, curves: Float[np.ndarray, "seed width place"]) -> dict[str, float | int | str]:
    """Sharpness of single places over sizes, and (``time_``) along training."""
    found: dict[str, float | int | str] = {"falls_by": checks.FALLS}
    for name, values in (("", curves), ("time_", checks.by_time(result))):
        shapes = {"one": values, "averaged": checks.averaged(values), "smooth": checks.smooth(values)}
        shapes["smooth_averaged"] = checks.smooth(values, averaged_over=len(values))
        for kind, each in shapes.items():
            found[f"{name}sudden_{kind}"] = float(np.median(checks.sudden(each)))
        sharp = checks.sharpness(values)
        hit = sharp > checks.TWICE * checks.of_mean(values)
        found[f"{name}sudden_zigzag"] = float((sharp[hit] > 1).mean()) if hit.any() else float("nan")
        found |= {f"{name}{kind}": share for kind, share in checks.recurs(values).items()}
        found[f"{name}sharpness_mean"] = checks.of_mean(values)
        found[f"{name}shared"] = float(np.median(checks.shared(checks.sharpness(values))))
        found[f"{name}half"] = float(np.median(checks.shared(checks.half_time(values))))
    mixed = checks.by_size(checks.mixed_places(result))
    found["shared_mixed"] = float(np.median(checks.shared(checks.sharpness(mixed))))
    return found


def _likeness(result: xr.Dataset) -> dict[str, float | int | str]:
    """Counts of characters in a row, and how like them the models are."""
    like, grams = np.median(checks.likeness(result), 0), result.ngram_loss.values.mean(1)
    found: dict[str, float | int | str] = {
        "nearest_small": int(like[0].argmax()) + 1,
        "nearest_large": int(like[-1].argmax()) + 1,
    }
    for order, gram in enumerate(grams):
        found |= {
            f"counts_{order + 1}": float(gram),
            f"like_small_{order + 1}": float(like[0, order]),
            f"like_large_{order + 1}": float(like[-1, order]),
        }
    if len(grams) >= 4:
        losses, curves = result.ngram_loss.values, checks.by_size(result).mean(0)
        found["gain_like"] = float(np.corrcoef(curves[0] - curves[-1], losses[1] - losses[3])[0, 1])
    return found


def _kinds(result: xr.Dataset, curves: Float[np.ndarray, "seed width place"]) -> dict[str, float | int | str]:
    """For every kind of place: how many, losses at both ends, what a long context is worth, and the share that is sudden."""
    found: dict[str, float | int | str] = {}
    sharp, bound = checks.sharpness(curves), checks.TWICE * checks.of_mean(curves)
    for name in KINDS:
        mine, key = checks.of_kind(result, name), name.replace(" ", "_")
        if not mine.any():
            continue
        worth, falling = np.median(checks.context_worth(result, name), 0), np.isfinite(sharp[:, mine])
        found |= {
            f"{key}_places": int(mine.sum()),
            f"{key}_small": float(curves[:, 0, mine].mean()),
            f"{key}_large": float(curves[:, -1, mine].mean()),
            f"{key}_back": float(worth[-1]),
            f"{key}_counts": float(result.ngram_loss.values[:, mine].mean(1).min()),
            f"{key}_sudden": float((sharp[:, mine][falling] > bound).mean()) if falling.any() else float("nan"),
            f"{key}_worse": float(((curves[:, -1] - curves[:, 0]).mean(0)[mine] > checks.WORSE).mean()),
        }
    return found
