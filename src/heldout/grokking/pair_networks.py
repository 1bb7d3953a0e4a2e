"""Networks that read a pair (a, b) of numbers from 0 to P - 1 and answer with P logits."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from heldout.experiment import require

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"square": torch.square, "relu": functional.relu}


class PairMLP(nn.Module):
    """One hidden layer on the two numbers as one-hot vectors: logits ``unembed @ phi(left[a] + right[b])``, no biases.

    With the square as activation, the network of Gromov 2023 (arXiv 2301.02679, equation 1). Weights start normal with
    standard deviation ``init_scale`` / sqrt(hidden_size).

    Raises:
        ValueError: a size is below 1, the activation is unknown, or ``init_scale`` is not positive.
    """

    def __init__(
        self,
        modulus: int,
        hidden_size: int,
        *,
        generator: torch.Generator,
        activation: str = "square",
        init_scale: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        require(min(modulus, hidden_size) >= 1, "sizes", (modulus, hidden_size), "positive")
        require(activation in ACTIVATIONS, "activation", activation, f"one of {', '.join(ACTIVATIONS)}")
        require(init_scale > 0, "init_scale", init_scale, "above 0")
        self.activation = activation

        def weight() -> nn.Parameter:
            drawn = torch.randn(modulus, hidden_size, generator=generator, dtype=dtype)
            return nn.Parameter(drawn * init_scale / math.sqrt(hidden_size))

        self.left, self.right, self.unembed = weight(), weight(), weight()

    def forward(self, pairs: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch modulus"]:
        """Logits of every number from 0 to P - 1."""
        # Classes outside, pairs inside: a few products this way, and the loss, take two thirds of the time.
        return (self.unembed @ self.hidden(pairs).T).T

    def hidden(self, pairs: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch hidden"]:
        """Activations of the hidden layer."""
        # functional.embedding, unlike indexing, has a backward pass that adds rows one after another, without a sort.
        read = functional.embedding(pairs[:, 0], self.left) + functional.embedding(pairs[:, 1], self.right)
        return ACTIVATIONS[self.activation](read)


class PairTransformer(nn.Module):
    """What :class:`heldout.networks.OneLayerTransformer` computes on (a, b, =), with a sixth of the work.

    The network of Nanda et al. 2023 (arXiv 2301.05217, section 3). Parameters have the names and shapes that they have
    there, and the outputs are the same; what differs is what is left out. Only the last position is read, so only its query
    is formed, and it is the same vector for every pair. Keys and values depend on a token and its place, so they are formed
    once for each of the P + 1 tokens, not once a pair.

    Raises:
        ValueError: a size is below 1, ``heads`` does not divide ``model_size``, or ``init_scale`` is not positive.
    """

    def __init__(
        self,
        modulus: int,
        *,
        generator: torch.Generator,
        model_size: int = 128,
        heads: int = 4,
        hidden_size: int = 512,
        init_scale: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        smallest = min(modulus, model_size, heads, hidden_size)
        require(smallest >= 1, "sizes", smallest, "positive")
        require(model_size % heads == 0, "heads", heads, f"a divisor of model_size={model_size}")
        require(init_scale > 0, "init_scale", init_scale, "above 0")
        self.heads, self.modulus = heads, modulus

        def weight(*shape: int) -> nn.Parameter:
            scale = init_scale / math.sqrt(model_size)
            return nn.Parameter(torch.randn(*shape, generator=generator, dtype=dtype) * scale)

        self.embed = weight(modulus + 1, model_size)
        self.position = weight(3, model_size)
        self.query_key_value = weight(3, heads, model_size // heads, model_size)
        self.attention_out = weight(heads, model_size, model_size // heads)
        self.hidden_in = weight(hidden_size, model_size)
        self.hidden_out = weight(model_size, hidden_size)
        self.unembed = weight(modulus, model_size)

    def forward(self, pairs: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch modulus"]:
        """Logits of every number from 0 to P - 1."""
        stream, hidden = self.last_stream(pairs)
        return (self.unembed @ (stream + hidden @ self.hidden_out.T).T).T

    def hidden(self, pairs: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch hidden"]:
        """Activations of the hidden layer at the last position."""
        return self.last_stream(pairs)[1]

    def last_stream(
        self, pairs: Int[Tensor, "batch 2"]
    ) -> tuple[Float[Tensor, "batch model"], Float[Tensor, "batch hidden"]]:
        """The residual stream of the last position after attention, and the hidden layer's activations there."""
        last = self.embed[-1] + self.position[2]
        tokens = (self.embed[:-1] + self.position[0], self.embed[:-1] + self.position[1], last.unsqueeze(0))
        query_weight, key_weight, value_weight = self.query_key_value.flatten(1, 2).unbind(0)
        size = self.query_key_value.shape[2]
        query = (query_weight @ last).view(self.heads, size) / math.sqrt(size)
        # The score of a token is its product with the query seen through the keys' weights: (model, heads).
        asks = torch.einsum("hd,hdm->mh", query, key_weight.view(self.heads, size, -1))
        rows = (pairs[:, 0], pairs[:, 1])
        scores = [functional.embedding(row, token @ asks) for row, token in zip(rows, tokens[:2], strict=True)]
        weights = torch.stack([*scores, (last @ asks).expand_as(scores[0])]).softmax(0)
        out_weight = self.attention_out.transpose(0, 1).flatten(1)
        read = weights[2].unsqueeze(-1) * (value_weight @ last).view(self.heads, size)
        for row, token, weight in zip(rows, tokens[:2], weights[:2], strict=True):
            values = functional.embedding(row, token @ value_weight.T)
            read = read + weight.unsqueeze(-1) * values.view(-1, self.heads, size)
        stream = last + read.flatten(1) @ out_weight.T
        return stream, functional.relu(stream @ self.hidden_in.T)


class DeepPairMLP(nn.Module):
    """Two hidden layers of ReLU on the two numbers as one-hot vectors, no biases.

    The network of Prieto et al. 2025 (arXiv 2501.04697) as in their code, where the layers are 200 wide. Weights start uniform
    in +-1 / sqrt(fan_in), PyTorch's own default for a linear layer.

    Raises:
        ValueError: a size is below 1.
    """

    def __init__(
        self, modulus: int, hidden_size: int, *, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        require(min(modulus, hidden_size) >= 1, "sizes", (modulus, hidden_size), "positive")

        def weight(rows: int, columns: int, fan_in: int) -> nn.Parameter:
            drawn = torch.rand(rows, columns, generator=generator, dtype=dtype)
            return nn.Parameter((2 * drawn - 1) / math.sqrt(fan_in))

        self.left, self.right = (weight(modulus, hidden_size, 2 * modulus) for _ in range(2))
        self.middle = weight(hidden_size, hidden_size, hidden_size)
        self.unembed = weight(modulus, hidden_size, hidden_size)

    def forward(self, pairs: Int[Tensor, "batch 2"]) -> Float[Tensor, "batch modulus"]:
        """Logits of every number from 0 to P - 1."""
        read = functional.embedding(pairs[:, 0], self.left) + functional.embedding(pairs[:, 1], self.right)
        return functional.relu(functional.relu(read) @ self.middle.T) @ self.unembed.T
