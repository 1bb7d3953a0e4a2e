"""A power law of the mean loss does not need quanta: a linear null model and two reference models, beside the network.

Tasks are those of multitask sparse parity (Michaud et al. 2023, arXiv 2303.13506, section 3), drawn with frequencies
p_k proportional to k^-(alpha + 1). The models: a memorizer that knows an input once it has seen it (Hutter 2021, arXiv
2102.04074); random features, a linear model by gradient flow on the squared error; the multilinear model, a product a b of two
trained numbers a task (Nam et al. 2024, arXiv 2404.17563); and the chapter's network.

Axes: model, seed, task (rank of its frequency), look (index of a time), clock (that time in the model's own unit: samples,
updates, or units of the flow's time). Losses are shares of the loss at chance: of 1 for squared errors, of log 2 for
cross-entropies. A width is what a loss takes from .9 to .1 of chance, in decades of time. The strings are few enough (2^10) to
be listed, so that the random features' flow is solved exactly over all of them. Deviations: 10 bits, where Michaud et al. have
100; Hutter's features are tasks with their strings, so that each task is many features; the multilinear model starts at a b
drawn near ``start``; the frozen network, a control, is one task in a wider layer whose inputs' weights stay as drawn, beside
``ALONE``, the same layer free.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.devices import generator, numpy_generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.optimizers import Optimizer
from heldout.quanta import null_model_checks as checks
from heldout.quanta.frozen_parity import Frozen
from heldout.quanta.parity import CHANCE, Tasks, online, random_tasks, zipf
from heldout.quanta.parity_networks import ByTask, ParityMLP, Together, train
from heldout.quanta.solvable import random_feature_loss, seen, skill_loss

MODELS = ("memorizer", "random features", "multilinear", "network")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the models."""

    num_tasks: int = 30
    num_bits: int = 10  # all 2^num_bits strings are listed
    subset: int = 3  # bits of a task
    alpha: float = 0.5  # frequencies go as rank^-(alpha + 1); -1 makes them equal
    width: int = 128
    batch_size: int = 500
    learning_rate: float = 5e-3
    sgd: bool = False  # plain gradient descent where it is Adam otherwise
    frozen: bool = False  # the network's first layer stays as drawn
    steps: int = 2000
    held_out: int = 200  # samples a task
    num_features: int = 2048
    kernel: float = 1 / 3  # of two strings that differ in one bit, for infinitely many features
    start: float = 0.01  # product a b of the multilinear model, before its random factor
    reach: int = 8  # the solvable models' time ends a little after the task of this rank is half learned
    looks: int = 70
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.num_tasks >= 1, "num_tasks", self.num_tasks, "at least 1")
        require(3 <= self.num_bits <= 12, "num_bits", self.num_bits, "from 3 to 12")
        require(1 <= self.subset <= self.num_bits, "subset", self.subset, "from 1 to num_bits")
        require(self.alpha >= -1, "alpha", self.alpha, "at least -1")
        require(self.width >= 1, "width", self.width, "at least 1")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.steps >= 100, "steps", self.steps, "at least 100")
        require(self.held_out >= 20, "held_out", self.held_out, "at least 20")
        require(self.num_features >= 1, "num_features", self.num_features, "at least 1")
        require(0 < self.kernel < 1, "kernel", self.kernel, "between 0 and 1")
        require(0 < self.start <= 0.02, "start", self.start, "above 0, at most .02, so that losses start near 1")
        require(1 <= self.reach <= self.num_tasks, "reach", self.reach, "from 1 to num_tasks")
        require(self.looks >= 10, "looks", self.looks, "at least 10")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    num_tasks=6, num_bits=7, width=48, batch_size=200, steps=500, held_out=100, num_features=256, reach=4, looks=50,
    num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
EQUAL = replace(BOOK, alpha=-1.0, steps=3000, num_seeds=2)
FROZEN = replace(
    BOOK, num_tasks=1, reach=1, width=512, batch_size=150, learning_rate=0.02, frozen=True, steps=4000, num_features=1024,
    num_seeds=2,
)  # fmt: skip
ALONE = replace(FROZEN, frozen=False, steps=400)  # the same, the first layer free; it is done long before the end
ALONE_SGD = replace(ALONE, sgd=True, learning_rate=0.2, steps=1000)
SGD = replace(BOOK, sgd=True, learning_rate=0.5, batch_size=250, steps=2500, num_seeds=2)
PAPER = replace(
    BOOK, num_tasks=200, num_bits=12, alpha=0.4, width=500, batch_size=20_000, learning_rate=1e-3, steps=100_000,
    held_out=1000, num_features=8192, reach=60, looks=160,
)  # fmt: skip


def _network(
    config: Config, tasks: list[Tasks], device: torch.device, progress: Progress
) -> tuple[np.ndarray, list[int]]:
    """Task losses (seed, task, look) in shares of chance, and the looks, in updates."""
    seeds = range(config.first_seed, config.first_seed + config.num_seeds)
    sizes = (config.num_tasks, config.num_bits, config.width)
    networks = [[ParityMLP(*sizes, generator=generator("null models", seed))] for seed in seeds]
    asked = [t.balanced(config.held_out, numpy_generator("held out", s)) for t, s in zip(tasks, seeds, strict=True)]
    looks = _updates(config)
    found = train(
        (Frozen if config.frozen else Together)(networks, device),
        [online(t, config.batch_size, "null models", seed) for t, seed in zip(tasks, seeds, strict=True)],
        steps=config.steps, learning_rate=config.learning_rate,
        optimizer=Optimizer(kind="sgd" if config.sgd else "adam"),
        probe=ByTask(asked, config.num_tasks, device, slices=1000), probe_steps=sorted(set(looks)), progress=progress,
    )  # fmt: skip
    losses = found["task_loss"][:, :, 0].transpose(1, 2, 0) / CHANCE
    return losses[:, :, [sorted(set(looks)).index(look) for look in looks]], looks


def _updates(config: Config) -> list[int]:
    """Looks at the network, evenly spaced in the logarithm of updates where these are not whole numbers apart."""
    looks = np.geomspace(3, config.steps, config.looks).round().astype(int)
    for i in range(1, len(looks)):
        looks[i] = max(looks[i], looks[i - 1] + 1)
    return [int(look) for look in np.minimum(looks, config.steps)]


def _clock(shares: np.ndarray, config: Config, half: float) -> np.ndarray:
    """Times from a tenth of the first task's half to a little after that of ``reach``; a task of frequency p takes half / p."""
    first, last = half / shares[0], half / shares[config.reach - 1]
    times: np.ndarray = np.geomspace(0.05 * first, max(1.3 * last, 10 * first), config.looks)
    return times


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """All models, on the same tasks a seed.

    Returns:
        task_loss (model, seed, task, look) and mean_loss (model, seed, look), in shares of chance; clock (model, look);
        expected (look), the memorizer's mean loss in expectation; one_time (seed, task), when the memorizer first saw one
        given string of a task, in samples; start (seed, task), the multilinear model's product at the start; frequency (task).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    shares = zipf(config.num_tasks, config.alpha)
    tasks = [random_tasks(seed, config.num_tasks, config.num_bits, config.subset, shares) for seed in seeds]
    network, updates = _network(config, tasks, device, progress)
    strings = 2**config.num_bits
    far = (1 - config.kernel) / 2  # the kernel's share of odd functions, in each bit
    eigenvalue = far**config.subset * (1 - far) ** (config.num_bits - config.subset)
    halves = {"memorizer": strings * CHANCE, "random features": CHANCE / (2 * eigenvalue)}
    halves["multilinear"] = float(np.log((1 / config.start - 1) * (2**0.5 - 1)) / 2)
    clock = {model: _clock(shares, config, half) for model, half in halves.items()}
    starts = [config.start * np.exp(numpy_generator("start", s).normal(0, 0.5, config.num_tasks)) for s in seeds]
    starts = [np.minimum(each, 0.05) for each in starts]
    memorizer = [seen(shares, strings, clock["memorizer"], numpy_generator("memorizer", seed)) for seed in seeds]
    features = [
        random_feature_loss(
            t, config.num_features, config.kernel, clock["random features"], numpy_generator("waves", s)
        )
        for t, s in zip(tasks, seeds, strict=True)
    ]
    skills = [skill_loss(shares[:, None] * clock["multilinear"], each[:, None]) for each in starts]
    losses = np.stack([np.stack([share for share, _ in memorizer]), np.stack(features), np.stack(skills), network])
    expected = ((1 - shares[:, None] / strings) ** np.floor(clock["memorizer"]) * shares[:, None]).sum(0)
    chance, times = "share of chance", "samples, units of time, or updates"
    return xr.Dataset(
        {
            "task_loss": variable(("model", "seed", "task", "look"), losses, "loss of a task", chance),
            "mean_loss": variable(
                ("model", "seed", "look"), np.einsum("mskt,k->mst", losses, shares), "mean loss", chance
            ),
            "clock": variable(("model", "look"), np.stack([*clock.values(), np.array(updates)]), "time", times),
            "expected": variable("look", expected, "the memorizer's expected mean loss", chance),
            "one_time": variable(("seed", "task"), np.stack([one for _, one in memorizer]), "first seen", "samples"),
            "start": variable(("seed", "task"), np.stack(starts), "product a b at the start"),
            "frequency": variable("task", shares, "share of all samples"),
        },
        {
            "model": list(MODELS),
            "seed": seeds,
            "task": variable("task", np.arange(1, config.num_tasks + 1), "rank of a task by frequency"),
        },
        {"alpha": config.alpha, "strings": strings},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Mean losses of all models against time in units of their own half, thick; the second task's loss, thin."""
    ax = style.axes(ax)
    for number, model in enumerate(result.model.values):
        color, one = style.COLORS[number], checks.single(result, str(model))
        time = one.step.values / checks.half_time(one)
        style.band(
            ax, time, one.mean_loss.values / CHANCE, color=color, label=str(model), interval=(0.0, 1.0), linewidth=2.4
        )
        if one.sizes["task"] > 1:
            line = one.task_loss.isel(seed=0, task=1).values / CHANCE
            ax.plot(time, line, color=color, linewidth=1.0, linestyle=(0, (4, 2)))
    ax.plot([], [], color=style.MUTED, linewidth=1.0, linestyle=(0, (4, 2)), label="task 2 alone, one seed")
    ax.set(xscale="log", yscale="log", xlabel="time / time at which the mean loss is half of chance (log scale)")
    ax.set(ylabel="loss, share of chance (log scale)", ylim=(0.02, 1.5), xlim=(0.02, 60))
    ax.legend(loc="lower left", fontsize=9)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes; of a model, named by its first letters, medians over seeds unless the name says otherwise."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "tasks": result.sizes["task"], "strings": int(result.strings),
        "alpha": float(result.alpha), "linear": checks.LINEAR, "linear_factor": 10**checks.LINEAR,
        "convex": checks.CONVEX, "spread": checks.spread(result), "one_ratio": checks.seen_ratio(result),
        "off_expected": checks.off_expected(result), "asymptotic": checks.asymptotic(result),
        "features_least": float(np.nanmin(checks.all_widths(result, "random features"))),
        "network_scatter": checks.network_scatter(result),
    }  # fmt: skip
    found |= checks.extremes(result, MODELS)
    for model, name in zip(MODELS, ("memorizer", "features", "multilinear", "network"), strict=True):
        width, bend, exponent = checks.width(result, model), checks.bends(result, model), checks.exponent(result, model)
        found |= {
            f"{name}_width": float(np.median(width)), f"{name}_width_least": float(width.min()),
            f"{name}_width_most": float(width.max()), f"{name}_factor": float(10 ** np.median(width)),
            f"{name}_bend": float(np.median(bend)), f"{name}_bend_most": float(bend.max()),
            f"{name}_exponent": float(np.median(exponent)), f"{name}_learned": checks.learned(result, model),
            f"{name}_done": checks.done(result, model),
            f"{name}_mean": float(np.median(checks.mean_widths(result, model))),
        }  # fmt: skip
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    slopes = checks.exponents(result)
    memorizer, features, skills, network = (float(np.median(checks.width(result, model))) for model in MODELS)
    return (
        f"Mean loss against time, both rescaled, on log axes: four bands run down, each near a straight line of its own, "
        f"with exponents from {slopes.min():.2f} to {slopes.max():.2f}. A single task falls over {features:.1f} decades "
        f"in random features and {memorizer:.1f} in the memorizer, but within {skills:.1f} in the multilinear model and "
        f"{network:.1f} in the network."
    )


MEAN = Control(
    says="all tasks equally frequent: in the solved models every mean is one stair, as wide or narrow as a task's own",
    config=EQUAL,
    manipulation=checks.all_learn,
)

CLAIMS = (
    Claim(
        id="null_models.power_laws",
        says="In all four models the mean loss stays within 15 % (root mean square) of a power law.",
        rows=("S3.1",),
        source="Michaud et al. 2023, section 3; Hutter 2021; Nam et al. 2024",
        check=checks.straight,
        control=MEAN,
    ),
    Claim(
        id="null_models.one_exponent",
        says="The four fitted exponents differ by less than .2.",
        rows=("S3.1",),
        source="this book; the exponent of the frequencies, alpha / (alpha + 1), for all four in the limit",
        check=checks.alike,
        control=MEAN,
    ),
    Claim(
        id="null_models.wide",
        says="A check of the code against the theorem: in the median of the tasks that got to .1 of chance in time, the "
        "memorizer and random features take more than .95 decades of time.",
        rows=("S3.1",),
        source="this book; theorem for linear models on the page",
        check=checks.wide,
        control=Control(
            says="one input of the memorizer in place of the mean over a task's inputs: by construction it falls from one look "
            "to the next",
            change=checks.one_input,
            manipulation=checks.seen_at_its_rate,
        ),
    ),
    Claim(
        id="null_models.narrow",
        says="In the median of the tasks that got to .1 of chance in time, the network and the multilinear model take less than "
        ".95 decades.",
        rows=("S3.1",),
        source="Nam et al. 2024, arXiv 2404.17563 (sigmoidal emergence)",
        check=checks.narrow,
        control=Control(
            says="one task alone, in a wider layer that is held as drawn, under Adam: the fall is wide (the same layer "
            "free: see the text)",
            config=FROZEN,
            manipulation=checks.network_learns,
        ),
    ),
)
