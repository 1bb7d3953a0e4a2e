"""Three families of sequence models beside the transformers, each many members as one network: every weight has members first.

All keep the protocol of :class:`heldout.decoders.Members`, so that they are trained and write as the
transformers do. The first two could read without end; the linear model has a table for every pair of places, and so a last one.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from heldout.decoders import ALL, State, picked
from heldout.experiment import require


class Family(nn.Module):
    """What the families share: sizes, and weights that are drawn member by member.

    Raises:
        ValueError: there is no member, or a size is below 1.
    """

    def __init__(self, generators: Sequence[torch.Generator], dtype: torch.dtype, **sizes: int) -> None:
        super().__init__()
        require(len(generators) >= 1, "generators", len(generators), "at least 1")
        for name, size in sizes.items():
            require(size >= 1, name, size, "at least 1")
        self.count, self.context = len(generators), sizes["context"]
        self._generators, self._dtype = generators, dtype

    def _normal(self, *shape: int, scale: float) -> nn.Parameter:
        """Drawn from a normal distribution with standard deviation ``scale``."""
        draws = [torch.randn(*shape, generator=generator, dtype=self._dtype) for generator in self._generators]
        return nn.Parameter(torch.stack(draws) * scale)

    def _even(self, *shape: int, scale: float) -> nn.Parameter:
        """Drawn evenly between minus and plus ``scale``."""
        draws = [torch.rand(*shape, generator=generator, dtype=self._dtype) for generator in self._generators]
        return nn.Parameter((2 * torch.stack(draws) - 1) * scale)

    def _zeros(self, *shape: int) -> nn.Parameter:
        return nn.Parameter(torch.zeros(self.count, *shape, dtype=self._dtype))


class LSTMs(Family):
    """Long short-term memory of one or more layers, gates in torch's order: in, forget, new, out.

    The first layer reads tokens as unit vectors. Weights start even between minus and plus 1 / sqrt(width), as in torch.
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
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(
            generators, dtype, vocabulary=vocabulary, outputs=outputs, context=context, width=width, layers=layers
        )
        self.width, self.layers = width, layers
        scale = width**-0.5
        for layer in range(layers):
            shapes = {"read": (width if layer else vocabulary, 4 * width), "recur": (width, 4 * width)}
            for name, shape in (shapes | {"gates": (1, 4 * width)}).items():
                self.register_parameter(f"{name}{layer}", self._even(*shape, scale=scale))
        self.unembed, self.unembed_bias = self._even(width, outputs, scale=scale), self._zeros(1, outputs)

    def forward(
        self, tokens: Int[Tensor, "member row place"], members: slice = ALL
    ) -> Float[Tensor, "member row place outputs"]:
        """Logits of the token after each place, of all members or of a slice of them."""
        count, rows, places = tokens.shape
        read = picked(self.get_parameter("read0")[members], tokens.flatten(1)).reshape(count, rows, places, -1)
        inputs = list(read.unbind(2))
        for layer in range(self.layers):
            if layer:
                stacked = torch.cat(inputs, 1) @ self.get_parameter(f"read{layer}")[members]
                inputs = list(stacked.chunk(places, 1))
            hidden = cell = read.new_zeros(count, rows, self.width)
            for place in range(places):
                hidden, cell = self._step(layer, inputs[place], hidden, cell, members)
                inputs[place] = hidden
        logits = torch.baddbmm(self.unembed_bias[members], torch.cat(inputs, 1), self.unembed[members])
        return logits.reshape(count, places, rows, -1).transpose(1, 2)

    def begin(self, rows: int) -> State:
        """The hidden vector and the cell of every layer, (member, row, width), at zero."""
        return [self.unembed.new_zeros(self.count, rows, self.width) for _ in range(2 * self.layers)]

    def advance(
        self, tokens: Int[Tensor, "member row"], place: int, state: State
    ) -> Float[Tensor, "member row outputs"]:
        """Read one token a row."""
        del place  # what is read where is in the state
        inputs = picked(self.get_parameter("read0"), tokens)
        for layer in range(self.layers):
            if layer:
                inputs = inputs @ self.get_parameter(f"read{layer}")
            hidden, cell = state[2 * layer], state[2 * layer + 1]
            inputs, cell = self._step(layer, inputs, hidden, cell, ALL)
            state[2 * layer], state[2 * layer + 1] = inputs, cell
        return torch.baddbmm(self.unembed_bias, inputs, self.unembed)

    def _step(self, layer: int, read: Tensor, hidden: Tensor, cell: Tensor, members: slice) -> tuple[Tensor, Tensor]:
        weight, bias = self.get_parameter(f"recur{layer}"), self.get_parameter(f"gates{layer}")
        parts = torch.baddbmm(read + bias[members], hidden, weight[members])
        enter, forget, _, leave = parts.sigmoid().chunk(4, -1)
        cell = forget * cell + enter * parts[..., 2 * self.width : 3 * self.width].tanh()
        return leave * cell.tanh(), cell


class StateSpaces(Family):
    """Diagonal linear state spaces on a residual stream.

    A layer reads the stream u, normalized without weights of its own, into states that each decay by a factor of their own,
    x_t = d * x_(t-1) + B u_t, and adds W gelu(C x_t + D u_t + c) + w to the stream. The factors d = exp(-exp(rate)) do not
    depend on the input. At the start -log d is spread evenly in the logarithm from ``slowest`` to ``fastest``, maps are normal
    with variance 1 / width, embeddings with variance 1, biases 0.

    Raises:
        ValueError: ``slowest`` is not above 0 or above ``fastest``.
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
        slowest: float = 0.005,
        fastest: float = 0.5,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(
            generators, dtype, vocabulary=vocabulary, outputs=outputs, context=context, width=width, layers=layers
        )
        require(0 < slowest <= fastest, "slowest", slowest, f"above 0 and at most fastest={fastest}")
        self.width, self.layers = width, layers
        scale = width**-0.5
        rates = torch.linspace(math.log(slowest), math.log(fastest), width, dtype=dtype)
        self.embed = self._normal(vocabulary, width, scale=1.0)
        for layer in range(layers):
            for name in ("enter", "leave", "skip", "back"):
                self.register_parameter(f"{name}{layer}", self._normal(width, width, scale=scale))
            for name in ("leave", "back"):
                self.register_parameter(f"{name}{layer}_bias", self._zeros(1, width))
            self.register_parameter(f"rate{layer}", nn.Parameter(rates.repeat(self.count, 1)))
        self.unembed, self.unembed_bias = self._normal(width, outputs, scale=scale), self._zeros(1, outputs)

    def forward(
        self, tokens: Int[Tensor, "member row place"], members: slice = ALL
    ) -> Float[Tensor, "member row place outputs"]:
        """Logits of the token after each place, of all members or of a slice of them."""
        count, rows, places = tokens.shape
        stream = picked(self.embed[members], tokens.flatten(1))  # (member, row and place, width)
        place = torch.arange(places, device=tokens.device)
        ago = place.unsqueeze(1) - place
        for layer in range(self.layers):
            normal = functional.layer_norm(stream, (self.width,))
            rate = self.get_parameter(f"rate{layer}")[members].exp().flatten()[:, None, None]
            kernel = torch.exp(-rate * ago.clamp(min=0)).tril()  # (member and width, place, place)
            fed = (normal @ self.get_parameter(f"enter{layer}")[members]).reshape(count, rows, places, -1)
            states = kernel @ fed.permute(0, 3, 2, 1).flatten(0, 1)  # (member and width, place, row)
            states = states.reshape(count, self.width, places, rows).permute(0, 3, 2, 1).flatten(1, 2)
            stream = stream + self._added(layer, normal, states, members)
        return self._logits(stream, members).reshape(count, rows, places, -1)

    def begin(self, rows: int) -> State:
        """The states of every layer, (member, row, width), at zero."""
        return [self.unembed.new_zeros(self.count, rows, self.width) for _ in range(self.layers)]

    def advance(
        self, tokens: Int[Tensor, "member row"], place: int, state: State
    ) -> Float[Tensor, "member row outputs"]:
        """Read one token a row."""
        del place  # what is read where is in the state
        stream = picked(self.embed, tokens)
        for layer in range(self.layers):
            normal = functional.layer_norm(stream, (self.width,))
            factor = torch.exp(-self.get_parameter(f"rate{layer}").exp()).unsqueeze(1)
            state[layer] = factor * state[layer] + normal @ self.get_parameter(f"enter{layer}")
            stream = stream + self._added(layer, normal, state[layer], ALL)
        return self._logits(stream, ALL)

    def _added(self, layer: int, normal: Tensor, states: Tensor, members: slice) -> Tensor:
        leave, skip, back = (self.get_parameter(f"{name}{layer}")[members] for name in ("leave", "skip", "back"))
        before, after = (self.get_parameter(f"{name}{layer}_bias")[members] for name in ("leave", "back"))
        return torch.baddbmm(after, functional.gelu(torch.baddbmm(before, normal, skip) + states @ leave), back)

    def _logits(self, stream: Tensor, members: slice) -> Tensor:
        normal = functional.layer_norm(stream, (self.width,))
        return torch.baddbmm(self.unembed_bias[members], normal, self.unembed[members])


class Linears(Family):
    """Logits linear in what was read: a table for every place that is read and every later or equal place of writing.

    Tables start normal with variance 1 / context, biases 0.
    """

    seen: Tensor

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        *,
        vocabulary: int,
        outputs: int,
        context: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(generators, dtype, vocabulary=vocabulary, outputs=outputs, context=context)
        self.vocabulary = vocabulary
        self.table = self._normal(context, vocabulary, context, outputs, scale=context**-0.5)
        self.bias = self._zeros(context, outputs)
        place = torch.arange(context)
        self.register_buffer("seen", (place.unsqueeze(1) <= place).to(dtype)[:, None, :, None])

    def forward(
        self, tokens: Int[Tensor, "member row place"], members: slice = ALL
    ) -> Float[Tensor, "member row place outputs"]:
        """Logits of the token after each place, of all members or of a slice of them."""
        count, rows, places = tokens.shape
        table = (self.table[members] * self.seen)[:, :places, :, :places]
        units = functional.one_hot(tokens, self.vocabulary).to(table.dtype).flatten(2)
        summed = units @ table.flatten(3).flatten(1, 2)
        return summed.reshape(count, rows, places, -1) + self.bias[members, None, :places]

    def begin(self, rows: int) -> State:
        """The logits of all places so far, (member, row, place and outputs)."""
        return [self.bias.detach().flatten(1).unsqueeze(1).repeat(1, rows, 1)]

    def advance(
        self, tokens: Int[Tensor, "member row"], place: int, state: State
    ) -> Float[Tensor, "member row outputs"]:
        """Read one token a row: its tables are added to the logits of this place and all later ones."""
        state[0] = state[0] + picked((self.table * self.seen)[:, place].flatten(2), tokens)
        return state[0].reshape(*tokens.shape, self.context, -1)[:, :, place]
