"""Sentences whose numbers come from a record."""

import re
from collections.abc import Mapping

Number = float | int | str
MINUS = "\N{MINUS SIGN}"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Prose:
    """Markdown with its numbers filled in, rendered by the notebook or the site."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_markdown_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


def fill(text: str, numbers: Mapping[str, Number]) -> str:
    """Replace every ``[[name]]`` and ``[[name:format]]`` in ``text``; formats are Python's, and powers of ten are set as such.

    Raises:
        ValueError: a name is not among ``numbers``.
    """

    def one(match: re.Match[str]) -> str:
        name, form = match.group(1), match.group(2) or ""
        if name not in numbers:
            raise ValueError(f"[[{name}]]: must be one of {', '.join(sorted(numbers))}")
        return written(numbers[name], form)

    return re.sub(r"\[\[(\w+)(?::([^\]]+))?\]\]", one, text)


def written(value: Number, form: str = "") -> str:
    """A number as it stands in a sentence: ``2e+07`` becomes ``2 × 10⁷``, and ``-0.5`` gets a minus sign."""
    text = format(value, form or ("" if isinstance(value, str) else ",.3g" if isinstance(value, float) else ","))
    if isinstance(value, str):
        return text
    text = MINUS + text[1:] if text.startswith("-") else text
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    return f"{mantissa}\u00a0×\u00a010{str(int(exponent)).translate(SUPERSCRIPTS)}"
