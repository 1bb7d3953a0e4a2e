"""A language model with factors moved about in its last block is the same function, and plain SGD fine-tunes it less well.

SmolLM2-135M-Instruct; factors move between a norm's scale and the matrices after it, between ``up`` and ``down`` by unit, between
``value`` and ``out`` and between ``query`` and ``key`` by channel. Reizinger et al. 2024 (arXiv 2405.01964), case study on
fine-tuning: models with one function need not be equally easy to fine-tune. Dinh et al. 2017 (arXiv 1703.04933): rescaling.

Axes: optimizer, twin, rate, seed (factors, task and order of mini-batches); precision.
Deviations: the language model, its rescaling and the task are ours. Only the last block is rescaled and trained; ten words
compete, not the whole vocabulary; a few updates of small mini-batches.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.language_model import Block, loaded
from heldout.nonidentifiability import model_twin_runs as runs
from heldout.nonidentifiability.llama_rescaling import balanced, rescaled, spread_factors
from heldout.nonidentifiability.model_twin_checks import BALANCED, CLAIMS, ORIGINAL, RESCALED, TWINS, numbers

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "describe", "numbers", "plot", "run"]

PRECISIONS = {"single": torch.float32, "double": torch.float64}
MOST = 10.0  # nats: a figure draws no larger loss


@dataclass(frozen=True, kw_only=True)
class Config:
    """How far the factors spread, and how the twins are fine-tuned."""

    spread: float = 10.0
    steps: int = 10
    batch_size: int = 10
    sgd_rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 0.1, 1.0)
    adam_rates: tuple[float, ...] = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
    rounds: int = 20  # of balancing
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.spread > 1, "spread", self.spread, "above 1")
        for name in ("steps", "batch_size", "rounds", "num_seeds"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("sgd_rates", "adam_rates"):
            rates = getattr(self, name)
            require(
                len(rates) >= 1 and list(rates) == sorted(set(rates)) and rates[0] > 0,
                name,
                rates,
                "increasing, above 0",
            )
        same = len(self.sgd_rates) == len(self.adam_rates)
        require(same, "adam_rates", self.adam_rates, f"as many as sgd_rates={self.sgd_rates}")


SMOKE = Config(steps=1, batch_size=2, sgd_rates=(0.01,), adam_rates=(0.001,), rounds=2, num_seeds=1, first_seed=0)
BOOK = Config()
PAPER = Config(
    steps=60,
    sgd_rates=tuple(round(10 ** (power / 2), 9) for power in range(-12, 1)),
    adam_rates=tuple(round(10 ** (power / 2), 9) for power in range(-12, 1)),
    num_seeds=10,
)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Read the prompts with all blocks but the last, then rescale, compare and fine-tune the last one.

    Returns:
        validation, test (optimizer, twin, seed, rate): mean loss of the right word among ten after fine-tuning, in nats; before
        (seed): the same on test prompts before it; difference (precision, twin, seed): largest difference of a logit from the
        original's, over the whole vocabulary after every prompt; largest_logit (): in size, of the original; factor (seed): the
        largest of all factors or inverse factors.
    """
    model, tokenizer = loaded(device)
    prompts = runs.Prompts.read(model, tokenizer)
    last = model.blocks[-1]
    assert isinstance(last, Block)
    original = runs.copied(last, torch.float64)  # so that twins are told apart from rounding
    seeds, found, parts = list(range(config.first_seed, config.first_seed + config.num_seeds)), [], 2
    with torch.no_grad():
        even = balanced(original, config.rounds)
    for done, seed in enumerate(seeds):
        factors = spread_factors(original, config.spread, seed)
        twins = [original, rescaled(original, factors), even]
        task = runs.Task.drawn(prompts, seed, steps=config.steps, batch_size=config.batch_size)
        losses = []
        for part, (kind, rates) in enumerate((("sgd", config.sgd_rates), ("adam", config.adam_rates))):
            losses.append(runs.all_rates(model, twins, task, kind, rates))
            progress(done * parts + part + 1, parts * len(seeds))
        with torch.no_grad():
            before = float(task.loss(model, last, task.rows("test")))
        found.append(
            {name: np.array([each[name] for each in losses]) for name in ("validation", "test")}
            | {
                "before": np.array(before),
                "difference": np.array([
                    [runs.largest_difference(model, original, twin, prompts, dtype) for twin in twins]
                    for dtype in PRECISIONS.values()
                ]),
                "factor": np.array(max(float(torch.max(each.max(), 1 / each.min())) for each in factors.values())),
            }
        )  # fmt: skip
    return _dataset(config, seeds, found, runs.largest_logit(model, last, prompts))


def _dataset(config: Config, seeds: list[int], found: list[dict[str, np.ndarray]], largest: float) -> xr.Dataset:
    tuned = ("seed", "optimizer", "twin", "rate")
    labels: dict[str, tuple[tuple[str, ...], str, str]] = {
        "validation": (tuned, "loss on validation prompts after fine-tuning", "nats"),
        "test": (tuned, "loss on test prompts after fine-tuning", "nats"),
        "before": (("seed",), "loss on test prompts before fine-tuning", "nats"),
        "difference": (("seed", "precision", "twin"), "largest difference of a logit from the original", "1"),
        "factor": (("seed",), "largest factor", "1"),
    }
    data = {
        name: variable(dims, np.stack([one[name] for one in found]), *label) for name, (dims, *label) in labels.items()
    }
    rates = variable(("optimizer", "rate"), [config.sgd_rates, config.adam_rates], "learning rate")
    return xr.Dataset(
        data | {"largest_logit": variable((), largest, "largest logit of the original in size")},
        {
            "seed": seeds, "optimizer": ["sgd", "adam"], "twin": list(TWINS), "precision": list(PRECISIONS),
            "learning_rate": rates,
        },
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None, optimizer: str = "sgd") -> Axes:
    """Test loss after fine-tuning against the learning rate, for the original, a rescaled twin and the balanced one."""
    ax, part = style.axes(ax), result.sel(optimizer=optimizer)
    ends = part.test.fillna(np.inf).clip(max=MOST)
    for twin, color, line in (
        (RESCALED, style.VERMILION, "solid"),
        (BALANCED, style.GREEN, (0, (5, 1.5))),
        (ORIGINAL, style.BLUE, "solid"),
    ):
        values = ends.sel(twin=twin).transpose("seed", "rate").values
        style.band(ax, part.learning_rate.values, values, color=color, label=twin, linestyle=line)
    ax.set(
        xscale="log", yscale="log", xlabel="learning rate (log scale)", ylabel="loss on new endings (nats, log scale)"
    )
    ax.legend(loc="lower left")
    return ax


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Loss on new endings after fine-tuning by SGD against the learning rate, both axes logarithmic. At the rate that "
        f"validation chooses it is {n['original_sgd']:.2f} nats for the original, {n['balanced_sgd']:.2f} for the balanced "
        f"twin and {n['rescaled_sgd']:.2f} for the rescaled one."
    )
