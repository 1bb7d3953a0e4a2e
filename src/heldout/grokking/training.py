"""Many seeds of one modular task trained at once, and the step at which each memorizes and generalizes."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from heldout.ensemble import History, Optimizer, Snapshot, train
from heldout.experiment import variable
from heldout.grokking.modular import Split, training_data
from heldout.losses import stable_cross_entropy

# Nanda et al.'s betas; without their ten warm-up steps.
ADAMW = Optimizer(kind="adamw", betas=(0.9, 0.98))
LEARNED = 0.99  # the accuracy from which a set counts as learned

Loss = Callable[[Tensor, Tensor], Tensor]


class Curves:
    """A probe: accuracy and cross-entropy (nats) on each member's training and held-out pairs.

    ``extra`` may add measures of its own, from the snapshot and the logits on both sets.
    """

    def __init__(
        self,
        splits: Sequence[Split],
        device: torch.device,
        *,
        extra: Callable[[Snapshot, Tensor, Tensor], dict[str, Tensor]] | None = None,
    ) -> None:
        self._extra = extra
        self._sets = {
            name: (torch.stack(pairs).to(device), torch.stack(targets).to(device))
            for name, pairs, targets in (
                ("train", [s.train_pairs for s in splits], [s.train_targets for s in splits]),
                ("test", [s.test_pairs for s in splits], [s.test_targets for s in splits]),
            )
        }

    def __call__(self, snapshot: Snapshot) -> dict[str, Float[Tensor, " members"]]:
        """The four measures of every member, and what ``extra`` adds."""
        found, logits = {}, []
        for name, (pairs, targets) in self._sets.items():
            outputs, wanted = snapshot.predict(pairs, per_stream=True), targets[snapshot.members]
            logits.append(outputs)
            found[f"{name}_accuracy"] = (outputs.argmax(-1) == wanted).float().mean(1)
            found[f"{name}_loss"] = stable_cross_entropy(outputs, wanted).mean(1)
        return found | (self._extra(snapshot, *logits) if self._extra else {})


def train_on_pairs(
    members: Sequence[nn.Module],
    splits: Sequence[Split],
    *,
    steps: int,
    probe_steps: Sequence[int],
    learning_rate: float | Sequence[float],
    weight_decay: float | Sequence[float],
    device: torch.device,
    optimizer: Optimizer = ADAMW,
    loss: Loss = stable_cross_entropy,
    extra: Callable[[Snapshot, Tensor, Tensor], dict[str, Tensor]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> History:
    """Full-batch training of one member a split, all splits of one size, with :class:`Curves` at the probes.

    The history's values are named train_accuracy, train_loss, test_accuracy and test_loss.
    """
    return train(
        members, training_data(splits), steps=steps, learning_rate=learning_rate, weight_decay=weight_decay,
        optimizer=optimizer, loss=loss, probe=Curves(splits, device, extra=extra), probe_steps=probe_steps,
        device=device, progress=progress,
    )  # fmt: skip


def curve_variables(history: History, dims: tuple[str, ...] = ("seed", "step")) -> dict[str, tuple[object, ...]]:
    """The four curves of a history whose members are seeds, ready for ``xr.Dataset``."""
    names = {"train": "training", "test": "held-out"}
    units = {"accuracy": ("accuracy on", "1"), "loss": ("cross-entropy on", "nats")}
    return {
        f"{which}_{what}": variable(
            dims, history.values[f"{which}_{what}"].T, f"{units[what][0]} {names[which]} pairs", units[what][1]
        )
        for which in names
        for what in units
    }


def first_step(accuracy: xr.DataArray, threshold: float = LEARNED) -> xr.DataArray:
    """The first probed step at which an accuracy is at least the threshold; NaN where it never is. Drops ``step``."""
    reached = accuracy >= threshold
    steps: xr.DataArray = accuracy.step.where(reached).min("step")
    return steps


def delay_ratio(result: xr.Dataset) -> xr.DataArray:
    """How many times as many steps the held-out pairs took as the training pairs; infinite where never learned.

    NaN where the training pairs were not learned either.
    """
    memorized, generalized = first_step(result.train_accuracy), first_step(result.test_accuracy)
    ratio: xr.DataArray = (generalized / memorized).fillna(np.inf).where(memorized.notnull())
    return ratio
