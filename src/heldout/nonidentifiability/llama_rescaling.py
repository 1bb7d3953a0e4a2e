"""One language model, many weights: factors on a block's channels that leave its function as it was, and the balanced ones.

Five places of a block of the Llama type let factors through. A norm's scale is linear, so a factor on a channel can move from it
into the matrices that follow. What a unit says is linear in ``up``, so a unit's factor can move from its row in ``up`` to its
column in ``down``. What attention mixes is linear in the values, so a channel's factor can move from ``value`` to
``out``. And the score of a query with a key is a sum over the pairs of entries that turn together, so a pair's factor can move
from ``query`` to ``key``.
"""

import copy

import torch
from jaxtyping import Float
from torch import Tensor

from heldout.devices import generator
from heldout.language_model import Block

Factors = dict[str, Float[Tensor, " channel"]]
PLACES = ("attention", "gated", "units", "values", "pairs")


def sizes(block: Block) -> dict[str, int]:
    """How many factors there are at every place; keys are shared, so a factor of a key channel serves a group of queries."""
    attention, gated = block.attention, block.gated
    return {
        "attention": attention.query.in_features,
        "gated": gated.gate.in_features,
        "units": gated.up.out_features,
        "values": attention.value.out_features,
        "pairs": attention.key.out_features // 2,
    }


def spread_factors(block: Block, spread: float, *coordinates: int | str) -> Factors:
    """One factor a channel, its logarithm normal with standard deviation log ``spread``."""
    draw = generator("block factors", *coordinates)
    weight = block.gated.up.weight
    return {
        name: (spread ** torch.randn(size, generator=draw, dtype=torch.float64)).to(weight.device, weight.dtype)
        for name, size in sizes(block).items()
    }


def rescaled(block: Block, factors: Factors) -> Block:
    """A copy of the block with the factors put in, which computes the same function in exact arithmetic."""
    twin = copy.deepcopy(block)
    attention, gated = twin.attention, twin.gated
    key, query = _of_heads(block, factors["pairs"])
    with torch.no_grad():
        twin.attention_norm.weight.div_(factors["attention"])
        for layer in (attention.query, attention.key, attention.value):
            layer.weight.mul_(factors["attention"])
        twin.gated_norm.weight.div_(factors["gated"])
        for layer in (gated.gate, gated.up):
            layer.weight.mul_(factors["gated"])
        gated.up.weight.mul_(factors["units"][:, None])
        gated.down.weight.div_(factors["units"])
        attention.value.weight.mul_(factors["values"][:, None])
        attention.out.weight.div_(_of_queries(block, factors["values"]))
        attention.key.weight.mul_(key[:, None])
        attention.query.weight.div_(query[:, None])
    return twin


def _of_queries(block: Block, channels: Float[Tensor, " channel"]) -> Float[Tensor, " width"]:
    """What belongs to a head of keys and values, repeated for every query head that shares it."""
    shape = block.attention.shape
    heads = channels.view(shape.key_heads, -1)
    return heads.repeat_interleave(shape.heads // shape.key_heads, 0).flatten()


def _of_heads(block: Block, pairs: Float[Tensor, " pair"]) -> tuple[Tensor, Tensor]:
    """A factor of a pair for both of its entries, half a head apart: of the key channels and of the query channels."""
    heads = pairs.view(block.attention.shape.key_heads, -1)
    key = torch.cat([heads, heads], dim=1).flatten()
    return key, _of_queries(block, key)


def balanced(block: Block, rounds: int = 20) -> Block:
    """The block among all its twins whose weights have the least sum of squares: at every place what comes in is as long as what
    goes out.

    The logarithm of that sum is convex in the logarithms of the factors, and one place after the other is made even, so all twins
    of a block come to the same one. Norms keep the signs of their scales.
    """
    for _ in range(rounds):
        for name in PLACES:
            block = rescaled(block, _ones(block) | {name: _evening(block, name)})
    return block


def _ones(block: Block) -> Factors:
    like = block.gated.up.weight
    return {name: torch.ones(size, device=like.device, dtype=like.dtype) for name, size in sizes(block).items()}


@torch.no_grad()
def _evening(block: Block, name: str) -> Float[Tensor, " channel"]:
    """The factors of one place that make both lengths equal: the root of what goes out over what comes in."""
    attention, gated, shape = block.attention, block.gated, block.attention.shape
    group, size = shape.heads // shape.key_heads, shape.width // shape.heads
    if name in ("attention", "gated"):
        norm = block.attention_norm if name == "attention" else block.gated_norm
        layers = (attention.query, attention.key, attention.value) if name == "attention" else (gated.gate, gated.up)
        outward = norm.weight.square()
        inward = torch.cat([layer.weight for layer in layers]).square().sum(0)
    elif name == "units":
        outward, inward = gated.down.weight.square().sum(0), gated.up.weight.square().sum(1)
    elif name == "values":
        outward = attention.out.weight.square().sum(0).view(shape.key_heads, group, size).sum(1).flatten()
        inward = attention.value.weight.square().sum(1)
    else:
        outward = (
            attention.query.weight.square().sum(1).view(shape.key_heads, group, 2, size // 2).sum((1, 2)).flatten()
        )
        inward = attention.key.weight.square().sum(1).view(shape.key_heads, 2, size // 2).sum(1).flatten()
    return (outward / inward) ** 0.25
