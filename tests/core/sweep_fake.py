"""An experiment for the tests of sweeps: quick, and able to tell how often it ran, to fail and to eat memory."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from heldout.devices import generator
from heldout.experiment import Progress, recorded, require, variable

RAISES, HOG = 13, 99
STEP = 64 * 2**20  # bytes


@dataclass(frozen=True, kw_only=True)
class Config:
    width: int = 4
    sizes: tuple[int, ...] = (1, 2)
    scale: float = 1.0
    loud: bool = False
    pause: float = 0.0
    log: str = ""  # a file that says which tasks began and ended
    num_seeds: int = 4
    first_seed: int = 0

    def __post_init__(self) -> None:
        require(self.width >= 1, "width", self.width, "at least 1")


SMOKE = BOOK = PAPER = Config()


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:  # noqa: ARG001
    _note(config, "began")
    if config.width == RAISES:
        raise ValueError("the run does not like\nthis width")
    if config.width == HOG:
        _eat()
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    values = np.array([_value(config, seed) for seed in seeds])
    time.sleep(config.pause)
    progress(1, 1)
    _note(config, "ended")
    return xr.Dataset(
        {
            "value": variable(("seed", "size"), values, "a value"),
            "count": variable("seed", [seed % 3 for seed in seeds], "a count"),
            "name": variable("size", [f"size {size}" for size in config.sizes], "a name"),
            "first": variable("size", values[0], "the value at the run's first seed"),
            "per_unit": variable("unit", np.arange(config.width) / 2, "one number a unit"),
        },
        {"seed": seeds, "size": variable("size", config.sizes, "size")},
        {"double_width": 2 * config.width},
    )


def _value(config: Config, seed: int) -> list[float]:
    draws = torch.randn(500, config.width, generator=generator("fake", seed, config.width))
    return [float(draws[:size].sum() * config.scale) for size in config.sizes]


def _note(config: Config, word: str) -> None:
    if config.log:
        with Path(config.log).open("a") as file:
            file.write(f"{word} {config.width} {config.first_seed} {os.getpid()}\n")


def _eat() -> None:
    eaten = []
    for _ in range(64):
        eaten.append(np.ones(STEP, dtype=np.uint8))
        time.sleep(0.05)
    raise AssertionError("nobody ended this process")
