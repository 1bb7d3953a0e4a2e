"""Equal loss on all data there are, and the distance elsewhere: models of a^n b^n, and what closes the distance.

Decoders learn every sequence of the language, so that the loss that is matched is no estimate: it is the divergence of the
data's distribution from the model's. They differ in their start, their depth, and in how many prompts outside the language
they are taught to go on from, and how (Reizinger et al. 2024, arXiv 2405.01964, for the language and the two ways to teach).
One factor on the logits makes the divergences equal.

Axes: seed (of starts and lessons), model, pair (of models), set (train: the next token along the data; test: the whole
sequence; elsewhere: what is written after untaught prompts outside the language), dose (prompts taught, the same to two starts),
surplus (letters a of a prompt less its letters b).
Deviations: n up to 9 and fewer updates than on the page on rule extrapolation, so that four doses fit; the panel is this book's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout import devices, distances
from heldout.claims import Claim, Control
from heldout.decoders import Transformers
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import panel
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability import closing_panel_checks as checks
from heldout.nonidentifiability import closing_panel_figures as figures
from heldout.nonidentifiability import panel_comparison as comparison
from heldout.nonidentifiability import panel_sequences as panels
from heldout.nonidentifiability.closing_panel_checks import DEEP, OTHER_DEEP, PAIRS
from heldout.nonidentifiability.panel_lessons import Doses, Member, members, outside_in_order
from heldout.nonidentifiability.sequence_training import Auxiliary, Schedule, train
from heldout.prefix_tree import prefix_tree


@dataclass(frozen=True, kw_only=True)
class Config:
    """The language, the networks, their training, and how many prompts are taught."""

    longest: int = 9  # the largest n of a^n b^n
    prompt_length: int = 8  # letters
    width: int = 32
    layers: int = 2
    more_layers: int = 4  # of the deeper network
    heads: int = 2
    hidden: int = 64
    steps: int = 400
    learning_rate: float = 3e-3
    warm_up: int = 50  # updates
    weight: float = 0.1  # of the lessons
    rows: int = 8  # lessons at each update
    doses: tuple[int, ...] = (0, 16, 64, 188)  # prompts taught; the last to oracle and adversary
    shuffled: bool = False  # each taught prompt with the answer to another
    divergence: float = 0.02  # to which all are matched, nats a sequence
    num_seeds: int = 5
    first_seed: int = 120

    def __post_init__(self) -> None:
        for name in ("width", "layers", "more_layers", "heads", "hidden", "steps", "rows", "num_seeds"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(2 <= self.prompt_length <= 12, "prompt_length", self.prompt_length, "2 to 12")
        require(self.longest > self.prompt_length, "longest", self.longest, f"above prompt_length={self.prompt_length}")
        require(self.width % self.heads == 0, "heads", self.heads, f"a divisor of width={self.width}")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.warm_up >= 0, "warm_up", self.warm_up, "0 or more")
        require(self.weight >= 0, "weight", self.weight, "0 or more")
        rising = len(self.doses) >= 2 and self.doses[0] == 0 and list(self.doses) == sorted(set(self.doses))
        require(rising, "doses", self.doses, "0 and one or more larger ones, rising")
        outside = int((~anbn.in_distribution(anbn.prompts(self.prompt_length))).sum())
        require(self.doses[-1] < outside, "doses", self.doses, f"below {outside}, the prompts outside the language")
        require(self.divergence > 0, "divergence", self.divergence, "above 0")


SMOKE = Config(
    longest=4, prompt_length=3, width=8, more_layers=3, hidden=16, steps=100, warm_up=5, rows=4, doses=(0, 1, 3), divergence=2.0,
    num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    longest=64, prompt_length=8, width=64, layers=4, more_layers=8, heads=4, hidden=256, steps=10_000, learning_rate=1e-3,
    warm_up=500, doses=(0, 1, 4, 16, 64, 188), num_seeds=10,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every network of every seed, match their losses, and compare.

    Returns:
        distance (seed, pair, set), loss_difference (seed, pair), yardstick (seed, set), natural (pair) of the panel. Of two
        starts that are taught the same prompts (seed, dose): start_distance and, if nothing is put together, the most that it
        can be, start_farthest, on untaught prompts; start_test, the same most on whole sequences; right: untaught prompts after
        which the likeliest outcome is the oracle's; learned: taught ones after which it is the one taught (NaN for none).
        start_profile, rule_profile (seed, dose, surplus): the distance, and the probability that the first gives to the
        oracle's answer, by the letters that a prompt lacks (NaN where no prompt lacks them). across, within (seed): mean
        distance of networks of two depths and of one. taught_by_length, plain_by_length (seed, letters). By model: divergence
        (nats a sequence, before matching), factor, rest_elsewhere and rest_data (probability of anything else), right_lacking
        (where letters are lacking); balanced (seed): untaught prompts that lack none. NaN where a network cannot be matched.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    rows = anbn.prompts(config.prompt_length)
    order = outside_in_order(rows, seeds)
    trained = members(config.doses)
    lessons = Doses(trained, seeds, rows, order, config.steps, config.rows, shuffled=config.shuffled)
    second = Auxiliary(first=2 * len(seeds), weight=config.weight, batch=lessons)
    wide = _network(config, [member.start for member in trained], seeds, config.layers).to(device)
    _train(config, wide, partial(_report, progress, 0, config.steps), second)
    deep = _network(config, [DEEP, OTHER_DEEP], seeds, config.more_layers).to(device)
    _train(config, deep, partial(_report, progress, config.steps, config.steps), None)
    asked = partial(
        panels.answers, rows=rows, others=comparison.other_lengths(config.prompt_length), longest=config.longest,
        divergence=config.divergence,
    )  # fmt: skip
    said: dict[Member | str, list[panels.Answers]] = dict(zip(trained, asked(wide, len(trained)), strict=True))
    said |= dict(zip((DEEP, OTHER_DEEP), asked(deep, 2), strict=True))
    found = []
    for number in range(len(seeds)):
        own = {name: answers[number] for name, answers in said.items()}
        found.append(comparison.compared(own, config.doses, rows, order[number], lessons.given[number]))
    return _dataset(config, seeds, rows, order.shape[1], found)


def _report(progress: Progress, before: int, steps: int, done: int) -> None:
    progress(before + done, 2 * steps)


def _network(config: Config, starts: list[str], seeds: list[int], layers: int) -> Transformers:
    return Transformers(
        [devices.generator("nonidentifiability panel", start, seed) for start in starts for seed in seeds],
        vocabulary=anbn.VOCABULARY, outputs=anbn.OUTPUTS, context=2 * config.longest + 1, width=config.width, layers=layers,
        heads=config.heads, hidden=config.hidden,
    )  # fmt: skip


def _train(config: Config, models: Transformers, report: Callable[[int], None], second: Auxiliary | None) -> None:
    tree = prefix_tree(*anbn.sequences(config.longest), anbn.OUTPUTS)
    schedule = Schedule(steps=config.steps, learning_rate=config.learning_rate, warm_up=config.warm_up)
    for done in train(models, tree, schedule, second):
        report(done)


def _dataset(
    config: Config, seeds: list[int], rows: np.ndarray, outside: int, found: list[dict[str, np.ndarray]]
) -> xr.Dataset:
    every = {name: np.array([one[name] for one in found]) for name in found[0]}
    record = distances.panel_dataset(PAIRS, seeds, found, every["yardstick"], "divergence in nats a sequence")
    dose, model, length, profile = ("seed", "dose"), ("seed", "model"), ("seed", "letters"), every["profile"]
    described: dict[str, tuple[str | tuple[str, ...], str]] = {
        "start_distance": (dose, "distance between two starts on untaught prompts"),
        "start_farthest": (dose, "the most that it can be"),
        "start_test": (dose, "the most that two starts can be apart on whole sequences"),
        "right": (dose, "share of untaught prompts ended as the rule says"),
        "learned": (dose, "share of taught prompts ended as taught"),
        "across": ("seed", "mean distance of networks of two depths"),
        "within": ("seed", "mean distance of networks of one depth"),
        "taught_by_length": (length, "distance between two oracles"),
        "plain_by_length": (length, "distance between two plain models"),
        "rest_elsewhere": (model, "probability of anything else after untaught prompts"),
        "rest_data": (model, "probability of anything else than the data"),
        "right_lacking": (model, "share of prompts that lack letters ended as the rule says"),
        "balanced": ("seed", "share of untaught prompts that lack none"),
        "factor": (model, "factor on the logits that matches the divergence"),
    }
    added = {name: variable(dims, every[name], label) for name, (dims, label) in described.items()}
    added |= {
        "start_profile": variable(
            (*dose, "surplus"), profile[..., 0], "distance between two starts on untaught prompts"
        ),
        "rule_profile": variable((*dose, "surplus"), profile[..., 1], "probability of the answer that keeps the rule"),
        "divergence": variable(model, every["divergence"], "divergence before matching", "nats a sequence"),
    }
    coords = {
        "model": list(comparison.models(config.doses[-1])), "dose": variable("dose", list(config.doses), "prompts taught"),
        "letters": variable("letters", [config.prompt_length + more for more in (-1, 0, 1)], "letters of a prompt"),
        "surplus": variable("surplus", panels.surpluses(rows), "letters a of a prompt less its letters b"),
    }  # fmt: skip
    facts = {"loss": config.divergence, "prompts": len(rows), "outside": outside, "longest": config.longest}
    return record.assign_coords(coords).assign(added).assign_attrs(facts)


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The closing panel; see :func:`heldout.figures.panel.plot`."""
    return panel.plot(result, ax)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes; see :func:`heldout.nonidentifiability.closing_panel_figures.numbers`."""
    return figures.numbers(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    return panel.describe(result)


_PAPER = "Reizinger et al. 2024, arXiv 2405.01964"
_EXCHANGED = Control(
    says="as many lessons, each with the answer to another prompt, and learned: longer training with more weight",
    config=Config(shuffled=True, doses=(0, 188), steps=1200, rows=16, weight=0.5, more_layers=1, num_seeds=3),
    manipulation=checks.matched_and_learned,
)

CLAIMS = (
    Claim(
        id="closing_panel.opposite_elsewhere",
        says="Oracle and adversary, at one loss and from one start, are less than 0.05 apart on whole sequences of the data and "
        "more than 0.9 after prompts outside the language.",
        rows=("S4.0", "S4.1", "S4.2"),
        source=f"{_PAPER}, for the two ways to teach; the panel is this book's",
        check=checks.opposite_elsewhere,
        control=Control(
            says="the same lessons to both: two oracles from two starts",
            change=checks.same_lessons,
            manipulation=checks.matched,
        ),
    ),
    Claim(
        id="closing_panel.starts_part",
        says="Two plain models from different starts, at one loss, are less than 0.05 apart on whole sequences and more than 0.2 "
        "elsewhere.",
        rows=("S4.0", "S4.2"),
        source="this book",
        check=checks.starts_part,
        control=Control(
            says="the same two starts, taught the rule on other prompts",
            change=checks.taught_for_plain,
            manipulation=checks.matched,
        ),
    ),
    Claim(
        id="closing_panel.depth_adds_little",
        says="Networks of two depths are on average as far apart elsewhere as two starts of one depth, to 0.15, in four "
        "seeds of five.",
        rows=("S4.2", "S4.5"),
        source="this book",
        check=checks.depth_adds_little,
        control=Control(
            says="the oracle in the place of the deeper networks: lessons move answers farther than a start",
            change=checks.oracle_for_deeper,
            manipulation=checks.matched,
        ),
    ),
    Claim(
        id="closing_panel.lessons_close",
        says="Two starts taught the rule on 188 prompts are at most 0.1 apart on the others of that length, taught on 16 "
        "more than 0.2.",
        rows=("S4.5",),
        source="this book",
        check=checks.lessons_close,
        control=_EXCHANGED,
    ),
    Claim(
        id="closing_panel.open_beside",
        says="Taught on prompts of eight letters, two starts are more than 0.1 apart after prompts of seven and of nine.",
        rows=("S4.2", "S4.5"),
        source="this book",
        check=checks.open_beside,
        control=Control(
            says="untaught prompts of eight letters in the place of the other lengths",
            change=checks.same_length,
            manipulation=checks.matched,
        ),
    ),
)
