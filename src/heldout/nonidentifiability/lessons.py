"""What the twins are taught: which prompts, and the batches of their second loss."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from heldout import devices
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability.sequence_training import Batch

KINDS: tuple[anbn.Kind, ...] = ("oracle", "adversarial")


def taught_prompts(share: float, seeds: list[int], rows: np.ndarray, *, inside: bool = False) -> np.ndarray:
    """For each seed, a random share of the prompts outside the language, or of those inside it (seed, prompt)."""
    among = np.flatnonzero(anbn.in_distribution(rows) == inside)
    count = min(max(1, round(share * len(among))), len(among) - 1)
    taught = np.zeros((len(seeds), len(rows)), dtype=bool)
    for row, seed in zip(taught, seeds, strict=True):
        order = torch.randperm(len(among), generator=devices.generator("taught", seed)).numpy()
        row[among[order[:count]]] = True
    return taught


class Lessons:
    """The second loss's batches: at each update some taught prompts, the same for both twins of a seed."""

    def __init__(self, seeds: list[int], prompts: np.ndarray, taught: np.ndarray, *, steps: int, rows: int) -> None:
        lessons = [anbn.taught(prompts, kind) for kind in KINDS]
        places = max(read.shape[1] for read, _ in lessons)
        self.read = torch.stack([_widened(read, places, anbn.END) for read, _ in lessons])
        self.wanted = torch.stack([_widened(wanted, places, anbn.IGNORED) for _, wanted in lessons])
        picks = []
        for mine, seed in zip(taught, seeds, strict=True):
            known = torch.from_numpy(np.flatnonzero(mine))
            drawn = torch.randint(len(known), (steps, rows), generator=devices.generator("lessons", seed))
            picks.append(known[drawn])
        self.picks = torch.stack(picks, 1)  # (step, seed, row)
        self.places = _needed(self.wanted)[self.picks].amax((1, 2)).tolist()

    def __call__(self, step: int) -> Batch:
        """What the twins read and should write at an update, (kind and seed, row, place), without places that none needs."""
        picks, places = self.picks[step], self.places[step]
        return self.read[:, picks, :places].flatten(0, 1), self.wanted[:, picks, :places].flatten(0, 1)


def _needed(wanted: Tensor) -> Tensor:
    """How many places of a prompt hold its longest lesson (prompt)."""
    return ((wanted != anbn.IGNORED) * torch.arange(1, wanted.shape[-1] + 1)).amax((0, 2))


def _widened(tokens: Tensor, places: int, filler: int) -> Tensor:
    return functional.pad(tokens, (0, places - tokens.shape[1]), value=filler)
