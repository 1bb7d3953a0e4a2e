"""The same late change helps on one task and hurts on another: from the margin of lazy training to that of rich training.

A diagonal linear network begun with large weights and trained with a small weight decay first fits its training set like a linear
model and stays there; when decay has worn the weights down, it moves within few steps to another separator of the same training
set. On a sparse target held-out accuracy jumps up (grokking), on a dense one it falls (misgrokking). Lyu et al. 2024
(arXiv 2311.18817) prove the time and both limits.

Axes: task, seed, weight_decay, step.
Deviations: dimensions, sample sizes and rates are ours, chosen so that a run takes a second; gradient descent, not a flow.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control
from heldout.ensemble import Optimizer, Snapshot, TrainingData, log_spaced_steps, train
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import misgrokking_checks as checks
from heldout.grokking.diagonal import (
    TASKS,
    DiagonalNetwork,
    Sample,
    absolute_margin,
    accuracy,
    draw,
    euclidean_margin,
    logistic_loss,
)
from heldout.grokking.modular import require_decay

COLORS = {"sparse": style.BLUE, "dense": style.VERMILION}
LINES = {"sparse": "solid", "dense": (0, (5, 1.5))}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the two tasks and of the training."""

    dimension: int = 300
    sparse_train: int = 100
    dense_train: int = 50
    num_test: int = 1000
    shift: float = 2.0  # of the dense task's classes, in standard deviations
    initial: float = 4.0  # every weight at the start
    weight_decays: tuple[float, ...] = (0.0, 0.02, 0.05)
    learning_rate: float = 0.05
    steps: int = 5000
    num_probes: int = 60
    num_seeds: int = 6
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.dimension >= 4, "dimension", self.dimension, "at least 4")
        for name in ("sparse_train", "dense_train"):
            count = getattr(self, name)
            require(1 <= count <= self.dimension, name, count, f"from 1 to dimension={self.dimension}, to be separable")
        require(self.num_test >= 1, "num_test", self.num_test, "at least 1")
        require(self.shift > 0, "shift", self.shift, "above 0")
        require(self.initial > 0, "initial", self.initial, "above 0")
        decays = self.weight_decays
        ordered = len(decays) >= 2 and list(decays) == sorted(set(decays)) and decays[0] == 0
        require(ordered, "weight_decays", decays, "increasing, two or more, the first of them 0")
        require_decay(self.learning_rate, decays[-1])
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    dimension=60, sparse_train=30, dense_train=15, num_test=200, weight_decays=(0.0, 0.1), steps=300, num_probes=10, num_seeds=2,
    first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    dimension=1000, sparse_train=200, dense_train=80, num_test=5000, weight_decays=(0.0, 0.01, 0.05), steps=12_000, num_seeds=20,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train a network for every task, seed and weight decay from the same start.

    Returns:
        train_accuracy, test_accuracy, train_loss (nats), norm (all weights, Euclidean) (task, seed, weight_decay, step);
        margin_accuracy (task, seed, margin): held-out accuracy of the two separators of largest margin.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    steps = log_spaced_steps(config.steps, config.num_probes)
    curves, margins = [], []
    for number, task in enumerate(TASKS):
        samples = [
            draw(
                task, seed, dimension=config.dimension, num_test=config.num_test, shift=config.shift,
                num_train=config.sparse_train if task == "sparse" else config.dense_train,
            )
            for seed in seeds
        ]  # fmt: skip
        curves.append(_curves(config, samples, steps, device, partial(_advance, progress, number)))
        margins.append([[accuracy(s, euclidean_margin(s)), accuracy(s, absolute_margin(s))] for s in samples])
    dims = ("task", "seed", "weight_decay", "step")
    labels = {
        "train_accuracy": ("training inputs on the right side", "1"), "test_accuracy": ("held-out inputs on the right side", "1"),
        "train_loss": ("mean logistic loss on training inputs", "nats"), "norm": ("Euclidean length of all weights", "1"),
    }  # fmt: skip
    return xr.Dataset(
        {name: variable(dims, np.stack([each[name] for each in curves]), *label) for name, label in labels.items()}
        | {"margin_accuracy": variable(("task", "seed", "margin"), margins, "held-out inputs on the right side")},
        {
            "task": list(TASKS), "seed": seeds, "weight_decay": variable("weight_decay", config.weight_decays, "weight decay"),
            "step": variable("step", steps, "updates made", "updates"), "margin": ["euclidean", "absolute"],
        },
        {"learning_rate": config.learning_rate},
    )  # fmt: skip


def _advance(progress: Progress, task: int, done: int, total: int) -> None:
    progress(task * total + done, len(TASKS) * total)


def _curves(
    config: Config, samples: list[Sample], steps: list[int], device: torch.device, progress: Progress
) -> dict[str, np.ndarray]:
    """Values (seed, weight_decay, step) of one task."""
    decays = config.weight_decays
    streams = [stream for stream in range(len(samples)) for _ in decays]
    data = TrainingData(
        inputs=torch.stack([s.train_x for s in samples]),
        targets=torch.stack([samples[stream].train_y for stream in streams]),
        streams=streams,
    )
    history = train(
        [DiagonalNetwork(config.dimension, config.initial) for _ in streams], data,
        steps=config.steps, learning_rate=config.learning_rate, weight_decay=list(decays) * len(samples),
        optimizer=Optimizer(kind="sgd"), loss=logistic_loss, probe=_Probe(data, samples, device), probe_steps=steps,
        device=device, progress=progress,
    )  # fmt: skip
    shape = (len(steps), len(samples), len(decays))
    return {name: np.moveaxis(values.reshape(shape), 0, -1) for name, values in history.values.items()}


class _Probe:
    """Accuracies, loss and length of the weights of every member."""

    def __init__(self, data: TrainingData, samples: list[Sample], device: torch.device) -> None:
        self.train_x, self.train_y = data.inputs.to(device), data.targets.to(device)
        self.test_x = torch.stack([s.test_x for s in samples]).to(device)
        self.test_y = torch.stack([samples[stream].test_y for stream in data.streams]).to(device)

    def __call__(self, snapshot: Snapshot) -> dict[str, Tensor]:
        outputs = snapshot.predict(self.train_x, per_stream=True)
        mine, asked = self.train_y[snapshot.members], self.test_y[snapshot.members]
        held_out = snapshot.predict(self.test_x, per_stream=True)
        norms = {
            member: sum(float(w.square().sum()) for w in state.values()) for member, state in snapshot.named_states()
        }
        return {
            "train_accuracy": (outputs * mine > 0).float().mean(1),
            "test_accuracy": (held_out * asked > 0).float().mean(1),
            "train_loss": logistic_loss(outputs, mine).mean(1),
            "norm": torch.tensor([norms[member] for member in snapshot.members.tolist()]).sqrt(),
        }


def plot(result: xr.Dataset, ax: Axes | None = None, *, weight_decay: float | None = None) -> Axes:
    """Held-out accuracy along training at one weight decay (the largest by default), with the two margins' as dotted lines."""
    ax = style.axes(ax)
    chosen = float(result.weight_decay[-1]) if weight_decay is None else weight_decay
    mine = result.sel(weight_decay=chosen).isel(step=slice(1, None))
    steps = mine.step.values
    for task, color in COLORS.items():
        style.band(
            ax,
            steps,
            mine.test_accuracy.sel(task=task).values,
            color=color,
            label=f"{task}, held out",
            linestyle=LINES[task],
        )
        for margin in result.margin.values:
            limit = float(result.margin_accuracy.sel(task=task, margin=margin).median())
            ax.axhline(limit, color=color, linewidth=0.9, linestyle=(0, (1, 2)))
    fitted = mine.train_accuracy.min(("task", "seed")).values
    ax.plot(steps, fitted, color=style.MUTED, linewidth=1, label="training, lowest of all")
    ax.set(xscale="log", xlabel="updates (log scale)", ylabel="share on the right side", ylim=(0.48, 1.03))
    ax.legend(loc="lower left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds."""
    decays = [float(value) for value in result.weight_decay.values]
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "updates": int(result.step[-1]), "large": decays[-1], "small": decays[1],
        "fit_step": float(checks.fitted_step(result).max()), "ratio": float(checks.time_ratio(result).median()),
        "ratio_low": float(checks.time_ratio(result).min()), "ratio_high": float(checks.time_ratio(result).max()),
    }  # fmt: skip
    for task in TASKS:
        mine = result.isel(weight_decay=-1).sel(task=task)
        found |= {
            f"plateau_{task}": float(checks.plateau(result).sel(task=task).median()),
            f"end_{task}": float(mine.test_accuracy.isel(step=-1).median()),
            f"euclidean_{task}": float(result.margin_accuracy.sel(task=task, margin="euclidean").median()),
            f"absolute_{task}": float(result.margin_accuracy.sel(task=task, margin="absolute").median()),
            f"without_{task}": float(result.isel(weight_decay=0, step=-1).test_accuracy.sel(task=task).median()),
            f"norm_start_{task}": float(mine.norm.isel(step=0).median()),
            f"norm_end_{task}": float(mine.norm.isel(step=-1).median()),
        }
    found["grok_step"] = float(checks.learned_step(result).median())
    found["apart"], found["apart_high"] = checks.two_margins(result).value, checks.two_margins(result).high
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Held-out accuracy along training on two tasks whose training sets are fitted within {n['fit_step']:.0f} updates. On "
        f"the sparse task it stays near {n['plateau_sparse']:.2f} and later jumps to {n['end_sparse']:.2f}; on the dense one it "
        f"stays near {n['plateau_dense']:.2f} and, over the same updates, falls to {n['end_dense']:.2f}."
    )


_NO_DECAY = Control(
    says="no weight decay: the same start and training set, fitted as well, and nothing moves",
    change=checks.without_decay,
    manipulation=checks.fitted,
)

CLAIMS = (
    Claim(
        id="misgrokking.sparse_groks",
        says="On the sparse task held-out accuracy of .99 takes at least fifty times the updates of fitting the training set.",
        rows=("S3.6",),
        source="Lyu et al. 2024, arXiv 2311.18817",
        check=checks.sparse_groks,
        control=_NO_DECAY,
    ),
    Claim(
        id="misgrokking.dense_misgroks",
        says="On the dense task held-out accuracy ends at least .05 below its plateau, while the training set stays fitted.",
        rows=("S3.6",),
        source="Lyu et al. 2024, arXiv 2311.18817",
        check=checks.dense_falls,
        control=_NO_DECAY,
    ),
    Claim(
        id="misgrokking.two_margins",
        says="Plateau and end lie within .05 of the accuracies of the Euclidean and of the absolute margin, on both tasks.",
        rows=("S3.6",),
        source="Lyu et al. 2024, arXiv 2311.18817, its two limits",
        check=checks.two_margins,
        expected="in part",
        expected_at_paper="reproduced",
        control=Control(
            says="the two margins in each other's place",
            change=checks.margins_exchanged,
            manipulation=checks.fitted,
        ),
    ),
    Claim(
        id="misgrokking.time_follows_decay",
        says="The step of the change times the weight decay is the same at two decays, within a tenth.",
        rows=("S2.1", "S3.6"),
        source="Lyu et al. 2024, arXiv 2311.18817: time (1/lambda) log of the initial size",
        check=checks.time_follows_decay,
        control=Control(
            says="the step at which the training set is fitted in the place of the change",
            change=checks.fit_in_place,
            manipulation=checks.fitted,
        ),
    ),
)
