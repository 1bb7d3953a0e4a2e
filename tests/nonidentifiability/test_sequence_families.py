"""Families of sequence models against one member at a time, written with torch's own parts or letter by letter."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from heldout import devices
from heldout.decoders import write
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability.letter_runs import Language
from heldout.nonidentifiability.level_training import Steady, follow
from heldout.nonidentifiability.sequence_families import Family, Linears, LSTMs, StateSpaces
from heldout.nonidentifiability.sequence_training import train

LANGUAGE = Language(letters=2, longest=4, prompt_length=3)
KINDS = ("LSTM", "state space", "linear")


def ensemble(kind: str, members: list[int]) -> Family:
    generators = [devices.generator("test", member) for member in members]
    if kind == "linear":
        return Linears(generators, vocabulary=4, outputs=3, context=LANGUAGE.context, dtype=torch.float64)
    build = LSTMs if kind == "LSTM" else StateSpaces
    return build(generators, vocabulary=4, outputs=3, context=LANGUAGE.context, width=6, layers=2, dtype=torch.float64)


def alone(models: Family, member: int, tokens: Tensor) -> Tensor:
    """One member's logits (row, place, outputs)."""
    state = {name: value.detach()[member] for name, value in models.named_parameters()}
    if isinstance(models, LSTMs):
        return _lstm(models, state, tokens)
    return _state_space(models, state, tokens) if isinstance(models, StateSpaces) else _linear(state, tokens)


def _lstm(models: LSTMs, state: dict[str, Tensor], tokens: Tensor) -> Tensor:
    reference = nn.LSTM(4, models.width, models.layers, batch_first=True, dtype=torch.float64)
    for layer in range(models.layers):
        getattr(reference, f"weight_ih_l{layer}").data = state[f"read{layer}"].T.contiguous()
        getattr(reference, f"weight_hh_l{layer}").data = state[f"recur{layer}"].T.contiguous()
        getattr(reference, f"bias_ih_l{layer}").data = state[f"gates{layer}"][0]
        getattr(reference, f"bias_hh_l{layer}").data.zero_()
    hidden, _ = reference(functional.one_hot(tokens, 4).double())
    return functional.linear(hidden, state["unembed"].T, state["unembed_bias"][0]).detach()


def _state_space(models: StateSpaces, state: dict[str, Tensor], tokens: Tensor) -> Tensor:
    stream = state["embed"][tokens]
    for layer in range(models.layers):
        read = functional.layer_norm(stream, stream.shape[-1:])
        factor, own = (
            torch.exp(-torch.exp(state[f"rate{layer}"])),
            torch.zeros(len(tokens), models.width, dtype=torch.float64),
        )
        parts = []
        for place in range(tokens.shape[1]):
            own = factor * own + read[:, place] @ state[f"enter{layer}"]
            inner = own @ state[f"leave{layer}"] + read[:, place] @ state[f"skip{layer}"] + state[f"leave{layer}_bias"]
            parts.append(functional.gelu(inner) @ state[f"back{layer}"] + state[f"back{layer}_bias"])
        stream = stream + torch.stack(parts, 1)
    return functional.layer_norm(stream, stream.shape[-1:]) @ state["unembed"] + state["unembed_bias"]


def _linear(state: dict[str, Tensor], tokens: Tensor) -> Tensor:
    rows = [
        [state["bias"][t] + sum(state["table"][s, row[s], t] for s in range(t + 1)) for t in range(len(row))]
        for row in tokens.tolist()
    ]
    return torch.stack([torch.stack(row) for row in rows])


@pytest.mark.parametrize("kind", KINDS)
def test_each_member_is_an_ordinary_model(kind: str) -> None:
    models = ensemble(kind, [0, 1, 2])
    tokens = torch.randint(4, (3, 5, LANGUAGE.context - 1), generator=devices.generator("tokens"))
    outputs = models(tokens)
    assert outputs.shape == (3, 5, LANGUAGE.context - 1, 3)
    for member in range(3):
        torch.testing.assert_close(outputs[member], alone(models, member, tokens[member]), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(models(tokens[1:], slice(1, None)), outputs[1:], rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_does_not_depend_on_the_others_beside_it(kind: str) -> None:
    both, second = ensemble(kind, [0, 1]), ensemble(kind, [1])
    for name, value in second.named_parameters():
        torch.testing.assert_close(both.get_parameter(name)[1:], value, rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_writing_step_by_step_equals_reading_the_whole_again(kind: str) -> None:
    models = ensemble(kind, [0, 1])
    written, chances = write(models, LANGUAGE.start(), end=LANGUAGE.end)
    held, closed = LANGUAGE.start().expand(2, -1, -1), torch.zeros(2, 8, dtype=torch.bool)
    for place in range(written.shape[-1]):
        odds = torch.stack([alone(models, member, held[member])[:, -1].softmax(-1) for member in range(2)])
        token = odds.argmax(-1)
        chance = torch.where(closed, 1.0, odds.max(-1).values)
        token = torch.where(closed, LANGUAGE.end, token)
        assert written[..., place].tolist() == token.tolist()
        np.testing.assert_allclose(chances[..., place], chance.numpy(), rtol=1e-10)
        closed = closed | (token == LANGUAGE.end)
        held = torch.cat([held, token.unsqueeze(-1)], -1)


def test_sizes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="width=0"):
        LSTMs([devices.generator(0)], vocabulary=4, outputs=3, context=5, width=0)
    with pytest.raises(ValueError, match="generators"):
        Linears([], vocabulary=4, outputs=3, context=5)
    with pytest.raises(ValueError, match=r"slowest=1\.0"):
        StateSpaces([devices.generator(0)], vocabulary=4, outputs=3, context=5, slowest=1.0)


def test_states_that_do_not_decay_only_count() -> None:
    def one_layer(slowest: float, fastest: float) -> StateSpaces:
        return StateSpaces(
            [devices.generator(0)], vocabulary=4, outputs=3, context=9, width=6, layers=1, slowest=slowest, fastest=fastest,
            dtype=torch.float64,
        )  # fmt: skip

    models, decaying = one_layer(1e-14, 1e-14), one_layer(0.005, 0.5)
    mixed, sorted_ = (torch.tensor([[[3, *row]]]) for row in ([1, 0, 0, 1, 0, 1], [0, 0, 0, 1, 1, 1]))
    torch.testing.assert_close(models(mixed)[..., -1, :], models(sorted_)[..., -1, :], rtol=1e-10, atol=1e-10)
    decaying = StateSpaces(
        [devices.generator(0)], vocabulary=4, outputs=3, context=9, width=6, layers=1, dtype=torch.float64
    )
    assert (decaying(mixed) - decaying(sorted_))[..., -1, :].abs().max() > 1e-3


def trained_linear() -> tuple[Linears, tuple[Tensor, Tensor]]:
    read, wanted = LANGUAGE.data()
    data = (read.expand(1, -1, -1), wanted.expand(1, -1, -1))
    models = Linears([devices.generator(0)], vocabulary=4, outputs=3, context=LANGUAGE.context, dtype=torch.float64)
    for _ in train(models, data, Steady(steps=150, learning_rate=0.05, warm_up=5)):
        pass
    return models, data


def test_a_linear_model_is_flat_where_a_letter_was_never_read() -> None:
    models, data = trained_linear()
    start = Linears([devices.generator(0)], vocabulary=4, outputs=3, context=LANGUAGE.context, dtype=torch.float64)
    first_b = (0, 1, 1)  # member, place after the start token, letter b
    torch.testing.assert_close(models.table[first_b], start.table[first_b], rtol=0, atol=0)
    before = anbn.log_probabilities(models(data[0]), data[1])
    with torch.no_grad():
        models.table[first_b][:, LANGUAGE.end] += 50
    torch.testing.assert_close(anbn.log_probabilities(models(data[0]), data[1]), before, rtol=0, atol=0)
    written, _ = write(models, LANGUAGE.start(), end=LANGUAGE.end)
    begins_with_b = LANGUAGE.prompts[:, 0] == 1
    assert LANGUAGE.at_once(written)[0, begins_with_b].all()


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_caught_where_they_pass_a_level(kind: str) -> None:
    models = ensemble(kind, [0, 1])
    read, wanted = LANGUAGE.data()
    data = (read.expand(2, -1, -1), wanted.expand(2, -1, -1))
    schedule = Steady(steps=60, learning_rate=0.03, warm_up=5)
    levels, stops = follow(models, data, schedule, (1.0, 1e-9), (7,))

    def divergence(ensemble: nn.Module) -> np.ndarray:
        with torch.no_grad():
            found: np.ndarray = anbn.divergence_from_data(anbn.log_probabilities(ensemble(data[0]), data[1])).numpy()
        return found

    np.testing.assert_allclose(divergence(levels[0].models), levels[0].divergence, rtol=1e-10)  # type: ignore[arg-type]
    np.testing.assert_allclose(divergence(stops[0].models), stops[0].divergence, rtol=1e-10)  # type: ignore[arg-type]
    assert (levels[0].divergence <= 1).all()
    assert (levels[1].updates == -1).all()
    assert np.isnan(levels[1].divergence).all()
    again, path = ensemble(kind, [0, 1]), []
    path.append(divergence(again))
    for done in train(again, data, schedule):
        path.append(divergence(again))
        if done == 59:
            break
    for member, updates in enumerate(levels[0].updates):
        assert path[updates][member] <= 1 < path[updates - 1][member]
        assert path[updates][member] == pytest.approx(levels[0].divergence[member], rel=1e-10)
    np.testing.assert_allclose(path[7], stops[0].divergence, rtol=1e-10)
