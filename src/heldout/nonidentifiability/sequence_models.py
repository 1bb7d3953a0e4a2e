"""Many small decoders as one network: every weight carries an axis of members, so that all are trained and read at once.

A member is an ordinary decoder-only transformer: learned positions, causal attention and a hidden layer on a residual stream,
each behind a layer normalization without weights of its own (a linear map follows each, which takes them in).
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from heldout.experiment import require

State = list[Tensor]
ALL = slice(None)


class Members(Protocol):
    """What training and writing ask of an ensemble of autoregressive models."""

    count: int  # members
    context: int  # places a member can read

    def __call__(self, tokens: Int[Tensor, "member row place"], members: slice = ALL) -> Tensor:
        """Logits (member, row, place, outputs) of the token after each place."""
        ...

    def begin(self, rows: int) -> State:
        """What is remembered of each row before the first token."""
        ...

    def advance(self, tokens: Int[Tensor, "member row"], place: int, state: State) -> Tensor:
        """Read one token a row and give the logits (member, row, outputs) of the next; the state is changed in place."""
        ...


class Transformers(nn.Module):
    """Decoder-only transformers of one size.

    Weights start normal with variance 1 / fan-in, those that write to the residual stream divided by the square root of twice
    the layers; embeddings normal with standard deviation 1 / sqrt(width); biases 0. Each member draws from its own generator.

    Raises:
        ValueError: a size is below 1, or ``heads`` does not divide ``width``.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        *,
        vocabulary: int,
        outputs: int,
        context: int,
        width: int = 32,
        layers: int = 2,
        heads: int = 4,
        hidden: int = 128,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        sizes = (len(generators), vocabulary, outputs, context, width, layers, heads, hidden)
        require(min(sizes) >= 1, "sizes", sizes, "positive")
        require(width % heads == 0, "heads", heads, f"a divisor of width={width}")
        self.count, self.context, self.layers, self.heads, self.width = len(generators), context, layers, heads, width

        def weight(*shape: int, scale: float) -> nn.Parameter:
            draws = [torch.randn(*shape, generator=generator, dtype=dtype) * scale for generator in generators]
            return nn.Parameter(torch.stack(draws))

        def bias(size: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(len(generators), 1, size, dtype=dtype))

        self.embed = weight(vocabulary, width, scale=width**-0.5)
        self.position = weight(context, width, scale=width**-0.5)
        back = (2 * layers) ** -0.5
        shapes = {
            "attend": (width, 3 * width, 1.0), "mix": (width, width, back), "widen": (width, hidden, 1.0),
            "narrow": (hidden, width, back),
        }  # fmt: skip
        for layer in range(layers):
            for name, (before, after, scale) in shapes.items():
                self.register_parameter(f"{name}{layer}", weight(before, after, scale=scale * before**-0.5))
                self.register_parameter(f"{name}{layer}_bias", bias(after))
        self.unembed, self.unembed_bias = weight(width, outputs, scale=width**-0.5), bias(outputs)

    def forward(
        self, tokens: Int[Tensor, "member row place"], members: slice = ALL
    ) -> Float[Tensor, "member row place outputs"]:
        """Logits of the token after each place, of all members or of a slice of them."""
        count, rows, places = tokens.shape
        stream = self._embedded(tokens.flatten(1), members) + self.position[members, :places].repeat(1, rows, 1)
        for layer in range(self.layers):
            parts = self._linear(f"attend{layer}", self._normal(stream), members)
            parts = parts.reshape(count * rows, places, 3, self.heads, -1)
            query, key, value = (part.transpose(1, 2).flatten(0, 1) for part in parts.unbind(2))
            mixed = _attend(query, key, value).reshape(count * rows, self.heads, places, -1).transpose(1, 2)
            mixed = mixed.reshape(count, rows * places, self.width)
            stream = stream + self._linear(f"mix{layer}", mixed, members)
            stream = stream + self._hidden(layer, stream, members)
        return self._linear("unembed", self._normal(stream), members).reshape(count, rows, places, -1)

    def begin(self, rows: int) -> State:
        """Empty keys and values of every layer, (member, row, head, place, size)."""
        shape = (self.count, rows, self.heads, self.context, self.width // self.heads)
        return [self.embed.new_zeros(shape) for _ in range(2 * self.layers)]

    def advance(
        self, tokens: Int[Tensor, "member row"], place: int, state: State
    ) -> Float[Tensor, "member row outputs"]:
        """Read one token a row at ``place``; its keys and values are added to the state, all earlier ones are reused."""
        stream = self._embedded(tokens, ALL) + self.position[:, place : place + 1]
        for layer in range(self.layers):
            keys, values = state[2 * layer : 2 * layer + 2]
            parts = self._linear(f"attend{layer}", self._normal(stream), ALL)
            query, key, value = parts.reshape(*tokens.shape, 3, self.heads, 1, -1).unbind(2)
            keys[..., place : place + 1, :], values[..., place : place + 1, :] = key, value
            seen = keys[..., : place + 1, :], values[..., : place + 1, :]
            scores = query @ seen[0].transpose(-1, -2) / math.sqrt(query.shape[-1])
            mixed = (scores.softmax(-1) @ seen[1]).flatten(2)
            stream = stream + self._linear(f"mix{layer}", mixed, ALL)
            stream = stream + self._hidden(layer, stream, ALL)
        return self._linear("unembed", self._normal(stream), ALL)

    def _embedded(self, tokens: Int[Tensor, "member row"], members: slice) -> Tensor:
        table = self.embed[members]
        offset = torch.arange(len(table), device=tokens.device).unsqueeze(1) * table.shape[1]
        return functional.embedding(tokens + offset, table.flatten(0, 1))

    def _normal(self, stream: Tensor) -> Tensor:
        return functional.layer_norm(stream, (self.width,))

    def _linear(self, name: str, x: Tensor, members: slice) -> Tensor:
        weight, bias = self.get_parameter(name), self.get_parameter(f"{name}_bias")
        return torch.baddbmm(bias[members], x, weight[members])

    def _hidden(self, layer: int, stream: Tensor, members: slice) -> Tensor:
        inner = functional.gelu(self._linear(f"widen{layer}", self._normal(stream), members))
        return self._linear(f"narrow{layer}", inner, members)


def _attend(
    query: Float[Tensor, "each place size"],
    key: Float[Tensor, "each place size"],
    value: Float[Tensor, "each place size"],
) -> Float[Tensor, "each place size"]:
    """Causal attention written out: on a CPU, with heads this small, it costs less than the fused kernel."""
    each, places, size = query.shape
    future = query.new_full((places, places), -math.inf).triu(1).expand(each, places, places)
    return torch.baddbmm(future, query, key.transpose(1, 2), alpha=size**-0.5).softmax(-1) @ value


@torch.no_grad()
def write(
    models: Members,
    start: Int[Tensor, "row place"],
    *,
    end: int,
    generator: torch.Generator | None = None,
) -> tuple[Int[np.ndarray, "member row place"], Float[np.ndarray, "member row place"]]:
    """What every member writes after every row, all at once, until its context is full.

    Args:
        models: the members.
        start: (row, place) what all members read first.
        end: the token after which a row stays closed: it is repeated from there on, with probability 1.
        generator: on the CPU, to draw each token from the member's distribution; None takes the likeliest.

    Returns:
        The tokens written, and the probability that the member gave to each.
    """
    rows, given = start.shape
    state = models.begin(rows)
    device = state[0].device
    fixed = start.to(device).expand(models.count, rows, given)
    closed = torch.zeros(models.count, rows, dtype=torch.bool, device=device)
    tokens: list[Tensor] = []
    chances: list[Tensor] = []
    for place in range(models.context):
        logits = models.advance(fixed[..., place] if place < given else tokens[-1], place, state)
        if place < given - 1:
            continue
        odds = logits.softmax(-1)
        token = odds.argmax(-1) if generator is None else _drawn(odds, generator)
        chance = odds.gather(-1, token.unsqueeze(-1)).squeeze(-1)
        tokens.append(token.masked_fill(closed, end))
        chances.append(chance.masked_fill(closed, 1.0))
        closed = closed | (tokens[-1] == end)
    return torch.stack(tokens, -1).cpu().numpy(), torch.stack(chances, -1).cpu().numpy()


def _drawn(odds: Tensor, generator: torch.Generator) -> Tensor:
    """One token a row by inversion, from uniform numbers drawn on the CPU."""
    uniform = torch.rand(odds.shape[:-1], generator=generator, dtype=odds.dtype).to(odds.device)
    return (odds.cumsum(-1) < uniform.unsqueeze(-1)).sum(-1).clamp(max=odds.shape[-1] - 1)
