"""Passages for the experiment on likely texts: which verses, how they are laid before the model, and what it makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
import torch
from tokenizers import Tokenizer

from heldout.data import bible
from heldout.data.bible import Verse
from heldout.experiment import variable
from heldout.language_model import START, LanguageModel, Scores, score

# The best-known chapters of five books, each with its number of verses. "Ordinary" is every other chapter of the same books.
FAMOUS = {"Genesis": {1: 31}, "Exodus": {20: 26}, "Psalms": {23: 6}, "Matthew": {5: 48, 6: 34}, "John": {1: 51, 3: 36}}
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
    """Where the passages of ``length`` verses begin that lie end to end in every chapter, as positions in the list of verses.

    No two of them share a verse, and each stays within one chapter; what is left over at a chapter's end is in none.
    """
    verses = bible.verses()
    ends = [(verse.book, verse.chapter) for verse in verses[length - 1 :]]
    return [
        place
        for place, (verse, end) in enumerate(zip(verses, ends, strict=False))
        if end == (verse.book, verse.chapter)
        and verse.book == book
        and (verse.number - 1) % length == 0
        and (verse.chapter in FAMOUS[book]) == famous
    ]


def available(books: Sequence[str], length: int) -> int:
    """How many famous passages there are."""
    return sum(verses // length for book in books for verses in FAMOUS[book].values())


def drawn(
    books: Sequence[str], length: int, random: np.random.Generator
) -> list[tuple[Sequence[Verse], Sequence[Verse]]]:
    """All famous passages of the books in random order, each with an ordinary one of the same book; none occurs twice."""
    verses, pairs = bible.verses(), []
    for book in books:
        famous = starts(book, length, famous=True)
        ordinary = random.choice(starts(book, length, famous=False), len(famous), replace=False)
        for both in zip(famous, ordinary, strict=True):
            first, second = (verses[place : place + length] for place in both)
            pairs.append((first, second))
    return [pairs[place] for place in random.permutation(len(pairs))]


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
    return read_in_turn(model, tokenizer, [texts] * times, context=context)


def read_in_turn(
    model: LanguageModel, tokenizer: Tokenizer, passages: Sequence[Sequence[str]], *, context: int = 1
) -> list[Reading]:
    """Lay passages before the model one after the other, and score all verses of each but the first ``context``."""
    pieces = [[encode(tokenizer, text) for text in texts] for texts in passages]
    whole = _split(model, tokenizer, [piece for passage in pieces for piece in passage])
    readings, first = [], 0
    for passage in pieces:
        kept = slice(first + context, first + len(passage))
        readings.append(Reading(whole.loss[kept], whole.rank[kept]))
        first += len(passage)
    return readings


def read_as_printed(
    model: LanguageModel, tokenizer: Tokenizer, verses: Sequence[Verse], *, context: int = 1
) -> Reading:
    """Score the same words with a heading above them and each verse on a line of its own that begins with its number."""
    heading = tokenizer.encode(f"{verses[0].book} {verses[0].chapter} (KJV)").ids
    pieces = [list(heading)]
    for verse in verses:
        pieces += [list(tokenizer.encode(f"\n{verse.number}").ids), encode(tokenizer, verse.kjv)]
    whole = _split(model, tokenizer, pieces)
    kept = slice(2 + 2 * context, None, 2)  # a heading, then number and verse in turn
    return Reading(whole.loss[kept], whole.rank[kept])


def _split(model: LanguageModel, tokenizer: Tokenizer, pieces: list[list[int]]) -> Reading:
    found = _scored(model, tokenizer, pieces, top=1)
    edges = np.cumsum([len(piece) for piece in pieces])[:-1]
    loss, rank = (np.split(each[0].cpu().numpy(), edges) for each in (found.loss, found.rank))
    return Reading(loss, rank)


def differing(tokenizer: Tokenizer, text: str, other: str) -> tuple[np.ndarray, np.ndarray]:
    """Which tokens of two wordings do not stand, in the same order, in the other one: one truth value a token of each."""
    one, two = encode(tokenizer, text), encode(tokenizer, other)
    masks = np.ones(len(one), dtype=bool), np.ones(len(two), dtype=bool)
    for block in SequenceMatcher(None, one, two, autojunk=False).get_matching_blocks():
        masks[0][block.a : block.a + block.size] = False
        masks[1][block.b : block.b + block.size] = False
    return masks


def _scored(model: LanguageModel, tokenizer: Tokenizer, pieces: list[list[int]], *, top: int) -> Scores:
    tokens = [tokenizer.token_to_id(START), *(token for piece in pieces for token in piece)]
    device = next(model.parameters()).device
    with torch.no_grad():
        return score(model, torch.tensor([tokens], device=device), top=top)


@dataclass(frozen=True)
class Example:
    """One verse or quotation token by token, read for the first and for the second time."""

    tokens: list[str]
    probability: np.ndarray  # (2, tokens), given to each token
    rank: np.ndarray  # (2, tokens)
    best: list[list[list[str]]]  # (2, tokens, CHOICES)
    best_probability: np.ndarray  # (2, tokens, CHOICES)


def example(model: LanguageModel, tokenizer: Tokenizer, name: str, context: int) -> Example:
    """A verse after up to ``context`` verses of its chapter, or a quotation alone, all of it laid before the model twice.

    Raises:
        ValueError: there is no verse and no quotation of this name.
    """
    pieces = [encode(tokenizer, text) for text in text_called(name, context)]
    found = _scored(model, tokenizer, pieces * 2, top=CHOICES)
    length, total = len(pieces[-1]), sum(map(len, pieces))
    kept = [slice(reading * total - length, reading * total) for reading in (1, 2)]
    return Example(
        tokens=[tokenizer.decode([token]) for token in pieces[-1]],
        probability=np.stack([found.loss[0, each].neg().exp().cpu().numpy() for each in kept]),
        rank=np.stack([found.rank[0, each].cpu().numpy() for each in kept]),
        best=[[[tokenizer.decode([token]) for token in row] for row in found.best[0, each].tolist()] for each in kept],
        best_probability=np.stack([found.best_probability[0, each].cpu().numpy() for each in kept]),
    )


def text_called(name: str, context: int) -> list[str]:
    """The text called ``name``, and before it what prepares the model: up to ``context`` verses of its chapter.

    Raises:
        ValueError: there is no verse and no quotation of this name.
    """
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


def kept_examples(examples: Sequence[Example]) -> dict[str, object]:
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
        "example_probability": variable(
            by_place, filled([each.probability for each in examples], 1), "probability given to the token"
        ),
        "example_rank": variable(
            by_place, filled([each.rank for each in examples], 1), "choices preferred to the token"
        ),
        "example_best": variable(by_choice, best, "the model's first choices"),
        "example_best_probability": variable(by_choice, probability, "probability of the first choices"),
    }
