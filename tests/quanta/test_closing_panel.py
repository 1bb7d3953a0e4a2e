"""The closing panel of quanta: the loss over all strings, the stopping rule, planted records, and configs that cannot be."""

from collections.abc import Callable
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn.functional import binary_cross_entropy_with_logits

from heldout.claims import Evidence
from heldout.devices import numpy_generator
from heldout.figures.explorable_schema import checked
from heldout.quanta import closing_panel, matched_networks
from heldout.quanta import closing_panel_figures as figures
from heldout.quanta import closing_panel_measures as measures
from heldout.quanta.closing_panel_measures import EVEN, HIGH, LOW, OTHER_EVEN, OTHER_LOW
from heldout.quanta.explore.closing_panel import at_every_level, question
from heldout.quanta.parity import CHANCE, random_tasks, zipf
from heldout.quanta.parity_networks import ParityMLP

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return closing_panel.run(closing_panel.SMOKE)


def test_the_loss_over_all_strings_against_the_network_itself() -> None:
    tasks = random_tasks(3, 4, 6, 3, zipf(4, 0.5))
    network = ParityMLP(4, 6, 10, generator=torch.Generator().manual_seed(0))
    everything = matched_networks.Everything(tasks, CPU)
    logits = everything.logits({name: each.detach() for name, each in network.named_parameters()})
    assert len({tuple(row) for row in everything.bits.tolist()}) == 64
    for number, subset in enumerate(tasks.subsets):
        # An odd number of -1 bits makes the product of the bits negative.
        odd = (everything.bits[:, list(subset)].prod(1) < 0).float()
        own = network(torch.full((64,), number), everything.bits).detach()
        torch.testing.assert_close(logits[number], own)
        loss = float(binary_cross_entropy_with_logits(own, odd))
        assert everything.losses(logits)[number] == pytest.approx(loss, rel=1e-5)
        right = float(((own > 0) == (odd > 0.5)).float().mean())
        assert everything.accuracies(logits)[number] == pytest.approx(right)


def test_labels_over_all_strings_are_those_of_drawn_samples() -> None:
    tasks = random_tasks(0, 3, 5, 2, zipf(3, 0.5))
    everything = matched_networks.Everything(tasks, CPU)
    batch = tasks.draw(50, numpy_generator("a test"))
    strings = [tuple(row) for row in everything.bits.tolist()]
    for task, bits, label in zip(*batch, strict=True):
        assert everything.labels[int(task), strings.index(tuple(bits.tolist()))] == label


def line(value: float) -> matched_networks.State:
    return {"weight": torch.tensor([value], dtype=torch.float64)}


@pytest.mark.parametrize("guesses", [[1.0, 0.8, 0.4, 0.2], [1.0, 0.4, 0.3, 0.2], [1.0, 0.9, 0.8, 0.3]])
def test_a_network_is_stopped_at_the_first_crossing_of_its_own_loss(guesses: list[float]) -> None:
    """Whether the estimate is right, early or late."""
    values = [1.0, 0.8, 0.4, 0.2]
    found = matched_networks.stopped_at(
        lambda look: line(values[look]), guesses, lambda state: float(state["weight"]), 0.5
    )
    assert found is not None
    assert float(found[0]["weight"]) == pytest.approx(0.5, abs=1e-5)
    assert found[1] == 2


def test_no_crossing_no_network() -> None:
    def loss(state: matched_networks.State) -> float:
        return float(state["weight"])

    assert matched_networks.stopped_at(lambda _: line(0.9), [0.9, 0.9], loss, 0.5) is None
    assert matched_networks.stopped_at(lambda _: line(0.9), [0.9, 0.4], loss, 0.5) is None
    assert matched_networks.stopped_at(lambda _: line(0.1), [0.1, 0.1], loss, 0.5) is None


def test_losses_along_the_way_have_the_mean_that_was_asked_for() -> None:
    path = np.array([[0.7, 0.7], [0.6, 0.2], [0.1, 0.1]])
    assert matched_networks.along(path, 0.5) == pytest.approx([0.7 - 2 / 3 * 0.1, 0.7 - 2 / 3 * 0.5])
    assert matched_networks.along(path, 0.25).mean() == pytest.approx(0.25)
    assert np.isnan(matched_networks.along(path, 0.05)).all()


def test_losses_of_a_run_are_equal_and_bound_the_distance(record: xr.Dataset) -> None:
    means = record.task_loss.mean("task").values
    assert means == pytest.approx(np.full_like(means, CHANCE / 2), abs=1e-5)
    assert record.loss_difference.max() < 1e-5
    assert record.distance.isel(set=0).max() <= 2 * record.loss
    assert record.frequency.sum("task").values == pytest.approx([1, 1, 1])
    assert (record.frequency[1].values == record.frequency[2].values[::-1]).all()
    # The mean over samples along the way is at its level, wherever it came down so far.
    path = record.path_loss.mean("task") / CHANCE
    np.testing.assert_allclose(path, xr.zeros_like(path) + record.level, atol=1e-6)


def test_a_training_that_is_too_short_gives_nan_and_no_claim() -> None:
    short = closing_panel.run(replace(closing_panel.SMOKE, steps=20, even_steps=20, num_seeds=1))
    for name in (
        "task_loss",
        "accuracy",
        "stopped",
        "distance",
        "disagreement",
        "twin_disagreement",
        "loss_difference",
    ):
        assert short[name].isnull().all(), name
    assert not any(claim.check(short).holds for claim in closing_panel.CLAIMS)
    assert not measures.matched(short).holds


UP = np.linspace(0.0, 1.0, 10)
PLANTED = {
    LOW: UP,
    OTHER_LOW: UP,
    HIGH: UP[::-1],
    EVEN: 0.5 + 0 * UP,
    OTHER_EVEN: 0.5 + 0.1 * np.cos(np.pi * np.arange(10)),
}


def planted(**changed: np.ndarray) -> xr.Dataset:
    """Five equal seeds whose task losses are shares of chance, and whose accuracies fall in a line with them; EVEN is sure."""
    names = {"low": LOW, "other_low": OTHER_LOW, "high": HIGH, "even": EVEN, "other_even": OTHER_EVEN}
    shares = PLANTED | {names[key]: value for key, value in changed.items()}
    losses = np.stack([np.stack(list(shares.values()))] * 5)
    accuracy = np.where(np.isclose(losses, 0.5), 0.95, 1 - losses / 2)
    frequency = np.stack([zipf(10, -1), zipf(10, 0.5), zipf(10, 0.5)[::-1]])
    return xr.Dataset(
        {
            "task_loss": (("seed", "model", "task"), losses * CHANCE),
            "accuracy": (("seed", "model", "task"), accuracy),
            "frequency": (("mixture", "task"), frequency),
        },
        {"seed": range(5), "model": list(shares), "task": range(1, 11), "mixture": list(measures.MIXTURES)},
    )


def test_measures_on_a_planted_record() -> None:
    good = planted()
    # 1, 7/9 and 5/9 of chance, at both ends, are at least one half.
    assert measures.half_apart(good, LOW, HIGH).values.tolist() == [6] * 5
    assert measures.one_knows(good, LOW, HIGH).values.tolist() == [10] * 5
    assert measures.agreement(good, LOW, HIGH).values == pytest.approx([-1] * 5)
    # Of ten gaps from 1 to 1/9 and back, the mean is 5/9 of chance.
    assert measures.mean_gap(good, LOW, HIGH).values == pytest.approx([CHANCE * 5 / 9] * 5)
    on_low = measures.loss_on(good, LOW, "low often").values
    assert on_low == pytest.approx([CHANCE * UP @ zipf(10, 0.5)] * 5)
    assert measures.loss_on(good, HIGH, "high often").values == pytest.approx(on_low)
    assert measures.right(good, EVEN).values == pytest.approx([0.95] * 5)


def test_claims_and_controls_on_planted_records() -> None:
    good = planted()
    equal = planted(low=PLANTED[EVEN], high=PLANTED[EVEN])
    for claim in closing_panel.CLAIMS:
        control = claim.control
        without = equal if control.change is None else control.change(good)
        assert claim.check(good).holds, claim.id
        assert not claim.check(without).holds, claim.id
        assert control.manipulation(without).holds, claim.id
        unmatched = without.copy(deep=True)
        unmatched["task_loss"].loc[{"model": HIGH}] += 1e-3
        assert not control.manipulation(unmatched).holds, claim.id


def test_a_renumbered_draw_keeps_its_losses_and_only_a_spread_can_correlate() -> None:
    good = planted()
    changed = measures.renumbered_twin(good)
    for name in ("task_loss", "accuracy"):
        before, after = (each[name].sel(model=OTHER_LOW).values for each in (good, changed))
        assert (np.sort(after, 1) == np.sort(before, 1)).all()
        assert (after != before).any(1).all()
        assert changed[name].drop_sel(model=OTHER_LOW).equals(good[name].drop_sel(model=OTHER_LOW))
    # Equal frequencies leave nearly equal losses: nothing to correlate, and no fair control.
    flat = planted(low=PLANTED[EVEN], other_low=PLANTED[OTHER_EVEN])
    assert measures.matched(flat).holds
    assert not measures.matched_and_spread(flat).holds


@pytest.mark.parametrize(
    ("check", "changed"),
    [
        (measures.skills_part, {"high": UP}),
        (measures.skills_part, {"high": np.roll(UP, 3)}),
        (measures.mixtures_reverse, {"high": 0.5 + 0 * UP}),
        (measures.mixtures_reverse, {"low": 0.5 + 0 * UP}),
        (measures.answers_part, {"even": UP[::-1]}),
        (measures.recipe_decides, {"other_low": np.roll(UP, 3)}),
    ],
)
def test_each_check_fails(check: Callable[[xr.Dataset], Evidence], changed: dict[str, np.ndarray]) -> None:
    assert not check(planted(**changed)).holds


def test_figures_and_explorables(record: xr.Dataset) -> None:
    for draw in (closing_panel.plot, figures.profiles):
        axes = draw(record)
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        plt.close(axes.get_figure(root=True))
    assert "chance" in figures.profile_words(record)
    assert sum(option.get("correct", False) for option in question()["data"]["options"]) == 1
    data = checked("frames", at_every_level(record)["data"])
    last = [series["values"][-1] for series in data["series"]]
    assert np.mean(last, axis=1) == pytest.approx([CHANCE / 2] * 3, abs=0.08)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_tasks", 1), ("num_bits", 0), ("num_bits", 21), ("subset", 0), ("subset", 9), ("alpha", -1.5), ("width", 0),
        ("batch_size", 0), ("learning_rate", 0.0), ("steps", 5), ("even_steps", 5), ("look_every", 0), ("held_out", 19),
        ("level", 0.0), ("level", 1.0), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(closing_panel.SMOKE, **{field: value})
