"""How a network that adds treats its two numbers: the two measures of Zhong et al. 2023 (arXiv 2306.17844), and what is added.

Every table of pairs has a outermost.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vmap

from heldout.grokking.attention_rate import MixedAttention
from heldout.grokking.modular import all_pairs

Slopes = tuple[Float[Tensor, "pairs modulus size"], Float[Tensor, "pairs modulus size"]]


def slopes(answer: Callable[[Tensor, Tensor], Tensor], embed: Float[Tensor, "modulus size"]) -> Slopes:
    """The gradients of every logit of every pair in the embedding that a reads, and in the one that b reads."""
    pairs = all_pairs(len(embed)).to(embed.device)
    found: Slopes = vmap(jacrev(answer, argnums=(0, 1)), chunk_size=1024)(embed[pairs[:, 0]], embed[pairs[:, 1]])
    return found


def gradient_symmetricity(found: Slopes) -> float:
    """The mean cosine of the two gradients of a logit: Zhong et al.'s Definition 4.1, over all (a, b, c)."""
    return float(torch.cosine_similarity(*found, dim=-1).mean())


def right_logits(logits: Float[Tensor, "pairs modulus"]) -> Float[Tensor, "distance modulus"]:
    """The logit of the right answer, by the distance b - a (rows) and a."""
    modulus = logits.shape[1]
    a, distance = torch.arange(modulus), torch.arange(modulus)[:, None]
    b = (a + distance) % modulus
    return logits.view(modulus, modulus, modulus)[a.expand_as(b), b, (a + b) % modulus]


def distance_irrelevance(logits: Float[Tensor, "pairs modulus"]) -> float:
    """Mean over distances of the right logit's deviation at one distance, over that over all pairs: their Definition 4.2."""
    right = right_logits(logits).double()
    return float(right.std(1, correction=0).mean() / right.std(correction=0))


def added(table: Float[Tensor, "modulus modulus units"]) -> Float[Tensor, "modulus modulus units"]:
    """The nearest function of a plus function of b."""
    return table.mean(0, keepdim=True) + table.mean(1, keepdim=True) - table.mean((0, 1), keepdim=True)


def added_share(table: Float[Tensor, "modulus modulus units"]) -> float:
    """The share of the variance over all pairs, summed over units, that a function of a plus a function of b explains."""
    spread = (table - table.mean((0, 1))).square().sum()
    return float((added(table) - table.mean((0, 1))).square().sum() / spread)


def share_right(logits: Float[Tensor, "*pairs modulus"]) -> float:
    """The share of all pairs that is answered correctly."""
    modulus = logits.shape[-1]
    sums = all_pairs(modulus).sum(1).to(logits.device) % modulus
    return float((logits.reshape(-1, modulus).argmax(1) == sums).double().mean())


@torch.no_grad()
def cuts(network: MixedAttention) -> dict[str, float]:
    """What is added at the hidden layer, and what is right if attention's joint part, the layer's, or both are taken out.

    A table over pairs is the nearest function of a plus function of b, and a joint part. Attention's cut leaves the sum alone of
    what the layer is given. The layer's leaves the sum of a unit's outputs and passes the joint part of its inputs on through a
    straight line, whose slope is the share of pairs at which the unit is open: what attention multiplied is handed on, and
    nothing is multiplied anew. Without either only the two sums are left.
    """
    stream = network.stream()
    inputs, outputs = network.unit_inputs(stream), network.unit_outputs(stream)
    summed = added(stream)
    slope = (inputs > 0).float().mean((0, 1))
    passed = added(outputs) + slope * (inputs - added(inputs))
    return {
        "added_in": added_share(inputs), "added_out": added_share(outputs),
        "whole": share_right(network.read_out(stream, outputs)),
        "without_attention": share_right(network.read_out(summed, network.unit_outputs(summed))),
        "without_layer": share_right(network.read_out(stream, passed)),
        "without_both": share_right(network.read_out(summed, added(outputs))),
    }  # fmt: skip
