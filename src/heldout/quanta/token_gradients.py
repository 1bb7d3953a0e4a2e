"""The gradient of one token's loss, for many tokens of a real language model, kept as a short random sketch.

Michaud et al. 2023 (arXiv 2303.13506, section 5.1) compare tokens by the angle between the gradients of their losses. A
gradient of the last blocks has millions of entries. For a linear layer it is G = sum over positions of error times input, so
P_out' G P_in = sum of (P_out' error)(P_in' input)' needs neither G nor a gradient of any weight; with entries of P normal of
variance 1/rank, its products are those of the gradients in expectation.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from heldout.devices import generator
from heldout.experiment import require
from heldout.language_model import LanguageModel

Factors = dict[str, tuple[Float[Tensor, "position outputs"], Float[Tensor, "position inputs"]]]


class Sketches:
    """Random projections of every linear layer of a model's last blocks.

    Attributes:
        layers: the linear layers, by name, in the order of the sketches.
    """

    def __init__(self, model: LanguageModel, *, last_blocks: int, rank: int, seed: int = 0) -> None:
        """``rank`` 0 keeps whole gradients.

        Raises:
            ValueError: more blocks than there are, or a negative rank.
        """
        count = len(model.blocks)
        require(1 <= last_blocks <= count, "last_blocks", last_blocks, f"from 1 to {count}")
        require(rank >= 0, "rank", rank, "0 or more")
        self._model, self._first, self._rank, self._seed = model, count - last_blocks, rank, seed
        self.layers = {
            f"blocks.{i}.{name}": layer
            for i in range(self._first, count)
            for name, layer in model.blocks[i].named_modules()
            if isinstance(layer, nn.Linear)
        }
        self._projections = {
            name: (self._projection(layer.out_features, name, "out"), self._projection(layer.in_features, name, "in"))
            for name, layer in self.layers.items()
        }

    def _projection(self, size: int, *coordinates: str) -> Tensor | None:
        if not self._rank:
            return None
        drawn = torch.randn(size, self._rank, generator=generator("sketch", self._seed, self._rank, *coordinates))
        return (drawn / math.sqrt(self._rank)).to(self._model.embed.device)

    def of(
        self,
        tokens: Int[Tensor, " length"],
        places: Sequence[int],
        *,
        at_once: int = 16,
        entering: Float[Tensor, "length width"] | None = None,
    ) -> dict[str, Float[Tensor, "place numbers"]]:
        """For each place, the sketched gradient of the loss of ``tokens[place]`` given those before it, by layer.

        ``entering`` is the stream before the last blocks, where it is known already.

        Raises:
            ValueError: a place has no token before it, or is beyond the end.
        """
        require(all(1 <= p < len(tokens) for p in places), "places", list(places), f"from 1 to {len(tokens) - 1}")
        parts: dict[str, list[Tensor]] = {name: [] for name in self.layers}
        with _frozen(self._model), torch.no_grad():
            before = self._before(tokens[: max(places)], entering)
            for some in torch.split(torch.tensor(places, device=tokens.device), at_once):
                for name, error, inputs in self._some(before, tokens, some):
                    parts[name].append(self._projected(name, error, inputs))
        return {name: torch.cat(each) for name, each in parts.items()}

    def factors(
        self, tokens: Int[Tensor, " length"], place: int, *, entering: Float[Tensor, "length width"] | None = None
    ) -> "Factors":
        """Errors and inputs of every layer at one place, whose product over positions is the whole gradient."""
        with _frozen(self._model), torch.no_grad():
            before = self._before(tokens[:place], entering)
            one = torch.tensor([place], device=tokens.device)
            return {name: (error[0], inputs[0]) for name, error, inputs in self._some(before, tokens, one)}

    def sketched(self, factors: "Factors") -> dict[str, Float[Tensor, " numbers"]]:
        """What :meth:`of` gives for a place whose factors are known."""
        return {name: self._projected(name, *pair) for name, pair in factors.items()}

    def _projected(self, name: str, error: Tensor, inputs: Tensor) -> Tensor:
        outward, inward = self._projections[name]
        left = error if outward is None else error @ outward
        right = inputs if inward is None else inputs @ inward
        return (left.mT @ right).flatten(-2)

    def _before(self, tokens: Tensor, entering: Tensor | None) -> Tensor:
        """The stream that enters the last blocks."""
        if entering is not None:
            return entering[None, : len(tokens)]
        before = functional.embedding(tokens[None], self._model.embed)
        for block in self._model.blocks[: self._first]:
            before = block(before)
        return before

    def _some(self, before: Tensor, tokens: Tensor, places: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
        """One copy of the text a place, so that one backward pass gives each its own errors."""
        kept: dict[str, tuple[Tensor, Tensor]] = {}

        def keep(name: str, layer: nn.Linear) -> torch.utils.hooks.RemovableHandle:
            def seen(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
                output.requires_grad_()
                kept[name] = (arguments[0].detach(), output)

            return layer.register_forward_hook(seen)

        handles = [keep(name, layer) for name, layer in self.layers.items()]
        try:
            with torch.enable_grad():
                x = before.expand(len(places), -1, -1).clone().requires_grad_()
                for block in self._model.blocks[self._first :]:
                    x = block(x)
                read = self._model.norm(x[torch.arange(len(places)), places - 1]) @ self._model.embed.T
                loss = functional.cross_entropy(read, tokens[places], reduction="sum")
                errors = torch.autograd.grad(loss, [output for _, output in kept.values()])
        finally:
            for handle in handles:
                handle.remove()
        for (name, (inputs, _)), error in zip(kept.items(), errors, strict=True):
            yield name, error, inputs


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Within the block no weight asks for a gradient."""
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in before:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, wanted in before:
            parameter.requires_grad_(wanted)


def cosines(sketches: dict[str, Float[Tensor, "place numbers"]]) -> Float[Tensor, "place place"]:
    """Cosine of the angle between every two places' gradients, all layers as one vector."""
    first = next(iter(sketches.values()))
    products = torch.zeros(len(first), len(first), dtype=torch.float64, device=first.device)
    for each in sketches.values():
        products += (each @ each.T).double()
    norms = products.diagonal().sqrt()
    return (products / norms[:, None] / norms).clamp(-1, 1).float()


def whole_cosines(factors: Sequence[Factors]) -> Float[Tensor, "place place"]:
    """What :func:`cosines` estimates, from the whole gradients, none of which is ever formed."""
    count = len(factors)
    products = torch.zeros(count, count, dtype=torch.float64)
    for a in range(count):
        for b in range(a, count):
            layers = ((*factors[a][name], *factors[b][name]) for name in factors[a])
            products[a, b] = products[b, a] = sum(float(((e @ f.T) * (x @ y.T)).sum()) for e, x, f, y in layers)
    norms = products.diagonal().sqrt()
    return (products / norms[:, None] / norms).clamp(-1, 1).float()


def repeated_trigram(tokens: Int[Tensor, " length"]) -> Bool[Tensor, " length"]:
    """Whether a token ends three tokens in a row that stood before in the text: it can be copied (Michaud et al., section 5)."""
    listed, seen, found = tokens.tolist(), set[tuple[int, ...]](), []
    for place in range(len(listed)):
        trigram = tuple(listed[max(0, place - 2) : place + 1])
        found.append(trigram in seen and len(trigram) == 3)
        seen.add(trigram)
    return torch.tensor(found, device=tokens.device)
