"""The networks against PyTorch's own layers, and their refusals."""

import pytest
import torch
from torch import nn

from heldout import devices
from heldout.networks import MLP, OneLayerTransformer


def test_mlp_is_linear_relu_linear():
    network = MLP(5, [7, 6], 3, generator=devices.generator(1))
    x = torch.randn(4, 5, generator=devices.generator(2))
    one, two, three = network.layers
    expected = three(torch.relu(two(torch.relu(one(x)))))
    torch.testing.assert_close(network(x), expected)


def test_mlp_starts_like_pytorch():
    network = MLP(400, [300], 10, generator=devices.generator(1))
    theirs = nn.Linear(400, 300)
    ours = network.layers[0]
    for mine, other in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        assert mine.abs().max() <= 1 / 20
        assert mine.std().item() == pytest.approx(1 / 20 / 3**0.5, rel=0.1)
        assert other.std().item() == pytest.approx(1 / 20 / 3**0.5, rel=0.1)


def test_init_scale_multiplies_every_weight():
    small = MLP(3, [4], 2, generator=devices.generator(1), init_scale=0.5)
    usual = MLP(3, [4], 2, generator=devices.generator(1))
    for a, b in zip(small.parameters(), usual.parameters(), strict=True):
        torch.testing.assert_close(2 * a, b)


def test_building_a_network_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    MLP(3, [4], 2, generator=devices.generator(1))
    OneLayerTransformer(5, 3, 5, generator=devices.generator(1), model_size=8, heads=2, hidden_size=4)
    assert torch.equal(before, torch.random.get_rng_state())


def test_transformer_equals_pytorch_attention():
    size, heads, length = 8, 2, 3
    generator = devices.generator(3)
    network = OneLayerTransformer(
        5, length, 5, generator=generator, model_size=size, heads=heads, hidden_size=16, dtype=torch.float64
    )
    tokens = torch.randint(0, 5, (4, length), generator=generator)
    attention = nn.MultiheadAttention(size, heads, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        attention.in_proj_weight.copy_(network.query_key_value.reshape(3 * size, size))
        attention.out_proj.weight.copy_(network.attention_out.permute(1, 0, 2).reshape(size, size))
    stream = network.embed[tokens] + network.position
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    stream = stream + attention(stream, stream, stream, attn_mask=future, need_weights=False)[0]
    last = stream[:, -1]
    last = last + torch.relu(last @ network.hidden_in.T) @ network.hidden_out.T
    torch.testing.assert_close(network(tokens), last @ network.unembed.T, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_sizes": [0]}, "hidden_sizes"),
        ({"activation": "step"}, "activation='step': must be one of relu, tanh, gelu"),
        ({"init_scale": 0.0}, "init_scale=0.0: must be above 0"),
    ],
)
def test_mlp_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLP(3, output_size=2, generator=devices.generator(1), **{"hidden_sizes": [4], **arguments})


def test_transformer_refuses_heads_that_do_not_divide():
    with pytest.raises(ValueError, match="heads=3: must be a divisor of model_size=8"):
        OneLayerTransformer(5, 3, 5, generator=devices.generator(1), model_size=8, heads=3)
