"""A change of rank one in one weight matrix of a language model, and the model cut in two where the change is made.

The gated layer of a block ends in a matrix ``down`` that maps what its units say, the *key*, to what is added to the stream.
Among all matrices that map one key to a wanted value, the one nearest to ``down`` on the keys of ordinary text, in mean square,
differs from it by a product of two vectors (Meng et al. 2022): see :func:`row`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from heldout.experiment import require
from heldout.language_model import Block, LanguageModel


@dataclass(frozen=True)
class Batch:
    """Token rows of different lengths, filled up at the right, where no earlier place sees it."""

    tokens: Int[Tensor, "row length"]
    lengths: Int[Tensor, " row"]


def batch(rows: Sequence[Sequence[int]], device: torch.device) -> Batch:
    """Rows as one tensor."""
    longest = max(map(len, rows))
    filled = [list(row) + [0] * (longest - len(row)) for row in rows]
    return Batch(torch.tensor(filled, device=device), torch.tensor([len(row) for row in rows], device=device))


@dataclass(frozen=True)
class States:
    """What the edited matrix meets: the stream it adds to, and its keys."""

    stream: Float[Tensor, "row length width"]
    key: Float[Tensor, "row length hidden"]

    def at(self, rows: slice | Tensor) -> "States":
        """Some of the rows."""
        return States(self.stream[rows], self.key[rows])


class Cut:
    """A language model cut at the matrix ``down`` of one block: what is below is computed once, what is above as often as needed.

    Attributes:
        weight: the matrix, (width, hidden).
    """

    def __init__(self, model: LanguageModel, layer: int) -> None:
        """Blocks are counted from 0.

        Raises:
            ValueError: there is no such block.
        """
        require(0 <= layer < len(model.blocks), "layer", layer, f"from 0 to {len(model.blocks) - 1}")
        self._model, self._layer = model, layer
        block = model.blocks[layer]
        assert isinstance(block, Block)
        self._block = block
        self.weight: Float[Tensor, "width hidden"] = block.gated.down.weight.detach()

    @torch.no_grad()
    def below(self, tokens: Int[Tensor, "row length"]) -> States:
        """Stream and keys at the matrix."""
        x = functional.embedding(tokens, self._model.embed)
        for block in self._model.blocks[: self._layer]:
            x = block(x)
        x = x + self._block.attention(self._block.attention_norm(x))
        gated, normed = self._block.gated, self._block.gated_norm(x)
        return States(x, functional.silu(gated.gate(normed)) * gated.up(normed))

    def above(self, states: States, weight: Float[Tensor, "width hidden"]) -> Float[Tensor, "row length width"]:
        """The normed last stream, with ``weight`` as the matrix."""
        return self._finish(states.stream + states.key @ weight.mT)

    def moved(
        self, states: States, outward: Float[Tensor, " width"], inward: Float[Tensor, " hidden"]
    ) -> Float[Tensor, "row length width"]:
        """The same with ``weight + outward inward'`` as the matrix, differentiable in ``outward``."""
        along = (states.key @ inward)[..., None]
        return self._finish(states.stream + states.key @ self.weight.mT + along * outward)

    def _finish(self, x: Float[Tensor, "row length width"]) -> Float[Tensor, "row length width"]:
        for block in self._model.blocks[self._layer + 1 :]:
            x = block(x)
        return self._model.norm(x)  # type: ignore[no-any-return]

    def log_probabilities(self, stream: Float[Tensor, "*place width"]) -> Float[Tensor, "*place vocabulary"]:
        """Of every token of the vocabulary, in nats."""
        return functional.log_softmax(stream @ self._model.embed.mT, dim=-1)


def second_moment(keys: Float[Tensor, "place hidden"]) -> Float[Tensor, "hidden hidden"]:
    """Mean of key times key', not centered."""
    return keys.mT @ keys / len(keys)


def row(
    key: Float[Tensor, " hidden"], moment: Float[Tensor, "hidden hidden"], ridge: float
) -> Float[Tensor, " hidden"]:
    """The vector ``u`` of the change ``(value - W key) u'`` that takes ``key`` to ``value`` and moves others least.

    Of all changes D with ``D key = value - W key`` it has the least mean square of ``D k`` over the keys behind ``moment``, with
    ``ridge`` times the mean of its diagonal added to the diagonal: ``u = M^-1 key / key' M^-1 key``.

    Raises:
        ValueError: a ridge below zero.
    """
    require(ridge >= 0, "ridge", ridge, "0 or more")
    size = len(moment)
    weighed = moment.double() + ridge * moment.diagonal().mean() * torch.eye(
        size, device=moment.device, dtype=torch.float64
    )
    solved: Tensor = torch.linalg.solve(weighed, key.double())
    return (solved / (solved @ key.double())).to(key.dtype)


def wanted_value(
    cut: Cut,
    states: States,
    last: Int[Tensor, " row"],
    target: int,
    inward: Float[Tensor, " hidden"],
    *,
    steps: int,
    rate: float,
    enough: float,
) -> Float[Tensor, " width"]:
    """The change of the value that makes ``target`` the likely next token after place ``last`` of every row, by Adam from zero.

    It stops early where the target's mean loss is below ``enough`` nats, since a larger change moves everything else more. All
    other weights stay, and the change acts at every place, as it will in the edited model.
    """
    change = torch.zeros_like(cut.weight[:, 0]).requires_grad_()
    optimizer = torch.optim.Adam([change], lr=rate)
    rows = torch.arange(len(last), device=last.device)
    for _ in range(steps):
        optimizer.zero_grad()
        stream = cut.moved(states, change, inward)[rows, last]
        loss = -cut.log_probabilities(stream)[:, target].mean()
        if float(loss.detach()) < enough:
            break
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return change.detach()
