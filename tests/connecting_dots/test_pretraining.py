"""Pretraining together against a plain loop with torch's own optimizer, one seed at a time."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from heldout import devices
from heldout.connecting_dots.dots_networks import Readers
from heldout.connecting_dots.line_batches import PretrainingBatches
from heldout.connecting_dots.pretraining import Recipe, accuracy, known_names, pretrain

TINY = Recipe(
    modulus=5, synonyms=2, undefined=2, unseen=1, width=8, heads=2, hidden=12, steps=12, batch=24, warm_up=3, clip=0.05,
)  # fmt: skip
CPU = torch.device("cpu")


def alone(recipe: Recipe, seed: int) -> tuple[Readers, list[float]]:
    """One seed's decoder and its losses, by a plain loop over torch's parts."""
    language = recipe.language(seed)
    models = Readers.drawn(
        language, [seed], width=recipe.width, layers=recipe.layers, heads=recipe.heads, hidden=recipe.hidden,
        dtype=torch.float64,
    )  # fmt: skip
    lines, noises = (devices.generator("connecting dots", name, seed) for name in ("lines", "noise"))
    source = PretrainingBatches([language], [lines], recipe.by_task(), recipe.batch)
    optimizer = torch.optim.AdamW(models.parameters(), betas=(0.9, 0.98), weight_decay=recipe.weight_decay)
    losses = []
    for step in range(recipe.steps):
        batch = source.draw()
        optimizer.param_groups[0]["lr"] = recipe.rate(step)
        table = models.embed[0]
        spread = table.detach()[language.first_name :].std()
        noise = torch.randn(batch.named, recipe.width, generator=noises, dtype=torch.float64) * recipe.noise * spread
        logits = models.answers(batch, noise=noise[None])[0]
        loss = functional.cross_entropy(logits, batch.answers[0])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(models.parameters(), recipe.clip)
        optimizer.step()
        losses.append(loss.item())
    return models, losses


def test_together_equals_alone() -> None:
    together = pretrain(TINY, [0, 1, 2], device=CPU, dtype=torch.float64)
    for member in range(3):
        models, losses = alone(TINY, member)
        for name, value in models.named_parameters():
            torch.testing.assert_close(together.models.get_parameter(name)[member], value[0], rtol=1e-8, atol=1e-10)
        assert float(together.loss[member]) == pytest.approx(losses[-1], rel=1e-10)


def test_a_language_of_few_words_is_learned() -> None:
    recipe = replace(
        TINY,
        undefined=0,
        unseen=0,
        synonyms=1,
        noise=0.0,
        width=32,
        heads=4,
        hidden=128,
        steps=300,
        batch=64,
        clip=1.0,
        warm_up=30,
    )
    found = pretrain(recipe, [0], device=CPU)
    right = known_names(found)
    assert float(right["apply"]) > 0.95
    assert float(right["define"]) == 1
    every = accuracy(found.models, found.languages, [found.languages[0].defined])
    assert every["apply"].shape == (1, 11, 1, 5)
    assert every["define"].shape == (1, 11, 1, 1)
    assert float(every["invert"].mean()) == pytest.approx(float(right["invert"]))


def test_rate_rises_and_falls() -> None:
    rates = [TINY.rate(step) for step in range(TINY.steps)]
    assert rates[0] == pytest.approx(TINY.learning_rate / 4)
    assert max(rates) == rates[3]
    assert rates == [*sorted(rates[:4]), *sorted(rates[4:], reverse=True)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 8), ("synonyms", 0), ("undefined", 10), ("unseen", -1), ("width", 0), ("heads", 3), ("steps", 0),
        ("batch", 0), ("learning_rate", 0.0), ("clip", 0.0), ("warm_up", -1), ("weight_decay", -0.1), ("noise", -1.0),
        ("shares", (1.0,)), ("shares", (0.0,) * 6),
    ],
)  # fmt: skip
def test_bad_recipes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(TINY, **{field: value})


def test_functions_must_be_as_many_for_each_member() -> None:
    found = pretrain(replace(TINY, steps=1), [0, 1], device=CPU)
    with pytest.raises(ValueError, match="functions"):
        accuracy(found.models, found.languages, [[0], [0, 1]])
