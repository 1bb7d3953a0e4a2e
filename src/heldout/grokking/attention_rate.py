"""A transformer of one layer on two tokens whose attention is mixed with an even one, by a rate that is fixed before training.

The network of Zhong et al. 2023 (arXiv 2306.17844), with the sum of both weights as one more choice.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from heldout.experiment import require


class MixedAttention(nn.Module):
    """Attention over "a b", one ReLU layer, no layer normalization, read at b's place.

    A token weighs ``rate`` times its softmax weight plus an equal share of the rest, so that both together weigh ``loudness``:
    at rate 0 they weigh the same, whatever they are; at rate 1 and loudness 1 the weights are an ordinary head's. In Zhong et
    al.'s code the loudness is 2 - ``rate``. Weights start normal with standard deviation 1 / sqrt(model_size), those into
    the hidden layer 1 / sqrt(hidden_size), the unembedding's 1 / sqrt(P); biases start at zero.

    Raises:
        ValueError: a size is below 1, ``heads`` does not divide ``model_size``, the rate is not between 0 and 1, or the
            loudness is below it.
    """

    rate: Tensor
    even: Tensor

    def __init__(
        self,
        modulus: int,
        *,
        rate: float,
        generator: torch.Generator,
        loudness: float = 1.0,
        model_size: int = 128,
        heads: int = 4,
        hidden_size: int = 512,
    ) -> None:
        super().__init__()
        require(min(modulus, model_size, heads, hidden_size) >= 1, "sizes", (modulus, model_size, heads), "positive")
        require(model_size % heads == 0, "heads", heads, f"a divisor of model_size={model_size}")
        require(0 <= rate <= 1, "rate", rate, "from 0 to 1")
        require(loudness >= rate, "loudness", loudness, f"at least the rate={rate}")
        self.modulus, self.heads = modulus, heads
        self.register_buffer("rate", torch.tensor(float(rate)))
        self.register_buffer("even", torch.tensor((loudness - rate) / 2))

        def weight(*shape: int, fan: int = model_size) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=generator) / math.sqrt(fan))

        self.embed = weight(modulus, model_size)
        self.position = weight(2, model_size)
        self.query, self.key, self.value, self.attention_out = (weight(model_size, model_size) for _ in range(4))
        self.hidden_in = weight(hidden_size, model_size, fan=hidden_size)
        self.hidden_bias = nn.Parameter(torch.zeros(hidden_size))
        self.hidden_out = weight(model_size, hidden_size)
        self.out_bias = nn.Parameter(torch.zeros(model_size))
        self.unembed = weight(modulus, model_size, fan=modulus)

    def forward(self, pairs: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch modulus"]:
        """Logits of every number from 0 to P - 1."""
        # Queries, keys and values depend on a token and its place: they are formed once a token, not once a pair.
        first, second = self.embed + self.position[0], self.embed + self.position[1]
        size = self.query.shape[0] // self.heads
        queries = (second @ self.query.T).view(-1, self.heads, size) / math.sqrt(size)
        keys = [(token @ self.key.T).view(-1, self.heads, size) for token in (first, second)]
        across = torch.einsum("bhd,ahd->abh", queries, keys[0]).reshape(-1, self.heads)
        own = (queries * keys[1]).sum(-1)
        lead = functional.embedding(self.modulus * pairs[:, 0] + pairs[:, 1], across) - functional.embedding(
            pairs[:, 1], own
        )
        values = [functional.embedding(pairs[:, i], token @ self.value.T) for i, token in enumerate((first, second))]
        return self._answer(functional.embedding(pairs[:, 1], second), torch.sigmoid(lead), values[0], values[1])

    def from_vectors(
        self, first: Float[Tensor, "*batch model"], second: Float[Tensor, "*batch model"]
    ) -> Float[Tensor, "*batch modulus"]:
        """The same logits, from the rows of the embedding that a and b choose."""
        first, second = first + self.position[0], second + self.position[1]
        share = self._share(first, second)
        return self._answer(second, share, first @ self.value.T, second @ self.value.T)

    def _share(self, first: Tensor, second: Tensor) -> Float[Tensor, "*batch heads"]:
        """The softmax weight of a, by head; that of b is the rest."""
        shape = (*second.shape[:-1], self.heads, -1)
        query = (second @ self.query.T).view(shape)
        lead = ((first - second) @ self.key.T).view(shape)
        return torch.sigmoid((query * lead).sum(-1) / math.sqrt(query.shape[-1]))

    def shares(self) -> Float[Tensor, "modulus modulus heads"]:
        """The softmax weight of a for every pair (a, b), by head, before it is mixed."""
        first, second = self.embed + self.position[0], self.embed + self.position[1]
        count, size = self.modulus, self.embed.shape[1]
        return self._share(first[:, None].expand(count, count, size), second.expand(count, count, size))

    def stream(self) -> Float[Tensor, "modulus modulus model"]:
        """What the hidden layer reads, for every pair (a, b)."""
        shares = self.shares()
        first, second = self.embed + self.position[0], self.embed + self.position[1]
        count, size = self.modulus, self.embed.shape[1]
        values = (
            (first @ self.value.T)[:, None].expand(count, count, size),
            (second @ self.value.T).expand(count, count, size),
        )
        return self._stream(second.expand(count, count, size), shares, *values)

    def unit_inputs(self, stream: Float[Tensor, "*batch model"]) -> Float[Tensor, "*batch hidden"]:
        """What the hidden units are given."""
        return stream @ self.hidden_in.T + self.hidden_bias

    def unit_outputs(self, stream: Float[Tensor, "*batch model"]) -> Float[Tensor, "*batch hidden"]:
        """What the hidden units give."""
        return functional.relu(self.unit_inputs(stream))

    def read_out(
        self, stream: Float[Tensor, "*batch model"], outputs: Float[Tensor, "*batch hidden"]
    ) -> Float[Tensor, "*batch modulus"]:
        """Logits from the stream after attention and the hidden units' outputs."""
        return (stream + outputs @ self.hidden_out.T + self.out_bias) @ self.unembed.T

    def _stream(self, second: Tensor, share: Tensor, value_a: Tensor, value_b: Tensor) -> Tensor:
        weights = self.rate * share + self.even, self.rate * (1 - share) + self.even
        split = (*value_a.shape[:-1], self.heads, -1)
        read = weights[0].unsqueeze(-1) * value_a.view(split) + weights[1].unsqueeze(-1) * value_b.view(split)
        return second + read.flatten(-2) @ self.attention_out.T

    def _answer(self, second: Tensor, share: Tensor, value_a: Tensor, value_b: Tensor) -> Tensor:
        stream = self._stream(second, share, value_a, value_b)
        return self.read_out(stream, self.unit_outputs(stream))
