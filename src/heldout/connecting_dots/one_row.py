"""One new row of the embedding, trained on pairs alone, is enough to define, invert and compose the function behind the pairs.

Every function gets a new name, and its row alone is trained on (x, f(x)) for some x; beside it nothing, everything but the rows,
the last layer, or a vector after some layer. Then the new names are asked what was never trained. Treutlein et al. 2024
(arXiv 2406.14546) for the experiment with large models; Byrnes, in a comment, for the reading that only the link from the name
to an idea is new, and that the words for it come from pretraining.

Axes: mode, task, group (of functions), seed.
Deviations: the paper fine-tunes all of GPT-3.5; language, decoders and sizes are ours; noise is added to the rows of names, and
lines of pretraining are replayed where old weights change.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.connecting_dots import one_row_checks as checks
from heldout.connecting_dots.named_functions import NAMED
from heldout.connecting_dots.observed_pairs import Split
from heldout.connecting_dots.one_row_measures import GROUPS, HAND, UNTOUCHED, dataset
from heldout.connecting_dots.pretraining import Recipe, pretrain
from heldout.connecting_dots.row_training import Mode, Tuned, Tuning, begin, by_hand, tune
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require
from heldout.figures import style

TRAINED = ("row", "vector", "last layer", "all but the row")
SIZES = (
    "updates",
    "tuning_updates",
    "observed_inputs",
    "modulus",
    "functions",
    "defined",
    "undefined",
    "unseen",
    "layers",
)


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """How the decoders are pretrained and the new names trained."""

    observed: int = 5  # inputs of each function
    trained: tuple[str, ...] = TRAINED  # modes, beside the row set by hand and the untouched one
    tuning_steps: int = 300
    tuning_noise: float = 0.7  # in standard deviations of the old names' rows
    start: float = 0.5  # of the new rows about the mean of the old ones, in the same unit
    row_rate: float = 0.03
    vector_rate: float = 0.05
    vector_depths: tuple[int, ...] = (1,)  # after how many layers
    rest_rate: float = 5e-3  # of old weights, where they change
    replay: int = 60  # lines an update
    num_seeds: int = 5
    first_seed: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")
        require(
            2 <= self.observed < self.modulus, "observed", self.observed, f"2 to {self.modulus - 1}: some are held out"
        )
        for name in ("undefined", "unseen", "row_rate", "vector_rate", "rest_rate"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        known = (
            "row" in self.trained and set(self.trained) <= set(TRAINED) and len(set(self.trained)) == len(self.trained)
        )
        require(known, "trained", self.trained, f"row and others among {', '.join(TRAINED)}")
        require(self.layers >= 2, "layers", self.layers, "at least 2")
        inside = len(set(self.vector_depths)) == len(self.vector_depths) >= 1
        inside = inside and all(1 <= depth < self.layers for depth in self.vector_depths)
        require(inside, "vector_depths", self.vector_depths, f"different ones from 1 to {self.layers - 1}")
        self.tuning()

    def tuning(self) -> Tuning:
        """How the new names are trained."""
        return Tuning(steps=self.tuning_steps, noise=self.tuning_noise, start=self.start, replay=self.replay)

    def modes(self) -> dict[str, Mode]:
        """What may change in each mode that is trained."""
        vectors = {
            "vector" if depth == 1 else f"vector {depth}": Mode(vector=self.vector_rate, depth=depth)
            for depth in self.vector_depths
        }
        every = {
            "row": {"row": Mode(row=self.row_rate)}, "vector": vectors,
            "last layer": {"last layer": Mode(rest=self.rest_rate, last_block=True)},
            "all but the row": {"all but the row": Mode(rest=self.rest_rate)},
        }  # fmt: skip
        return {name: mode for kind in TRAINED if kind in self.trained for name, mode in every[kind].items()}


SMOKE = Config(
    modulus=5, synonyms=2, undefined=2, unseen=2, width=8, heads=2, hidden=16, steps=40, batch=32, warm_up=5, observed=3,
    tuning_steps=5, replay=20, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    modulus=11, synonyms=4, undefined=6, unseen=3, layers=4, batch=192, steps=1800, learning_rate=5e-3, observed=6,
    vector_depths=(1, 2, 3), num_seeds=6, first_seed=300,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Pretrain all seeds as one ensemble, and train the new names in all modes and seeds as another.

    Returns:
        right (mode, task, group, seed): share of lines right for new names; observed, held_out (mode, group, seed): the same for
        application on trained and on held-out x; fitted (mode, group, seed): share of functions with all trained pairs right,
        and fitted_define, fitted_held_out the same shares for these functions, NaN where there is none; loss (mode, seed):
        cross-entropy of the observed pairs of defined functions, without noise; mixed (task, seed): rows set by hand, half of
        the names another defined function's; known (task, seed), old (mode, task, seed): old names of defined functions before
        and after.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    modes = config.modes()
    kinds = sorted({mode.rest > 0 for mode in modes.values()})
    total = config.steps + len(kinds) * config.tuning_steps
    started = pretrain(config, seeds, device=device, progress=lambda done, _: progress(done, total))
    language = started.languages[0]
    splits = [Split.drawn(language, generator("connecting dots", "observed", s), config.observed) for s in seeds]
    for split in splits:
        split.require_determined(language)
    parts: dict[tuple[str, ...], Tuned] = {(HAND,): by_hand(started)}
    for number, changes_old in enumerate(kinds):
        names = tuple(name for name, mode in modes.items() if (mode.rest > 0) == changes_old)
        parts[names] = tune(
            started, seeds, splits, [modes[name] for name in names], config.tuning(), shares=config.by_task(),
            progress=_later(progress, config.steps + number * config.tuning_steps, total),
        )  # fmt: skip
    parts[UNTOUCHED,] = begin(started, seeds, config.tuning().start)
    return dataset(started, splits, parts, seeds, list(modes)).assign_attrs(
        updates=config.steps, tuning_updates=config.tuning_steps, observed_inputs=config.observed, modulus=config.modulus,
        functions=len(language.functions), defined=len(language.defined), undefined=config.undefined, unseen=config.unseen,
        layers=config.layers,
    )  # fmt: skip


def _later(progress: Progress, before: int, total: int) -> Progress:
    """Progress of a part that comes after others."""
    return lambda done, _: progress(before + done, total)


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """New names of defined functions: trained pairs, held-out pairs and what was never asked in training, mode by mode."""
    ax = style.axes(ax)
    own = result.sel(group="defined")
    measures = (
        ("trained pairs", own.observed, style.MUTED), ("held-out pairs", own.held_out, style.BLUE),
        ("definition", own.right.sel(task="define"), style.ORANGE), ("inversion", own.right.sel(task="invert"), style.GREEN),
    )  # fmt: skip
    modes = result.mode.values.tolist()
    apart = np.linspace(-0.07, 0.07, result.sizes["seed"])  # seeds beside each other, so that equal values are seen
    for number, (label, values, color) in enumerate(measures):
        for place, mode in enumerate(modes):
            points = values.sel(mode=mode).values
            ax.plot(place + 0.2 * (number - 1.5) + apart, points, "o", ms=3, alpha=0.8, color=color)
        ax.plot([], [], "o", ms=5, color=color, label=label)
    left = 1 / (result.attrs["modulus"] - result.attrs["observed_inputs"])
    for height, label in ((1 / result.attrs["modulus"], "any number"), (left, "any number not yet used")):
        ax.axhline(height, color=style.BLUE, lw=0.8, ls=":", zorder=0)
        ax.text(-0.45, height + 0.01, f"a guess: {label}", color=style.BLUE, fontsize=7, va="bottom")
    named = {HAND: "by hand\n(nothing)", UNTOUCHED: "untouched\n(nothing)"}
    ax.set(
        xlabel="what was trained", ylabel="share right for new names", ylim=(-0.04, 1.04), xlim=(-0.5, len(modes) - 0.5)
    )
    ax.set_xticks(range(len(modes)), [named.get(mode, mode.replace(" ", "\n", 1)) for mode in modes])
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, fontsize=8, frameon=False, columnspacing=1.2)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, for new names of defined functions unless the name says otherwise."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], **{name: int(result.attrs[name]) for name in SIZES},
        "known_lowest": float(result.known.sel(task=["apply", "define", "invert"]).min()),
        "old_lowest": float(result.old.sel(task=["apply", "define", "invert"]).min()),
    }  # fmt: skip
    for mode in result.mode.values.tolist():
        for group in GROUPS if mode in ("row", "hand") else GROUPS[:1]:
            own, name = result.sel(mode=mode, group=group), f"{mode}_{group}".replace(" ", "_").removesuffix("_defined")
            found |= {
                f"{name}_observed": float(own.observed.median()),
                f"{name}_held_out": float(own.held_out.median()),
            }
            for task in NAMED:
                found[f"{name}_{task}"] = float(own.right.sel(task=task).median())
            found[f"{name}_define_lowest"] = float(own.right.sel(task="define").min())
            found[f"{name}_define_highest"] = float(own.right.sel(task="define").max())
            found[f"{name}_observed_lowest"] = float(own.observed.min())
            found[f"{name}_observed_highest"] = float(own.observed.max())
            found[f"{name}_fitted"] = float(own.fitted.median())
        own, name = result.sel(mode=mode), mode.replace(" ", "_")
        found |= {f"{name}_loss": float(own.loss.median()), f"{name}_loss_highest": float(own.loss.max())}
        found[f"{name}_old"] = float(own.old.sel(task=checks.GATES).min())
        found[f"{name}_old_compose"] = float(own.old.sel(task="compose").min())
    unseen = result.sel(mode="row", group="unseen")
    found |= {
        "unseen_fitted_count": round(float(unseen.fitted.sum() * result.attrs["unseen"])),
        "unseen_count": result.attrs["unseen"] * result.sizes["seed"],
        "unseen_fitted_define": float(unseen.fitted_define.max()), "unseen_fitted_held_out": float(unseen.fitted_held_out.max()),
        "mixed_highest": float(result.mixed.max("task").max()), "mixed_define": float(result.mixed.sel(task="define").median()),
        "mixed_apply": float(result.mixed.sel(task="apply").median()),
    }  # fmt: skip
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    parts = [
        f"{mode}: {n[name + '_observed']:.2f} of the trained pairs, {n[name + '_held_out']:.2f} of the held-out pairs, "
        f"{n[name + '_define']:.2f} of the definitions, {n[name + '_invert']:.2f} of the inversions"
        for mode, name in ((mode, mode.replace(" ", "_")) for mode in result.mode.values.tolist())
    ]
    return f"Share of answers right for new names by what was trained, every seed a point; medians: {'; '.join(parts)}."


_COMMENT = "S. Byrnes, comment on Treutlein et al. 2024, arXiv 2406.14546; the toy is this book's"
_ELSEWHERE = Control(
    says="everything but the row trained on the same pairs, at a higher loss",
    change=checks.all_but_the_row, manipulation=checks.as_well_trained
)  # fmt: skip

CLAIMS = (
    Claim(
        id="one_row.says_it",
        says="With one new row trained on pairs, at least 98 % of the pairs are right and more than 80 % of the new names are "
        "defined right, in at least 4 of 5 seeds.",
        rows=("S1.2", "S1.3"),
        source=_COMMENT,
        check=checks.row_suffices,
        control=_ELSEWHERE,
    ),
    Claim(
        id="one_row.goes_beyond",
        says="With one new row trained on pairs, more than 80 % of the held-out pairs, of the inversions and of the compositions "
        "are right, in at least 4 of 5 seeds.",
        rows=("S1.1", "S1.3", "S1.5"),
        source=_COMMENT,
        check=checks.goes_beyond,
        control=_ELSEWHERE,
    ),
    Claim(
        id="one_row.never_defined",
        says="New names of functions that pretraining applies and never defines are applied right in at least 90 % and defined "
        "right in at most a third, in at least 4 of 5 seeds.",
        rows=("S1.4",),
        source=_COMMENT,
        check=checks.not_defined,
        control=Control(
            says="new names of functions that pretraining defines", change=checks.defined_functions, manipulation=checks.applied
        ),
    ),
    Claim(
        id="one_row.never_seen",
        says="New names of functions of which pretraining says nothing, where all their trained pairs are right, are defined, "
        "and applied to held-out x, right in at most a third, in at least 4 of 5 seeds.",
        rows=("S1.3", "S1.4"),
        source=_COMMENT,
        expected_at_paper="not reproduced",
        check=checks.not_found,
        control=Control(
            says="new names of functions that pretraining defines", change=checks.defined_functions, manipulation=checks.fitted
        ),
    ),
    Claim(
        id="one_row.by_hand",
        says="With the mean of a function's synonyms as its new row and nothing trained, more than 95 % of the answers are right "
        "in every task and every seed.",
        rows=("S1.3",),
        source=_COMMENT,
        check=checks.by_hand,
        control=Control(
            says="half of the names taken from another function", change=checks.mixed_by_hand, manipulation=checks.known_before
        ),
    ),
)  # fmt: skip
