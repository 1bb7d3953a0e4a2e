"""The loss of a network trained with Adam leaps up again and again when its cross-entropy rounds, and does not when it does not.

Slingshots, found by Thilak et al. 2022 (arXiv 2206.04817): late in training without weight decay the last layer grows, the loss
leaps, and it falls again. Liu et al. 2026 (arXiv 2605.06152) trace them to rounding: past a lead of some 17 nats the float32
gradient of the right answer is zero while those of the wrong answers are not, so their sum drives the mean of the last layer's
rows. Here the same networks are trained with the float32, the float64 and the stable loss, and with the last and weight decay.

Axes: seed, arm (how the loss is computed, and weight decay), step.
Deviations: two hidden layers of ReLU on sums modulo a prime, where Thilak et al.'s first example has pictures.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control
from heldout.devices import generator
from heldout.ensemble import Optimizer, Snapshot
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import slingshots_checks as checks
from heldout.grokking.arithmetic_losses import ARITHMETICS
from heldout.grokking.modular import require_decay, require_modulus, require_train_fraction, split
from heldout.grokking.pair_networks import DeepPairMLP
from heldout.grokking.training import train_on_pairs

ARMS = ("float32", "float64", "stable", "decay")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The task, the network, and Adam as it usually is."""

    modulus: int = 31
    hidden_size: int = 64  # of each hidden layer
    train_fraction: float = 0.6
    arms: tuple[str, ...] = ARMS
    learning_rate: float = 1e-2
    weight_decay: float = 1.0  # of the arm called decay; the others have none
    beta2: float = 0.95
    epsilon: float = 1e-8  # Adam's
    steps: int = 1400
    probe_every: int = 10  # steps
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require_train_fraction(self.train_fraction, self.modulus)
        require_decay(self.learning_rate, self.weight_decay)
        distinct = len(set(self.arms)) == len(self.arms) > 0 and set(self.arms) <= set(ARMS)
        require(distinct, "arms", self.arms, f"one or more of {', '.join(ARMS)}, each once")
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require(0 < self.beta2 < 1, "beta2", self.beta2, "above 0 and below 1")
        require(self.epsilon > 0, "epsilon", self.epsilon, "above 0")
        require(self.probe_every >= 1, "probe_every", self.probe_every, "at least 1")
        require(self.steps >= self.probe_every, "steps", self.steps, f"at least probe_every={self.probe_every}")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(modulus=11, hidden_size=24, steps=200, num_seeds=2, first_seed=0)
BOOK = Config()
PAPER = Config(modulus=113, hidden_size=200, train_fraction=0.4, steps=5000)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed in each arm, from the same weights on the same split.

    Returns:
        train_accuracy, test_accuracy, train_loss (nats, computed stably), last_norm (of the last layer's weights) and mean_norm
        (of the mean of its rows, one row an answer), all (seed, arm, step).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    splits = [split(config.modulus, config.train_fraction, seed) for seed in seeds]
    steps = list(range(0, config.steps + 1, config.probe_every))
    names = {
        "train_accuracy": ("accuracy on training pairs", "1"),
        "test_accuracy": ("accuracy on held-out pairs", "1"),
        "train_loss": ("cross-entropy on training pairs", "nats"),
        "last_norm": ("norm of the last layer", "1"),
        "mean_norm": ("norm of the mean row of the last layer", "1"),
    }
    values = {name: np.empty((len(seeds), len(config.arms), len(steps))) for name in names}
    for number, arm in enumerate(config.arms):
        starts = [generator("slingshots", config.modulus, config.hidden_size, seed) for seed in seeds]
        history = train_on_pairs(
            [DeepPairMLP(config.modulus, config.hidden_size, generator=start) for start in starts], splits,
            steps=config.steps, probe_steps=steps, learning_rate=config.learning_rate,
            weight_decay=config.weight_decay if arm == "decay" else 0.0,
            optimizer=Optimizer(kind="adamw", betas=(0.9, config.beta2), eps=config.epsilon),
            loss=ARITHMETICS["stable" if arm == "decay" else arm], extra=_last_layer, device=device,
            progress=partial(_advance, progress, number, len(config.arms)),
        )  # fmt: skip
        for name, array in values.items():
            array[:, number] = history.values[name].T
    return xr.Dataset(
        {name: variable(("seed", "arm", "step"), array, *names[name]) for name, array in values.items()},
        {
            "seed": seeds,
            "arm": list(config.arms),
            "step": variable("step", steps, "updates made", "updates"),
        },
        {"modulus": config.modulus, "train_pairs": len(splits[0].train_targets)},
    )


def _last_layer(snapshot: Snapshot, train_logits: Tensor, _: Tensor) -> dict[str, Tensor]:
    states = dict(snapshot.named_states())
    last = torch.stack([states[int(member)]["unembed"] for member in snapshot.members]).to(train_logits.device)
    return {"last_norm": last.flatten(1).norm(dim=1), "mean_norm": last.mean(1).norm(dim=1)}


def _advance(progress: Progress, before: int, arms: int, done: int, total: int) -> None:
    progress(before * total + done, arms * total)


LABELS = {"float32": "float32 log-softmax", "stable": "stable, in float32", "float64": "float64 log-softmax"}
COLORS = {"float32": style.VERMILION, "float64": style.ORANGE, "stable": style.BLUE}


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Training loss along training without weight decay, each seed a line."""
    ax = style.axes(ax)
    for arm in (name for name in LABELS if name in result.arm):
        curves = result.train_loss.sel(arm=arm).values
        for number, curve in enumerate(curves):
            ax.plot(
                result.step.values, curve, color=COLORS[arm], linewidth=1, label=None if number else LABELS[arm],
                linestyle=(0, (4, 3)) if arm == "float64" else "-",
            )  # fmt: skip
    ax.set(yscale="log", xlabel="updates", ylabel="training loss, nats (log scale)")
    ax.set_ylim(top=1e4)  # room for the legend above the leaps
    ax.legend(loc="upper right")
    return ax


numbers, describe = checks.numbers, checks.describe

_LARGE_EPSILON = replace(BOOK, epsilon=1e-5, arms=("float32", "stable"))
_THILAK, _LIU = "Thilak et al. 2022, arXiv 2206.04817", "Liu et al. 2026, arXiv 2605.06152"
CLAIMS = (
    Claim(
        id="slingshots.float32",
        says="Without weight decay and with the float32 loss, the training loss leaps at least twice.",
        rows=("S2.4",),
        source=_THILAK,
        check=checks.leaps_twice,
        control=Control(
            says="Adam's epsilon a thousand times as large, which limits steps along small gradients",
            config=_LARGE_EPSILON,
            manipulation=checks.fitted("float32"),
        ),
    ),
    Claim(
        id="slingshots.vanish",
        says="With the float64 and with the stable loss it never leaps in as many updates.",
        rows=("S2.4",),
        source=_LIU,
        check=checks.never_leaps,
        control=Control(
            says="the float32 loss in the place of the stable one",
            change=lambda result: checks.put(result, "float32", "stable"),
            manipulation=checks.fitted("stable"),
        ),
    ),
    Claim(
        id="slingshots.drift",
        says="The mean row of the last layer ends more than three times as long with the float32 loss as with the stable one.",
        rows=("S2.4",),
        source=_LIU,
        check=checks.drifts,
        control=Control(
            says="Adam's epsilon a thousand times as large",
            config=_LARGE_EPSILON,
            manipulation=checks.fitted("float32"),
        ),
    ),
    Claim(
        id="slingshots.not_enough",
        says="The leaps do not make these networks generalize: held-out accuracy after them is below 0.1.",
        rows=("S2.4", "S2.1"),
        source="this book",
        check=checks.not_enough,
        control=Control(
            says="weight decay and the stable loss",
            change=lambda result: checks.put(result, "decay", "float32"),
            manipulation=checks.fitted("float32"),
        ),
    ),
    Claim(
        id="slingshots.not_needed",
        says="With weight decay and the stable loss they generalize, above 0.8 on held-out pairs, without a leap.",
        rows=("S2.4", "S2.1"),
        source="this book",
        check=checks.not_needed,
        control=Control(
            says="without weight decay",
            change=lambda result: checks.put(result, "stable", "decay"),
            manipulation=checks.fitted("decay"),
        ),
    ),
)
