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
        above = checks.unbalanced(result)
        ahead = above.sel(family="transformer", drop=True) - above.sel(family="state space", drop=True)
        for number, suffix in zip(range(result.sizes["language"]), ("", "_three"), strict=False):
            found[f"transformer_above_state_space{suffix}"] = int((ahead.isel(language=number) > 0).sum())
    return found


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
        "inside": lowest.r1.sel(kind="inside"), "updates": lowest.updates, "stopped": part.divergence_stop.isel(stop=0),
    }  # fmt: skip
    for family in part.family.values:
        short = str(family).replace(" ", "_").lower()
        for name, table in tables.items():
            own = table.sel(family=family)
            found[f"{short}_{name}"] = _value(own.median())
            found |= {f"{short}_{name}_low": _value(own.min()), f"{short}_{name}_high": _value(own.max())}
    return found


def _value(number: xr.DataArray) -> float:
    return float(number.values.ravel()[0])
