"""A language about functions on the whole numbers below a prime: named, applied, defined, inverted and composed.

A function is an operation and a constant: ``plus c`` is x + c, ``times c`` is c x, ``from c`` is c - x, all modulo the prime.
It has several names (synonyms). A line starts with its task and states one fact; only the words after the arrow cost loss:

    apply NAME x -> f(x)         apply OPERATION c x -> f(x)        define NAME -> OPERATION c
    invert NAME y -> x           invert OPERATION c y -> x          compose NAME x -> f(x) + 1

All functions are different straight lines over a field: two agree on at most one input, so any two pairs determine a function.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from heldout.experiment import require

OPERATIONS = ("plus", "times", "from")
MARKERS = ("apply", "define", "invert", "compose")
TASKS = ("apply", "define", "invert", "compose", "apply words", "invert words")
NAMED = TASKS[:4]  # the tasks whose lines hold a name, which then stands second
PLACES = 4  # tokens read of a line, at most
NAME_PLACE = 1
IGNORED = -1  # a target that costs nothing


class Function(NamedTuple):
    """An operation and its constant, such as ``plus 3``."""

    operation: str
    constant: int

    def __call__(self, x: int, modulus: int) -> int:
        """The value at x."""
        slope, start = {
            "plus": (1, self.constant), "times": (self.constant, 0), "from": (-1, self.constant),
        }[self.operation]  # fmt: skip
        return (slope * x + start) % modulus

    def __str__(self) -> str:
        """The two words of its definition."""
        return f"{self.operation} {self.constant}"


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Lines of one length: what is read, what is to be written after each token, and what each line is about.

    Attributes:
        tokens: (line, place) what is read; 0 after a line's end.
        targets: (line, place) the token to be written after each place, :data:`IGNORED` where nothing is asked.
        task: (line,) position in :data:`TASKS`.
        function: (line,) position in the language's functions.
        number: (line,) the number that the line gives, x or y; for a definition -1.
    """

    tokens: Int[Tensor, "line place"]
    targets: Int[Tensor, "line place"]
    task: Int[Tensor, " line"]
    function: Int[Tensor, " line"]
    number: Int[Tensor, " line"]

    def __len__(self) -> int:
        """How many lines."""
        return len(self.tokens)

    def __getitem__(self, which: Tensor) -> "Lines":
        """Some of the lines."""
        return Lines(**{name: value[which] for name, value in vars(self).items()})

    @classmethod
    def joined(cls, parts: "Sequence[Lines]") -> "Lines":
        """Lines after lines."""
        return cls(**{name: torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])})


@dataclass(frozen=True, kw_only=True)
class Language:
    """The words and the true lines of a language.

    Attributes:
        modulus: a prime, at least 5; numbers are 0 to modulus - 1.
        synonyms: names of each function.
        undefined: positions of functions whose names are never defined in pretraining.
        unseen: positions of functions of which pretraining holds no line at all.
        left_out: entries such as ``"define 5"``: of each function, the name at this place among its synonyms, from 0, stands
            in no pretraining line of this task.

    Raises:
        ValueError: a number is out of range, a function is given two of these roles, or a task is left without names.
    """

    modulus: int = 11
    synonyms: int = 8
    undefined: tuple[int, ...] = ()
    unseen: tuple[int, ...] = ()
    left_out: tuple[str, ...] = ()
    functions: tuple[Function, ...] = field(init=False)

    def __post_init__(self) -> None:
        prime = self.modulus >= 5 and all(self.modulus % k for k in range(2, int(self.modulus**0.5) + 1))
        require(prime, "modulus", self.modulus, "a prime, at least 5")
        require(self.synonyms >= 1, "synonyms", self.synonyms, "at least 1")
        object.__setattr__(self, "functions", all_functions(self.modulus))
        for name in ("undefined", "unseen"):
            values = getattr(self, name)
            inside = len(set(values)) == len(values) and all(0 <= v < len(self.functions) for v in values)
            require(inside, name, values, f"different positions from 0 to {len(self.functions) - 1}")
        apart = not set(self.undefined) & set(self.unseen)
        require(apart, "unseen", self.unseen, f"other functions than undefined={self.undefined}")
        left = len(self.functions) - len(self.undefined) - len(self.unseen)
        require(left >= 1, "unseen", self.unseen, "such that some function is defined")
        known = [f"{task} {place}" for task in NAMED for place in range(self.synonyms)]
        strange = [entry for entry in self.left_out if entry not in known]
        require(not strange, "left_out", strange, f"a task and a place, such as {known[0]!r} and {known[-1]!r}")
        bare = [task for task in NAMED if not self.told(task)]
        require(not bare, "left_out", self.left_out, f"such that some name is left to {', '.join(bare)}")

    @classmethod
    def drawn(
        cls, generator: torch.Generator, *, modulus: int = 11, synonyms: int = 8, undefined: int = 0, unseen: int = 0,
        left_out: tuple[str, ...] = (),
    ) -> "Language":  # fmt: skip
        """A language whose undefined and unseen functions are drawn.

        Raises:
            ValueError: there are not that many functions, or as for the language itself.
        """
        count = len(cls(modulus=modulus, synonyms=synonyms).functions)
        require(undefined >= 0, "undefined", undefined, "0 or more")
        require(unseen >= 0, "unseen", unseen, "0 or more")
        require(
            undefined + unseen < count, "undefined", undefined, f"such that, with {unseen} unseen, fewer than {count}"
        )
        order = torch.randperm(count, generator=generator).tolist()
        first, second = sorted(order[:undefined]), sorted(order[undefined : undefined + unseen])
        return cls(
            modulus=modulus, synonyms=synonyms, undefined=tuple(first), unseen=tuple(second), left_out=left_out
        )  # fmt: skip

    @property
    def outputs(self) -> int:
        """Tokens that can be written: numbers and operations. They come first."""
        return self.modulus + len(OPERATIONS)

    @property
    def first_name(self) -> int:
        """The token of the first name."""
        return self.outputs + len(MARKERS)

    @property
    def vocabulary(self) -> int:
        """Tokens that can be read before any new name is added: ``vocabulary + i`` is then the i-th new name."""
        return self.first_name + len(self.functions) * self.synonyms

    @cached_property
    def defined(self) -> tuple[int, ...]:
        """Positions of the functions whose names are defined in pretraining."""
        others = {*self.undefined, *self.unseen}
        return tuple(i for i in range(len(self.functions)) if i not in others)

    @cached_property
    def seen(self) -> tuple[int, ...]:
        """Positions of the functions that pretraining speaks of."""
        return tuple(i for i in range(len(self.functions)) if i not in self.unseen)

    @cached_property
    def values(self) -> Int[Tensor, "function x"]:
        """Every function's table."""
        return torch.tensor([[f(x, self.modulus) for x in range(self.modulus)] for f in self.functions])

    @cached_property
    def inverses(self) -> Int[Tensor, "function y"]:
        """Every function's inverse as a table."""
        return self.values.argsort(1)

    @cached_property
    def definitions(self) -> Int[Tensor, "function word"]:
        """The two tokens that define each function."""
        return torch.tensor([[self.modulus + OPERATIONS.index(f.operation), f.constant] for f in self.functions])

    def names(self, function: int) -> range:
        """Tokens of a function's synonyms."""
        return range(self.first_name + function * self.synonyms, self.first_name + (function + 1) * self.synonyms)

    def told(self, task: str) -> list[int]:
        """Places among a function's synonyms whose names stand in pretraining lines of a task with names."""
        return [place for place in range(self.synonyms) if f"{task} {place}" not in self.left_out]

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Every token as a word; names are made of two syllables and say nothing about their function."""
        syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
        count, size = len(self.functions) * self.synonyms, len(syllables)
        names = [syllables[i * 33 % size] + syllables[(i // size + i * 19) % size] for i in range(count)]
        return (*map(str, range(self.modulus)), *OPERATIONS, *MARKERS, *names)

    def read(self, line: str) -> Int[Tensor, " place"]:
        """The tokens of a line of words.

        Raises:
            ValueError: a word is not in the language; the message gives the nearest ones.
        """
        places = {word: token for token, word in enumerate(self.words)}
        for word in line.split():
            near = difflib.get_close_matches(word, self.words, n=3, cutoff=0.4)
            require(word in places, "token", word, f"a word of the language; nearest: {', '.join(near) or 'none'}")
        return torch.tensor([places[word] for word in line.split()])

    def written(self, tokens: Iterable[int]) -> str:
        """The words of some tokens.

        Raises:
            ValueError: a token is not in the language.
        """
        numbers = [int(token) for token in tokens]
        for token in numbers:
            require(0 <= token < self.vocabulary, "token", token, f"from 0 to {self.vocabulary - 1}")
        return " ".join(self.words[token] for token in numbers)

    def lines(self, task: str, functions: Sequence[int], names: Int[Tensor, "function name"] | None = None) -> Lines:
        """All true lines of a task about some functions.

        Args:
            task: one of :data:`TASKS`.
            functions: positions of the functions.
            names: tokens by which each is called; by default its synonyms.

        Raises:
            ValueError: the task is unknown, or there is no function.
        """
        require(task in TASKS, "task", task, f"one of {', '.join(TASKS)}")
        require(len(functions) >= 1, "functions", tuple(functions), "one or more")
        kind = task.split()[0]
        if task in NAMED:
            own = [list(self.names(f)) for f in functions] if names is None else names.tolist()
            heads = [(f, [name]) for f, called in zip(functions, own, strict=True) for name in called]
        else:
            heads = [(f, self.definitions[f].tolist()) for f in functions]
        marker = self.outputs + MARKERS.index(kind)
        rows = []
        for f, words in heads:
            if kind == "define":
                rows.append(([marker, *words], self.definitions[f].tolist(), f, -1))
                continue
            answers = self.inverses[f] if kind == "invert" else (self.values[f] + (kind == "compose")) % self.modulus
            rows += [([marker, *words, x], [answer], f, x) for x, answer in enumerate(answers.tolist())]
        return _table(rows, TASKS.index(task))


def all_functions(modulus: int) -> tuple[Function, ...]:
    """All functions but the identity; ``times -1``, which is ``from 0``, is left out, so that all are different."""
    plus = [Function("plus", c) for c in range(1, modulus)]
    times = [Function("times", c) for c in range(2, modulus - 1)]
    return (*plus, *times, *(Function("from", c) for c in range(modulus)))


def _table(rows: list[tuple[list[int], list[int], int, int]], task: int) -> Lines:
    """Rows of (read, answers, function, number) as tensors: the first answer follows the last token read."""
    read, asked = [], []
    for given, answers, _, _ in rows:
        short = PLACES - len(given) - len(answers) + 1
        read.append(given + answers[:-1] + [0] * short)
        asked.append([IGNORED] * (len(given) - 1) + answers + [IGNORED] * short)
    tokens, targets = torch.tensor(read), torch.tensor(asked)
    about, numbers = torch.tensor([row[2] for row in rows]), torch.tensor([row[3] for row in rows])
    return Lines(tokens=tokens, targets=targets, task=torch.full_like(about, task), function=about, number=numbers)
