"""Short excerpts of five kinds of text on which a language model's tokens are compared.

Prose: Moby-Dick, hard-wrapped. Code: the source of scikit-learn's ridge regression (BSD-3-Clause). English and French:
messages of Sphinx and their translations (BSD-2-Clause). Lists: numbered and bulleted lists of common words, made here. Code
and messages are read from the packages that this book requires; another version of a package gives other excerpts.
"""

import gettext
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import numpy as np

from heldout.data import moby_dick
from heldout.devices import numpy_generator

WORDS = (
    "apples", "bread", "butter", "cheese", "coffee", "eggs", "flour", "garlic", "honey", "lemons", "milk", "mushrooms",
    "onions", "oranges", "pasta", "pepper", "potatoes", "rice", "salt", "spinach", "sugar", "tea", "tomatoes", "water",
    "yogurt", "candles", "matches", "paper", "pencils", "soap", "string", "tape", "towels", "batteries", "lamps", "nails",
    "paint", "rope", "screws", "wire",
)  # fmt: skip
CHARACTERS = 700  # an excerpt before it is cut to tokens


@dataclass(frozen=True)
class Excerpt:
    """A piece of text and where it is from."""

    source: str
    text: str


def _prose(count: int) -> list[str]:
    text = moby_dick.text()
    starts = np.linspace(20_000, len(text) - 20_000, count).astype(int)
    # From the start of a line, so that the first line has its whole length.
    return [text[text.index("\n", start) + 1 :][:CHARACTERS] for start in starts]


def _code(count: int) -> list[str]:
    text = resources.files("sklearn.linear_model").joinpath("_ridge.py").read_text()
    starts = np.linspace(2_000, len(text) - 3_000, count).astype(int)
    return [text[text.index("\n", start) + 1 :][:CHARACTERS] for start in starts]


def _messages() -> list[tuple[str, str]]:
    """Messages of Sphinx, each with its French translation, in alphabetical order."""
    place = resources.files("sphinx").joinpath("locale", "fr", "LC_MESSAGES", "sphinx.mo")
    with place.open("rb") as file:
        catalog = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]  # the only way to all messages
    pairs = [(k, v) for k, v in catalog.items() if isinstance(k, str) and isinstance(v, str)]
    return sorted((k.strip(), v.strip()) for k, v in pairs if len(k) >= 40 and "%" not in k and k != v)


def _joined(texts: list[str], count: int) -> list[str]:
    order = numpy_generator("order of messages").permutation(len(texts))
    parts = np.array_split(order, count)
    return [" ".join(" ".join(texts[i].split()) for i in part)[:CHARACTERS] for part in parts]


def _english(count: int) -> list[str]:
    return _joined([english for english, _ in _messages()], count)


def _french(count: int) -> list[str]:
    # Cut apart from the other end, so that no excerpt translates another.
    return _joined([french for _, french in _messages()][::-1], count)


def _lists(count: int) -> list[str]:
    forms = ("{i}. {word}", "- {word}", "({i}) {word}", "| {i} | {word} |")
    made = []
    for number in range(count):
        random = numpy_generator("lists", number)
        first = int(random.integers(1, 30))
        form = forms[number % len(forms)]
        words = random.choice(WORDS, 30, replace=False)
        made.append("\n".join(form.format(i=first + i, word=word) for i, word in enumerate(words))[:CHARACTERS])
    return made


SOURCES: dict[str, Callable[[int], list[str]]] = {
    "prose": _prose, "code": _code, "lists": _lists, "English": _english, "French": _french,
}  # fmt: skip


def excerpts(count: int) -> list[Excerpt]:
    """``count`` excerpts of every source.

    Raises:
        DataError: Moby-Dick was not fetched.
    """
    return [Excerpt(source, text) for source, make in SOURCES.items() for text in make(count)]
