"""At one loss on the same pairs, the slower a name's row learns beside all other weights, the less the model can say of it.

Every function gets a new name, trained on all its pairs (x, f(x)). The row of the name has one learning rate, all old weights
another, and the first is turned down while the second stays. Each member is taken where its loss on the pairs first comes down
to one level. Lines of pretraining are replayed, so that old names stay known. Then rows and old weights of different settings
are put together. After Byrnes's comment on Treutlein et al. 2024 (arXiv 2406.14546): is only the link from the name new?

Axes: setting (of the dial), level (of the loss), task, seed, row_of and rest_of (settings, and the untouched start), part, depth.
Deviations: the paper fine-tunes GPT-3.5 and does not vary such rates; language, decoders, dial and measures are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.connecting_dots import dial_checks as checks
from heldout.connecting_dots.dial_claims import CLAIMS as CLAIMS
from heldout.connecting_dots.matched_training import (
    PARTS,
    Matched,
    drift,
    joined,
    moved,
    restored,
    right_shares,
    shaken,
    with_rows_of,
)  # fmt: skip
from heldout.connecting_dots.named_functions import NAMED
from heldout.connecting_dots.observed_pairs import Split
from heldout.connecting_dots.pretraining import Pretrained, Recipe, known_names, pretrain
from heldout.connecting_dots.row_training import Mode, Tuned, Tuning, tune
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """How the decoders are pretrained, the settings of the dial, and the levels of the loss."""

    undefined: int = 0
    unseen: int = 0
    steps: int = 1000
    alone_rate: float = 0.06  # of the new rows, with all else fixed
    row_rates: tuple[float, ...] = (0.03, 0.01, 0.002, 0.0006)  # of the new rows, with all else trained
    rest_rate: float = 2e-3  # of all old weights
    levels: tuple[float, ...] = (1.0, 0.5, 0.2, 0.1, 0.05, 0.03)  # nats a pair
    most_updates: int = 450
    look_every: int = 2  # updates
    tuning_noise: float = 0.7  # in standard deviations of the old names' rows
    start: float = 0.5  # of the new rows about the mean of the old ones, in the same unit
    replay: int = 80  # lines an update
    replay_weight: float = 2.0  # beside the pairs
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_seeds", "most_updates", "look_every", "replay"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("row_rates", "levels"):
            values = getattr(self, name)
            falling = len(values) >= 2 and list(values) == sorted(set(values), reverse=True) and values[-1] > 0
            require(falling, name, values, "two or more, falling, above 0")
        for name in ("rest_rate", "alone_rate"):
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

    def settings(self) -> list[Mode]:
        """The row alone, then all weights with the row's rate turned down."""
        return [Mode(row=self.alone_rate), *(Mode(row=rate, rest=self.rest_rate) for rate in self.row_rates)]


SMOKE = Config(
    modulus=5, synonyms=2, width=8, heads=2, hidden=16, steps=40, batch=32, warm_up=5, row_rates=(0.05, 0.005),
    levels=(4.0, 1.7), most_updates=20, replay=20, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(row_rates=(0.03, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0006, 0.0003), most_updates=1500, num_seeds=20)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Pretrain all seeds as one ensemble, train each setting of the dial as another, and exchange their parts.

    Returns:
        loss, updates (level, setting, seed) and right (level, setting, task, seed): at the first look at or below each level,
        NaN where there was none; the rest at the last level, or the last look: old (setting, task, seed): share of lines about
        old names right; moved (setting, seed): relative change of the old weights; cosine (depth, setting, seed): of new names
        with their synonyms; grafted (row_of, rest_of, task, seed): the row of one setting among the weights of another;
        restored (part, setting, task, seed): with a part as in pretraining; shaken (task, seed): the row alone, among old
        weights moved at random as far as in the last setting; bare_loss (seed), bare_right, bare_old (task, seed): the last
        setting without replay; known (task, seed): old names before.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    settings, tuning = config.settings(), config.tuning()
    parts = 3 + len(settings)  # of the progress; pretraining takes about as long as two settings

    def advance(first: float, span: float) -> Progress:
        return lambda done, total: progress(round(1000 * (first + span * done / total)), 1000 * parts)

    started = pretrain(config, seeds, device=device, progress=advance(0, 2))
    everything = torch.ones(len(started.languages[0].functions), config.modulus, dtype=torch.bool)
    splits = [Split(observed=everything) for _ in seeds]

    def arrive(mode: Mode, how: Tuning, begun: Progress) -> tuple[Matched, Tuned]:
        look, looks = Matched(config.levels, (1, len(seeds))), range(0, how.steps + 1, config.look_every)
        shares = config.by_task()
        last = tune(
            started, seeds, splits, [mode], how, shares=shares, probe=look, probe_steps=looks, progress=begun,
        )  # fmt: skip
        return look, look.members(last)

    found = [arrive(mode, tuning, advance(2 + place, 1)) for place, mode in enumerate(settings)]
    bare = arrive(settings[-1], replace(tuning, replay=0), advance(parts - 1, 1))
    untouched = tune(started, seeds, splits, [Mode()], replace(tuning, steps=1))
    progress(1000 * parts, 1000 * parts)
    return _dataset(config, seeds, started, found, bare, untouched)


def _dataset(
    config: Config, seeds: list[int], started: Pretrained, found: list[tuple[Matched, Tuned]], bare: tuple[Matched, Tuned],
    untouched: Tuned,
) -> xr.Dataset:  # fmt: skip
    looks, tuned = [look for look, _ in found], joined([member for _, member in found])
    sources = joined([tuned, untouched])
    draws = [generator("connecting dots", "shaken", seed) for seed in seeds]

    def by_task(values: dict[str, Any], axis: int) -> np.ndarray:
        return np.stack([np.asarray(values[task]) for task in NAMED], axis)

    def of_looks(take: Callable[[Matched], Any]) -> np.ndarray:
        return np.concatenate([np.asarray(take(look)) for look in looks], 1)

    by_level, pairs = ("level", "setting", "seed"), "share of lines about new names right"
    described: dict[str, tuple[Any, ...]] = {
        "loss": (by_level, of_looks(lambda look: look.loss), "cross-entropy of the trained pairs", "nats a pair"),
        "updates": (by_level, of_looks(lambda look: look.step), "updates to the level", "updates"),
        "right": (("level", "setting", "task", "seed"), of_looks(lambda look: by_task(look.right, 2)), pairs, "1"),
        "old": (("setting", "task", "seed"), by_task(tuned.old_names(), 1), "share of lines about old names right", "1"),
        "moved": (("setting", "seed"), moved(tuned), "change of the old weights over their length", "1"),
        "cosine": (("depth", "setting", "seed"), drift(tuned), "cosine of a new name with its synonyms", "1"),
        "grafted": (
            ("row_of", "rest_of", "task", "seed"),
            np.stack([by_task(right_shares(with_rows_of(sources, row)), 1) for row in range(sources.modes)]), pairs, "1",
        ),
        "restored": (
            ("part", "setting", "task", "seed"), np.stack([by_task(right_shares(restored(tuned, part)), 1) for part in PARTS]),
            pairs, "1",
        ),
        "shaken": (("task", "seed"), by_task(right_shares(shaken(tuned, tuned.modes - 1, draws)), 1)[0], pairs, "1"),
        "bare_loss": ("seed", bare[0].loss[-1, 0], "cross-entropy of the trained pairs", "nats a pair"),
        "bare_right": (("task", "seed"), by_task(bare[0].right, 2)[-1, 0], pairs, "1"),
        "bare_old": (("task", "seed"), by_task(bare[1].old_names(), 1)[0], "share of lines about old names right", "1"),
        "known": (("task", "seed"), by_task(known_names(started), 0), "share right before any new name", "1"),
    }  # fmt: skip
    dial = [checks.ALONE, *(f"{rate / config.rest_rate:g}" for rate in config.row_rates)]
    coordinates = {
        "setting": variable("setting", dial, "row's learning rate over that of the rest"),
        "level": variable("level", config.levels, "level of the loss", "nats a pair"),
        "task": variable("task", list(NAMED), "what a line asks"), "seed": seeds,
        "row_of": variable("row_of", [*dial, checks.UNTOUCHED], "setting that the row is from"),
        "rest_of": variable("rest_of", [*dial, checks.UNTOUCHED], "setting that all other weights are from"),
        "part": variable("part", list(PARTS), "part as in pretraining"),
        "depth": variable("depth", range(config.layers), "layers before"),
    }  # fmt: skip
    data = {name: variable(dims, values, *label) for name, (dims, values, *label) in described.items()}
    sizes = {
        "pretraining_updates": config.steps, "modulus": config.modulus,
        "functions": len(started.languages[0].functions), "synonyms": config.synonyms,
    }  # fmt: skip
    return xr.Dataset(data, coordinates, sizes)


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """New names at one loss on their pairs, along the dial: the pairs, what was never asked in training, and the cosine."""
    ax = style.axes(ax)
    own, places = result.right.isel(level=-1), np.arange(result.sizes["setting"])
    for task, color, label in (
        ("apply", style.MUTED, "trained pairs"), ("define", style.ORANGE, "definition"), ("invert", style.GREEN, "inversion"),
        ("compose", style.PINK, "composition"),
    ):  # fmt: skip
        style.band(ax, places, own.sel(task=task).transpose("seed", "setting").values, color=color, label=label)
    cosine = result.cosine.isel(depth=0).transpose("seed", "setting").values
    style.band(ax, places, cosine, color=style.BLUE, label="cosine with synonyms", linestyle=(0, (5, 1.5)))
    ax.set_xticks(places, [str(name).replace(" ", "\n") for name in result.setting.values])
    ax.set(
        xlabel="learning rate of the row over that of all other weights", ylabel="share right; cosine", ylim=(-0.03, 1.03)
    )  # fmt: skip
    ax.legend(loc="lower left", fontsize=8)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds unless the name says otherwise; lowest and highest are over seeds."""
    last, slow, dial = result.isel(level=-1), result.sizes["setting"] - 1, checks.dial(result.isel(level=-1))
    reached = dial.loss.notnull()
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "pretraining_updates": int(result.pretraining_updates), "modulus": int(result.modulus),
        "functions": int(result.functions), "synonyms": int(result.synonyms), "level": float(last.level),
        "missed": int((~reached).sum()), "members": int(reached.size), "loss_lowest": float(dial.loss.min()),
        "loss_highest": float(dial.loss.max()), "pairs_lowest": float(dial.right.sel(task="apply").min()),
        "old_lowest": float(dial.old.sel(task=checks.GATES).min()),
        "old_compose_lowest": float(dial.old.sel(task="compose").min()),
        "alone_missed": int(last.loss.isel(setting=0).isnull().sum()),
        "known_lowest": float(last.known.sel(task=checks.GATES).min()),
        "bare_old": float(last.bare_old.sel(task="apply").median()),
        "bare_define": float(last.bare_right.sel(task="define").median()), "slow_ratio": str(last.setting.values[slow]),
        "fast_ratio": str(last.setting.values[1]), "fast_moved": float(last.moved.isel(setting=1).median()),
        "slow_moved": float(last.moved.isel(setting=slow).median()),
        "spread": float(checks.spread_ratio(result, "define").median()),
        "spread_pairs": float(checks.spread_ratio(result, "apply").median()),
    }  # fmt: skip
    for name, place in (("alone", 0), ("fast", 1), ("slow", slow)):
        own = last.isel(setting=place)
        found |= {
            f"{name}_updates": float(own.updates.median()), f"{name}_cosine": float(own.cosine.isel(depth=0).median()),
            f"{name}_cosine_later": float(own.cosine.isel(depth=1).median()),
        }  # fmt: skip
        for task in NAMED:
            values = own.right.sel(task=task)
            found |= {f"{name}_{task}": float(values.median())}
            found |= {f"{name}_{task}_lowest": float(values.min()), f"{name}_{task}_highest": float(values.max())}
    for task in NAMED:
        graft = last.grafted.sel(task=task)
        found |= {
            f"fast_row_{task}": float(graft.isel(row_of=1, rest_of=slow).median()),
            f"slow_row_{task}": float(graft.isel(row_of=slow, rest_of=-1).median()),
            f"no_row_{task}": float(graft.isel(row_of=-1, rest_of=slow).median()),
            f"shaken_{task}": float(last.shaken.sel(task=task).median()),
        }  # fmt: skip
        for part in PARTS:
            value = last.restored.sel(task=task, part=part).isel(setting=slow)
            found[f"without_{part}_{task}".replace(" ", "_")] = float(value.median())
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    last = result.isel(level=-1)
    middle = [
        f"{name}: definition {float(last.right.sel(setting=name, task='define').median()):.2f}, inversion "
        f"{float(last.right.sel(setting=name, task='invert').median()):.2f}, cosine "
        f"{float(last.cosine.sel(setting=name).isel(depth=0).median()):.2f}"
        for name in result.setting.values.tolist()
    ]
    return (
        "Share of answers right for new names, all taken where the loss on the trained pairs comes down to "
        f"{float(last.level):g} nats, against the row's learning rate over that of the rest. The pairs stay right. "
        f"Medians: {'; '.join(middle)}."
    )
