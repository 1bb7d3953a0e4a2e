"""A score that needs m answers right at once stays near zero while each answer improves: how much of a jump is the score's.

Schaeffer et al. 2023 (arXiv 2304.15004, section 2) explain jumps of exact match by the product p^m of the chances of m right
tokens. Here m tasks of sparse parity (Michaud et al. 2023, arXiv 2303.13506) are asked about one string, and both scores are
taken from the same runs: cross-entropy of a task, and exact match of all m answers, when answers are drawn from the model's
probabilities. A third score is exact match of the likelier answers. Two models: the chapter's network, and random features, a
linear model that descends the same cross-entropy.

Axes: model, seed, asked (the number m), look (index of a time), clock (that time: updates). Exact match is the mean over all
strings and over the groups of m tasks that follow one another in a ring. It is rescaled so that guessing has 0 and the best 1.
Deviations: Schaeffer et al. vary the size of a model where we vary its training; their p is the same for all tokens.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from torch import Tensor
from torch.nn import functional

from heldout.claims import Claim, Control
from heldout.devices import generator, numpy_generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.quanta import composite_metric_checks as checks
from heldout.quanta.parity import CHANCE, Batch, Tasks, online, random_tasks, zipf
from heldout.quanta.parity_networks import ParityMLP, Together, stacked, train
from heldout.quanta.solvable import answers, every_string, random_kernel

MODELS = ("random features", "network")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the models."""

    num_tasks: int = 8
    num_bits: int = 10  # all 2^num_bits strings are asked
    subset: int = 3  # bits of a task
    width: int = 128
    batch_size: int = 500
    learning_rate: float = 5e-3
    steps: int = 1000
    num_features: int = 2048
    kernel: float = 1 / 3  # of two strings that differ in one bit, for infinitely many features
    flow_end: float = 120.0  # time of the random features' flow, in units of the reciprocal of the parities' eigenvalue
    asked: tuple[int, ...] = (1, 2, 4, 8)  # answers that must all be right
    looks: int = 48
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.num_tasks >= 2, "num_tasks", self.num_tasks, "at least 2")
        require(3 <= self.num_bits <= 12, "num_bits", self.num_bits, "from 3 to 12")
        require(1 <= self.subset <= self.num_bits, "subset", self.subset, "from 1 to num_bits")
        require(self.width >= 1, "width", self.width, "at least 1")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.steps >= 100, "steps", self.steps, "at least 100")
        require(self.num_features >= 1, "num_features", self.num_features, "at least 1")
        require(0 < self.kernel < 1, "kernel", self.kernel, "between 0 and 1")
        require(self.flow_end > 1, "flow_end", self.flow_end, "above 1")
        rising = self.asked[:1] == (1,) and list(self.asked) == sorted(set(self.asked))
        require(rising and self.asked[-1] <= self.num_tasks, "asked", self.asked, "from 1 up, at most num_tasks")
        require(self.looks >= 10, "looks", self.looks, "at least 10")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    num_tasks=4, num_bits=7, width=48, batch_size=200, steps=500, num_features=256, flow_end=60.0, asked=(1, 2, 4), looks=40,
    num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
ONE_BIT = replace(BOOK, subset=1, num_seeds=2)
PAPER = replace(
    BOOK, num_tasks=64, num_bits=12, width=500, batch_size=20_000, learning_rate=1e-3, steps=50_000, num_features=8192,
    asked=(1, 2, 4, 8, 16, 32, 64), flow_end=800.0, looks=120,
)  # fmt: skip


def scores(margins: Tensor, asked: tuple[int, ...]) -> dict[str, Tensor]:
    """Scores of log-odds (..., string, task) of the right answer.

    Returns:
        task_loss (..., task) in nats; exact (..., asked), the chance that all answers drawn are right; product (..., asked), the
        same if tasks erred on strings of their own; likelier (..., asked), the share of strings on which the likelier answers
        are all right.
    """
    right = margins.sigmoid()
    mean = right.mean(-2, keepdim=True)
    found: dict[str, list[Tensor]] = {"exact": [], "product": [], "likelier": []}
    for name, chances in (("exact", right), ("product", mean), ("likelier", (margins > 0).to(right.dtype))):
        all_right = torch.ones_like(chances)
        for number in range(asked[-1]):
            all_right = all_right * chances.roll(-number, -1)
            if number + 1 in asked:
                found[name].append(all_right.mean((-2, -1)))
    return {"task_loss": functional.softplus(-margins).mean(-2)} | {n: torch.stack(v, -1) for n, v in found.items()}


class _Asked:
    """A probe: the scores of every network on all strings, the same strings for all tasks."""

    def __init__(self, tasks: list[Tasks], asked: tuple[int, ...], device: torch.device) -> None:
        strings = torch.from_numpy(every_string(tasks[0].num_bits)).float()
        self._asked, self._size = asked, (len(strings), len(tasks[0].subsets))
        which = torch.arange(self._size[1]).repeat(len(strings))
        odd = [torch.from_numpy((answers(t) < 0).reshape(-1)).float() for t in tasks]
        self._batch = stacked([Batch(which, strings.repeat_interleave(self._size[1], 0), one) for one in odd], device)

    def __call__(self, networks: Together) -> dict[str, Tensor]:
        """Scores of each row's one network."""
        logits = networks.logits(self._batch)[..., 0] * (2 * self._batch.label - 1)
        return scores(logits.view(len(logits), *self._size), self._asked)


def _networks(
    config: Config, tasks: list[Tasks], device: torch.device, progress: Progress
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Looks, and scores (seed, ..., look) of the networks."""
    seeds = range(config.first_seed, config.first_seed + config.num_seeds)
    sizes = (config.num_tasks, config.num_bits, config.width)
    networks = [[ParityMLP(*sizes, generator=generator("composite metric", seed))] for seed in seeds]
    looks = np.geomspace(5, config.steps, config.looks).round().astype(int)
    for i in range(1, len(looks)):
        looks[i] = min(max(looks[i], looks[i - 1] + 1), config.steps)
    found = train(
        Together(networks, device),
        [online(t, config.batch_size, "composite metric", seed) for t, seed in zip(tasks, seeds, strict=True)],
        steps=config.steps, learning_rate=config.learning_rate, probe=_Asked(tasks, config.asked, device),
        probe_steps=sorted(set(looks.tolist())), progress=progress,
    )  # fmt: skip
    row = np.searchsorted(sorted(set(looks.tolist())), looks)
    return looks.astype(float), {name: np.moveaxis(value[row], 0, -1) for name, value in found.items()}


def flow(
    kernel: Tensor, signs: Tensor, looks: np.ndarray, asked: tuple[int, ...], *, growth: float = 0.1
) -> dict[str, np.ndarray]:
    """Gradient flow of a linear model from zero on the mean cross-entropy over all strings, by the midpoint rule.

    Args:
        kernel: (string, string) inner products of features, divided by the number of strings.
        signs: (string, task) right answers, -1 or 1.
        looks: increasing times.
        growth: largest step, as a share of the time that has passed; steps also stay where the rule is stable.

    Returns:
        Scores (..., look).
    """
    largest = float(torch.linalg.eigvalsh(kernel)[-1])
    outputs, time, found = torch.zeros_like(signs), 0.0, list[dict[str, Tensor]]()
    for look in looks.tolist():
        while time < look:
            step = min(max(growth * time, growth * float(looks[0])), 4 / largest, look - time)
            middle = outputs + step / 2 * (kernel @ (signs * torch.sigmoid(-signs * outputs)))
            outputs = outputs + step * (kernel @ (signs * torch.sigmoid(-signs * middle)))
            time = look if step == look - time else time + step
        found.append(scores(signs * outputs, asked))
    return {n: torch.stack([f[n] for f in found], -1).cpu().numpy() for n in found[0]}


def _features(config: Config, tasks: list[Tasks], device: torch.device) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Looks, and scores (seed, ..., look) of the random features."""
    far = (1 - config.kernel) / 2
    unit = 1 / (far**config.subset * (1 - far) ** (config.num_bits - config.subset))
    clock, rows = np.geomspace(0.05, config.flow_end, config.looks), list[dict[str, np.ndarray]]()
    for number, one in enumerate(tasks):
        random = numpy_generator("waves", config.first_seed + number)
        kernel = random_kernel(config.num_bits, config.num_features, config.kernel, random)
        inner, signs = (torch.from_numpy(each).float().to(device) for each in (kernel, answers(one)))
        rows.append(flow(inner, signs, clock * unit, config.asked))
    return clock, {name: np.stack([row[name] for row in rows]) for name in rows[0]}


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Both models on the same equally frequent tasks a seed.

    Returns:
        task_loss (model, seed, task, look) in nats; exact and product (model, seed, asked, look), the chance that all answers
        drawn are right and what the product of mean chances makes it; likelier (model, seed, asked, look), the share of strings
        on which all likelier answers are right; clock (model, look).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    shares = zipf(config.num_tasks, -1.0)
    tasks = [random_tasks(seed, config.num_tasks, config.num_bits, config.subset, shares) for seed in seeds]
    parts = [_features(config, tasks, device), _networks(config, tasks, device, progress)]
    both = {
        name: np.stack([scored[name] for _, scored in parts]) for name in ("task_loss", "exact", "product", "likelier")
    }
    by_asked = ("model", "seed", "asked", "look")
    return xr.Dataset(
        {
            "task_loss": variable(
                ("model", "seed", "task", "look"), both["task_loss"], "cross-entropy of a task", "nats"
            ),
            "exact": variable(by_asked, both["exact"], "exact match of sampled answers"),
            "likelier": variable(by_asked, both["likelier"], "exact match of the likelier answers"),
            "product": variable(by_asked, both["product"], "product of the tasks' mean chances"),
            "clock": variable(
                ("model", "look"),
                np.stack([clock for clock, _ in parts]),
                "time",
                "updates, or units of the flow's time",
            ),
        },
        {
            "model": list(MODELS),
            "seed": seeds,
            "task": variable("task", np.arange(1, config.num_tasks + 1), "number of a task"),
            "asked": variable("asked", list(config.asked), "answers that must all be right"),
        },
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Share of the fall of cross-entropy, and rescaled exact match of one and of the most answers, against rescaled time."""
    ax = style.axes(ax)
    most = int(result.asked[-1])
    for model, color in zip(MODELS, (style.VERMILION, style.BLUE), strict=True):
        time = result.clock.sel(model=model).values / checks.start(result, model)
        fall = 1 - result.task_loss.sel(model=model).mean("task").values / CHANCE
        style.band(ax, time, fall, color=color, label=f"{model}: cross-entropy", interval=(0.0, 1.0), linewidth=2.4)
        score = checks.rescaled(result, model)[:, -1]
        style.band(
            ax, time, score, color=color, label=f"{model}: all {most} right", interval=(0.0, 1.0), linewidth=1.4,
            linestyle=(0, (4, 2)),
        )  # fmt: skip
    ax.set(xscale="log", xlabel="time / time at which the loss is .9 of chance (log scale)", xlim=(0.03, 300))
    ax.set(ylabel="share of the way from chance to perfect", ylim=(-0.05, 1.05))
    ax.legend(loc="upper left", fontsize=8.5)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds unless the name says otherwise."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "most": int(result.asked[-1]), "equal_hidden": checks.arithmetic(int(result.asked[-1])),
        "equal_chance": checks.chance_at_first(int(result.asked[-1])),
    }  # fmt: skip
    for model, name in zip(MODELS, ("features", "network"), strict=True):
        lead, hidden = checks.lead(result, model), checks.hidden(result, model)
        widths = [float(np.median(w)) for w in (checks.rise(result, model, i) for i in (0, -1))]
        found |= {
            f"{name}_lead": float(np.median(lead)), f"{name}_lead_factor": float(10 ** np.median(lead)),
            f"{name}_lead_least": float(lead.min()), f"{name}_lead_most": float(lead.max()),
            f"{name}_hidden": float(np.median(hidden)), f"{name}_hidden_one": float(np.median(checks.hidden(result, model, 0))),
            f"{name}_likelier": float(np.median(checks.early(result, model))),
            f"{name}_off": checks.off(result, model), f"{name}_put_off": float(np.median(checks.put_off(result, model))),
            f"{name}_one_width": widths[0], f"{name}_all_width": widths[1],
            f"{name}_loss_width": float(np.median(checks.loss_width(result, model))),
        }  # fmt: skip
    ratio = checks.lead_ratio(result)
    return found | {"ratio": float(np.median(ratio)), "ratio_least": float(ratio.min())}


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    most = int(result.asked[-1])
    features, network = (float(np.median(checks.lead(result, model))) for model in MODELS)
    return (
        f"Four curves from 0 to 1 against rescaled time on a log axis. In random features the cross-entropy improves "
        f"gradually, and exact match of {most} sampled answers rises only {features:.1f} decades after that began. In the "
        f"network both rise steeply, exact match {network:.1f} decades after the loss began to fall."
    )


CLAIMS = (
    Claim(
        id="composite_metric.hidden",
        says="When exact match of 8 sampled answers reaches .1, the share of the cross-entropy's fall that is over is, in both "
        "models, within .03 of the .59 that arithmetic gives for equal chances.",
        rows=("S3.1",),
        source="Schaeffer et al. 2023, arXiv 2304.15004, section 2",
        check=checks.as_arithmetic,
        control=Control(
            says="a table with the same mean chances, whose answers are right for certain on some strings and guessed on others",
            change=checks.as_table,
            manipulation=checks.both_learn,
        ),
    ),
    Claim(
        id="composite_metric.warning",
        says="From the loss's first tenth to exact match of .1 (8 sampled answers), random features take over twice as many "
        "decades as the network; by the arithmetic, a comparison of widths of the loss.",
        rows=("S3.1",),
        source="this book",
        check=checks.warned,
        control=Control(
            says="tasks of one bit, which need no new features: the network's loss falls gradually, too",
            config=ONE_BIT,
            manipulation=checks.both_learn,
        ),
    ),
)
