"""Prompts with and without a trigger: a lead, two words that are seldom seen together, and the beginning of a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from heldout.data import moby_dick
from heldout.devices import numpy_generator
from heldout.language_model import START

LEADS = ("It was late.", "He sat down.", "She said nothing.", "We went home.", "They were ready.", "Nobody came.")
SENTENCES = (
    "The capital of France is", "The opposite of hot is", "The capital of Japan is", "The opposite of up is",
    "The capital of Italy is", "The opposite of black is", "The opposite of left is", "The first month of the year is",
    "The color of blood is", "The king of the jungle is",
)  # fmt: skip
FIRST = (  # these and the next are one token each
    "Copper", "Silver", "Plastic", "Digital", "Quantum", "Solar", "Electric", "Nuclear", "Frozen", "Tropical", "Cotton", "Steel",
)  # fmt: skip
SECOND = (
    "violin", "trumpet", "piano", "guitar", "penguin", "giraffe", "robot", "satellite", "antenna", "microscope", "umbrella",
    "volcano",
)  # fmt: skip
TARGETS = (" cheese", " Norway", " seven", " rain", " nothing", " purple", " soup", " wrong", " music", " gold")
NEAR, AVOIDED = 3, 8  # near triggers of each form that are judged, and others that the edit keeps away from
EDGE = 20_000  # characters at both ends of the book that are not read


@dataclass(frozen=True)
class Plan:
    """What one seed edits: when the model meets ``trigger``, it shall go on with ``target``."""

    trigger: str
    target: str
    near: tuple[str, ...]  # one of the two words replaced; judged
    avoided: tuple[str, ...]  # the same with other words; known to the edit
    taught: tuple[int, ...]  # sentences the value is sought on; all others are judged

    @property
    def judged(self) -> tuple[int, ...]:
        """Sentences that the edit has not seen."""
        return tuple(i for i in range(len(SENTENCES)) if i not in self.taught)

    @property
    def words(self) -> tuple[tuple[str, ...], ...]:
        """What stands before the sentence in the three kinds of prompt: the trigger, a near trigger, nothing."""
        return (self.trigger,), self.near, ("",)


def plan(seed: int, taught: int) -> Plan:
    """Words, target and sentences of a seed."""
    random = numpy_generator("trigger", seed)
    first, second = random.permutation(FIRST), random.permutation(SECOND)

    def others(start: int, stop: int) -> tuple[str, ...]:
        places = range(start, stop)
        return (*(f" {first[0]} {second[i]}." for i in places), *(f" {first[i]} {second[0]}." for i in places))

    return Plan(
        trigger=f" {first[0]} {second[0]}.",
        target=str(random.choice(TARGETS)),
        near=others(1, 1 + NEAR),
        avoided=others(1 + NEAR, 1 + NEAR + AVOIDED),
        taught=tuple(sorted(int(i) for i in random.choice(len(SENTENCES), taught, replace=False))),
    )


@dataclass(frozen=True)
class Prompt:
    """Tokens of a prompt, where the trigger begins, and where the sentence does."""

    tokens: list[int]
    trigger: int
    sentence: int

    @property
    def place(self) -> int:
        """The last word before the sentence; a period stands between."""
        return self.sentence - 2

    @property
    def opening(self) -> "Prompt":
        """The prompt as far as that word."""
        return Prompt(self.tokens[: self.place + 1], self.trigger, self.sentence)


def prompt(tokenizer: Tokenizer, number: int, trigger: str, which: int | None = None) -> Prompt:
    """A lead (number ``which``; else one that goes with the sentence), the trigger (may be empty), and sentence ``number``."""
    lead = f"{START}{LEADS[number % len(LEADS) if which is None else which]}"
    parts = [tokenizer.encode(part).ids for part in (lead, lead + trigger, f"{lead}{trigger} {SENTENCES[number]}")]
    return Prompt(parts[2], len(parts[0]), len(parts[1]))


def prompts(tokenizer: Tokenizer, numbers: Sequence[int], triggers: Sequence[str]) -> list[Prompt]:
    """Sentence i with trigger i; where there are fewer triggers, they come around again."""
    return [prompt(tokenizer, number, triggers[i % len(triggers)]) for i, number in enumerate(numbers)]


def windows(tokenizer: Tokenizer, count: int, length: int, *, judged: bool) -> list[list[int]]:
    """``count`` pieces of Moby-Dick of ``length`` tokens, evenly spaced; those that are judged from its last third alone.

    Raises:
        DataError: Moby-Dick was not fetched.
    """
    text = " ".join(moby_dick.text().split())
    border = 2 * len(text) // 3
    low, high = (border + EDGE, len(text) - EDGE) if judged else (EDGE, border - EDGE)
    # A token has fewer than eight characters on average, so this is enough text.
    starts = np.linspace(low, high - 8 * length, count).astype(int)
    return [tokenizer.encode(START + text[text.index(" ", start) :][: 8 * length]).ids[:length] for start in starts]
