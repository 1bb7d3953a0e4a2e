"""A small language model that was really trained, in plain PyTorch: SmolLM2-135M-Instruct, loaded from its 4-bit weights.

A decoder of the Llama type: tokens -> embedding -> 30 times (attention, then a gated layer, each added to the stream after a
root-mean-square norm) -> norm -> logits, through the embedding once more. Nothing in it is random. Gradients reach every
weight; a caller who wants none says so with ``torch.no_grad``.
"""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from torch.nn import functional

from heldout.data import smollm2
from heldout.experiment import require

START = "<|endoftext|>"  # stands before every document of the training text, and before every text scored here
POSITIONS_AT_ONCE = 32  # positions whose logits are held in memory together (200 kB each, and as much to work in)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of a decoder; the defaults are those of SmolLM2-135M."""

    vocabulary: int = 49_152
    width: int = 576
    layers: int = 30
    heads: int = 9
    key_heads: int = 3  # keys and values are shared by heads / key_heads queries each
    hidden: int = 1536
    rotary_base: float = 100_000.0
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        smallest = min(self.vocabulary, self.width, self.layers, self.heads, self.key_heads, self.hidden)
        require(smallest >= 1, "sizes", smallest, "positive")
        require(self.heads % self.key_heads == 0, "key_heads", self.key_heads, f"a divisor of heads={self.heads}")
        even = self.width % (2 * self.heads) == 0
        require(even, "width", self.width, f"a multiple of twice heads={self.heads}")


class Norm(nn.Module):
    """Each vector divided by its root mean square, then scaled entry by entry."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.epsilon = epsilon

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """The normed vectors."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


class Attention(nn.Module):
    """Causal attention with rotary positions; a group of queries shares one key and one value."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape, self.size = shape, shape.width // shape.heads
        self.query = nn.Linear(shape.width, shape.width, bias=False)
        self.key = nn.Linear(shape.width, shape.key_heads * self.size, bias=False)
        self.value = nn.Linear(shape.width, shape.key_heads * self.size, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length width"]:
        """What the attention adds to the stream at every position."""
        query, key, value = (
            each.view(*x.shape[:2], -1, self.size).transpose(1, 2)
            for each in (self.query(x), self.key(x), self.value(x))
        )
        query, key = rotated(query, self.shape.rotary_base), rotated(key, self.shape.rotary_base)
        group = self.shape.heads // self.shape.key_heads
        key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
        scores = query @ key.mT / math.sqrt(self.size)
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
        mixed = scores.masked_fill(future, -math.inf).softmax(-1) @ value
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]  # modules return Any


class Gated(nn.Module):
    """The layer that works on each position alone: silu(gate) times up, then down."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """What the layer adds to the stream."""
        return self.down(functional.silu(self.gate(x)) * self.up(x))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention, then the gated layer, each on a normed copy of the stream and added to it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm, self.attention = Norm(shape.width, shape.epsilon), Attention(shape)
        self.gated_norm, self.gated = Norm(shape.width, shape.epsilon), Gated(shape)

    def forward(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length width"]:
        """The stream after this block."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.gated(self.gated_norm(x))  # type: ignore[no-any-return]


class LanguageModel(nn.Module):
    """The decoder: tokens in, and at every position the stream from which the next token is read."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Parameter(torch.empty(shape.vocabulary, shape.width))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width, shape.epsilon)

    def stream(
        self, tokens: Int[Tensor, "batch length"], *, hidden: list[Tensor] | None = None
    ) -> Float[Tensor, "batch length width"]:
        """The normed stream after the last block; ``hidden``, a list, receives the stream before and after every block."""
        x = functional.embedding(tokens, self.embed)
        states = [x]
        for block in self.blocks:
            x = block(x)
            states.append(x)
        if hidden is not None:
            hidden.extend(states)
        return self.norm(x)  # type: ignore[no-any-return]

    def forward(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length vocabulary"]:
        """Logits of the next token at every position."""
        return self.stream(tokens) @ self.embed.T


def rotated(x: Float[Tensor, "batch heads length size"], base: float) -> Float[Tensor, "batch heads length size"]:
    """Entry i and entry i + size/2, as a point of the plane, turned by position * base^(-2 i / size)."""
    half = x.shape[-1] // 2
    rate = base ** (-torch.arange(half, dtype=torch.float32, device=x.device) / half)
    angle = torch.arange(x.shape[-2], dtype=torch.float32, device=x.device)[:, None] * rate
    first, second = x[..., :half], x[..., half:]
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class Scores(NamedTuple):
    """How a model meets given tokens, from the second of each row on; ``best`` are its first choices at those places."""

    loss: Float[Tensor, "batch places"]  # nats
    rank: Int[Tensor, "batch places"]  # 0: the token was the model's first choice
    best: Int[Tensor, "batch places top"]
    best_probability: Float[Tensor, "batch places top"]


def token_losses(model: LanguageModel, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch places"]:
    """Minus the log-probability, in nats, of every token but the first of its row, given those before it.

    Raises:
        ValueError: rows of fewer than two tokens.
    """
    return score(model, tokens, top=1).loss


def score(model: LanguageModel, tokens: Int[Tensor, "batch length"], *, top: int = 1) -> Scores:
    """Loss and rank of every token but the first of its row, and the model's ``top`` first choices in its place.

    The logits of all positions would take gigabytes, so they are made for a few positions at a time.

    Raises:
        ValueError: rows of fewer than two tokens, or ``top`` below 1.
    """
    require(tokens.shape[-1] >= 2, "tokens", tuple(tokens.shape), "rows of at least two tokens")
    require(top >= 1, "top", top, "at least 1")
    stream = model.stream(tokens[:, :-1]).flatten(0, 1)
    targets = tokens[:, 1:].flatten()
    parts = []
    pieces = (torch.split(each, POSITIONS_AT_ONCE) for each in (stream, targets))
    for rows, wanted in zip(*pieces, strict=True):
        # log_softmax is one pass over the vocabulary; logsumexp takes ten times as long on a CPU.
        log_probability = functional.log_softmax(rows @ model.embed.T, dim=1)
        of_target = log_probability.gather(1, wanted[:, None])
        highest, best = log_probability.detach().topk(top, dim=1)
        rank = (log_probability.detach() > of_target.detach()).sum(1)
        parts.append((-of_target.squeeze(1), rank, best, highest.exp()))
    loss, rank, choices, probability = (torch.cat(each) for each in zip(*parts, strict=True))
    places = (tokens.shape[0], tokens.shape[1] - 1)
    return Scores(loss.view(places), rank.view(places), choices.view(*places, top), probability.view(*places, top))


def load(device: torch.device | str = "cpu") -> tuple[LanguageModel, Tokenizer]:
    """SmolLM2-135M-Instruct in float32 with its tokenizer.

    Raises:
        DataError: it was not fetched (the message says the command), or the file is damaged.
    """
    file = smollm2.reader()

    def number(name: str) -> int:
        return int(smollm2.setting(file, f"llama.{name}"))

    shape = Shape(
        vocabulary=number("vocab_size"),
        width=number("embedding_length"),
        layers=number("block_count"),
        heads=number("attention.head_count"),
        key_heads=number("attention.head_count_kv"),
        hidden=number("feed_forward_length"),
        rotary_base=float(smollm2.setting(file, "llama.rope.freq_base")),
        epsilon=float(smollm2.setting(file, "llama.attention.layer_norm_rms_epsilon")),
    )
    made = tokenizer(smollm2.setting(file, "tokenizer.ggml.tokens"), _merges(file))
    file.fields.clear()  # two small arrays a token, 100 MB in all, and no longer needed
    with torch.device("meta"):
        model = LanguageModel(shape)
    weights = {}
    for name, values in smollm2.tensors(file):
        weight = torch.from_numpy(values)
        if name.endswith(("attn_q.weight", "attn_k.weight")):
            weight = halves(weight, shape.width // shape.heads)
        weights[renamed(name)] = weight.to(device)
    model.load_state_dict(weights, assign=True)
    return model.eval(), made


@functools.lru_cache(maxsize=1)
def loaded(device: torch.device) -> tuple[LanguageModel, Tokenizer]:
    """What :func:`load` gives, read from disk once a process; its weights are not to be changed.

    Raises:
        DataError: it was not fetched.
    """
    return load(device)


NAMES = {
    "attn_norm": "attention_norm",
    "attn_q": "attention.query",
    "attn_k": "attention.key",
    "attn_v": "attention.value",
    "attn_output": "attention.out",
    "ffn_norm": "gated_norm",
    "ffn_gate": "gated.gate",
    "ffn_up": "gated.up",
    "ffn_down": "gated.down",
}


def renamed(name: str) -> str:
    """GGUF's name of a tensor in the names of :class:`LanguageModel`."""
    if name == "token_embd.weight":
        return "embed"
    if name == "output_norm.weight":
        return "norm.weight"
    _, layer, part, _ = name.split(".")
    return f"blocks.{layer}.{NAMES[part]}.weight"


def halves(weight: Float[Tensor, "rows width"], size: int) -> Float[Tensor, "rows width"]:
    """GGUF keeps the two rows that turn together side by side; here they lie half a head apart."""
    return weight.view(-1, size // 2, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def _merges(file: smollm2.Reader) -> list[tuple[str, str]]:
    pairs = (line.split(" ") for line in smollm2.setting(file, "tokenizer.ggml.merges"))
    return [(first, second) for first, second in pairs]


def tokenizer(vocabulary: list[str], merges: list[tuple[str, str]]) -> Tokenizer:
    """Byte-level pair encoding in which every digit is a token of its own; special tokens are found in the text."""
    made = Tokenizer(models.BPE(vocab={token: place for place, token in enumerate(vocabulary)}, merges=merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    made.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token) for token in vocabulary if token.startswith("<|")])
    return made
