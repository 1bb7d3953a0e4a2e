"""Generalization comes late without weight decay and while the weights grow, if features have to be learned and few are at first.

A two-layer network with nearly linear units learns the square of one direction from its inputs by plain gradient descent. Its
training error is small long before its held-out error is; the second falls as the units turn toward the direction. Kumar et al.
2024 (arXiv 2310.06110): the network, the target, and the three conditions: a lazy start, features that do not fit the target, and
a training set neither too small nor too large.

Axes: num_train, output_scale, seed, step.
Deviations: sizes and rates are ours; the output at the start is subtracted; errors are in units of the target's variance.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control
from heldout.ensemble import Optimizer, Snapshot, TrainingData, log_spaced_steps, train
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import lazy_start_checks as checks
from heldout.grokking.lazy_units import VARIANCE, PolynomialUnits, Sample, draw, first_outputs, kernel_error
from heldout.losses import squared_error


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the task and the network, and how lazily it starts."""

    dimension: int = 40
    units: int = 80
    curvature: float = 0.05  # how far a unit is from a linear one
    train_sizes: tuple[int, ...] = (80, 180, 480)
    output_scales: tuple[float, ...] = (0.25, 1.0, 4.0)
    num_test: int = 1000
    learning_rate: float = 10.0  # a unit's
    steps: int = 2500
    num_probes: int = 60
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        for name in ("dimension", "units", "num_test", "steps", "num_seeds"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.curvature > 0, "curvature", self.curvature, "above 0")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        for name in ("train_sizes", "output_scales"):
            values = getattr(self, name)
            ordered = len(values) >= 1 and list(values) == sorted(set(values)) and values[0] > 0
            require(ordered, name, values, "one or more, increasing, above 0")


SMOKE = Config(
    dimension=10, units=16, curvature=0.2, train_sizes=(20, 40, 80), output_scales=(0.25, 1.0), num_test=100, learning_rate=2.0,
    steps=300, num_probes=12, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    dimension=100, units=500, train_sizes=(200, 450, 1600), num_test=5000, steps=20_000, num_probes=80, num_seeds=10,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train a network for every training size, output scale and seed.

    With output ``f(x) = scale (g(x) - g_0(x))``, squared error divided by scale^2 is the squared distance of ``g`` from
    ``g_0 + target / scale``: the scale divides the change that is asked of the network.

    Returns:
        train_error, test_error (mean squared error over the target's variance), norm (length of all weights over that at the
        start), moved (distance of all weights from the start over that length), alignment (mean absolute cosine of the units
        with the direction) (num_train, output_scale, seed, step);
        kernel_error (num_train, seed): held-out error of the fit with the features of the start.
    """
    steps = log_spaced_steps(config.steps, config.num_probes)
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    count = len(config.train_sizes)
    parts = [
        _one_size(config, size, seeds, steps, device, partial(_advance, progress, number, count))
        for number, size in enumerate(config.train_sizes)
    ]
    dims = ("num_train", "output_scale", "seed", "step")
    labels = {
        "train_error": ("squared error on training inputs over the target's variance", "1"),
        "test_error": ("squared error on held-out inputs over the target's variance", "1"),
        "norm": ("length of all weights over that at the start", "1"),
        "moved": ("distance of all weights from the start over their length there", "1"),
        "alignment": ("mean absolute cosine of the units with the target's direction", "1"),
        "kernel_error": ("held-out error over the target's variance with the features of the start", "1"),
    }
    return xr.Dataset(
        {
            name: variable(
                dims if name != "kernel_error" else ("num_train", "seed"), np.stack([part[name] for part in parts]), *label
            )
            for name, label in labels.items()
        },
        {
            "num_train": variable("num_train", config.train_sizes, "training inputs", "inputs"),
            "output_scale": variable("output_scale", config.output_scales, "output scale"), "seed": seeds,
            "step": variable("step", steps, "updates made", "updates"),
        },
        {"curvature": config.curvature, "dimension": config.dimension},
    )  # fmt: skip


def _advance(progress: Progress, part: int, parts: int, done: int, total: int) -> None:
    progress(part * total + done, parts * total)


def _one_size(
    config: Config, size: int, seeds: list[int], steps: list[int], device: torch.device, progress: Progress
) -> dict[str, np.ndarray]:
    """Curves (output_scale, seed, step) of all scales and seeds at one training size."""
    samples = [draw(seed, dimension=config.dimension, count=size + config.num_test) for seed in seeds]
    networks = [PolynomialUnits(config.dimension, config.units, config.curvature, seed) for seed in seeds]
    begun, wanted = first_outputs(networks, samples), torch.stack([sample.targets for sample in samples])
    asked = torch.cat([begun + wanted / scale for scale in config.output_scales])
    copies = len(config.output_scales)
    data = TrainingData(
        inputs=torch.stack([sample.inputs[:size] for sample in samples]), targets=asked[:, :size],
        streams=list(range(len(seeds))) * copies, keys=seeds,
    )  # fmt: skip
    scales = torch.tensor(config.output_scales).repeat_interleave(len(seeds))
    history = train(
        networks * copies, data, steps=steps[-1], learning_rate=config.learning_rate * config.units,
        optimizer=Optimizer(kind="sgd"), loss=squared_error, probe=_Probe(samples, size, asked, scales, networks, device),
        probe_steps=steps, device=device, progress=progress,
    )  # fmt: skip
    shape = (len(steps), copies, len(seeds))
    curves = {name: np.moveaxis(values.reshape(shape), 0, -1) for name, values in history.values.items()}
    limits = [kernel_error(network, sample, size) for network, sample in zip(networks, samples, strict=True)]
    return curves | {"kernel_error": np.array(limits)}


class _Probe:
    """Errors, length of the weights and alignment of every member."""

    def __init__(
        self,
        samples: list[Sample],
        size: int,
        asked: Tensor,
        scales: Tensor,
        networks: list[PolynomialUnits],
        device: torch.device,
    ) -> None:
        self.inputs = torch.stack([sample.inputs for sample in samples]).to(device)
        self.size, self.asked, self.scales = size, asked.to(device), scales.to(device)
        self.directions = [sample.direction for sample in samples]
        self.starts = [network.weight.detach() for network in networks]

    def __call__(self, snapshot: Snapshot) -> dict[str, Tensor]:
        outputs = snapshot.predict(self.inputs, per_stream=True)
        mine, scales = self.asked[snapshot.members], self.scales[snapshot.members].unsqueeze(1)
        errors = squared_error(outputs, mine) * scales.square() / VARIANCE
        looks = {member: self._look(member, state["weight"].cpu()) for member, state in snapshot.named_states()}
        norm, moved, alignment = torch.tensor([looks[member] for member in snapshot.members.tolist()]).T
        return {
            "train_error": errors[:, : self.size].mean(1), "test_error": errors[:, self.size :].mean(1),
            "norm": norm, "moved": moved, "alignment": alignment,
        }  # fmt: skip

    def _look(self, member: int, weight: Tensor) -> tuple[float, float, float]:
        start, direction = self.starts[member % len(self.starts)], self.directions[member % len(self.starts)]
        cosines = weight @ direction / weight.norm(dim=1)
        return (
            float(weight.norm() / start.norm()), float((weight - start).norm() / start.norm()), float(cosines.abs().mean()),
        )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Training and held-out error along training at the middle training size and output scale, with the units' alignment."""
    ax = style.axes(ax)
    mine = checks.middle(result).isel(step=slice(1, None))
    steps = mine.step.values
    for name, color, label, line in (
        ("train_error", style.MUTED, "training error", (0, (5, 1.5))), ("test_error", style.BLUE, "held-out error", "solid"),
        ("alignment", style.GREEN, "alignment of the units", "solid"),
    ):  # fmt: skip
        style.band(ax, steps, mine[name].values, color=color, label=label, linestyle=line)
    ax.axhline(checks.LEARNED_ERROR, color=style.MUTED, linewidth=0.8)
    ax.text(1, checks.LEARNED_ERROR / 1.15, "a tenth", color=style.MUTED, fontsize=9, va="top")
    ax.axhline(float(mine.kernel_error.median()), color=style.BLUE, linewidth=0.9, linestyle=(0, (1, 2)))
    ax.set(xscale="log", yscale="log", xlabel="updates (log scale)", ylabel="error; cosine (log scale)", ylim=(1e-3, 4))
    ax.legend(loc="lower left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, at the middle size and scale unless the name says otherwise."""
    mine, delay = checks.middle(result), checks.delay(result)
    size, scale = result.sizes["num_train"] // 2, result.sizes["output_scale"] // 2
    own, last = delay.isel(num_train=size, output_scale=scale), mine.isel(step=-1)
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "updates": int(result.step[-1]), "size": int(mine.num_train),
        "scale": float(mine.output_scale), "delay": float(own.median()), "delay_low": float(own.min()),
        "delay_high": float(own.max()), "fit": float(checks.first(mine.train_error).median()),
        "learned": float(checks.first(mine.test_error).fillna(np.inf).median()), "growth": float(last.norm.median()),
        "kernel": float(mine.kernel_error.median()), "end": float(last.test_error.median()),
        "aligned_start": float(mine.alignment.isel(step=0).median()), "aligned_end": float(last.alignment.median()),
        "growth_due": checks.growth_of_the_target(result, float(mine.output_scale)),
        "features": int(result.dimension * (result.dimension + 3) / 2),
    }  # fmt: skip
    for name in ("test_error", "norm", "moved", "alignment"):
        found[f"{name}_at_fit"] = float(checks.at_fit(mine, name).median())
    for name, index in (("small", 0), ("large", -1)):
        by_size = result.isel(num_train=index, output_scale=scale)
        by_scale = result.isel(num_train=size, output_scale=index)
        found |= {
            f"{name}_size": int(by_size.num_train), f"{name}_scale": float(by_scale.output_scale),
            f"{name}_size_delay": float(delay.isel(num_train=index, output_scale=scale).median()),
            f"{name}_scale_delay": float(delay.isel(num_train=size, output_scale=index).median()),
            f"{name}_size_end": float(by_size.test_error.isel(step=-1).median()),
            f"{name}_scale_end": float(by_scale.test_error.isel(step=-1).median()),
            f"{name}_size_kernel": float(by_size.kernel_error.median()),
            f"{name}_size_growth": float(by_size.norm.isel(step=-1).median()),
            f"{name}_scale_due": checks.growth_of_the_target(result, float(by_scale.output_scale)),
            f"{name}_scale_growth": float(by_scale.norm.isel(step=-1).median()),
            f"{name}_scale_learned": float(checks.first(by_scale.test_error).fillna(np.inf).median()),
        }  # fmt: skip
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Error on training and held-out inputs along training with {n['size']} training inputs, both axes logarithmic. "
        f"Training error falls below a tenth after {n['fit']:.0f} updates, when held-out error is {n['test_error_at_fit']:.2f}; "
        f"held-out error falls below a tenth after {n['learned']:.0f}. The units' alignment with the target's direction goes "
        f"from {n['aligned_start']:.2f} to {n['aligned_end']:.2f}."
    )


_MANY_INPUTS = Control(
    says="the largest training size in the place of the middle one: fitted as fast, at the same scales",
    change=checks.largest_size,
    manipulation=checks.fitted,
)
_PAPER = "Kumar et al. 2024, arXiv 2310.06110"

CLAIMS = (
    Claim(
        id="lazy_start.late",
        says="At the middle training size and scale, held-out error takes at least five times the updates of training error to "
        "fall below a tenth of the target's variance.",
        rows=("S3.6",),
        source=_PAPER,
        check=checks.late,
        control=_MANY_INPUTS,
    ),
    Claim(
        id="lazy_start.units_turn",
        says="Between the two moments the weights do not shrink, and the units' mean absolute cosine with the target's direction "
        "rises by at least a tenth.",
        rows=("S3.6",),
        source=f"{_PAPER}, Figure 1, for the weights; the cosine is ours",
        check=checks.units_turn,
        control=_MANY_INPUTS,
    ),
    Claim(
        id="lazy_start.scale_delays",
        says="At the middle training size the delay, as a multiple, is at least 1.2 times as long at the middle output scale as "
        "at the smallest.",
        rows=("S3.6",),
        source=f"{_PAPER}: the scale controls how lazy training is",
        check=checks.scale_delays,
        control=_MANY_INPUTS,
    ),
    Claim(
        id="lazy_start.neither_few_nor_many",
        says="At the smallest training size held-out error stays above a half; at the largest it falls below a tenth within "
        "twice the updates of training error.",
        rows=("S3.6",),
        source=f"{_PAPER}, abstract, its second condition",
        check=checks.neither_few_nor_many,
        control=Control(
            says="held-out error of the smallest fit with the features of the start in the place of the network's",
            change=checks.features_of_the_start,
            manipulation=checks.fitted,
        ),
    ),
)
