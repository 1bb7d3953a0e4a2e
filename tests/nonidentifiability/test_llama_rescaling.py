"""Rescaled blocks of a small random model of the Llama type: one function, and one balanced form for all twins."""

import pytest
import torch

from heldout.language_model import Block, LanguageModel, Shape
from heldout.nonidentifiability.llama_rescaling import PLACES, balanced, rescaled, sizes, spread_factors

SMALL = Shape(vocabulary=40, width=24, layers=2, heads=6, key_heads=2, hidden=20)


@pytest.fixture
def model() -> LanguageModel:
    made, draw = LanguageModel(SMALL).double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw, dtype=torch.float64) / 3)
    return made.requires_grad_(False)


def logits(model: LanguageModel) -> torch.Tensor:
    rows = torch.randint(0, SMALL.vocabulary, (3, 9), generator=torch.Generator().manual_seed(1))
    return model(rows)


def twins(model: LanguageModel, spread: float, seed: int) -> list[Block]:
    return [rescaled(block, spread_factors(block, spread, seed, i)) for i, block in enumerate(model.blocks)]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PLACES)
def test_factors_at_one_place_change_the_weights_and_not_the_function(name: str, model: LanguageModel) -> None:
    before = logits(model)
    block = model.blocks[1]
    assert isinstance(block, Block)
    ones = {each: torch.ones(size).double() for each, size in sizes(block).items()}
    factors = spread_factors(block, 10.0, 3)
    model.blocks[1] = rescaled(block, ones | {name: factors[name]})
    pairs = zip(block.parameters(), model.blocks[1].parameters(), strict=True)
    assert max(float((a - b).abs().max()) for a, b in pairs) > 0.5
    torch.testing.assert_close(logits(model), before, rtol=0, atol=1e-10)


def test_all_places_of_all_blocks_at_once(model: LanguageModel) -> None:
    before = logits(model)
    for i, block in enumerate(twins(model, 10.0, 4)):
        model.blocks[i] = block
    torch.testing.assert_close(logits(model), before, rtol=0, atol=1e-10)


def test_all_twins_have_one_balanced_form(model: LanguageModel) -> None:
    block, twin = model.blocks[0], twins(model, 5.0, 5)[0]
    assert isinstance(block, Block)
    one, two = balanced(block, 60), balanced(twin, 60)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)
    squares = [sum(float(w.square().sum()) for w in each.parameters()) for each in (one, block, twin)]
    assert squares[0] < squares[1] < squares[2]


def test_one_factor_by_hand(model: LanguageModel) -> None:
    """Unit 2 three times louder in, and a third out; nothing else moves."""
    block = model.blocks[0]
    assert isinstance(block, Block)
    factors = {each: torch.ones(size).double() for each, size in sizes(block).items()}
    factors["units"][2] = 3.0
    twin = rescaled(block, factors)
    torch.testing.assert_close(twin.gated.up.weight[2], 3 * block.gated.up.weight[2])
    torch.testing.assert_close(twin.gated.down.weight[:, 2], block.gated.down.weight[:, 2] / 3)
    assert torch.equal(twin.attention.out.weight, block.attention.out.weight)
    assert torch.equal(twin.gated.up.weight[3:], block.gated.up.weight[3:])
