"""Figures of the closing panel of non-identifiability, and the numbers that its page quotes."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from heldout import distances
from heldout.figures import style
from heldout.nonidentifiability.closing_panel_checks import ADVERSARY, DEEP, ORACLE, PAIRS, PLAIN

KEYS = ("oracles", "deep", "plain_oracle", "opposite")


def doses(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """What lessons do elsewhere: distance of two starts taught the same prompts, and answers that keep the rule."""
    ax = style.axes(ax)
    places = np.arange(result.sizes["dose"])
    for values, color, label in (
        (result.start_distance, style.VERMILION, "distance between\ntwo starts"),
        (result.right, style.BLUE, "answers that\nkeep the rule"),
    ):
        ax.plot(places, values.median("seed"), color=color, linewidth=1.8)
        for own in values:
            ax.plot(places, own, "o", color=color, markersize=4, alpha=0.6, clip_on=False)
        style.label_end(ax, places[-1], float(values.isel(dose=-1).median()), label, color=color)
    ax.set_xticks(places, [f"{dose}" for dose in result.dose.values])
    ax.set(xlabel="prompts taught, the same to both starts", ylabel="on untaught prompts", ylim=(0, 1))
    return ax


def dose_words(result: xr.Dataset) -> str:
    """The figure of doses in words."""
    apart, right = (values.median("seed").values for values in (result.start_distance, result.right))
    steps = [
        f"{dose} taught: distance {one:.2f}, rule kept {other:.0%}"
        for dose, one, other in zip(result.dose.values, apart, right, strict=True)
    ]
    return f"Two starts on untaught prompts, median over {result.sizes['seed']} seeds. {'; '.join(steps)}."


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, with the least and the most where the name says so."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "prompts": int(result.prompts), "outside": int(result.outside),
        "taught": int(result.dose[-1]), "few": int(result.dose[1]), "untaught": int(result.outside) - int(result.dose[-1]),
        "longest": int(result.longest), "loss": float(result.loss), "gap": float(result.loss_difference.max()),
        "bound": float(np.sqrt(2 * float(result.loss))), "some": int(result.dose[-2]),
        "largest_divergence": float(result.divergence.max()), "least_factor": float(result.factor.min()),
        "rest_data": float(result.rest_data.max()), "start_tests": float(result.start_test.max()),
    }  # fmt: skip
    for key, pair in zip(KEYS, PAIRS, strict=True):
        for where in distances.SETS:
            found |= _spread(f"{key}_{where}", result.distance.sel(pair=pair.name, set=where))
    for where in distances.SETS:
        found |= _spread(f"starts_{where}", result.yardstick.sel(set=where))
    on_data = np.fmax(result.distance.sel(set="test").max("pair"), result.yardstick.sel(set="test"))
    found["furthest_test"] = float(on_data.max())
    for place, name in ((1, "few"), (-2, "some"), (-1, "most")):
        found |= _spread(f"{name}_apart", result.start_distance.isel(dose=place))
        found |= _spread(f"{name}_right", result.right.isel(dose=place))
        found |= _spread(f"{name}_learned", result.learned.isel(dose=place))
    found |= _spread("none_right", result.right.isel(dose=0)) | _spread("balanced", result.balanced)
    found |= _spread("most_farthest", result.start_farthest.isel(dose=-1))
    found["few_farther"] = int((result.start_distance.isel(dose=1) >= result.start_distance.isel(dose=0)).sum())
    found |= _spread("across", result.across) | _spread("within", result.within)
    for key, table in (("taught", result.taught_by_length), ("plain", result.plain_by_length)):
        for place, name in ((0, "shorter"), (1, "same"), (2, "longer")):
            found |= _spread(f"{key}_{name}", table.isel(letters=place))
    named = (("plain", PLAIN), ("oracle", ORACLE), ("adversary", ADVERSARY), ("deep", DEEP))
    for key, model in named:
        found |= _spread(f"{key}_divergence", result.divergence.sel(model=model))
        found |= _spread(f"{key}_lacking", result.right_lacking.sel(model=model))
        found |= _spread(f"{key}_rest", result.rest_elsewhere.sel(model=model))
    return found


def _spread(name: str, values: xr.DataArray) -> dict[str, float | int | str]:
    """The median, least and most over seeds."""
    each = values.values.astype(float)
    return {name: float(np.median(each)), f"{name}_least": float(each.min()), f"{name}_most": float(each.max())}
