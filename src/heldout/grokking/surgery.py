"""What a network's hidden units are tuned to, and what is left of it when some frequencies are cut out of its weights.

A frequency k of a table with P rows is its part along cos(2 pi k a / P) and sin(2 pi k a / P), as functions of the row a. The
constant part is never touched. No label is used here.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heldout.grokking import fourier
from heldout.grokking.modular import all_pairs
from heldout.grokking.pair_networks import PairMLP, PairTransformer

PairNetwork = PairMLP | PairTransformer
TABLES = {PairMLP: ("left", "right", "unembed"), PairTransformer: ("embed",)}


def unit_inputs(network: PairNetwork, modulus: int) -> Float[Tensor, "modulus modulus units"]:
    """What each hidden unit is given, before its activation, for every pair (a, b)."""
    if isinstance(network, PairMLP):
        return network.left[:, None] + network.right
    stream = network.last_stream(all_pairs(modulus).to(network.embed.device))[0]
    given: Tensor = (stream @ network.hidden_in.T).view(modulus, modulus, -1)
    return given


def tuning(inputs: Float[Tensor, "modulus modulus units"]) -> Float[Tensor, "frequencies units"]:
    """The share of each unit's variance over all pairs that each frequency explains.

    Frequency k explains what lies in the span of the cosine and sine of 2 pi k a / P, those of 2 pi k b / P, and the four
    products of one with the other.
    """
    modulus = len(inputs)
    rows = fourier.basis(modulus, inputs.dtype).to(inputs.device)
    seen = torch.einsum("ua,vb,abh->uvh", rows, rows, inputs).square()
    count, units = (modulus - 1) // 2, inputs.shape[-1]
    alone = seen[1:, 0].view(count, 2, units).sum(1) + seen[0, 1:].view(count, 2, units).sum(1)
    together = seen[1:, 1:].view(count, 2, count, 2, units).sum((1, 3)).diagonal(dim1=0, dim2=1).T
    shares: Tensor = (alone + together) / (seen.sum((0, 1)) - seen[0, 0])
    return shares


def spectra(network: PairNetwork, modulus: int) -> Float[Tensor, "frequencies columns"]:
    """Power by frequency of what is cut: one column a hidden unit in the MLP, one for the whole embedding in the transformer.

    A unit of the MLP has a column in each of its three tables; they are judged together.
    """
    rows = fourier.basis(modulus, next(network.parameters()).dtype).to(next(network.parameters()).device)
    tables = [getattr(network, name)[:modulus] for name in TABLES[type(network)]]
    seen = torch.stack([(rows @ table).square() for table in tables]).sum(0)
    pairs: Tensor = seen[1::2] + seen[2::2]
    return pairs if isinstance(network, PairMLP) else pairs.sum(1, keepdim=True)


@torch.no_grad()
def alignment(network: PairMLP, modulus: int) -> float:
    """Mean over units of the cosine of phi1 + phi2 - phi3, the phases of a unit's tables at its strongest frequency."""
    frequency = spectra(network, modulus).argmax(0) + 1
    waves = [torch.fft.rfft(getattr(network, name).double(), dim=0) for name in TABLES[PairMLP]]
    left, right, out = (wave.gather(0, frequency[None]).squeeze(0) for wave in waves)
    turned = left * right * out.conj()
    return float((turned.real / turned.abs()).mean())


def strongest(power: Float[Tensor, "frequencies columns"], count: int) -> Bool[Tensor, "frequencies columns"]:
    """Which frequencies are the ``count`` strongest of each column."""
    return torch.zeros_like(power, dtype=torch.bool).scatter_(0, power.argsort(0, descending=True)[:count], True)


def cut(network: PairNetwork, modulus: int, keep: Bool[Tensor, "frequencies columns"]) -> dict[str, Tensor]:
    """The network's parameters with only the frequencies in ``keep``, and the constants, left in the tables."""
    state = {name: value.detach().clone() for name, value in network.named_parameters()}
    for name in TABLES[type(network)]:
        table = state[name][:modulus]
        rows = fourier.basis(modulus, table.dtype).to(table.device)
        kept = torch.cat([torch.ones_like(keep[:1]), keep.repeat_interleave(2, 0)])
        state[name][:modulus] = rows.T @ (kept * (rows @ table))
    return state


@torch.no_grad()
def look(network: PairNetwork, modulus: int) -> dict[str, np.ndarray]:
    """Spectrum of the tables that read the numbers, as shares, and its Gini coefficient; tuning of the median unit; alignment.

    The alignment of a transformer is NaN.
    """
    tables = (network.left, network.right) if isinstance(network, PairMLP) else (network.embed[:modulus],)
    power = fourier.power(torch.cat([table.double() for table in tables], 1))
    tuned = tuning(unit_inputs(network, modulus).double()).max(0).values
    found = {"power": power / power.sum(), "gini": fourier.gini(power), "tuned": tuned.nanmedian()}
    aligned = alignment(network, modulus) if isinstance(network, PairMLP) else float("nan")
    return {name: value.cpu().numpy() for name, value in found.items()} | {"aligned": np.array(aligned)}


@torch.no_grad()
def operate(
    network: PairNetwork, modulus: int, count: int, sets: Sequence[tuple[Tensor, Tensor]]
) -> Float[np.ndarray, "cut sets"]:
    """Accuracy on sets of pairs and answers after each cut; the network is left whole.

    The cuts: none; all but the ``count`` strongest frequencies of each column; these alone; the ``count`` next strongest.
    """
    power = spectra(network, modulus)
    keys, more = strongest(power, count), strongest(power, 2 * count)
    whole = {name: value.detach().clone() for name, value in network.named_parameters()}
    found = []
    for keep in (torch.ones_like(keys), keys, ~keys, keys | ~more):
        network.load_state_dict(cut(network, modulus, keep))
        found.append([float((network(asked).argmax(-1) == told).float().mean()) for asked, told in sets])
        network.load_state_dict(whole)
    return np.array(found)
