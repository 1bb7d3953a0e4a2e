"""Numbers that the page on a real language model quotes from a record."""

import numpy as np
import xarray as xr
from scipy import stats

from heldout.connecting_dots.word_pairs import COUNT, DIFFERENT, FAMILIES, RELATIONS
from heldout.connecting_dots.word_relations_checks import GAIN, SCORES, different, family, right_label, said
from heldout.connecting_dots.word_rows import TRAINED


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: means over seeds, with the least and the largest seed where the name says so."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "steps": result.sizes["step"], "relations": different(result).sizes["relation"],
        "labels": len(DIFFERENT), "chance": 1 / len(DIFFERENT), "width": result.sizes["entry"],
        "templates": result.sizes["template"], "order_chance": 1 / 3, "meaning_chance": 0.5,
    }  # fmt: skip
    for arm in result.arm.values.tolist():
        own = different(result).sel(arm=arm)
        for name in ("own", "true", "held_out", "kind"):
            found |= _band(f"{arm}_{name}", own[name].mean("relation"))
        for score in SCORES:
            found |= _band(f"{arm}_{score}", said(result, score).sel(arm=arm))
            found |= _band(
                f"{arm}_{score}_one",
                right_label(result, score, DIFFERENT).sel(arm=arm, template="means").mean("relation"),
            )
            for name in FAMILIES:
                found |= _band(f"{arm}_{name}_{score}", family(result, name, score).sel(arm=arm))
    named = right_label(result, "raw", DIFFERENT)
    for name in result.relation.values.tolist():
        one = result.sel(relation=name)
        found |= {
            f"{name}_own": float(one.own.sel(arm="real").mean()),
            f"{name}_held_out": float(one.held_out.sel(arm="real").mean()),
            f"{name}_in_context": float(one.in_context.mean()),
        }
        found |= {
            f"{arm}_{name}_raw": float(named.sel(relation=name, arm=arm).mean())
            for arm in result.arm.values.tolist()
            if name in DIFFERENT
        }
    order = family(result, "order")
    gain = order.sel(arm="real") - order.sel(arm="shuffled")
    found |= {"order_leads": int((gain > GAIN).sum()), "order_trails": int((gain < 0).sum())}
    found |= gap(result) | leads(result) | shuffled_answers(result) | losses(result)
    found["in_context"] = float(different(result).in_context.mean())
    for name in ("stated", "shown"):
        sums = result[name].sel(rule=[rule for rule in result.rule.values if rule])
        found |= _band(f"{name}_sum", sums.mean("rule")) | _band(f"{name}_copy", result[name].sel(rule=0))
    return found


def _band(name: str, values: xr.DataArray) -> dict[str, float]:
    return {name: float(values.mean()), f"{name}_low": float(values.min()), f"{name}_high": float(values.max())}


def gap(result: xr.Dataset) -> dict[str, float]:
    """Relations named, raw: real less shuffled with a 95 % interval over seeds (Student's t), and what shuffled pairs keep."""
    above = said(result) - 1 / len(DIFFERENT)
    real, shuffled = above.sel(arm="real", drop=True), above.sel(arm="shuffled", drop=True)
    by_seed, count = (real - shuffled).values, result.sizes["seed"]
    reach = float(stats.t.ppf(0.975, count - 1) * by_seed.std(ddof=1) / count**0.5) if count > 1 else float("nan")
    mean, ratio = float(by_seed.mean()), (shuffled / real.where(real > 0)).values
    return {
        "kept": float(shuffled.mean() / real.mean()) if real.mean() else float("nan"),
        "kept_low": float(np.min(ratio)), "kept_high": float(np.max(ratio)),
        "gap": mean, "gap_low": mean - reach, "gap_high": mean + reach,
    }  # fmt: skip


def leads(result: xr.Dataset) -> dict[str, float]:
    """In how many seeds real pairs lead with the first sentence, and trail, by way of scoring."""
    found: dict[str, float] = {}
    for score in SCORES:
        one = right_label(result, score, DIFFERENT).sel(template="means").mean("relation")
        lead = one.sel(arm="real") - one.sel(arm="shuffled")
        found |= {f"{score}_one_leads": int((lead > 0).sum()), f"{score}_one_trails": int((lead < 0).sum())}
    return found


def shuffled_answers(result: xr.Dataset) -> dict[str, float]:
    """What rows trained on shuffled pairs answer to held-out inputs: kinds by relation, and how much of it was shown to them."""
    own, shown, listed = different(result).sel(arm="shuffled"), 0, 0
    for name in own.relation.values.tolist():
        words = {answer for _, answer in RELATIONS[name]}
        for said_by, wanted in zip(
            own.said.sel(relation=name).values, own.wanted.sel(relation=name).values, strict=True
        ):
            answers = [word for word in said_by.tolist() if word in words]
            listed += len(answers)
            shown += sum(word not in set(wanted.tolist()) for word in answers)
    kinds = own.kind.mean("seed")
    return {f"shuffled_kind_{name}": float(kinds.sel(relation=name)) for name in own.relation.values.tolist()} | {
        "shuffled_shown": shown / listed if listed else float("nan"), "pairs": COUNT, "trained": TRAINED,
    }  # fmt: skip


def losses(result: xr.Dataset) -> dict[str, float]:
    """Nats a pair over the last four updates, by relation; the worst shuffled row; and how often *opposite* is said."""
    found: dict[str, float] = {"guess_loss": float(np.log(TRAINED))}
    ends = different(result).loss.isel(step=slice(-4, None)).mean("step")
    for arm in result.trained_arm.values.tolist():
        found |= _band(f"{arm}_loss", ends.sel(trained_arm=arm).mean("seed"))
    found["shuffled_loss_worst"] = float(ends.sel(trained_arm="shuffled").max())
    members = [name for name in FAMILIES["meaning"] if name in result.relation.values]
    first = result.label_nats.sel(relation=members, label=list(FAMILIES["meaning"]))
    said_more = first.sel(label="opposite") > first.sel(label="synonym")
    for arm in result.arm.values.tolist():
        values = said_more.sel(arm=arm).values
        found[f"{arm}_opposite_said"] = float(values.mean()) if values.size else float("nan")
    return found
