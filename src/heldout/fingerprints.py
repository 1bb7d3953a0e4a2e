"""Digests of values: of everything that decides a run, for checkpoints, and of what a module computes, for stacking.

A value is told by what it holds, to the last entry of the last tensor: no text of an object is trusted where its state can
be read. Functions are told by their code, constants, defaults and closures, not by their name alone.
"""

import functools
import hashlib
import types
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_DEEPEST = 60
_PLAIN = (
    bool, int, float, complex, str, bytes, type(None), range, slice, PurePath, np.generic, np.dtype, torch.dtype, torch.device,
)  # fmt: skip
_OF_EVERY_MODULE = vars(nn.Module())
_APART = ("_parameters", "_buffers", "_modules")


def fingerprint(*parts: object) -> str:
    """A digest of everything that decides a run, equal in every process.

    Modules count with their parameters. An object whose state cannot be read counts by its type alone.
    """
    return _Encoder(weights=True, identity=False).encode(parts).hex()


def structure(module: nn.Module) -> str:
    """A digest of everything that decides what a module computes, except its parameters' values.

    Two modules of equal structure may run as one. Every attribute counts but those that all modules have, the private ones
    too. What cannot be read, and a class of the same name made anew, keeps modules apart, which is slower but never wrong.
    """
    return _Encoder(weights=False, identity=True).encode(module).hex()


class _Encoder:
    """Turns values into bytes, unequal for unequal values; objects are digested once.

    Attributes:
        weights: whether the values of a module's parameters count.
        identity: whether unreadable objects and classes count as themselves, which is true of one process only.
    """

    def __init__(self, *, weights: bool, identity: bool) -> None:
        self.weights, self.identity = weights, identity
        # The value itself is kept beside its digest, so that no other can take its id.
        self._known: dict[int, tuple[object, bytes]] = {}
        self._open: list[int] = []
        self._readers = self._all_readers()

    def encode(self, value: object) -> bytes:
        """The bytes of one value."""
        if isinstance(value, _PLAIN) and not getattr(value, "__dict__", None):
            return f"{type(value).__qualname__}:{value!r}".encode()
        if id(value) in self._known:
            return self._known[id(value)][1]
        if id(value) in self._open:
            return f"cycle:{len(self._open) - self._open.index(id(value))}".encode()
        if len(self._open) > _DEEPEST:
            return self._name(value)
        self._open.append(id(value))
        try:
            parts = self._parts(value)
        finally:
            self._open.pop()
        digest = hashlib.sha256()
        for part in (type(value).__qualname__.encode(), *parts):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
        self._known[id(value)] = (value, digest.digest())
        return digest.digest()

    def _parts(self, value: Any) -> Iterable[bytes]:
        for kinds, parts in self._readers:
            if isinstance(value, kinds):
                return parts(value)
        return self._object(value)

    def _all_readers(self) -> Sequence[tuple[Any, Callable[[Any], Iterable[bytes]]]]:
        return (
            (nn.Module, self._module),
            (Tensor, self._tensor),
            (np.ndarray, self._array),
            (Mapping, lambda value: [*self._all(*value.items()), *self._attributes(value)]),
            (Set, lambda value: sorted(self.encode(item) for item in value)),
            (tuple | list | deque, lambda value: [*self._all(*value), *self._attributes(value)]),
            (functools.partial, lambda value: self._all(value.func, value.args, value.keywords)),
            (types.FunctionType, self._function),
            (types.MethodType, lambda value: self._all(value.__func__, value.__self__)),
            (types.BuiltinFunctionType, lambda value: self._all(value.__module__, value.__qualname__, value.__self__)),
            (types.CodeType, self._code),
            (types.ModuleType, lambda value: self._all(value.__name__)),
            (type, lambda value: [self._name(value)]),
            (torch.Generator, lambda value: [self.encode(value.get_state())]),
        )

    def _all(self, *values: object) -> list[bytes]:
        return [self.encode(value) for value in values]

    def _name(self, value: object) -> bytes:
        kind = value if isinstance(value, type) else type(value)
        return f"{kind.__module__}.{kind.__qualname__}{id(value) if self.identity else ''}".encode()

    def _tensor(self, tensor: Tensor) -> list[bytes]:
        there = tensor.detach().cpu().resolve_conj().resolve_neg()
        plain = there.to_dense() if there.layout != torch.strided else there
        content = plain.contiguous().reshape(-1).view(torch.uint8).numpy()
        return [f"{tensor.dtype}{tuple(tensor.shape)}{tensor.layout}".encode(), content.tobytes()]

    def _array(self, array: np.ndarray) -> list[bytes]:
        content = self._all(*array.ravel().tolist()) if array.dtype.hasobject else [array.tobytes()]
        return [f"{array.dtype}{array.shape}".encode(), *content]

    def _function(self, function: types.FunctionType) -> list[bytes]:
        cells = []
        for cell in function.__closure__ or ():
            try:
                cells.append(cell.cell_contents)
            except ValueError:  # not yet filled
                cells.append("empty")
        # Numbers and arrays that the code reads from its module; other globals count by their name, which the code holds.
        read = {name: function.__globals__.get(name) for name in sorted(_names(function.__code__))}
        data = {name: v for name, v in read.items() if isinstance(v, (*_PLAIN, tuple, Tensor, np.ndarray))}
        return self._all(
            function.__module__, function.__qualname__, function.__code__, function.__defaults__, function.__kwdefaults__,
            cells, data, vars(function),
        )  # fmt: skip

    def _code(self, code: types.CodeType) -> list[bytes]:
        return self._all(code.co_code, code.co_consts, code.co_names, code.co_varnames, code.co_freevars)

    def _module(self, module: nn.Module) -> list[bytes]:
        weights, self.weights = self.weights, True  # of a module that an attribute holds, they are nobody's parameters
        places = list(module.named_modules(remove_duplicate=False))
        if not weights:
            self._known.update({id(part): (part, f"part {name}".encode()) for name, part in places})
        parts = []
        for name, part in places:
            own = vars(part)
            settings = {k: v for k, v in own.items() if k not in _APART and _is_set(k, v)}
            parameters = [
                (key, p if weights or p is None else f"{p.dtype}{tuple(p.shape)}{p.requires_grad}")
                for key, p in own["_parameters"].items()
            ]
            # The order of parameters and submodules is the order in which a container calls them.
            parts += self._all(name, type(part), list(own["_modules"]), parameters, own["_buffers"], settings)
        self.weights = weights
        return parts

    def _object(self, value: object) -> list[bytes]:
        state = self._attributes(value)
        if state:
            return [*state, repr(value).encode() if isinstance(value, _PLAIN) else b""]
        own_text = type(value).__repr__ is not object.__repr__
        text = own_text and (isinstance(value, _PLAIN) or not self.identity)
        return [self._name(value), repr(value).encode() if text else b""]

    def _attributes(self, value: object) -> list[bytes]:
        slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
        state = {name: getattr(value, name) for name in slots if hasattr(value, name)} | getattr(value, "__dict__", {})
        return [self.encode(type(value)), self.encode(state)] if state else []


def _slots(kind: type) -> Sequence[str]:
    names = vars(kind).get("__slots__", ())
    names = (names,) if isinstance(names, str) else tuple(names)
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def _names(code: types.CodeType) -> set[str]:
    inner = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _is_set(key: str, value: object) -> bool:
    """Whether an attribute says more than that its object is a module."""
    return key == "training" or key not in _OF_EVERY_MODULE or bool(value)
