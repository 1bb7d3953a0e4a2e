"""The text of the small language models: what they read, the passages they are measured on, kinds of places, and n-grams.

A *place* is a character of a passage that is to be predicted from those before it in the passage.
"""

import re

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heldout.data import moby_dick
from heldout.devices import generator

HELD_OUT = 0.1  # share of the book, its end, that no model reads
LONG_WORD = 5  # letters from which a word that comes again counts as repeated
OPENING = 2  # letters of a repeated word after which it can be known which word it is
PRIOR = 4.0  # imagined occurrences of every context, spread as the shorter context says
KINDS = ("line break", "word end", "mark", "first letter", "second letter", "later letter", "repeated word")


def book(*, shuffled: bool) -> tuple[Int[Tensor, " read"], Int[Tensor, " unread"]]:
    """Moby-Dick as positions in its alphabet, beginning and end; ``shuffled`` puts its characters in a random order first."""
    tokens = moby_dick.tokens()
    if shuffled:
        tokens = tokens[torch.randperm(len(tokens), generator=generator("shuffled characters"))]
    cut = round((1 - HELD_OUT) * len(tokens))
    return tokens[:cut], tokens[cut:]


def passages(count: int, length: int, *, shuffled: bool) -> Int[Tensor, "passage length_and_one"]:
    """Passages of ``length`` places from the unread part, after one character each that is only read.

    The part is cut into such passages from its start. Half of them lie evenly; the others are those with most places in
    repeated words, which are rare.
    """
    unread = book(shuffled=shuffled)[1]
    cut = unread[: len(unread) // (length + 1) * (length + 1)].view(-1, length + 1)
    even = [round(each) for each in np.linspace(0, len(cut) - 1, count - count // 2)]
    repeats = [int(in_repeated_word(written(row)).sum()) for row in cut]
    order = [each for each in np.argsort(-np.array(repeats), kind="stable") if each not in even]
    return cut[sorted([*even, *(int(each) for each in order[: count // 2])])]


def written(tokens: Int[Tensor, " length"] | Int[np.ndarray, " length"]) -> str:
    """The characters that tokens stand for."""
    alphabet = moby_dick.alphabet()
    return "".join(alphabet[int(token)] for token in tokens)


def in_repeated_word(passage: str) -> Bool[np.ndarray, " length"]:
    """Which characters lie in a long word that the passage has had before, from its third letter on."""
    inside, seen = np.zeros(len(passage), dtype=bool), set()
    for word in re.finditer(r"[^\W\d_]+", passage):
        if len(word.group()) >= LONG_WORD:
            if word.group().lower() in seen:
                inside[word.start() + OPENING : word.end()] = True
            seen.add(word.group().lower())
    return inside


def kinds(passage: str) -> Int[np.ndarray, " places"]:
    """For every character of a passage but the first, its position in :data:`KINDS`."""
    repeated = in_repeated_word(passage)
    found = []
    for place in range(1, len(passage)):
        character, before = passage[place], passage[:place]
        letters = len(before) - len(before.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        if repeated[place]:
            kind = "repeated word"
        elif character == "\n":
            kind = "line break"
        elif character == " ":
            kind = "word end"
        elif not character.isalpha():
            kind = "mark"
        else:
            kind = ("first letter", "second letter", "later letter")[min(letters, 2)]
        found.append(KINDS.index(kind))
    return np.array(found)


def ngram_losses(
    read: Int[np.ndarray, " characters"], asked: Int[np.ndarray, "passage length"], orders: int, vocabulary: int
) -> Float[np.ndarray, "order place"]:
    """Loss in nats of every place under counts of 1, 2, ... ``orders`` characters in a row, exact over the text read.

    p_n(c | h) = (N(h c) + PRIOR p_(n-1)(c | h')) / (N(h) + PRIOR), where h are the n - 1 characters before, h' all of them but
    the first, and p_0 is uniform. Where the passage has fewer before, the longest context that it has is used.
    """
    length = asked.shape[1]
    probability = np.full((len(asked), length - 1), 1 / vocabulary)
    losses = []
    for order in range(1, orders + 1):
        whole = _codes(read, order, vocabulary)
        known, count = np.unique(whole, return_counts=True)
        # A context is counted where a character follows it, so the last one of the text is not.
        contexts, context_count = np.unique(whole // vocabulary, return_counts=True)
        if order < length:
            here = np.stack([_codes(row, order, vocabulary) for row in asked])[:, 1 if order == 1 else 0 :]
            first = max(order - 2, 0)  # the first place with order - 1 characters before it
            joint = _looked_up(here, known, count)
            total = _looked_up(here // vocabulary, contexts, context_count)
            probability[:, first:] = (joint + PRIOR * probability[:, first:]) / (total + PRIOR)
        losses.append(-np.log(probability).ravel())
    return np.stack(losses)


def _codes(tokens: Int[np.ndarray, " length"], order: int, vocabulary: int) -> Int[np.ndarray, " starts"]:
    """One number for every ``order`` characters in a row; without the last one, that of the context alone."""
    starts = len(tokens) - order + 1
    code = np.zeros(starts, dtype=np.int64)
    for place in range(order):
        code = code * vocabulary + tokens[place : place + starts]
    return code


def _looked_up(
    wanted: Int[np.ndarray, "*shape"], known: Int[np.ndarray, " code"], count: Int[np.ndarray, " code"]
) -> Int[np.ndarray, "*shape"]:
    """How often each code was counted, 0 where never."""
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[at] == wanted, count[at], 0)
