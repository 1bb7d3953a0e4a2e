"""A language model does not hit its points: on verses it has very likely been trained on, its loss stays far above zero.

SmolLM2-135M-Instruct reads King James verses of famous chapters and of other chapters of the same books, the famous ones also in
another translation, and every passage a second time right after the first. No verse is in two samples. Asked by a post of
J. Hoogland on interpolation ("trained short of hitting every point"); memorized training text is studied by Carlini et al. 2023
(arXiv 2202.07646).
Axes: seed (a sample of passages), text (what is read), threshold (nats), verse; for the examples reading and place.
Deviations: the model's training text is public in kind but was not searched, so "trained on" is an assumption; one model of 135
million parameters, tuned to follow instructions and kept in four bits a weight; passages of a few verses, not whole documents,
without a page's headings and verse numbers; seeds pick from 76 famous passages, so the seeds that set the bounds share some.
"""

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
from heldout.interpolation.likely_passages import (
    FAMOUS,
    Reading,
    available,
    differing,
    drawn,
    example,
    kept_examples,
    read_as_printed,
    read_in_turn,
    text_called,
)
from heldout.interpolation.likely_text_checks import CLAIMS, HIT, LITTLE, NEARER
from heldout.language_model import loaded

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "describe", "loaded", "numbers", "plot", "plot_verses", "run"]

TEXTS = (
    "famous", "ordinary", "famous, reworded", "famous, again", "ordinary, again", "famous, reworded, again", "famous, as printed",
)  # fmt: skip
NAMES = {
    "famous": "famous",
    "ordinary": "other chapters",
    "famous, reworded": "famous, other translation",
    "famous, again": "famous, second reading",
}
COLORS = (style.BLUE, style.ORANGE, style.GREEN, style.PINK)
LINES = ("solid", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
THRESHOLDS = tuple(float(f"{value:.3g}") for value in np.geomspace(1e-2, 20, 34))
EXAMPLES = (
    "John 3:16", "Genesis 1:3", "Psalms 23:4", "Matthew 6:10", "Exodus 20:3", "John 1:1", "Leviticus 14:16", "Nehemiah 7:21",
    "Declaration of Independence", "Moby-Dick",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which verses are read, how many, and how they are laid before the model."""

    books: tuple[str, ...] = tuple(FAMOUS)
    passages: int = 4  # famous ones a seed, and as many ordinary ones
    verses: int = 3  # consecutive verses of one chapter in a passage
    context: int = 1  # of them, the first ones only prepare the model and are not scored
    examples: tuple[str, ...] = EXAMPLES  # verses and quotations kept token by token
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        known = bool(self.books) and set(self.books) <= set(FAMOUS)
        require(known, "books", self.books, f"one or more of {', '.join(FAMOUS)}")
        require(2 <= self.verses <= 6, "verses", self.verses, "from 2 to 6, the length of Psalm 23")
        require(1 <= self.context < self.verses, "context", self.context, f"from 1 to verses={self.verses} - 1")
        require(len(set(self.books)) == len(self.books), "books", self.books, "named once each")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")
        require(self.first_seed >= 0, "first_seed", self.first_seed, "at least 0")
        most = available(self.books, self.verses) // self.num_seeds
        allowed = f"from 1 to {most}, since no verse is read in two of num_seeds={self.num_seeds} samples"
        enough = f"at most {available(self.books, self.verses)}, the number of famous passages"
        require(most >= 1, "num_seeds", self.num_seeds, enough)
        require(1 <= self.passages <= most, "passages", self.passages, allowed)
        require(len(self.examples) >= 1, "examples", self.examples, "at least one verse")


SMOKE = Config(books=("Psalms",), passages=1, verses=2, examples=("John 11:35", "Moby-Dick"), num_seeds=2, first_seed=0)
BOOK = Config()
PAPER = Config(passages=7, num_seeds=6)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Read every sample of passages, then the examples.

    Returns:
        loss (nats a token), hit_share (tokens below HIT nats), first_choice_share (tokens), reproduced_share (verses all of
        whose tokens are the model's first choice), tokens, and differing_tokens and differing_loss (those that do not stand in
        the other translation; NaN where nothing is compared) (seed, text); cumulative (seed, text, threshold), the share of
        tokens below each threshold; verse_loss (seed, text, verse); and the examples token by token.
    """
    for name in config.examples:
        text_called(name, config.context)  # refuses a name that there is not, before anything is read
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
            "differing_tokens": variable(by_text, columns["differing_tokens"], "tokens not in the other translation"),
            "differing_loss": variable(
                by_text, columns["differing_loss"], "mean loss of tokens not in the other translation", "nats a token"
            ),
            "cumulative": variable((*by_text, "threshold"), columns["cumulative"], f"{share} below the threshold"),
            "verse_loss": variable((*by_text, "verse"), columns["verse_loss"], "mean loss of a verse", "nats a token"),
            **kept_examples(kept),
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


def sampled(config: Config, seed: int, total: int) -> list[int]:
    """Which of ``total`` passages a seed reads: the next ones in their order, so that seeds in a row share none."""
    return [(seed * config.passages + each) % total for each in range(config.passages)]


def _sample(
    config: Config, seed: int, model: language_model.LanguageModel, tokenizer: Tokenizer
) -> dict[str, np.ndarray]:
    """What the model makes of one seed's passages: for every text one row of each measure."""
    pairs = drawn(config.books, config.verses, numpy_generator("likely texts", 0))
    readings: dict[str, list[Reading]] = {text: [] for text in TEXTS}
    masks: dict[str, list[np.ndarray]] = {"famous": [], "famous, reworded": []}
    for famous, ordinary in (pairs[place] for place in sampled(config, seed, len(pairs))):
        king, american = [verse.kjv for verse in famous], [verse.asv for verse in famous]
        first, again, after = read_in_turn(model, tokenizer, [king, king, american], context=config.context)
        readings["famous"].append(first)
        readings["famous, again"].append(again)
        readings["famous, reworded, again"].append(after)
        readings["famous, reworded"] += read_in_turn(model, tokenizer, [american], context=config.context)
        readings["famous, as printed"].append(read_as_printed(model, tokenizer, famous, context=config.context))
        both = read_in_turn(model, tokenizer, [[verse.kjv for verse in ordinary]] * 2, context=config.context)
        for text, reading in zip(("ordinary", "ordinary, again"), both, strict=True):
            readings[text].append(reading)
        for verse in famous[config.context :]:
            for text, mask in zip(masks, differing(tokenizer, verse.kjv, verse.asv), strict=True):
                masks[text].append(mask)
    rows = [measured(readings[text], masks.get(text.removesuffix(", again"))) for text in TEXTS]
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def measured(readings: Sequence[Reading], masks: Sequence[np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """The measures of :func:`run` over some passages of one text; ``masks``, one a verse, are true where wordings differ."""
    losses = [verse for reading in readings for verse in reading.loss]
    ranks = [verse for reading in readings for verse in reading.rank]
    loss, rank = np.concatenate(losses).astype(np.float64), np.concatenate(ranks)
    apart = loss[np.concatenate(masks)] if masks else np.empty(0)
    return {
        "loss": np.asarray(loss.mean()),
        "differing_tokens": np.asarray(apart.size if masks else np.nan, dtype=float),
        "differing_loss": np.asarray(apart.mean() if apart.size else np.nan),
        "hit": np.asarray((loss < HIT).mean()),
        "first_choice": np.asarray((rank == 0).mean()),
        "reproduced": np.asarray(np.mean([bool((verse == 0).all()) for verse in ranks])),
        "tokens": np.asarray(loss.size),
        "cumulative": np.mean(loss[:, None] < np.array(THRESHOLDS), axis=0),
        "verse_loss": np.array([verse.mean(dtype=np.float64) for verse in losses]),
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
    """What the page quotes: medians over samples, as in the table of claims, and the ends of their range."""
    found: dict[str, float | int | str] = {
        "samples": result.sizes["seed"],
        "verses": result.sizes["seed"] * result.sizes["verse"],
        "tokens": int(result.tokens.sel(text="famous").sum()),
        "hit_below": HIT,
        "nearer_by": NEARER,
    }
    for text in TEXTS:
        key, part = text.replace(", ", "_").replace(" ", "_"), result.sel(text=text)
        found |= {
            **_spread(key, part.loss),
            f"{key}_hit": float(part.hit_share.median()),
            f"{key}_first": float(part.first_choice_share.median()),
            f"{key}_recited": round(float(part.reproduced_share.sum()) * result.sizes["verse"]),
            f"{key}_best_verse": float(part.verse_loss.min()),
        }
    famous, other = result.sel(text="famous"), result.sel(text="famous, reworded")
    gap = result.loss.sel(text="ordinary") - famous.loss
    found |= {**_spread("gap", gap), "nearer": int((gap > 0).sum()), "clearly_nearer": int((gap > NEARER).sum())}
    worth = other.differing_loss - famous.differing_loss
    found |= {**_spread("worth", worth), "little": LITTLE, "worth_little": int((worth < LITTLE).sum())}
    known = result.differing_loss.sel(text=["famous, reworded, again", "famous, again"])
    found |= _spread("known_worth", known.isel(text=0) - known.isel(text=1))
    found["differing"] = int(famous.differing_tokens.sum())
    found["shared"] = 1 - float(famous.differing_tokens.sum() / famous.tokens.sum())
    if "John 3:16" in result.example:
        loss = -np.log(result.example_probability.sel(example="John 3:16", reading="first").dropna("place").values)
        carried = np.cumsum(np.sort(loss)[::-1]) / loss.sum()
        found |= {"john_tokens": loss.size, "john_few": int(np.searchsorted(carried, 0.5)) + 1}
    if "Declaration of Independence" in result.example:
        known = result.sel(example="Declaration of Independence", reading="first").dropna(
            "place", subset=["example_rank"]
        )
        found["declaration_hit"] = float((known.example_probability > np.exp(-HIT)).mean())
        found["declaration_first"] = float((known.example_rank == 0).mean())
    return found


def _spread(key: str, values: xr.DataArray) -> dict[str, float]:
    return {key: float(values.median()), f"{key}_low": float(values.min()), f"{key}_high": float(values.max())}


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Share of tokens below a loss, on a log axis from a hundredth of a nat to twenty nats. In the median sample "
        f"{n['famous_hit']:.1%} of the tokens of famous verses, {n['ordinary_hit']:.1%} of other chapters and "
        f"{n['famous_reworded_hit']:.1%} in another translation lie below {HIT:g} nats. "
        f"At the second reading {n['famous_again_hit']:.0%} lie there, and the line runs far above the others."
    )
