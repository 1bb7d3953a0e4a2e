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
from heldout.prefix_tree import PrefixTree

State = list[Tensor]
ALL = slice(None)


def picked(table: Float[Tensor, "member token size"], tokens: Int[Tensor, "member row"]) -> Tensor:
    """Each member's row of its table for each of its tokens (member, row, size)."""
    offset = torch.arange(len(table), device=tokens.device).unsqueeze(1) * table.shape[1]
    return functional.embedding(tokens + offset, table.flatten(0, 1))


class Members(Protocol):
    """What training and writing ask of an ensemble of autoregressive models."""

    count: int  # members
    context: int  # places a member can read

    def __call__(self, tokens: Int[Tensor, "member row place"], members: slice = ALL) -> Tensor:
        """Logits (member, row, place, outputs) of the token after each place."""
        ...

    def begin(self, rows: int) -> State:
        """What is remembered of each row before the first token, each part with axes (member, row, ...)."""
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
        stream = self._embedded(tokens.flatten(1), members) + self._of("position", members)[:, :places].repeat(
            1, rows, 1
        )
        future = stream.new_full((places, places), -math.inf).triu(1)
        return self._read(stream, rows, future, members).reshape(count, rows, places, -1)

    def on_tree(self, tree: PrefixTree, members: slice = ALL) -> Float[Tensor, "member node outputs"]:
        """Logits of the token after each prefix of some sequences."""
        tokens = tree.tokens.expand(len(self._of("embed", members)), -1)
        stream = self._embedded(tokens, members) + self._of("position", members).index_select(1, tree.places)
        return self._read(stream, 1, tree.future, members)

    def _read(self, stream: Tensor, rows: int, future: Tensor, members: slice) -> Tensor:
        """All layers, on streams (member, row and place, width); ``future`` is added to the scores of a row."""
        for layer in range(self.layers):
            parts = self._linear(f"attend{layer}", self._normal(stream), members)
            mixed = self._attended(parts, rows, future)
            stream = stream + self._linear(f"mix{layer}", mixed, members)
            stream = stream + self._hidden(layer, stream, members)
        return self._linear("unembed", self._normal(stream), members)

    def _attended(self, parts: Tensor, rows: int, future: Tensor) -> Tensor:
        """Attention written out: on a CPU, with heads this small, it costs less than the fused kernel."""
        count, places = len(parts), len(future)
        split = parts.view(count * rows, places, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = split.reshape(3, count * rows * self.heads, places, -1).unbind(0)
        scores = torch.baddbmm(future, query, key.transpose(1, 2), alpha=query.shape[-1] ** -0.5)
        mixed = (scores.softmax(-1) @ value).view(count * rows, self.heads, places, -1).transpose(1, 2)
        return mixed.reshape(count, rows * places, self.width)

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

    def _of(self, name: str, members: slice) -> Tensor:
        whole: Tensor = getattr(self, name)
        return whole if members == ALL else whole[members]

    def _embedded(self, tokens: Int[Tensor, "member row"], members: slice) -> Tensor:
        return picked(self._of("embed", members), tokens)

    def _normal(self, stream: Tensor) -> Tensor:
        return functional.layer_norm(stream, (self.width,))

    def _linear(self, name: str, x: Tensor, members: slice) -> Tensor:
        return torch.baddbmm(self._of(f"{name}_bias", members), x, self._of(name, members))

    def _hidden(self, layer: int, stream: Tensor, members: slice) -> Tensor:
        inner = functional.gelu(self._linear(f"widen{layer}", self._normal(stream), members))
        return self._linear(f"narrow{layer}", inner, members)


@torch.no_grad()
def write(
    models: Members,
    start: Int[Tensor, "row place"],
    *,
    end: int,
    generator: torch.Generator | None = None,
    repeats: int = 1,
) -> tuple[Int[np.ndarray, "member written place"], Float[np.ndarray, "member written place"]]:
    """What every member writes after every row, all at once, until its context is full.

    Args:
        models: the members.
        start: (row, place) what all members read first.
        end: the token after which a row stays closed: it is repeated from there on, with probability 1.
        generator: on the CPU, to draw each token from the member's distribution; None takes the likeliest.
        repeats: how often each row is continued; it is read once, and its continuations follow each other.

    Returns:
        The tokens written, and the probability that the member gave to each.
    """
    rows, given = start.shape
    state = models.begin(rows)
    device = state[0].device
    fixed = start.to(device).expand(models.count, rows, given)
    for place in range(given):
        logits = models.advance(fixed[..., place], place, state)
    if repeats > 1:
        state, logits = [part.repeat_interleave(repeats, 1) for part in state], logits.repeat_interleave(repeats, 1)
    places = models.context - given + 1
    tokens = torch.full((*logits.shape[:2], places), end, device=device)
    chances = torch.ones(tokens.shape, dtype=logits.dtype, device=device)
    closed = torch.zeros(logits.shape[:2], dtype=torch.bool, device=device)
    for number in range(places):
        odds = logits.softmax(-1)
        token = odds.argmax(-1) if generator is None else _drawn(odds, generator)
        chance = odds.gather(-1, token.unsqueeze(-1)).squeeze(-1)
        tokens[..., number] = token.masked_fill_(closed, end)
        chances[..., number] = chance.masked_fill_(closed, 1.0)
        closed |= token == end
        if number + 1 == places or bool(closed.all()):
            break
        logits = models.advance(token, given + number, state)
    return tokens.cpu().numpy(), chances.cpu().numpy()


def _drawn(odds: Tensor, generator: torch.Generator) -> Tensor:
    """One token a row by inversion, from uniform numbers drawn on the CPU."""
    uniform = torch.rand(odds.shape[:-1], generator=generator, dtype=odds.dtype).to(odds.device)
    return (odds.cumsum(-1) < uniform.unsqueeze(-1)).sum(-1).clamp(max=odds.shape[-1] - 1)
