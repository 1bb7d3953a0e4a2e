"""Two pairs determine a function of the small world, and a row soon fits both; to be defined right a name needs more.

Every function gets a new name, whose row alone is trained under noise on k of its pairs, for each k. Beside the share of names
defined right, held-out pairs and inversions stands the exact posterior over the functions of the language given the same pairs.
Then the other direction, rows trained on the definition alone; and the same for decoders pretrained otherwise: with other noise
on the names, one name a function, other sizes, fewer updates, fewer definitions or false ones. After Treutlein et al. 2024
(arXiv 2406.14546), who vary the model and report that the ability is unreliable for the smaller ones.

Axes: arm (of pretraining), pairs (shown of each function), task, seed.
Deviations: the paper fine-tunes GPT-3.5 and GPT-4; language, decoders, arms and the ideal are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.connecting_dots import how_many_pairs_checks as checks
from heldout.connecting_dots.how_many_pairs_claims import CLAIMS as CLAIMS
from heldout.connecting_dots.named_functions import NAMED, Language
from heldout.connecting_dots.observed_pairs import Split
from heldout.connecting_dots.pair_measures import at_numbers, measured, shares_right
from heldout.connecting_dots.pretraining import Recipe, known_names, pretrain
from heldout.connecting_dots.row_training import Mode, Tuning, by_hand, tune
from heldout.connecting_dots.several_starts import CHOICES, WIDEST, chosen
from heldout.connecting_dots.told_names import FalseDictionary, told
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """How the decoders are pretrained, how many pairs are shown, and what else is tried."""

    undefined: int = 0
    unseen: int = 0
    steps: int = 1000
    false_share: float = 0.0  # of the names of each function that pretraining defines as another function
    pairs: tuple[int, ...] = (1, 2, 3, 5, 7)  # shown of each function, in the first arm
    arms: tuple[str, ...] = (checks.PLAIN, checks.QUIET, checks.FALSE)
    arm_pairs: tuple[int, ...] = (5,)  # in the other arms
    starts: int = 6  # rows for each name, of which one is kept
    start_pairs: tuple[int, ...] = (2,)  # where several starts are tried, in the first arm
    tuning_steps: int = 200
    tuning_noise: float = 0.7  # in standard deviations of the old names' rows
    start: float = 0.5  # of the new rows about the mean of the old ones, in the same unit
    row_rate: float = 0.03
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(0 <= self.false_share <= 1, "false_share", self.false_share, "from 0 to 1")
        super().__post_init__()
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")
        require(self.undefined == self.unseen == 0, "undefined", (self.undefined, self.unseen), "0, as unseen")
        require(self.row_rate > 0, "row_rate", self.row_rate, "above 0")
        rising = list(self.pairs) == sorted(set(self.pairs)) and len(self.pairs) >= 2
        inside = rising and self.pairs[0] >= 1 and self.pairs[-1] <= self.modulus
        require(inside, "pairs", self.pairs, f"two or more, rising, from 1 to {self.modulus}")
        for name in ("arm_pairs", "start_pairs"):
            own = getattr(self, name)
            require(len(own) >= 1 and set(own) <= set(self.pairs), name, own, f"some of pairs={self.pairs}")
        require(self.starts >= 1, "starts", self.starts, "at least 1")
        known = len(set(self.arms)) == len(self.arms) and set(self.arms) <= set(VARIANTS)
        plain = known and self.arms[:1] == (checks.PLAIN,)
        require(plain, "arms", self.arms, f"{checks.PLAIN!r} and others among {', '.join(VARIANTS)}")
        self.tuning()

    def language(self, seed: int) -> Language:
        """A seed's language, with false definitions where there are to be any."""
        true, false = super().language(seed), round(self.false_share * self.synonyms)
        return self.dictionary(seed, false) if false else true

    def dictionary(self, seed: int, false_names: int = 1) -> FalseDictionary:
        """A seed's language with a false dictionary, whether it is read or not."""
        return FalseDictionary.of(super().language(seed), generator("connecting dots", "false", seed), false_names)

    def tuning(self) -> Tuning:
        """How the new names are trained."""
        return Tuning(steps=self.tuning_steps, noise=self.tuning_noise, start=self.start, replay=0)

    def variant(self, arm: str) -> "Config":
        """The config of an arm."""
        return replace(self, **VARIANTS[arm](self))


def _definitions(config: Config, factor: float) -> dict[str, Any]:
    """Another share of definitions among the lines of pretraining."""
    apply, define, *rest = config.shares
    return {"shares": (apply, define * factor, *rest)}


VARIANTS: dict[str, Callable[[Config], dict[str, Any]]] = {
    checks.PLAIN: lambda _: {},
    checks.QUIET: lambda _: {"noise": 0.0, "tuning_noise": 0.0},
    "noise 0.35": lambda _: {"noise": 0.35, "tuning_noise": 0.35},
    "noise 1": lambda _: {"noise": 1.0, "tuning_noise": 1.0},
    "one name": lambda _: {"synonyms": 1},
    "half the width": lambda c: {"width": c.width // 2, "hidden": c.hidden // 2},
    "twice the width": lambda c: {"width": c.width * 2, "hidden": c.hidden * 2},
    "half the updates": lambda c: {"steps": c.steps // 2},
    "a quarter of the updates": lambda c: {"steps": c.steps // 4},
    "few definitions": lambda c: _definitions(c, 1 / 15),
    checks.FALSE: lambda _: {"false_share": 1.0},
    "half false": lambda _: {"false_share": 0.5},
}

SMOKE = Config(
    modulus=5, synonyms=2, width=8, heads=2, hidden=16, steps=40, batch=32, warm_up=5, pairs=(1, 2, 5), arm_pairs=(2,),
    tuning_steps=5, starts=2, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
WIDER = tuple(arm for arm in VARIANTS if arm not in ("noise 1", "twice the width"))
PAPER = Config(pairs=(1, 2, 3, 4, 5, 6, 7), start_pairs=(1, 2, 3), arms=WIDER, first_seed=200)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Pretrain the seeds of each arm as one ensemble, and train new rows on each number of pairs and on definitions.

    Returns:
        observed, loss, right (task), held_out, fits, sure, taught (arm, pairs, seed): NaN in arms that do not show as many;
        ideal (pairs, seed); hand, told (arm, task, seed): rows set to the mean of the synonyms', and trained on definitions;
        hand_loss (arm, pairs, seed); told_loss (arm, seed); known (arm, task, seed): old names.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    parts = [8 + len(config.pairs) + 2 * len(config.start_pairs)]
    parts += [8 + len(config.arm_pairs)] * (len(config.arms) - 1)
    found: list[dict[str, np.ndarray]] = []
    for place, arm in enumerate(config.arms):
        begun, total = sum(parts[:place]), sum(parts)

        def advance(done: float, begun: int = begun, total: int = total) -> None:
            progress(round(1000 * (begun + done)), 1000 * total)

        found.append(_of_arm(config.variant(arm), seeds, first=place == 0, device=device, advance=advance))
    languages = [config.language(seed) for seed in seeds]
    open_names = {
        number: sum(len(split.ambiguous(languages[0])) for split in _splits(languages, seeds, number))
        for number in config.pairs
    }
    names = len(languages[0].functions)
    left = ", ".join(f"{count} of {names * len(seeds)} with {number}" for number, count in open_names.items() if count)
    warning = f"names whose shown pairs leave open which function it is: {left or 'none'}"
    return _dataset(config, seeds, found).assign_attrs(
        warning=warning, modulus=config.modulus, functions=names, synonyms=config.synonyms, updates=config.steps,
        tuning_updates=config.tuning_steps, starts=config.starts,
    )  # fmt: skip


def _of_arm(
    config: Config, seeds: list[int], *, first: bool, device: torch.device, advance: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """All measures of one arm, by the names of the record."""
    started = pretrain(config, seeds, device=device, progress=lambda done, of: advance(7 * done / of))
    known, by_rows = known_names(started), by_hand(started)
    informed = told(started, seeds, config.tuning(), config.row_rate)
    found = {
        "known": np.stack([known[task] for task in NAMED]), "hand": shares_right(by_rows), "told": shares_right(informed),
        "told_loss": informed.losses("define")[0].mean((1, 2)).numpy(),
    }  # fmt: skip
    advance(8)
    own, tried = (config.pairs, config.start_pairs) if first else (config.arm_pairs, ())
    shown, kept = [], []
    for place, number in enumerate(own):
        splits = _splits(started.languages, seeds, number)
        tuned = tune(started, seeds, splits, [Mode(row=config.row_rate)], config.tuning())
        shown.append(measured(tuned, by_rows, splits, [config.dictionary(seed).defined_as for seed in seeds]))
        advance(8 + place + 1)
    for place, number in enumerate(tried):
        splits = _splits(started.languages, seeds, number)
        kept.append(chosen(started, seeds, splits, config.starts, config.tuning(), config.row_rate, checks.COMPARED))
        advance(8 + len(own) + 2 * (place + 1))
    return found | at_numbers(config.pairs, own, shown) | at_numbers(config.start_pairs, tried, kept)


def _splits(languages: list[Language], seeds: list[int], number: int) -> list[Split]:
    """The shown pairs of each seed; with more pairs come all those of fewer."""
    draws = [generator("connecting dots", "observed", seed) for seed in seeds]
    return [Split.drawn(language, draw, number) for language, draw in zip(languages, draws, strict=True)]


def _dataset(config: Config, seeds: list[int], found: list[dict[str, np.ndarray]]) -> xr.Dataset:
    by_pairs, by_task = ("arm", "pairs", "seed"), ("arm", "task", "seed")
    described: dict[str, tuple[Any, ...]] = {
        "observed": (by_pairs, "share of shown pairs right"),
        "held_out": (by_pairs, "share of held-out pairs right"),
        "loss": (by_pairs, "cross-entropy of the shown pairs", "nats a pair"),
        "hand_loss": (by_pairs, "cross-entropy of the shown pairs with rows set by hand", "nats a pair"),
        "right": (("arm", "pairs", "task", "seed"), "share of lines about new names right"),
        "fits": (by_pairs, "share of names whose likeliest definition has the shown pairs"),
        "sure": (by_pairs, "mean probability of the likeliest definition"),
        "taught": (by_pairs, "share of names defined as the false dictionary does"),
        "known": (by_task, "share of lines about old names right"),
        "hand": (by_task, "share of lines right with rows set by hand"),
        "told": (by_task, "share of lines right with rows trained on definitions"),
        "told_loss": (("arm", "seed"), "cross-entropy of the definitions trained", "nats a definition"),
    }  # fmt: skip
    data = {
        name: variable(dims, np.stack([each[name] for each in found]), *label)
        for name, (dims, *label) in described.items()
    }
    data["ideal"] = variable(
        ("pairs", "seed"), found[0]["ideal"], "definitions right of the best reader of the shown pairs"
    )
    for name in ("define", "held_out", "observed"):
        long_name = f"share right of the row kept: {name.replace('_', '-')}"
        data[f"kept_{name}"] = variable(("start_pairs", "choice", "seed"), found[0][f"kept_{name}"], long_name)
    coordinates = {
        "start_pairs": variable("start_pairs", config.start_pairs, "shown pairs", "pairs"),
        "choice": variable("choice", list(CHOICES), "row kept of several starts"),
        "arm": variable("arm", list(config.arms), "pretraining"),
        "pairs": variable("pairs", config.pairs, "shown pairs", "pairs"),
        "task": variable("task", list(NAMED), "what a line asks"), "seed": seeds,
    }  # fmt: skip
    return xr.Dataset(data, coordinates)


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """By the number of shown pairs: the pairs, the ideal, what was never trained, and the row kept of several starts."""
    ax = style.axes(ax)
    own, x = result.isel(arm=0), result.pairs.values
    for values, color, label in (
        (own.observed, style.MUTED, "shown pairs"), (own.held_out, style.BLUE, "held-out pairs"),
        (own.right.sel(task="define"), style.ORANGE, "definition"),
    ):  # fmt: skip
        there = values.notnull().all("seed").values
        style.band(ax, x[there], values.transpose("seed", "pairs").values[:, there], color=color, label=label)
    ax.plot(x, result.ideal.mean("seed"), color=style.PINK, linestyle=(0, (5, 1.5)), label="best reader of the pairs")
    kept = result.kept_define.sel(choice=WIDEST)
    for number in kept.start_pairs.values:
        points = kept.sel(start_pairs=number).values
        ax.plot([number + 0.08] * len(points), points, "o", ms=5, alpha=0.6, color=style.GREEN)
    ax.plot([], [], "o", ms=5, color=style.GREEN, label="definition, least trained loss of several")
    ax.set(xlabel="pairs shown of each function", ylabel="share right for new names", ylim=(-0.03, 1.05))
    ax.set_xticks(x)
    ax.legend(loc="lower right", fontsize=8)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds unless the name says otherwise; lowest and highest are over seeds."""
    found: dict[str, float | int | str] = {
        name: int(result.attrs[name])
        for name in ("modulus", "functions", "synonyms", "updates", "tuning_updates", "starts")
    }
    found |= {"seeds": result.sizes["seed"], "warning": str(result.warning), "arms": result.sizes["arm"] - 1}
    found["observed_lowest"] = float(result.observed.isel(arm=0).min())
    found["most"] = int(result.pairs[-1])
    for arm in result.arm.values.tolist():
        own, head = result.sel(arm=arm), "" if arm == checks.PLAIN else checks.word(arm) + "_"
        found[f"{head}known"] = float(own.known.sel(task=checks.GATES).min())
        for task in NAMED:
            found[f"{head}hand_{task}"] = float(own.hand.sel(task=task).median())
            found[f"{head}known_{task}"] = float(own.known.sel(task=task).median())
            found |= _spread(f"{head}told_{task}", own.told.sel(task=task))
        for number in result.pairs.values.tolist():
            at = own.sel(pairs=number)
            if not bool(at.observed.notnull().any()):
                continue
            for name in ("observed", "held_out", "fits", "sure", "taught", "loss", "hand_loss"):
                found |= _spread(f"{head}{name}_{number}", at[name])
            for task in NAMED:
                found |= _spread(f"{head}{task}_{number}", at.right.sel(task=task))
    for number in result.pairs.values.tolist():
        found[f"ideal_{number}"] = float(result.ideal.sel(pairs=number).mean())
    for choice in CHOICES:
        for number in result.start_pairs.values.tolist():
            for name in ("define", "held_out", "observed"):
                kept = result[f"kept_{name}"].sel(choice=choice, start_pairs=number)
                found |= _spread(f"{checks.word(choice)}_{name}_{number}", kept)
    return found


def _spread(name: str, values: xr.DataArray) -> dict[str, float]:
    if not bool(values.notnull().any()):
        return {}
    return {name: float(values.median()), f"{name}_lowest": float(values.min()), f"{name}_highest": float(values.max())}


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    parts = [
        f"{number}: {n[f'observed_{number}']:.2f} of the shown pairs, {n[f'define_{number}']:.2f} of the definitions, at best "
        f"{n[f'ideal_{number}']:.2f}"
        for number in result.pairs.values.tolist()
    ]
    return f"Share of answers right for new names by the number of shown pairs, medians over seeds; {'; '.join(parts)}."
