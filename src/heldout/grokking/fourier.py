"""The discrete Fourier transform on the integers modulo an odd P, and what it shows of weights and logits.

Frequencies are k = 1 .. (P - 1) / 2; each stands for a cosine and a sine. A table of P rows is a function of a number.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def basis(modulus: int, dtype: torch.dtype = torch.float32) -> Float[Tensor, "modulus modulus"]:
    """Orthonormal rows: the constant, then cosine and sine of each frequency, as functions of 0 .. P - 1."""
    angle = 2 * math.pi * torch.arange(modulus, dtype=torch.float64) / modulus
    rows = [torch.full((modulus,), 1 / math.sqrt(modulus), dtype=torch.float64)]
    for k in range(1, (modulus - 1) // 2 + 1):
        rows += [math.sqrt(2 / modulus) * torch.cos(k * angle), math.sqrt(2 / modulus) * torch.sin(k * angle)]
    return torch.stack(rows).to(dtype)


def power(table: Float[Tensor, "*members modulus columns"]) -> Float[Tensor, "*members frequencies"]:
    """Squared length of a table along each frequency, summed over its columns; the constant is left out."""
    modulus = table.shape[-2]
    seen = (basis(modulus, table.dtype).to(table.device) @ table).square().sum(-1)
    pairs: Tensor = seen[..., 1::2] + seen[..., 2::2]
    return pairs


def gini(values: Float[Tensor, "*members entries"]) -> Float[Tensor, "*members"]:
    """Gini coefficient of nonnegative entries: 0 where all are equal, toward 1 where one holds everything."""
    count = values.shape[-1]
    ordered = values.sort(-1).values
    rank = torch.arange(1, count + 1, dtype=values.dtype, device=values.device)
    return (2 * (rank * ordered).sum(-1) / ordered.sum(-1) - (count + 1)) / count


def key_frequencies(spectrum: Float[Tensor, " frequencies"], share: float = 0.95) -> Int[Tensor, " keys"]:
    """The fewest frequencies (from 1) that hold at least ``share`` of a spectrum's power, strongest first."""
    order = spectrum.argsort(descending=True)
    held = spectrum[order].cumsum(0) / spectrum.sum()
    return order[: int((held < share).sum()) + 1] + 1
