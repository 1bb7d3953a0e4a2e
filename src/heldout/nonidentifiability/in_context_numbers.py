"""What the page on in-context learning quotes."""

import xarray as xr

from heldout.nonidentifiability import in_context_checks as checks


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, with the lowest and the highest seed where the name says so."""
    last, least = checks.asked(result), int(result.attrs["least"])
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "examples": last, "most": int(result.examples.max()), "least": least,
        **{
            name: int(result.attrs[name])
            for name in ("symbols", "chains", "steps", "edit_steps", "places", "judged", "glanced", "asked")
        },
        "contexts": float(result.contexts.sel(least=least)), "prompt_log": float(-result.prompt_log.sel(examples=last).median()),
        "price_last": float(result.price.sel(edit="swap").isel(least=-1).median()),
        "price_first": float(result.price.sel(edit="swap").isel(least=0).median()),
        "looks": result.sizes["step"],
        "chance": 1 / int(result.attrs["symbols"]), "before": checks.before(result),
        "tie_first": float(result.price.sel(edit="tie").isel(least=0).median()),
        "price_tie": float(result.price.sel(edit="tie", least=least).median()),
        "price_error": float((result.price_error / result.price).sel(edit="swap", least=least).max()),
        "extra_error": float(result.extra_error.sel(variant="adversarial").max()),
    }  # fmt: skip
    paid_behind = result.behind_cost.sel(variant="adversarial") - result.behind_cost.sel(variant="plain")
    path = result.path_accuracy.sel(examples=last)
    spread: dict[str, xr.DataArray] = {
        "entropy": result.entropy, "extra": checks.extra(result), "price": checks.edit_price(result),
        "spill": checks.spill(result),
        "oracle_extra": result.extra.sel(variant="oracle"), "bayes_first": result.reader_accuracy.sel(reader="bayes", examples=0),
        "bayes_last": result.reader_accuracy.sel(reader="bayes", examples=last),
        "forgets_last": result.reader_accuracy.sel(reader="forgets", examples=last),
        "taught_last": result.as_taught.sel(variant="adversarial", examples=last),
        "adversary_before": result.accuracy.sel(variant="adversarial", examples=checks.before(result)),
        "plain_before": result.accuracy.sel(variant="plain", examples=checks.before(result)),
        "behind_right": result.behind_right.sel(variant="adversarial"), "plain_behind": result.behind_right.sel(variant="plain"),
        "behind_taught": result.behind_taught.sel(variant="adversarial"),
        "behind_cost": result.behind_cost.sel(variant="adversarial"),
        "behind_extra": paid_behind, "elsewhere": checks.extra(result) - paid_behind,
        "wrongness": checks.extra(result) - result.extra.sel(variant="oracle"),
        "excess": checks.extra(result) / result.divergence.sel(variant="plain"),
        "new_bayes": result.new_reader.sel(examples=last),
        "adversary_least": result.accuracy.sel(variant="adversarial", examples=least),
        "path_end": path.isel(step=-1), "path_first": path.isel(step=0),
        "new_best": result.path_new.sel(examples=last).max("step"), "new_end": result.path_new.sel(examples=last).isel(step=-1),
        "path_start": result.path_divergence.isel(step=0),
        "path_kl": result.path_divergence.isel(step=-1),
    }  # fmt: skip
    for name in checks.VARIANTS:
        spread |= {f"{name}_last": checks.right(result, name), f"{name}_kl": result.divergence.sel(variant=name)}
    for name, values in spread.items():
        found |= {name: float(values.median()), f"{name}_low": float(values.min()), f"{name}_high": float(values.max())}
    found |= {"spill_kept": int((checks.spill(result) > checks.SPILLS).sum()), "spill_bound": checks.SPILLS}
    found["close_bound"] = checks.CLOSE
    found["before_lower"] = int((spread["adversary_before"] < spread["plain_before"]).sum())
    found["extra_token"] = float(found["extra"]) / int(found["places"])
    found["extra_share"] = float((checks.extra(result) / result.entropy).median())
    return found
