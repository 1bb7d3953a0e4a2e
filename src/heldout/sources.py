"""A digest of the source that a result came from, so that a changed library gets a new key in the store."""

import ast
import functools
import hashlib
import importlib.util
from pathlib import Path


def digest(name: str) -> str:
    """SHA-256 over the source of a ``heldout`` module and of every ``heldout`` module that it imports, directly or not."""
    seen: dict[str, bytes] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        path = _source_path(current)
        if path is None or current in seen:
            continue
        seen[current] = path.read_bytes()
        waiting.extend(_imports(seen[current]))
    text = b"".join(key.encode() + b"\0" + seen[key] + b"\0" for key in sorted(seen))
    return hashlib.sha256(text).hexdigest()


def _source_path(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@functools.lru_cache(maxsize=512)
def _imports(source: bytes) -> tuple[str, ...]:
    """Names of the heldout modules that a source imports."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            # A package that only lends its name to a module may change (a new experiment's line) and change no result.
            found += inside if all(_is_module(name) for name in inside) else [node.module, *inside]
    return tuple(name for name in found if name.split(".")[0] == "heldout")


@functools.cache
def _is_module(name: str) -> bool:
    return name.split(".")[0] == "heldout" and _source_path(name) is not None
