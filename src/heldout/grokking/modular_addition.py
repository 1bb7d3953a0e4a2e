"""A network knows its training sums after some fifty steps and the sums it has never seen after a thousand more.

Grokking, found by Power et al. 2022 (arXiv 2201.02177), on a network with one hidden layer and the square as its activation, the
one of Gromov 2023 (arXiv 2301.02679, equation 1): a + b modulo a prime, from a share of the pairs. Many seeds, each with its
own weights and its own split.

Axes: seed, step (updates made), set (train, test).
Deviations: cross-entropy and full-batch AdamW with Nanda et al.'s betas, where Gromov has a squared error; weight decay 0.3 and
learning rate 0.01 were chosen so that it happens within seconds.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require
from heldout.grokking import delay, delay_checks
from heldout.grokking.modular import OPERATIONS, Split, require_decay, require_modulus, require_train_fraction, split
from heldout.grokking.pair_networks import ACTIVATIONS, PairMLP

numbers, describe = delay.numbers, delay.describe


@dataclass(frozen=True, kw_only=True)
class Config:
    """One recipe, and the seeds it is given to."""

    modulus: int = 59
    hidden_size: int = 128
    activation: str = "square"
    operation: str = "add"
    train_fraction: float = 0.4  # share of the ordered pairs
    random_share: float = 0.0  # share of the training labels that is drawn at random
    learning_rate: float = 1e-2
    weight_decay: float = 0.3
    steps: int = 1500
    probe_every: int = 20  # steps between two looks; a tenth of it at first
    num_seeds: int = 10
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require_train_fraction(self.train_fraction, self.modulus)
        require_decay(self.learning_rate, self.weight_decay)
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require(self.activation in ACTIVATIONS, "activation", self.activation, f"one of {', '.join(ACTIVATIONS)}")
        require(self.operation in OPERATIONS, "operation", self.operation, f"one of {', '.join(OPERATIONS)}")
        require(0 <= self.random_share <= 1, "random_share", self.random_share, "from 0 to 1")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(self.probe_every >= 1, "probe_every", self.probe_every, "at least 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(modulus=23, hidden_size=48, train_fraction=0.6, weight_decay=1.0, steps=300, num_seeds=2, first_seed=0)
BOOK = Config()
PAPER = Config(modulus=113, hidden_size=256, train_fraction=0.3, steps=4000)


def member(config: Config, seed: int) -> PairMLP:
    """The network of a seed before training."""
    start = generator("modular addition", config.modulus, config.hidden_size, seed)
    return PairMLP(config.modulus, config.hidden_size, generator=start, activation=config.activation)


def split_of(config: Config, seed: int) -> Split:
    """The pairs of a seed."""
    return split(
        config.modulus, config.train_fraction, seed, operation=config.operation, random_share=config.random_share
    )


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed on its own split; what is in the record stands at :func:`heldout.grokking.delay.record`."""
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    return delay.record(
        [member(config, seed) for seed in seeds], [split_of(config, seed) for seed in seeds], seeds=seeds, table="left",
        steps=config.steps, every=config.probe_every, learning_rate=config.learning_rate,
        weight_decay=config.weight_decay, device=device, progress=progress,
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Accuracy on training and held-out pairs against the step: every seed, and the median."""
    return delay.plot(result, ax)


_SHORT = replace(BOOK, num_seeds=2)
NO_DECAY = replace(_SHORT, weight_decay=0.0)
RANDOM_LABELS = replace(_SHORT, random_share=1.0)
TOO_FEW = replace(_SHORT, train_fraction=0.2)
MANY = replace(_SHORT, train_fraction=0.8, steps=400)

CLAIMS = (
    Claim(
        id="modular_addition.generalizes_late",
        says="In at least nine of ten seeds the network reaches 99 % of the held-out sums and keeps them, more than ten times as "
        "many steps after the start as it needs for the training sums.",
        rows=("S2.1", "S3.6"),
        source="this book; the phenomenon of Power et al. 2022, arXiv 2201.02177, figure 1",
        check=partial(delay_checks.generalizes_late, times=10, share=0.9),
        control=Control(
            says="the same run without weight decay, two seeds",
            config=NO_DECAY,
            manipulation=delay_checks.memorizes,
        ),
    ),
    Claim(
        id="modular_addition.ends_right",
        says="In at least nine of ten seeds more than 99 % of the held-out sums are right after the last step.",
        rows=("S2.1",),
        source="this book; the task of Power et al. 2022, arXiv 2201.02177",
        check=partial(delay_checks.ends_right, share=0.9),
        control=Control(
            says="the same pairs with random training labels, two seeds",
            config=RANDOM_LABELS,
            manipulation=delay_checks.memorizes,
        ),
    ),
    Claim(
        id="modular_addition.ends_sure",
        says="In at least nine of ten seeds a held-out sum costs less than 0.1 nats after the last step.",
        rows=("S2.1",),
        source="this book; the task of Power et al. 2022, arXiv 2201.02177",
        check=partial(delay_checks.ends_sure, share=0.9),
        control=Control(
            says="half of the training pairs, two seeds",
            config=TOO_FEW,
            manipulation=delay_checks.memorizes,
        ),
    ),
    Claim(
        id="modular_addition.not_yet",
        says="When the training sums are known, fewer than one in ten of the held-out ones are right.",
        rows=("S3.6",),
        source="this book; the phenomenon of Power et al. 2022, arXiv 2201.02177, figure 1",
        check=partial(delay_checks.not_yet, below=0.1),
        control=Control(
            says="twice the training pairs, two seeds: the held-out sums follow soon",
            config=MANY,
            manipulation=delay_checks.learns_both,
        ),
    ),
)
