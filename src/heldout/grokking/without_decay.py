"""Two proposals that make networks generalize without weight decay, on two networks: at one recipe each works on one of them.

StableMax puts a slowly growing function in the place of the softmax's exponential, so that no probability comes near one; the
orthogonal gradient leaves out the part of each step that only makes a tensor longer. Both are from Prieto et al. 2025 (arXiv
2501.04697). Beside them plain cross-entropy, stably computed, and weight decay, at one learning rate and equally many updates.

Axes: seed, network (square: one hidden layer with the square as activation; relu: two hidden layers of ReLU, as in the paper),
recipe (plain, stablemax, orthogonal, decay), step.
Deviations: modulus 37 and widths of 64, where the paper has 113 and 200; nothing is tuned to a method but the weight decay.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from torch import Tensor, nn

from heldout.claims import Claim, Control
from heldout.devices import generator
from heldout.ensemble import Optimizer, Snapshot
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import without_decay_checks as checks
from heldout.grokking.arithmetic_losses import stablemax_cross_entropy
from heldout.grokking.modular import require_decay, require_modulus, require_train_fraction, split
from heldout.grokking.pair_networks import DeepPairMLP, PairMLP
from heldout.grokking.training import train_on_pairs
from heldout.losses import stable_cross_entropy

NETWORKS = ("square", "relu")
METHODS = ("plain", "stablemax", "orthogonal", "decay")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The task, the two networks, and the recipe that all methods share."""

    modulus: int = 37
    hidden_size: int = 64  # of each hidden layer
    networks: tuple[str, ...] = NETWORKS
    methods: tuple[str, ...] = METHODS
    init_scale: float = 1.0  # of the initial weights of the network with the square
    train_fraction: float = 0.6
    learning_rate: float = 1e-2
    weight_decay: float = 1.0  # of the method called decay; the others have none
    beta2: float = 0.99
    epsilon: float = 1e-25  # Adam's
    steps: int = 1000
    num_probes: int = 51  # equally spaced
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require_train_fraction(self.train_fraction, self.modulus)
        require_decay(self.learning_rate, self.weight_decay)
        for field, known in (("networks", NETWORKS), ("methods", METHODS)):
            chosen = getattr(self, field)
            distinct = len(set(chosen)) == len(chosen) > 0 and set(chosen) <= set(known)
            require(distinct, field, chosen, f"one or more of {', '.join(known)}, each once")
        require(self.init_scale > 0, "init_scale", self.init_scale, "above 0")
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require(0 < self.beta2 < 1, "beta2", self.beta2, "above 0 and below 1")
        require(self.epsilon > 0, "epsilon", self.epsilon, "above 0")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.steps >= self.num_probes, "steps", self.steps, f"at least num_probes={self.num_probes}")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(modulus=11, hidden_size=16, train_fraction=0.7, steps=100, num_probes=6, num_seeds=2, first_seed=0)
BOOK = Config()
PAPER = Config(modulus=113, hidden_size=200, train_fraction=0.4, steps=5000, num_probes=101)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed, network and method, all methods from the same weights on the same split.

    Returns:
        train_accuracy, test_accuracy, train_loss (cross-entropy in nats, whatever the method's own loss) and norm (of all
        weights together), all (seed, network, recipe, step).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    splits = [split(config.modulus, config.train_fraction, seed) for seed in seeds]
    steps = sorted({round(i * config.steps / (config.num_probes - 1)) for i in range(config.num_probes)})
    names = {
        "train_accuracy": ("accuracy on training pairs", "1"),
        "test_accuracy": ("accuracy on held-out pairs", "1"),
        "train_loss": ("cross-entropy on training pairs", "nats"),
        "norm": ("norm of the weights", "1"),
    }
    shape = (len(seeds), len(config.networks), len(config.methods), len(steps))
    values = {name: np.empty(shape) for name in names}
    cases = [(network, method) for network in config.networks for method in config.methods]
    for number, (network, method) in enumerate(cases):
        history = train_on_pairs(
            [_member(config, network, seed) for seed in seeds], splits, steps=config.steps, probe_steps=steps,
            learning_rate=config.learning_rate, weight_decay=config.weight_decay if method == "decay" else 0.0,
            optimizer=Optimizer(
                kind="adamw", betas=(0.9, config.beta2), eps=config.epsilon, orthogonal=method == "orthogonal"
            ),
            loss=stablemax_cross_entropy if method == "stablemax" else stable_cross_entropy, extra=_norm, device=device,
            progress=partial(_advance, progress, number, len(cases)),
        )  # fmt: skip
        for name, array in values.items():
            array[:, config.networks.index(network), config.methods.index(method)] = history.values[name].T
    dims = ("seed", "network", "recipe", "step")
    return xr.Dataset(
        {name: variable(dims, array, *names[name]) for name, array in values.items()},
        {
            "seed": seeds,
            "network": list(config.networks),
            "recipe": list(config.methods),
            "step": variable("step", steps, "updates made", "updates"),
        },
        {"modulus": config.modulus, "train_pairs": len(splits[0].train_targets)},
    )


def _member(config: Config, network: str, seed: int) -> nn.Module:
    start = generator("without decay", network, config.modulus, config.hidden_size, seed)
    if network == "relu":
        return DeepPairMLP(config.modulus, config.hidden_size, generator=start)
    return PairMLP(config.modulus, config.hidden_size, generator=start, init_scale=config.init_scale)


def _norm(snapshot: Snapshot, train_logits: Tensor, _: Tensor) -> dict[str, Tensor]:
    states = dict(snapshot.named_states())
    squares = [sum(w.double().square().sum() for w in states[int(member)].values()) for member in snapshot.members]
    return {"norm": torch.stack([torch.as_tensor(s) for s in squares]).sqrt().to(train_logits.device)}


def _advance(progress: Progress, before: int, cases: int, done: int, total: int) -> None:
    progress(before * total + done, cases * total)


LABELS = {
    "plain": "plain cross-entropy",
    "stablemax": "StableMax",
    "orthogonal": "orthogonal gradient",
    "decay": "weight decay",
}
COLORS = dict(zip(METHODS, (style.VERMILION, style.GREEN, style.BLUE, style.PINK), strict=True))


def plot(result: xr.Dataset, ax: Axes | None = None, *, network: str = "relu") -> Axes:
    """Held-out accuracy along training with each method, on one of the networks; the band is all seeds."""
    ax = style.axes(ax)
    dashes = {"decay": (0, (4, 2)), "plain": (0, (1, 1.5))}
    for method in map(str, result.recipe.values):
        values = result.test_accuracy.sel(recipe=method, network=network).values
        style.band(
            ax, result.step.values, values, color=COLORS[method], label=LABELS[method], interval=(0.0, 1.0),
            linestyle=dashes.get(method, "-"),
        )  # fmt: skip
    ax.set(xlabel="updates", ylabel="accuracy on held-out pairs", ylim=(-0.03, 1.32), yticks=np.linspace(0, 1, 6))
    ax.legend(loc="upper center", ncols=2)  # above the curves, which fill the rest
    return ax


numbers, describe = checks.numbers, checks.describe

_PRIETO = "Prieto et al. 2025, arXiv 2501.04697"
CLAIMS = (
    Claim(
        id="without_decay.orthogonal",
        says="Without weight decay, the orthogonal gradient takes the network of two ReLU layers above 0.9 on held-out pairs.",
        rows=("S2.4",),
        source=_PRIETO,
        check=checks.orthogonal_generalizes,
        control=Control(
            says="the same updates with the gradient as it is",
            change=lambda result: checks.put(result, "plain", "orthogonal"),
            manipulation=checks.fitted("orthogonal", "relu"),
        ),
    ),
    Claim(
        id="without_decay.no_delay",
        says="It has no delay: nine tenths of the held-out pairs take less than twice the steps of the training pairs.",
        rows=("S2.4",),
        source=_PRIETO,
        check=checks.no_delay,
        expected="in part",
        control=Control(
            says="weight decay in its place",
            change=lambda result: checks.put(result, "decay", "orthogonal"),
            manipulation=checks.orthogonal_generalizes,
        ),
    ),
    Claim(
        id="without_decay.stablemax",
        says="On the network with the square, StableMax ends above twice the held-out accuracy of plain cross-entropy.",
        rows=("S2.4",),
        source=_PRIETO,
        check=checks.stablemax_helps,
        control=Control(
            says="plain cross-entropy in its place",
            change=checks.another_plain_draw,
            manipulation=checks.fitted("stablemax", "square"),
        ),
    ),
    Claim(
        id="without_decay.stablemax_relu",
        says="On two ReLU layers, StableMax ends below 0.1 after equally many updates.",
        rows=("S2.4",),
        source="this book",
        check=checks.stablemax_fails,
        control=Control(
            says="weight decay in its place",
            change=lambda result: checks.put(result, "decay", "stablemax"),
            manipulation=checks.fitted("stablemax", "relu"),
        ),
    ),
    Claim(
        id="without_decay.orthogonal_square",
        says="On the network with the square, the orthogonal gradient ends below 0.8.",
        rows=("S2.4",),
        source="this book",
        check=checks.orthogonal_fails,
        control=Control(
            says="the same network begun with weights 2.5 times as large",
            config=replace(
                BOOK, networks=("square",), methods=("orthogonal",), init_scale=2.5, steps=500, num_probes=26
            ),
            manipulation=checks.fitted("orthogonal", "square"),
        ),
    ),
)
