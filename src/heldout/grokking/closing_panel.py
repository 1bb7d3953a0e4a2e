"""Equal loss, different function: networks that know all training pairs equally well, and how far apart they are.

All learn addition modulo P from the same pairs of one seed and answer every training pair correctly. A network with squares is
trained with weight decay until it has grokked, and without, where it stays a memory; a one-layer transformer groks the same
pairs. One factor on the logits of each network makes their training cross-entropies equal. Distances are total variations
between their answers; see :mod:`heldout.distances`.

Axes: seed (of the split and the networks), pair (of networks), set (train, test, elsewhere). Test is the held-out pairs;
elsewhere is pairs whose first number is half one number and half another, the mean of two one-hot inputs. That is as near to the
inputs as a network can be asked and no pair of numbers: no right answer is needed, since networks are only compared. Beside them:
model.
Deviations: none from a paper; the panel is this book's.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from torch import Tensor

from heldout import distances
from heldout.claims import Claim, Control
from heldout.devices import generator
from heldout.distances import total_variation
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import panel
from heldout.grokking import closing_panel_checks as checks
from heldout.grokking import panel_models as models
from heldout.grokking.closing_panel_checks import (
    GROKKED,
    MEMORY,
    OTHER_GROKKED,
    OTHER_MEMORY,
    PAIRS,
    RULER,
    TRANSFORMER,
    UNITS,
)
from heldout.grokking.modular import Split, require_decay, require_modulus, require_train_fraction, split
from heldout.grokking.pair_networks import PairMLP, PairTransformer
from heldout.grokking.training import train_on_pairs
from heldout.losses import stable_cross_entropy

KEYS = ("memory", "memories", "transformer", "units")
MODELS = (GROKKED, OTHER_GROKKED, MEMORY, OTHER_MEMORY, TRANSFORMER)
OTHER_DRAW = 1_000_000  # added to a seed for other initial weights on the same pairs


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the panel."""

    modulus: int = 41
    train_fraction: float = 0.6
    hidden_size: int = 128  # of the network with squares
    model_size: int = 48  # of the transformer, with four heads and a hidden layer four times as wide
    steps: int = 500
    learning_rate: float = 1e-2
    weight_decay: float = 2.0
    transformer_decay: float = 1.5
    loss: float = 1e-3  # to which the training cross-entropies are matched, nats
    unit_size: float = 30.0  # of the three units' output weights
    num_elsewhere: int = 1000
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require_train_fraction(self.train_fraction, self.modulus)
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require(
            self.model_size >= 4 and self.model_size % 4 == 0, "model_size", self.model_size, "a positive multiple of 4"
        )
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require_decay(self.learning_rate, self.weight_decay)
        require_decay(self.learning_rate, self.transformer_decay)
        top = float(np.log(self.modulus))
        require(0 < self.loss < top, "loss", self.loss, f"above 0 and below log P = {top:.3g}")
        require(self.unit_size > 0, "unit_size", self.unit_size, "above 0")
        require(self.num_elsewhere >= 1, "num_elsewhere", self.num_elsewhere, "at least 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    modulus=23, train_fraction=0.8, hidden_size=48, model_size=24, steps=200, transformer_decay=0.7, num_elsewhere=100,
    num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    modulus=113, train_fraction=0.4, hidden_size=256, model_size=128, steps=6000, learning_rate=3e-3, num_elsewhere=5000,
    num_seeds=20,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every network on every seed and compare them.

    Returns:
        distance (seed, pair, set), loss_difference (seed, pair), yardstick (seed, set), natural (pair); train_accuracy,
        test_accuracy, test_loss (nats, at the matched temperature) and temperature_factor (seed, model). NaN where a training
        pair is wrong.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    splits = [split(config.modulus, config.train_fraction, seed) for seed in seeds]
    trained = _trained(config, seeds, splits, device, progress)
    measured, yardstick, facts = [], [], []
    for number, (seed, pairs) in enumerate(zip(seeds, splits, strict=True)):
        nets = {name: nets[number] for name, nets in trained.items()}
        grokked = nets[GROKKED]
        assert isinstance(grokked, PairMLP)
        nets[UNITS] = models.with_three_units(grokked, config.unit_size, seed)
        mixed, asked = models.halves(config.modulus, config.num_elsewhere, seed)
        found = {name: _evaluated(net, pairs, mixed, asked, config.loss) for name, net in nets.items()}
        predictions = {name: one[0] for name, one in found.items()}
        losses = {name: one[1]["train_loss"] for name, one in found.items()}
        compare = partial(distances.measure, predictions=predictions, losses=losses, distance=_distance)
        measured.append(compare(PAIRS))
        yardstick.append(compare([RULER])["distance"][0])
        facts.append([[found[name][1][what] for name in MODELS] for what in FACTS])
    record = distances.panel_dataset(PAIRS, seeds, measured, np.array(yardstick), "training cross-entropy in nats")
    added = {
        what: variable(("seed", "model"), np.array(facts)[:, row], *words)
        for row, (what, words) in enumerate(FACTS.items())
    }
    return record.assign_coords(model=list(MODELS)).assign(added).assign_attrs(modulus=config.modulus, loss=config.loss)


FACTS = {
    "train_accuracy": ("accuracy on training pairs", "1"),
    "test_accuracy": ("accuracy on held-out pairs", "1"),
    "test_loss": ("cross-entropy on held-out pairs at the matched temperature", "nats"),
    "temperature_factor": ("factor on the logits that matches the training loss", "1"),
}


def _trained(
    config: Config, seeds: list[int], splits: list[Split], device: torch.device, progress: Progress
) -> dict[str, list[models.Net]]:
    """Every trained network by name, one a seed."""
    squares: dict[str, list[models.Net]] = {
        name: [
            PairMLP(config.modulus, config.hidden_size, generator=generator("panel squares", seed + more))
            for seed in seeds
        ]
        for name, more in ((GROKKED, 0), (OTHER_GROKKED, OTHER_DRAW), (MEMORY, 0), (OTHER_MEMORY, OTHER_DRAW))
    }
    transformers: list[models.Net] = [
        PairTransformer(
            config.modulus, model_size=config.model_size, hidden_size=4 * config.model_size,
            generator=generator("panel transformer", seed),
        )
        for seed in seeds
    ]  # fmt: skip
    nets: dict[str, list[models.Net]] = {**squares, TRANSFORMER: transformers}
    decays = dict.fromkeys(MODELS, 0.0) | dict.fromkeys((GROKKED, OTHER_GROKKED), config.weight_decay)
    decays[TRANSFORMER] = config.transformer_decay
    for done, name in enumerate(MODELS):
        history = train_on_pairs(
            nets[name], splits, steps=config.steps, probe_steps=[config.steps], learning_rate=config.learning_rate,
            weight_decay=decays[name], device=device,
        )  # fmt: skip
        models.load(nets[name], history.states)
        progress(done + 1, len(MODELS))
    return nets


def _evaluated(
    net: models.Net, pairs: Split, mixed: Tensor, asked: Tensor, loss: float
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """A network's probabilities on each set at the matched temperature, and the facts about it."""
    train, test = models.answers(net, pairs.train_pairs), models.answers(net, pairs.test_pairs)
    factor = models.inverse_temperature(train, pairs.train_targets, loss)
    logits = {"train": train, "test": test, "elsewhere": models.answers(net, asked, mixed)}
    return {where: (factor * outputs).softmax(1) for where, outputs in logits.items()}, {
        "train_accuracy": float((train.argmax(1) == pairs.train_targets).double().mean()),
        "test_accuracy": float((test.argmax(1) == pairs.test_targets).double().mean()),
        "test_loss": float(stable_cross_entropy(factor * test, pairs.test_targets).mean()),
        "temperature_factor": factor,
        "train_loss": float(stable_cross_entropy(factor * train, pairs.train_targets).mean()),
    }


def _distance(f: Tensor, g: Tensor) -> float:
    """Total variation; NaN where a network has no matched temperature."""
    return total_variation(f, g) if bool(f.isfinite().all() and g.isfinite().all()) else float("nan")


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The closing panel; see :func:`heldout.figures.panel.plot`."""
    return panel.plot(result, ax)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds."""
    middle = result.median("seed")
    found: dict[str, float | int | str] = {
        f"{key}_{where}": float(middle.distance.sel(pair=pair.name, set=where))
        for key, pair in zip(KEYS, PAIRS, strict=True)
        for where in distances.SETS
    }
    found |= {f"yardstick_{where}": float(middle.yardstick.sel(set=where)) for where in distances.SETS}
    short = ("grokked", "grokked_other", "memory", "memory_other", "transformer")
    for key, model in zip(short, MODELS, strict=True):
        found |= {f"{key}_accuracy": float(middle.test_accuracy.sel(model=model))}
        found |= {f"{key}_loss": float(middle.test_loss.sel(model=model))}
    return found | {
        "modulus": int(result.modulus),
        "seeds": result.sizes["seed"],
        "loss": float(result.loss),
        "bound": 2 * float(result.loss),
        "loss_difference": float(result.loss_difference.max()),
        "matched": int(result.distance.notnull().all(["pair", "set"]).sum()),
    }


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    return panel.describe(result)


CLAIMS = (
    Claim(
        id="closing_panel.memory_parts_on_test",
        says="A memory and a grokked network of equal training loss are more than 0.5 apart on held-out pairs.",
        rows=("S2.1", "S3.6"),
        source="this book",
        check=checks.memory_parts,
        control=Control(
            says="two draws of the grokked network in the place of the two: one recipe, one decay",
            change=checks.rule_for_memory,
            manipulation=checks.matched,
        ),
    ),
    Claim(
        id="closing_panel.rule_agrees_on_test",
        says="Grokked networks of two draws, and of two architectures, are within 0.05 on held-out pairs, in four seeds of five.",
        rows=("S2.1", "S3.6"),
        source="this book",
        check=checks.rule_agrees,
        control=Control(
            says="two draws of the memory, trained as long on the same pairs to the same loss",
            change=checks.memory_for_rule,
            manipulation=checks.matched,
        ),
    ),
    Claim(
        id="closing_panel.mechanisms_part_elsewhere",
        says="Two pairs within 0.05 on training and on held-out pairs, square network and transformer, and a network with and "
        "without three more units, are 1.5 times as far apart on mixed numbers as two draws of one recipe, in 4 of 5 seeds.",
        rows=("S2.1", "S2.4"),
        source="this book",
        check=checks.parts_elsewhere,
        control=Control(
            says="two draws of the grokked recipe, one mechanism, in the place of every pair",
            change=checks.rule_for_memory,
            manipulation=checks.matched,
        ),
    ),
)
