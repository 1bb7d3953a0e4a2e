"""Small language models of characters: several decoders of one size, with their own weights and texts, as one program.

Each is a decoder of the Llama type, as :mod:`heldout.language_model`: an embedding that is read out through itself, and blocks
of causal attention with rotary positions and of a gated layer, both on a normed copy of the stream and added to it. Members
stand on the first axis of every weight, so that one matrix product serves them all; Adam works entry by entry, so
training them together is training each alone.
"""

import math
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from heldout.devices import generator
from heldout.experiment import require
from heldout.language_model import rotated

ROTARY_BASE = 1000.0
WARM_UP = 30  # updates over which the learning rate rises from zero; then it falls linearly to a tenth
Batches = Callable[[int], Int[Tensor, "member batch length"]]
Probe = Callable[["Decoders"], np.ndarray]


class Decoders(nn.Module):
    """Members of one size, one a seed: tokens in, logits of the next token out.

    Every weight starts normal with variance 1 / fan-in, the embedding with that of a row of length 1; what a layer adds to the
    stream is scaled down by the root of twice the number of layers.

    Raises:
        ValueError: a size is below 1, or a head's share of ``width`` is not even.
    """

    def __init__(self, seeds: Sequence[int], vocabulary: int, *, width: int, layers: int, heads: int) -> None:
        super().__init__()
        require(min(len(seeds), vocabulary, width, layers, heads) >= 1, "width", width, "positive, as all sizes")
        require(width % (2 * heads) == 0, "width", width, f"a multiple of twice heads={heads}")
        self.heads, self.members = heads, len(seeds)
        draws = [generator("small decoder", seed, width) for seed in seeds]

        def weight(rows: int, columns: int, scale: float = 1.0) -> nn.Parameter:
            drawn = torch.stack([torch.randn(rows, columns, generator=draw) for draw in draws])
            return nn.Parameter(drawn * scale / math.sqrt(rows))

        self.embed = nn.Parameter(weight(vocabulary, width).detach() * math.sqrt(vocabulary / width))
        self.layers = nn.ModuleList()
        for _ in range(layers):
            into, out = weight(width, 3 * width), weight(width, width, 1 / math.sqrt(2 * layers))
            up, down = weight(width, 4 * width), weight(2 * width, width, 1 / math.sqrt(2 * layers))
            scales = nn.Parameter(torch.ones(2, len(seeds), 1, width))
            self.layers.append(nn.ParameterDict({"into": into, "out": out, "up": up, "down": down, "scales": scales}))
        self.last_scale = nn.Parameter(torch.ones(len(seeds), 1, width))

    @property
    def size(self) -> int:
        """Parameters of one member."""
        return sum(parameter.numel() for parameter in self.parameters()) // self.members

    def forward(self, tokens: Int[Tensor, "member batch length"]) -> Float[Tensor, "member batch length vocabulary"]:
        """Logits of the next token at every position."""
        members, batch, length = tokens.shape
        vocabulary, width = self.embed.shape[1:]
        first = torch.arange(members, device=tokens.device)[:, None] * vocabulary
        # One table for all members: its backward pass adds rows up, where indexing two axes would be slow.
        x = functional.embedding(tokens.flatten(1) + first, self.embed.flatten(0, 1))
        for each in self.layers:
            layer = cast(nn.ParameterDict, each)
            near = normed(x, layer["scales"][0]) @ layer["into"]
            split = near.view(members * batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            query, key = rotated(split[0], ROTARY_BASE), rotated(split[1], ROTARY_BASE)
            mixed = functional.scaled_dot_product_attention(query, key, split[2], is_causal=True)
            x = x + mixed.transpose(1, 2).reshape(members, batch * length, width) @ layer["out"]
            gate, up = (normed(x, layer["scales"][1]) @ layer["up"]).chunk(2, -1)
            x = x + (functional.silu(gate) * up) @ layer["down"]
        return (normed(x, self.last_scale) @ self.embed.mT).view(members, batch, length, vocabulary)


def normed(x: Float[Tensor, "*batch width"], scale: Float[Tensor, "*ones width"]) -> Float[Tensor, "*batch width"]:
    """Each vector divided by its root mean square, then scaled entry by entry."""
    return functional.rms_norm(x, x.shape[-1:], eps=1e-5) * scale


def token_losses(decoders: Decoders, tokens: Int[Tensor, "member batch length"]) -> Float[Tensor, "member batch place"]:
    """Minus the log-probability, in nats, of every token but the first of its row, given those before it."""
    logits = decoders(tokens[:, :, :-1])
    losses = functional.cross_entropy(logits.flatten(0, -2), tokens[:, :, 1:].flatten(), reduction="none")
    return losses.view(*tokens.shape[:2], -1)


def short_losses(
    models: Decoders, asked: Int[Tensor, "passage length"], context: int
) -> Float[np.ndarray, "member place"]:
    """Losses at all places when at most ``context`` characters before each are read."""
    found = []
    with torch.no_grad():
        for row in asked.expand(models.members, *asked.shape).unbind(1):
            start = token_losses(models, row[:, None, : context + 1])[:, 0]
            rest = token_losses(models, row.unfold(1, context + 1, 1)[:, 1:])[:, :, -1]
            found.append(torch.cat([start, rest], 1))
    return torch.cat(found, 1).cpu().numpy()


def first_choices(
    models: Decoders, asked: Int[Tensor, "passage length"], top: int
) -> tuple[Int[np.ndarray, " place"], Int[np.ndarray, "place top"], Float[np.ndarray, "place top"]]:
    """Rank of the character, the ``top`` first choices and their probabilities, of the first member."""
    with torch.no_grad():
        logits = models(asked[:, :-1].expand(models.members, -1, -1))[0].flatten(0, 1)
    mine = logits.gather(1, asked[:, 1:].reshape(-1, 1))
    highest, best = logits.softmax(1).topk(top, dim=1)
    return (logits > mine).sum(1).cpu().numpy(), best.cpu().numpy(), highest.cpu().numpy()


def train(
    decoders: Decoders,
    batches: Batches,
    *,
    steps: int,
    learning_rate: float,
    probe: Probe,
    probe_steps: Sequence[int],
    progress: Callable[[int], None],
) -> list[np.ndarray]:
    """Adam on the members' own batches; the probe looks before each of ``probe_steps`` and, where it is one, after the last."""
    optimizer = torch.optim.Adam(decoders.parameters(), lr=learning_rate, betas=(0.9, 0.99))
    found = []
    for step in range(steps + 1):
        if step in probe_steps:
            with torch.no_grad():
                found.append(probe(decoders))
        if step == steps:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1, (step + 1) / WARM_UP) * (1 - 0.9 * step / steps)
        optimizer.zero_grad()
        # The sum over members of their mean losses, so that each has its own gradient.
        token_losses(decoders, batches(step)).mean((1, 2)).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        progress(step + 1)
    return found
