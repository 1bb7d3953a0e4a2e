"""Weights written down from a formula add modulo P without any training, once there are enough hidden units.

The network of Gromov 2023 (arXiv 2301.02679, equation 1) has logits ``unembed @ (left[a] + right[b])^2``. As in its analytic
solution, each hidden unit gets one random frequency k and random phases: left cos(2 pi k a / P + phi1), right
cos(2 pi k b / P + phi2), unembed cos(2 pi k c / P + phi3), and phi3 = phi1 + phi2. Three variations: phi3 drawn on its own;
phi1 = phi2, as if both numbers were read through the same weights; and all phases zero.

Axes: seed, phases (how the three are drawn), width (hidden units; a wider network contains the units of a narrower one).
Deviations: P = 59 here, P = 97 in the paper; frequencies are drawn with repetition.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import surgery
from heldout.grokking.modular import all_pairs, require_modulus
from heldout.grokking.pair_networks import PairMLP

PHASES = ("added", "added, shared", "all zero", "drawn apart")
LABELS = {
    "added": "phases add up",
    "added, shared": "the same, both numbers alike",
    "all zero": "all phases zero",
    "drawn apart": "third phase drawn apart",
}
COLORS = dict(zip(PHASES, (style.BLUE, style.GREEN, style.ORANGE, style.VERMILION), strict=True))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the networks that are written down."""

    modulus: int = 59
    widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    num_seeds: int = 10
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require(len(self.widths) >= 2 and min(self.widths) >= 1, "widths", self.widths, "two or more, of at least 1")
        require(list(self.widths) == sorted(set(self.widths)), "widths", self.widths, "increasing")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(modulus=11, widths=(8, 32, 128), num_seeds=3, first_seed=0)
BOOK = Config()
PAPER = Config(modulus=97, widths=(32, 64, 128, 256, 500, 1000, 2000))


def weights(modulus: int, width: int, phases: str, seed: int) -> dict[str, Float[Tensor, "modulus units"]]:
    """The three tables of one network; a wider one begins with the units of a narrower one."""
    draw = generator("closed form", modulus, seed)
    # One row a unit, so that the units that are there do not depend on how many follow.
    drawn = torch.rand(width, 4, generator=draw, dtype=torch.float64)
    frequency = 1 + (drawn[:, 0] * (modulus - 1) / 2).floor()
    first, second, third = (2 * math.pi * drawn[:, 1:]).unbind(1)
    if phases == "added, shared":
        second = first
    if phases != "drawn apart":
        third = first + second
    turn = 0 if phases == "all zero" else 1
    angle = 2 * math.pi * torch.outer(torch.arange(modulus, dtype=torch.float64), frequency) / modulus
    tables = {"left": first, "right": second, "unembed": third}
    return {name: torch.cos(angle + turn * phase).float() for name, phase in tables.items()}


def network(modulus: int, width: int, phases: str, seed: int) -> PairMLP:
    """Such a network; nothing in it was trained."""
    made = PairMLP(modulus, width, generator=generator("unused", seed))
    made.load_state_dict(weights(modulus, width, phases, seed))
    return made


@recorded
@torch.no_grad()
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Write the networks down and ask each for all pairs.

    Returns:
        accuracy (seed, phases, width), over all P^2 pairs; noise (seed, phases, width), root mean square over pairs and
        answers of what the logits hold besides half the sum of cos(2 pi k (a + b - c) / P), per unit; tuned (seed, phases), how
        much of a unit's input its frequency explains, least over units of the narrowest network.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    shape = (len(seeds), len(PHASES), len(config.widths))
    accuracy, noise, tuned = np.empty(shape), np.empty(shape), np.empty(shape[:2])
    for i, seed in enumerate(seeds):
        for j, phases in enumerate(PHASES):
            for k, width in enumerate(config.widths):
                made = network(config.modulus, width, phases, seed).to(device)
                accuracy[i, j, k], noise[i, j, k] = _ask(made, config.modulus)
            narrow = network(config.modulus, config.widths[0], phases, seed)
            tuned[i, j] = float(surgery.tuning(surgery.unit_inputs(narrow, config.modulus)).max(0).values.min())
        progress(i + 1, len(seeds))
    dims = ("seed", "phases", "width")
    return xr.Dataset(
        {
            "accuracy": variable(dims, accuracy, "share of all pairs answered correctly"),
            "noise": variable(dims, noise, "root mean square of the terms besides the wave, per unit"),
            "tuned": variable(("seed", "phases"), tuned, "share of a unit's input explained by one frequency, least"),
        },
        {"seed": seeds, "phases": list(PHASES), "width": list(config.widths)},
        {"modulus": config.modulus},
    )


def _ask(made: PairMLP, modulus: int) -> tuple[float, float]:
    """Accuracy over all pairs, and root mean square of the terms besides the wave, per unit."""
    pairs = all_pairs(modulus).to(made.left.device)
    sums = pairs.sum(1)
    logits = made(pairs)
    # A unit's wave in a + b - c is the autocorrelation of its unembedding: sum over c of u(c) u(c + n) = P / 2 cos(2 pi k n / P).
    spectrum = torch.fft.rfft(made.unembed, dim=0).abs().square().sum(1)
    wave = torch.fft.irfft(spectrum, n=modulus) / modulus
    there = (sums[:, None] - torch.arange(modulus, device=sums.device)) % modulus
    rest = (logits - wave[there]).square().mean().sqrt() / made.left.shape[1]
    return float((logits.argmax(1) == sums % modulus).double().mean()), float(rest)


def needed_width(result: xr.Dataset, accuracy: float = 0.99) -> xr.DataArray:
    """The smallest width from which on the accuracy stays this high (seed, phases); infinite where there is none."""
    stays = (result.accuracy >= accuracy)[..., ::-1].cumprod("width")[..., ::-1].astype(bool)
    found: xr.DataArray = result.width.where(stays).min("width").fillna(np.inf)
    return found


def sufficient_width(modulus: int, failure: float = 0.01) -> float:
    """The width that the theorem of the page asks for: 512 log(P^3 / failure)."""
    return 512 * math.log(modulus**3 / failure)


def everything_right(result: xr.Dataset) -> Evidence:
    """Per seed, accuracy of the widest network with phases that add up."""
    return across_seeds(result.accuracy.sel(phases="added").isel(width=-1), above=0.999)


def noise_as_derived(result: xr.Dataset) -> Evidence:
    """Per seed, how far the widest network's noise is from 1 / sqrt(width), relative to it."""
    wide = result.isel(width=-1)
    return across_seeds(abs(wide.noise.sel(phases="added") * np.sqrt(wide.width) - 1), below=0.2)


def all_zero(result: xr.Dataset) -> xr.Dataset:
    """The networks without phases in the place of the others."""
    return result.sel(phases=["all zero"]).assign_coords(phases=["added"])


def drawn_apart(result: xr.Dataset) -> xr.Dataset:
    """The networks whose third phase is drawn on its own, in the place of the others."""
    return result.sel(phases=["drawn apart"]).assign_coords(phases=["added"])


def still_waves(result: xr.Dataset) -> Evidence:
    """A manipulation check: every unit reads one frequency."""
    return across_seeds(result.tuned.sel(phases="added"), above=0.999)


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Accuracy over all pairs against the number of hidden units; the band is all seeds."""
    ax = style.axes(ax)
    for phases in map(str, result.phases.values):
        values = result.accuracy.sel(phases=phases).transpose("seed", "width").values
        color, label = COLORS[phases], LABELS[phases]
        style.band(ax, result.width.values, values, interval=(0.0, 1.0), color=color, label=label, marker="o")
    ax.axhline(1 / result.modulus, color=style.MUTED, linewidth=1, linestyle=":", label="guessing")
    ax.set_xscale("log", base=2)
    ax.set_xticks(result.width.values, [f"{width:,}" for width in result.width.values])
    ax.set(xlabel="hidden units (log scale)", ylabel="share of all pairs answered correctly", ylim=(-0.03, 1.03))
    ax.legend(loc="center right", bbox_to_anchor=(1.0, 0.45))
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes; widths are numbered from 0, the narrowest."""
    needed = needed_width(result)
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "modulus": int(result.modulus),
        "widest": int(result.width[-1]),
        "sufficient": sufficient_width(int(result.modulus)),
        "chance": 1 / float(result.modulus),
    }
    for phases in map(str, result.phases.values):
        name = phases.replace(", ", "_").replace(" ", "_")
        mine, width = result.sel(phases=phases), needed.sel(phases=phases)
        found[f"noise_{name}"] = float((mine.noise.isel(width=-1) * np.sqrt(mine.width[-1])).median())
        found[f"needed_{name}"] = float(width.median())
        found[f"all_right_{name}"] = int((mine.accuracy.isel(width=-1) == 1).sum())
        for index, size in enumerate(result.width.values):
            found[f"width_{index}"] = int(size)
            found[f"accuracy_{name}_{index}"] = float(mine.accuracy.isel(width=index).median())
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n, last = numbers(result), result.sizes["width"] - 1
    added, shared, apart = (n[f"accuracy_{phases}_{last}"] for phases in ("added", "added_shared", "drawn_apart"))
    return (
        f"Share of all pairs answered correctly against the number of hidden units, from {n['width_0']} to {n['widest']}, "
        f"without training. With phases that add up it rises from {n['accuracy_added_0']:.2f} to {added:.2f}; if both numbers "
        f"share their phases, to {shared:.2f}; with a third phase drawn apart it ends at {apart:.2f}."
    )


APART = Control(says="the same frequencies, third phase drawn apart", change=drawn_apart, manipulation=still_waves)
CLAIMS = (
    Claim(
        id="closed_form.everything_right",
        says="With 512 units written down from the formula, more than 99.9 % of all pairs modulo 59 are added correctly.",
        rows=("S3.6",),
        source="Gromov 2023, arXiv 2301.02679, analytic solution",
        check=everything_right,
        control=APART,
    ),
    Claim(
        id="closed_form.noise_as_derived",
        says="What the logits hold besides the wave is 1 / sqrt(m) per unit at width m = 512, to within a fifth.",
        rows=("S3.6",),
        source="this book, theorem of the page",
        check=noise_as_derived,
        control=Control(
            says="the same frequencies, all phases zero, so that nothing averages out",
            change=all_zero,
            manipulation=still_waves,
        ),
    ),
)
