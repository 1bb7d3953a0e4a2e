"""Sketched gradients of single tokens against autograd's."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from heldout.devices import generator
from heldout.language_model import LanguageModel, Shape
from heldout.quanta.token_gradients import Sketches, cosines, repeated_trigram, whole_cosines
from heldout.quanta.token_passages import twice

SHAPE = Shape(vocabulary=11, width=16, layers=3, heads=4, key_heads=2, hidden=24)
TOKENS = torch.tensor([0, 3, 7, 3, 9, 10, 3, 7, 1, 2])
PLACES = [1, 4, 5, 9]


def _model() -> LanguageModel:
    model, random = LanguageModel(SHAPE), generator("tiny model")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random) * (0.3 if "norm" not in name else 1.0))
    return model


def _exact(model: LanguageModel, place: int, names: list[str]) -> dict[str, torch.Tensor]:
    loss = cross_entropy(model(TOKENS[None, :place])[0, -1], TOKENS[place])
    weights = [model.get_submodule(name).weight for name in names]
    return {n: g.flatten() for n, g in zip(names, torch.autograd.grad(loss, weights), strict=True)}


def test_whole_gradients_are_those_of_autograd() -> None:
    model = _model()
    sketches = Sketches(model, last_blocks=2, rank=0)
    assert len(sketches.layers) == 14
    found = sketches.of(TOKENS, PLACES, at_once=3)
    for row, place in enumerate(PLACES):
        for name, gradient in _exact(model, place, list(sketches.layers)).items():
            torch.testing.assert_close(found[name][row], gradient, rtol=1e-4, atol=1e-5)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_sketched_products_are_those_of_the_gradients_on_average() -> None:
    model = _model()
    whole = cosines(Sketches(model, last_blocks=3, rank=0).of(TOKENS, PLACES))
    assert whole.diagonal() == pytest.approx(1.0)
    machine = Sketches(model, last_blocks=3, rank=2)
    torch.testing.assert_close(whole_cosines([machine.factors(TOKENS, place) for place in PLACES]), whole)
    drawn = [cosines(Sketches(model, last_blocks=3, rank=12, seed=s).of(TOKENS, PLACES)) for s in range(30)]
    assert float((torch.stack(drawn).mean(0) - whole).abs().max()) < 0.05
    assert float((drawn[0] - whole).abs().max()) > 0


def test_a_known_stream_changes_nothing_and_factors_give_the_same_sketch() -> None:
    model = _model()
    machine, hidden = Sketches(model, last_blocks=2, rank=3), list[torch.Tensor]()
    model.stream(TOKENS[None], hidden=hidden)
    found = machine.of(TOKENS, PLACES, entering=hidden[-3][0].detach())
    for name, each in machine.of(TOKENS, PLACES).items():
        torch.testing.assert_close(found[name], each)
    one = machine.sketched(machine.factors(TOKENS, PLACES[2], entering=hidden[-3][0].detach()))
    for name, each in one.items():
        torch.testing.assert_close(each, found[name][2])


def test_a_passage_is_read_twice() -> None:
    model = _model()
    scores = twice(model, TOKENS, 4, 2)
    assert scores.loss.shape == (2, 4)
    assert scores.best.shape == (2, 4, 2)
    text = torch.cat([TOKENS[:5], TOKENS[1:5]])
    expected = [float(cross_entropy(model(text[None, :i])[0, -1], text[i]).detach()) for i in range(1, 9)]
    assert scores.loss.flatten().tolist() == pytest.approx(expected, rel=1e-4)


def test_what_can_be_copied_is_marked() -> None:
    assert repeated_trigram(torch.tensor([1, 2, 3, 1, 2, 3, 4])).tolist() == [False] * 5 + [True, False]
    assert not repeated_trigram(torch.tensor([1, 1])).any()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({"last_blocks": 4, "rank": 2}, "last_blocks"), ({"last_blocks": 1, "rank": -1}, "rank")],
)
def test_bad_arguments_are_refused_by_name(arguments: dict[str, int], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        Sketches(_model(), **arguments)
    with pytest.raises(ValueError, match=r"^places="):
        Sketches(_model(), last_blocks=1, rank=2).of(TOKENS, [0])
