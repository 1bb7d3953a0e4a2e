"""Numbers of the page on the dial."""

import xarray as xr

from heldout.connecting_dots import dial_checks as checks
from heldout.connecting_dots.named_functions import NAMED


def at_ends(result: xr.Dataset) -> dict[str, float | int | str]:
    """The two ends of the dial at both places: medians, lowest and highest seed."""
    own, found = checks.dial(result), dict[str, float | int | str]()
    for place, before in enumerate(("", "noise_")):
        for name, end in (("fast", 0), ("slow", -1)):
            here = own.isel(place=place, setting=end)
            values = {task: here.right.sel(task=task) for task in NAMED}
            values |= {"cosine": here.cosine.isel(depth=0), "cosine_later": here.cosine.isel(depth=1)}
            values |= {key: here[key] for key in ("updates", "clean", "noisy", "noisy_pairs", "moved", "define_loss")}
            values |= {"old_compose": here.old.sel(task="compose")}
            for key, value in values.items():
                found[f"{before}{name}_{key}"] = float(value.median())
                found[f"{before}{name}_{key}_lowest"] = float(value.min())
                found[f"{before}{name}_{key}_highest"] = float(value.max())
    return found


def beside(result: xr.Dataset) -> dict[str, float | int | str]:
    """The runs beside the dial, at the loss without noise."""
    first, found = result.isel(place=0), dict[str, float | int | str]()
    runs = {"both": checks.BOTH_SLOW, "bare": checks.BARE, "near_fast": checks.NEAR[0], "near_slow": checks.NEAR[1]}
    runs |= {"quiet_fast": checks.QUIET[0], "quiet_slow": checks.QUIET[1]}
    for name, run_name in runs.items():
        own = first.sel(setting=run_name)
        values = {
            "define": own.right.sel(task="define"),
            "updates": own.updates,
            "noisy": own.noisy,
            "moved": own.moved,
        }
        values |= {"cosine": own.cosine.isel(depth=0), "old": own.old.sel(task=checks.GATES).min("task")}
        for key, value in values.items():
            found[f"{name}_{key}"] = float(value.median())
            found |= {f"{name}_{key}_lowest": float(value.min()), f"{name}_{key}_highest": float(value.max())}
    return found
