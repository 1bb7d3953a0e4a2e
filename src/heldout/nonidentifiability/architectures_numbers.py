"""The numbers that the page on architectures quotes: medians over seeds, with the lowest and the highest seed."""

import numpy as np
import xarray as xr

from heldout.nonidentifiability import architectures_checks as checks


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes; names end in ``_three`` for the second language."""
    lowest = float(result.level.values[-1])
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "level": lowest, "highest": float(result.level.values[0]),
        "stop": int(result.stop.values[0]), "spread": _value(checks.spread(result).max()),
        "ratio": float(result.level.values[0]) / lowest,
    }  # fmt: skip
    for number, suffix in zip(range(result.sizes["language"]), ("", "_three"), strict=False):
        part = result.isel(language=[number])
        found |= {f"{name}{suffix}": value for name, value in _language(part).items()}
        found[f"longest{suffix}"] = int(np.atleast_1d(result.attrs["longest"])[number])
        found[f"epsilon_n{suffix}"] = lowest * int(np.atleast_1d(result.attrs["longest"])[number])
        found[f"letters{suffix}"] = int(np.atleast_1d(result.attrs["prompt_lengths"])[number])
    needed = {"transformer", *checks.RIVALS}
    if needed <= set(map(str, result.family.values)):
        ahead = checks.first_of_ended(result)
        found["first_in"] = int((ahead > 0).sum())
        found["lstm_last_in"] = int((checks.lead(result) > 0).sum())
        found["rearranged_in"] = int((checks.rearranged_lead(result) > 0).sum())
        found["chance_last"] = checks.chance_last(result)
        above = checks.unbalanced(result)
        ahead = above.sel(family="transformer", drop=True) - above.sel(family="state space", drop=True)
        for number, suffix in zip(range(result.sizes["language"]), ("", "_three"), strict=False):
            found[f"transformer_above_state_space{suffix}"] = int((ahead.isel(language=number) > 0).sum())
            below = above.sel(family="LSTM", drop=True) < above.sel(family="linear", drop=True)
            found[f"lstm_below_linear{suffix}"] = int(below.isel(language=number).sum())
            found[f"gap_rearranged{suffix}"] = _gap(checks.last(result).isel(language=number))
    return found


def beside(result: xr.Dataset, forgetting: xr.Dataset, rates: xr.Dataset) -> dict[str, float | int | str]:
    """The numbers of a record with those of two others: forgetful state spaces, and families at other rates.

    Names of the others begin with ``forgetting_`` and ``rates_``.
    """
    found = numbers(result)
    for prefix, other in (("forgetting", forgetting), ("rates", rates)):
        found |= {f"{prefix}_{name}": value for name, value in numbers(other).items()}
    for kind in checks.UNBALANCED:
        shares = (checks.last(record).r1.sel(family="state space", kind=kind) for record in (result, forgetting))
        mine, twin = shares
        for number, suffix in zip(range(mine.sizes["language"]), ("", "_three"), strict=False):
            found[f"twin_lower_{kind}{suffix}"] = int((twin < mine).isel(language=number).sum())
    share = checks.unbalanced(rates).isel(language=0)
    lower = share.sel(family=["transformer", "state space"]).min("family", skipna=False)
    found["rates_last_in"] = int((share.sel(family="LSTM", drop=True) < lower).sum())
    return found


def _gap(record: xr.Dataset) -> float:
    """Share of the distance between state space and LSTM, mean over seeds, that lies after rearranged prompts."""
    apart = (record.r1.sel(family="state space", drop=True) - record.r1.sel(family="LSTM", drop=True)).mean("seed")
    points = (apart * record.prompts).sel(kind=checks.UNBALANCED)
    return float(points.sel(kind="rearranged") / points.sum())


def _language(part: xr.Dataset) -> dict[str, float | int | str]:
    """One language."""
    count = part.prompts.isel(language=0)
    found: dict[str, float | int | str] = {str(kind): int(count.sel(kind=kind)) for kind in part.kind.values}
    found |= {
        "outside": int(count.sel(kind=checks.OUTSIDE).sum()), "lacking": int(count.sel(kind=checks.UNBALANCED).sum()),
        "all_prompts": int(count.sum()), "free": _value(checks.free_score(part)),
    }  # fmt: skip
    lowest, early = checks.last(part), part.isel(level=0)
    tables = {
        "all": checks.over(lowest, "r1", checks.OUTSIDE), "lacking": checks.unbalanced(part),
        "lacking_early": checks.over(early, "r1", checks.UNBALANCED), "rearranged": lowest.r1.sel(kind="rearranged"),
        "other": lowest.r1.sel(kind="other"), "ended": checks.over(lowest, "finished", checks.OUTSIDE),
        "at_once": checks.over(lowest, "at_once", checks.OUTSIDE), "of_ended": checks.of_ended(part),
        "inside": lowest.r1.sel(kind="inside"),
        "balanced_kept": lowest.r1.sel(kind="balanced"), "updates": lowest.updates, "stopped": part.divergence_stop.isel(stop=0),
    }  # fmt: skip
    if "decay" in part and "state space" in part.family.values:
        decay = lowest.decay.sel(family="state space").isel(language=0).median("seed")
        found |= {f"decay_{round(100 * float(share))}": _value(decay.sel(share=share)) for share in decay.share.values}
    for family in part.family.values:
        short = str(family).replace(" ", "_").lower()
        for name, table in tables.items():
            own = table.sel(family=family)
            found[f"{short}_{name}"] = _value(own.median())
            found |= {f"{short}_{name}_low": _value(own.min()), f"{short}_{name}_high": _value(own.max())}
    return found


def _value(number: xr.DataArray) -> float:
    return float(number.values.ravel()[0])
