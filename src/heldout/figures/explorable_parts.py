"""Encoding of the data an explorable draws, and checks of the parts that recur in the schemas."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

Data = dict[str, Any]
SIGNIFICANT_DIGITS = 6


def encode(value: object) -> Any:
    """Return ``value`` as plain JSON types: arrays become lists, floats keep 6 significant digits, NaN and inf become null.

    Raises:
        ValueError: for a value JSON cannot hold.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): encode(part) for key, part in value.items()}
    if hasattr(value, "__array__"):
        return encode(np.asarray(value).tolist())
    if isinstance(value, Iterable):
        return [encode(part) for part in value]
    raise ValueError(f"data holds {value!r}; allowed are numbers, strings, lists, arrays and mappings")


def need(where: str, part: object, *keys: str) -> Data:
    """The part as a mapping that has the keys."""
    if not isinstance(part, dict):
        raise ValueError(f"{where} is {part!r}; it must be a mapping with the keys {', '.join(keys)}")
    for key in keys:
        if key not in part:
            raise ValueError(f"{where} lacks {key!r}; it needs {', '.join(keys)}, got {', '.join(part) or 'nothing'}")
    return part


def items(where: str, part: object) -> list[Any]:
    """The part as a non-empty list."""
    if not isinstance(part, list) or not part:
        raise ValueError(f"{where} is {part!r}; it must be a non-empty list")
    return part


def nested(where: str, values: object, shape: Sequence[int]) -> None:
    """Check that nested lists of numbers and null have a shape."""
    if not shape:
        if isinstance(values, bool) or not (values is None or isinstance(values, int | float)):
            raise ValueError(f"{where} holds {values!r}; allowed are numbers and null")
        return
    if not isinstance(values, list) or len(values) != shape[0]:
        got = len(values) if isinstance(values, list) else repr(values)
        raise ValueError(f"{where} has length {got}; it must have length {shape[0]} (shape {tuple(shape)})")
    for part in values:
        nested(where, part, shape[1:])


def axis(where: str, part: object, *, values: bool = False, span: bool = False) -> Data:
    """The part as an axis; its grid must increase, and be positive on a log scale."""
    axis = need(where, part, "label", *(["values"] if values else []), *(["range"] if span else []))
    log = axis.get("scale", "linear") == "log"
    if axis.get("scale", "linear") not in ("linear", "log"):
        raise ValueError(f"{where}.scale is {axis['scale']!r}; allowed: 'linear', 'log'")
    for key in ("values", "range"):
        if axis.get(key) is None:
            continue
        grid = items(f"{where}.{key}", axis[key])
        nested(f"{where}.{key}", grid, (2 if key == "range" else len(grid),))
        if any(v is None for v in grid) or any(b <= a for a, b in pairwise(grid)):
            raise ValueError(f"{where}.{key} is {grid!r}; it must be finite and strictly increasing")
        if log and grid[0] <= 0:
            raise ValueError(f"{where}.{key} starts at {grid[0]!r}; on a log scale it must be positive")
    return axis


def points(where: str, part: object) -> None:
    """Check equally many x and y."""
    points = need(where, part, "x", "y")
    nested(f"{where}.x", points["x"], (len(items(f"{where}.x", points["x"])),))
    nested(f"{where}.y", points["y"], (len(points["x"]),))


def controls(data: Data) -> dict[str, int]:
    """How many values each control has, by name."""
    sizes: dict[str, int] = {}
    if not isinstance(data["controls"], list):
        raise ValueError(f"controls is {data['controls']!r}; it must be a list (empty for a chart without controls)")
    for spec in data["controls"]:
        control = need("controls[]", spec, "name", "label", "values")
        values = items(f"control {control['name']!r} values", control["values"])
        if control.get("initial", values[0]) not in values:
            raise ValueError(f"control {control['name']!r} starts at {control['initial']!r}; allowed: {values!r}")
        sizes[control["name"]] = len(values)
    return sizes


def shape(where: str, part: Data, sizes: dict[str, int]) -> list[int]:
    """The shape that the controls in ``by`` give."""
    unknown = [name for name in part.get("by", []) if name not in sizes]
    if unknown:
        raise ValueError(f"{where}.by names {unknown!r}; allowed: {sorted(sizes)!r}")
    return [sizes[name] for name in part.get("by", [])]


def placeholders(where: str, text: object, known: Iterable[str]) -> None:
    """Check that a template names only what is known."""
    if not isinstance(text, str):
        raise ValueError(f"{where} is {text!r}; it must be a string")
    for name in re.findall(r"\{(\w+)(?::[^}]+)?\}", text):
        if name not in set(known):
            raise ValueError(f"{where} uses {{{name}}}; allowed: {sorted(set(known))!r}")
