"""Where a run computes, and where its randomness comes from.

Data and initial weights are always drawn on the CPU from a generator derived by hashing named coordinates, so a member of a
sweep has the same data on every device and adding a width or a seed changes no other member.
"""

import difflib
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import torch

DEVICES = ("auto", "cpu", "cuda")
_LARGEST_THAT_COUNTS = 2**25 - 2**16  # bytes, with room for the allocator's own


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "cuda:1" into a device that exists here.

    Raises:
        ValueError: the name is unknown, or CUDA is asked for and none is present.
    """
    name = str(device)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        near = difflib.get_close_matches(name, DEVICES, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ValueError(f"device={name!r}: must be one of {', '.join(DEVICES)}{hint}")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device={name!r}: no CUDA device is present here; use cpu or auto")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device={name!r}: must be below cuda:{torch.cuda.device_count()}")
    return device


def derive_seed(*coordinates: int | float | str) -> int:
    """A 63-bit seed that depends on every coordinate and on their order, and on nothing else."""
    text = "\x1f".join(f"{type(c).__name__}:{c!r}" for c in map(_plain, coordinates))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*coordinates: int | float | str) -> torch.Generator:
    """A CPU generator of its own for the named coordinates, e.g. ``generator("features", seed, width)``."""
    return torch.Generator(device="cpu").manual_seed(derive_seed(*coordinates))


def numpy_generator(*coordinates: int | float | str) -> np.random.Generator:
    """The NumPy counterpart of :func:`generator`."""
    return np.random.default_rng(derive_seed(*coordinates))


def onto(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on the device; a GPU reads it from pinned memory, and the program does not wait for that."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def keep_freed_memory() -> None:
    """Let the process keep up to 64 MB that it has freed, where the system's allocator learns from what is freed (glibc).

    Until it has learned, the activations of a large step go back to the system after each step, and the next one begins with
    thousands of page faults; how soon it learns by itself depends on what lies at the end of its heap. A freed block of
    almost 32 MB, the largest that counts, teaches glibc to keep twice as much (mallopt(3), M_MMAP_THRESHOLD). Anywhere else
    nothing changes.
    """
    torch.empty(_LARGEST_THAT_COUNTS, dtype=torch.uint8)


def _plain(coordinate: int | float | str) -> int | float | str:
    """NumPy scalars hash like the Python numbers they hold."""
    return coordinate.item() if isinstance(coordinate, np.generic) else coordinate


@contextmanager
def full_precision() -> Iterator[None]:
    """Products, convolutions and recurrent layers of float32 in float32, where a GPU may round to tf32; settings are put back."""
    parts: list[Any] = [torch.backends.cuda.matmul, *(getattr(torch.backends.cudnn, name) for name in ("conv", "rnn"))]
    before = [part.fp32_precision for part in parts]
    try:
        for part in parts:
            part.fp32_precision = "ieee"
        yield
    finally:
        for part, setting in zip(parts, before, strict=True):
            part.fp32_precision = setting


@dataclass
class Peak:
    """Peak memory of a block, in bytes: resident memory of the process, and the device allocator's peak."""

    resident: int = 0
    device: int = 0


@contextmanager
def peak_memory(device: torch.device, interval: float = 0.02) -> Iterator[Peak]:
    """Sample the resident memory while the block runs (a process's own high-water mark cannot be reset portably)."""
    process, peak, done = psutil.Process(os.getpid()), Peak(), threading.Event()

    def sample() -> None:
        while True:
            peak.resident = max(peak.resident, process.memory_info().rss)
            if done.wait(interval):
                return

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    watcher = threading.Thread(target=sample, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
        peak.resident = max(peak.resident, process.memory_info().rss)
        if device.type == "cuda":
            peak.device = torch.cuda.max_memory_allocated(device)


def describe_device(device: torch.device) -> str:
    """The device's name as it should stand in a record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "cpu"
