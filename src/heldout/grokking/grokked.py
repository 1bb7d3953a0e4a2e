"""Networks that have grokked modular addition, to be trained on: the start of the pages on which circuit wins."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from heldout.devices import generator
from heldout.grokking.modular import Split, split
from heldout.grokking.pair_networks import PairMLP
from heldout.grokking.training import train_on_pairs

Progress = Callable[[int, int], None]


def members(modulus: int, hidden_size: int, seeds: Sequence[int]) -> list[nn.Module]:
    """One untrained network a seed."""
    return [PairMLP(modulus, hidden_size, generator=generator("which circuit", modulus, hidden_size, s)) for s in seeds]


def splits(modulus: int, fraction: float, seeds: Sequence[int], *, random: bool = False) -> list[Split]:
    """One split a seed; with ``random``, every training label is drawn at random."""
    return [split(modulus, fraction, seed, random_share=float(random)) for seed in seeds]


def grokked_members(
    modulus: int,
    hidden_size: int,
    seeds: Sequence[int],
    *,
    fraction: float,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    device: torch.device,
    progress: Progress,
) -> tuple[list[nn.Module], list[float]]:
    """Networks trained by AdamW on a fraction of the pairs, and their accuracy on the pairs held out."""
    trained = members(modulus, hidden_size, seeds)
    history = train_on_pairs(
        trained, splits(modulus, fraction, seeds), steps=steps, probe_steps=[steps], learning_rate=learning_rate,
        weight_decay=weight_decay, device=device, progress=progress,
    )  # fmt: skip
    for member, state in zip(trained, history.states, strict=True):
        member.load_state_dict(state)
    return trained, history.values["test_accuracy"][-1].tolist()


def stage(progress: Progress, before: int, steps: int, total: int) -> Progress:
    """The progress of one training of ``steps`` among several: ``before`` updates are done, ``total`` to do in all.

    The engine counts the updates of every chunk that it cuts an ensemble into, hence the share of its own total.
    """
    return partial(_stage, progress, before, steps, total)


def _stage(progress: Progress, before: int, steps: int, total: int, done: int, of: int) -> None:
    progress(before + steps * done // of, total)
