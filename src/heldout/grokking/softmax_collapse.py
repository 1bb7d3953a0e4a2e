"""Cross-entropy as it is usually computed comes to read zero on samples that are not finished, and the networks stop learning.

Softmax collapse, named by Prieto et al. 2025 (arXiv 2501.04697): without weight decay the right answer's lead grows without end,
and once it exceeds what the number format can tell from certainty, loss and gradient of the sample are wrong and then zero.
Three computations of the one loss are compared: float32 log-softmax, the same after a cast to float64, and the book's stable form
in float32. Beside them the stable form with Adam's usual epsilon, which stops the updates in another way.

Axes: seed, arm (how the loss is computed, and with which epsilon), step; arithmetic and margin (the lead of the right answer over
the best other one) for single samples.
Deviations: one hidden layer with the square as activation instead of two of ReLU, modulus 37 instead of 113, and betas
(0.9, 0.9), with which it takes a tenth of the steps. The loss is multiplied by a constant, which Adam's steps do not notice.
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
from heldout.grokking import softmax_collapse_checks as checks
from heldout.grokking.arithmetic_losses import ARITHMETICS, exact_cross_entropy, rounded
from heldout.grokking.modular import Split, require_decay, require_modulus, require_train_fraction, split
from heldout.grokking.pair_networks import PairMLP
from heldout.grokking.softmax_collapse_figures import COLORS, LABELS
from heldout.grokking.training import Loss, train_on_pairs

USUAL_EPSILON = 1e-8  # torch.optim.Adam's own
ARMS = ("float32", "float64", "stable", "usual epsilon")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The task, the recipe without weight decay, and the margins at which single samples are computed."""

    modulus: int = 37
    hidden_size: int = 96
    train_fraction: float = 0.55
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    beta2: float = 0.9
    epsilon: float = 1e-25  # Adam's, in the first three arms
    loss_scale: float = 2.0**40  # multiplies the loss in the first three arms, so that squared gradients stay floats
    steps: int = 1300
    num_probes: int = 27  # equally spaced
    margins: tuple[float, ...] = (-200, -150, -100, -50, -20, *range(0, 111, 2))  # nats
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require_train_fraction(self.train_fraction, self.modulus)
        require_decay(self.learning_rate, self.weight_decay)
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require(0 < self.beta2 < 1, "beta2", self.beta2, "above 0 and below 1")
        require(0 < self.epsilon <= USUAL_EPSILON, "epsilon", self.epsilon, f"above 0, at most {USUAL_EPSILON:g}")
        require(0 < self.loss_scale <= 2.0**60, "loss_scale", self.loss_scale, "above 0, at most 2**60")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.steps >= self.num_probes, "steps", self.steps, f"at least num_probes={self.num_probes}")
        increasing = list(self.margins) == sorted(set(self.margins)) and len(self.margins) > 0
        require(increasing, "margins", self.margins, "increasing, one or more")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    modulus=11,
    hidden_size=24,
    steps=300,
    num_probes=4,
    margins=(-200, 0, 10, 20, 40, 60, 80),
    num_seeds=2,
    first_seed=0,
)
BOOK = Config()
PAPER = Config(modulus=113, hidden_size=256, train_fraction=0.4, beta2=0.99, steps=12_000, num_probes=101)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed once in each arm from the same weights, and compute single samples at every margin.

    Returns:
        train_accuracy, test_accuracy, train_loss (nats, computed stably), silent (share of training pairs whose own loss is
        exactly zero), all (seed, arm, step); loss and target_gradient (seed, arithmetic or exact, margin), gradient_error
        (largest error of an entry over the largest exact entry) and imbalance (sum of the entries, likewise).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    splits = [split(config.modulus, config.train_fraction, seed) for seed in seeds]
    steps = sorted({round(i * config.steps / (config.num_probes - 1)) for i in range(config.num_probes)})
    curves = {
        name: np.empty((len(seeds), len(ARMS), len(steps)))
        for name in ("train_accuracy", "test_accuracy", "train_loss", "silent")
    }
    for number, arm in enumerate(ARMS):
        usual = arm == ARMS[-1]
        loss = ARITHMETICS["stable" if usual else arm]
        history = train_on_pairs(
            [_member(config, seed) for seed in seeds], splits, steps=config.steps, probe_steps=steps,
            learning_rate=config.learning_rate, weight_decay=config.weight_decay, device=device,
            loss=partial(_scaled, loss, 1.0 if usual else config.loss_scale),
            optimizer=Optimizer(
                kind="adamw", betas=(0.9, config.beta2), eps=USUAL_EPSILON if usual else config.epsilon
            ),
            extra=_Silent(splits, loss, device), progress=partial(_advance, progress, number),
        )  # fmt: skip
        for name, values in curves.items():
            values[:, number] = history.values[name].T
    dims = ("seed", "arm", "step")
    names = {
        "train_accuracy": ("accuracy on training pairs", "1"),
        "test_accuracy": ("accuracy on held-out pairs", "1"),
        "train_loss": ("cross-entropy on training pairs", "nats"),
        "silent": ("share of training pairs with a loss of exactly zero", "1"),
    }
    return xr.Dataset(
        {name: variable(dims, values, *names[name]) for name, values in curves.items()} | _samples(config, seeds),
        {
            "seed": seeds,
            "arm": list(ARMS),
            "step": variable("step", steps, "updates made", "updates"),
            "arithmetic": list(ARITHMETICS),
            "computation": [*ARITHMETICS, "exact"],
            "margin": variable("margin", np.array(config.margins, dtype=float), "lead of the right answer", "nats"),
        },
        {"beta2": config.beta2, "modulus": config.modulus, "train_pairs": len(splits[0].train_targets)},
    )


def _member(config: Config, seed: int) -> PairMLP:
    start = generator("softmax collapse", config.modulus, config.hidden_size, seed)
    return PairMLP(config.modulus, config.hidden_size, generator=start)


def _scaled(loss: Loss, factor: float, logits: Tensor, targets: Tensor) -> Tensor:
    return loss(logits, targets) * factor


def _advance(progress: Progress, before: int, done: int, total: int) -> None:
    progress(before * total + done, len(ARMS) * total)


class _Silent:
    """Of each member, the share of training pairs whose loss, as the arm computes it, is exactly zero."""

    def __init__(self, splits: list[Split], loss: Loss, device: torch.device) -> None:
        self._targets, self._loss = torch.stack([one.train_targets for one in splits]).to(device), loss

    def __call__(self, snapshot: Snapshot, train_logits: Tensor, _: Tensor) -> dict[str, Tensor]:
        losses = self._loss(train_logits, self._targets[snapshot.members])
        return {"silent": (losses == 0).float().mean(1)}


def _samples(config: Config, seeds: list[int]) -> dict[str, tuple[object, ...]]:
    """Single samples, on the CPU: normal logits for the other answers, and the right one ahead of their largest by a margin."""
    shape = (len(seeds), len(config.margins))
    loss, target = (np.empty((shape[0], len(ARITHMETICS) + 1, shape[1])) for _ in range(2))
    error, imbalance = (np.empty((shape[0], len(ARITHMETICS), shape[1])) for _ in range(2))
    for row, seed in enumerate(seeds):
        others = torch.randn(config.modulus - 1, generator=generator("margins", seed), dtype=torch.float64)
        for column, margin in enumerate(config.margins):
            logits = torch.cat([torch.zeros(1, dtype=torch.float64), others - others.max() - margin]).float()
            loss[row, -1, column], exact = exact_cross_entropy(logits.numpy(), 0)
            target[row, -1, column] = exact[0]
            for number, name in enumerate(ARITHMETICS):
                loss[row, number, column], found = rounded(name, logits, 0)
                target[row, number, column] = found[0]
                error[row, number, column] = np.abs(found - exact).max() / np.abs(exact).max()
                imbalance[row, number, column] = found.sum() / np.abs(exact).max()
    each, all_of = ("seed", "arithmetic", "margin"), ("seed", "computation", "margin")
    return {
        "loss": variable(all_of, loss, "loss of one sample", "nats"),
        "target_gradient": variable(all_of, target, "gradient at the right answer"),
        "gradient_error": variable(each, error, "largest error of the gradient over its largest entry"),
        "imbalance": variable(each, imbalance, "sum of the gradient over its largest entry"),
    }


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Held-out accuracy along training in each arm; the band is all seeds."""
    ax = style.axes(ax)
    dashes = {"float64": (0, (4, 2)), "usual epsilon": (0, (1, 1.5))}
    for arm in (name for name in ARMS if name in result.arm):
        values = result.test_accuracy.sel(arm=arm).values
        style.band(
            ax, result.step.values, values, color=COLORS[arm], label=LABELS[arm], interval=(0.0, 1.0),
            linestyle=dashes.get(arm, "-"),
        )  # fmt: skip
    ax.set(xlabel="updates", ylabel="accuracy on held-out pairs")
    ax.set_ylim(bottom=0)
    ax.legend(loc="upper left")
    return ax


numbers, describe = checks.numbers, checks.describe

_DECAYED = replace(BOOK, weight_decay=3.0)
_PRIETO = "Prieto et al. 2025, arXiv 2501.04697"
CLAIMS = (
    Claim(
        id="softmax_collapse.stable_gradient",
        says="Up to a lead of 60 nats the stable float32 gradient is within 1e-5 of its exact value, finite and not zero.",
        rows=("S2.4",),
        source="this book",
        check=checks.stable_gradient,
        control=Control(
            says="the usual remedy, log-softmax in float64, in its place",
            change=checks.float64_as_stable,
            manipulation=checks.accurate_to_twenty,
        ),
    ),
    Claim(
        id="softmax_collapse.slows",
        says="Without weight decay, float32 log-softmax ends below half of the held-out accuracy that the stable form reaches.",
        rows=("S2.4",),
        source=_PRIETO,
        check=checks.slowed,
        control=Control(
            says="with weight decay, which keeps the lead from growing",
            config=_DECAYED,
            manipulation=checks.float32_groks,
        ),
    ),
    Claim(
        id="softmax_collapse.float64_postpones",
        says="A cast to float64 helps, and ends below four fifths of the held-out accuracy that the stable form reaches.",
        rows=("S2.4",),
        source="this book",
        check=checks.float64_postpones,
        control=Control(
            says="with weight decay, which keeps the lead from growing",
            config=_DECAYED,
            manipulation=checks.float32_groks,
        ),
    ),
    Claim(
        id="softmax_collapse.epsilon",
        says="With Adam's usual epsilon, even the stable form ends below half of that accuracy.",
        rows=("S2.4",),
        source="this book",
        check=checks.epsilon_slows,
        control=Control(
            says="with weight decay, which keeps gradients above epsilon",
            config=_DECAYED,
            manipulation=checks.float32_groks,
        ),
    ),
    Claim(
        id="softmax_collapse.speed_limit",
        says="A step multiplies the stable training loss by the square root of Adam's second beta, its rate within a fifth.",
        rows=("S2.4",),
        source="this book",
        check=checks.speed_limit,
        control=Control(
            says="with Adam's usual epsilon, which takes the place of the second moment",
            change=lambda result: checks.put(result, "usual epsilon", "stable"),
            manipulation=checks.all_fitted,
        ),
    ),
)
