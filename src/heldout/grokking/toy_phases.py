"""How fast numbers find their places, against how fast the decoder learns, decides among four outcomes of one task.

Addition of two numbers from 0 to 9, each with one learned coordinate, and a decoder that names the sum. The learning rates of
the coordinates and of the decoder are varied one against the other. Source: Liu et al. 2022 (arXiv 2205.10343), section 4,
whose four phases are comprehension, grokking, memorization and confusion.

Axes: embedding_rate (learning rate of the coordinates), decoder_rate, seed, step (updates made).
Deviations: narrower decoder, fewer updates and larger rates at BOOK; several seeds a cell, all drawn; splits in which fewer
than nine of ten held-out pairs can be answered are passed over and counted; whether a net groks is judged by the delay in
updates, as in the paper, and by the ratio of the two numbers of updates.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from heldout.claims import Claim, Control
from heldout.ensemble import log_spaced_steps
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import toy_phases_checks as checks
from heldout.grokking.addition_toy import pairs, rqi, task, toy, train_toys

COLORS = (style.GREEN, style.ORANGE, style.PINK, style.MUTED)
LETTERS = "CGMX"


def _rates(low: float, high: float, count: int) -> tuple[float, ...]:
    """Rates evenly spaced in the logarithm, between powers of ten."""
    return tuple(float(f"{10**exponent:.3g}") for exponent in np.linspace(low, high, count))


@dataclass(frozen=True, kw_only=True)
class Config:
    """The grid of learning rates and the runs in each of its cells."""

    p: int = 10  # numbers from 0 to p - 1
    num_train: int = 45  # pairs, of p (p + 1) / 2
    embedding_dimension: int = 1
    width: int = 32
    embedding_rates: tuple[float, ...] = _rates(-3.5, -1, 6)
    decoder_rates: tuple[float, ...] = _rates(-3.5, -1.75, 8)
    decoder_decay: float = 0.0  # AdamW's weight decay of the decoder
    shuffled: bool = False  # sums dealt out to the pairs at random
    least_ideal: float = 0.9  # splits of lower ideal accuracy are passed over
    steps: int = 2000
    gap_steps: int = 400  # grokking: held-out pairs learned more than so many updates after the training pairs
    gap_ratio: float = 2.0  # or, by the other rule, after more than so many times as many updates
    num_probes: int = 50
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.p >= 4, "p", self.p, "at least 4, so that there is a parallelogram of four numbers")
        count = len(pairs(self.p))
        require(
            1 <= self.num_train < count, "num_train", self.num_train, f"1 to {count - 1}, so that a pair is held out"
        )
        require(self.embedding_dimension >= 1, "embedding_dimension", self.embedding_dimension, "at least 1")
        require(self.width >= 1, "width", self.width, "at least 1")
        for field in ("embedding_rates", "decoder_rates"):
            rates = getattr(self, field)
            increasing = len(rates) >= 1 and list(rates) == sorted(set(rates)) and rates[0] >= 0
            require(increasing, field, rates, "one or more, increasing and not negative")
        most = 1 / max(self.decoder_rates[-1], 1e-12)
        require(0 <= self.decoder_decay <= most, "decoder_decay", self.decoder_decay, f"0 to 1 / rate = {most:g}")
        require(0 <= self.least_ideal <= 1, "least_ideal", self.least_ideal, "from 0 to 1")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(self.gap_steps >= 0, "gap_steps", self.gap_steps, "at least 0")
        require(self.gap_ratio >= 1, "gap_ratio", self.gap_ratio, "at least 1")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    embedding_rates=(0.0003, 0.03), decoder_rates=(0.003, 0.01), steps=500, gap_steps=60, num_probes=20, num_seeds=2,
    first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    width=200, embedding_rates=_rates(-5, -2, 10), decoder_rates=_rates(-5, -2, 10), steps=20_000, gap_steps=1000, num_probes=80,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train one network for each cell and seed; a seed has the same split, targets and initial weights in every cell.

    Returns:
        train_accuracy, test_accuracy, rqi (embedding_rate, decoder_rate, seed, step); embedding (..., step, number, dimension),
        the learned coordinates; passed_over (seed), the splits drawn before one that can be answered.
    """
    seeds = range(config.first_seed, config.first_seed + config.num_seeds)
    tasks = [
        task(config.p, config.num_train, seed, least_ideal=config.least_ideal, shuffled=config.shuffled)
        for seed in seeds
    ]
    nets = [toy(config.p, config.embedding_dimension, config.width, seed) for seed in seeds]
    cells = [
        (slow, fast, k) for slow in config.embedding_rates for fast in config.decoder_rates for k in range(len(seeds))
    ]
    steps = log_spaced_steps(config.steps, config.num_probes)
    history = train_toys(
        config.p, [nets[k] for *_, k in cells], [tasks[k] for *_, k in cells], steps=config.steps, probe_steps=steps,
        embedding_rate=[rate for rate, _, _ in cells], decoder_rate=[rate for _, rate, _ in cells],
        decoder_decay=config.decoder_decay, device=device, progress=progress,
    )  # fmt: skip
    sizes = (len(config.embedding_rates), len(config.decoder_rates), len(seeds))
    dims = ("embedding_rate", "decoder_rate", "seed", "step")

    def by_cell(values: np.ndarray) -> np.ndarray:
        return np.moveaxis(values, 0, 1).reshape(*sizes, len(steps), *values.shape[2:])

    embedding = history.values["embedding"]
    return xr.Dataset(
        {
            "train_accuracy": variable(dims, by_cell(history.values["train_accuracy"]), "accuracy on training pairs"),
            "test_accuracy": variable(dims, by_cell(history.values["test_accuracy"]), "accuracy on held-out pairs"),
            "rqi": variable(dims, by_cell(rqi(torch.from_numpy(embedding)).numpy()), "representation quality index"),
            "embedding": variable((*dims, "number", "dimension"), by_cell(embedding), "learned coordinates"),
            "passed_over": variable("seed", [one.passed_over for one in tasks], "splits passed over", "splits"),
        },
        {
            "embedding_rate": variable(
                "embedding_rate", list(config.embedding_rates), "learning rate of the embedding"
            ),
            "decoder_rate": variable("decoder_rate", list(config.decoder_rates), "learning rate of the decoder"),
            "seed": list(seeds),
            "step": variable("step", steps, "updates made", "updates"),
        },
        {"gap_steps": config.gap_steps, "gap_ratio": config.gap_ratio},
    )


def plot(result: xr.Dataset, ax: Axes | None = None, rule: str = "steps") -> Axes:
    """Every run as one stripe of its cell, in the color of its phase; the letter is the phase of most seeds."""
    ax = style.axes(ax)
    phase = checks.phases(result, rule)
    rows, columns, seeds = phase.shape
    stripes = np.sort(phase.values, axis=2).reshape(rows, columns * seeds)
    edges = np.arange(columns * seeds + 1) / seeds
    ax.pcolormesh(edges, np.arange(rows + 1), stripes, cmap=ListedColormap(COLORS), vmin=-0.5, vmax=3.5, alpha=0.75)
    for row in range(rows + 1):
        ax.axhline(row, color=style.GRID, linewidth=2)
    for column in range(columns + 1):
        ax.axvline(column, color=style.GRID, linewidth=2)
    most = checks.majority(phase)
    for row, column in np.ndindex(rows, columns):
        found = int(most[row, column])
        letter = LETTERS[found] if found >= 0 else "?"
        ax.text(column + 0.5, row + 0.5, letter, ha="center", va="center", color=style.INK, fontsize=9)
    for axis, rates in ((ax.xaxis, result.decoder_rate.values), (ax.yaxis, result.embedding_rate.values)):
        axis.set_ticks(np.arange(len(rates)) + 0.5, [f"{rate:.1g}" for rate in rates], fontsize=8.5)
    ax.grid(visible=False)
    ax.set(xlabel="learning rate of the decoder (log steps)", ylabel="learning rate of the embedding\n(log steps)")
    for letter, name, color in zip(LETTERS, checks.NAMES, COLORS, strict=True):
        ax.fill_between([], [], [], color=color, alpha=0.75, label=f"{letter}: {name}")
    ax.figure.legend(loc="outside upper center", ncols=4, fontsize=8.5, handlelength=1, columnspacing=1)
    return ax


def plot_ratio(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The same runs, judged by the ratio of the two numbers of updates."""
    return plot(result, ax, rule="ratio")


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes."""
    return checks.quoted(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"A grid of {n['cells']} cells, learning rate of the embedding against that of the decoder, with one colored stripe for "
        f"each of {n['seeds']} seeds. Most seeds comprehend in {n['steps_comprehension']} cells, grok in {n['steps_grokking']}, "
        f"memorize in {n['steps_memorization']} and are confused in {n['steps_confusion']}. In the row of the slowest embedding "
        f"{n['general_slowest']} of {n['row']} runs learn the held-out pairs, in the row of the fastest {n['general_fastest']}."
    )


# The rates at which a decoder learns shuffled sums; the same check reads the slowest and the fastest of them.
_SHUFFLED = replace(
    BOOK, shuffled=True, embedding_rates=BOOK.embedding_rates[3:5], decoder_rates=BOOK.decoder_rates[3:7],
)  # fmt: skip
_SOURCE = "Liu et al. 2022, arXiv 2205.10343, section 4"

CLAIMS = (
    Claim(
        id="toy_phases.four_phases",
        says="By the paper's rule each of the four phases is that of most seeds in at least one cell of the grid.",
        rows=("S2.4",),
        source=_SOURCE,
        paper_value="four phases, one seed a cell",
        check=checks.four_phases,
        control=Control(
            says="the sums dealt out to the pairs at random, so that no placement of the numbers helps",
            config=_SHUFFLED,
            manipulation=checks.learns_training_pairs,
        ),
        expected="in part",
    ),
    Claim(
        id="toy_phases.all_occur",
        says="By the paper's rule each of the four phases is that of at least five runs of the grid.",
        rows=("S2.4",),
        source=_SOURCE,
        check=checks.all_occur,
        control=Control(
            says="the sums dealt out to the pairs at random",
            config=_SHUFFLED,
            manipulation=checks.learns_training_pairs,
        ),
    ),
    Claim(
        id="toy_phases.embedding_first",
        says="Among runs that learn the training pairs, the share that learns the held-out pairs is higher by at least 0.25 at "
        "the fastest embedding than at the slowest.",
        rows=("S2.4",),
        source=_SOURCE,
        check=checks.embedding_first,
        control=Control(
            says="the sums dealt out to the pairs at random",
            config=_SHUFFLED,
            manipulation=checks.learns_training_pairs,
        ),
    ),
    Claim(
        id="toy_phases.race",
        says="At the slowest embedding no run learns the held-out pairs; at the fastest, two in three of those that learn the "
        "training pairs do.",
        rows=("S2.4",),
        source=_SOURCE,
        check=checks.race,
        control=Control(
            says="the sums dealt out to the pairs at random",
            config=_SHUFFLED,
            manipulation=checks.learns_training_pairs,
        ),
        expected="not reproduced",
    ),
    Claim(
        id="toy_phases.short_delays",
        says="Counted as a ratio, delays are short: of the runs that learn both, at most one in ten needs more than twice as "
        "many updates for the held-out pairs.",
        rows=("S2.4",),
        source="this book",
        check=checks.short_delays,
        control=Control(
            says="the same record, had every run learned its training pairs three times as early",
            change=checks.trained_early,
            manipulation=checks.same_generalizers,
        ),
        expected="not reproduced",
    ),
    Claim(
        id="toy_phases.structure",
        says="In every seed the runs that learn the held-out pairs end with a mean RQI at least 0.3 above that of the runs that "
        "memorize.",
        rows=("S2.4",),
        source=_SOURCE,
        check=checks.structure,
        control=Control(
            says="runs that learn not even the training pairs in the place of those that learn both",
            change=checks.confused_for_general,
            manipulation=checks.as_many_of_each,
        ),
        expected="in part",
    ),
)
