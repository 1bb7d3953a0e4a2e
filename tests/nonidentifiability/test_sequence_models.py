"""Ensembles of decoders against one member at a time, written with torch's own parts, and cached against plain writing."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from heldout import devices
from heldout.decoders import Transformers, write
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability.sequence_training import Auxiliary, Schedule, token_loss, train


def ensemble(members: list[int], longest: int = 4) -> Transformers:
    return Transformers(
        [devices.generator("test", member) for member in members], vocabulary=anbn.VOCABULARY, outputs=anbn.OUTPUTS,
        context=2 * longest + 1, width=8, heads=2, hidden=12, dtype=torch.float64,
    )  # fmt: skip


def alone(models: Transformers, member: int, tokens: Tensor) -> Tensor:
    """One member's logits (row, place, outputs) with torch's own layers, heads and mask."""
    state = {name: value.detach()[member] for name, value in models.named_parameters()}
    stream = state["embed"][tokens] + state["position"][: tokens.shape[1]]

    def linear(name: str, x: Tensor) -> Tensor:
        return functional.linear(x, state[name].T, state[f"{name}_bias"][0])

    for layer in range(models.layers):
        parts = linear(f"attend{layer}", functional.layer_norm(stream, stream.shape[-1:])).chunk(3, -1)
        query, key, value = (torch.stack(part.chunk(models.heads, -1), 1) for part in parts)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        stream = stream + linear(f"mix{layer}", torch.cat(list(mixed.unbind(1)), -1))
        inner = functional.gelu(linear(f"widen{layer}", functional.layer_norm(stream, stream.shape[-1:])))
        stream = stream + linear(f"narrow{layer}", inner)
    return linear("unembed", functional.layer_norm(stream, stream.shape[-1:]))


def test_each_member_is_an_ordinary_decoder() -> None:
    models = ensemble([0, 1, 2])
    tokens = torch.randint(4, (3, 5, 9), generator=devices.generator("tokens"))
    outputs = models(tokens)
    for member in range(3):
        torch.testing.assert_close(outputs[member], alone(models, member, tokens[member]), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(models(tokens[1:], slice(1, None)), outputs[1:], rtol=0, atol=1e-13)


def test_sizes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="heads=3"):
        Transformers([devices.generator(0)], vocabulary=4, outputs=3, context=5, width=8, heads=3)
    with pytest.raises(ValueError, match="sizes"):
        Transformers([], vocabulary=4, outputs=3, context=5)


@pytest.mark.parametrize("drawn", [False, True])
def test_writing_with_a_cache_equals_the_plain_loop(drawn: bool) -> None:
    models = ensemble([0, 1])
    rows = anbn.prompts(3)
    start = torch.from_numpy(np.pad(rows, ((0, 0), (1, 0)), constant_values=anbn.START))
    written, chances = write(models, start, end=anbn.END, generator=devices.generator("draws") if drawn else None)
    assert written.shape == chances.shape == (2, 8, models.context - 3)
    draws = devices.generator("draws")
    held, closed = start.expand(2, -1, -1), torch.zeros(2, 8, dtype=torch.bool)
    for place in range(written.shape[-1]):
        odds = torch.stack([alone(models, member, held[member])[:, -1].softmax(-1) for member in range(2)])
        uniform = torch.rand(2, 8, generator=draws, dtype=torch.float64)
        token = (odds.cumsum(-1) < uniform.unsqueeze(-1)).sum(-1) if drawn else odds.argmax(-1)
        chance = torch.where(closed, 1.0, odds.gather(-1, token.unsqueeze(-1)).squeeze(-1))
        token = torch.where(closed, anbn.END, token)
        assert written[..., place].tolist() == token.tolist()
        np.testing.assert_allclose(chances[..., place], chance.numpy(), rtol=1e-10)
        closed = closed | (token == anbn.END)
        held = torch.cat([held, token.unsqueeze(-1)], -1)


def test_rows_are_read_once_and_written_several_times() -> None:
    models = ensemble([0, 1])
    start = torch.from_numpy(np.pad(anbn.prompts(3), ((0, 0), (1, 0)), constant_values=anbn.START))
    once = write(models, start.repeat_interleave(3, 0), end=anbn.END, generator=devices.generator("draws"))
    often = write(models, start, end=anbn.END, generator=devices.generator("draws"), repeats=3)
    assert (once[0] == often[0]).all()
    np.testing.assert_allclose(once[1], often[1], rtol=1e-12)


def trained(members: list[int], first: int, schedule: Schedule) -> Transformers:
    models = ensemble(members)
    read, wanted = anbn.sequences(4)
    lesson = anbn.taught(anbn.prompts(3)[3:7], "adversarial")
    copies = len(members) - first

    def batch(_: int) -> tuple[Tensor, Tensor]:
        return (lesson[0].expand(copies, -1, -1), lesson[1].expand(copies, -1, -1))

    second = Auxiliary(first=first, weight=0.5, batch=batch) if copies else None
    data = (read.expand(len(members), -1, -1), wanted.expand(len(members), -1, -1))
    assert list(train(models, data, schedule, second)) == list(range(1, schedule.steps + 1))
    return models


def test_training_together_equals_training_alone_with_torch() -> None:
    schedule = Schedule(steps=12, learning_rate=3e-2, warm_up=3, weight_decay=0.1, clip=0.05)
    together = trained([0, 1, 2], 2, schedule)
    read, wanted = anbn.sequences(4)
    lesson = anbn.taught(anbn.prompts(3)[3:7], "adversarial")
    for member in range(3):
        own = ensemble([member])
        optimizer = torch.optim.AdamW(own.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
        for step in range(schedule.steps):
            optimizer.param_groups[0]["lr"] = schedule.rate(step)
            loss = functional.cross_entropy(
                own(read[None])[0].flatten(0, 1), wanted.flatten(), ignore_index=anbn.IGNORED
            )
            if member == 2:
                outputs = own(lesson[0][None])[0].flatten(0, 1)
                loss = loss + 0.5 * functional.cross_entropy(outputs, lesson[1].flatten(), ignore_index=anbn.IGNORED)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(own.parameters(), schedule.clip)
            optimizer.step()
        for name, value in own.named_parameters():
            torch.testing.assert_close(together.get_parameter(name)[member], value[0], rtol=1e-8, atol=1e-10)


def test_rate_rises_and_falls() -> None:
    schedule = Schedule(steps=100, learning_rate=1.0, warm_up=9)
    assert schedule.rate(0) == pytest.approx(0.1)
    assert max(map(schedule.rate, range(100))) == pytest.approx(schedule.rate(9))
    assert schedule.rate(99) < 1e-3
    with pytest.raises(ValueError, match="steps=0"):
        Schedule(steps=0, learning_rate=1.0)


def test_padding_costs_nothing() -> None:
    read, wanted = anbn.sequences(3)
    models = ensemble([0])
    whole = float(token_loss(models(read[None]), wanted[None]).detach())
    logs = anbn.log_probabilities(models(read[None]), wanted[None]).detach()
    assert whole == pytest.approx(-float(logs.sum()) / (3 + 5 + 7))
