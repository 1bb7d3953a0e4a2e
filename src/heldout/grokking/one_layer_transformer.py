"""A transformer of one layer memorizes its training sums within a hundred steps and generalizes within a few hundred more.

The network of Nanda et al. 2023 (arXiv 2301.05217, section 3) on a + b modulo a prime: attention over "a b =", one ReLU layer,
no layer normalization, read at the last place. The paper takes modulus 113 and 30 % of the pairs; here both are changed so that
it happens within seconds, on many seeds.

Axes: seed, step (updates made), set (train, test).
Deviations: the paper's learning rate is 0.001, ours 0.01; ten warm-up steps and the output for the sign "=" are left out; the
loss is the stable float32 cross-entropy of the book in place of a float64 one.
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
from heldout.grokking.modular import OPERATIONS, require_decay, require_modulus, require_train_fraction, split
from heldout.grokking.pair_networks import PairTransformer

numbers, describe = delay.numbers, delay.describe


@dataclass(frozen=True, kw_only=True)
class Config:
    """One recipe, and the seeds it is given to."""

    modulus: int = 59
    model_size: int = 48
    heads: int = 4
    hidden_size: int = 192
    operation: str = "add"
    train_fraction: float = 0.4  # share of the ordered pairs
    random_share: float = 0.0  # share of the training labels that is drawn at random
    learning_rate: float = 1e-2
    weight_decay: float = 1.5
    steps: int = 700
    probe_every: int = 20  # steps between two looks; a tenth of it at first
    num_seeds: int = 8
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require_train_fraction(self.train_fraction, self.modulus)
        require_decay(self.learning_rate, self.weight_decay)
        smallest = min(self.model_size, self.heads, self.hidden_size)
        require(smallest >= 1, "model_size, heads, hidden_size", smallest, "at least 1 each")
        require(self.model_size % self.heads == 0, "heads", self.heads, f"a divisor of model_size={self.model_size}")
        require(self.operation in OPERATIONS, "operation", self.operation, f"one of {', '.join(OPERATIONS)}")
        require(0 <= self.random_share <= 1, "random_share", self.random_share, "from 0 to 1")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(self.probe_every >= 1, "probe_every", self.probe_every, "at least 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    modulus=23, model_size=24, hidden_size=64, train_fraction=0.6, weight_decay=1.0, steps=250, num_seeds=2, first_seed=0
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    modulus=113, model_size=128, hidden_size=512, train_fraction=0.3, learning_rate=1e-3, weight_decay=1.0, steps=25_000,
    probe_every=100, num_seeds=5,
)  # fmt: skip


def member(config: Config, seed: int) -> PairTransformer:
    """The network of a seed before training."""
    start = generator("one-layer transformer", config.modulus, config.model_size, config.hidden_size, seed)
    return PairTransformer(
        config.modulus, generator=start, model_size=config.model_size, heads=config.heads, hidden_size=config.hidden_size
    )  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed on its own split; what is in the record stands at :func:`heldout.grokking.delay.record`."""
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    splits = [
        split(config.modulus, config.train_fraction, s, operation=config.operation, random_share=config.random_share)
        for s in seeds
    ]
    return delay.record(
        [member(config, seed) for seed in seeds], splits, seeds=seeds, table="embed", steps=config.steps,
        every=config.probe_every, learning_rate=config.learning_rate, weight_decay=config.weight_decay, device=device,
        progress=progress,
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Accuracy on training and held-out pairs against the step: every seed, and the median."""
    return delay.plot(result, ax)


_SHORT = replace(BOOK, num_seeds=2)
NO_DECAY = replace(_SHORT, weight_decay=0.0)
TOO_FEW = replace(_SHORT, train_fraction=0.2)
SUBTRACT = replace(_SHORT, operation="subtract", steps=200)

CLAIMS = (
    Claim(
        id="one_layer_transformer.generalizes_late",
        says="In at least seven of eight seeds the transformer reaches 99 % of the held-out sums and keeps them, more than twice "
        "as many steps after the start as it needs for the training sums.",
        rows=("S2.1", "S3.6"),
        source="this book; the network of Nanda et al. 2023, arXiv 2301.05217, section 3",
        check=partial(delay_checks.generalizes_late, times=2, share=7 / 8),
        control=Control(
            says="the same run without weight decay, two seeds",
            config=NO_DECAY,
            manipulation=delay_checks.memorizes,
        ),
    ),
    Claim(
        id="one_layer_transformer.ends_right",
        says="In at least seven of eight seeds more than 99 % of the held-out sums are right after the last step.",
        rows=("S2.1",),
        source="this book; the network of Nanda et al. 2023, arXiv 2301.05217, section 3",
        check=partial(delay_checks.ends_right, share=7 / 8),
        control=Control(
            says="half of the training pairs, two seeds",
            config=TOO_FEW,
            manipulation=delay_checks.memorizes,
        ),
    ),
    Claim(
        id="one_layer_transformer.mirror_first",
        says="When the training sums are known, held-out sums whose mirror image b + a was trained on are answered better than "
        "the others, by more than thirty percentage points in every seed.",
        rows=("S3.6",),
        source="this book",
        check=partial(delay_checks.mirror_first, above=0.3),
        control=Control(
            says="subtraction, for which the mirror image has another answer, two seeds",
            config=SUBTRACT,
            manipulation=delay_checks.memorizes_soon,
        ),
    ),
)
