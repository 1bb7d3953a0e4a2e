"""The language model against other implementations: transformers' own losses, PyTorch's attention, complex rotation."""

import math

import pytest
import torch
from tokenizers import Tokenizer
from torch.nn import functional

from heldout import language_model
from heldout.data import smollm2
from heldout.language_model import Attention, LanguageModel, Norm, Shape, halves, rotated, score, token_losses

SMALL = Shape(vocabulary=50, width=24, layers=3, heads=6, key_heads=2, hidden=20)

# Mean loss in nats a token from the second token on, and the first ten tokens. Made once with transformers 5.23.0, accelerate
# 1.15.0, gguf 0.19.0 and torch 2.13.0 on a CPU, in an environment of their own: AutoTokenizer and AutoModelForCausalLM
# .from_pretrained(folder, gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf", dtype=torch.float32), text without special tokens,
# torch.nn.functional.cross_entropy(logits[:-1], tokens[1:]).
PASSAGES = {
    "english": (
        "The river rose in the night, and by morning the lower road was under water. Nobody in the village was surprised; "
        "it happened in most years, and the older houses had been built on the hill for that reason.",
        44, 4.029432, [504, 4626, 8739, 281, 260, 3163, 28, 284, 411, 5738],
    ),
    "french": (
        "La rivière est montée pendant la nuit, et au matin la route du bas était sous l'eau. Personne au village n'en fut "
        "surpris : cela arrivait presque tous les ans.",
        54, 4.341418, [15319, 32974, 89, 26364, 1264, 44753, 20174, 25171, 403, 2618],
    ),
    "python": (
        'def mean(values):\n    """The arithmetic mean of a non-empty list."""\n    total = 0\n    for value in values:\n'
        "        total += value\n    return total / len(values)\n\n\nprint(mean([1, 2, 3, 40]))\n",
        59, 1.338085, [1604, 1441, 24, 6347, 727, 472, 1620, 504, 20270, 1441],
    ),
}  # fmt: skip


def small(dtype: torch.dtype = torch.float64) -> LanguageModel:
    model = LanguageModel(SMALL).to(dtype)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw, dtype=dtype) / math.sqrt(weight.shape[-1]))
    return model


def tokens(rows: int, length: int) -> torch.Tensor:
    return torch.randint(0, SMALL.vocabulary, (rows, length), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def real() -> tuple[LanguageModel, Tokenizer]:
    if not smollm2.MODEL.present:
        pytest.skip("the language model was not fetched on this machine (heldout data fetch smollm2)")
    return language_model.load()


@pytest.mark.parametrize("name", PASSAGES)
def test_losses_are_those_of_transformers(name: str, real: tuple[LanguageModel, Tokenizer]) -> None:
    model, tokenizer = real
    text, length, mean, first = PASSAGES[name]
    encoded = tokenizer.encode(text)
    assert len(encoded.ids) == length
    assert encoded.ids[:10] == first
    assert tokenizer.decode(encoded.ids) == text
    with torch.no_grad():
        assert float(token_losses(model, torch.tensor([encoded.ids])).mean()) == pytest.approx(mean, abs=1e-3)


def test_the_tokenizer_splits_digits_and_knows_its_marks(real: tuple[LanguageModel, Tokenizer]) -> None:
    model, tokenizer = real
    assert tokenizer.get_vocab_size() == model.shape.vocabulary
    assert tokenizer.encode(" 1984").tokens == ["Ġ", "1", "9", "8", "4"]
    assert tokenizer.encode(f"{language_model.START}a").ids[0] == tokenizer.token_to_id(language_model.START) == 0


def test_the_published_number_of_parameters(real: tuple[LanguageModel, Tokenizer]) -> None:
    model, _ = real
    assert sum(weight.numel() for weight in model.parameters()) == 134_515_008
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_attention_is_pytorch_s() -> None:
    attention = small().blocks[0].attention
    assert isinstance(attention, Attention)
    x = torch.randn(2, 7, SMALL.width, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    query, key, value = (
        layer(x).view(2, 7, -1, 4).transpose(1, 2) for layer in (attention.query, attention.key, attention.value)
    )
    query, key = rotated(query, SMALL.rotary_base), rotated(key, SMALL.rotary_base)
    mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(attention(x), mixed.transpose(1, 2).reshape(2, 7, -1) @ attention.out.weight.T)


def test_rotation_is_multiplication_by_a_unit_complex_number() -> None:
    x = torch.randn(2, 3, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    found = rotated(x, 100.0)
    for position in range(5):
        for entry in range(4):
            turn = torch.exp(torch.tensor(1j * position * 100.0 ** (-2 * entry / 8), dtype=torch.complex128))
            point = torch.complex(x[:, :, position, entry], x[:, :, position, entry + 4]) * turn
            expected = torch.stack([point.real, point.imag])
            both = torch.stack([found[:, :, position, entry], found[:, :, position, entry + 4]])
            torch.testing.assert_close(both, expected, rtol=1e-5, atol=1e-6)


def test_norm_is_pytorch_s() -> None:
    norm = Norm(24, 1e-5).double()
    torch.nn.init.uniform_(norm.weight, 0.5, 1.5, generator=torch.Generator().manual_seed(4))
    x = tokens(3, 24).double()
    torch.testing.assert_close(norm(x), functional.rms_norm(x, (24,), norm.weight, 1e-5))


def test_rows_that_turn_together_come_half_a_head_apart() -> None:
    weight = torch.arange(12.0)[:, None].repeat(1, 2)
    assert halves(weight, 6)[:, 0].tolist() == [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]


def test_later_tokens_change_nothing_before_them() -> None:
    model, rows = small(), tokens(2, 12)
    changed = rows.clone()
    changed[:, 8:] = (changed[:, 8:] + 1) % SMALL.vocabulary
    torch.testing.assert_close(model(rows)[:, :8], model(changed)[:, :8])
    assert not torch.allclose(model(rows)[:, 8:], model(changed)[:, 8:])
    torch.testing.assert_close(token_losses(model, rows)[:, :7], token_losses(model, rows[:, :8]))


def test_scores_are_read_off_the_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "POSITIONS_AT_ONCE", 5)  # does not divide 3 * 11
    model, rows = small(), tokens(3, 12)
    probability = model(rows[:, :-1]).softmax(-1)
    found = score(model, rows, top=3)
    ordered = probability.sort(-1, descending=True)
    for row in range(3):
        for place in range(11):
            target = rows[row, place + 1]
            torch.testing.assert_close(found.loss[row, place], -probability[row, place, target].log())
            assert ordered.indices[row, place, found.rank[row, place]] == target
            torch.testing.assert_close(found.best_probability[row, place], ordered.values[row, place, :3])
            assert torch.equal(found.best[row, place], ordered.indices[row, place, :3])


def test_gradients_reach_every_weight_and_agree_with_differences() -> None:
    model, rows = small(), tokens(1, 6)
    token_losses(model, rows).sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in model.parameters())
    weight = model.blocks[1].attention.key.weight
    step = 1e-5
    with torch.no_grad():
        weight[2, 3] += step
        above = token_losses(model, rows).sum()
        weight[2, 3] -= 2 * step
        below = token_losses(model, rows).sum()
    assert float((above - below) / (2 * step)) == pytest.approx(float(weight.grad[2, 3]), rel=1e-5)


def test_hidden_states_are_the_stream_between_the_blocks() -> None:
    model, rows = small(), tokens(2, 5)
    hidden: list[torch.Tensor] = []
    last = model.stream(rows, hidden=hidden)
    assert len(hidden) == SMALL.layers + 1
    torch.testing.assert_close(hidden[0], model.embed[rows])
    torch.testing.assert_close(hidden[2], model.blocks[1](hidden[1]))
    torch.testing.assert_close(last, model.norm(hidden[-1]))


@pytest.mark.parametrize(
    ("change", "said"),
    [({"key_heads": 4}, "key_heads=4"), ({"width": 27}, "width=27"), ({"layers": 0}, "sizes=0")],
)
def test_sizes_that_do_not_fit_are_refused(change: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Shape(**({"heads": 6, "key_heads": 2, "width": 24} | change))


def test_a_single_token_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="at least two"):
        token_losses(small(), tokens(2, 1))
    with pytest.raises(ValueError, match="top=0"):
        score(small(), tokens(2, 3), top=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_losses_on_cuda_are_those_on_the_cpu() -> None:
    model, rows = small(torch.float32), tokens(2, 12)
    expected = token_losses(model, rows)
    torch.testing.assert_close(token_losses(model.cuda(), rows.cuda()).cpu(), expected, rtol=1e-3, atol=1e-4)
