"""Two languages about the same small world: who has how many of what, what happens, and two questions about it.

A line is ``n has x noun VERB m Q`` and its answer. One question asks for a number: ``how-many`` is followed by what n has in
the end, and the noun. The other asks for the story: ``what-happened`` is followed by who gained, a word for how much, and the
noun. No story says how many there are in the end, and no number is said with a word for how much.

A verb means one of six operations: n gains or loses one, two or three. The languages share the names of people, the numerals
and the marks of the two questions; each has its own verbs, words for ``has``, nouns and words for how much.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from heldout.experiment import require

CHANGES = (1, 2, 3, -1, -2, -3)  # of what n has, one an operation
OPERATIONS = ("gain 1", "gain 2", "gain 3", "lose 1", "lose 2", "lose 3")
SIZES = 3
PEOPLE, SYNONYMS, HAS, NOUNS, KINDS = 6, 4, 3, 4, 4  # words; synonyms an operation, kinds a size
FIRST_X, INPUTS = 4, 10  # n has FIRST_X to FIRST_X + INPUTS - 1 at first
NUMERALS = FIRST_X + INPUTS + SIZES - 1  # 1 to this many
OWN = NOUNS + SIZES * KINDS + HAS + len(CHANGES) * SYNONYMS  # words that each language has for itself
ANSWERABLE = PEOPLE + NUMERALS + 2 * (NOUNS + SIZES * KINDS)
HOW_MANY, WHAT_HAPPENED = ANSWERABLE, ANSWERABLE + 1
VOCABULARY = PEOPLE + NUMERALS + 2 + 2 * OWN
WHO, HAS_PLACE, X_PLACE, NOUN_PLACE, VERB_PLACE, OTHER, QUESTION, FIRST_ANSWER = range(8)
PLACES = 9  # that are read; a story's last answer is never read
A, B = 0, 1


def numeral(number: Tensor | int) -> Tensor | int:
    """The token of a number from 1 up."""
    return PEOPLE + number - 1


def noun(language: int, number: Tensor | int) -> Tensor | int:
    """The token of a language's noun."""
    return PEOPLE + NUMERALS + language * (NOUNS + SIZES * KINDS) + number


def kind(language: int, size: Tensor | int, synonym: Tensor | int) -> Tensor | int:
    """The token of a language's word for how much; sizes from 0."""
    return noun(language, NOUNS) + size * KINDS + synonym


def has(language: int, number: Tensor | int) -> Tensor | int:
    """The token of a language's word for has."""
    return WHAT_HAPPENED + 1 + language * (HAS + len(CHANGES) * SYNONYMS) + number


def verb(language: int, operation: Tensor | int, synonym: Tensor | int) -> Tensor | int:
    """The token of a language's verb."""
    return has(language, HAS) + operation * SYNONYMS + synonym


def own_words(language: int) -> Bool[Tensor, " token"]:
    """Which tokens belong to a language alone."""
    mine = torch.zeros(VOCABULARY, dtype=torch.bool)
    mine[noun(language, 0) : kind(language, SIZES, 0)] = True
    mine[has(language, 0) : verb(language, len(CHANGES), 0)] = True
    return mine


@dataclass(frozen=True, kw_only=True)
class Events:
    """Events, each field with the same axes; words by number, not yet in a language."""

    who: Int[Tensor, "..."]
    other: Int[Tensor, "..."]
    has: Int[Tensor, "..."]
    x: Int[Tensor, "..."]
    noun: Int[Tensor, "..."]
    operation: Int[Tensor, "..."]
    synonym: Int[Tensor, "..."]
    kind: Int[Tensor, "..."]  # which word of its size

    def opening(self, language: int) -> list[Tensor]:
        """The tokens before the question."""
        verbs = torch.as_tensor(verb(language, self.operation, self.synonym))
        words = [self.who, has(language, self.has), numeral(self.x), noun(language, self.noun), verbs, self.other]
        return [torch.as_tensor(word) for word in words]

    def stories(self, language: int) -> Int[Tensor, "... 10"]:
        """Lines that ask what happened, with their three answers."""
        size, loses = self.operation % SIZES, self.operation >= SIZES
        gainer = torch.where(loses, self.other, self.who)
        answers = [gainer, kind(language, size, self.kind), noun(language, self.noun)]
        mark = torch.full_like(self.who, WHAT_HAPPENED)
        return torch.stack([*self.opening(language), mark, *(torch.as_tensor(word) for word in answers)], -1)

    def sums(self, language: int) -> Int[Tensor, "... 10"]:
        """Lines that ask how many, with their two answers and a mark that is not asked for."""
        left = numeral(self.x + torch.tensor(CHANGES)[self.operation])
        mark = torch.full_like(self.who, HOW_MANY)
        answers = [torch.as_tensor(left), torch.as_tensor(noun(language, self.noun)), mark]
        return torch.stack([*self.opening(language), mark, *answers], -1)


def drawn_events(
    draw: torch.Generator,
    *shape: int,
    cells: Int[Tensor, "cell 2"] | None = None,
    synonyms: int = SYNONYMS,
    first_noun: int = 0,
) -> Events:
    """Events drawn uniformly.

    Args:
        draw: the generator.
        shape: of each field.
        cells: pairs of an operation and an x to draw from; by default all.
        synonyms: how many of an operation's verbs are used.
        first_noun: the first noun that is used.

    Raises:
        ValueError: there is no cell, verb or noun to draw.
    """
    cells = all_cells() if cells is None else cells
    require(len(cells) >= 1, "cells", len(cells), "one or more")
    require(1 <= synonyms <= SYNONYMS, "synonyms", synonyms, f"1 to {SYNONYMS}")
    require(0 <= first_noun < NOUNS, "first_noun", first_noun, f"0 to {NOUNS - 1}")

    def pick(high: int) -> Tensor:
        return torch.randint(high, shape, generator=draw)

    who, cell = pick(PEOPLE), pick(len(cells))
    return Events(
        who=who, other=(who + 1 + pick(PEOPLE - 1)) % PEOPLE, has=pick(HAS), x=cells[cell, 1],
        noun=first_noun + pick(NOUNS - first_noun), operation=cells[cell, 0], synonym=pick(synonyms), kind=pick(KINDS),
    )  # fmt: skip


def all_cells() -> Int[Tensor, "cell 2"]:
    """Every operation with every x."""
    return torch.cartesian_prod(torch.arange(len(CHANGES)), torch.arange(FIRST_X, FIRST_X + INPUTS))


def problems(draw: torch.Generator, first_noun: int = 0) -> Events:
    """Every cell with every synonym, in this order (operation, x, synonym), in other words drawn uniformly."""
    cells = all_cells().repeat_interleave(SYNONYMS, 0)
    others = drawn_events(draw, len(cells), first_noun=first_noun)
    synonym = torch.arange(SYNONYMS).repeat(len(cells) // SYNONYMS)
    return Events(**(vars(others) | {"operation": cells[:, 0], "x": cells[:, 1], "synonym": synonym}))


def shared_words(share: float) -> Int[Tensor, " token"]:
    """For every token the one that stands for it when a share of B's nouns and words for how much are A's.

    Raises:
        ValueError: the share is not a number of whole words.
    """
    count = share * NOUNS
    require(0 <= share <= 1 and count == int(count), "share", share, f"a multiple of 1/{NOUNS} from 0 to 1")
    table = torch.arange(VOCABULARY)
    for number in range(int(count)):
        table[noun(B, number)] = noun(A, number)
        for size in range(SIZES):
            table[kind(B, size, number)] = kind(A, size, number)
    return table


def exchanged_verbs(meaning: Int[Tensor, " operation"]) -> Int[Tensor, " token"]:
    """For every token the one that stands for it when B's verbs of operation o are used for operation ``meaning[o]``.

    Raises:
        ValueError: the meanings are not a permutation.
    """
    whole = bool((meaning.sort().values == torch.arange(len(CHANGES))).all())
    require(whole, "meaning", meaning.tolist(), f"a permutation of 0 to {len(CHANGES) - 1}")
    table, synonyms = torch.arange(VOCABULARY), torch.arange(SYNONYMS)
    for operation, meant in enumerate(meaning.tolist()):
        table[verb(B, meant, synonyms)] = torch.as_tensor(verb(B, operation, synonyms))
    return table


def derangement(draw: torch.Generator) -> Int[Tensor, " operation"]:
    """A permutation of the operations, drawn uniformly among those that leave none in its place."""
    while True:
        drawn = torch.randperm(len(CHANGES), generator=draw)
        if bool((drawn != torch.arange(len(drawn))).all()):
            return drawn
