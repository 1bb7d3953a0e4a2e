"""A language model that reads every character once stays far from its training points; rereading a page hits them and hurts.

A small network predicts the next character of Moby-Dick. Every run makes the same number of updates on batches of the same
size; what differs is how much distinct text they are drawn from, from one page read many times to enough text to read all of it
once. Reading once is how large language models are usually trained (Komatsuzaki 2019, arXiv 1906.06669); the price of
rereading at scale is measured by Muennighoff et al. 2023 (arXiv 2305.16264).

Axes: seed, distinct (characters to be predicted in the training text), step (updates made).
Deviations: a fixed-window network of some ten thousand weights on characters, not a transformer on word pieces; an alphabet of 28
characters; no size, learning rate or regularization is tuned to the amount of text.
"""

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
from heldout.ensemble import Snapshot, TrainingData, log_spaced_steps, train
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.interpolation import reused_text_checks as checks
from heldout.interpolation.character_model import TARGETS, members, pieces, shares, windows
from heldout.losses import stable_cross_entropy


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the runs on more and less text."""

    piece_length: int = 1024  # characters; the book is cut into pieces of this length, drawn at random
    reread_pieces: tuple[int, ...] = (1, 4, 16)  # the runs that reread; one more reads everything once
    test_pieces: int = 12
    context: int = 8  # characters the network sees
    embedding: int = 12
    hidden_size: int = 128
    target: str = "next"  # or echo: the first character of the context, which is certain
    steps: int = 800
    batch_size: int = 128
    learning_rate: float = 3e-3
    num_probes: int = 18
    num_probed: int = 4000  # characters of the training text on which its loss is measured
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.target in TARGETS, "target", self.target, f"one of {', '.join(TARGETS)}")
        require(1 <= self.context < self.piece_length, "context", self.context, "from 1 to below piece_length")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(1 <= self.batch_size <= self.per_piece, "batch_size", self.batch_size, "at most one piece")
        amounts = self.reread_pieces or (0,)
        require(min(amounts) >= 1, "reread_pieces", self.reread_pieces, "counts of at least 1")
        require(list(amounts) == sorted(set(amounts)), "reread_pieces", self.reread_pieces, "increasing")
        fresh = f"increasing, the last below the {self.fresh_pieces} pieces of the run that reads once"
        require(max(amounts) < self.fresh_pieces, "reread_pieces", self.reread_pieces, fresh)
        require(self.test_pieces >= 1, "test_pieces", self.test_pieces, "at least 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.num_probed >= 1, "num_probed", self.num_probed, "at least 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")

    @property
    def per_piece(self) -> int:
        """Characters to be predicted in one piece."""
        return self.piece_length - self.context

    @property
    def fresh_pieces(self) -> int:
        """Pieces needed to read everything once."""
        return -(-self.steps * self.batch_size // self.per_piece)


SMOKE = Config(
    piece_length=256, reread_pieces=(1, 4), test_pieces=2, hidden_size=48, steps=150, batch_size=64, num_probes=10,
    num_probed=200, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    reread_pieces=(1, 8, 64), test_pieces=20, context=10, embedding=16, hidden_size=192, steps=4000, batch_size=256,
    num_probes=24,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train one network for each seed and amount of text, all from the seed's own initial weights.

    Returns:
        train_loss, test_loss (seed, distinct, step): mean loss on (a sample of) the training text, read so far or not, and
        on pieces that no run reads, in nats per character; passes (distinct), how often each character is read in all.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    cut = pieces(config.piece_length)
    amounts = [*config.reread_pieces, config.fresh_pieces]
    steps = log_spaced_steps(config.steps, config.num_probes)
    losses = {name: np.empty((len(seeds), len(amounts), len(steps))) for name in ("train_loss", "test_loss")}
    distinct = []
    for number, amount in enumerate(amounts):
        texts = [_texts(config, seed, cut, amount) for seed in seeds]
        x, y, test_x, test_y = (torch.stack(part) for part in zip(*texts, strict=True))
        distinct.append(y.shape[1])
        history = train(
            members(seeds, config.context, embedding=config.embedding, hidden_size=config.hidden_size),
            TrainingData(inputs=x, targets=y, streams=range(len(seeds)), keys=seeds),
            steps=config.steps, learning_rate=config.learning_rate, batch_size=config.batch_size,
            probe=_Probe(x, y, test_x, test_y, config.num_probed, device), probe_steps=steps, device=device,
            progress=partial(_advance, progress, number, len(amounts)),
        )  # fmt: skip
        for name, values in history.values.items():
            losses[name][:, number] = values.T
    dims, units = ("seed", "distinct", "step"), "nats per character"
    return xr.Dataset(
        {
            "train_loss": variable(dims, losses["train_loss"], "loss on the training text", units),
            "test_loss": variable(dims, losses["test_loss"], "loss on unread text", units),
            "passes": variable(
                "distinct", config.steps * config.batch_size / np.array(distinct), "times read", "passes"
            ),
        },
        {
            "seed": seeds,
            "distinct": variable("distinct", distinct, "distinct characters to predict", "characters"),
            "step": variable("step", steps, "updates made", "updates"),
        },
        {"batch_size": config.batch_size},
    )


def _texts(
    config: Config, seed: int, cut: Int[Tensor, "pieces length"], amount: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training windows and targets of one seed and amount, and the test windows and targets that all amounts share."""
    read, unread = shares(seed, cut, config.fresh_pieces, config.test_pieces)
    x, y = windows(read[:amount], config.context, config.target)
    # Whole batches, so that the run that reads once reads nothing twice and leaves nothing out.
    whole = min(len(y), config.steps * config.batch_size)
    return x[:whole], y[:whole], *windows(unread, config.context, config.target)


def _advance(progress: Progress, before: int, amounts: int, done: int, total: int) -> None:
    progress(before * total + done, amounts * total)


class _Probe:
    """Losses on a sample of each stream's training text and on its test text."""

    def __init__(self, x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor, count: int, device: torch.device) -> None:
        rows = torch.randperm(y.shape[1], generator=generator("probed characters", y.shape[1]))[:count]
        self.texts = {"train_loss": (x[:, rows], y[:, rows]), "test_loss": (test_x, test_y)}
        self.texts = {name: (asked.to(device), told.to(device)) for name, (asked, told) in self.texts.items()}

    def __call__(self, snapshot: Snapshot) -> dict[str, Float[Tensor, " members"]]:
        return {
            name: stable_cross_entropy(snapshot.predict(asked, per_stream=True), told[snapshot.members]).mean(1)
            for name, (asked, told) in self.texts.items()
        }


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Losses after the last update against the number of times each character was read; the band is all seeds."""
    ax = style.axes(ax)
    passes = result.passes.values
    last = result.isel(step=-1)
    for values, color, label in (
        (last.test_loss, style.VERMILION, "unread text, at the end"),
        (result.test_loss.min("step"), style.BLUE, "unread text, at the best update"),
        (last.train_loss, style.GREEN, "training text, at the end"),
    ):
        style.band(ax, passes, values.values, color=color, label=label, interval=(0.0, 1.0), marker="o")
    ax.set(xscale="log", xlabel="times each character is read (log scale)", ylabel="loss, nats per character")
    ax.set_ylim(bottom=-0.1)
    ax.legend(loc="upper left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds; amounts of text are numbered from 0, the smallest."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "amounts": result.sizes["distinct"],
        "read": int(result.step[-1]) * int(result.batch_size),
        "gap_once": float(checks.gap(result).median()),
        "rise_most": float(checks.rise(result, 0).median()),
        "least_at_best": float(checks.train_loss_at_best(result).min()),
    }
    for number, distinct in enumerate(result.distinct.values):
        mine = result.sel(distinct=distinct)
        name = "once" if number == result.sizes["distinct"] - 1 else str(number)
        found |= {
            f"distinct_{name}": int(distinct),
            f"passes_{name}": float(mine.passes),
            f"train_{name}": float(mine.train_loss.isel(step=-1).median()),
            f"test_{name}": float(mine.test_loss.isel(step=-1).median()),
            f"best_{name}": float(mine.test_loss.min("step").median()),
            f"train_at_best_{name}": float(checks.train_loss_at_best(result).sel(distinct=distinct).median()),
        }
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Loss in nats per character against the number of times each character is read, from once to {n['passes_0']:.0f} times, "
        f"at equally many updates. On the training text it falls from {n['train_once']:.2f} to {n['train_0']:.2f}. On unread "
        f"text it climbs from {n['test_once']:.2f} to {n['test_0']:.2f} at the end, and to {n['best_0']:.2f} at the best update."
    )


CLAIMS = (
    Claim(
        id="reused_text.stays_above",
        says="Read once, the text it was trained on still costs the network more than one and a half nats a character.",
        rows=("S0.4",),
        source="this book; one-epoch training as in Komatsuzaki 2019, arXiv 1906.06669",
        check=checks.stays_above,
        control=Control(
            says="the same text and updates, but the character to name is in the context, so that nothing is uncertain",
            config=replace(BOOK, target="echo"),
            manipulation=checks.no_worse_on_unread,
        ),
    ),
    Claim(
        id="reused_text.no_gap",
        says="Read once, the text it was trained on is at most 0.2 nats a character easier than unread text.",
        rows=("S0.4",),
        source="this book; one-epoch training as in Komatsuzaki 2019, arXiv 1906.06669",
        check=checks.small_gap,
        control=Control(
            says="as many updates on the smallest text",
            change=checks.only_the_smallest,
            manipulation=checks.fits_better,
        ),
    ),
    Claim(
        id="reused_text.hits_and_turns_up",
        says="Reread, one page comes to cost less than 0.1 nats a character, while unread text comes to cost at least one more.",
        rows=("S0.4",),
        source="this book",
        check=checks.hits_and_turns_up,
        control=Control(
            says="the same pages reread as often, but the character to name is in the context",
            config=replace(BOOK, target="echo"),
            manipulation=checks.hits,
        ),
    ),
    Claim(
        id="reused_text.best_short_of_the_points",
        says="At the update with the lowest loss on unread text, every amount of text still costs more than one nat a character.",
        rows=("S0.4",),
        source="this book",
        check=checks.short_of_the_points,
        control=Control(
            says="the same text and updates, but the character to name is in the context",
            config=replace(BOOK, target="echo"),
            manipulation=checks.hits,
        ),
    ),
)
