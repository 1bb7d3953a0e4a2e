"""The transformer against the paper's formula in plain words, measures against closed forms, rulers against their means."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.devices import generator
from heldout.grokking import clock_and_pizza, clock_and_pizza_checks, clock_pizza_measures
from heldout.grokking.attention_rate import MixedAttention
from heldout.grokking.clock_pizza_rulers import WrittenDown
from heldout.grokking.explore.clock_and_pizza import profile, question
from heldout.grokking.modular import all_pairs

P = 7


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return clock_and_pizza.run(clock_and_pizza.SMOKE)


def network(rate: float, loudness: float = 1.0) -> MixedAttention:
    made = MixedAttention(
        P, rate=rate, generator=generator("test", 0), loudness=loudness, model_size=8, heads=2, hidden_size=12
    )
    with torch.no_grad():
        made.hidden_bias.add_(torch.linspace(-0.3, 0.3, 12))
        made.key.mul_(3)
    return made


@pytest.mark.parametrize(("rate", "loudness"), [(0.0, 1.0), (0.4, 1.6), (0.4, 1.0), (1.0, 1.0), (0.0, 2.0)])
@torch.no_grad()
def test_transformer_against_a_head_by_head_one(rate: float, loudness: float) -> None:
    """Softmax over both places, times the rate, plus half of what is left of the loudness; read at the second place."""
    made, pairs = network(rate, loudness), all_pairs(P)
    stream = made.embed[pairs] + made.position  # (pairs, place, model)
    read = torch.zeros(len(pairs), 8)
    for rows in (slice(0, 4), slice(4, 8)):
        query, key, value = (stream @ weight[rows].T for weight in (made.query, made.key, made.value))
        weights = torch.softmax((query[:, 1:] @ key.transpose(1, 2)) / 2, -1) * rate + (loudness - rate) / 2
        read += (weights @ value)[:, 0] @ made.attention_out[:, rows].T
    middle = stream[:, 1] + read
    hidden = functional.relu(middle @ made.hidden_in.T + made.hidden_bias)
    expected = (middle + hidden @ made.hidden_out.T + made.out_bias) @ made.unembed.T
    torch.testing.assert_close(made(pairs), expected, rtol=1e-4, atol=1e-5)
    rows = made.embed[pairs[:, 0]], made.embed[pairs[:, 1]]
    torch.testing.assert_close(made.from_vectors(*rows), expected, rtol=1e-4, atol=1e-5)
    given = made.stream()
    torch.testing.assert_close(given.reshape(-1, 8), middle, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        made.read_out(given, made.unit_outputs(given)).reshape(-1, P), expected, rtol=1e-4, atol=1e-5
    )


def test_even_attention_weighs_nothing_and_adds_everything() -> None:
    cut = clock_pizza_measures.cuts(network(0.0))
    assert cut["added_in"] == pytest.approx(1, abs=1e-5)
    assert cut["without_attention"] == cut["whole"]
    assert cut["without_layer"] == cut["without_both"]
    assert clock_pizza_measures.cuts(network(1.0))["added_in"] < 0.999


@torch.no_grad()
def test_cuts_take_out_one_product_each() -> None:
    """Units that are all open multiply nothing: then the layer's cut changes nothing, and attention's is a sum of two tables."""
    made = network(1.0)
    made.hidden_bias.add_(100)
    cut = clock_pizza_measures.cuts(made)
    assert cut["without_layer"] == cut["whole"]
    assert cut["without_attention"] == cut["without_both"]
    sums = clock_pizza_measures.added(made(all_pairs(P)).view(P, P, P))
    assert cut["without_both"] == clock_pizza_measures.share_right(sums)


def test_measures_on_the_two_formulas() -> None:
    """A clock's gradients are at right angles on average; a pizza's logit is fixed by the distance."""
    angle = 2 * math.pi * torch.arange(P) / P
    circle = torch.stack([angle.cos(), angle.sin()], 1)

    def clock(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        x = first[..., 0] * second[..., 0] - first[..., 1] * second[..., 1]
        y = first[..., 0] * second[..., 1] + first[..., 1] * second[..., 0]
        return x[..., None] * angle.cos() + y[..., None] * angle.sin()

    slopes = clock_pizza_measures.slopes(clock, circle)
    assert clock_pizza_measures.gradient_symmetricity(slopes) == pytest.approx(0, abs=1e-6)
    a, b = all_pairs(P).T
    turns = 2 * math.pi * (a + b)[:, None] / P - angle
    pizza = (math.pi * (a - b)[:, None] / P).cos().abs() * turns.cos()
    assert clock_pizza_measures.distance_irrelevance(pizza) == pytest.approx(0, abs=1e-6)
    by_sum = torch.cos(2 * math.pi * (a + b) / P)[:, None] * functional.one_hot((a + b) % P, P)
    assert clock_pizza_measures.distance_irrelevance(by_sum) == pytest.approx(1, abs=1e-6)
    right = clock_pizza_measures.right_logits(torch.arange(P**3, dtype=torch.float32).view(P * P, P))
    assert float(right[2, 6]) == 6 * P * P + 1 * P + 0  # a = 6, b = 6 + 2 = 1, answer 0


def test_added_is_the_least_squares_fit() -> None:
    table = torch.randn(5, 4, 1, generator=generator("table", 0))
    design = torch.cat([torch.eye(5).repeat_interleave(4, 0), torch.eye(4).repeat(5, 1)], 1)
    fit = design @ torch.linalg.pinv(design) @ table.reshape(20, 1)
    torch.testing.assert_close(clock_pizza_measures.added(table).reshape(20, 1), fit, rtol=1e-4, atol=1e-5)
    assert clock_pizza_measures.added_share(table) == pytest.approx(float(fit.var() / table.var()), rel=1e-4)


@pytest.mark.parametrize(("spread", "formula"), [(0.0, "pizza"), (1.0, "clock")])
def test_rulers_tend_to_their_formulas(spread: float, formula: str) -> None:
    made = WrittenDown(P, [2], 40_000, spread, 0, torch.device("cpu"))
    pairs = all_pairs(P)
    a, b = pairs.T
    logits = made.from_vectors(made.embed[a], made.embed[b])
    wave = torch.cos(2 * math.pi * 2 * ((a + b)[:, None] - torch.arange(P)) / P)
    # |cos x| averages to 2 / pi over a circle, and relu(cos) has 2 / (3 pi) of cos 2x, whose mean square is a half.
    heights = (2 * math.pi * (a - b) / P).cos().abs()[:, None] if formula == "pizza" else 2 / math.pi
    torch.testing.assert_close(logits / 40_000, 2 / (3 * math.pi) * heights * wave, atol=0.015, rtol=0)
    assert clock_pizza_measures.share_right(logits) == 1.0


def test_slopes_of_a_ruler_are_its_gradients() -> None:
    made, pairs = WrittenDown(P, [1, 3], 5, 0.5, 0, torch.device("cpu")), all_pairs(P)
    ours = made.slopes(made.embed[pairs[:, 0]], made.embed[pairs[:, 1]])
    for mine, its in zip(ours, clock_pizza_measures.slopes(made.from_vectors, made.embed), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-5)
    shared = WrittenDown(P, [1, 3], 5, 0.0, 0, torch.device("cpu"))
    found = shared.slopes(shared.embed[pairs[:, 0]], shared.embed[pairs[:, 1]])
    assert clock_pizza_measures.gradient_symmetricity(found) == pytest.approx(1, abs=1e-5)


def test_a_run(record: xr.Dataset) -> None:
    even = record.sel(rate=0.0)
    np.testing.assert_allclose(even.added_in, 1, atol=1e-5)
    np.testing.assert_allclose(even.without_attention, even.whole)
    np.testing.assert_allclose(even.without_layer, even.without_both)
    assert float((record.loud_start_symmetricity - even.start_symmetricity).min()) > 0.05
    assert bool((record.start_symmetricity <= 1 + 1e-6).all())
    fitted = record.train_accuracy == 1
    assert bool((record.test_loss.notnull() == fitted).all())
    assert bool((record.profile.notnull().all("distance") == fitted).all())


def planted(
    *, even: float = 0.99, half: float = 0.95, trained: float = 0.3, irrelevance: tuple[float, float, float] = (0.55, 0.6, 0.9),
    added_in: float = 0.95, added_out: float = 0.7, without_attention: float = 0.9, without_layer: float = 0.5,
    accuracy: float = 1.0, loss: float = 0.01, loud: float = 0.99, loud_start: float = 0.7,
) -> xr.Dataset:  # fmt: skip
    """Five equal seeds at three rates, beside rulers from (1, 0.55) to (0, 1)."""

    def table(values: tuple[float, float, float]) -> tuple[tuple[str, str], np.ndarray]:
        return ("rate", "seed"), np.repeat(np.array(values)[:, None], 5, 1)

    def rulers(values: tuple[float, float]) -> tuple[tuple[str, str], np.ndarray]:
        return ("spread", "seed"), np.repeat(np.array(values)[:, None], 5, 1)

    return xr.Dataset(
        {
            "symmetricity": table((even, half, trained)), "irrelevance": table(irrelevance),
            "added_in": table((1, 1, added_in)), "added_out": table((added_out,) * 3),
            "without_attention": table((1, 1, without_attention)), "without_layer": table((without_layer,) * 3),
            "without_both": table((0.03,) * 3), "start_symmetricity": table((0.43, 0.43, 0.44)),
            "loud_symmetricity": ("seed", np.full(5, loud)), "loud_start_symmetricity": ("seed", np.full(5, loud_start)),
            "loud_test_accuracy": ("seed", np.full(5, accuracy)), "loud_test_loss": ("seed", np.full(5, loss)),
            "test_accuracy": table((accuracy,) * 3), "test_loss": table((loss,) * 3),
            "ruler_symmetricity": rulers((1, 0)), "ruler_irrelevance": rulers((0.55, 1)),
        },
        {"rate": [0.0, 0.5, 1.0], "seed": range(5), "spread": [0.0, 1.0]},
    )  # fmt: skip


def test_checks_on_planted_records() -> None:
    fine = planted()
    for claim in clock_and_pizza.CLAIMS:
        assert claim.check(fine).holds, claim.id
        assert claim.control.change is not None
        changed = claim.control.change(fine)
        assert not claim.check(changed).holds, claim.id
        assert claim.control.manipulation(changed).holds
    for bad, name in (
        (planted(trained=0.8), "two_ways"), (planted(accuracy=0.9), "two_ways"), (planted(loss=math.nan), "two_ways"),
        (planted(irrelevance=(0.9, 0.9, 0.5)), "on_the_rulers"), (planted(added_in=0.8), "waves_are_added"),
        (planted(without_attention=0.7), "layer_multiplies"), (planted(accuracy=0.9), "layer_multiplies"),
        (planted(half=0.98), "by_degrees"), (planted(half=0.2), "by_degrees"), (planted(accuracy=0.9), "by_degrees"),
        (planted(without_layer=0.1), "attention_multiplies_too"),
        (clock_and_pizza_checks.loud_for_trained(planted(loud_start=0.45)), "loudness_felt"),
    ):  # fmt: skip
        assert not getattr(clock_and_pizza_checks, name)(bad).holds, name
    assert not clock_and_pizza_checks.fitted(planted(accuracy=0.9)).holds
    assert clock_and_pizza_checks.two_ways(clock_and_pizza_checks.loud_for_trained(planted(loud=0.3))).holds
    assert clock_and_pizza_checks.off_constant(fine) == pytest.approx(0.05)
    assert clock_and_pizza_checks.widest_gap(fine) == (0.3, 0.95)


def test_explorables_of_a_run(record: xr.Dataset) -> None:
    data = profile(record)["data"]
    assert data["series"][0]["values"].shape == (3, 2, clock_and_pizza.SMOKE.modulus)
    assert data["lookups"]["symmetricity"]["values"].shape == (3, 2)
    assert sum(option.get("correct", False) for option in question()["data"]["options"]) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 8), ("train_fraction", 1.0), ("heads", 5), ("hidden_size", 0), ("steps", 0), ("weight_decay", -1.0),
        ("matched_loss", 0.0), ("loud", 1.0),
        ("rates", (0.0,)), ("rates", (0.0, 1.5)), ("spreads", (1.0, 0.0)), ("ruler_frequencies", 99),
        ("ruler_units", 0), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(clock_and_pizza.SMOKE, **{field: value})
