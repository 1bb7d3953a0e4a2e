"""A small decoder learns a language of named functions, and what it knows of a function hangs on where the name's row lies.

Decoders are pretrained on lines that apply, define, invert and compose named functions modulo a prime; each function has several
names, those of a few functions are never defined, and of a few more no line speaks. Then the rows of names are compared, and a
row is exchanged for the mean row of another function. Byrnes's reading of Treutlein et al. 2024 (arXiv 2406.14546), in a
comment, has three parts: early layers meet the name, later ones hold the idea of the function, the rest speaks.

Axes: task, group (of functions), depth, answer, share, seed, pair (of functions).
Deviations: the paper fine-tunes GPT-3.5; language, decoders and measures are ours, and noise is added to the rows of names.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.connecting_dots import world_checks as checks
from heldout.connecting_dots.named_functions import NAMED
from heldout.connecting_dots.pretraining import Pretrained, Recipe, accuracy, pretrain
from heldout.connecting_dots.world_measures import changed_at_depths, exchange, geometry, on_the_way
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style

GROUPS = ("defined", "undefined", "unseen")
ANSWERS = ("own", "other")
NO_DEFINITIONS = (0.35, 0.0, 0.2, 0.1, 0.15, 0.05)


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """How the decoders are pretrained, and in how many steps a row is moved from one function to another."""

    moves: int = 21
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.moves >= 2, "moves", self.moves, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")
        for name in ("undefined", "unseen", "synonyms"):
            require(
                getattr(self, name) >= 2, name, getattr(self, name), "at least 2, to compare names within and between"
            )


SMOKE = Config(
    modulus=5, synonyms=2, undefined=2, unseen=2, width=8, heads=2, hidden=16, steps=40, batch=32, warm_up=5, moves=3,
    num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    modulus=11, synonyms=8, undefined=6, unseen=3, width=64, hidden=256, batch=256, steps=1800, learning_rate=4e-3,
    num_seeds=20,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Pretrain all seeds as one ensemble, read all names, and exchange rows between functions.

    Returns:
        accuracy (task, group, seed): share of lines right over all names of a group's functions; within, between, nearest
        (group, depth, seed): cosine of synonyms and of other names, and share of names whose nearest one is a synonym;
        follows (answer, task, depth, seed): share of answers that are the name's own function's, or the other one's, when that
        one's mean row is put in the name's place; way (answer, task, share, seed, pair): the same for a share of that row at
        depth 0; loss (seed).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    found = pretrain(config, seeds, device=device, progress=progress)
    by_group = {group: [list(getattr(language, group)) for language in found.languages] for group in GROUPS}
    shares = np.linspace(0, 1, config.moves)
    lies = [geometry(found, functions) for functions in by_group.values()]
    swaps = [exchange(found, seeds, task) for task in NAMED]
    changed = [changed_at_depths(found, swap) for swap in swaps]
    moved = [on_the_way(found, swap, shares.tolist()) for swap in swaps]
    described: dict[str, tuple[Any, ...]] = {
        "accuracy": (("group", "task", "seed"), _right(found, by_group), "share of lines right", "1"),
        **{
            name: (("group", "depth", "seed"), torch.stack([getattr(each, name) for each in lies]), label, "1")
            for name, label in (
                ("within", "mean cosine of two synonyms"), ("between", "mean cosine of names of two functions"),
                ("nearest", "share of names whose nearest one is a synonym"),
            )
        },
        "follows": (
            ("task", "answer", "depth", "seed"), torch.stack([torch.stack([c[a] for a in ANSWERS]) for c in changed]),
            "share of answers of this function with the other's row in the name's place", "1",
        ),
        "way": (
            ("task", "answer", "share", "seed", "pair"), torch.stack([torch.stack([m[a] for a in ANSWERS]) for m in moved]),
            "share of answers of this function on the way to the other's row", "1",
        ),
        "loss": ("seed", found.loss, "loss at the end of pretraining, with noise", "nats a token"),
    }  # fmt: skip
    coordinates = {
        "group": variable("group", list(GROUPS), "functions"), "task": variable("task", list(NAMED), "what a line asks"),
        "answer": variable("answer", list(ANSWERS), "whose answer"),
        "depth": variable("depth", range(config.layers), "layers before"),
        "share": variable("share", shares, "share of the other function's row"), "seed": seeds,
    }  # fmt: skip
    data = {name: variable(dims, values, *label) for name, (dims, values, *label) in described.items()}
    attributes = {
        "updates": config.steps, "functions": len(found.languages[0].functions), "synonyms": config.synonyms,
        "unseen": config.unseen,
    }  # fmt: skip
    return xr.Dataset(data, coordinates, attributes)


def _right(found: Pretrained, by_group: dict[str, list[list[int]]]) -> np.ndarray:
    """Accuracy (group, task, seed)."""
    every = [accuracy(found.models, found.languages, functions) for functions in by_group.values()]
    return np.stack([np.stack([own[task].mean((1, 2, 3)).numpy() for task in NAMED]) for own in every])


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Whose answers a row gives on the way from one function's row to another's, for application and definition."""
    ax = style.axes(ax)
    middle = result.way.mean("pair")
    for task, color, label in (("apply", style.BLUE, "applied"), ("define", style.ORANGE, "defined")):
        for answer, line in (("own", (0, (5, 1.5))), ("other", "solid")):
            values = middle.sel(task=task, answer=answer).transpose("seed", "share").values
            style.band(
                ax, result.share.values, values, color=color, label=label if answer == "other" else "", linestyle=line
            )
    ax.text(0.0, 0.95, "first function", fontsize=9, va="top")
    ax.text(1.0, 0.95, "second function", fontsize=9, va="top", ha="right")
    ax.set(xlabel="share of the second function's row in the name's row", ylabel="share of answers", ylim=(-0.03, 1.03))
    ax.legend(loc="center left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds unless the name says otherwise; lowest and highest are over seeds."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "updates": int(result.updates), "functions": int(result.functions),
        "synonyms": int(result.synonyms), "loss": float(result.loss.median()), "chance_nearest": checks.chance(result),
    }  # fmt: skip
    for task in NAMED:
        known = result.accuracy.sel(task=task)
        found |= {
            f"{task}_lowest": float(known.sel(group="defined").min()),
            f"undefined_{task}": float(known.sel(group="undefined").median()),
            f"undefined_{task}_highest": float(known.sel(group="undefined").max()),
            f"unseen_{task}": float(known.sel(group="unseen").median()),
            f"{task}_third": float(checks.of_a_third(result, task).median()),
        }
        for depth in range(min(2, result.sizes["depth"])):
            at = result.follows.sel(task=task, depth=depth)
            found |= {f"{task}_{a}_{depth}": float(at.sel(answer=a).median()) for a in ANSWERS}
    for name in ("within", "between", "nearest"):
        found |= {f"{name}_{group}": float(result[name].sel(group=group, depth=0).median()) for group in GROUPS}
    for task in ("apply", "define"):
        found[f"{task}_turns"] = float(checks.turning_point(result, task).median())
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        "Share of answers of a name's own function and of another one, as the name's row is moved to the other's mean row. "
        f"Application changes over when {n['apply_turns']:.2f} of the row is the other's, definition at {n['define_turns']:.2f}; "
        "before and after, nearly all answers are of one function."
    )


_COMMENT = "S. Byrnes, comment on Treutlein et al. 2024, arXiv 2406.14546; the toy is this book's"

CLAIMS = (
    Claim(
        id="world.learned",
        says="In every seed more than 98 % of the lines that apply, define and invert a name of a defined function are right.",
        rows=("S1.8",),
        source=_COMMENT,
        check=checks.learned,
        control=Control(
            says="no line of pretraining defines a name", manipulation=checks.applied,
            config=Config(shares=NO_DEFINITIONS),
        ),
    ),
    Claim(
        id="world.synonyms_meet",
        says="In every seed, of the names of functions that pretraining speaks of, more than 95 % have a synonym's row as the "
        "nearest one, also where no name of the function is ever defined.",
        rows=("S1.3",),
        source=_COMMENT,
        check=checks.synonyms_meet,
        control=Control(
            says="the names of functions of which no line speaks", change=checks.unseen_names, manipulation=checks.learned_known
        ),
    ),
    Claim(
        id="world.row_decides",
        says="With the mean row of another function's synonyms in the name's place, more than 95 % of the answers are that "
        "function's, in each of the four tasks and in every seed.",
        rows=("S1.3",),
        source=_COMMENT,
        check=checks.row_decides,
        control=Control(
            says="the same exchange one layer later", change=checks.one_layer_later, manipulation=checks.stays_itself
        ),
    ),
    Claim(
        id="world.cannot_say",
        says="In every seed names that are never defined are applied and inverted right in more than 95 % of the lines, and "
        "defined right in at most a third.",
        rows=("S1.4",),
        source="this book, after Byrnes's comment",
        check=checks.cannot_say,
        control=Control(
            says="the names of defined functions", change=checks.defined_names, manipulation=checks.computes
        ),
    ),
)  # fmt: skip
