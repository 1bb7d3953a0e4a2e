"""A language model does not hit its points: on verses it has very likely been trained on, its loss stays far above zero.

SmolLM2-135M-Instruct reads King James verses of famous chapters and of other chapters of the same books, the famous ones also in
another translation, and every passage a second time right after the first. Asked by a post of J. Hoogland on interpolation
("trained short of hitting every point"); memorized training text is studied by Carlini et al. 2023 (arXiv 2202.07646).
Axes: seed (a sample of passages), text (what is read), threshold (nats), verse; for the examples reading and place.
Deviations: the model's training text is public in kind but was not searched, so "trained on" is an assumption; one model of 135
million parameters, tuned to follow instructions and kept in four bits a weight; passages of a few verses, not whole documents.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from tokenizers import Tokenizer

from heldout import language_model
from heldout.devices import numpy_generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.interpolation.likely_passages import CHOICES, FAMOUS, Example, Reading, drawn, example, read
from heldout.interpolation.likely_text_checks import CLAIMS, HIT

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "describe", "numbers", "plot", "plot_verses", "run"]

TEXTS = ("famous", "ordinary", "famous, reworded", "famous, again", "ordinary, again")
NAMES = {
    "famous": "famous",
    "ordinary": "other chapters",
    "famous, reworded": "famous, other translation",
    "famous, again": "famous, second reading",
}
COLORS = (style.BLUE, style.ORANGE, style.GREEN, style.PINK)
LINES = ("solid", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
THRESHOLDS = tuple(float(f"{value:.3g}") for value in np.geomspace(1e-3, 20, 44))
EXAMPLES = (
    "John 3:16", "Genesis 1:3", "Psalms 23:4", "Matthew 6:10", "Exodus 20:3", "John 1:1", "Leviticus 14:16", "Nehemiah 7:21",
    "Declaration of Independence", "Moby-Dick",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which verses are read, how many, and how they are laid before the model."""

    books: tuple[str, ...] = tuple(FAMOUS)
    passages: int = 1  # famous ones a book and seed, and as many ordinary ones
    verses: int = 3  # consecutive verses of one chapter in a passage
    context: int = 1  # of them, the first ones only prepare the model and are not scored
    examples: tuple[str, ...] = EXAMPLES  # verses and quotations kept token by token
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        known = bool(self.books) and set(self.books) <= set(FAMOUS)
        require(known, "books", self.books, f"one or more of {', '.join(FAMOUS)}")
        require(1 <= self.context < self.verses, "context", self.context, f"from 1 to verses={self.verses} - 1")
        require(self.verses <= 6, "verses", self.verses, "at most 6, the length of Psalm 23")
        most = 7 - self.verses if "Psalms" in self.books else 20
        require(1 <= self.passages <= most, "passages", self.passages, f"from 1 to {most}")
        require(len(self.examples) >= 1, "examples", self.examples, "at least one verse")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(books=("Psalms",), verses=2, examples=("John 11:35", "Moby-Dick"), num_seeds=2, first_seed=0)
BOOK = Config()
PAPER = Config(passages=4, num_seeds=6)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Read every sample of passages, then the examples.

    Returns:
        loss (nats a token), hit_share (tokens below HIT nats), first_choice_share (tokens), reproduced_share (verses all of
        whose tokens are the model's first choice) and tokens (seed, text); cumulative (seed, text, threshold), the share of
        tokens below each threshold; verse_loss (seed, text, verse); and the examples token by token.
    """
    model, tokenizer = loaded(device)
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    steps, found = config.num_seeds + len(config.examples), []
    for done, seed in enumerate(seeds):
        found.append(_sample(config, seed, model, tokenizer))
        progress(done + 1, steps)
    kept = []
    for done, name in enumerate(config.examples):
        kept.append(example(model, tokenizer, name, config.context))
        progress(config.num_seeds + done + 1, steps)
    columns = {key: np.stack([sample[key] for sample in found]) for key in found[0]}
    by_text, share = ("seed", "text"), "share of tokens"
    return xr.Dataset(
        {
            "loss": variable(by_text, columns["loss"], "mean loss", "nats a token"),
            "hit_share": variable(by_text, columns["hit"], f"{share} with a loss below {HIT:g} nats"),
            "first_choice_share": variable(by_text, columns["first_choice"], f"{share} that are the first choice"),
            "reproduced_share": variable(by_text, columns["reproduced"], "share of verses reproduced token by token"),
            "tokens": variable(by_text, columns["tokens"], "scored tokens"),
            "cumulative": variable((*by_text, "threshold"), columns["cumulative"], f"{share} below the threshold"),
            "verse_loss": variable((*by_text, "verse"), columns["verse_loss"], "mean loss of a verse", "nats a token"),
            **_kept(kept),
        },
        {
            "seed": seeds,
            "text": list(TEXTS),
            "threshold": variable("threshold", THRESHOLDS, "loss of a token", "nats"),
            "example": list(config.examples),
            "reading": ["first", "second"],
        },
        {"parameters": sum(weight.numel() for weight in model.parameters())},
    )


@functools.lru_cache(maxsize=1)
def loaded(device: torch.device) -> tuple[language_model.LanguageModel, Tokenizer]:
    """The model, read from disk once a process; its weights are not to be changed.

    Raises:
        DataError: it was not fetched.
    """
    return language_model.load(device)


def _sample(
    config: Config, seed: int, model: language_model.LanguageModel, tokenizer: Tokenizer
) -> dict[str, np.ndarray]:
    """What the model makes of one seed's passages: for every text one row of each measure."""
    random = numpy_generator("likely texts", seed)
    readings: dict[str, list[Reading]] = {text: [] for text in TEXTS}
    for famous, ordinary in drawn(config.books, config.verses, config.passages, random):
        for name, verses in (("famous", famous), ("ordinary", ordinary)):
            texts = [verse.kjv for verse in verses]
            first, second = read(model, tokenizer, texts, times=2, context=config.context)
            readings[name].append(first)
            readings[f"{name}, again"].append(second)
        texts = [verse.asv for verse in famous]
        readings["famous, reworded"] += read(model, tokenizer, texts, times=1, context=config.context)
    rows = [measured(readings[text]) for text in TEXTS]
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def measured(readings: Sequence[Reading]) -> dict[str, np.ndarray]:
    """The measures of :func:`run` over some passages of one text."""
    losses = [verse for reading in readings for verse in reading.loss]
    ranks = [verse for reading in readings for verse in reading.rank]
    loss, rank = np.concatenate(losses).astype(np.float64), np.concatenate(ranks)
    return {
        "loss": np.asarray(loss.mean()),
        "hit": np.asarray((loss < HIT).mean()),
        "first_choice": np.asarray((rank == 0).mean()),
        "reproduced": np.asarray(np.mean([bool((verse == 0).all()) for verse in ranks])),
        "tokens": np.asarray(loss.size),
        "cumulative": np.mean(loss[:, None] < np.array(THRESHOLDS), axis=0),
        "verse_loss": np.array([verse.mean(dtype=np.float64) for verse in losses]),
    }


def _kept(examples: Sequence[Example]) -> dict[str, object]:
    """The examples as variables; rows shorter than the longest end in empty texts and NaN."""
    length = max(len(each.tokens) for each in examples)

    def filled(rows: Sequence[np.ndarray], axis: int) -> np.ndarray:
        empty = "" if rows[0].dtype.kind == "U" else np.nan
        gaps = [[(0, length - row.shape[axis] if axis == place else 0) for place in range(row.ndim)] for row in rows]
        wide = rows if empty == "" else [row.astype(np.float64) for row in rows]
        return np.stack([np.pad(row, gap, constant_values=empty) for row, gap in zip(wide, gaps, strict=True)])

    by_place, by_choice = ("example", "reading", "place"), ("example", "reading", "place", "choice")
    tokens = filled([np.array(each.tokens) for each in examples], 0)
    best = filled([np.array(each.best) for each in examples], 1)
    probability = filled([each.best_probability for each in examples], 1)
    assert best.shape[-1] == CHOICES
    return {
        "example_token": variable(("example", "place"), tokens, "token of an example"),
        "example_loss": variable(by_place, filled([each.loss for each in examples], 1), "loss of the token", "nats"),
        "example_rank": variable(
            by_place, filled([each.rank for each in examples], 1), "choices preferred to the token"
        ),
        "example_best": variable(by_choice, best, "the model's first choices"),
        "example_probability": variable(by_choice, probability, "probability of the first choices"),
    }


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Share of tokens below a loss, one line a text, with the band of all samples."""
    ax = style.axes(ax)
    for (text, label), color, line in zip(NAMES.items(), COLORS, LINES, strict=True):
        values = 100 * result["cumulative"].sel(text=text).values
        style.band(ax, result.threshold.values, values, color=color, label=label, interval=(0, 1), linestyle=line)
    style.mark_threshold(ax, HIT, "hit")
    ax.set(
        xscale="log", ylim=(0, 100), xlabel="loss of a token in nats (log scale)", ylabel="tokens below that loss (%)"
    )
    ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=2)
    return ax


def plot_verses(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Mean loss of every verse as a dot, one row a text, and the mean of each sample as a stroke."""
    ax = style.axes(ax)
    for row, (text, color) in enumerate(zip(NAMES, COLORS, strict=True)):
        part = result.sel(text=text)
        verses = part.verse_loss.values.ravel()
        spread = 0.3 * np.sin(np.arange(verses.size) * 2.399963)  # keeps dots of a row apart
        ax.plot(verses, row + spread, "o", color=color, alpha=0.35, markersize=4, markeredgewidth=0)
        ax.plot(
            part.loss.values, np.full(part.sizes["seed"], row), "|", color=style.INK, markersize=22, markeredgewidth=1.6
        )
    ax.set_yticks(range(len(NAMES)), [name.replace(", ", ",\n") for name in NAMES.values()])
    ax.invert_yaxis()
    ax.set(xlim=(0, None), xlabel="mean loss in nats a token", ylabel="what is read")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: means over samples, and the ends of their range."""
    found: dict[str, float | int | str] = {
        "samples": result.sizes["seed"],
        "verses": result.sizes["seed"] * result.sizes["verse"],
        "tokens": int(result.tokens.sel(text="famous").sum()),
        "hit_below": HIT,
    }
    for text in TEXTS:
        key, part = text.replace(", ", "_"), result.sel(text=text)
        found |= {
            key: float(part.loss.mean()),
            f"{key}_low": float(part.loss.min()),
            f"{key}_high": float(part.loss.max()),
            f"{key}_hit": float(part.hit_share.mean()),
            f"{key}_first": float(part.first_choice_share.mean()),
            f"{key}_recited": round(float(part.reproduced_share.sum()) * result.sizes["verse"]),
            f"{key}_best_verse": float(part.verse_loss.min()),
        }
    gap = (result.loss.sel(text="ordinary") - result.loss.sel(text="famous")).values
    worth = (result.loss.sel(text="famous, reworded") - result.loss.sel(text="famous")).values
    found |= {"gap": float(gap.mean()), "gap_low": float(gap.min()), "gap_high": float(gap.max())}
    found |= {"nearer": int((gap > 0).sum()), "worth": float(worth.mean())}
    if "Declaration of Independence" in result.example:
        known = result.sel(example="Declaration of Independence", reading="first").dropna(
            "place", subset=["example_loss"]
        )
        found["declaration_hit"] = float((known.example_loss < HIT).mean())
        found["declaration_first"] = float((known.example_rank == 0).mean())
    return found | {"worth_low": float(worth.min()), "worth_high": float(worth.max())}


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Share of tokens below a loss, on a log axis from a thousandth of a nat to twenty nats. Below {HIT:g} nats lie "
        f"{n['famous_hit']:.0%} of the tokens of famous verses, {n['ordinary_hit']:.0%} of other chapters and "
        f"{n['famous_reworded_hit']:.0%} in another translation; the first and the third line nearly coincide. At the second "
        f"reading {n['famous_again_hit']:.0%} lie there, and the line runs far above the others."
    )
