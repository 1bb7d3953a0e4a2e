"""Transformers of one loss differ off the data, and change there while the loss hardly shows it.

Small decoders, alike but for their start, learn a^n b^n until the loss hardly falls. Then they train on with weight decay, on the
same data: the divergence from the data stays low, and what they write after prompts that the data do not hold changes.
Reizinger et al. 2024 (arXiv 2405.01964) for the language and the rules; Liu et al. 2022 (arXiv 2210.14199) for models of one loss
and their flatness; Dinh et al. 2017 (arXiv 1703.04933) for rescaling.

Axes: step (updates), seed, other (seed), stage (before and after training on), twin (how the last weights are rescaled).
Deviations: the two papers' tasks are larger; the flatness is the Fisher matrix's trace, exact; weights decay in AdamW.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout import devices
from heldout.claims import Claim, Control
from heldout.decoders import Transformers
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.nonidentifiability import anbn, flatness
from heldout.nonidentifiability import flat_training_checks as checks
from heldout.nonidentifiability.flat_training_numbers import numbers
from heldout.nonidentifiability.lessons import Lessons
from heldout.nonidentifiability.prompt_scores import Prompts, sequence_logs
from heldout.nonidentifiability.sequence_training import Auxiliary, Batch, Schedule, train
from heldout.prefix_tree import prefix_tree

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "describe", "numbers", "plot", "plot_seeds", "run"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The language, the network, and its two times of training."""

    longest: int = 10  # the largest n of a^n b^n
    prompt_length: int = 8  # letters
    width: int = 16
    layers: int = 2
    heads: int = 2
    hidden: int = 32
    learn_steps: int = 900
    learn_rate: float = 3e-3
    more_steps: int = 700  # updates of training on
    more_rate: float = 1e-3
    decay: float = 2.0  # weight decay in training on
    warm_up: int = 50  # updates, at each beginning
    weight: float = 0.0  # of a second loss, which teaches the rule on some prompts
    taught_share: float = 0.75  # of the prompts outside the language, where there is a second loss
    rows: int = 8  # prompts of the second loss at each update
    num_probes: int = 14  # in each of the two times
    factor: float = 10.0  # of the rescalings
    num_seeds: int = 20
    first_seed: int = 100

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "hidden", "learn_steps", "more_steps", "rows"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.num_seeds >= 2, "num_seeds", self.num_seeds, "at least 2")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(2 <= self.prompt_length <= 12, "prompt_length", self.prompt_length, "2 to 12")
        require(self.longest > self.prompt_length, "longest", self.longest, f"above prompt_length={self.prompt_length}")
        require(self.width % self.heads == 0, "heads", self.heads, f"a divisor of width={self.width}")
        for name in ("learn_rate", "more_rate", "factor"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        for name in ("warm_up", "weight", "decay"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(0 < self.taught_share < 1, "taught_share", self.taught_share, "above 0 and below 1")


SMOKE = Config(
    longest=4, prompt_length=3, width=8, hidden=16, learn_steps=40, more_steps=20, warm_up=5, rows=4, num_probes=3, num_seeds=3,
    first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(num_seeds=50, first_seed=200)  # fresh seeds
TWINS = ("as trained", "values", "hidden units")


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train all seeds as one program, twice, and measure them on the data and off it.

    Returns:
        data_kl, r1, r1_outside, length (step, seed): divergence of the data from the model in nats a sequence, shares of prompts
        after which R1 is kept (with unlike numbers of a and b; all outside the language), length of the weights;
        pair_kl, same_text (stage, seed, other): divergence on the data, and the share of judged prompts after which two seeds
        write the same; distinct (stage, prompt): different texts after a judged prompt; trace (stage, seed): of the Fisher
        matrix; twin_kl, twin_r1, twin_trace (twin, seed): the same measures of the last weights, rescaled.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    models = _start(config, seeds).to(device)
    data = anbn.sequences(config.longest)
    tree = prefix_tree(*data, anbn.OUTPUTS)
    prompts = Prompts.of_length(config.prompt_length, config.taught_share if config.weight else 0.0, config.first_seed)
    total = config.learn_steps + config.more_steps
    lesson = _lesson(config, seeds, prompts, total) if config.weight else None
    looks: list[dict[str, np.ndarray]] = []
    stages: list[dict[str, np.ndarray]] = []
    for offset, schedule in _schedules(config):
        second = Auxiliary(first=0, weight=config.weight, batch=_later(lesson, offset)) if lesson else None
        probes = _probes(schedule.steps, config.num_probes, first=not offset)
        for done in train(models, tree, schedule, second):
            if done in probes:
                looks.append(_look(models, data, prompts) | {"step": np.array(offset + done)})
            progress(offset + done, total)
        stages.append(_stage(models, data, prompts) | {"trace": flatness.trace(models, tree)})
    makers: tuple[Callable[[Transformers, float], Transformers], ...] = (
        flatness.values_rescaled, flatness.values_rescaled, flatness.hidden_rescaled,
    )  # fmt: skip
    moved = [make(models, factor) for make, factor in zip(makers, (1.0, config.factor, config.factor), strict=True)]
    twins = [_look(twin, data, prompts) | {"trace": flatness.trace(twin, tree)} for twin in moved]
    return _dataset(seeds, prompts, looks, stages, twins).assign_attrs(
        learned=config.learn_steps, decay=config.decay, longest=config.longest
    )


def _start(config: Config, seeds: list[int]) -> Transformers:
    return Transformers(
        [devices.generator("flat training", seed) for seed in seeds], vocabulary=anbn.VOCABULARY, outputs=anbn.OUTPUTS,
        context=2 * config.longest + 1, width=config.width, layers=config.layers, heads=config.heads, hidden=config.hidden,
    )  # fmt: skip


def _schedules(config: Config) -> list[tuple[int, Schedule]]:
    """Both times of training, each with the updates that were made before it."""
    learn = Schedule(steps=config.learn_steps, learning_rate=config.learn_rate, warm_up=config.warm_up)
    more = Schedule(
        steps=config.more_steps, learning_rate=config.more_rate, warm_up=config.warm_up, weight_decay=config.decay
    )
    return [(0, learn), (config.learn_steps, more)]


def _probes(steps: int, count: int, *, first: bool) -> set[int]:
    """Log-spaced while the loss falls, evenly spaced when training on; the last update is one."""
    spaced = np.geomspace(max(1, steps // 20), steps, count) if first else np.linspace(steps / count, steps, count)
    return {round(float(step)) for step in spaced}


def _lesson(config: Config, seeds: list[int], prompts: Prompts, steps: int) -> Callable[[int], Batch]:
    """What the second loss teaches at an update: to end with as many a as b."""
    lessons = Lessons(seeds, prompts.rows, np.tile(prompts.taught, (len(seeds), 1)), steps=steps, rows=config.rows)

    def oracle(step: int) -> Batch:
        read, wanted = lessons(step)
        return read[: len(seeds)], wanted[: len(seeds)]

    return oracle


def _later(lesson: Callable[[int], Batch], offset: int) -> Callable[[int], Batch]:
    return lambda step: lesson(step + offset)


def _look(models: Transformers, data: Batch, prompts: Prompts) -> dict[str, np.ndarray]:
    kl = anbn.divergence_from_data(sequence_logs(models, data)).numpy()
    return {"data_kl": kl, "length": flatness.lengths(models)} | prompts.kept(prompts.written(models))


def _stage(models: Transformers, data: Batch, prompts: Prompts) -> dict[str, np.ndarray]:
    logs, texts = sequence_logs(models, data), prompts.written(models)[:, prompts.lacking]
    alike = (texts[:, None] == texts[None]).all(-1)  # (seed, other, prompt)
    return {
        "pair_kl": anbn.divergence_on_data(logs.unsqueeze(1), logs.unsqueeze(0)).numpy(), "same_text": alike.mean(-1),
        "distinct": np.array([len(np.unique(each, axis=0)) for each in texts.transpose(1, 0, 2)]),
    }  # fmt: skip


def _dataset(
    seeds: list[int], prompts: Prompts, looks: list[dict[str, np.ndarray]], stages: list[dict[str, np.ndarray]],
    twins: list[dict[str, np.ndarray]],
) -> xr.Dataset:  # fmt: skip
    kl, share, fisher = (
        "divergence of the data from the model",
        "share of prompts ended with as many a as b",
        "trace of the Fisher matrix",
    )
    along, pair = ("step", "seed"), ("stage", "seed", "other")
    described = {
        "data_kl": (looks, "data_kl", along, kl, "nats a sequence"), "r1": (looks, "r1", along, share, "1"),
        "r1_outside": (looks, "r1_outside", along, "the same, of all prompts outside the language", "1"),
        "length": (looks, "length", along, "length of the weights", "1"),
        "pair_kl": (stages, "pair_kl", pair, "divergence between two seeds on the data", "nats a sequence"),
        "same_text": (stages, "same_text", pair, "share of prompts after which two seeds write the same", "1"),
        "distinct": (stages, "distinct", ("stage", "prompt"), "different texts of all seeds after a prompt", "1"),
        "trace": (stages, "trace", ("stage", "seed"), fisher, "nats a sequence"),
        "twin_kl": (twins, "data_kl", ("twin", "seed"), kl, "nats a sequence"),
        "twin_r1": (twins, "r1", ("twin", "seed"), share, "1"),
        "twin_trace": (twins, "trace", ("twin", "seed"), fisher, "nats a sequence"),
    }  # fmt: skip
    return xr.Dataset(
        {
            name: variable(dims, np.stack([each[key] for each in source]), label, units)
            for name, (source, key, dims, label, units) in described.items()
        },
        {
            "step": variable("step", [int(look["step"]) for look in looks], "updates", "updates"), "seed": seeds, "other": seeds,
            "stage": ["before", "after"], "twin": list(TWINS),
            "prompt": ["".join("ab"[token] for token in row) for row in prompts.rows[prompts.judged]],
        },
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """R1 and the divergence along training on a log axis, each seed a thin line and the median a thick one."""
    ax = style.axes(ax)
    result = result.transpose("step", "seed", ...)
    labels = {"r1": (style.BLUE, "prompts with\nR1 kept"), "data_kl": (style.VERMILION, "divergence")}
    for name, (color, label) in labels.items():
        ax.plot(result.step, result[name], color=color, linewidth=0.6, alpha=0.45)
        middle = result[name].median("seed")
        ax.plot(result.step, middle, color=color, linewidth=2.2)
        style.label_end(ax, float(result.step[-1]), float(middle[-1]), label, color=color)
    style.mark_threshold(ax, float(result.attrs["learned"]), "weight decay from here on")
    ax.set(xlabel="updates", ylabel="share; nats a sequence (log scale)", yscale="log", ylim=(3e-3, 1))
    return ax


def plot_seeds(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """R1 against flatness, one mark a seed at the end, and where a rescaling moves it."""
    ax = style.axes(ax)
    own, moved = result.sel(twin=TWINS[0]), result.sel(twin=TWINS[1])
    for here, there, y in zip(own.twin_trace.values, moved.twin_trace.values, own.twin_r1.values, strict=True):
        ax.plot([here, there], [y, y], color=style.MUTED, linewidth=0.6)
    ax.plot(own.twin_trace, own.twin_r1, "o", color=style.BLUE, label="as trained")
    ax.plot(
        moved.twin_trace,
        moved.twin_r1,
        "o",
        markerfacecolor="none",
        color=style.VERMILION,
        label="rescaled, same function",
    )
    ax.set(
        xscale="log",
        xlabel="trace of the Fisher matrix (nats a sequence, log scale)",
        ylabel="share of prompts with R1 kept",
        ylim=(0, 1),
    )
    ax.legend(loc="upper center")
    return ax


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Divergence from the data and the share of prompts with R1 kept, {n['seeds']} seeds, along training. From update "
        f"{n['learned']} on the median divergence goes from {n['kl_before']:.3f} to {n['kl_after']:.3f} nats a sequence, the "
        f"median share from {n['r1_before']:.2f} to {n['r1_after']:.2f}; at the end seeds range from {n['r1_after_low']:.2f} to "
        f"{n['r1_after_high']:.2f}."
    )


CLAIMS = (
    Claim(
        id="flat_training.moves",
        says="After training on with weight decay, R1 is kept after more of the judged prompts, by more than 5 % of them, than "
        "when the divergence from the data was last as high in first learning.",
        rows=("S4.3",),
        source="this book, after Liu et al. 2022, arXiv 2210.14199",
        check=checks.moves,
        control=Control(
            says="training on for as long at the same rates without weight decay",
            config=Config(decay=0.0, num_seeds=8),
            manipulation=checks.no_worse,
        ),
        expected="in part",
    ),
    Claim(
        id="flat_training.seeds_differ",
        says="At the end no two seeds are further than 0.003 nats a sequence apart on the data, and a seed writes the same as "
        "another after fewer than 80 % of the judged prompts (median over the others).",
        rows=("S4.2", "S4.3"),
        source="this book",
        check=checks.seeds_differ,
        control=Control(
            says="a second loss teaches all seeds R1 on three quarters of the prompts; judged are those that it does not teach",
            config=Config(weight=0.1, num_seeds=8),
            manipulation=checks.close_on_data,
        ),
    ),
    Claim(
        id="flat_training.rescaled",
        says="With the values of each layer times 10 and the weights that mix them divided by 10, the divergence changes by less "
        "than 1e-6, R1 not at all, and the trace of the Fisher matrix more than tenfold.",
        rows=("S4.3",),
        source="Dinh et al. 2017, arXiv 1703.04933, for ReLU networks",
        check=checks.rescaled,
        control=Control(
            says="the same factor before and its inverse after the hidden units, in the place of the values",
            change=checks.hidden_units,
            manipulation=checks.sharper,
        ),
    ),
)
