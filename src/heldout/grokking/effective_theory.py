"""When do the numbers fall into line? A theory without a network, laid over the network's own training.

Each parallelogram of the training set pulls four coordinates toward a linear arrangement. The effective theory follows that pull
alone and says how long it takes and what can then be answered. Source: Liu et al. 2022 (arXiv 2205.10343), section 3 and its
figures on train fraction and on the speed of structure.

Axes: num_train (pairs trained on), seed (split, targets and initial weights), step (updates made).
Deviations: the flow is solved in closed form instead of by small steps, from the same initial coordinates as each network,
with one unit of time for one unit of learning rate times updates and no constant fitted; decoder and rates as in ``Config``.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.ensemble import log_spaced_steps
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import effective_theory_checks as checks
from heldout.grokking import effective_theory_figures as figures
from heldout.grokking.addition_toy import Task, ideal_accuracy, pairs, quadratic_form, rqi, task, toy, train_toys
from heldout.grokking.effective_flow import effective_loss, flow, grokking_rate, time_to_structure

plot_accuracy, plot_steps = figures.plot_accuracy, figures.plot_steps


@dataclass(frozen=True, kw_only=True)
class Config:
    """Training sets of several sizes, and one recipe for all."""

    p: int = 10  # numbers from 0 to p - 1
    num_train: tuple[int, ...] = (20, 25, 30, 35, 40, 45, 50)  # pairs, of p (p + 1) / 2
    embedding_dimension: int = 1
    width: int = 32
    embedding_rate: float = 0.01  # 0 keeps the coordinates where they start
    decoder_rate: float = 0.002
    embedding_decay: float = 0.0  # AdamW's weight decay
    shuffled: bool = False  # sums dealt out to the pairs at random
    steps: int = 2500
    num_probes: int = 60
    num_seeds: int = 8
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.p >= 4, "p", self.p, "at least 4, so that there is a parallelogram of four numbers")
        count = len(pairs(self.p))
        sizes = self.num_train
        inside = len(sizes) >= 1 and list(sizes) == sorted(set(sizes)) and sizes[0] >= 1 and sizes[-1] < count
        require(inside, "num_train", sizes, f"increasing, from 1 to {count - 1}, so that a pair is held out")
        require(self.embedding_dimension >= 1, "embedding_dimension", self.embedding_dimension, "at least 1")
        require(self.width >= 1, "width", self.width, "at least 1")
        require(self.embedding_rate >= 0, "embedding_rate", self.embedding_rate, "at least 0")
        require(self.decoder_rate > 0, "decoder_rate", self.decoder_rate, "above 0")
        stable = 0 <= self.embedding_decay * self.embedding_rate <= 1
        require(stable, "embedding_decay", self.embedding_decay, "at least 0 and at most 1 / embedding_rate")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(num_train=(25, 45), steps=400, num_probes=20, num_seeds=3, first_seed=0)
BOOK = Config()
PAPER = Config(
    num_train=tuple(range(10, 55, 5)), width=200, embedding_rate=1e-3, decoder_rate=2e-4, steps=20_000, num_seeds=20
)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train one network for each size and seed, and follow the effective theory from the same start.

    Returns:
        train_accuracy, test_accuracy, rqi, effective_loss (num_train, seed, step) of the networks; flow_rqi, flow_loss, of the
        theory; ideal_accuracy, same_sum (num_train, seed), shares of the held-out pairs; grokking_rate and predicted_step.
    """
    seeds = range(config.first_seed, config.first_seed + config.num_seeds)
    runs = [(size, seed) for size in config.num_train for seed in seeds]
    tasks = [task(config.p, size, seed, shuffled=config.shuffled) for size, seed in runs]
    nets = {seed: toy(config.p, config.embedding_dimension, config.width, seed) for seed in seeds}
    steps = log_spaced_steps(config.steps, config.num_probes)
    history = train_toys(
        config.p, [nets[seed] for _, seed in runs], tasks, steps=config.steps, probe_steps=steps,
        embedding_rate=config.embedding_rate, decoder_rate=config.decoder_rate, embedding_decay=config.embedding_decay,
        device=device, progress=progress,
    )  # fmt: skip
    starts = [nets[seed].embed.detach()[:, 0] for _, seed in runs]
    learned = torch.from_numpy(history.values["embedding"])
    curves = {
        "train_accuracy": (history.values["train_accuracy"].T, "accuracy on training pairs"),
        "test_accuracy": (history.values["test_accuracy"].T, "accuracy on held-out pairs"),
        "rqi": (rqi(learned).numpy().T, "representation quality index"),
        **_along(config, tasks, starts, learned, steps),
    }
    once = _predictions(config, tasks, starts)
    shape, dims = (len(config.num_train), len(seeds)), ("num_train", "seed")
    return xr.Dataset(
        {name: variable((*dims, "step"), values.reshape(*shape, -1), words) for name, (values, words) in curves.items()}
        | {name: variable(dims, values.reshape(shape), words, units) for name, (values, words, units) in once.items()},
        {
            "num_train": variable("num_train", list(config.num_train), "pairs trained on", "pairs"),
            "seed": list(seeds),
            "step": variable("step", steps, "updates made", "updates"),
        },
        {"pairs": len(pairs(config.p)), "p": config.p},
    )


def _along(
    config: Config, tasks: list[Task], starts: list[torch.Tensor], learned: torch.Tensor, steps: list[int]
) -> dict[str, tuple[np.ndarray, str]]:
    """Effective loss of the networks (in the first coordinate), and the flow's RQI and loss at the same updates."""
    times = config.embedding_rate * torch.tensor(steps, dtype=torch.float64)
    rows: dict[str, list[torch.Tensor]] = {"effective_loss": [], "flow_rqi": [], "flow_loss": []}
    for member, (one, start) in enumerate(zip(tasks, starts, strict=True)):
        form = quadratic_form(config.p, one.train)
        path = flow(form, start, times)
        rows["effective_loss"].append(effective_loss(form, learned[:, member, :, 0]))
        rows["flow_rqi"].append(rqi(path.unsqueeze(-1)))
        rows["flow_loss"].append(effective_loss(form, path))
    words = ("effective loss of the network", "RQI of the effective theory", "effective loss of the effective theory")
    return {name: (torch.stack(rows[name]).numpy(), text) for name, text in zip(rows, words, strict=True)}


def _predictions(
    config: Config, tasks: list[Task], starts: list[torch.Tensor]
) -> dict[str, tuple[np.ndarray, str, str]]:
    """What the theory says of each run before it is trained."""
    forms = [quadratic_form(config.p, one.train) for one in tasks]
    times = np.array([time_to_structure(form, start) for form, start in zip(forms, starts, strict=True)])
    with np.errstate(divide="ignore"):
        predicted = times / np.float64(config.embedding_rate)
    implied = np.array([ideal_accuracy(config.p, one.train) for one in tasks])
    same = np.array([ideal_accuracy(config.p, one.train, implied=False) for one in tasks])
    return {
        "ideal_accuracy": (implied, "share of held-out pairs that follow from parallelograms", "1"),
        "same_sum": (same, "share of held-out pairs with a training pair of their sum", "1"),
        "grokking_rate": (np.array([grokking_rate(form) for form in forms]), "third-smallest eigenvalue", "1"),
        "predicted_step": (predicted, "predicted updates to RQI 0.95", "updates"),
    }


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """RQI along training for the smallest, a middle and the largest training set, with the theory's dashed over it."""
    ax = style.axes(ax)
    sizes = result.num_train.values
    steps = result.step.values[1:]
    shown = sorted({int(sizes[0]), int(sizes[len(sizes) // 2]), int(sizes[-1])})
    for size, color in zip(shown, (style.VERMILION, style.ORANGE, style.BLUE), strict=False):
        mine = result.sel(num_train=size).isel(step=slice(1, None))
        style.band(ax, steps, mine.rqi.values, color=color, label=f"network, {size} pairs", interval=(0.25, 0.75))
        ax.plot(steps, mine.flow_rqi.median("seed"), color=color, linestyle="--", label=f"theory, {size} pairs")
    ax.set(xscale="log", xlabel="updates (log scale)", ylabel="parallelograms realized (RQI)", ylim=(-0.02, 1.05))
    ax.legend(loc="upper left", fontsize=8.5)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes."""
    return checks.quoted(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"RQI against updates on a log scale, medians and middle halves of {n['seeds']} seeds, the theory dashed. With "
        f"{n['largest']} training pairs the networks end at a median of {n['rqi_largest']:.2f} and the theory at "
        f"{n['flow_rqi_largest']:.2f}; with {n['smallest']} pairs the networks end at {n['rqi_smallest']:.2f} and the theory at "
        f"{n['flow_rqi_smallest']:.2f}."
    )


_LARGE = tuple(size for size in BOOK.num_train if size >= checks.LARGE)
_FLAT = replace(BOOK, num_train=_LARGE, embedding_dimension=2)
_FROZEN = replace(BOOK, num_train=_LARGE, embedding_rate=0.0, decoder_rate=0.015)
_SHUFFLED = replace(BOOK, num_train=_LARGE, shuffled=True)
_SOURCE = "Liu et al. 2022, arXiv 2205.10343, section 3"

CLAIMS = (
    Claim(
        id="effective_theory.structured",
        says="With 40 training pairs of 55 or more, at least 60 percent of the runs end with an RQI of 0.95.",
        rows=("S2.4",),
        source=_SOURCE,
        check=checks.structured,
        control=Control(says="two coordinates a number instead of one", config=_FLAT, manipulation=checks.fits),
    ),
    Claim(
        id="effective_theory.ideal",
        says="With 40 training pairs or more, the accuracy on held-out pairs ends within 0.1 of the ideal accuracy in at least "
        "60 percent of the runs.",
        rows=("S2.4",),
        source=_SOURCE,
        check=checks.ideal,
        control=Control(
            says="the coordinates kept where they start, so that the decoder has to learn by itself",
            config=_FROZEN,
            manipulation=checks.fits_most,
        ),
    ),
    Claim(
        id="effective_theory.structure_answers",
        says="Of the runs that reach an RQI of 0.95, nine in ten end within 0.1 of their own split's ideal accuracy.",
        rows=("S2.4",),
        source="this book",
        check=checks.structure_answers,
        control=Control(
            says="each run held against the ideal accuracy of the next seed's split",
            change=checks.neighbors_ideal,
            manipulation=checks.ideals_differ,
        ),
    ),
    Claim(
        id="effective_theory.within_a_factor",
        says="Of the runs with 40 training pairs or more, 60 percent reach an RQI of 0.95 within a factor of two of the "
        "predicted step.",
        rows=("S2.4",),
        source=_SOURCE,
        check=checks.within_a_factor,
        control=Control(says="the sums dealt out to the pairs at random", config=_SHUFFLED, manipulation=checks.fits),
        expected="in part",
    ),
    Claim(
        id="effective_theory.proportional",
        says="From split to split the measured step to an RQI of 0.95 is proportional to the predicted one: the slope of their "
        "logarithms is between 0.8 and 1.25.",
        rows=("S2.4",),
        source=_SOURCE,
        check=checks.proportional,
        control=Control(
            says="predictions exchanged between the runs", change=checks.exchanged, manipulation=checks.still_predicted
        ),
        expected="not reproduced",
    ),
    Claim(
        id="effective_theory.whether",
        says="The theory says which runs reach an RQI of 0.95 before the last update: nine in ten of those for which it "
        "predicts so, and no other.",
        rows=("S2.4",),
        source=_SOURCE,
        check=checks.whether,
        control=Control(says="the sums dealt out to the pairs at random", config=_SHUFFLED, manipulation=checks.fits),
        expected="in part",
    ),
)
