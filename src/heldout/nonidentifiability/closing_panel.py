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
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout import devices, distances
from heldout.claims import Claim, Control
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import panel
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability import closing_panel_checks as checks
from heldout.nonidentifiability import closing_panel_figures as figures
from heldout.nonidentifiability import panel_sequences as panels
from heldout.nonidentifiability.closing_panel_checks import (
    ADVERSARY,
    DEEP,
    ORACLE,
    OTHER_ORACLE,
    OTHER_PLAIN,
    PAIRS,
    PLAIN,
    RULER,
)
from heldout.nonidentifiability.panel_lessons import Doses, Member, members, outside_in_order
from heldout.nonidentifiability.panel_sequences import Answers
from heldout.nonidentifiability.prefix_tree import prefix_tree
from heldout.nonidentifiability.sequence_models import Transformers
from heldout.nonidentifiability.sequence_training import Auxiliary, Schedule, train


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
    first_seed: int = 110

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
    longest=4, prompt_length=3, width=8, more_layers=3, hidden=16, steps=100, warm_up=5, rows=4, doses=(0, 1, 3), divergence=0.9,
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
        distance (seed, pair, set), loss_difference (seed, pair), yardstick (seed, set), natural (pair) of the panel;
        start_distance, start_test (seed, dose): between two starts that are taught the same prompts, on untaught ones and on
        whole sequences; right (seed, dose): share of untaught prompts after which the likeliest outcome of the first start is
        the oracle's; start_profile, rule_profile (seed, dose, surplus): the distance of the two starts, and the probability
        that the first gives to the oracle's answer, by the letters that a prompt lacks (NaN where no untaught prompt lacks
        them); divergence (nats a sequence, before matching) and factor (seed, model). NaN where a network cannot be
        matched.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    rows = anbn.prompts(config.prompt_length)
    order = outside_in_order(rows, seeds)
    trained = members(config.doses)
    lessons = Doses(trained, seeds, rows, order, config.steps, config.rows, shuffled=config.shuffled)
    second = Auxiliary(first=2 * len(seeds), weight=config.weight, batch=lessons)
    wide = _network(config, [member.start for member in trained], seeds, config.layers).to(device)
    _train(config, wide, partial(_report, progress, 0, config.steps), second)
    deep = _network(config, [DEEP], seeds, config.more_layers).to(device)
    _train(config, deep, partial(_report, progress, config.steps, config.steps), None)
    asked = partial(panels.answers, rows=rows, longest=config.longest, divergence=config.divergence)
    found = dict(zip([*trained, DEEP], [*asked(wide, len(trained)), *asked(deep, 1)], strict=True))
    return _dataset(config, seeds, rows, order, found)


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
    config: Config, seeds: list[int], rows: np.ndarray, order: np.ndarray, found: dict[Member | str, list[Answers]]
) -> xr.Dataset:
    most = config.doses[-1]
    places = {
        PLAIN: Member(0, 0), OTHER_PLAIN: Member(1, 0), ORACLE: Member(0, most), OTHER_ORACLE: Member(1, most),
        ADVERSARY: Member(0, most, "adversarial"), DEEP: DEEP,
    }  # fmt: skip
    measured, yardstick, starts, profiles = [], [], [], []
    for number in range(len(seeds)):
        untaught = order[number, most:]
        own = {name: answers[number].on(untaught) for name, answers in found.items()}
        predictions = {name: own[place] for name, place in places.items()}
        losses = {name: found[place][number].matched for name, place in places.items()}
        compare = partial(distances.measure, predictions=predictions, losses=losses, distance=panels.distance)
        measured.append(compare(PAIRS))
        yardstick.append(compare([RULER])["distance"][0])
        both = [[own[Member(start, dose)] for start in (0, 1)] for dose in config.doses]
        starts.append([
            [panels.distance(one["elsewhere"], other["elsewhere"]) for one, other in both],
            [panels.distance(one["test"], other["test"]) for one, other in both],
            [panels.share_right(one["elsewhere"], rows[untaught]) for one, _ in both],
        ])  # fmt: skip
        profiles.append([panels.profiles(one["elsewhere"], other["elsewhere"], rows[untaught]) for one, other in both])
    record = distances.panel_dataset(PAIRS, seeds, measured, np.array(yardstick), "divergence in nats a sequence")
    apart, on_sequences, right = np.array(starts).transpose(1, 0, 2)
    by_surplus, by_letters = ("seed", "dose", "surplus"), np.array(profiles)
    own_loss, factor = (
        np.array([[getattr(one, what) for one in found[place]] for place in places.values()]).T
        for what in ("divergence", "factor")
    )
    added = {
        "start_distance": variable(("seed", "dose"), apart, "distance between two starts on untaught prompts"),
        "start_test": variable(("seed", "dose"), on_sequences, "distance between two starts on whole sequences"),
        "right": variable(("seed", "dose"), right, "share of untaught prompts ended as the rule says"),
        "start_profile": variable(by_surplus, by_letters[..., 0], "distance between two starts on untaught prompts"),
        "rule_profile": variable(by_surplus, by_letters[..., 1], "probability of the answer that keeps the rule"),
        "divergence": variable(("seed", "model"), own_loss, "divergence before matching", "nats a sequence"),
        "factor": variable(("seed", "model"), factor, "factor on the logits that matches it"),
    }
    coords: dict[str, Any] = {"model": list(places), "dose": variable("dose", list(config.doses), "prompts taught")}
    coords["surplus"] = variable(
        "surplus", np.array(panels.surpluses(rows)), "letters a of a prompt less its letters b"
    )
    facts = {"loss": config.divergence, "prompts": len(rows), "outside": order.shape[1], "longest": config.longest}
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
_UNTAUGHT = Control(
    says="the lessons have weight 0: oracle and adversary are two plain models of the same loss",
    config=Config(weight=0.0, doses=(0, 188), num_seeds=3),
    manipulation=checks.matched,
)

CLAIMS = (
    Claim(
        id="closing_panel.opposite_elsewhere",
        says="Oracle and adversary, at one loss, are less than 0.05 apart on whole sequences of the data and more than 0.9 after "
        "prompts outside the language.",
        rows=("S4.0", "S4.1", "S4.2"),
        source=f"{_PAPER}, for the two ways to teach; the panel is this book's",
        check=checks.opposite_elsewhere,
        control=_UNTAUGHT,
    ),
    Claim(
        id="closing_panel.starts_part",
        says="Two plain models from different starts, at one loss, are less than 0.05 apart on whole sequences and more than 0.1 "
        "elsewhere.",
        rows=("S4.0", "S4.2"),
        source="this book",
        check=checks.starts_part,
        control=Control(
            says="two starts that were taught the rule on other prompts, in the place of the two plain models",
            change=checks.taught_for_plain,
            manipulation=checks.matched,
        ),
    ),
    Claim(
        id="closing_panel.depth_like_a_start",
        says="Twice the layers move answers elsewhere about as far as another start does: the two distances differ by less than "
        "0.3 in four seeds of five.",
        rows=("S4.2", "S4.5"),
        source="this book",
        check=checks.depth_like_a_start,
        control=Control(
            says="the oracle in the place of the deeper network: lessons move answers farther than a start",
            change=checks.oracle_for_deeper,
            manipulation=checks.matched,
        ),
    ),
    Claim(
        id="closing_panel.lessons_close",
        says="Two starts taught the rule on 188 prompts are less than 0.05 apart on the others, taught on 16 more than 0.1, "
        "in four seeds of five.",
        rows=("S4.5",),
        source="this book",
        check=checks.lessons_close,
        control=Control(
            says="as many lessons, each prompt with the answer to another: no rule in them",
            config=Config(shuffled=True, doses=(0, 16, 188), num_seeds=3),
            manipulation=checks.matched,
        ),
    ),
)
