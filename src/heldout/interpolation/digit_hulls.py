"""Digits as points of a space of few or many dimensions, and the checks on the test of membership in their hull."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout import hull

PIXELS = 784


def components(x: Float[Tensor, "n d"], count: int) -> tuple[Float[Tensor, "d count"], Float[Tensor, " d"]]:
    """The leading principal components, one a column, and the mean (float64)."""
    mean = x.double().mean(0)
    centered = x.double() - mean
    return torch.linalg.eigh(centered.T @ centered).eigenvectors.flip(1)[:, :count].contiguous(), mean


def reduce(
    x: Float[Tensor, "n d"], basis: Float[Tensor, "d count"], mean: Float[Tensor, " d"], dimension: int
) -> Float[Tensor, "n k"]:
    """The digits on their first components, or as they are where all pixels are asked for."""
    return x.double() if dimension == PIXELS else (x.double() - mean) @ basis[:, :dimension]


def nearest_rows(known: Float[Tensor, "n d"], asked: Float[Tensor, "q d"], device: torch.device) -> Int[Tensor, " q"]:
    """The row of the nearest known point, for each asked one."""
    known, asked = known.float().to(device), asked.float()
    half = known.square().sum(1) / 2
    return torch.cat([(half - part.to(device) @ known.T).argmin(1) for part in torch.split(asked, 1000)]).cpu()


def decide_twice(
    known: Float[Tensor, "n d"], asked: Float[Tensor, "q d"], draw: torch.Generator
) -> tuple[int, int, int, int]:
    """Decide the points asked, and a tenth as many mixtures of ten known points, by linear programs too.

    Returns:
        How many points, how many of them inside, and how often the hull test and the bounding box agree.
    """
    mixtures = []
    for _ in range(max(1, len(asked) // 10)):
        rows = torch.randint(len(known), (10,), generator=draw)
        share = torch.rand(10, generator=draw, dtype=torch.float64)
        mixtures.append((share / share.sum()) @ known[rows])
    points = torch.cat([asked, torch.stack(mixtures)])
    truth = np.array([hull.by_linear_program(known.numpy(), point.numpy()) for point in points])
    ours = hull.membership(known, points).inside.numpy()
    box = ((points >= known.min(0).values) & (points <= known.max(0).values)).all(1).numpy()
    return len(points), int(truth.sum()), int((ours == truth).sum()), int((box == truth).sum())
