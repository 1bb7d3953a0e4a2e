"""The mean loss of small language models falls smoothly with their size; single places of a text fall at once, slowly, or rise.

A family of decoders of characters, of several sizes and with equal data and updates, is measured on every character of fixed
unread passages, at every size and along training, beside counts of n characters in a row. Tokens on which a model family
jumps are called monogenic by Michaud et al. 2023 (arXiv 2303.13506, section 4), who show some for the Pythia models.

Axes: seed, width (of the stream), step (updates made), place (a character to be predicted), passage, order (characters in a
row that are counted, the predicted one included), top (first choices, best first).
Deviations: characters of one book, not word pieces of the web; two layers; the sizes span two powers of ten, not three; the
learning rate falls with the width, and every place is measured with several seeds a size, where the paper's figures use one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control
from heldout.data import moby_dick
from heldout.devices import numpy_generator, onto
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.quanta import small_language_model_checks as checks
from heldout.quanta.small_decoders import Batches, Decoders, first_choices, short_losses, token_losses, train
from heldout.quanta.small_language_model_numbers import numbers
from heldout.quanta.small_language_text import book, ngram_losses, passages

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "describe", "numbers", "plot", "run"]

TOP = 3
SHOWN = 150  # single places drawn behind the mean
COUNTED = ("one", "two", "three")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the models, their training, and the passages."""

    widths: tuple[int, ...] = (8, 12, 20, 32)
    layers: int = 2
    heads: int = 2
    context: int = 64  # characters, of a training text and of a passage
    batch_size: int = 8
    steps: int = 256
    learning_rate: float = 0.02  # divided by the root of the width
    shuffled: bool = False  # the book's characters in random order
    num_passages: int = 24
    short_context: int = 16  # characters before a place, where the models are measured without the earlier ones
    orders: int = 5  # the most characters in a row that are counted
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.heads >= 1, "heads", self.heads, "at least 1")
        even = all(width % (2 * self.heads) == 0 and width > 0 for width in self.widths)
        require(even, "widths", self.widths, f"multiples of twice heads={self.heads}")
        increasing = list(self.widths) == sorted(set(self.widths)) and len(self.widths) >= 3
        require(increasing, "widths", self.widths, "at least three, increasing")
        require(self.layers >= 1, "layers", self.layers, "at least 1")
        require(self.context >= 8, "context", self.context, "at least 8")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        require(self.steps >= 2, "steps", self.steps, "at least 2")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(2 <= self.num_passages <= 200, "num_passages", self.num_passages, "from 2 to 200")
        within = f"from 1 to below context={self.context}"
        require(1 <= self.short_context < self.context, "short_context", self.short_context, within)
        require(2 <= self.orders <= 8, "orders", self.orders, "from 2 to 8")
        require(self.num_seeds >= 2, "num_seeds", self.num_seeds, "at least 2, as seeds are compared")

    @property
    def probe_steps(self) -> list[int]:
        """No update, and the last one with its halves: neighbors lie a factor of two apart."""
        halves = [self.steps // 2**power for power in range(self.steps.bit_length())]
        return [0, *sorted(set(halves))]


SMOKE = Config(
    widths=(4, 8, 16), context=24, batch_size=4, steps=24, num_passages=6, short_context=8, orders=4, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(widths=(8, 12, 20, 32, 52, 80), context=128, batch_size=16, steps=1024, num_passages=15)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every size, all seeds of a size as one program, on the same batches for all sizes of a seed.

    Returns:
        token_loss (seed, width, step, place) in nats, kept to 11 binary digits; short_loss (seed, width, place), that of the
        trained models without what lies further back; ngram_loss (order, place) in nats; parameters (width); character
        (passage, position), of which the first is only read; and of the first seed's trained models rank (width, place), 0
        for a first choice, best (width, place, top) and best_probability.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    read, _ = book(shuffled=config.shuffled)
    asked = passages(config.num_passages, config.context, shuffled=config.shuffled)
    vocabulary = len(moby_dick.alphabet())
    losses, short, sizes, choices = [], [], [], []
    for number, width in enumerate(config.widths):
        models = Decoders(seeds, vocabulary, width=width, layers=config.layers, heads=config.heads).to(device)
        found = train(
            models, _batches(config, seeds, read, device), steps=config.steps,
            learning_rate=config.learning_rate / width**0.5, probe=_probe(asked, len(seeds), device),
            probe_steps=config.probe_steps, progress=_advance(progress, number, config),
        )  # fmt: skip
        losses.append(np.stack(found))
        short.append(short_losses(models, asked.to(device), config.short_context))
        sizes.append(models.size)
        choices.append(first_choices(models, asked.to(device), TOP))
    told = np.moveaxis(np.stack(losses), 2, 0)  # (width, step, seed, place) -> (seed, width, step, place)
    near = np.moveaxis(np.stack(short), 1, 0)
    grams = ngram_losses(read.numpy(), asked.numpy(), config.orders, vocabulary)
    rank, best, probability = (np.stack(each) for each in zip(*choices, strict=True))
    return xr.Dataset(
        {
            "token_loss": variable(("seed", "width", "step", "place"), _kept(told), "loss at a place", "nats"),
            "short_loss": variable(("seed", "width", "place"), _kept(near), "loss with a short context", "nats"),
            "ngram_loss": variable(("order", "place"), grams, "loss under counts", "nats"),
            "parameters": variable("width", sizes, "parameters"),
            "character": variable(("passage", "position"), asked.numpy().astype(np.int16), "place in the alphabet"),
            "rank": variable(("width", "place"), rank.astype(np.int16), "rank of the character, first seed"),
            "best": variable(("width", "place", "top"), best.astype(np.int16), "first choices, first seed"),
            "best_probability": variable(
                ("width", "place", "top"), _kept(probability), "their probabilities, first seed"
            ),
        },
        {
            "seed": seeds,
            "width": variable("width", list(config.widths), "width of the stream", "numbers"),
            "step": variable("step", config.probe_steps, "updates made", "updates"),
            "order": variable("order", list(range(1, config.orders + 1)), "characters in a row", "characters"),
        },
        {"characters_read": config.steps * config.batch_size * config.context, "distinct": len(read)},
    )


def _batches(config: Config, seeds: list[int], read: Int[Tensor, " characters"], device: torch.device) -> Batches:
    """Stretches of the text at random, each seed's from its own generator; called in order of the updates."""
    draws = [numpy_generator("small language model's batches", seed) for seed in seeds]
    text, within = read.to(device), torch.arange(config.context + 1, device=device)

    def batch(_step: int) -> Int[Tensor, "member batch length"]:
        starts = [draw.integers(len(read) - config.context, size=config.batch_size) for draw in draws]
        return text[onto(torch.from_numpy(np.stack(starts)), device)[:, :, None] + within]

    return batch


def _probe(
    asked: Int[Tensor, "passage length"], members: int, device: torch.device
) -> Callable[[Decoders], np.ndarray]:
    """Losses at all places (member, place)."""
    tokens = asked.to(device).expand(members, *asked.shape)
    return lambda models: token_losses(models, tokens).flatten(1).cpu().numpy()


def _advance(progress: Progress, before: int, config: Config) -> Callable[[int], None]:
    total = len(config.widths) * config.steps
    return lambda done: progress(before * config.steps + done, total)


def _kept(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The values to 11 binary digits, an error of at most 1 in 4,096, so that a record stays small."""
    mantissa, exponent = np.frexp(values.astype(np.float32))
    return np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent).astype(np.float32)


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Mean loss against parameters with all seeds, some single places behind it, and the mean losses of counts."""
    ax = style.axes(ax)
    size, curves = result.parameters.values, checks.by_size(result)
    places = np.linspace(0, curves.shape[2] - 1, SHOWN).astype(int)
    ax.plot(size, curves.mean(0)[:, places], color=style.MUTED, alpha=0.25, lw=0.7)
    style.band(ax, size, curves.mean(2), color=style.BLUE, interval=(0.0, 1.0), marker="o", linewidth=2.5)
    labels = {
        "mean of the models": (float(np.median(curves[:, -1].mean(1))) - 0.12, style.BLUE)
    }  # clear of the next label
    for name, row in zip(COUNTED, result.ngram_loss.values, strict=False):
        labels[f"counts of {name}"] = (float(row.mean()), style.VERMILION)
        ax.axhline(row.mean(), color=style.VERMILION, lw=1, ls=(0, (4, 2)))
    for name, (height, color) in labels.items():
        style.label_end(ax, float(size[-1] * 1.15), height, name, color=color)
    ax.set(xscale="log", xlabel="parameters (log scale)", ylabel="loss after the last update, nats", ylim=(0, 6))
    ax.set_xlim(size[0] / 1.15, size[-1] * 1.15)
    return ax


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Loss in nats against parameters, on a log axis. The mean over places falls evenly from {n['loss_small']:.2f} at "
        f"{n['parameters_small']:,} parameters to {n['loss_large']:.2f} at {n['parameters_large']:,}, with little spread between "
        "seeds; thin lines of single places behind it fall, stay, or rise, and many cross."
    )


_SHUFFLED = Control(
    says="the same models on the book's characters in random order, where nothing but their frequencies can be learned",
    config=replace(BOOK, shuffled=True, widths=(8, 12, 32), steps=128),
    manipulation=checks.reaches_counts,
)
_MIXED = Control(
    says="each seed's curves handed to the places at random, so that nothing belongs to a place",
    change=checks.mixed_places,
    manipulation=checks.mean_as_low,
)

CLAIMS = (
    Claim(
        id="small_language_models.falls_with_size",
        says="With every larger size the mean loss over places falls, by more than 0.02 nats.",
        rows=("S3.3",),
        source="Michaud et al. 2023, arXiv 2303.13506, section 4, for the Pythia models",
        check=checks.falls_with_size,
        control=_SHUFFLED,
    ),
    Claim(
        id="small_language_models.same_futures",
        says="Places of equal loss at the smallest size that part, both in the other seeds' mean, part the same way in a new one "
        "(80 % of pairs).",
        rows=("S3.3",),
        source="this book",
        check=checks.same_futures,
        control=_MIXED,
    ),
    Claim(
        id="small_language_models.same_rises",
        says="A place that gets worse with size by 0.25 nats in the other seeds' mean gets worse at all in a new one "
        "(half of them).",
        rows=("S3.3",),
        source="this book",
        check=checks.same_rises,
        control=_MIXED,
    ),
    Claim(
        id="small_language_models.longer_counts",
        says="Larger models are more like counts of three characters, place by place, and less like counts of one (by 0.1).",
        rows=("S3.3",),
        source="this book",
        check=checks.longer_counts,
        control=_SHUFFLED,
    ),
    Claim(
        id="small_language_models.looks_sudden",
        says="In a single family at least half of the falling places fall twice as sharply as the mean.",
        rows=("S3.3",),
        source="this book",
        check=checks.looks_sudden,
        control=Control(
            says="every seed's curve replaced by the mean over seeds",
            change=checks.mean_over_seeds,
            manipulation=checks.mean_as_low,
        ),
    ),
    Claim(
        id="small_language_models.shares_sharpness",
        says="A place that falls sharply with one seed does so with another: rank correlation above 0.3.",
        rows=("S3.3",),
        source="this book",
        check=checks.shares_sharpness,
        control=_MIXED,
        expected="not reproduced",
    ),
    Claim(
        id="small_language_models.shares_times",
        says="When the largest model has made half of a place's fall is alike in two seeds: rank correlation above 0.25.",
        rows=("S3.3",),
        source="this book",
        check=checks.shares_times,
        control=_MIXED,
    ),
    Claim(
        id="small_language_models.copies",
        says="The largest model gains 0.1 nats more from far back in repeated words than in later letters of other words.",
        rows=("S3.3",),
        source="this book",
        check=checks.copies,
        control=Control(
            says="the gains from far back handed to the places at random",
            change=checks.mixed_back,
            manipulation=checks.worth_as_much,
        ),
        expected="not reproduced",
    ),
)
