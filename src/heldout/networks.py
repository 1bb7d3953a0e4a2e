"""The textbook networks of the book, each readable in one screen.

Every initial weight is drawn from a generator that the caller gives, so building a network touches no global state.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

from heldout.experiment import require

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
}


class MLP(nn.Module):
    """A multilayer perceptron: affine maps with an activation between them.

    Weights and biases start uniform in +-init_scale / sqrt(fan_in), which at ``init_scale=1`` is PyTorch's own default
    for ``nn.Linear``.

    Raises:
        ValueError: a size is below 1, the activation is unknown, or ``init_scale`` is not positive.
    """

    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        output_size: int,
        *,
        generator: torch.Generator,
        activation: str = "relu",
        init_scale: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        sizes = (input_size, *hidden_sizes, output_size)
        require(min(sizes) >= 1, "hidden_sizes", sizes, "positive, and so must input_size and output_size be")
        require(activation in ACTIVATIONS, "activation", activation, f"one of {', '.join(ACTIVATIONS)}")
        require(init_scale > 0, "init_scale", init_scale, "above 0")
        self.sizes = sizes
        self.activation = activation
        self.layers = nn.ModuleList(
            skip_init(nn.Linear, fan_in, fan_out, dtype=dtype)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            for fan_in, fan_out in itertools.pairwise(sizes)
        )
        with torch.no_grad():
            for parameter, fan_in in zip(self.parameters(), (s for s in sizes[:-1] for _ in "wb"), strict=True):
                bound = init_scale / math.sqrt(fan_in)
                parameter.uniform_(-bound, bound, generator=generator)

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        """Outputs before any softmax."""
        for layer in self.layers[:-1]:
            x = ACTIVATIONS[self.activation](layer(x))
        return self.layers[-1](x)  # type: ignore[no-any-return]  # ModuleList items are typed as Module


class OneLayerTransformer(nn.Module):
    """One attention layer and one ReLU layer on a residual stream, without layer normalization or biases.

    The network of Nanda et al. 2023 (arXiv 2301.05217, section 3): learned embeddings and positions, causal attention,
    outputs read at the last position only. Every weight starts normal with variance init_scale^2 / model_size
    (the embedding of positions likewise), an own, simpler choice.

    Raises:
        ValueError: a size is below 1, ``heads`` does not divide ``model_size``, or ``init_scale`` is not positive.
    """

    def __init__(
        self,
        vocabulary: int,
        context: int,
        outputs: int,
        *,
        generator: torch.Generator,
        model_size: int = 128,
        heads: int = 4,
        hidden_size: int = 512,
        init_scale: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        smallest = min(vocabulary, context, outputs, model_size, heads, hidden_size)
        require(smallest >= 1, "sizes", smallest, "positive")
        require(model_size % heads == 0, "heads", heads, f"a divisor of model_size={model_size}")
        require(init_scale > 0, "init_scale", init_scale, "above 0")
        self.heads = heads

        def weight(*shape: int) -> nn.Parameter:
            scale = init_scale / math.sqrt(model_size)
            return nn.Parameter(torch.randn(*shape, generator=generator, dtype=dtype) * scale)

        self.embed = weight(vocabulary, model_size)
        self.position = weight(context, model_size)
        self.query_key_value = weight(3, heads, model_size // heads, model_size)
        self.attention_out = weight(heads, model_size, model_size // heads)
        self.hidden_in = weight(hidden_size, model_size)
        self.hidden_out = weight(model_size, hidden_size)
        self.unembed = weight(outputs, model_size)

    def forward(self, tokens: Int[Tensor, "batch context"]) -> Float[Tensor, "batch outputs"]:
        """Logits of the last position."""
        length = tokens.shape[1]
        stream = self.embed[tokens] + self.position[:length]
        query, key, value = torch.einsum("shdm,bcm->sbhcd", self.query_key_value, stream).unbind(0)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        future = torch.ones(length, length, dtype=torch.bool, device=tokens.device).triu(1)
        attention = scores.masked_fill(future, -math.inf).softmax(-1)
        stream = stream + torch.einsum("hmd,bhcd->bcm", self.attention_out, attention @ value)
        last = stream[:, -1]
        last = last + functional.relu(last @ self.hidden_in.T) @ self.hidden_out.T
        return last @ self.unembed.T
