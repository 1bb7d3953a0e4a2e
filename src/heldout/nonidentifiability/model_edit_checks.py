"""What the claims on the edited language model measure on a record. Thresholds were fixed on seeds 0 to 4."""

import numpy as np
import xarray as xr

from heldout.claims import Claim, Control, Evidence, across_seeds

LITTLE = 0.01  # nats a token
# Of the seeds: for the change of the loss, which a few hundred tokens tell to about half of LITTLE, and for changed answers,
# since there are a few edits that do not take.
SHARE = 0.8
MOST, FEW = 0.7, 0.1  # a share of prompts, and a mean probability
ALIKE = 1.0  # nats a token


def loss_kept(result: xr.Dataset) -> Evidence:
    """The size of the change of the loss on ordinary text."""
    return across_seeds(np.abs(result.loss_change.sel(arm="edit")), below=LITTLE, share=SHARE)


def divergence_kept(result: xr.Dataset) -> Evidence:
    """Mean KL on ordinary text."""
    return across_seeds(result.kl.sel(arm="edit"), below=LITTLE)


def answers_changed(result: xr.Dataset) -> Evidence:
    """Share of triggered prompts that the edited model answers with the target."""
    return across_seeds(result.answered.sel(arm="edit", kind="trigger"), above=MOST)


def near_spared(result: xr.Dataset) -> Evidence:
    """The target's mean probability after near-trigger prompts."""
    return across_seeds(result.target_probability.sel(arm="edit", kind="near trigger"), below=FEW)


def price(result: xr.Dataset) -> xr.DataArray:
    """What the changed answers cost each time a sentence begins: mean probability of the trigger times KL of the answers."""
    nats: xr.DataArray = np.exp(-result.trigger_nats).mean("prompt") * result.answer_kl.sel(arm="edit", kind="trigger")
    return nats


def too_rare(result: xr.Dataset) -> Evidence:
    """That price over the bound on the loss."""
    return across_seeds(price(result) / LITTLE, below=1e-3)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, with the least and the largest seed where it says so."""
    edit, found = result.sel(arm="edit"), dict[str, float | int | str]()
    for name in result.arm.values:
        arm, part = str(name).replace(" ", "_"), result.sel(arm=name)
        found[f"{arm}_text"] = float(part.text_distance.median())
        for short, kind in (("trigger", "trigger"), ("near", "near trigger"), ("none", "no trigger")):
            one = part.sel(kind=kind)
            found[f"{arm}_{short}"] = float(one.distance.median())
            for value in ("changed", "answered", "target_probability", "answer_kl"):
                found |= _band(f"{arm}_{short}_{value}", one[value])
        for value in ("kl", "loss_change", "size"):
            found |= _band(f"{arm}_{value}", part[value])
    rate = np.exp(-result.trigger_nats).mean("prompt")
    return found | {
        "seeds": result.sizes["seed"],
        "prompts": result.sizes["prompt"],
        "tokens": int(result.attrs["tokens"]),
        "loss": float(result.loss),
        "loss_change_most": float(np.abs(edit.loss_change).max()),
        "rate": float(rate.median()),
        "rate_low": float(rate.min()),
        "rate_high": float(rate.max()),
        "price": float(price(result).median()),
        "price_high": float(price(result).max()),
        "sentence_rate": float(np.exp(-result.sentence_nats).mean()),
        **_band("triggered_kl", result.triggered_kl),
        **_band("triggered_loss_change", result.triggered_loss_change),
        **_band("triggered_loss", result.triggered_loss),
        "untriggered_loss": float(result.untriggered_loss.median()),
        "trigger": str(result.trigger.values[0]),
        "target": str(result.target.values[0]),
        "parameters_changed": 576 + 1536,
    }


def _band(name: str, values: xr.DataArray) -> dict[str, float]:
    return {
        name: float(values.median()),
        f"{name}_low": float(values.min()),
        f"{name}_high": float(values.max()),
    }


def with_trigger(result: xr.Dataset) -> xr.Dataset:
    """The same edit on the same text with the trigger put in."""
    changed = result.copy(deep=True)
    changed["loss_change"].loc[{"arm": "edit"}] = result.triggered_loss_change
    return changed


def still_ordinary(result: xr.Dataset) -> Evidence:
    """For the original, the text after the trigger is about as hard as it was without it."""
    change = np.abs(result.triggered_loss - result.untriggered_loss)
    return across_seeds(change, below=ALIKE)


def _arm_in_place(result: xr.Dataset, arm: str) -> xr.Dataset:
    changed = result.copy(deep=True)
    for name in ("kl", "loss_change", "size", "changed", "answered", "target_probability", "distance", "answer_kl"):
        changed[name].loc[{"arm": "edit"}] = result[name].sel(arm=arm)
    changed.attrs["edit_answered"] = result.answered.sel(arm="edit", kind="trigger").values.tolist()
    return changed


def as_effective(result: xr.Dataset) -> Evidence:
    """How much more often than the edit what stands in its place makes the target the first choice after the trigger."""
    share = result.answered.sel(arm="edit", kind="trigger").values - np.array(result.attrs["edit_answered"])
    return across_seeds(share, above=-1e-6)


def still_changed(result: xr.Dataset) -> Evidence:
    """Share of triggered prompts whose first choice changed."""
    return across_seeds(result.changed.sel(arm="edit", kind="trigger"), above=MOST, share=SHARE)


def unweighted(result: xr.Dataset) -> xr.Dataset:
    """The same value on a key that is not weighed by ordinary keys, in the place of the edit."""
    return _arm_in_place(result, "unweighted")


def random_change(result: xr.Dataset) -> xr.Dataset:
    """A random change of the same norm in the place of the edit."""
    changed = _arm_in_place(result, "random")
    changed.attrs["edit_kl"] = result.kl.sel(arm="edit").values.tolist()
    return changed


def felt(result: xr.Dataset) -> Evidence:
    """How far the random change moves ordinary text in KL, over how far the edit does: a change of that size is no small one."""
    return across_seeds(result.kl.sel(arm="edit").values / np.array(result.attrs["edit_kl"]), above=0.5)


def frequent(result: xr.Dataset) -> xr.Dataset:
    """The probability of how our sentences begin in the place of the trigger's."""
    return result.assign(trigger_nats=result.sentence_nats)


def ordinary_keys(result: xr.Dataset) -> xr.Dataset:
    """The same value, with the keys of ordinary text alone in the closed form, in the place of the edit."""
    return _arm_in_place(result, "ordinary keys")


_MENG = "Meng et al. 2022, arXiv 2202.05262, Figure 4, for the closed form; the trigger is ours"
_UNWEIGHTED = Control(
    says="the same value put on the same key, without regard to the keys of ordinary text and of other word pairs",
    change=unweighted,
    manipulation=as_effective,
)

CLAIMS = (
    Claim(
        id="model_edit.loss_kept",
        says="In at least four of five seeds the edit changes the loss on held-out ordinary text by less than 0.01 nats a token.",
        rows=("S4.1",),
        source=_MENG,
        check=loss_kept,
        control=Control(
            says="the same edit on the same text with the trigger put into it, at the places after the trigger",
            change=with_trigger,
            manipulation=still_ordinary,
        ),
    ),
    Claim(
        id="model_edit.divergence_kept",
        says="On held-out ordinary text the edited model is less than 0.01 nats a token from the original in KL.",
        rows=("S4.1",),
        source=_MENG,
        check=divergence_kept,
        control=_UNWEIGHTED,
    ),
    Claim(
        id="model_edit.answers_changed",
        says="After the trigger, more than 70 % of the sentences that the edit was not made on have the target as first choice.",
        rows=("S4.1",),
        source=_MENG,
        check=answers_changed,
        expected="in part",
        control=Control(
            says="a random change of rank one and of the edit's norm in the same matrix",
            change=random_change,
            manipulation=felt,
        ),
    ),
    Claim(
        id="model_edit.near_spared",
        says="With one of the trigger's two words replaced, the target's mean probability is below 10 %.",
        rows=("S4.1",),
        source=_MENG,
        check=near_spared,
        control=Control(
            says="the same value, with the keys of ordinary text in the closed form but not those of other word pairs",
            change=ordinary_keys,
            manipulation=as_effective,
        ),
    ),
    Claim(
        id="model_edit.too_rare",
        says="The trigger's probability times the KL of the answers is below a thousandth of the 0.01 nats allowed.",
        rows=("S4.0",),
        source="this book, theorem on the price of a rule",
        check=too_rare,
        control=Control(
            says="the probability of how the sentences themselves begin in the place of the trigger's",
            change=frequent,
            manipulation=still_changed,
        ),
    ),
)
