"""How many tasks a network has learned tells its mean loss; how many a network of another width will learn is a guess.

Networks of several widths learn multitask sparse parity from one stream of samples. Their mean loss is held against ln 2 times
the frequency of the tasks that are not learned; the number learned is fitted against width on half of the widths and the loss
of the others predicted from it (Michaud et al. 2023, arXiv 2303.13506, section 2, the tail sum, and section 3, the data). Each
hidden unit of the widest network is then set to zero, or to its mean, and the accuracy of every task measured.

Axes: seed, width (hidden units), step (updates made), task (0 is the commonest), unit (of the widest network).
Deviations: whether room or updates limit a width is not separated; 30 tasks, the paper has 500; one logit, not two.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control
from heldout.devices import generator, numpy_generator
from heldout.ensemble import log_spaced_steps
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.quanta import width_sweep_checks as checks
from heldout.quanta.parity import Batch, online, random_tasks, zipf
from heldout.quanta.parity_networks import ByTask, ParityMLP, Together, train


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the sweep."""

    num_tasks: int = 30
    num_bits: int = 20
    subset_size: int = 3
    alpha: float = 0.5
    widths: tuple[int, ...] = (8, 12, 16, 24, 32, 48, 64, 96)
    batch_size: int = 300
    learning_rate: float = 5e-3
    last_part: float = 0.3  # share of the updates, at the end, made at a fifth of the learning rate
    steps: int = 6500
    num_probes: int = 24
    num_held_out: int = 200  # samples of each task
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.num_tasks >= 2, "num_tasks", self.num_tasks, "at least 2")
        require(1 <= self.subset_size <= self.num_bits, "subset_size", self.subset_size, "from 1 to num_bits")
        require(self.alpha >= -1, "alpha", self.alpha, "at least -1")
        increasing = list(self.widths) == sorted(set(self.widths)) and len(self.widths) >= 4 and self.widths[0] >= 1
        require(increasing, "widths", self.widths, "at least four, increasing, positive")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(0 <= self.last_part < 1, "last_part", self.last_part, "from 0 to below 1")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.num_held_out >= 1, "num_held_out", self.num_held_out, "at least 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    num_tasks=8, num_bits=10, subset_size=2, widths=(4, 8, 16, 32), batch_size=200, steps=500, num_probes=8, num_held_out=100,
    num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    num_tasks=500, num_bits=100, alpha=0.4, batch_size=20_000, steps=200_000, learning_rate=1e-3, last_part=0.0,
    widths=(10, 14, 20, 28, 40, 56, 80, 113, 160, 226, 320, 452), num_held_out=100, num_seeds=5,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every width of every seed as one program, then take out each unit of the widest network.

    Returns:
        task_loss (seed, width, step, task) in nats and loss (seed, width, step), its mean under the frequencies, on held-out
        samples; damage and damage_at_mean (seed, unit, task), the accuracy lost with the unit at zero and at its mean over the
        task's samples; frequency (task).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    frequency = zipf(config.num_tasks, config.alpha)
    tasks = [random_tasks(seed, config.num_tasks, config.num_bits, config.subset_size, frequency) for seed in seeds]
    networks = Together([[_network(config, seed, width) for width in config.widths] for seed in seeds], device)
    held = [
        each.balanced(config.num_held_out, numpy_generator("held-out parities", seed))
        for each, seed in zip(tasks, seeds, strict=True)
    ]
    steps = log_spaced_steps(config.steps, config.num_probes)
    found = train(
        networks,
        [online(each, config.batch_size, "width sweep", seed) for each, seed in zip(tasks, seeds, strict=True)],
        steps=config.steps, learning_rate=config.learning_rate, last_part=config.last_part,
        probe=ByTask(held, config.num_tasks, device), probe_steps=steps, progress=progress,
    )  # fmt: skip
    task_loss = np.moveaxis(found["task_loss"], 0, 2)
    damage, at_mean = (
        torch.stack([
            knockouts(networks.network(row, len(config.widths) - 1), batch, config.num_tasks, at_mean=kept)
            for row, batch in enumerate(held)
        ])
        for kept in (False, True)
    )  # fmt: skip
    dims = ("seed", "width", "step")
    return xr.Dataset(
        {
            "task_loss": variable((*dims, "task"), task_loss, "loss on a task", "nats"),
            "loss": variable(dims, task_loss @ frequency, "mean loss", "nats"),
            "damage": variable(("seed", "unit", "task"), damage, "accuracy lost without the unit"),
            "damage_at_mean": variable(("seed", "unit", "task"), at_mean, "accuracy lost with the unit at its mean"),
            "frequency": variable("task", frequency, "share of samples"),
        },
        {
            "seed": seeds,
            "width": variable("width", list(config.widths), "hidden units", "units"),
            "step": variable("step", steps, "updates made", "updates"),
        },
    )


def _network(config: Config, seed: int, width: int) -> ParityMLP:
    start = generator("parity network", seed, width)
    return ParityMLP(config.num_tasks, config.num_bits, width, generator=start)


def knockouts(network: dict[str, Tensor], batch: Batch, num_tasks: int, *, at_mean: bool = False) -> Tensor:
    """Accuracy that each task loses when one hidden unit is silenced (unit, task), from a balanced batch.

    The unit is set to zero, or with ``at_mean`` to its mean over the samples of each task, so that no average is missing.
    """
    hidden = torch.relu(network["embed"][batch.task] + batch.bits @ network["bits"] + network["bias"])
    terms = (hidden * network["readout"]).T
    logits = terms.sum(0) + network["offset"]
    odd = batch.label > 0.5
    before = ((logits > 0) == odd).float().view(num_tasks, -1).mean(1)
    if at_mean:
        by_task = terms.view(len(terms), num_tasks, -1)
        terms = (by_task - by_task.mean(2, keepdim=True)).flatten(1)
    after = [((logits - term > 0) == odd).float().view(num_tasks, -1).mean(1) for term in terms]
    return before - torch.stack(after)


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Loss at the last update against width, and ln 2 times the frequency of what is not learned."""
    ax = style.axes(ax)
    last, width = result.isel(step=-1), result.width.values
    everyone = (0.0, 1.0)
    style.band(ax, width, last.loss.values, color=style.BLUE, label="measured", interval=everyone, marker="o")
    told = checks.tail_sum(result).isel(step=-1).median("seed")
    ax.plot(width, told, "s", color=style.GREEN, mfc="none", label="tail sum of what is not learned")
    ax.set(yscale="log", ylabel="mean loss, nats (log scale)")
    _widths(ax, width[::2])
    ax.set_yticks([0.1, 0.2, 0.4], ["0.1", "0.2", "0.4"])
    ax.set_yticks([], minor=True)
    ax.legend(loc="lower left", fontsize=9)
    return ax


def _widths(ax: Axes, ticks: np.ndarray) -> None:
    ax.set(xscale="log", xlabel="hidden units (log scale)")
    ax.set_xticks(ticks, [str(each) for each in ticks], minor=False)
    ax.set_xticks([], minor=True)


def plot_unseen(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Relative error of both predictions at each left-out width, every seed a mark."""
    ax = style.axes(ax)
    errors, width = checks.unseen(result), result.width.values[1::2]
    for error, color, mark, label, shift in (
        (errors.by_count, style.VERMILION, "v", "through the count", 0.95),
        (errors.by_power_law, style.BLUE, "^", "a power law of the loss", 1.05),
    ):
        x = np.broadcast_to(width * shift, error.shape)
        ax.plot(x.ravel(), 100 * error.ravel(), mark, color=color, label=label, ms=7, alpha=0.75)
    ax.axhline(0, color=style.MUTED, linewidth=1)
    ax.set(ylabel="predicted over measured loss, % off")
    _widths(ax, width)
    ax.legend(loc="best", fontsize=9)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, errors relative to the measured loss."""
    return checks.quoted(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Mean loss against hidden units, both on log scales. Measured, it falls from {n['loss_narrow']:.2f} nats at "
        f"{n['narrowest']} units to {n['loss_wide']:.2f} at {n['widest']}; the tail sum lies {n['tail_error']:.0%} off. At the "
        f"left-out widths the prediction through the count is {n['count_error']:.0%} off, a power law's {n['law_error']:.0%}."
    )


_OTHER_WIDTHS = Control(
    says="the same networks under each other's widths",
    change=checks.other_widths,
    manipulation=checks.as_many,
)

CLAIMS = (
    Claim(
        id="width_sweep.tail_sum",
        says="Over widths and training, ln 2 times the frequency of what is not learned is the mean loss to 12 % (median).",
        rows=("S3.4",),
        source="Michaud et al. 2023, arXiv 2303.13506, section 2",
        check=checks.follows_tail,
        control=Control(
            says="the same counts, with the frequencies handed to the tasks in reverse order",
            change=checks.other_frequencies,
            manipulation=checks.more_with_width,
        ),
    ),
    Claim(
        id="width_sweep.unseen_widths",
        says="From the number learned at half of the widths, the loss at the others follows to 20 % (median).",
        rows=("S3.4",),
        source="this book",
        check=checks.predicts_unseen,
        control=_OTHER_WIDTHS,
    ),
    Claim(
        id="width_sweep.count_is_nearer",
        says="At the widths left out the prediction through the count is nearer than a power law of the loss (median).",
        rows=("S3.4",),
        source="this book",
        check=checks.nearer,
        control=_OTHER_WIDTHS,
        expected="not reproduced",
    ),
    Claim(
        id="width_sweep.shared_units",
        says="Damage is shared: over units set to zero, what two learned tasks lose correlates by more than 0.2 (mean over pairs "
        "of tasks).",
        rows=("S3.5",),
        source="this book",
        check=checks.shared,
        control=Control(
            says="each task's losses of accuracy handed to the units at random",
            change=checks.shuffled_units,
            manipulation=checks.as_harmful,
        ),
    ),
    Claim(
        id="width_sweep.specialized_units",
        says="Weighted by damage, what a unit costs is at least a tenth more concentrated on few tasks than by chance.",
        rows=("S3.5",),
        source="this book",
        check=checks.specialized,
        control=Control(
            says="each task's losses of accuracy handed to the units at random",
            change=checks.shuffled_units,
            manipulation=checks.as_harmful,
        ),
        expected="not reproduced",
    ),
)
