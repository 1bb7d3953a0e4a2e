"""Steps to memorize and steps to generalize: what the experiments that train one recipe on many seeds record, draw and quote."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from torch import Tensor, nn

from heldout.ensemble import Snapshot
from heldout.experiment import variable
from heldout.figures import style
from heldout.grokking.fourier import gini, power
from heldout.grokking.modular import Split, mirrored
from heldout.grokking.training import LEARNED, curve_variables, delay_ratio, first_step, train_on_pairs


def probe_steps(steps: int, every: int) -> list[int]:
    """Every ``every`` steps, ten times as often over the first ``10 * every``, and the last step."""
    return sorted({*range(0, min(10 * every, steps), max(1, every // 10)), *range(0, steps, every), steps})


def modulus_of(splits: Sequence[Split]) -> int:
    """One more than the largest operand: a split holds every pair."""
    return int(max(torch.cat([split.train_pairs, split.test_pairs]).max() for split in splits)) + 1


class Extras:
    """Accuracy on the two kinds of held-out pairs, and two measures of the weights."""

    def __init__(self, splits: Sequence[Split], table: str) -> None:
        self._mirrored: list[Bool[Tensor, " test"]] = [mirrored(split) for split in splits]
        self._targets = [split.test_targets for split in splits]
        self._table, self._modulus = table, modulus_of(splits)

    def __call__(self, snapshot: Snapshot, _: Tensor, logits: Tensor) -> dict[str, Float[Tensor, " members"]]:
        """One number a member each."""
        members = snapshot.members.tolist()
        right = [o.argmax(-1).cpu() == self._targets[m] for m, o in zip(members, logits, strict=True)]
        kinds = [self._mirrored[m] for m in members]
        weights = dict(snapshot.named_states())
        # An embedding has one more row, for the sign "=".
        tables = torch.stack([weights[m][self._table][: self._modulus] for m in members])
        found = {
            "mirrored_accuracy": [r[k].float().mean() for r, k in zip(right, kinds, strict=True)],
            "unmirrored_accuracy": [r[~k].float().mean() for r, k in zip(right, kinds, strict=True)],
            "squared_norm": [torch.stack([w.square().sum() for w in weights[m].values()]).sum() for m in members],
        }
        return {name: torch.stack(values) for name, values in found.items()} | {"gini": gini(power(tables))}


def record(
    members: Sequence[nn.Module],
    splits: Sequence[Split],
    *,
    seeds: Sequence[int],
    table: str,
    steps: int,
    every: int,
    learning_rate: float,
    weight_decay: float,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> xr.Dataset:
    """Train one member a split and label what was seen.

    Returns:
        train_accuracy, train_loss, test_accuracy, test_loss, mirrored_accuracy, unmirrored_accuracy, squared_norm, gini (seed,
        step); learned and final (set, seed): the first probed step with 99 % right, NaN where none, and the last accuracy.
    """
    probed = probe_steps(steps, every)
    history = train_on_pairs(
        members, splits, steps=steps, probe_steps=probed, learning_rate=learning_rate, weight_decay=weight_decay,
        device=device, extra=Extras(splits, table), progress=progress,
    )  # fmt: skip
    names = {
        "mirrored_accuracy": "accuracy on held-out pairs whose mirror image is trained on",
        "unmirrored_accuracy": "accuracy on the other held-out pairs",
        "squared_norm": "sum of squared weights",
        "gini": "Gini coefficient of the numbers' Fourier power",
    }
    extra = {name: variable(("seed", "step"), history.values[name].T, says) for name, says in names.items()}
    result = xr.Dataset(
        {**curve_variables(history), **extra},
        {"seed": list(seeds), "step": variable("step", probed, "updates made", "updates")},
        {"modulus": modulus_of(splits), "num_train": len(splits[0].train_pairs)},
    )
    kinds = [result.train_accuracy, result.test_accuracy]
    result["learned"] = variable(
        ("set", "seed"), np.stack([first_step(a).values for a in kinds]), "first step with 99 % right", "updates"
    )
    result["final"] = variable(("set", "seed"), np.stack([a.isel(step=-1).values for a in kinds]), "last accuracy")
    return result.assign_coords(set=["train", "test"])


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Accuracy on training and held-out pairs against the step: every seed, and the median."""
    ax = style.axes(ax)
    seen = result.isel(step=slice(1, None))
    for name, color, label in (("train", style.GREEN, "training sums"), ("test", style.VERMILION, "held-out sums")):
        accuracy = seen[f"{name}_accuracy"]
        ax.plot(seen.step, accuracy.transpose("step", "seed"), color=color, alpha=0.35, linewidth=0.9)
        ax.plot(seen.step, accuracy.median("seed"), color=color, label=label, linewidth=2.2)
    corner = (float(seen.step[-1]), 1 / float(result.modulus))
    ax.axhline(corner[1], color=style.MUTED, linewidth=1, linestyle=(0, (1, 3)))
    ax.annotate("guessing", corner, xytext=(0, 4), textcoords="offset points", ha="right", color=style.MUTED)
    ax.set(xscale="log", xlabel="training step (log scale)", ylabel="share of sums answered correctly")
    ax.set_ylim(-0.03, 1.05)
    ax.legend(loc="center left", bbox_to_anchor=(0.0, 0.62))
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What pages quote: medians over seeds, with the smallest and the largest where a name says so."""
    ratio, last = delay_ratio(result), result.isel(step=-1)
    memorized = result.learned.sel(set="train")
    at_memorized = result.where(result.step == memorized).max("step")
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "steps": int(result.step[-1]),
        "modulus": int(result.modulus),
        "pairs": int(result.modulus) ** 2,
        "num_train": int(result.num_train),
        "num_test": int(result.modulus) ** 2 - int(result.num_train),
        "memorized": int((result.learned.sel(set="train") >= 0).sum()),
        "generalized": int((result.learned.sel(set="test") >= 0).sum()),
        "stayed": int((result.final.sel(set="test") >= LEARNED).sum()),
        "ratio": float(ratio.median()),
        "ratio_least": float(ratio.min()),
        "ratio_most": float(ratio.max()),
        "half_step": float(first_step(result.test_accuracy, 0.5).median()),
        "guess": 1 / int(result.modulus),
        "loss_of_guessing": float(np.log(result.modulus)),
        "worst_test_loss": float(result.test_loss.max("step").median()),
        "final_test": float(last.test_accuracy.median()),
        "final_test_least": float(last.test_accuracy.min()),
        "final_test_loss": float(last.test_loss.median()),
        "final_train_loss": float(last.train_loss.median()),
        "gini_first": float(result.gini.isel(step=0).median()),
        "gini_last": float(last.gini.median()),
        "gini_at_memorized": float(at_memorized.gini.median()),
        "norm_at_memorized": float(at_memorized.squared_norm.median()),
        "norm_last": float(last.squared_norm.median()),
        "test_at_memorized": float(at_memorized.test_accuracy.median()),
        "test_at_memorized_most": float(at_memorized.test_accuracy.max()),
        "mirrored_at_memorized": float(at_memorized.mirrored_accuracy.median()),
        "unmirrored_at_memorized": float(at_memorized.unmirrored_accuracy.median()),
        "train_loss_at_memorized": float(at_memorized.train_loss.median()),
    }
    for kind, name in (("train", "memorized_step"), ("test", "generalized_step")):
        steps = result.learned.sel(set=kind)
        found |= {name: float(steps.median()), f"{name}_first": float(steps.min()), f"{name}_last": float(steps.max())}
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Accuracy against the training step, on a logarithmic axis. The training sums are known after {n['memorized_step']:.0f} "
        f"steps; the held-out sums after {n['generalized_step']:.0f}, in {n['generalized']} of {n['seeds']} seeds (median); "
        f"half of the held-out sums after {n['half_step']:.0f}."
    )
