"""At one loss on the same pairs, the slower a name's row learns beside all other weights, the less the model can say of it.

Every function gets a new name, trained on all its pairs (x, f(x)). The row of the name has one learning rate, all old weights
another, and the first is turned down while the second stays. Each member is taken at two places: where its loss on the pairs
without noise first comes down to one level, and where the loss with the noise of training does to another. Lines of pretraining
are replayed, so that old names stay known. Then rows and old weights of different settings are put together. After Byrnes's
comment on Treutlein et al. 2024 (arXiv 2406.14546): is only the link from the name new?

Axes: setting (of the dial, then runs beside it), place (which loss is at its level), level (of the loss without noise), task,
seed, row_of and rest_of (settings, and the untouched start), part, depth.
Deviations: the paper fine-tunes GPT-3.5 and does not vary such rates; language, decoders, dial and measures are ours.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.connecting_dots import dial_checks as checks
from heldout.connecting_dots.dial_claims import CLAIMS as CLAIMS
from heldout.connecting_dots.dial_numbers import at_ends, beside
from heldout.connecting_dots.dial_runs import (
    CLEAN,
    PLACES,
    Arrived,
    Levels,
    arrive,
    at_places,
    by_task,
    first_seeds,
    padded,
    wrong_words,
)
from heldout.connecting_dots.matched_training import PARTS, joined, restored, right_shares, with_rows_of
from heldout.connecting_dots.named_functions import NAMED
from heldout.connecting_dots.pretraining import Pretrained, Recipe, known_names, pretrain
from heldout.connecting_dots.row_training import Mode, Tuned, Tuning, begin
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style

SIZES = (
    "pretraining_updates", "modulus", "functions", "synonyms", "noisy_level", "start", "near_start", "near_seeds", "slow_row",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """How the decoders are pretrained, the settings of the dial, the runs beside it, and the levels of the loss."""

    undefined: int = 0
    unseen: int = 0
    steps: int = 1000
    row_rates: tuple[float, ...] = (0.03, 0.004, 0.0006)  # of the new rows, with all else trained
    rest_rate: float = 2e-3  # of all old weights
    slow_row: float = 2e-3  # of the new rows where both are slowed down, the rest as much
    levels: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03)  # nats a pair, without noise
    noisy_level: float = 0.2  # nats a pair, with the noise of training
    most_updates: int = 800
    look_every: int = 2  # updates, at first
    tuning_noise: float = 0.7  # in standard deviations of the old names' rows
    start: float = 0.5  # of the new rows about the mean of the old ones, in the same unit
    near_start: float = 0.2  # in the runs beside the dial that begin nearer to the mean
    near_seeds: int = 3  # of these runs, from the first seed on
    replay: int = 80  # lines an update
    replay_weight: float = 2.0  # beside the pairs
    num_seeds: int = 5
    first_seed: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_seeds", "most_updates", "look_every", "replay"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(1 <= self.near_seeds <= self.num_seeds, "near_seeds", self.near_seeds, f"1 to {self.num_seeds}")
        for name in ("row_rates", "levels"):
            values = getattr(self, name)
            falling = len(values) >= 2 and list(values) == sorted(set(values), reverse=True) and values[-1] > 0
            require(falling, name, values, "two or more, falling, above 0")
        for name in ("rest_rate", "slow_row", "noisy_level", "near_start"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        require(self.undefined == self.unseen == 0, "undefined", (self.undefined, self.unseen), "0, as unseen")
        require(self.layers >= 2, "layers", self.layers, "at least 2")
        self.tuning()

    def tuning(self) -> Tuning:
        """How the new names are trained."""
        return Tuning(
            steps=self.most_updates, noise=self.tuning_noise, start=self.start, replay=self.replay,
            replay_weight=self.replay_weight, steady=True,
        )  # fmt: skip

    def dial(self) -> dict[str, Mode]:
        """All weights are trained, with the row's rate turned down."""
        return {f"{rate / self.rest_rate:g}": Mode(row=rate, rest=self.rest_rate) for rate in self.row_rates}

    def runs(self) -> dict[str, tuple[Mode, Tuning, bool]]:
        """The dial, then the runs beside it: what may change, how it is trained, and whether both losses are to come down."""
        tuning, dial = self.tuning(), self.dial()
        fast, *_, slow = dial.values()
        near = replace(tuning, start=self.near_start)
        quiet = replace(near, noise=0.0)
        both_slow = Mode(row=self.slow_row, rest=self.rest_rate * self.slow_row / fast.row)
        runs = {name: (mode, tuning, True) for name, mode in dial.items()}
        runs |= {checks.BOTH_SLOW: (both_slow, tuning, True), checks.BARE: (slow, replace(tuning, replay=0), False)}
        for names, how in ((checks.NEAR, near), (checks.QUIET, quiet)):
            runs |= {name: (mode, how, False) for name, mode in zip(names, (fast, slow), strict=True)}
        return runs


SMOKE = Config(
    modulus=5, synonyms=2, width=8, heads=2, hidden=16, steps=40, batch=32, warm_up=5, row_rates=(0.05, 0.005), slow_row=0.005,
    levels=(4.0, 1.7), noisy_level=1.8, most_updates=20, replay=20, num_seeds=2, near_seeds=1, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(row_rates=(0.03, 0.01, 0.003, 0.0006), num_seeds=20, near_seeds=5, first_seed=300)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Pretrain all seeds as one ensemble, train each setting as another, and exchange the parts of the dial's members.

    Returns:
        curve_loss (level, setting, seed), curve (level, setting, task, seed): loss and right shares at the first look at or
        below each level. Where one of two losses has come down to its level, (place, setting, ..., seed), NaN if it did not:
        updates; clean and noisy, the two losses; right and old (task): lines about new and old names right; noisy_pairs;
        define_loss; moved: relative change of the old weights; cosine (depth) of new names with their synonyms. At the first
        place: grafted (row_of, rest_of, task, seed): the row of one setting among the weights of another; restored (part, task,
        seed): the slowest setting with a part as in pretraining; wrong, wrong_as_before, wrong_as_nearest (seed): counts of its
        wrong definitions. known (task, seed): old names before.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    runs = config.runs()
    parts = 2 + len(runs)  # of the progress; pretraining takes about as long as two runs

    def advance(first: float, span: float) -> Progress:
        return lambda done, total: progress(round(1000 * (first + span * done / total)), 1000 * parts)

    started = pretrain(config, seeds, device=device, progress=advance(0, 2))
    found, few = {}, first_seeds(started, config.near_seeds)
    for number, (name, (mode, tuning, both)) in enumerate(runs.items()):
        levels = Levels(clean=config.levels, noisy=config.noisy_level if both else None, finest=config.look_every)
        near = tuning.start != config.start
        found[name] = arrive(
            few if near else started, seeds[: config.near_seeds] if near else seeds, mode, tuning, levels, config.by_task(),
            advance(2 + number, 1),
        )  # fmt: skip
    untouched = begin(started, seeds, config.tuning().start)
    return _dataset(config, seeds, started, found, untouched)


def _grafts(found: dict[str, Arrived], dial: list[str], untouched: Tuned) -> np.ndarray:
    """Right shares (row_of, rest_of, task, seed) of the dial's rows, and the untouched ones, among these and other weights."""
    tuned = joined([found[name].members[CLEAN] for name in (*dial, checks.BARE)] + [untouched])
    rows = [*range(len(dial)), tuned.modes - 1]
    return np.stack([by_task(right_shares(with_rows_of(tuned, row)), 1) for row in rows])


def _dataset(
    config: Config, seeds: list[int], started: Pretrained, found: dict[str, Arrived], untouched: Tuned
) -> xr.Dataset:
    dial, names = list(config.dial()), list(found)
    by_run = [at_places(each, len(seeds)) for each in found.values()]
    slow = found[dial[-1]].members[CLEAN]
    words = wrong_words(slow, untouched, seeds, config.start)
    alone, by_place = ("seed",), ("place", "setting", "seed")
    answers, counts = "share of lines about new names right", "number of wrong definitions with the slowest row"
    curve_losses = [padded(each.curve.loss.numpy(), len(seeds)) for each in found.values()]
    curves = [padded(by_task(each.curve.right, 2), len(seeds)) for each in found.values()]
    described: dict[str, tuple[Any, ...]] = {
        "curve_loss": (
            ("level", "setting", "seed"), np.concatenate(curve_losses, 1), "cross-entropy of the trained "
            "pairs", "nats a pair",
        ),
        "curve": (
            ("level", "setting", "task", "seed"), np.concatenate(curves, 1), answers, "1",
        ),
        "grafted": (("row_of", "rest_of", "task", "seed"), _grafts(found, dial, untouched), answers, "1"),
        "restored": (
            ("part", "task", "seed"), np.stack([by_task(right_shares(restored(slow, part)))[:, 0] for part in PARTS]), answers,
            "1",
        ),
        "known": (("task", "seed"), by_task(known_names(started)), "share right before any new name", "1"),
    } | {name: (alone, value, counts, "names") for name, value in words.items()}  # fmt: skip
    labels = {
        "updates": ((), "updates to the level", "updates"), "clean": ((), "loss on the pairs without noise", "nats a pair"),
        "noisy": ((), "loss on the pairs with the noise of training", "nats a pair"),
        "noisy_pairs": ((), "share of pairs right with the noise of training", "1"), "right": (("task",), answers, "1"),
        "old": (("task",), "share of lines about old names right", "1"),
        "moved": ((), "change of the old weights over their length", "1"),
        "cosine": (("depth",), "cosine of a new name with its synonyms", "1"),
        "define_loss": ((), "cross-entropy of a definition", "nats a name"),
    }  # fmt: skip
    for name, (inner, *label) in labels.items():
        described[name] = ((*by_place[:2], *inner, "seed"), np.stack([each[name] for each in by_run], 1), *label)
    coordinates = {
        "place": variable("place", list(PLACES), "which loss has come down"),
        "setting": variable("setting", names, "row's learning rate over that of the rest, or another run"),
        "level": variable("level", config.levels, "level of the loss", "nats a pair"),
        "task": variable("task", list(NAMED), "what a line asks"), "seed": seeds,
        "row_of": variable("row_of", [*dial, checks.UNTOUCHED], "setting that the row is from"),
        "rest_of": variable("rest_of", [*dial, checks.BARE, checks.UNTOUCHED], "setting that all other weights are from"),
        "part": variable("part", list(PARTS), "part as in pretraining"),
        "depth": variable("depth", range(config.layers), "layers before"),
    }  # fmt: skip
    data = {name: variable(dims, values, *label) for name, (dims, values, *label) in described.items()}
    return xr.Dataset(data, coordinates).assign_attrs(
        pretraining_updates=config.steps, modulus=config.modulus, functions=len(started.languages[0].functions),
        synonyms=config.synonyms, dial=len(dial), noisy_level=config.noisy_level, start=config.start,
        near_start=config.near_start, near_seeds=config.near_seeds, slow_row=config.slow_row,
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """New names along the dial, where either loss has come down: the pairs, what was never asked in training, and the cosine."""
    ax = style.axes(ax)
    dial = checks.dial(result)
    places, dashed = np.arange(dial.sizes["setting"]), (0, (4, 1.5))

    def curve(values: xr.DataArray, **look: Any) -> None:
        style.band(ax, places, values.transpose("seed", "setting").values, **look)

    first, second = dial.isel(place=0), dial.isel(place=1)
    curve(first.right.sel(task="apply"), color=style.MUTED, label="trained pairs")
    curve(first.noisy_pairs, color=style.MUTED, label="the same with noise", linestyle=(0, (1, 1.5)))
    for task, color, label in (("define", style.ORANGE, "definition"), ("invert", style.GREEN, "inversion")):
        curve(first.right.sel(task=task), color=color, label=label)
        curve(second.right.sel(task=task), color=color, linestyle=dashed)
    curve(first.cosine.isel(depth=0), color=style.BLUE, label="cosine with synonyms")
    curve(second.cosine.isel(depth=0), color=style.BLUE, linestyle=dashed)
    both = result.right.sel(setting=checks.BOTH_SLOW, task="define").isel(place=0).values
    beside = places[-1] + np.linspace(0.04, 0.1, len(both))
    ax.plot(beside, both, "D", ms=4, mfc="none", color=style.ORANGE, label="definition, all rates slowed alike")
    ax.set_xticks(places, [str(name) for name in dial.setting.values])
    ax.set(
        xlabel="learning rate of the row over that of all other weights", ylabel="share right; cosine", ylim=(-0.03, 1.03)
    )  # fmt: skip
    ax.legend(loc="lower left", fontsize=8)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds unless the name says otherwise; lowest and highest are over seeds."""
    own, wrong = checks.dial(result), result[["wrong", "wrong_as_before", "wrong_as_nearest"]].sum("seed")
    fast, slow = (str(own.setting.values[end]) for end in (0, -1))
    found: dict[str, float | int | str] = {name: result.attrs[name] for name in SIZES}
    found |= {
        "seeds": result.sizes["seed"], "level": float(result.level[-1]), "fast_ratio": fast, "slow_ratio": slow,
        "missed": int(own.updates.isnull().sum()), "members": int(own.updates.size),
        "pairs_lowest": float(own.right.sel(task="apply").min()),
        "pairs_lowest_clean": float(own.right.isel(place=0).sel(task="apply").min()),
        "words_fall_lowest": checks.words_fall(result).low, "old_lowest": float(own.old.sel(task=checks.GATES).min()),
        "old_compose_lowest": float(own.old.sel(task="compose").min()),
        "known_lowest": float(result.known.sel(task=checks.GATES).min()),
        "known_compose_lowest": float(result.known.sel(task="compose").min()),
        "spread": float(checks.spread_ratio(result, "define").median()),
        "bare_spread": float(checks.spread_ratio(checks.rest_without_replay(result), "define").median()),
        "wrong": int(wrong.wrong), "wrong_as_before": float(wrong.wrong_as_before / wrong.wrong.clip(1)),
        "wrong_as_nearest": float(wrong.wrong_as_nearest / wrong.wrong.clip(1)),
        "far_fall": float((own.right.isel(place=0, setting=0) - own.right.isel(place=0, setting=-1)).sel(task="define").median()),
    }  # fmt: skip
    for name, run_names in (("near_fall", checks.NEAR), ("quiet_fall", checks.QUIET)):
        ends = [result.right.isel(place=0).sel(setting=each, task="define", drop=True) for each in run_names]
        fall = ends[0] - ends[1]
        found |= {name: float(fall.median()), f"{name}_lowest": float(fall.min()), f"{name}_highest": float(fall.max())}
    places = {
        "fast_row": (fast, slow), "slow_row": (slow, checks.UNTOUCHED), "no_row": (checks.UNTOUCHED, slow),
        "fast_row_untouched": (fast, checks.UNTOUCHED), "fast_row_bare": (fast, checks.BARE),
    }  # fmt: skip
    for task in NAMED:
        for name, (row, rest) in places.items():
            found[f"{name}_{task}"] = float(result.grafted.sel(task=task, row_of=row, rest_of=rest).median())
        for part in PARTS:
            found[f"without_{part}_{task}".replace(" ", "_")] = float(
                result.restored.sel(task=task, part=part).median()
            )
    return found | at_ends(result) | beside(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    own = checks.dial(result)
    parts = []
    for name in own.setting.values.tolist():
        here = own.sel(setting=name)
        define, invert = (here.right.sel(task=task).median("seed").values for task in ("define", "invert"))
        cosine = here.cosine.isel(depth=0).median("seed").values
        parts.append(
            f"{name}: definition {define[0]:.2f} and {define[1]:.2f}, inversion {invert[0]:.2f} and {invert[1]:.2f}, cosine "
            f"{cosine[0]:.2f} and {cosine[1]:.2f}"
        )
    return (
        "Share of answers right for new names against the row's learning rate over that of the rest, where the loss on the "
        f"trained pairs comes down to {float(own.level[-1]):g} nats without noise, and where it does to "
        f"{own.attrs['noisy_level']:g} with the noise of training. The pairs stay right. Medians at these two places: "
        f"{'; '.join(parts)}."
    )
