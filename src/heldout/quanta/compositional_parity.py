"""A composite parity is learned after its parts, and not alone; its own loss hardly tells which way it goes.

Michaud et al. 2025 (arXiv 2505.15811), compositional multitask sparse parity: several parts, each the parity of a few bits under
a control bit of its own, and a composite, asked for by all control bits at once: the parity of all their bits.

Axes: seed, training (alone, or beside parts of which 0, 1, ... are the right ones), step (updates made), part. All trainings
of a seed start from the same weights and see the same samples of the composite. Losses are in nats.
Deviations: parts of 3 bits of 24 and a width of 64, where the authors' scripts have 4 parts of 4 bits of 64 and a width of 128;
32 samples of a part and 96 of the composite an update, where they have 2,000 of each; bits of -1 and +1; one logit, not two;
learning rate 5e-3, not 1e-3. Parts over the wrong bits, and the measure inside the network, are this book's.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.devices import generator, numpy_generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.networks import MLP
from heldout.quanta import compositional_parity_checks as checks
from heldout.quanta.compositions import Compositions, Stack
from heldout.quanta.parity import CHANCE


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the training."""

    parts: int = 3
    subset: int = 3  # bits of a part
    num_bits: int = 24
    width: int = 64
    depth: int = 2  # hidden layers
    part_samples: int = 32  # of every part, an update
    composite_samples: int = 96  # an update, in every training
    learning_rate: float = 5e-3
    steps: int = 2000
    first_look: int = 30  # looks are spaced evenly in the logarithm of the update from here on
    looks: int = 40
    held_out_part: int = 200  # samples a part
    held_out_composite: int = 1200  # half of them for fitting the probe
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.parts >= 2, "parts", self.parts, "at least 2")
        require(self.subset >= 1, "subset", self.subset, "at least 1")
        least = 2 * self.parts * self.subset
        require(self.num_bits >= least, "num_bits", self.num_bits, f"at least 2 x parts x subset = {least}")
        require(self.width >= 1, "width", self.width, "at least 1")
        require(self.depth >= 1, "depth", self.depth, "at least 1")
        require(self.part_samples >= 1, "part_samples", self.part_samples, "at least 1")
        require(self.composite_samples >= 1, "composite_samples", self.composite_samples, "at least 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.first_look >= 1, "first_look", self.first_look, "at least 1")
        require(self.steps > self.first_look, "steps", self.steps, "above first_look")
        require(self.looks >= 2, "looks", self.looks, "at least 2")
        require(self.held_out_part >= 20, "held_out_part", self.held_out_part, "at least 20")
        units = self.depth * self.width
        require(
            self.held_out_composite >= 4 * units, "held_out_composite", self.held_out_composite, f"at least {4 * units}"
        )
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    parts=2, subset=2, num_bits=10, width=32, steps=200, looks=20, held_out_part=100, held_out_composite=400,
    num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
SHORT = replace(BOOK, subset=1, steps=400)
PAPER = Config(
    parts=4, subset=4, num_bits=64, width=128, part_samples=2000, composite_samples=2000, learning_rate=1e-3,
    steps=200_000, first_look=100, looks=120, held_out_part=1000, held_out_composite=4000,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train one network a seed and training, all side by side, on fresh samples.

    Returns:
        composite_loss, composite_accuracy and read (seed, training, step), the last the share of the parts' parities that a
        linear probe of the hidden layers gets right on samples of the composite; part_loss (seed, training, step, part).
    """
    seeds = range(config.first_seed, config.first_seed + config.num_seeds)
    sizes = (config.parts + config.num_bits, [config.width] * config.depth, 1)

    def network(seed: int) -> MLP:
        return MLP(*sizes, generator=generator("compositional parity", seed))

    layout = Compositions(
        parts=config.parts, subset=config.subset, num_bits=config.num_bits, right=tuple(range(config.parts + 1))
    )
    beside = Stack([[network(seed) for _ in layout.right] for seed in seeds], device, config.learning_rate)
    alone = Stack([[network(seed)] for seed in seeds], device, config.learning_rate)
    streams = [numpy_generator("composite samples", seed) for seed in seeds]
    asked = layout.draw(
        config.held_out_part, config.held_out_composite, [numpy_generator("held out", seed) for seed in seeds]
    ).to(device)
    looks = sorted({round(step) for step in np.geomspace(config.first_look, config.steps, config.looks)})
    found: list[dict[str, torch.Tensor]] = []
    for step in range(config.steps + 1):
        if step in looks:
            both = alone.look(asked.last(config.held_out_composite), 0), beside.look(asked, config.held_out_part)
            found.append({name: torch.cat([each[name].cpu() for each in both], 1) for name in both[0]})
        if step < config.steps:
            samples = layout.draw(config.part_samples, config.composite_samples, streams).to(device)
            beside.update(samples)
            alone.update(samples.last(config.composite_samples))
            progress(step + 1, config.steps)
    return _record(config, looks, {name: torch.stack([each[name] for each in found], 2) for name in found[0]})


def _record(config: Config, looks: list[int], found: dict[str, torch.Tensor]) -> xr.Dataset:
    three = ("seed", "training", "step")
    names = ["alone", *(f"{right} of {config.parts} parts right" for right in range(config.parts + 1))]
    return xr.Dataset(
        {
            "composite_loss": variable(three, found["composite_loss"], "loss of the composite", "nats"),
            "composite_accuracy": variable(three, found["composite_accuracy"], "share of the composite answered right"),
            "read": variable(three, found["read"], "share of the parts' parities a probe reads"),
            "part_loss": variable((*three, "part"), found["part_loss"], "loss of a part", "nats"),
        },
        {
            "seed": range(config.first_seed, config.first_seed + config.num_seeds),
            "training": variable("training", names, "what the network is trained on"),
            "step": variable("step", looks, "updates made", "updates"),
            "part": variable("part", np.arange(1, config.parts + 1), "part"),
        },
        {"part_samples": config.part_samples, "composite_samples": config.composite_samples, "bits": config.num_bits,
         "subset": config.subset},
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The parts of the first seed, thin; the composite with its parts, with wrong ones, and alone, all seeds as bands."""
    ax = style.axes(ax)
    steps = result.step.values
    for number, line in enumerate(result.part_loss.isel(seed=0, training=checks.ALL).values.T):
        ax.plot(steps, line, color=style.PINK, linewidth=0.9, label=None if number else "its parts, one seed")
    for training, color, words in (
        (checks.ALL, style.VERMILION, "composite, with its parts"),
        (checks.NONE, style.GREEN, "composite, with wrong parts"),
        (checks.ALONE, style.BLUE, "composite, alone"),
    ):
        losses = result.composite_loss.isel(training=training).values
        style.band(ax, steps, losses, color=color, label=words, interval=(0.0, 1.0))
    ax.axhline(CHANCE, color=style.MUTED, linewidth=1, linestyle=(0, (1, 2)))
    ax.annotate("chance", (steps[0], CHANCE), xytext=(0, -11), textcoords="offset points", color=style.MUTED)
    ax.set(xscale="log", xlabel="updates (log scale)", ylabel="loss, nats", ylim=(-0.02, 0.95))
    ax.legend(loc="lower left")
    return ax


def plot_read(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """What a probe reads of the parts, on samples of the composite, in three trainings; each seed's eve marked."""
    ax = style.axes(ax)
    steps = result.step.values
    for training, color, words in (
        (checks.ALL, style.VERMILION, "with its parts"),
        (checks.NONE, style.GREEN, "with wrong parts"),
        (checks.ALONE, style.BLUE, "alone"),
    ):
        style.band(
            ax, steps, result["read"].isel(training=training).values, color=color, label=words, interval=(0.0, 1.0)
        )
    read = checks.at_the_eve(result, "read")[:, checks.ALL]
    ax.plot(checks.eves(result), read, "o", color=style.INK, markersize=4, label="last seen at chance")
    ax.set(xscale="log", xlabel="updates (log scale)", ylabel="parities of the parts read right", ylim=(0.42, 1.02))
    ax.legend(loc="upper left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds unless the name says otherwise; of times, in updates, over those reached."""
    times, seen = checks.composite_times(result), int(result.composite_samples)
    counts = np.isfinite(times).sum(0)
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "steps": int(result.step[-1]), "chance": CHANCE,
        "parts": result.sizes["part"], "samples": seen * float(np.median(times[:, checks.ALL])),
        "samples_seen": seen * int(result.step[-1]), "one_count": int(counts[checks.NONE + 1]),
        "look_factor": float((result.step[-1] / result.step[0]) ** (1 / (result.sizes["step"] - 1))),
        "wrong_part_end": float(result.part_loss.isel(step=-1, training=checks.NONE).max()),
    }  # fmt: skip
    loss, read, right = (checks.at_the_eve(result, f) for f in ("composite_loss", "read", "composite_accuracy"))
    spread = {
        "part_time": checks.part_times(result)[:, checks.ALL], "wait": checks.waits(result),
        "eve": checks.eves(result), "known": checks.parts_known(result), "accuracy": right[:, checks.ALL],
        "off": np.abs(loss[:, checks.ALL] / CHANCE - 1), "slowest": checks.at_the_eve(result, "part_loss")[:, checks.ALL].max(-1),
    }  # fmt: skip
    for name, training in (
        ("all", checks.ALL),
        ("missing", checks.ALL - 1),
        ("wrong", checks.NONE),
        ("alone", checks.ALONE),
    ):
        found[f"{name}_count"] = int(counts[training])
        spread |= {
            f"{name}_end": CHANCE * checks.end_share(result, training), f"{name}_loss": loss[:, training],
            f"{name}_read": read[:, training], f"{name}_time": times[:, training],
        }  # fmt: skip
    for name, values in spread.items():
        judged = values[np.isfinite(values)]
        for suffix, summary in (("", np.median), ("_least", np.min), ("_most", np.max)):
            found[name + suffix] = float(summary(judged)) if judged.size else float("nan")
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Loss against updates on a log axis. The parts are learned by about {n['part_time']:.0f} updates. The composite beside "
        f"its parts stays near {CHANCE:.2f} nats until then and is at half of it after {n['all_time']:.0f}. Alone, and beside "
        f"parts over the wrong bits, it is at {n['alone_end']:.2f} and {n['wrong_end']:.2f} nats at the end."
    )


SOURCE = "Michaud et al. 2025, arXiv 2505.15811"
WRONG = Control(
    says="parts over the wrong bits, as many samples of each: they are learned as well, and do not help",
    change=checks.wrong_parts,
    manipulation=checks.parts_learned,
)
SMALL = Control(
    says="parts of one bit: the composite of three bits needs no parts",
    config=SHORT,
    manipulation=checks.all_learned,
)

CLAIMS = (
    Claim(
        id="compositional_parity.with_parts",
        says="Beside its parts the composite is learned: its loss ends below a tenth of chance.",
        rows=("S3.1",),
        source=SOURCE,
        check=checks.built,
        control=WRONG,
        expected="in part",
    ),
    Claim(
        id="compositional_parity.alone",
        says="Alone it is not: after as many samples of the composite its loss ends above .95 of chance.",
        rows=("S3.1",),
        source=SOURCE,
        check=checks.stuck,
        control=SMALL,
    ),
    Claim(
        id="compositional_parity.last",
        says="Though drawn three times as often as each part, it takes over 1.2 times the updates of the last of them.",
        rows=("S3.2",),
        source="this book",
        check=checks.last_of_all,
        control=SMALL,
    ),
    Claim(
        id="compositional_parity.every_part",
        says="With one part wrong it takes over 1.5 times the updates, or is not learned; with one right or none it is not.",
        rows=("S3.2",),
        source="this book",
        check=checks.delayed,
        control=SMALL,
        expected="in part",
    ),
    Claim(
        id="compositional_parity.hidden",
        says="When the composite's loss beside its parts is last seen above .95 of chance, as it is alone, a linear probe reads "
        "more of the parts' parities than alone, by over .25.",
        rows=("S3.1",),
        source="this book",
        check=checks.hidden,
        control=WRONG,
    ),
)
