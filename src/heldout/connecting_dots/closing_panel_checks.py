"""The models and pairs of the closing panel, what its claims measure, the controls' changes, and what the page quotes."""

import xarray as xr

from heldout.claims import Evidence, across_seeds
from heldout.connecting_dots.named_functions import Language
from heldout.connecting_dots.told_or_not import circle
from heldout.distances import Pair, first_to_rise

FAST, OTHER_FAST, SLOW, OTHER_SLOW = "fast row", "fast row, other start", "slow row", "slow row, other start"
SAME_START = "slow row, other lines"
TOLD, TOLD_OTHERWISE = "told the truth", "told otherwise"
MODELS = (FAST, OTHER_FAST, TOLD, TOLD_OTHERWISE, SLOW, OTHER_SLOW, SAME_START)
PAIRS = (
    Pair(first=FAST, second=SLOW, kind="natural"),
    Pair(first=SLOW, second=OTHER_SLOW, kind="natural"),
    Pair(first=SLOW, second=SAME_START, kind="natural"),
    Pair(first=TOLD, second=TOLD_OTHERWISE, kind="constructed"),
)
ENDS, STARTS, LINES, LESSONS = (pair.name for pair in PAIRS)
RULER = Pair(first=FAST, second=OTHER_FAST, kind="natural")
ELSEWHERE = ("define", "invert", "compose")
BESIDE, ALONE = "beside the pairs", "without the pairs"
READERS = (BESIDE, ALONE)
SHARE = 0.8
SAME_PAIRS, SAME_OLD = 0.05, 0.1


def _elsewhere(result: xr.Dataset, pair: str) -> xr.DataArray:
    """Per seed, the distance elsewhere; 0 where the two are apart on the pairs or on old names, NaN where one did not arrive."""
    own = result.distance.sel(pair=pair)
    near = (own.sel(set="train") < SAME_PAIRS) & (own.sel(set="test") < SAME_OLD)
    far: xr.DataArray = own.sel(set="elsewhere")
    return far.where(near | far.isnull(), 0.0)


def _near(result: xr.Dataset, pair: str) -> Evidence:
    """Per seed, the larger of the distances on the pairs and on old names, each over what is allowed."""
    own = result.distance.sel(pair=pair)
    return across_seeds(
        xr.concat([own.sel(set="train") / SAME_PAIRS, own.sel(set="test") / SAME_OLD], "of").max("of", skipna=False),
        below=1.0, share=SHARE,
    )  # fmt: skip


def ends_part(result: xr.Dataset) -> Evidence:
    """Per seed, how far the two ends of the dial are apart elsewhere."""
    return across_seeds(_elsewhere(result, ENDS), above=0.5, share=SHARE)


def one_end(result: xr.Dataset) -> xr.Dataset:
    """The record with two models of one end, from one start, with other lines, in the place of the two ends."""
    return result.assign(
        distance=result.distance.where(result.pair != ENDS, result.distance.sel(pair=LINES, drop=True))
    )


def starts_part(result: xr.Dataset) -> Evidence:
    """Per seed, how far two starts are apart elsewhere at the slow end."""
    return across_seeds(_elsewhere(result, STARTS), above=0.5, share=SHARE)


def same_start(result: xr.Dataset) -> xr.Dataset:
    """The record with one start and two draws of replayed lines in the place of two starts."""
    return result.assign(
        distance=result.distance.where(result.pair != STARTS, result.distance.sel(pair=LINES, drop=True))
    )


def lines_matched(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, near on the pairs and on old names."""
    return _near(result, LINES)


def uses_follow_pairs(result: xr.Dataset) -> Evidence:
    """Per seed, inversions as the pairs have them less those as the words have them; 0 where the words are not as told.

    NaN where the loss is not reached.
    """
    own = result.sel(reader=BESIDE)
    more = (own.follows_pairs - own.follows_words).where(own.as_told >= 0.95, 0.0)
    return across_seeds(more.where(result.loss.sel(model=TOLD_OTHERWISE).notnull()), above=0.2, share=SHARE)


def without_pairs(result: xr.Dataset) -> xr.Dataset:
    """The record with the model that read the false definitions alone."""
    return result.assign_coords(reader=[ALONE, BESIDE])


def words_learned(result: xr.Dataset) -> Evidence:
    """A manipulation check: per seed, false definitions given back by the model that read them alone."""
    return across_seeds(result.as_told.isel(reader=1), above=0.95, share=SHARE)


def _later(result: xr.Dataset) -> xr.DataArray:
    """Seeds in which the model that was told otherwise needs more updates than the one that was told the truth."""
    later: xr.DataArray = result.updates.sel(model=TOLD_OTHERWISE) > result.updates.sel(model=TOLD)
    return later


def overlap(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the share of inversions at which the function of the pairs and that of the words give the same number."""
    inverses = Language(modulus=int(result.modulus)).inverses
    shares = [float((inverses == inverses[circle(len(inverses), int(seed))]).double().mean()) for seed in result.seed]
    return xr.DataArray(shares, dims="seed", coords={"seed": result.seed})


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """Medians over seeds unless the name says otherwise; lowest and highest are over seeds."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "level": float(result.level), "modulus": int(result.modulus),
        "functions": int(result.functions), "ratio": float(result.ratio), "missed": int(result.loss.isnull().sum()),
        "loss_difference": float(result.loss_difference.max()), "graft_apart": float(result.graft_apart.median()),
        "graft_right": float(result.graft_right.median()),
        "overlap": float(overlap(result).median()), "slower_told_falsely": int(_later(result).sum()),
        "right_lowest": float(result.right.sel(task="apply").min()),
        "old_lowest": float(result.old.sel(task=["apply", "define", "invert"]).min()),
        "old_compose_lowest": float(result.old.sel(task="compose").min()),
    }  # fmt: skip
    for name, reader in (("beside", 0), ("alone", 1)):
        own = result.isel(reader=reader)
        found |= {
            f"{name}_as_told": float(own.as_told.median()), f"{name}_as_told_lowest": float(own.as_told.min()),
            f"{name}_follows_pairs": float(own.follows_pairs.median()),
            f"{name}_follows_words": float(own.follows_words.median()),
        }  # fmt: skip
    rises = first_to_rise(result)
    for name, pair in (("ends", ENDS), ("starts", STARTS), ("lines", LINES), ("lessons", LESSONS)):
        for place in ("train", "test", "elsewhere"):
            values = result.distance.sel(pair=pair, set=place)
            found |= {
                f"{name}_{place}": float(values.median()), f"{name}_{place}_lowest": float(values.min()),
                f"{name}_{place}_highest": float(values.max()),
            }  # fmt: skip
        found |= {f"{name}_{task}": float(result.apart.sel(pair=pair, task=task).median()) for task in ELSEWHERE}
        found[f"{name}_rises"] = str(rises.sel(pair=pair).item())
    for place in ("train", "test", "elsewhere"):
        found[f"ruler_{place}"] = float(result.yardstick.sel(set=place).median())
    for name, model in (("fast", FAST), ("slow", SLOW), ("told", TOLD), ("otherwise", TOLD_OTHERWISE)):
        found |= {
            f"{name}_{task}_right": float(result.right.sel(model=model, task=task).median()) for task in ELSEWHERE
        }
        found[f"{name}_updates"] = float(result.updates.sel(model=model).median())
    return found
