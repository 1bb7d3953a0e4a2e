"""Sentences whose numbers come from a record."""

import re
from collections.abc import Mapping

Number = float | int | str


class Prose:
    """Markdown with its numbers filled in, rendered by the notebook or the site."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_markdown_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


def fill(text: str, numbers: Mapping[str, Number]) -> str:
    """Replace every ``[[name]]`` and ``[[name:format]]`` in ``text``.

    Raises:
        ValueError: a name is not among ``numbers``.
    """

    def one(match: re.Match[str]) -> str:
        name, form = match.group(1), match.group(2) or ""
        if name not in numbers:
            raise ValueError(f"[[{name}]]: must be one of {', '.join(sorted(numbers))}")
        value = numbers[name]
        return format(value, form or ("" if isinstance(value, str) else ",.3g" if isinstance(value, float) else ","))

    return re.sub(r"\[\[(\w+)(?::([^\]]+))?\]\]", one, text)
