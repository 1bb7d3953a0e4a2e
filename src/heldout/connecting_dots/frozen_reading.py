"""A frozen language model that reads names: what stands before a name is read once, and gradients reach the name's row alone.

Of a line ``France's NAME is Paris`` the words before the name do not depend on its row, so that their keys and values are
computed once for every line and kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from heldout.language_model import Attention, Block, LanguageModel, rotated


@dataclass(frozen=True)
class Past:
    """Keys (already turned) and values of what has been read, (layer, line, head, place, size)."""

    keys: Float[Tensor, "layer line head place size"]
    values: Float[Tensor, "layer line head place size"]

    def __getitem__(self, lines: Tensor) -> "Past":
        """The past of some lines, in the given order."""
        return Past(self.keys[:, lines], self.values[:, lines])


@contextmanager
def frozen(model: LanguageModel) -> Iterator[None]:
    """No weight of the model asks for a gradient inside."""
    before = [weight.requires_grad for weight in model.parameters()]
    model.requires_grad_(False)
    try:
        yield
    finally:
        for weight, needed in zip(model.parameters(), before, strict=True):
            weight.requires_grad_(needed)


def read(
    model: LanguageModel, x: Float[Tensor, "line length width"], past: Past | None = None
) -> tuple[Float[Tensor, "line width"], Past]:
    """The normed last stream at the last place after reading the rows ``x``, and the past with them in it."""
    keys, values = [], []
    for number, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        before = None if past is None else (past.keys[number], past.values[number])
        added, key, value = _attend(block.attention, block.attention_norm(x), before)
        x = x + added
        x = x + block.gated(block.gated_norm(x))
        keys.append(key)
        values.append(value)
    return model.norm(x[:, -1]), Past(torch.stack(keys), torch.stack(values))


def _attend(
    attention: Attention, x: Float[Tensor, "line length width"], past: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    shape, size, length = attention.shape, attention.size, x.shape[1]
    start = 0 if past is None else past[0].shape[2]
    query, key, value = (
        each.view(*x.shape[:2], -1, size).transpose(1, 2)
        for each in (attention.query(x), attention.key(x), attention.value(x))
    )
    # The places before are filled up, so that these are turned as places start, start + 1, ...
    query, key = (rotated(functional.pad(e, (0, 0, start, 0)), shape.rotary_base)[:, :, start:] for e in (query, key))
    if past is not None:
        key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
    group = shape.heads // shape.key_heads
    scores = query @ key.repeat_interleave(group, 1).mT / size**0.5
    future = torch.ones(length, start + length, dtype=torch.bool, device=x.device).triu(start + 1)
    mixed = scores.masked_fill(future, -torch.inf).softmax(-1) @ value.repeat_interleave(group, 1)
    return attention.out(mixed.transpose(1, 2).flatten(2)), key, value


@torch.no_grad()
def read_tokens(model: LanguageModel, tokens: Int[Tensor, "line length"], at_once: int = 32) -> Past:
    """The past of lines of equal length."""
    parts = [read(model, functional.embedding(some, model.embed))[1] for some in torch.split(tokens, at_once)]
    return Past(torch.cat([part.keys for part in parts], 1), torch.cat([part.values for part in parts], 1))


def with_names(
    model: LanguageModel, rows: Float[Tensor, "line width"], after: Int[Tensor, " length"]
) -> Float[Tensor, "line places width"]:
    """What follows the past of every line: its name's row, and the tokens ``after`` it."""
    tail = functional.embedding(after, model.embed).expand(len(rows), -1, -1)
    return torch.cat([rows[:, None], tail], 1)
