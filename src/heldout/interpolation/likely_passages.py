"""Passages for the experiment on likely texts: which verses, how they are laid before the model, and what it makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer

from heldout.data import bible
from heldout.data.bible import Verse
from heldout.language_model import START, LanguageModel, Scores, score

# The best-known chapters of five books. "Ordinary" is every other chapter of the same books.
FAMOUS = {"Genesis": (1,), "Exodus": (20,), "Psalms": (23,), "Matthew": (5, 6), "John": (1, 3)}
# Two texts that are not verses: of seven much-quoted beginnings tried, the one the model knows best and the one it knows least.
QUOTATIONS = {
    "Declaration of Independence": (
        "We hold these truths to be self-evident, that all men are created equal, that they are endowed by their Creator "
        "with certain unalienable Rights, that among these are Life, Liberty and the pursuit of Happiness."
    ),
    "Moby-Dick": (
        "Call me Ishmael. Some years ago—never mind how long precisely—having little or no money in my purse, and nothing "
        "particular to interest me on shore, I thought I would sail about a little and see the watery part of the world."
    ),
}
CHOICES = 3  # of the model's first choices, how many an example keeps


def starts(book: str, length: int, *, famous: bool) -> list[int]:
    """Where a passage of ``length`` verses can begin, as positions in :func:`heldout.data.bible.verses`.

    A passage stays within one chapter.
    """
    verses = bible.verses()
    ends = [(verse.book, verse.chapter) for verse in verses[length - 1 :]]
    return [
        place
        for place, (verse, end) in enumerate(zip(verses, ends, strict=False))
        if end == (verse.book, verse.chapter) and verse.book == book and (verse.chapter in FAMOUS[book]) == famous
    ]


def drawn(
    books: Sequence[str], length: int, count: int, random: np.random.Generator
) -> list[tuple[Sequence[Verse], Sequence[Verse]]]:
    """``count`` famous passages of every book, each with an ordinary one of the same book, without repetition."""
    verses = bible.verses()
    pairs = []
    for book in books:
        columns = []
        for famous in (True, False):
            places = random.choice(starts(book, length, famous=famous), count, replace=False)
            columns.append([verses[place : place + length] for place in places])
        pairs += list(zip(*columns, strict=True))
    return pairs


@dataclass(frozen=True)
class Reading:
    """What the model made of the scored verses of one passage: one array a verse, one number a token."""

    loss: list[np.ndarray]  # nats
    rank: list[np.ndarray]  # 0: the model's first choice


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Tokens of a verse as it stands in running text, after a space."""
    return list(tokenizer.encode(f" {text}").ids)


def read(
    model: LanguageModel, tokenizer: Tokenizer, texts: Sequence[str], *, times: int, context: int = 1
) -> list[Reading]:
    """Lay a passage before the model ``times`` times in a row, and score all its verses but the first ``context``.

    What comes first is not changed by what follows, so the first reading is the one of a passage that stands alone.
    """
    pieces = [encode(tokenizer, text) for text in texts]
    found = _scored(model, tokenizer, pieces * times, top=1)
    loss, rank = found.loss[0].cpu().numpy(), found.rank[0].cpu().numpy()
    edges = np.cumsum([len(piece) for piece in pieces * times])[:-1]
    losses, ranks = np.split(loss, edges), np.split(rank, edges)
    readings = []
    for first in range(0, len(losses), len(texts)):
        kept = slice(first + context, first + len(texts))
        readings.append(Reading(losses[kept], ranks[kept]))
    return readings


def _scored(model: LanguageModel, tokenizer: Tokenizer, pieces: list[list[int]], *, top: int) -> Scores:
    tokens = [tokenizer.token_to_id(START), *(token for piece in pieces for token in piece)]
    device = next(model.parameters()).device
    with torch.no_grad():
        return score(model, torch.tensor([tokens], device=device), top=top)


@dataclass(frozen=True)
class Example:
    """One verse or quotation token by token, read for the first and for the second time."""

    tokens: list[str]
    loss: np.ndarray  # (2, tokens), nats
    rank: np.ndarray  # (2, tokens)
    best: list[list[list[str]]]  # (2, tokens, CHOICES)
    best_probability: np.ndarray  # (2, tokens, CHOICES)


def example(model: LanguageModel, tokenizer: Tokenizer, name: str, context: int) -> Example:
    """A verse after up to ``context`` verses of its chapter, or a quotation alone, all of it laid before the model twice.

    Raises:
        ValueError: there is no verse and no quotation of this name.
    """
    pieces = [encode(tokenizer, text) for text in _texts(name, context)]
    found = _scored(model, tokenizer, pieces * 2, top=CHOICES)
    length, total = len(pieces[-1]), sum(map(len, pieces))
    kept = [slice(reading * total - length, reading * total) for reading in (1, 2)]
    return Example(
        tokens=[tokenizer.decode([token]) for token in pieces[-1]],
        loss=np.stack([found.loss[0, each].cpu().numpy() for each in kept]),
        rank=np.stack([found.rank[0, each].cpu().numpy() for each in kept]),
        best=[[[tokenizer.decode([token]) for token in row] for row in found.best[0, each].tolist()] for each in kept],
        best_probability=np.stack([found.best_probability[0, each].cpu().numpy() for each in kept]),
    )


def _texts(name: str, context: int) -> list[str]:
    """The text called ``name``, and before it what prepares the model."""
    if name in QUOTATIONS:
        return [QUOTATIONS[name]]
    verses = bible.verses()
    place = {verse.name: position for position, verse in enumerate(verses)}.get(name)
    if place is None:
        known = ", ".join(QUOTATIONS)
        raise ValueError(f"examples={name!r}: must be verses of the Bible, such as 'John 3:16', or of {known}")
    chapter = verses[place].chapter
    return [each.kjv for each in verses[max(0, place - context) : place] if each.chapter == chapter] + [
        verses[place].kjv
    ]
