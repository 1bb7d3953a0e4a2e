"""The small language models: a decoder written out by hand, counts done by hand, and planted records."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.figures.explorable import Explorable
from heldout.quanta import small_language_model_checks as checks
from heldout.quanta import small_language_models
from heldout.quanta.explore.small_language_models import chosen, one_place, question
from heldout.quanta.small_decoders import ROTARY_BASE, WARM_UP, Decoders, token_losses, train
from heldout.quanta.small_language_text import KINDS, PRIOR, in_repeated_word, kinds, ngram_losses, passages, written


def by_hand(models: Decoders, member: int, tokens: torch.Tensor) -> torch.Tensor:
    """Logits of one member for one row, head by head and position by position, without the library's attention."""
    embed = models.embed[member]
    x = embed[tokens]
    width, heads = embed.shape[1], models.heads
    size, length = width // heads, len(tokens)

    def turned(v: torch.Tensor, position: int) -> torch.Tensor:
        half = size // 2
        angle = torch.tensor([position * ROTARY_BASE ** (-i / half) for i in range(half)])
        point = torch.complex(v[:half], v[half:]) * torch.polar(torch.ones(half), angle)
        return torch.cat([point.real, point.imag])

    def norm(v: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return v / (v.square().mean(-1, keepdim=True) + 1e-5).sqrt() * scale

    for layer in models.layers:
        query, key, value = (norm(x, layer["scales"][0, member]) @ layer["into"][member]).split(width, -1)
        mixed = torch.zeros(length, width)
        for head in range(heads):
            mine = slice(head * size, (head + 1) * size)
            for here in range(length):
                scores = torch.stack(
                    [turned(query[here, mine], here) @ turned(key[there, mine], there) for there in range(here + 1)]
                )
                mixed[here, mine] = (scores / math.sqrt(size)).softmax(0) @ value[: here + 1, mine]
        x = x + mixed @ layer["out"][member]
        gate, up = (norm(x, layer["scales"][1, member]) @ layer["up"][member]).chunk(2, -1)
        x = x + (gate * torch.sigmoid(gate) * up) @ layer["down"][member]
    return norm(x, models.last_scale[member, 0]) @ embed.T


def test_a_decoder_is_what_is_written_out_by_hand() -> None:
    models = Decoders([3, 4], 11, width=8, layers=2, heads=2)
    tokens = torch.arange(2 * 3 * 6).view(2, 3, 6) % 11
    with torch.no_grad():
        torch.testing.assert_close(models(tokens)[1, 2], by_hand(models, 1, tokens[1, 2]), rtol=1e-4, atol=1e-5)
        loss = functional.cross_entropy(models(tokens)[0, 1, :-1], tokens[0, 1, 1:], reduction="none")
        torch.testing.assert_close(token_losses(models, tokens)[0, 1], loss)
    assert models.size == sum(p.numel() for p in Decoders([3], 11, width=8, layers=2, heads=2).parameters())


def test_members_are_trained_as_alone() -> None:
    text = torch.arange(400) * 7 % 11

    def losses(seeds: list[int]) -> np.ndarray:
        models = Decoders(seeds, 11, width=8, layers=1, heads=2)
        rows = [torch.stack([text[seed + i : seed + i + 9] for i in range(4)]) for seed in seeds]
        found = train(
            models, lambda _step: torch.stack(rows), steps=WARM_UP, learning_rate=0.01,
            probe=lambda m: token_losses(m, torch.stack(rows)).mean((1, 2)).numpy(), probe_steps=[0, WARM_UP],
            progress=lambda _done: None,
        )  # fmt: skip
        return np.stack(found, 1)

    together = losses([5, 9])
    assert together == pytest.approx(np.concatenate([losses([5]), losses([9])]), rel=1e-4)
    assert (together[:, 1] < together[:, 0] - 0.5).all()


def test_counts_against_a_dictionary() -> None:
    random = np.random.default_rng(0)
    read, asked = random.integers(3, size=300), random.integers(3, size=(4, 6))
    grams = {n: Counter(tuple(read[i : i + n].tolist()) for i in range(300 - n + 1)) for n in (1, 2, 3)}

    def loss(history: list[int], character: int, order: int) -> float:
        if order == 0:
            return 1 / 3
        context = tuple(history[len(history) - order + 1 :])
        total = sum(grams[order][(*context, c)] for c in range(3))
        return (grams[order][(*context, character)] + PRIOR * loss(history, character, order - 1)) / (total + PRIOR)

    found = ngram_losses(read, asked, 3, 3).reshape(3, 4, 5)
    for order in (1, 2, 3):
        for row in range(4):
            for place in range(5):
                history = asked[row, : place + 1].tolist()
                expected = -math.log(loss(history, int(asked[row, place + 1]), min(order, place + 2)))
                assert found[order - 1, row, place] == pytest.approx(expected)


def test_kinds_of_places() -> None:
    text = "Whale, the whale\nis"
    assert written_back(text, in_repeated_word(text)) == "ale"
    names = [KINDS[each] for each in kinds(text)]
    assert names[:6] == ["second letter", *["later letter"] * 3, "mark", "word end"]
    assert names[-6:] == [
        "repeated word",
        "repeated word",
        "repeated word",
        "line break",
        "first letter",
        "second letter",
    ]


def written_back(text: str, mask: np.ndarray) -> str:
    return "".join(c for c, inside in zip(text, mask, strict=True) if inside)


def test_passages_hold_repeated_words_and_are_unread() -> None:
    chosen = passages(6, 40, shuffled=False)
    assert chosen.shape == (6, 41)
    repeats = sorted(int(in_repeated_word(written(row)).sum()) for row in chosen)
    assert repeats[3] >= 5
    assert len({written(row) for row in chosen}) == 6


def planted(curves: np.ndarray, *, seeds: int = 3, scatter: float = 0.0) -> xr.Dataset:
    """Equal seeds, up to scatter, whose losses (width, place) at the last update are given; before, all are worse by 1."""
    noise = scatter * np.random.default_rng(1).standard_normal((seeds, 1, *curves.shape[1:]))
    last = curves[None] + noise
    loss = np.stack([last + 1, last], axis=2)
    characters = np.tile(np.arange(curves.shape[1] + 1) % 5 + 55, (1, 1))
    return xr.Dataset(
        {
            "token_loss": (("seed", "width", "step", "place"), loss),
            "short_loss": (("seed", "width", "place"), last),
            "ngram_loss": (("order", "place"), np.stack([curves[0], curves[1], curves[-1]])),
            "parameters": ("width", [100 * 4**i for i in range(len(curves))]),
            "character": (("passage", "position"), characters),
        },
        {"seed": range(seeds), "step": [0, 1], "width": range(len(curves)), "order": [1, 2, 3]},
    )


def straight(starts: np.ndarray, ends: np.ndarray, points: int = 5) -> np.ndarray:
    return starts + (ends - starts) * np.linspace(0, 1, points)[:, None]


def test_sharpness_of_a_line_and_of_a_jump() -> None:
    line, jump = straight(np.array([3.0]), np.array([1.0])), np.array([[3.0], [3], [3], [1], [1]])
    assert checks.sharpness(line) == pytest.approx([0.25])
    assert checks.sharpness(jump) == pytest.approx([1.0])
    assert np.isnan(checks.sharpness(straight(np.array([3.0]), np.array([2.9])))).all()
    assert checks.half_time(jump[None])[0] == pytest.approx([3])
    both = np.concatenate([np.tile(line, 10), jump], axis=1)
    assert checks.sudden(np.stack([both] * 2)) == pytest.approx([1 / 11] * 2)
    # Without a jump and without scatter every place is as sharp as the mean.
    smooth = checks.smooth(np.stack([both] * 2))
    assert checks.sharpness(smooth) == pytest.approx(np.full((2, 11), checks.of_mean(np.stack([both] * 2))))


def test_the_scatter_of_a_mean_is_narrower() -> None:
    line = straight(np.full(400, 3.0), np.full(400, 1.0))
    noisy = line + np.random.default_rng(2).standard_normal((5, 5, 400)) * 0.3
    base = checks.smooth(noisy, averaged_over=10**12)
    assert base == pytest.approx(np.broadcast_to(base.mean(0), base.shape), abs=1e-5)
    scatter, mean = ((checks.smooth(noisy, averaged_over=each) - base).std() for each in (1, 5))
    assert scatter == pytest.approx(0.3, rel=0.03)
    assert mean == pytest.approx(scatter / 5**0.5, rel=1e-4)


def test_jumps_that_come_again_by_hand() -> None:
    line, early, late = (np.array(each, dtype=float) for each in ([4, 3, 2, 1], [4, 1, 1, 1], [4, 4, 4, 1]))
    rise = line[::-1]
    one = np.stack([early, early, early, line, late, *[line] * 15], axis=1)
    other = np.stack([early, late, line, early, rise, *[line] * 15], axis=1)
    found = checks.recurs(np.stack([one, other]))
    # Of four and three sudden places three fall in both; two are sudden in both, one of them at the same size.
    assert found["again"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert found["again_base"] == pytest.approx(3 / 19)
    assert found["again_same"] == pytest.approx(1 / 3)
    assert found["again_falls"] == pytest.approx((3 / 4 + 1) / 2)
    # The one's three are early; the other's are early twice and late once, of 19.
    assert found["again_chance"] == pytest.approx((2 / 19 + 2 / 3 * 3 / 19) / 2)


def test_independent_jumps_come_again_by_chance_only() -> None:
    random = np.random.default_rng(3)
    at = random.integers(1, 5, size=(4, 3000))
    jumps = np.where(np.arange(5)[:, None] < at[:, None], 3.0, 1.0)
    curves = np.where(random.random((4, 1, 3000)) < 0.5, jumps, straight(np.full(3000, 3.0), np.full(3000, 1.0)))
    found = checks.recurs(curves)
    assert found["again"] == pytest.approx(found["again_base"], abs=0.03)
    assert found["again_same"] == pytest.approx(found["again_chance"], abs=0.03)
    assert found["again_chance"] == pytest.approx(1 / 8, abs=0.02)


def test_rises_by_as_much() -> None:
    place = np.arange(40)
    up = np.where(place < 20, 2.5, 1.0)
    curves = np.stack([straight(np.full(40, 2.0), up)] * 3)
    curves[0, -1, :10] = 2.1  # half of the places that rise rise by less with one seed
    record = planted(curves[0]).assign(
        token_loss=(("seed", "width", "step", "place"), np.stack([curves + 1, curves], 2))
    )
    assert checks.rises_again(record) == pytest.approx([1, 1, 1])
    assert checks.rises_again(record, by=checks.WORSE) == pytest.approx([0.5, 1, 1])


def test_jumps_shared_and_not() -> None:
    random = np.random.default_rng(0)
    at = random.integers(1, 5, size=200)
    jumps = np.where(np.arange(5)[:, None] < at, 3.0, 1.0)
    lines = straight(np.full(100, 3.0), np.full(100, 1.0))
    record = planted(np.concatenate([jumps, lines], axis=1))
    assert checks.looks_sudden(record).holds
    assert checks.shares_sharpness(record).holds
    assert not checks.shares_sharpness(checks.mixed_places(record)).holds
    assert not checks.looks_sudden(planted(lines)).holds
    assert checks.mean_as_low(checks.mixed_places(record)).holds
    own = np.stack([np.where(np.arange(5)[:, None] < random.integers(1, 5, size=200), 3.0, 1.0) for _ in range(6)])
    apart = planted(jumps, seeds=6).assign(token_loss=(("seed", "width", "step", "place"), np.stack([own + 1, own], 2)))
    assert checks.looks_sudden(apart).holds
    assert not checks.looks_sudden(checks.mean_over_seeds(apart)).holds


def test_equal_places_with_other_futures() -> None:
    random = np.random.default_rng(0)
    ends = np.where(random.random(300) < 0.5, 0.2, 3.5)
    record = planted(straight(np.full(300, 3.0) + 1e-3 * random.random(300), ends), scatter=0.05)
    assert all(each.after.size > 20 for each in checks.pairs(record))
    assert checks.same_futures(record).value == pytest.approx(1)
    assert checks.explained(record) == pytest.approx(np.zeros(3), abs=0.15)
    assert checks.same_rises(record).holds
    mixed = checks.mixed_places(record)
    assert not checks.same_futures(mixed).holds
    assert checks.by_size(mixed).mean(2) == pytest.approx(checks.by_size(record).mean(2))
    assert not checks.same_rises(planted(straight(np.full(300, 3.0), np.full(300, 1.0)))).holds


def test_times_of_the_fall() -> None:
    random = np.random.default_rng(0)
    when = random.integers(1, 8, size=100)
    falling = np.where(np.arange(9)[:, None] < when, 4.0, 1.0)
    loss = np.stack([np.stack([falling] * 3)] * 4)
    record = planted(straight(np.full(100, 4.0), np.full(100, 1.0), 3), seeds=4).drop_dims("step")
    record = record.assign(token_loss=(("seed", "width", "step", "place"), loss))
    assert checks.shares_times(record).value == pytest.approx(1)
    assert not checks.shares_times(checks.mixed_places(record)).holds


def test_means_counts_and_long_contexts() -> None:
    random = np.random.default_rng(0)
    starts, ends = 2 + random.random(60), random.random(60)
    record = planted(straight(starts, ends))
    assert checks.falls_with_size(record).holds
    assert checks.longer_counts(record).holds
    flat = planted(np.tile(starts, (5, 1)))
    assert not checks.falls_with_size(flat).holds
    assert not checks.longer_counts(flat).holds
    assert checks.reaches_counts(flat).holds
    assert not checks.reaches_counts(record).holds
    power = np.exp(np.log(record.parameters.values) * -0.1)[:, None] * np.full(60, 3.0)
    slope, left = checks.power_law(planted(power))
    assert slope == pytest.approx([-0.1] * 3)
    assert left == pytest.approx([0] * 3, abs=1e-9)


def test_a_gain_in_repeated_words_is_copying() -> None:
    record = small_language_models.run(replace(small_language_models.SMOKE, steps=2))
    repeated = checks.of_kind(record, "repeated word")
    loss = checks.by_size(record)
    copied = record.assign(short_loss=(record.short_loss.dims, loss + np.where(repeated, 0.5, 0.02)))
    assert checks.copies(copied).value == pytest.approx(0.48, abs=0.01)
    mixed = checks.mixed_back(copied)
    assert not checks.copies(mixed).holds
    assert checks.worth_as_much(mixed).holds
    assert not checks.copies(record.assign(short_loss=(record.short_loss.dims, loss + 0.02))).holds


def test_a_run_starts_near_chance_and_a_short_context_is_the_whole_one_at_first() -> None:
    config = replace(small_language_models.SMOKE, steps=2)
    record = small_language_models.run(config)
    assert record.token_loss.isel(step=0).mean() == pytest.approx(math.log(83), abs=0.6)
    whole = checks.by_size(record).reshape(2, 3, 6, 24)
    short = record.short_loss.values.reshape(2, 3, 6, 24)
    assert short[..., :8] == pytest.approx(whole[..., :8])
    assert np.abs(short - whole)[..., 8:].max() > 1e-3
    assert record.step.values.tolist() == [0, 1, 2]


def test_a_place_in_the_explorable_is_that_place_of_the_record() -> None:
    record = small_language_models.run(replace(small_language_models.SMOKE, steps=2))
    places = chosen(record)
    name, place = next(iter(places.items()))
    text = written(record.character.values[int(place) // 24]).replace("\n", "↵")
    assert name.endswith(f"[{text[int(place) % 24 + 1]}]")
    assert Explorable("frames", **one_place(record)).data["series"][0]["values"][0] == pytest.approx(
        checks.by_size(record).mean(0)[:, int(place)]
    )
    assert sum(option.get("correct", False) for option in question(record)["data"]["options"]) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("widths", (8, 12)), ("widths", (8, 12, 10)), ("widths", (8, 16, 12)), ("layers", 0), ("heads", 0), ("context", 4),
        ("batch_size", 0), ("steps", 1), ("learning_rate", 0.0), ("num_passages", 1), ("short_context", 24), ("orders", 1),
        ("num_seeds", 1),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        replace(small_language_models.SMOKE, **{field: value})
