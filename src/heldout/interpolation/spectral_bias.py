"""A network that is fitted to a sum of sines learns the low frequencies first, also where the high ones are larger.

Full-batch Adam on evenly spaced samples of a sum of sines with random phases; at every look the part of each sine that has been
learned is read off by projection. After Rahaman et al. 2019 (arXiv 1806.08734), whose code has frequencies 5 to 50, 200 samples,
and six layers of 256 units. The control gives the network the sines and cosines of those frequencies as inputs, as Tancik et
al. 2020 (arXiv 2006.10739) propose in general, and leaves everything else as it was.

Axes: seed (phases and initial weights), inputs (position or Fourier features), amplitudes, frequency (cycles on [0, 1)), step.
Deviations: lower frequencies, fewer samples, smaller networks and fewer updates; our learning rate and initial scale.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from heldout.devices import generator
from heldout.ensemble import Snapshot, TrainingData, log_spaced_steps, train
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.interpolation.spectral_checks import AMPLITUDES, CLAIMS, HALF, INPUTS, numbers, times
from heldout.losses import squared_error
from heldout.networks import MLP

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "describe", "numbers", "plot", "plot_times", "run"]

SPREAD_SCALE = 6**0.5  # times PyTorch's default start: variance 2 / fan-in, which keeps deep ReLU signals at one size
COLORS = (style.BLUE, style.VERMILION, style.GREEN, style.PINK, style.GOLD, style.SKY, style.ORANGE)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Target, networks and training."""

    frequencies: tuple[int, ...] = (2, 4, 6, 8, 10)  # cycles on the unit interval
    num_train: int = 80  # evenly spaced samples
    stretch: float = 1.0  # the network sees positions in [-stretch, stretch)
    hidden_layers: int = 3
    width: int = 64
    steps: int = 2000
    learning_rate: float = 1e-3
    probes: int = 60  # recorded steps, evenly spaced in their logarithm
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        rising = len(self.frequencies) >= 3 and all(a < b for a, b in pairwise(self.frequencies))
        require(
            rising and self.frequencies[0] >= 1,
            "frequencies",
            self.frequencies,
            "three or more increasing positive numbers",
        )
        least = 2 * self.frequencies[-1] + 1
        require(self.num_train >= least, "num_train", self.num_train, f"at least {least}, for the highest frequency")
        require(0 < self.stretch < math.inf, "stretch", self.stretch, "positive and finite")
        require(self.hidden_layers >= 1, "hidden_layers", self.hidden_layers, "at least 1")
        require(self.width >= 1, "width", self.width, "at least 1")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.probes >= 2, "probes", self.probes, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    frequencies=(1, 2, 3), num_train=24, width=16, hidden_layers=2, steps=150, probes=12, num_seeds=2, first_seed=0
)
BOOK = Config()
PAPER = Config(frequencies=(5, 10, 15, 20, 25, 30), num_train=200, hidden_layers=5, width=128, steps=4000, probes=80)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train on every seed, both kinds of inputs and both kinds of amplitudes, all at once.

    Returns:
        learned (seed, inputs, amplitudes, frequency, step), the share of each sine that the output holds; residual (seed,
        inputs, amplitudes, step), the mean squared error over the target's mean square; and for the first seed output
        (inputs, amplitudes, step, x) and target (amplitudes, x).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    x, targets_SAN = torch.arange(config.num_train, dtype=torch.float64) / config.num_train, targets(config, seeds)
    steps = log_spaced_steps(config.steps, config.probes)
    seen: dict[str, list[np.ndarray]] = {}
    for number, inputs in enumerate(INPUTS):
        features = encoded(config, x, inputs)
        members = [network(config, seed, features.shape[1]) for seed in seeds for _ in AMPLITUDES]
        wanted = targets_SAN.flatten(0, 1)

        def look(snapshot: Snapshot, features: Tensor = features, wanted: Tensor = wanted) -> dict[str, Tensor]:
            outputs, mine = snapshot.predict(features)[..., 0].double().cpu(), wanted[snapshot.members]
            residual = (outputs - mine).square().mean(-1) / mine.square().mean(-1)
            return {"learned": shares(config, outputs, mine), "residual": residual, "output": outputs}

        def advance(done: int, total: int, number: int = number) -> None:
            progress(number * total + done, len(INPUTS) * total)

        history = train(
            members, TrainingData(inputs=features.expand(1, *features.shape), targets=wanted.float()[..., None],
            streams=[0] * len(members)), steps=config.steps, learning_rate=config.learning_rate, loss=squared_error,
            probe=look, probe_steps=steps, device=device, progress=advance,
        )  # fmt: skip
        for name, values in history.values.items():
            groups = (len(seeds), len(AMPLITUDES))
            seen.setdefault(name, []).append(np.moveaxis(values.reshape(len(steps), *groups, *values.shape[2:]), 0, -1))
    return _dataset(
        config, seeds, steps, {name: np.stack(parts, axis=1) for name, parts in seen.items()}, targets_SAN[0]
    )


def amplitudes(config: Config) -> Float[Tensor, "amplitudes frequency"]:
    """Of each sine: all one, or growing in proportion to the frequency's rank, up to one."""
    count = len(config.frequencies)
    return torch.stack([torch.ones(count), torch.arange(1, count + 1) / count]).double()


def targets(config: Config, seeds: list[int]) -> Float[Tensor, "seed amplitudes n"]:
    """Sums of sines at the training positions; the phases are uniform, and drawn once a seed."""
    x = torch.arange(config.num_train, dtype=torch.float64) / config.num_train
    cycles = torch.tensor(config.frequencies, dtype=torch.float64)
    phases = torch.stack([torch.rand(len(cycles), generator=generator("spectral_bias", "phases", s)) for s in seeds])
    waves = torch.sin(2 * torch.pi * (cycles[:, None] * x + phases.double()[..., None]))
    return torch.einsum("ak,skn->san", amplitudes(config), waves)


def encoded(config: Config, x: Float[Tensor, " n"], inputs: str) -> Float[Tensor, "n features"]:
    """What the network is given for positions in [0, 1): the position, or sine and cosine of every frequency."""
    if inputs == "position":
        return (config.stretch * (2 * x - 1))[:, None].float()
    angles = 2 * torch.pi * torch.tensor(config.frequencies, dtype=torch.float64) * x[:, None]
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1).float()


def network(config: Config, seed: int, features: int) -> MLP:
    """An untrained member; the same for both kinds of amplitudes."""
    start = generator("spectral_bias", "weights", seed, features, config.width, config.hidden_layers)
    return MLP(features, (config.width,) * config.hidden_layers, 1, generator=start, init_scale=SPREAD_SCALE)


def shares(
    config: Config, outputs: Float[Tensor, "member n"], wanted: Float[Tensor, "member n"]
) -> Float[Tensor, "member frequency"]:
    """How much of each of the target's sines the outputs hold, by projection: 1 if all of it, 0 if nothing."""
    x = torch.arange(config.num_train, dtype=torch.float64) / config.num_train
    waves = torch.exp(-2j * torch.pi * torch.tensor(config.frequencies, dtype=torch.float64) * x[:, None])
    ours, theirs = (values.to(waves.dtype) @ waves for values in (outputs, wanted))
    return (ours * theirs.conj()).real / theirs.abs().square()


def _dataset(
    config: Config, seeds: list[int], steps: list[int], found: dict[str, np.ndarray], target: Tensor
) -> xr.Dataset:
    dims = ("seed", "inputs", "amplitudes")
    return xr.Dataset(
        {
            "learned": variable(
                (*dims, "frequency", "step"), found["learned"].astype(np.float32), "share of a sine learned"
            ),
            "residual": variable(
                (*dims, "step"), found["residual"].astype(np.float32), "error over the target's power"
            ),
            "output": variable(
                ("inputs", "amplitudes", "x", "step"), found["output"][0].astype(np.float32), "output, first seed"
            ),
            "target": variable(("amplitudes", "x"), target.float(), "target, first seed"),
        },
        {
            "seed": seeds,
            "inputs": list(INPUTS),
            "amplitudes": list(AMPLITUDES),
            "frequency": variable("frequency", config.frequencies, "frequency", "cycles on the interval"),
            "step": variable("step", steps, "updates"),
            "x": variable("x", np.arange(config.num_train) / config.num_train, "position"),
        },
    )


def plot(result: xr.Dataset, ax: Axes | None = None, *, inputs: str = "position", amplitudes: str = "equal") -> Axes:
    """Share of each sine learned against the step, with the range over all seeds as a band."""
    ax = style.axes(ax)
    chosen = result.learned.sel(inputs=inputs, amplitudes=amplitudes).isel(step=slice(1, None))
    drawn = chosen.frequency.values[:: max(1, len(chosen.frequency) // 5)]
    for color, frequency in zip(COLORS, drawn, strict=False):
        values = chosen.sel(frequency=frequency).values
        style.band(ax, chosen.step.values, values, color=color, label=f"{frequency}", interval=(0.0, 1.0))
    ax.axhline(HALF, color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.set(xscale="log", xlabel="updates (log scale)", ylabel="share of the sine learned", ylim=(-0.3, 1.6))
    ax.legend(loc="upper left", ncols=len(drawn), title="frequency (cycles)", alignment="left", columnspacing=1.0)
    return ax


def plot_times(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Updates until half of a sine is learned, against its frequency, for both inputs and both amplitudes."""
    ax = style.axes(ax)
    found = times(result)
    kinds = (
        ("position", "equal", "-"),
        ("position", "increasing", "--"),
        ("fourier", "equal", "-"),
        ("fourier", "increasing", "--"),
    )
    for inputs, amplitude, line in kinds:
        color = style.BLUE if inputs == "position" else style.VERMILION
        values = found.sel(inputs=inputs, amplitudes=amplitude).transpose("seed", "frequency").values
        label = f"{'Fourier features' if inputs == 'fourier' else 'position'}, {amplitude}"
        style.band(ax, found.frequency.values, values, color=color, label=label, interval=(0.0, 1.0), linestyle=line)
    ax.set(yscale="log", xlabel="frequency (cycles on the interval)", ylabel="updates to learn half (log scale)")
    ax.set_xticks(found.frequency.values)
    ax.set_ylim(1, float(found.max()) * 60)
    ax.legend(loc="upper left", title="input, amplitudes", alignment="left", ncols=1, fontsize=9)
    return ax


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    low, high = (n[f"position_equal_at{n[end]}"] for end in ("lowest", "highest"))
    return (
        f"Share of each sine that the network has learned, against the updates. The curves rise one after the other: half of "
        f"frequency {n['lowest']} is there after {low:.0f} updates (median), half of frequency "
        f"{n['highest']} after {high:.0f}. With Fourier features as inputs the ratio of the "
        f"two is {n['fourier_equal_ratio']:.1f}."
    )
