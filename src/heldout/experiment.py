"""The contract of an experiment: presets, provenance, and how to find and run one.

    Config (frozen) -> run(config, device) -> xarray.Dataset -> store -> plot(dataset) / CLAIMS / explorable -> page

An experiment is one module. It exports ``Config``, the presets ``SMOKE``, ``BOOK`` and ``PAPER``, a pure ``run``
decorated with :func:`recorded`, ``plot``, ``describe`` (the figure in words), ``numbers`` (what prose may quote) and
``CLAIMS``. Its chapter's ``__init__`` names it in ``EXPERIMENTS``; the command line, the ledger and the tests find it there.
"""

import dataclasses
import difflib
import functools
import importlib
import json
import pkgutil
import time
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

import heldout
from heldout import devices
from heldout.claims import Claim

PRESETS = ("smoke", "book", "paper")
Progress = Callable[[int, int], None]


class Experiment(Protocol):
    """What a module must export to be an experiment."""

    __name__: str
    __doc__: str | None
    Config: type[Any]
    SMOKE: Any
    BOOK: Any
    PAPER: Any
    CLAIMS: tuple[Claim, ...]

    def run(self, config: Any, *, device: str = "auto", progress: Progress | None = None) -> xr.Dataset:
        """Compute the result; pure."""
        ...

    def plot(self, result: xr.Dataset, ax: Axes | None = None) -> Axes:
        """Draw a result."""
        ...

    def describe(self, result: xr.Dataset) -> str:
        """Say what the figure shows."""
        ...

    def numbers(self, result: xr.Dataset) -> dict[str, float | int | str]:
        """Give the numbers that prose may quote."""
        ...


class Run(Protocol):
    """A run before it is stamped: it receives a device that exists and a progress callback that is never None."""

    def __call__(self, config: Any, *, device: torch.device, progress: Progress) -> xr.Dataset:
        """Compute the result."""
        ...


def silent(done: int, total: int) -> None:
    """The progress callback of a caller who wants none."""


def recorded(run: Run) -> Callable[..., xr.Dataset]:
    """Resolve the device, time the run, and stamp what made the result into its attributes.

    On a GPU float32 is float32: no product is rounded to tf32, unless the run asks for fewer digits itself.

    Stamped: experiment, config (JSON), package and torch versions, device, threads, seconds (s), peak_memory (bytes,
    resident memory of the process), device_memory (bytes), created (UTC). ``units`` and ``long_name`` stay with the variables.
    """

    @functools.wraps(run)
    def stamped(config: Any, *, device: str = "auto", progress: Progress | None = None) -> xr.Dataset:
        where = devices.resolve_device(device)
        started = time.perf_counter()
        with devices.peak_memory(where) as peak, devices.full_precision():
            result = run(config, device=where, progress=progress or silent)
        result.attrs.update(
            experiment=run.__module__.removeprefix("heldout."),
            config=config_json(config),
            heldout=heldout.__version__,
            torch=str(torch.__version__),
            device=devices.describe_device(where),
            threads=torch.get_num_threads(),
            seconds=time.perf_counter() - started,
            peak_memory=peak.resident,
            device_memory=peak.device,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        return result

    return stamped


def variable(
    dims: str | tuple[str, ...], values: Any, long_name: str, units: str = "1"
) -> tuple[str | tuple[str, ...], np.ndarray, dict[str, str]]:
    """A labeled variable or coordinate for ``xr.Dataset``; ``values`` may be a list, an array or a tensor on any device."""
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    return dims, array, {"long_name": long_name, "units": units}


def config_json(config: Any) -> str:
    """The config as canonical JSON: the same text for the same values, whatever the order of the fields."""
    return json.dumps(dataclasses.asdict(config), sort_keys=True)


def require(condition: bool, field: str, value: object, allowed: str) -> None:
    """Raise ``ValueError`` naming field, value and what is allowed, unless the condition holds."""
    if not condition:
        raise ValueError(f"{field}={value!r}: must be {allowed}")


def chapters() -> list[str]:
    """Names of the subpackages that declare ``EXPERIMENTS``."""
    names = [module.name for module in pkgutil.iter_modules(heldout.__path__) if module.ispkg]
    return [name for name in names if hasattr(importlib.import_module(f"heldout.{name}"), "EXPERIMENTS")]


def names(chapter: str | None = None) -> list[str]:
    """Every experiment as ``chapter.module``, in the order in which its chapter lists them.

    Raises:
        ValueError: no chapter has this name.
    """
    if chapter is not None and chapter not in chapters():
        raise ValueError(f"chapter={chapter!r}: {_nearest(chapter, chapters())}")
    wanted = chapters() if chapter is None else [chapter]
    return [f"{c}.{e}" for c in wanted for e in importlib.import_module(f"heldout.{c}").EXPERIMENTS]


def find(name: str) -> Experiment:
    """The experiment called ``chapter.module``.

    Raises:
        ValueError: no experiment has this name; the message gives the nearest ones.
    """
    known = names()
    if name not in known:
        raise ValueError(f"experiment={name!r}: {_nearest(name, known)}")
    return typing.cast(Experiment, importlib.import_module(f"heldout.{name}"))


def short_name(experiment: Experiment) -> str:
    """``chapter.module`` of an experiment."""
    return experiment.__name__.removeprefix("heldout.")


def preset(experiment: Experiment, name: str) -> Any:
    """The preset called smoke, book or paper.

    Raises:
        ValueError: there is no such preset.
    """
    if name.lower() not in PRESETS:
        raise ValueError(f"preset={name!r}: {_nearest(name, PRESETS)}")
    return getattr(experiment, name.upper())


def preset_name(experiment: Experiment, config: Any) -> str:
    """Which preset a config is, or "custom"."""
    return next((name for name in PRESETS if preset(experiment, name) == config), "custom")


def change(config: Any, settings: Mapping[str, str]) -> Any:
    """A copy of ``config`` with the named fields set from text, e.g. ``{"num_train": "500", "widths": "4,8"}``.

    Raises:
        ValueError: unknown field, text that is not of the field's type, or a value that the config refuses.
    """
    types = typing.get_type_hints(type(config))
    values: dict[str, Any] = {}
    for field, text in settings.items():
        if field not in types:
            raise ValueError(f"key={field!r}: {_nearest(field, list(types))}")
        values[field] = _parse(field, text, types[field])
    return dataclasses.replace(config, **values)


def _parse(field: str, text: str, kind: Any) -> Any:
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        return tuple(_parse(field, part, inner) for part in text.split(",") if part)
    if typing.get_origin(kind) is typing.Literal:
        kind = str
    if kind is bool:
        require(text.lower() in ("true", "false"), field, text, "true or false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{field}={text!r}: must be of type {kind.__name__}") from None


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f"unknown; nearest: {', '.join(near)}" if near else f"unknown; known: {', '.join(known)}"
