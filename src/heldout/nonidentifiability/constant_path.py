"""A path of models from one that breaks a rule to one that keeps it, along which the loss nowhere rises above its ends.

From one start, a decoder of a^n b^n is taught by a second loss to break rule R1 on prompts that the data do not hold, and two
others to keep it (Reizinger et al. 2024, arXiv 2405.01964). Between their weights Bezier curves are bent by training their middle
on the data alone (Garipov et al. 2018, arXiv 1802.10026, who join networks of one accuracy so). Mixtures of two models'
probabilities are a second path, for which a theorem bounds the loss.

Axes: pair (opposite: one breaks R1 and one keeps it; alike: both keep it), place (0 to 1 along a path), path (line, curve), route
(the two, and mixture), training (of the oracle, without a path: before, alone, with lessons), seed.
Deviations: language models in the place of classifiers; the loss is an exact divergence; all ends have one start, unless said.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from torch import Tensor
from torch.nn import functional

from heldout import devices
from heldout.claims import Claim, Control
from heldout.decoders import Transformers
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.nonidentifiability import anbn, weight_paths
from heldout.nonidentifiability import constant_path_checks as checks
from heldout.nonidentifiability.constant_path_numbers import numbers
from heldout.nonidentifiability.lessons import Lessons
from heldout.nonidentifiability.prompt_scores import Prompts
from heldout.nonidentifiability.sequence_training import Auxiliary, Batch, Schedule, train
from heldout.prefix_tree import PrefixTree, prefix_tree

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "describe", "numbers", "plot", "run"]

PATHS = ("line", "curve")
ROUTES = (*PATHS, "mixture")
PAIRS = ("opposite", "alike")
ENDS = ("adversary", "oracle", "other oracle")
OTHER_DRAWS = 10_000  # added to a seed for the lessons of its other oracle, twice for those of one that trains on
TRAININGS = ("before", "alone", "with lessons")  # an oracle, and the same trained on as long as a curve is bent


@dataclass(frozen=True, kw_only=True)
class Config:
    """The language, the network, the training of the ends, and that of the curve."""

    longest: int = 10  # the largest n of a^n b^n
    prompt_length: int = 8  # letters
    width: int = 32
    layers: int = 2
    heads: int = 2
    hidden: int = 64
    steps: int = 900  # updates of the ends
    learning_rate: float = 3e-3
    warm_up: int = 50  # updates
    weight: float = 0.1  # of the second loss
    rows: int = 8  # prompts of the second loss at each update
    taught_share: float = 0.75  # of the prompts outside the language
    one_start: bool = True  # both ends begin with the same weights
    bend_steps: int = 400  # updates of the curve's middle
    num_places: int = 21
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "hidden", "steps", "rows", "bend_steps", "num_seeds"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.num_places >= 3 and self.num_places % 2 == 1, "num_places", self.num_places, "odd, at least 3")
        require(2 <= self.prompt_length <= 12, "prompt_length", self.prompt_length, "2 to 12")
        require(self.longest > self.prompt_length, "longest", self.longest, f"above prompt_length={self.prompt_length}")
        require(self.width % self.heads == 0, "heads", self.heads, f"a divisor of width={self.width}")
        for name in ("learning_rate", "weight"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        require(self.warm_up >= 0, "warm_up", self.warm_up, "0 or more")
        require(0 < self.taught_share < 1, "taught_share", self.taught_share, "above 0 and below 1")


SMOKE = Config(
    longest=4, prompt_length=3, width=8, hidden=16, steps=60, warm_up=5, rows=4, bend_steps=20, num_places=3, num_seeds=2,
    first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    longest=16, width=64, hidden=256, layers=3, heads=4, steps=1500, bend_steps=1500, num_places=41, num_seeds=10
)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train the ends of all seeds as one program, bend all curves as another, and look at every place of every path.

    Returns:
        data_kl (pair, route, place, seed): divergence of the data from the model, nats a sequence; chance (pair, route, place,
        seed): mean probability of the completion that a teacher of R1 would write, over judged prompts; r1, r1_outside (pair,
        path, place, seed): share of judged prompts, and of all untaught ones outside the language, after which the likeliest
        tokens keep R1; trained_kl, trained_r1 (training, seed): the same of the oracle, before and after training on.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    prompts = Prompts.of_length(config.prompt_length, config.taught_share, config.first_seed)
    tree = prefix_tree(*anbn.sequences(config.longest), anbn.OUTPUTS)
    total = config.steps + config.bend_steps
    models = _start(config, seeds).to(device)
    second = Auxiliary(first=0, weight=config.weight, batch=_lesson(config, seeds, prompts))
    schedule = Schedule(steps=config.steps, learning_rate=config.learning_rate, warm_up=config.warm_up)
    for done in train(models, tree, schedule, second):
        progress(done, total)
    own = np.arange(len(seeds))
    adversary, oracle, other = (own + number * len(seeds) for number in range(len(ENDS)))
    first = weight_paths.part(models, np.concatenate([adversary, other]))
    last = weight_paths.part(models, np.concatenate([oracle, oracle]))
    line, curve = (weight_paths.Curve(first, last, devices.generator("places", config.first_seed)) for _ in PATHS)
    bending = Schedule(steps=config.bend_steps, learning_rate=config.learning_rate, warm_up=config.warm_up)
    for done in train(curve, tree, bending):
        progress(config.steps + done, total)
    again = _lessons_again(config, seeds, prompts)
    oracles = [weight_paths.part(models, oracle) for _ in TRAININGS]
    for members, extra in zip(oracles[1:], (None, again), strict=True):
        for _ in train(members, tree, bending, extra):
            pass
    trained = [_look(members, tree, prompts) for members in oracles]
    places = np.linspace(0, 1, config.num_places)
    looks = [[_look(path.at(place), tree, prompts) for place in places] for path in (line, curve)]
    mixture = _mixture(first, last, tree, prompts, places)
    return _dataset(seeds, places, looks, mixture, trained).assign_attrs(
        judged=int(prompts.judged.sum()), longest=config.longest, updates=config.steps, bends=config.bend_steps
    )


def _start(config: Config, seeds: list[int]) -> Transformers:
    """All ends of all seeds, end by end."""
    return Transformers(
        [devices.generator("path", ENDS[0] if config.one_start else end, seed) for end in ENDS for seed in seeds],
        vocabulary=anbn.VOCABULARY, outputs=anbn.OUTPUTS, context=2 * config.longest + 1, width=config.width,
        layers=config.layers, heads=config.heads, hidden=config.hidden,
    )  # fmt: skip


def _lesson(config: Config, seeds: list[int], prompts: Prompts) -> Callable[[int], Batch]:
    """What the ends are taught at an update, end by end: the two oracles draw other prompts of the same taught ones."""
    draws = [[seed + shift for seed in seeds] for shift in (0, OTHER_DRAWS)]
    taught = np.tile(prompts.taught, (len(seeds), 1))
    lessons = [Lessons(each, prompts.rows, taught, steps=config.steps, rows=config.rows) for each in draws]
    keep, broken = slice(len(seeds)), slice(len(seeds), None)  # as :class:`Lessons` orders its two kinds

    def batch(step: int) -> Batch:
        (read, wanted), (other_read, other_wanted) = (lesson(step) for lesson in lessons)
        longer = max(read.shape[-1], other_read.shape[-1])
        reads, wants = (read[broken], read[keep], other_read[keep]), (wanted[broken], wanted[keep], other_wanted[keep])
        return _stacked(reads, longer, anbn.END), _stacked(wants, longer, anbn.IGNORED)

    return batch


def _lessons_again(config: Config, seeds: list[int], prompts: Prompts) -> Auxiliary:
    """The lessons of an oracle that trains on: the same prompts, drawn anew."""
    draws, taught = [seed + 2 * OTHER_DRAWS for seed in seeds], np.tile(prompts.taught, (len(seeds), 1))
    lessons = Lessons(draws, prompts.rows, taught, steps=config.bend_steps, rows=config.rows)

    def keep(step: int) -> Batch:
        read, wanted = lessons(step)
        return read[: len(seeds)], wanted[: len(seeds)]

    return Auxiliary(first=0, weight=config.weight, batch=keep)


def _stacked(rows: tuple[Tensor, ...], places: int, filler: int) -> Tensor:
    return torch.cat([functional.pad(each, (0, places - each.shape[-1]), value=filler) for each in rows])


@torch.no_grad()
def _said(models: Transformers, tree: PrefixTree, prompts: Prompts) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities after every prefix of the data, of each token of the teacher's completions, and which tokens count."""
    logs = models.on_tree(tree.to(models.embed)).double().log_softmax(-1).cpu()
    read, wanted = (part.to(models.embed.device) for part in anbn.taught(prompts.rows[prompts.judged], "oracle"))
    answers = models(read.expand(models.count, -1, -1)).double().log_softmax(-1)
    own = answers.gather(-1, wanted.clamp(min=0).expand(models.count, -1, -1).unsqueeze(-1)).squeeze(-1)
    return logs, own.cpu(), (wanted != anbn.IGNORED).cpu()


def _scores(logs: Tensor, own: Tensor, counts: Tensor, tree: PrefixTree) -> dict[str, np.ndarray]:
    sequences = float(tree.counts[tree.places == 0].sum())
    kl = -(tree.counts * logs).sum((-1, -2)) / sequences - np.log(sequences)
    return {"data_kl": kl.numpy(), "chance": (own * counts).sum(-1).exp().mean(-1).numpy()}


def _look(models: Transformers, tree: PrefixTree, prompts: Prompts) -> dict[str, np.ndarray]:
    return _scores(*_said(models, tree, prompts), tree) | prompts.kept(prompts.written(models))


def _mixture(
    first: Transformers, last: Transformers, tree: PrefixTree, prompts: Prompts, places: np.ndarray
) -> list[dict[str, np.ndarray]]:
    """The same scores of mixtures of the two ends' next-token probabilities, after every prefix."""
    (logs, own, counts), (other_logs, other_own, _) = (_said(end, tree, prompts) for end in (first, last))
    found = []
    for place in map(float, places):
        mixed = weight_paths.mixed(logs, other_logs, place), weight_paths.mixed(own, other_own, place)
        found.append(_scores(*mixed, counts, tree))
    return found


def _dataset(
    seeds: list[int], places: np.ndarray, looks: list[list[dict[str, np.ndarray]]], mixture: list[dict[str, np.ndarray]],
    trained: list[dict[str, np.ndarray]],
) -> xr.Dataset:  # fmt: skip
    described = {
        "data_kl": ("route", "divergence of the data from the model", "nats a sequence"),
        "chance": ("route", "probability of the balanced completion", "1"),
        "r1": ("path", "share of prompts ended with as many a as b", "1"),
        "r1_outside": ("path", "the same, of all untaught prompts outside the language", "1"),
    }
    found, variables = {"route": [*looks, mixture], "path": looks}, {}
    for name, (over, label, units) in described.items():
        table = np.array([[look[name] for look in row] for row in found[over]])  # (over, place, pair and seed)
        values = np.moveaxis(table.reshape(*table.shape[:2], len(PAIRS), len(seeds)), 2, 0)
        variables[name] = variable(("pair", over, "place", "seed"), values, label, units)
    for name, key in {"trained_kl": "data_kl", "trained_r1": "r1"}.items():
        _, label, units = described[key]
        values = np.stack([look[key] for look in trained])
        variables[name] = variable(("training", "seed"), values, f"{label}, of an oracle", units)
    return xr.Dataset(
        variables,
        {
            "pair": list(PAIRS), "route": list(ROUTES), "path": list(PATHS), "seed": seeds,
            "training": list(TRAININGS),
            "place": variable("place", places, "place along the path"),
        },
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None, *, pair: str = "opposite") -> Axes:
    """R1 against the divergence along the straight line and along the curve, one thread a seed."""
    ax = style.axes(ax)
    result = result.sel(pair=pair)
    for path, color in zip(PATHS, (style.MUTED, style.BLUE), strict=True):
        own = result.sel(path=path, route=path)
        for seed in own.seed.values:
            one = own.sel(seed=seed)
            label = {"line": "straight line", "curve": "bent curve"}[path] if seed == own.seed.values[0] else None
            ax.plot(one.data_kl, one.r1, color=color, linewidth=1.2, marker=".", markersize=4, alpha=0.9, label=label)
    ends = result.sel(path="curve", route="curve").isel(place=[0, -1])
    ax.plot(
        ends.data_kl.values.ravel(), ends.r1.values.ravel(), "o", color=style.VERMILION, zorder=3, label="the two ends"
    )
    ax.set(
        xlabel="divergence of data from model (nats a sequence, log scale)", ylabel="share of prompts with R1 kept",
        xscale="log", ylim=(-0.03, 1.03),
    )  # fmt: skip
    ax.legend(loc="best")
    return ax


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Share of prompts with R1 kept against the divergence from the data, along the straight line and along the bent curve "
        f"between two models, {n['seeds']} seeds. Along the curve the share goes from {n['opposite_first']:.2f} to "
        f"{n['opposite_last']:.2f} while the divergence lies between {n['opposite_curve_least']:.4f} and "
        f"{n['opposite_curve_most']:.4f} nats a sequence in the median; along the line it rises to {n['opposite_line_most']:.4f}."
    )


_GARIPOV = "this book, after Garipov et al. 2018, arXiv 1802.10026"
CLAIMS = (
    Claim(
        id="constant_path.level",
        says="Along the curve the divergence from the data is nowhere 0.0003 nats a sequence or more above the higher end, and "
        "R1 goes from less than 5 % of the judged prompts to more than 95 %.",
        rows=("S4.2",),
        source=_GARIPOV,
        check=checks.level,
        control=Control(
            says="the straight line between the same ends, whose middle is not trained",
            change=checks.straight,
            manipulation=checks.ends_opposite,
        ),
        expected_at_paper="in part",
    ),
    Claim(
        id="constant_path.forgotten",
        says="An oracle that keeps R1 after more than 95 % of the judged prompts keeps it after less than 90 % when it has "
        "trained on with the data alone, without a curve, for as many updates as a curve is bent.",
        rows=("S4.2",),
        source="this book",
        check=checks.forgotten,
        control=Control(
            says="the same oracle trained on for as long with its lessons, on the same prompts as before",
            change=checks.lessons_kept,
            manipulation=checks.no_worse,
        ),
    ),
)
