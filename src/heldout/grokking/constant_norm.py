"""Modular addition with the norm of the weights held fixed: what decides the delay is the size of the logits, not the norm.

Liu, Michaud and Tegmark 2023 (arXiv 2210.01117) remove the delay by holding the norm. Holding it fixes the scale of the logits
too; Khanh 2026 (arXiv 2606.18465) separates them by a temperature. Here each norm is held twice, with the logits divided so that
they start as at two other norms, beside a usual run with weight decay and a free norm.

Axes: seed, held (norm held, as a factor on the usual initial one), logits (the held norm as at which the logits are scaled), step
(updates made, of the held runs), usual_step (of the usual runs).
Deviations: a network of two layers with quadratic units in the place of a transformer, modulus 47; every number of updates is
short enough for a page, so a run that has not learned within them is censored, not shown never to learn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control
from heldout.devices import generator
from heldout.ensemble import History, Optimizer, Snapshot
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import constant_norm_checks as checks
from heldout.grokking import modular
from heldout.grokking.norm_probe import norms, progress_from
from heldout.grokking.pair_networks import PairMLP
from heldout.grokking.training import ADAMW, train_on_pairs

MEASURES = {
    "train_accuracy": ("accuracy on training pairs", "1"),
    "test_accuracy": ("accuracy on held-out pairs", "1"),
    "train_loss": ("cross-entropy on training pairs", "nats"),
    "norm": ("Euclidean norm of all parameters", "1"),
    "spread": ("standard deviation of a training pair's logits, mean over pairs", "1"),
}


class DividedPairMLP(PairMLP):
    """The network of the chapter with its logits divided by a constant, which training does not touch."""

    def __init__(
        self, modulus: int, hidden_size: int, *, generator: torch.Generator, init_scale: float, divisor: float
    ) -> None:
        super().__init__(modulus, hidden_size, generator=generator, init_scale=init_scale)
        require(divisor > 0, "divisor", divisor, "above 0")
        self.divisor = divisor

    def forward(self, pairs: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch modulus"]:
        """Logits over the divisor."""
        return super().forward(pairs) / self.divisor


@dataclass(frozen=True, kw_only=True)
class Config:
    """The task, the usual run, and the grid of held norms and logit scales."""

    modulus: int = 47
    train_fraction: float = 0.45
    hidden_size: int = 128
    learning_rate: float = 1e-2
    usual_scale: float = 1.0  # factor on the usual run's initial weights
    usual_decay: float = 0.5
    usual_steps: int = 1300
    held: tuple[float, ...] = (2.0, 4.0, 6.0)
    logits: tuple[float, ...] = (4.0, 6.0)
    steps: int = 500
    probe_every: int = 20
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        modular.require_modulus(self.modulus)
        modular.require_train_fraction(self.train_fraction, self.modulus)
        modular.require_decay(self.learning_rate, self.usual_decay)
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require(self.usual_scale > 0, "usual_scale", self.usual_scale, "above 0")
        for name, values in (("held", self.held), ("logits", self.logits)):
            rising = len(values) > 0 and list(values) == sorted(set(values)) and values[0] > 0
            require(rising, name, values, "increasing, above 0")
        require(self.probe_every >= 1, "probe_every", self.probe_every, "at least 1")
        for name, value in (("usual_steps", self.usual_steps), ("steps", self.steps)):
            whole = value >= 1 and value % self.probe_every == 0
            require(whole, name, value, f"a positive multiple of probe_every={self.probe_every}")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(modulus=13, train_fraction=0.7, hidden_size=32, usual_steps=120, held=(2.0, 4.0), steps=60, num_seeds=2,
               first_seed=0)  # fmt: skip
BOOK = Config()
PAPER = Config(
    modulus=113, train_fraction=0.3, hidden_size=512, usual_decay=0.3, usual_steps=20_000, held=(1.0, 2.0, 4.0, 8.0),
    logits=(2.0, 4.0, 6.0, 8.0), steps=10_000,
)  # fmt: skip
# The usual run from larger weights than decay and loss come to keep, so that its norm has to fall.
FROM_ABOVE = replace(BOOK, usual_scale=16.0, usual_steps=2400, held=(4.0,), logits=(4.0,), steps=20)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train the usual run and every held norm at every logit scale; a seed has one split and one initial direction in all.

    Returns:
        the measures (seed, held, logits, step) without weight decay, and usual_ and each measure's name (seed, usual_step).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    cells = [(i, j) for i in range(len(config.held)) for j in range(len(config.logits))]
    total = config.usual_steps + len(cells) * config.steps
    usual = _train(config, seeds, config.usual_scale, 1.0, None, device, partial(progress_from, progress, 0, total))
    steps, usual_steps = (list(range(0, most + 1, config.probe_every)) for most in (config.steps, config.usual_steps))
    shape = (len(seeds), len(config.held), len(config.logits), len(steps))
    found = {name: np.empty(shape) for name in MEASURES}
    for number, (i, j) in enumerate(cells):
        scale, like = config.held[i], config.logits[j]
        before = config.usual_steps + number * config.steps
        history = _train(
            config, seeds, scale, (scale / like) ** 3, config.steps, device,
            partial(progress_from, progress, before, total),
        )  # fmt: skip
        for name in MEASURES:
            found[name][:, i, j] = history.values[name].T
    dims, usual_dims = ("seed", "held", "logits", "step"), ("seed", "usual_step")
    return xr.Dataset(
        {name: variable(dims, found[name], *words) for name, words in MEASURES.items()}
        | {f"usual_{k}": variable(usual_dims, usual.values[k].T, *words) for k, words in MEASURES.items()},
        {
            "seed": seeds,
            "held": variable("held", config.held, "norm held, as a factor on the usual initial one"),
            "logits": variable("logits", config.logits, "held norm as at which the logits are scaled"),
            "step": variable("step", steps, "updates made", "updates"),
            "usual_step": variable("usual_step", usual_steps, "updates made in the usual run", "updates"),
        },
        {"modulus": config.modulus, "usual_decay": config.usual_decay, "usual_scale": config.usual_scale},
    )


def _train(
    config: Config, seeds: Sequence[int], scale: float, divisor: float, held_steps: int | None, device: torch.device,
    progress: Progress,
) -> History:  # fmt: skip
    """One network a seed: with weight decay and a free norm, or for ``held_steps`` with the norm held and no decay."""
    members = [
        DividedPairMLP(
            config.modulus,
            config.hidden_size,
            generator=generator("constant norm", seed),
            init_scale=scale,
            divisor=divisor,
        )
        for seed in seeds
    ]
    held = held_steps is not None
    steps = config.usual_steps if held_steps is None else held_steps
    return train_on_pairs(
        members, [modular.split(config.modulus, config.train_fraction, seed) for seed in seeds], steps=steps,
        probe_steps=range(0, steps + 1, config.probe_every), learning_rate=config.learning_rate,
        weight_decay=0.0 if held else config.usual_decay, device=device,
        optimizer=Optimizer(kind=ADAMW.kind, betas=ADAMW.betas, constant_norm=held), extra=_size, progress=progress,
    )  # fmt: skip


def _size(snapshot: Snapshot, train_logits: Tensor, _: Tensor) -> dict[str, Tensor]:
    return {"norm": norms(snapshot).to(train_logits.device), "spread": train_logits.std(-1).mean(1)}


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Held-out accuracy along training: the usual run, and each held norm at each logit scale; bands are all seeds."""
    ax = style.axes(ax)
    usual = result.usual_test_accuracy
    style.band(
        ax, result.usual_step.values, usual.values, color=style.MUTED, label="usual run, norm free", interval=(0.0, 1.0)
    )
    lines = ("-", "--", ":", "-.")
    for j, like in enumerate(result.logits.values):
        for i, scale in enumerate(result.held.values):
            style.band(
                ax, result.step.values, result.test_accuracy.values[:, i, j], color=style.COLORS[j % 4],
                label=f"norm {scale:g}, logits as at {like:g}", interval=(0.0, 1.0), linestyle=lines[i % 4],
            )  # fmt: skip
    ax.set(xlabel="updates", ylabel="accuracy on held-out pairs", ylim=(0, 1.02))
    ax.legend(fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds; norms and logit scales by their factors, such as ``learned_4_6``."""
    fit, learned = checks.usual_steps_to(result, "train"), checks.usual_steps_to(result, "test")
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "modulus": int(result.modulus),
        "steps": int(result.step[-1]),
        "usual_steps": int(result.usual_step[-1]),
        "usual_fit": float(fit.median()),
        "usual_learned": float(learned.median()),
        "usual_learned_least": float(learned.min()),
        "usual_learned_most": float(learned.max()),
        "usual_start": float(result.usual_norm.isel(usual_step=0).median()),
        "usual_norm_fit": float(checks.usual_when(result, "norm", "train").median()),
        "usual_norm_learned": float(checks.usual_when(result, "norm", "test").median()),
        "usual_norm_most": float(result.usual_norm.max("usual_step").median()),
        "norm_ratio": float(checks.norm_ratio(result).median()),
        "norm_ratio_least": float(checks.norm_ratio(result).min()),
        "usual_spread_fit": float(checks.usual_when(result, "spread", "train").median()),
        "usual_spread_learned": float(checks.usual_when(result, "spread", "test").median()),
        "faster": float(checks.faster(result).median()),
        "faster_least": float(checks.faster(result).min()),
    }
    for scale in result.held.values:
        for like in result.logits.values:
            mine, name = result.sel(held=scale, logits=like), f"{scale:g}_{like:g}"
            found |= {
                f"norm_{scale:g}": float(mine.norm.isel(step=-1).median()),
                f"fit_{name}": float(checks.steps_to(mine.train_accuracy).median()),
                f"learned_{name}": float(checks.steps_to(mine.test_accuracy).median()),
                f"spread_{name}": float(mine.spread.isel(step=-1).median()),
                f"end_{name}": float(mine.test_accuracy.isel(step=-1).median()),
                f"most_{name}": float(mine.test_accuracy.isel(step=-1).max()),
            }
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    first, last = result.logits.values[0], result.logits.values[-1]
    return (
        f"Accuracy on held-out pairs against updates. The usual run is complete after about {n['usual_learned']:,.0f}. With "
        f"the norm held, {_ends(n, result, first)} with logits scaled as at {first:g}, "
        f"and {_ends(n, result, last)} with logits as at {last:g}, for norms of {result.held.values.tolist()} in turn."
    )


def _ends(n: dict[str, float | int | str], result: xr.Dataset, like: float) -> str:
    ends = ", ".join(f"{n[f'end_{scale:g}_{like:g}']:.2f}" for scale in result.held.values)
    return f"it ends at {ends} after {n['steps']} updates"


CLAIMS = (
    Claim(
        id="constant_norm.sooner",
        says="Held at four times the usual initial norm, without decay, the network learns the held-out pairs in less than half "
        "as many updates as the usual run.",
        rows=("S3.6",),
        source="Liu, Michaud and Tegmark 2023, arXiv 2210.01117 (algorithmic data with the norm held)",
        check=checks.sooner,
        control=Control(
            says="the same norm held, with larger logits, as at six times",
            change=checks.largest_logits_only,
            manipulation=checks.same_norm_and_fits,
        ),
    ),
    Claim(
        id="constant_norm.same_logits",
        says="With logits scaled as at four times the usual norm, held-out pairs are learned within 500 updates at every "
        "held norm, from two to six times.",
        rows=("S3.6",),
        source="this book; separation by a temperature as in Khanh 2026, arXiv 2606.18465",
        check=checks.learned_at_every_norm,
        control=Control(
            says="the same norms with logits as at six times",
            change=checks.largest_logits_only,
            manipulation=checks.fits_at_every_norm,
        ),
    ),
    Claim(
        id="constant_norm.larger_logits",
        says="With logits scaled as at six times the usual norm, fewer than half of the held-out pairs are right after "
        "500 updates at every held norm, from two to six times.",
        rows=("S3.6",),
        source="this book; separation by a temperature as in Khanh 2026, arXiv 2606.18465",
        check=checks.late_at_every_norm,
        control=Control(
            says="the same norms with logits as at four times",
            change=checks.smallest_logits_only,
            manipulation=checks.fits_at_every_norm,
        ),
    ),
    Claim(
        id="constant_norm.no_shrinking",
        says="In the usual run the norm at which the held-out pairs are learned is at least 90 % of that at which the training "
        "pairs were.",
        rows=("S3.6",),
        source="this book; grokking while the norm grows in Kumar et al. 2024, arXiv 2310.06110, Figure 1",
        check=checks.norm_stays,
        control=Control(
            says="the usual run from sixteen times the initial weights",
            config=FROM_ABOVE,
            manipulation=checks.usual_learns,
        ),
    ),
)
