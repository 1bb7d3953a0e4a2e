"""The models of the first page against scikit-learn and plain formulas; its claims against planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.kernel_ridge import KernelRidge
from sklearn.neighbors import KNeighborsClassifier

from heldout.data import Samples, mnist, shifted
from heldout.interpolation import digit_inputs, digit_models, two_meanings, two_meanings_checks

RECIPE = digit_models.Recipe(
    neighbors=5, bandwidth=5.0, ridge=3.0, waves=600, wave_scale=0.3, hidden_size=32, steps=200, stopped_steps=10,
    learning_rate=3e-3, batch_size=20,
)  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> tuple[Samples, Samples]:
    pool = mnist.bundled(0)
    return pool[:200], pool[200:500]


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return two_meanings.run(two_meanings.SMOKE)


def test_neighbors_agree_with_scikit_learn(digits: tuple[Samples, Samples]) -> None:
    shown, test = digits
    told = digit_models.by_distance(shown, shown.y, RECIPE)(test.x)
    for name, count in (("nearest", 1), ("neighbors", 5)):
        expected = KNeighborsClassifier(count).fit(shown.x.numpy(), shown.y.numpy()).predict(test.x.numpy())
        assert np.mean(told[name].numpy() == expected) > 0.99, name


def test_kernel_fits_agree_with_scikit_learn(digits: tuple[Samples, Samples]) -> None:
    shown, test = digits
    labels = torch.randint(10, (200,), generator=torch.Generator().manual_seed(0))
    told = digit_models.by_distance(shown, labels, RECIPE)(test.x)
    for name, ridge, given in (("exact", 1e-10, shown.y), ("ridge", 3.0, shown.y), ("random", 1e-10, labels)):
        regression = KernelRidge(alpha=ridge, kernel="rbf", gamma=1 / 50)
        scores = regression.fit(shown.x.double().numpy(), np.eye(10)[given.numpy()]).predict(test.x.double().numpy())
        assert np.mean(told[name].numpy() == scores.argmax(1)) > 0.99, name


def test_slow_waves_approach_the_gaussian_kernel(digits: tuple[Samples, Samples]) -> None:
    shown, test = digits
    many = replace(RECIPE, waves=20_000, wave_scale=5.0)
    waves = digit_models.rough_waves(shown, many, 0)(test.x)["waves"]
    exact = digit_models.by_distance(shown, shown.y, RECIPE)(test.x)["exact"]
    assert (waves == exact).double().mean() > 0.9


def test_distances_against_the_plain_formula(digits: tuple[Samples, Samples]) -> None:
    x, z = digits[0].x[:7].double(), digits[1].x[:5].double()
    expected = ((x[:, None] - z[None]) ** 2).sum(-1)
    torch.testing.assert_close(digit_models.squared_distances(x, z), expected)
    assert digit_models.squared_distances(x, x).diagonal().min() >= 0


def test_networks_of_one_key_share_their_start_and_stop_early(digits: tuple[Samples, Samples]) -> None:
    shown = digits[0]
    device = torch.device("cpu")
    rows = digit_models.networks([shown, shown], [3, 4], RECIPE, ("network", "stopped"), device=device)
    again = digit_models.networks([shown], [3], RECIPE, ("stopped",), device=device)
    for one, other in zip(rows[0]["stopped"].parameters(), again[0]["stopped"].parameters(), strict=True):
        torch.testing.assert_close(one, other)
    errors = {
        name: float((digit_models.probabilities(net, shown.x).argmax(1) != shown.y).double().mean())
        for name, net in rows[0].items()
    }
    assert errors["network"] == 0 < errors["stopped"]
    assert not torch.equal(rows[0]["network"].layers[0].weight, rows[1]["network"].layers[0].weight)


def test_who_hits_every_training_digit(record: xr.Dataset) -> None:
    hits = record.train_error.sel(model=list(digit_models.HITTING))
    assert float(hits.max()) == 0
    assert float(record.train_error.sel(model=list(digit_models.MISSING)).min()) > 0


def test_random_labels_and_rough_waves_are_at_chance(record: xr.Dataset) -> None:
    chance = record.test_error.sel(model=["random", "waves"])
    assert abs(float(chance.mean()) - 0.9) < 0.05


def test_halves_are_disjoint_and_controls_change_only_what_they_say() -> None:
    sizes = two_meanings.SMOKE
    first, second = digit_inputs.shown(sizes, 1)
    assert digit_models.squared_distances(first.x.double(), second.x.double()).min() > 0
    turned = digit_inputs.shown(replace(sizes, training_turn=90.0), 1)[0]
    torch.testing.assert_close(turned.x, mnist.rotated(first).x, atol=1e-5, rtol=0)
    more = digit_inputs.shown(replace(sizes, photographs_shown=7), 1)[0]
    assert torch.equal(more.x[:200], first.x)
    assert more.y[200:].tolist() == [0] * 7
    asked = digit_inputs.asked(sizes, 1)[1]["photographs"]
    assert digit_models.squared_distances(more.x[200:].double(), asked.double()).min() > 0


def test_asked_digits_are_turned_by_the_angle() -> None:
    test, inputs = digit_inputs.asked(two_meanings.SMOKE, 0)
    assert torch.equal(inputs["turned by 0"], test.x)
    torch.testing.assert_close(inputs["turned by 90"], shifted.turned(test, 90).x)


def planted(record: xr.Dataset, **values: float) -> xr.Dataset:
    """A record with one measured variable set for chosen models: ``test_nearest=0.5`` and the like."""
    changed = record.copy(deep=True)
    for name, value in values.items():
        variable, model = name.split("_", 1)
        target = {"test": "test_error", "train": "train_error", "differ": "disagreement"}[variable]
        changed[target].loc[{"model": model}] = value
    return changed


def test_checks_fail_on_planted_records(record: xr.Dataset) -> None:
    assert two_meanings_checks.waves(record).holds
    assert not two_meanings_checks.waves(planted(record, test_waves=0.5)).holds
    assert two_meanings_checks.turned(record).holds
    assert not two_meanings_checks.turned(planted(record, test_ridge=0.5)).holds
    assert two_meanings_checks.hit(record).holds
    assert not two_meanings_checks.hit(planted(record, train_exact=0.001)).holds
    assert not two_meanings_checks.parted(planted(record, differ_exact=0.3)).holds
    assert not two_meanings_checks.excess(planted(record, test_ridge=0.0)).holds
    # A model counts as hitting by what was measured, not by its name.
    assert not two_meanings_checks.excess(
        planted(record, train_exact=0.01, train_network=0.01, train_nearest=0.01)
    ).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("angles", (0.0, 45.0)), ("models", ("oracle",)), ("models", ()), ("wave_scale", 0.0), ("waves_per_digit", 1.0),
        ("stopped_steps", 300), ("num_train", 3000), ("neighbors", 0), ("photographs_shown", -1), ("digits", "letters"),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(two_meanings.SMOKE, **{field: value})
