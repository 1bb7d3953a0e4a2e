"""Decoders that read lines of named functions: answers only where they are asked, noise on names, and changes between layers."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from heldout.connecting_dots.line_batches import Batch
from heldout.connecting_dots.named_functions import NAME_PLACE, Language
from heldout.decoders import ALL, Transformers
from heldout.devices import generator, onto
from heldout.experiment import require

PACKED = 4  # lines in a row of attention: many products of very small matrices cost more than fewer of larger ones
Edit = Callable[[int, Tensor], Tensor]


class Readers(Transformers):
    """Decoders whose vocabulary ends with names; ``first_name`` is the token of the first one."""

    first_name: int

    @classmethod
    def drawn(
        cls, language: Language, seeds: Sequence[int], *, width: int, layers: int, heads: int, hidden: int,
        context: int = 4, dtype: torch.dtype = torch.float32,
    ) -> "Readers":  # fmt: skip
        """Untrained members, one a seed."""
        models = cls(
            [generator("connecting dots", "weights", seed) for seed in seeds], vocabulary=language.vocabulary,
            outputs=language.outputs, context=context, width=width, layers=layers, heads=heads, hidden=hidden, dtype=dtype,
        )  # fmt: skip
        models.first_name = language.first_name
        return models

    def answers(
        self, batch: Batch, *, noise: Float[Tensor, "member named width"] | None = None, edit: Edit | None = None
    ) -> Float[Tensor, "member answer outputs"]:
        """Logits where the batch asks; the last layer's maps are computed at those places alone.

        Args:
            batch: what is read, and the places at which an answer is asked.
            noise: added to the name's row of each line that has a name.
            edit: called with a depth and the streams (member, row, place, width) there, which it returns changed or not:
                depth 0 is after the embedding, depth l after the l-th layer; not after the last layer.
        """
        count, rows, places = batch.tokens.shape
        stream = self._embedded(batch.tokens.flatten(1), ALL) + self.position[:, :places].repeat(1, rows, 1)
        if noise is not None:
            stream.view(count, rows, places, -1)[:, : batch.named, NAME_PLACE] += noise
        blank = -rows % PACKED  # lines of nothing, so that all rows of attention are full
        future = torch.kron(torch.eye(PACKED).to(stream), stream.new_ones(places, places).tril()).log()
        for layer in range(self.layers):
            if edit is not None:
                stream = edit(layer, stream.view(count, rows, places, -1)).reshape(count, rows * places, -1)
            parts = functional.pad(self._linear(f"attend{layer}", self._normal(stream), ALL), (0, 0, 0, blank * places))
            mixed = self._attended(parts, (rows + blank) // PACKED, future)[:, : rows * places]
            if layer + 1 == self.layers:
                stream, mixed = stream.index_select(1, batch.asked), mixed.index_select(1, batch.asked)
            stream = stream + self._linear(f"mix{layer}", mixed, ALL)
            stream = stream + self._hidden(layer, stream, ALL)
        return self._linear("unembed", self._normal(stream), ALL)

    @torch.no_grad()
    def streams(self, batch: Batch) -> Float[Tensor, "depth member row place width"]:
        """The streams at every depth from the embedding to the last layer's input."""
        kept: list[Tensor] = []

        def keep(_: int, stream: Tensor) -> Tensor:
            kept.append(stream.clone())
            return stream

        self.answers(batch, edit=keep)
        return torch.stack(kept)

    def name_spread(self) -> Float[Tensor, "member 1 1"]:
        """Each member's standard deviation of the numbers in its name rows."""
        return self.embed.detach()[:, self.first_name :].std((1, 2), keepdim=True)

    def select(self, members: Sequence[int]) -> "Readers":
        """Copies of some members, in the order given and as often as named.

        Raises:
            ValueError: there is no such member.
        """
        inside = len(members) >= 1 and all(0 <= member < self.count for member in members)
        require(inside, "members", list(members), f"from 0 to {self.count - 1}")
        state = {name: value.detach()[list(members)] for name, value in self.named_parameters()}
        return self._like(state)

    def with_names(self, rows: Float[Tensor, "member name width"]) -> "Readers":
        """Copies with new names after the last token; ``rows`` are their embeddings."""
        state = {name: value.detach() for name, value in self.named_parameters()}
        state["embed"] = torch.cat([state["embed"], rows.to(state["embed"])], 1)
        return self._like(state)

    def _like(self, state: dict[str, Tensor]) -> "Readers":
        """Members of the same build with these weights."""
        count, vocabulary, width = state["embed"].shape
        models = Readers(
            [torch.Generator()] * count, vocabulary=vocabulary, outputs=state["unembed"].shape[2], context=self.context,
            width=width, layers=self.layers, heads=self.heads, hidden=state["widen0"].shape[2], dtype=state["embed"].dtype,
        ).to(state["embed"].device)  # fmt: skip
        models.first_name = self.first_name
        models.load_state_dict(state)
        return models


def answer_loss(
    logits: Float[Tensor, "member answer outputs"], answers: Int[Tensor, "member answer"]
) -> Float[Tensor, " member"]:
    """Each member's mean cross-entropy in nats over the tokens asked for."""
    return -logits.log_softmax(-1).gather(-1, answers.unsqueeze(-1)).squeeze(-1).mean(-1)


@torch.no_grad()
def line_correct(models: Readers, batch: Batch, edit: Edit | None = None) -> Float[Tensor, "member row"]:
    """1 where all that a line asks is the likeliest token, else 0."""
    places = batch.tokens.shape[2]
    right = (models.answers(batch, edit=edit).argmax(-1) == batch.answers).to(models.embed.dtype)
    rows = (batch.asked // places).expand_as(right)
    found = right.new_ones(right.shape[0], batch.tokens.shape[1])
    return found.scatter_reduce(1, rows, right, "amin")


def name_noise(
    generators: Sequence[torch.Generator], like: Float[Tensor, "member vocabulary width"], named: int
) -> Float[Tensor, "member named width"]:
    """Standard normal numbers for each named line, drawn by each member from its own generator on the CPU."""
    shape = (named, like.shape[2])
    return onto(
        torch.stack([torch.randn(*shape, generator=each, dtype=like.dtype) for each in generators]), like.device
    )
