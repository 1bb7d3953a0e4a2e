"""The effective theory of Liu et al.'s toy in closed form: the normalized gradient flow of the parallelograms' squares.

The effective loss is l(E) = E^T H E / E^T E, with H from :func:`heldout.grokking.addition_toy.quadratic_form` (arXiv 2205.10343,
section 3.2). Its gradient flow keeps the length of E and turns E as exp(-2 H t / E^T E) does, which the page derives. One unit of
time is one unit of learning rate times updates.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from heldout.grokking.addition_toy import STRUCTURED, rqi

# From far below the first change to far beyond the slowest rate found, 2 % apart.
_TIMES = np.geomspace(1e-3, 1e4, 800)


def standardized(embedding: Float[Tensor, "*batch p"]) -> Float[Tensor, "*batch p"]:
    """Coordinates shifted and scaled to mean 0 and standard deviation 1, in float64."""
    values = embedding.double()
    return (values - values.mean(-1, keepdim=True)) / values.std(-1, keepdim=True)


def flow(form: Float[Tensor, "p p"], start: Float[Tensor, " p"], times: Float[Tensor, " time"]) -> Tensor:
    """The embedding at each time, (time, p), from a start that is first standardized."""
    begin = standardized(start)
    values, vectors = torch.linalg.eigh(form.double())
    # Relative to the slowest component that the start has, nothing underflows.
    decay = torch.exp(-2 * times.double()[:, None] * values.clamp(min=0) / begin.square().sum())
    turned: Tensor = (decay * (vectors.T @ begin)) @ vectors.T
    lengthened: Tensor = turned * begin.norm() / turned.norm(dim=1, keepdim=True)
    return lengthened


def grokking_rate(form: Float[Tensor, "p p"]) -> float:
    """The third-smallest eigenvalue of H; the two below it are always 0. Zero, too, when a third direction costs nothing."""
    value = float(torch.linalg.eigvalsh(form.double())[2])
    return value if value > 1e-9 else 0.0


def effective_loss(form: Float[Tensor, "p p"], embedding: Float[Tensor, "*batch p"]) -> Float[Tensor, " *batch"]:
    """E^T H E / E^T E of the centered coordinates."""
    values = standardized(embedding)
    return ((values @ form) * values).sum(-1) / values.square().sum(-1)


def time_to_structure(form: Float[Tensor, "p p"], start: Float[Tensor, " p"]) -> float:
    """When the flow first has an RQI of at least STRUCTURED, to 2 %; infinite where it never has."""
    quality = rqi(flow(form, start, torch.from_numpy(_TIMES)).unsqueeze(-1)).numpy()
    reached = quality >= STRUCTURED
    return float(_TIMES[reached.argmax()]) if reached.any() else float("inf")
