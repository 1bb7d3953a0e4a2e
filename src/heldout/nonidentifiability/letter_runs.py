"""Languages of equal runs: a^n b^n, and a^n b^n c^n. Their sequences, all short prompts, and which of these are alike.

The case of two letters is the language of :mod:`heldout.nonidentifiability.anbn`, with the same tokens. R1 asks for equally many
of all letters, R2 for the order of the alphabet. Of the prompts that begin no sequence of a language, two kinds are told apart
here. A *balanced* one has equally many of all letters, so that R1 is kept by ending at once. A *rearranged* one has the letters
and the last letter of a prompt that does begin a sequence, in another order.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from heldout.experiment import require
from heldout.nonidentifiability import anbn

KINDS = ("inside", "balanced", "rearranged", "other")


@dataclass(frozen=True)
class Language:
    """All sequences of ``letters`` runs of equal length n, for n = 1 to ``longest``, and all prompts of one length.

    Raises:
        ValueError: a size is out of its range.
    """

    letters: int
    longest: int
    prompt_length: int

    def __post_init__(self) -> None:
        require(2 <= self.letters <= 4, "letters", self.letters, "2 to 4")
        require(self.longest >= 1, "longest", self.longest, "1 or more")
        require(1 <= self.prompt_length < self.context, "prompt_length", self.prompt_length, f"1 to {self.context - 1}")

    @property
    def name(self) -> str:
        """The language as text, such as a^n b^n."""
        return " ".join(f"{letter}^n" for letter in "abcd"[: self.letters])

    @property
    def end(self) -> int:
        """The token that closes a sequence; letters are 0, 1, ..., and the start token, which is only read, comes after it."""
        return self.letters

    @property
    def context(self) -> int:
        """Places of the longest sequence with its end."""
        return self.letters * self.longest + 1

    @cached_property
    def rows(self) -> list[list[int]]:
        """The sequences, each with its end."""
        return [
            [letter for letter in range(self.letters) for _ in range(n)] + [self.end]
            for n in range(1, self.longest + 1)
        ]

    def data(self) -> tuple[Int[Tensor, "sequence place"], Int[Tensor, "sequence place"]]:
        """What is read, from the start token on, and what is to be written; nothing is to be written after the end."""
        read = torch.full((self.longest, self.context), self.end)
        wanted = torch.full((self.longest, self.context), anbn.IGNORED)
        for number, row in enumerate(self.rows):
            read[number, : len(row)] = torch.tensor([self.end + 1, *row[:-1]])
            wanted[number, : len(row)] = torch.tensor(row)
        return read, wanted

    @cached_property
    def prompts(self) -> Int[np.ndarray, "prompt place"]:
        """All rows of letters of the prompts' length, in the order of numbers with letters as digits."""
        return np.array(list(itertools.product(range(self.letters), repeat=self.prompt_length)))

    def start(self) -> Int[Tensor, "prompt place"]:
        """The prompts as they are read, after the start token."""
        return torch.from_numpy(np.pad(self.prompts, ((0, 0), (1, 0)), constant_values=self.end + 1))

    def kinds(self) -> Bool[np.ndarray, "kind prompt"]:
        """Which prompts are of each of :data:`KINDS`; every prompt is of one."""
        begun = {tuple(row[: self.prompt_length]) for row in self.rows if len(row) > self.prompt_length}
        inside = np.array([tuple(row) in begun for row in self.prompts])
        balanced = (self.counts(self.prompts) == self.prompt_length / self.letters).all(-1) & ~inside
        ordered = [tuple(sorted(row)) for row in self.prompts]
        twin = np.array(
            [there in begun and there[-1] == row[-1] for there, row in zip(ordered, self.prompts, strict=True)]
        )
        rearranged = twin & ~inside & ~balanced
        return np.stack([inside, balanced, rearranged, ~(inside | balanced | rearranged)])

    def counts(self, tokens: Int[np.ndarray, "*rows place"]) -> Int[np.ndarray, "*rows letter"]:
        """How often each letter stands in each row."""
        return np.stack([(tokens == letter).sum(-1) for letter in range(self.letters)], -1)

    def finished(self, written: Int[np.ndarray, "*rows place"]) -> Bool[np.ndarray, "*rows"]:
        """Which completions hold an end token."""
        found: Bool[np.ndarray, "*rows"] = (written == self.end).any(-1)
        return found

    def at_once(self, written: Int[np.ndarray, "*rows place"]) -> Bool[np.ndarray, "*rows"]:
        """Which completions are the end token alone."""
        found: Bool[np.ndarray, "*rows"] = written[..., 0] == self.end
        return found

    def equal_counts(self, written: Int[np.ndarray, "*rows prompt place"]) -> Bool[np.ndarray, "*rows prompt"]:
        """R1: prompt and completion hold equally many of all letters up to the end. A completion without one has failed."""
        live = np.cumsum(written == self.end, axis=-1) == 0
        total = self.counts(np.where(live, written, self.end)) + self.counts(self.prompts)
        kept: Bool[np.ndarray, "*rows prompt"] = self.finished(written) & (total == total[..., :1]).all(-1)
        return kept

    def in_order(self, written: Int[np.ndarray, "*rows place"]) -> Bool[np.ndarray, "*rows"]:
        """R2 on the completion: no letter after a later one up to the end. A completion without one has failed."""
        live = np.cumsum(written == self.end, axis=-1) == 0
        back = (np.diff(written.astype(int), axis=-1) < 0) & live[..., 1:]
        kept: Bool[np.ndarray, "*rows"] = self.finished(written) & ~back.any(-1)
        return kept
