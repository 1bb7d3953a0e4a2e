"""A small decoder learns a language of named functions, and what is told of one name is known of its synonyms.

Decoders are pretrained on lines that apply, define, invert and compose named functions modulo a prime; each function has several
names, one of which no line defines, a few functions are never defined by any name, and of a few more no line speaks. Then all
names are asked, their rows are compared, and a row is exchanged for another function's, wholly, in part or one layer later.
In a comment on Treutlein et al. 2024 (arXiv 2406.14546) S. Byrnes divides the labor: early layers meet the name, later ones hold
the idea of the function, the rest speaks.

Axes: task, group (of names), depth, answer, word (of a definition), share, draw, seed, pair (of functions).
Deviations: the paper fine-tunes GPT-3.5; language, decoders and measures are ours, and noise is added to the rows of names.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.connecting_dots import world_checks as checks
from heldout.connecting_dots.named_functions import NAMED
from heldout.connecting_dots.pretraining import Recipe, pretrain
from heldout.connecting_dots.world_measures import (
    GROUPS,
    changed_at_depths,
    exchange,
    geometry,
    half_exchanged,
    on_the_way,
    right_by_group,
    word_by_word,
)
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style

ANSWERS = ("own", "other")
WORDS = ("operation", "constant")
FIRST, SECOND = range(3), range(3, 6)
NO_COMMON_TASK = (
    *(f"{task} {place}" for task in ("define", "invert") for place in FIRST),
    *(f"{task} {place}" for task in ("apply", "compose") for place in SECOND),
)


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """How the decoders are pretrained, in how many steps a row is moved to another function, and how many halves are drawn."""

    left_out: tuple[str, ...] = ("define 5",)
    moves: int = 21
    draws: int = 8
    num_seeds: int = 5
    first_seed: int = 110

    def __post_init__(self) -> None:
        require(self.moves >= 2, "moves", self.moves, "at least 2")
        for name in ("draws", "num_seeds"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("undefined", "unseen", "synonyms"):
            require(
                getattr(self, name) >= 2, name, getattr(self, name), "at least 2, to compare names within and between"
            )
        super().__post_init__()
        silent = any(entry.startswith("define ") for entry in self.left_out)
        require(silent, "left_out", self.left_out, "such that some name is left out of definitions")


SMOKE = Config(
    modulus=5, synonyms=2, undefined=2, unseen=2, width=8, heads=2, hidden=16, steps=40, batch=32, warm_up=5, moves=3,
    draws=2, left_out=("define 1",), num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    modulus=11, synonyms=8, undefined=6, unseen=3, width=64, layers=4, hidden=256, batch=256, steps=1800,
    learning_rate=4e-3, left_out=("define 7",),
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Pretrain all seeds as one ensemble, ask and compare all names, and exchange rows between functions.

    Returns:
        accuracy (group, task, seed): share of lines right over all names of a group; within, between, nearest (group, depth,
        seed): cosine with synonyms and with other names, and share of names whose nearest one is a synonym; beside_defined
        (depth, seed): share of silent names to which, of the names that lines define, a synonym's is nearest; follows (task,
        answer, depth, seed): share of answers that are the name's own function's, or the other one's, when that one's mean row
        is put in the name's place; words (word, answer, depth, seed): the same for the words of definitions; way (task,
        answer, share, seed, pair): the same as follows for a share of that row at depth 0; half (task, draw, seed, pair): share
        of answers of the other function when half of the row is its; loss (seed).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    found = pretrain(config, seeds, device=device, progress=progress)
    shares = np.linspace(0, 1, config.moves)
    lie = geometry(found)
    swaps = {task: exchange(found, seeds, task) for task in NAMED}
    changed = [changed_at_depths(found, swap) for swap in swaps.values()]
    words = word_by_word(found, swaps["define"])
    moved = [on_the_way(found, swap, shares.tolist()) for swap in swaps.values()]
    halves = torch.stack([half_exchanged(found, swap, seeds, config.draws) for swap in swaps.values()])
    described: dict[str, tuple[Any, ...]] = {
        "accuracy": (("group", "task", "seed"), right_by_group(found, NAMED), "share of lines right"),
        "within": (("group", "depth", "seed"), lie.within, "mean cosine with a synonym"),
        "between": (("group", "depth", "seed"), lie.between, "mean cosine with a name of another function"),
        "nearest": (("group", "depth", "seed"), lie.nearest, "share of names whose nearest one is a synonym"),
        "beside_defined": (
            ("depth", "seed"), lie.beside_defined, "share of silent names to which a synonym is the nearest defined name",
        ),
        "follows": (
            ("task", "answer", "depth", "seed"), _by_answer(changed),
            "share of answers of this function with the other's row in the name's place",
        ),
        "words": (
            ("answer", "word", "depth", "seed"), torch.stack([words[a] for a in ANSWERS]),
            "share of definitions in which the word is this function's",
        ),
        "way": (
            ("task", "answer", "share", "seed", "pair"), _by_answer(moved),
            "share of answers of this function on the way to the other's row",
        ),
        "half": (("task", "draw", "seed", "pair"), halves, "share of the other function's answers, half of the row being its"),
    }  # fmt: skip
    coordinates = {
        "group": variable("group", list(GROUPS), "names"), "task": variable("task", list(NAMED), "what a line asks"),
        "answer": variable("answer", list(ANSWERS), "whose answer"), "word": variable("word", list(WORDS), "word"),
        "depth": variable("depth", range(config.layers), "layers before"),
        "share": variable("share", shares, "share of the other function's row"),
        "draw": variable("draw", range(config.draws), "which half"), "seed": seeds,
    }  # fmt: skip
    data = {name: variable(dims, values, label) for name, (dims, values, label) in described.items()}
    data["loss"] = variable("seed", found.loss, "loss at the end of pretraining, with noise", "nats a token")
    language = found.languages[0]
    attributes = {
        "updates": config.steps, "functions": len(language.functions), "synonyms": config.synonyms, "unseen": config.unseen,
        "defined": len(language.defined), "undefined": config.undefined,
    }  # fmt: skip
    return xr.Dataset(data, coordinates, attributes)


def _by_answer(parts: list[dict[str, torch.Tensor]]) -> torch.Tensor:
    """Tasks, then answers, then the rest."""
    return torch.stack([torch.stack([part[answer] for answer in ANSWERS]) for part in parts])


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Share of lines right by kind of name, one point a seed: what is told of a synonym is known, what is told of none is not."""
    ax = style.axes(ax)
    kinds = {
        "defined": "defined\nthemselves", "silent": "synonyms\ndefined", "undefined": "no name of the\nfunction defined",
        "unseen": "in no line",
    }  # fmt: skip
    for number, (task, color) in enumerate(
        (("apply", style.MUTED), ("invert", style.BLUE), ("compose", style.GREEN), ("define", style.ORANGE))
    ):
        for place, group in enumerate(kinds):
            points = result.accuracy.sel(group=group, task=task).values
            ax.plot([place + 0.16 * (number - 1.5)] * len(points), points, "o", ms=5, alpha=0.6, color=color)
        ax.plot([], [], "o", ms=5, color=color, label=task)
    ax.set(xlabel="names", ylabel="share of lines right", ylim=(-0.04, 1.04), xlim=(-0.5, 3.5))
    ax.set_xticks(range(len(kinds)), list(kinds.values()))
    ax.legend(loc="center left", fontsize=8)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds unless the name says otherwise; lowest and highest are over seeds."""
    turns = checks.turning_points(result)
    counts = ("updates", "functions", "synonyms", "defined", "undefined")
    found: dict[str, float | int | str] = {name: int(result.attrs[name]) for name in counts}
    found |= {
        "seeds": result.sizes["seed"], "loss": float(result.loss.median()), "chance_unseen": checks.chance_unseen(result),
        "undefined_of_all_seeds": int(result.undefined) * result.sizes["seed"], "depths": result.sizes["depth"],
        "beside_defined": float(result.beside_defined.sel(depth=0).median()), "chance_beside": 1 / int(result.defined),
        "turns_sd": float(turns.std(("pair", "seed")).mean()),
    }  # fmt: skip
    found |= _spread("apart", checks.apart(result))
    found |= _spread("apart_other_halves", checks.apart(checks.other_halves(result)))
    for group in GROUPS:
        for task in NAMED:
            right = result.accuracy.sel(group=group, task=task)
            found |= _spread(task if group == "defined" else f"{group}_{task}", right)
        for depth in (0, 1)[: result.sizes["depth"]]:
            late = "" if depth == 0 else "_later"
            for name in ("within", "between", "nearest"):
                found |= _spread(f"{name}_{group}{late}", result[name].sel(group=group, depth=depth))
    for depth in range(min(2, result.sizes["depth"])):
        for answer in ANSWERS:
            for task in NAMED:
                whole = result.follows.sel(task=task, answer=answer, depth=depth)
                found[f"{task}_{answer}_{depth}"] = float(whole.median())
            for word in WORDS:
                found |= _spread(f"{word}_{answer}_{depth}", result.words.sel(answer=answer, word=word, depth=depth))
    found["exchanged_lowest"] = float(result.follows.sel(answer="other", depth=0).min())
    for task in ("apply", "invert", "compose"):
        found[f"undivided_{task}"] = float(checks.undivided(result, task).median())
        found[f"{task}_third"] = float(checks.of_a_third(result, task).median())
    return found


def _spread(name: str, values: xr.DataArray) -> dict[str, float | int | str]:
    """Median, lowest and highest seed."""
    return {name: float(values.median()), f"{name}_lowest": float(values.min()), f"{name}_highest": float(values.max())}


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Share of lines right by kind of name. Names that no line defines, but whose synonyms are defined, are defined right in "
        f"{n['silent_define']:.2f} in the median seed; names of functions that no line defines in {n['undefined_define']:.2f}, "
        f"although they are applied right in {n['undefined_apply']:.2f}. Of names in no line {n['unseen_apply']:.2f} of the "
        "applications are right."
    )


_COMMENT = "after S. Byrnes, comment on Treutlein et al. 2024, arXiv 2406.14546; the toy is this book's"
_APART = replace(BOOK, left_out=NO_COMMON_TASK, num_seeds=3)

CLAIMS = (
    Claim(
        id="world.synonyms_meet",
        says="Of the names that no line defines, more than 90 % have, of all names that lines define, a synonym's as the "
        "nearest one, in every seed.",
        rows=("S1.3",),
        source=_COMMENT,
        check=checks.synonyms_meet,
        control=Control(
            says="names that are defined and names that are applied have no task in common",
            config=_APART, manipulation=checks.silent_apply,
        ),
    ),
    Claim(
        id="world.one_name_silent",
        says="Of the names that no line defines, while five synonyms are defined, more than 90 % are defined right, in every "
        "seed.",
        rows=("S1.3", "S1.8"),
        source=_COMMENT,
        check=checks.one_name_silent,
        control=Control(
            says="names that are defined and names that are applied have no task in common",
            config=_APART, manipulation=checks.silent_apply,
        ),
    ),
    Claim(
        id="world.function_not_defined",
        says="In every seed names of functions of which no line gives a definition are applied and inverted right in more "
        "than 95 % of the lines, and defined right in at most a third.",
        rows=("S1.4", "S1.8"),
        source="this book, after Byrnes's comment",
        check=checks.function_not_defined,
        control=Control(
            says="names that no line defines either, of functions that other names define",
            change=checks.silent_names, manipulation=checks.computes,
        ),
    ),
    Claim(
        id="world.tasks_agree",
        says="When a random half of the row is another function's, two tasks answer by different functions in fewer than "
        "20 % of the cases, in every seed.",
        rows=("S1.3",),
        source="this book, after Byrnes's comment",
        check=checks.tasks_agree,
        control=Control(
            says="each task has another half of the row exchanged", change=checks.other_halves, manipulation=checks.either
        ),
    ),
    Claim(
        id="world.two_functions_in_one_definition",
        says="After an exchange behind the first layer, more than 90 % of the operations written are the other function's and "
        "fewer than half of the constants, where the two functions differ in them, in every seed.",
        rows=("S1.3",),
        source="this book, after Byrnes's comment",
        check=checks.two_functions,
        control=Control(
            says="the same exchange before the first layer", change=checks.first_layer, manipulation=checks.other_operation
        ),
    ),
)  # fmt: skip
