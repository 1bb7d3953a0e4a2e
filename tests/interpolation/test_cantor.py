"""Cantor data, the network built by hand, and the claims, against exact arithmetic, plain loops and planted records."""

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.figures.explorable import Explorable
from heldout.interpolation import approximation_curves, cantor
from heldout.interpolation.cantor_checks import first_steps
from heldout.interpolation.cantor_fits import balanced
from heldout.interpolation.cantor_sets import (
    built_network,
    built_width,
    encoded,
    intervals,
    judged_points,
    logistic,
    sample,
)
from heldout.interpolation.explore.coarse_to_fine import question, walk

THIRDS = (1 / 3,) * 5


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return cantor.run(cantor.SMOKE, device="cpu")


@pytest.fixture(scope="module")
def curves() -> xr.Dataset:
    return approximation_curves.run(approximation_curves.SMOKE, device="cpu")


def removed_at(x: Fraction, levels: int) -> int:
    """The level whose gap holds x, by ternary digits; 0 if it is in the set. Ends of intervals belong to the set."""
    for level in range(1, levels + 1):
        x *= 3
        if 1 < x < 2:
            return level
        x -= 2 if x >= 2 else 0
    return 0


def test_intervals_are_those_of_the_ternary_digits() -> None:
    kept, gaps = intervals(THIRDS)
    assert len(kept) == 32
    assert [len(level) for level in gaps] == [1, 2, 4, 8, 16]
    for level, pieces in enumerate([kept, *gaps]):
        for low, high in pieces:
            assert removed_at(Fraction((low + high) / 2).limit_denominator(10**6), 5) == level
    assert sum(high - low for low, high in kept) == pytest.approx((2 / 3) ** 5)


def exact_output(network: torch.nn.Module, x: Fraction, depth: int) -> Fraction:
    """The network's output in exact arithmetic, its weights read as the fractions they stand for."""
    values = [2 * x - 1]
    for layer in range(depth + 1):
        rows = network.get_parameter(f"layers.{layer}.weight").tolist()
        biases = network.get_parameter(f"layers.{layer}.bias").tolist()
        exact = [
            sum((as_fraction(w) * v for w, v in zip(row, values, strict=True)), as_fraction(bias))
            for row, bias in zip(rows, biases, strict=True)
        ]
        values = exact if layer == depth else [max(value, Fraction(0)) for value in exact]
    return values[0]


def as_fraction(weight: float) -> Fraction:
    return Fraction(weight).limit_denominator(10**6)


@pytest.mark.parametrize("depth", [1, 2, 4, 6])
def test_built_network_is_exact(depth: int) -> None:
    """It is linear between neighboring multiples of 1 / (2 * 3^5), so the ends and middles of those pieces decide everywhere."""
    network = built_network(THIRDS, depth, built_width(5, depth), dtype=torch.float64)
    pieces = 2 * 3**5
    ends = [exact_output(network, Fraction(k, pieces), depth) for k in range(pieces + 1)]
    for k in range(pieces):
        middle = Fraction(2 * k + 1, 2 * pieces)
        output = exact_output(network, middle, depth)
        assert output == (ends[k] + ends[k + 1]) / 2
        assert (output > 0) == (removed_at(middle, 5) == 0)


def test_built_network_of_uneven_gaps() -> None:
    shares = (0.05, 0.5, 0.2)
    network = built_network(shares, 2, 16, dtype=torch.float64)
    outputs = network(2 * judged_points(shares, 64)[..., None] - 1)[..., 0]
    assert (outputs[0] > 0).all()
    assert (outputs[1:] < 0).all()


def test_built_network_needs_its_width() -> None:
    assert [built_width(5, depth) for depth in (1, 2, 3, 4, 5, 6)] == [64, 9, 5, 5, 4, 3]
    with pytest.raises(ValueError, match="width"):
        built_network(THIRDS, 4, 4)


def test_samples_are_labeled_and_spread_as_said() -> None:
    masses = (0.5, 0.0, 0.3, 0.2, 0.0)
    x, labels = sample(THIRDS, masses, 4000, seed=3)
    levels = np.array([removed_at(Fraction(value), 5) for value in x[:, 0].tolist()])
    np.testing.assert_array_equal(levels == 0, labels[:, 0].numpy() > 0)
    assert abs((levels == 0).mean() - 0.5) < 0.04
    for level, mass in enumerate(masses, start=1):
        assert abs((levels == level).mean() - mass / 2) < 0.03
    again, _ = sample(THIRDS, masses, 4000, seed=3)
    assert torch.equal(x, again)


def test_unfolded_inputs_put_each_gap_in_a_middle_third() -> None:
    points = judged_points(THIRDS, 32)
    waves = encoded(points[..., None], "unfolded", 5)
    for level in range(1, 6):
        assert (waves[level, :, level - 1].abs() < 1 / 3).all()
    assert (waves[0].abs() > 1 / 3).all()


def test_loss_and_balanced_accuracy_by_hand() -> None:
    outputs, labels = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 1.0])
    expected = functional.binary_cross_entropy_with_logits(outputs, (labels + 1) / 2, reduction="none")
    torch.testing.assert_close(logistic(outputs, labels), expected)
    np.testing.assert_allclose(balanced(np.array([0.8, 0.4, 1.0])), [0.7, 0.4])


def test_training_is_that_of_a_plain_loop() -> None:
    """One member, one stage, all samples in each batch: Adam written out gives the same loss and accuracies."""
    config = dataclasses.replace(
        cantor.SMOKE,
        widths=(6,),
        steps=(30,),
        learning_rates=(0.01,),
        num_seeds=1,
        num_train=64,
        batch_size=64,
        probes=2,
    )
    result = cantor.run(config, device="cpu")
    member = cantor.network(config, 0, 6)
    x, labels = sample(config.gap_shares, config.masses, 64, 0)
    optimizer = torch.optim.Adam(member.parameters(), lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        logistic(member((2 * x - 1).float()), labels).mean().backward()
        optimizer.step()
    with torch.no_grad():
        loss = float(logistic(member((2 * x - 1).float()), labels).mean())
        judged = (2 * judged_points(config.gap_shares, 16) - 1).float()
        accepted = (member(judged[..., None])[..., 0] > 0).float().mean(-1).numpy()
    assert float(result.train_loss.squeeze()) == pytest.approx(loss, rel=1e-3)
    np.testing.assert_allclose(result.accuracy.isel(seed=0, width=0, step=-1), balanced(accepted), atol=1 / 16)


def test_a_seed_does_not_depend_on_its_neighbors(smoke: xr.Dataset) -> None:
    alone = cantor.run(dataclasses.replace(cantor.SMOKE, num_seeds=1, first_seed=1), device="cpu")
    np.testing.assert_allclose(alone.train_loss.values[0], smoke.train_loss.values[1], rtol=1e-3)


def test_built_loss_is_that_of_an_exact_classifier(smoke: xr.Dataset) -> None:
    assert (smoke.built_accuracy == 1).all()
    assert (smoke.built_loss < 2 / cantor.SHARPNESS).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("widths", (8, 4)), ("widths", ()), ("depth", 0), ("depth", 7), ("gap_shares", (0.3, 1.0, 0.3, 0.3, 0.3)),
        ("masses", (0.0,) * 5), ("masses", (1.0,)), ("inputs", "folded"), ("num_judged", 33), ("steps", (5,)),
        ("batch_size", 0), ("learning_rates", (0.1, 0.1, 0.0)), ("num_seeds", 0), ("probes", 1),
    ],
)  # fmt: skip
def test_bad_settings_are_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        cantor.Config(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [("depths", (3,)), ("levels", 2), ("width", 1), ("inputs", "x"), ("num_judged", 10), ("steps", ())],
)
def test_bad_settings_of_the_curves_are_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        approximation_curves.Config(**{field: value})


def planted(levels_by_width: dict[int, tuple[float, ...]], first: tuple[int, ...]) -> xr.Dataset:
    """Two seeds; accuracies at the end by width, and at the widest the step from which each level has its final accuracy."""
    steps, widths = [0, 10, 100, 1000], list(levels_by_width)
    accuracy = np.full((2, len(widths), 4, 5), 0.5)
    for w, k in itertools.product(range(len(widths)), range(5)):
        accuracy[:, w, [step >= first[k] for step in steps], k] = levels_by_width[widths[w]][k]
    dims = ("seed", "width", "step", "level")
    return xr.Dataset(
        {
            "accuracy": (dims, accuracy),
            "train_loss": (dims[:2], np.full((2, len(widths)), 0.4)),
            "built_accuracy": (("width", "level"), np.ones((len(widths), 5))),
            "built_loss": (dims[:2], np.full((2, len(widths)), 0.01)),
        },
        {"seed": [0, 1], "width": widths, "step": steps, "level": [1, 2, 3, 4, 5]},
    )


GOOD = {16: (0.95, 0.95, 0.5, 0.5, 0.5), 64: (0.95, 0.95, 0.9, 0.5, 0.5)}
ORDER = (10, 100, 1000, 1000, 1000)


def verdicts(record: xr.Dataset) -> dict[str, bool]:
    return {claim.id.split(".")[1]: claim.check(record).holds for claim in cantor.CLAIMS}


def test_claims_hold_and_fail_on_planted_records() -> None:
    assert all(verdicts(planted(GOOD, ORDER)).values())
    assert not verdicts(planted(GOOD, (100, 100, 1000, 1000, 1000)))["coarse_first"]
    assert not verdicts(planted(GOOD, (10, 1000, 100, 1000, 1000)))["coarse_first"]
    everything = dict.fromkeys((16, 64), (0.95,) * 5)
    assert not any(verdicts(planted(everything, (10,) * 5)).values())
    nothing = dict.fromkeys((16, 64), (0.5,) * 5)
    assert verdicts(planted(nothing, ORDER)) == {
        "level_two_without_three": False, "level_three_by_64": False, "coarse_first": False, "finest_open": True
    }  # fmt: skip


def test_first_steps_by_hand() -> None:
    steps = first_steps(planted(GOOD, ORDER)).isel(seed=0, width=-1).values
    np.testing.assert_array_equal(steps, [11, 101, 1001, np.inf, np.inf])


def test_controls_of_the_built_network() -> None:
    claim = next(claim for claim in cantor.CLAIMS if claim.id == "cantor.finest_open")
    assert claim.control.change is not None
    altered = claim.control.change(planted(GOOD, ORDER))
    assert not claim.check(altered).holds
    assert claim.control.manipulation(altered).holds
    assert claim.control.manipulation(altered).value == pytest.approx(0.01 / 0.4)


def test_curve_and_own_accuracy(curves: xr.Dataset) -> None:
    """A classifier that knows k levels is right on the set and on those k levels' share of the negatives."""
    np.testing.assert_allclose(curves.curve.sel(mass="even"), [0.5, 0.5 + 1 / 6, 0.5 + 2 / 6, 1.0])
    np.testing.assert_allclose(curves.curve.sel(mass="coarse"), [0.5, 0.75, 0.875, 1.0])
    np.testing.assert_allclose(curves.own_accuracy.sel(mass="fine"), curves.level_accuracy.sel(mass="fine", level=3))
    even = curves.level_accuracy.sel(mass="even").mean("level")
    np.testing.assert_allclose(curves.own_accuracy.sel(mass="even"), even)


def test_claims_of_the_curves_fail_on_planted_records() -> None:
    config = approximation_curves.BOOK
    names, shape = approximation_curves.MASSES, (2, 3, len(config.depths))
    record = xr.Dataset(
        {
            "own_accuracy": (("seed", "mass", "depth"), np.full(shape, 0.5)),
            "level_accuracy": (("seed", "mass", "depth", "level"), np.full((*shape, 5), 0.5)),
        },
        {"seed": [0, 1], "mass": list(names), "depth": list(config.depths), "level": [1, 2, 3, 4, 5]},
    )
    chance, depth = (claim.check for claim in approximation_curves.CLAIMS)
    assert chance(record).holds
    assert not depth(record).holds
    learned = record + 0.4 * (record.depth >= 3)
    assert not chance(learned).holds
    assert depth(learned).holds


def test_the_walk_draws_what_was_recorded(smoke: xr.Dataset) -> None:
    data = Explorable("frames", **walk(smoke)).data
    network, in_set, *gaps = data["series"]
    shown = smoke.output.values
    assert network["values"][-1][-1][0] == pytest.approx(1 / (1 + np.exp(-shown[-1, -1, 0])), abs=1e-3)
    rows = [[value is not None for value in row["values"]] for row in (in_set, *gaps)]
    assert (np.sum(rows, axis=0) == 1).all(), "each place is in the set or in the gaps of one level"
    assert [sum(row) for row in rows] == [8, 9, 6, 4]


def test_the_question_has_its_answer_from_the_record(smoke: xr.Dataset) -> None:
    data = Explorable("choice", **question(smoke)).data
    assert [option.get("correct", False) for option in data["options"]] == [False, True, False, False]
    learned = int((smoke.accuracy.isel(width=-1, step=-1).sel(level=1) > 0.8).sum())
    assert f"level 1 in {learned}" in data["options"][0]["feedback"]
