"""Cantor sets cut off at a finite level: samples, the points at which levels are judged, and a network that is exactly right.

Level j removes the middle share ``gap_shares[j - 1]`` of every interval that is left. The positives are what remains after
the last level, the negatives lie in the gaps. Networks see a position x in [0, 1] as 2 x - 1.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from heldout.devices import generator
from heldout.experiment import require
from heldout.networks import MLP

Interval = tuple[float, float]
INPUTS = ("position", "unfolded", "repeated")


def intervals(gap_shares: Sequence[float]) -> tuple[list[Interval], list[list[Interval]]]:
    """The intervals that remain, from left to right, and the gaps of each level."""
    kept: list[Interval] = [(0.0, 1.0)]
    gaps = []
    for share in gap_shares:
        halves = [(low, high, (high - low) * (1 - share) / 2) for low, high in kept]
        gaps.append([(low + part, high - part) for low, high, part in halves])
        kept = [piece for low, high, part in halves for piece in ((low, low + part), (high - part, high))]
    return kept, gaps


def sample(
    gap_shares: Sequence[float], masses: Sequence[float], count: int, seed: int
) -> tuple[Float[Tensor, "count 1"], Float[Tensor, "count 1"]]:
    """Positions in [0, 1] (float64) and labels, +1 in the set and -1 in a gap (float32), each with probability 1/2.

    Positives are spread evenly over the set. A negative is in a gap of level j with probability proportional to
    ``masses[j - 1]``, and spread evenly over that level's gaps.
    """
    draw = generator("cantor", "data", seed)
    kept, gaps = intervals(gap_shares)
    positive = torch.rand(count, generator=draw) < 0.5
    level = torch.multinomial(torch.tensor(masses, dtype=torch.float64), count, replacement=True, generator=draw)
    which, where = torch.rand(2, count, generator=draw, dtype=torch.float64)
    x = _place(kept, which, where)
    for number, level_gaps in enumerate(gaps):
        here = ~positive & (level == number)
        x[here] = _place(level_gaps, which[here], where[here])
    return x[:, None], (positive.float() * 2 - 1)[:, None]


def _place(pieces: list[Interval], which: Tensor, where: Tensor) -> Tensor:
    """``which`` in [0, 1) chooses the interval, ``where`` in [0, 1) the place inside."""
    ends = torch.tensor(pieces, dtype=torch.float64)[(which * len(pieces)).long()]
    return ends[:, 0] + (ends[:, 1] - ends[:, 0]) * where


def judged_points(gap_shares: Sequence[float], count: int) -> Float[Tensor, "sets count"]:
    """``count`` evenly spaced places in the set (first row) and in the gaps of each level (the other rows).

    Raises:
        ValueError: ``count`` is not a multiple of the number of intervals that remain.
    """
    kept, gaps = intervals(gap_shares)
    require(count >= 1 and count % len(kept) == 0, "num_judged", count, f"a positive multiple of {len(kept)}")
    rows = []
    for pieces in (kept, *gaps):
        each = count // len(pieces)
        inside = (torch.arange(each, dtype=torch.float64) + 0.5) / each
        rows.append(torch.cat([low + (high - low) * inside for low, high in pieces]))
    return torch.stack(rows)


def encoded(x: Float[Tensor, "*batch 1"], inputs: str, levels: int) -> Float[Tensor, "*batch features"]:
    """What a network is given for positions x in [0, 1]: the position, or triangle waves of it.

    ``unfolded`` gives, for j = 1 to ``levels``, the triangle wave that rises and falls between 0 and 1 with slope 3^(j-1).
    In middle-third sets a gap of level j is then the middle third of input j, as wide as every other. ``repeated`` gives
    ``levels`` copies of the position: as many inputs and no finer scale. All are scaled to [-1, 1].
    """
    if inputs != "unfolded":
        copies = levels if inputs == "repeated" else 1
        return (2 * x - 1).float().expand(*x.shape[:-1], copies)
    waves = [torch.remainder(x * 3.0**j, 2) for j in range(levels)]
    return torch.cat([2 * torch.where(wave > 1, 2 - wave, wave) - 1 for wave in waves], dim=-1).float()


def logistic(outputs: Float[Tensor, "*batch"], labels: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Loss of each output in nats for labels +1 and -1."""
    return functional.softplus(-labels * outputs)


def built_width(levels: int, depth: int) -> int:
    """Hidden units a layer that :func:`built_network` needs."""
    return max((1 << count) - 1 + (1 if layer == 0 else 2) for layer, count in enumerate(_tents(levels, depth)))


def built_network(
    gap_shares: Sequence[float], depth: int, width: int, *, sharpness: float = 1.0, dtype: torch.dtype = torch.float32
) -> MLP:
    """A network of ``depth`` hidden layers of ``width`` ReLU units that is positive on the set and negative in every gap.

    With T_j(y) = 2 / (1 - share_j) min(y, 1 - y), a point stays in the set at level j exactly if T_j maps where it has come
    so far into [0, 1]; a point that has left goes to ever more negative values. The output is
    ``sharpness`` times min(y, 1 - y) for y = T_n(...T_1(x)). Each hidden layer takes one or more of these n + 1 tents.

    Raises:
        ValueError: the width is below :func:`built_width`.
    """
    need = built_width(len(gap_shares), depth)
    require(width >= need, "width", width, f"at least {need} for {len(gap_shares)} levels at depth {depth}")
    slopes = [2 / (1 - share) for share in gap_shares] + [1.0]
    network = MLP(1, (width,) * depth, 1, generator=torch.Generator().manual_seed(0), dtype=dtype)
    # A layer reads y as weights @ units + bias; the first reads the position from 2 x - 1.
    reading, offset = torch.tensor([0.5], dtype=torch.float64), 0.5
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for layer, count in enumerate(_tents(len(gap_shares), depth)):
            mine, slopes = slopes[:count], slopes[count:]
            kinks = _kinks(mine)
            signs = [1.0] if layer == 0 else [1.0, -1.0]
            directions = torch.tensor(signs + [1.0] * len(kinks), dtype=torch.float64)
            shifts = torch.tensor([0.0] * len(signs) + [-kink for kink in kinks], dtype=torch.float64)
            units = len(directions)
            weight, bias = (network.get_parameter(f"layers.{layer}.{name}") for name in ("weight", "bias"))
            weight[:units, : len(reading)] = torch.outer(directions, reading).to(dtype)
            bias[:units] = (directions * offset + shifts).to(dtype)
            steepness = math.prod(mine)
            bends = [2 * steepness * (-1) ** (place + 1) for place in range(len(kinks))]
            reading = torch.tensor([steepness * sign for sign in signs] + bends, dtype=torch.float64)
            offset = 0.0
        network.get_parameter(f"layers.{depth}.weight")[0, : len(reading)] = (sharpness * reading).to(dtype)
    return network


def _tents(levels: int, depth: int) -> list[int]:
    """How many of the ``levels`` + 1 tents each hidden layer takes, the first layers one more."""
    each, more = divmod(levels + 1, depth)
    counts = [each + 1] * more + [each] * (depth - more)
    require(each >= 1, "depth", depth, f"at most {levels + 1}")
    return counts


def _kinks(slopes: Sequence[float]) -> list[float]:
    """Where the composition of tents with these slopes, the first applied first, turns; from left to right."""
    found: list[float] = []
    for slope in reversed(slopes):
        found = [0.5, *itertools.chain.from_iterable((kink / slope, 1 - kink / slope) for kink in found)]
    return sorted(found)
