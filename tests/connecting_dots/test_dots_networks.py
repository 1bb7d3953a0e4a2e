"""Batches against counting, members against an independent plain decoder, noise and edits against the same done by hand."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from heldout import devices
from heldout.connecting_dots.dots_networks import Readers, answer_loss, line_correct, name_noise
from heldout.connecting_dots.line_batches import SHARES, PretrainingBatches, batch_of, task_counts
from heldout.connecting_dots.named_functions import IGNORED, NAMED, TASKS, Language, Lines

LANGUAGES = [
    Language.drawn(devices.generator("roles", seed), modulus=5, synonyms=2, undefined=2, unseen=1) for seed in range(3)
]


def readers(seeds: list[int], layers: int = 2) -> Readers:
    return Readers.drawn(LANGUAGES[0], seeds, width=8, layers=layers, heads=2, hidden=12, dtype=torch.float64)


def batches(members: list[int], size: int = 40) -> PretrainingBatches:
    generators = [devices.generator("lines", member) for member in members]
    return PretrainingBatches([LANGUAGES[member] for member in members], generators, SHARES, size)


def plain(models: Readers, member: int, tokens: Tensor, change: dict[int, Tensor] | None = None) -> Tensor:
    """One member's logits (row, place, outputs) with torch's own parts; ``change`` is added to the name's place by depth."""
    state = {name: value.detach()[member] for name, value in models.named_parameters()}
    stream = state["embed"][tokens] + state["position"][: tokens.shape[1]]

    def linear(name: str, x: Tensor) -> Tensor:
        return functional.linear(x, state[name].T, state[f"{name}_bias"][0])

    for layer in range(models.layers):
        if change and layer in change:
            stream = torch.stack([stream[:, 0], stream[:, 1] + change[layer], *stream[:, 2:].unbind(1)], 1)
        parts = linear(f"attend{layer}", functional.layer_norm(stream, stream.shape[-1:])).chunk(3, -1)
        query, key, value = (torch.stack(part.chunk(models.heads, -1), 1) for part in parts)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        stream = stream + linear(f"mix{layer}", torch.cat(list(mixed.unbind(1)), -1))
        inner = functional.gelu(linear(f"widen{layer}", functional.layer_norm(stream, stream.shape[-1:])))
        stream = stream + linear(f"narrow{layer}", inner)
    return linear("unembed", functional.layer_norm(stream, stream.shape[-1:]))


@pytest.mark.parametrize("size", [40, 37])
def test_answers_are_those_of_an_ordinary_decoder(size: int) -> None:
    models, batch = readers([0, 1, 2], layers=3), batches([0, 1, 2], size).draw()
    noise = name_noise([devices.generator(member) for member in range(3)], models.embed, batch.named)
    vector = torch.linspace(-1, 1, 8, dtype=torch.float64)

    def edit(depth: int, stream: Tensor) -> Tensor:
        if depth == 1:
            stream = stream.clone()
            stream[:, :, 1] += vector
        return stream

    found = models.answers(batch, noise=noise, edit=edit)
    for member in range(3):
        padded = torch.cat([noise[member], noise.new_zeros(size - batch.named, 8)])
        rows = plain(models, member, batch.tokens[member], {0: padded, 1: vector.expand(size, 8)})
        torch.testing.assert_close(found[member], rows.flatten(0, 1)[batch.asked], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        models.answers(batch), models(batch.tokens).flatten(1, 2)[:, batch.asked], rtol=1e-10, atol=1e-10
    )


def test_loss_is_the_cross_entropy_of_what_is_asked() -> None:
    models, batch = readers([0, 1]), batches([0, 1]).draw()
    logits = models.answers(batch)
    for member, own in enumerate(answer_loss(logits, batch.answers)):
        torch.testing.assert_close(
            own, functional.cross_entropy(logits[member], batch.answers[member]), rtol=1e-12, atol=0
        )


def test_batches_hold_true_lines_in_their_shares() -> None:
    source = batches([0, 1, 2])
    counts = task_counts(SHARES, 40)
    assert sum(counts.values()) == 40
    assert counts == {"apply": 14, "define": 6, "invert": 8, "compose": 4, "apply words": 6, "invert words": 2}
    seen: list[set[tuple[int, ...]]] = [set(), set(), set()]
    for _ in range(300):
        batch = source.draw()
        assert batch.named == 32
        for member in range(3):
            table = torch.full((40, 4), IGNORED)
            table.view(-1)[batch.asked] = batch.answers[member]
            seen[member] |= {tuple(row) for row in torch.cat([batch.tokens[member], table], 1).tolist()}
    for member, language in enumerate(LANGUAGES):
        every = Lines.joined(
            [language.lines(task, language.defined if task == "define" else language.seen) for task in TASKS]
        )
        assert seen[member] == {tuple(row) for row in torch.cat([every.tokens, every.targets], 1).tolist()}


def test_a_members_lines_do_not_depend_on_the_others() -> None:
    together, alone = batches([0, 1, 2]), batches([2])
    for _ in range(3):
        first, second = together.draw(), alone.draw()
        assert (first.tokens[2] == second.tokens[0]).all()
        assert (first.answers[2] == second.answers[0]).all()


def test_a_line_is_right_when_all_it_asks_is() -> None:
    models = readers([0])
    language = LANGUAGES[0]
    lines = Lines.joined([language.lines(task, language.seen) for task in ("define", "apply")])
    batch = batch_of([lines])
    best = plain(models, 0, lines.tokens).argmax(-1)
    right = ((best == lines.targets) | (lines.targets == IGNORED)).all(1)
    assert line_correct(models, batch)[0].bool().tolist() == right.tolist()


def test_streams_and_copies() -> None:
    models, batch = readers([0, 1]), batches([0, 1]).draw()
    streams = models.streams(batch)
    assert streams.shape == (2, 2, 40, 4, 8)
    start = models.embed[1][batch.tokens[1]] + models.position[1]
    torch.testing.assert_close(streams[0, 1], start, rtol=0, atol=1e-14)
    copies = models.select([1, 0, 1])
    for name, value in copies.named_parameters():
        assert (value == models.get_parameter(name)[[1, 0, 1]]).all()
    more = models.with_names(torch.ones(2, 3, 8))
    assert more.embed.shape[1] == models.embed.shape[1] + 3
    assert (more.embed[:, -3:] == 1).all()
    torch.testing.assert_close(more.answers(batch), models.answers(batch), rtol=0, atol=0)
    spread = models.embed[:, models.first_name :].flatten(1).std(1)
    torch.testing.assert_close(models.name_spread().flatten(), spread, rtol=1e-12, atol=0)
    with pytest.raises(ValueError, match="members"):
        models.select([2])


@pytest.mark.parametrize(
    ("shares", "size", "field"),
    [({"apply": -1.0}, 4, "shares"), ({"recite": 1.0}, 4, "shares"), ({}, 4, "shares"), ({"apply": 1.0}, 0, "size")],
)
def test_bad_shares_are_refused(shares: dict[str, float], size: int, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        task_counts(shares, size)


def test_members_must_fit_each_other() -> None:
    with pytest.raises(ValueError, match="languages"):
        PretrainingBatches([Language(modulus=5), Language(modulus=7)], [devices.generator(0)] * 2, SHARES, 8)
    language = LANGUAGES[0]
    words, names = language.lines("apply words", [0]), language.lines("apply", [0])
    with pytest.raises(ValueError, match="parts"):
        batch_of([Lines.joined([words, names])])
    with pytest.raises(ValueError, match="parts"):
        batch_of([words, names[torch.arange(5)]])


def test_names_left_out_of_a_task_stand_in_the_others() -> None:
    """Every name that was drawn, by task, against the rule."""
    left_out = ("define 1", "apply 0")
    language = Language(modulus=5, synonyms=2, undefined=(3,), unseen=(0,), left_out=left_out)
    source = PretrainingBatches([language], [devices.generator("lines", 0)], SHARES, 200)
    found: dict[str, set[int]] = {task: set() for task in NAMED}
    for _ in range(10):
        batch = source.draw()
        for marker, name in batch.tokens[0, : batch.named, :2].tolist():
            found[NAMED[marker - language.outputs]].add(name)
    for task in NAMED:
        functions = language.defined if task == "define" else language.seen
        told = {language.names(f)[place] for f in functions for place in range(2) if f"{task} {place}" not in left_out}
        assert found[task] == told, task
    other = Language(modulus=5, synonyms=2, undefined=(3,), unseen=(0,))
    with pytest.raises(ValueError, match="languages"):
        PretrainingBatches([language, other], [devices.generator(0)] * 2, SHARES, 8)
