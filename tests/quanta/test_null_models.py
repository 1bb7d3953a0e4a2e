"""Null models: closed forms against plain loops and an integrated flow, hand-made records, configs that cannot be."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.integrate import solve_ivp

from heldout.devices import generator
from heldout.figures.explorable_schema import checked
from heldout.quanta import null_model_checks as checks
from heldout.quanta import null_models
from heldout.quanta.explore.null_models import curves, question
from heldout.quanta.frozen_parity import Frozen
from heldout.quanta.parity import CHANCE, Tasks, online, random_tasks, zipf
from heldout.quanta.parity_networks import ParityMLP, Together, train
from heldout.quanta.solvable import answers, every_string, random_feature_loss, random_kernel, seen, skill_loss


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return null_models.run(null_models.SMOKE)


def test_the_memorizer_against_a_set_that_is_asked() -> None:
    shares, times = zipf(3, 0.5), np.array([1.0, 5.5, 40.0, 200.0])
    losses, one = seen(shares, 8, times, np.random.default_rng(3))
    random = np.random.default_rng(3)
    edges = np.cumsum(shares)
    tasks = np.searchsorted(edges, random.random(200) * edges[-1], side="right")
    strings = random.integers(8, size=200)
    for look, time in enumerate(times):
        known = set(zip(tasks[: int(time)].tolist(), strings[: int(time)].tolist(), strict=True))
        for task in range(3):
            assert losses[task, look] == pytest.approx(1 - sum((task, s) in known for s in range(8)) / 8)
    for task in range(3):
        came = np.flatnonzero((tasks == task) & (strings == 0))
        assert one[task] == (came[0] + 1 if came.size else np.inf)


def test_the_memorizer_keeps_to_its_expectation() -> None:
    shares, times = zipf(5, 0.5), np.array([20.0, 80.0, 320.0])
    runs = np.mean([seen(shares, 16, times, np.random.default_rng(seed))[0] for seed in range(400)], 0)
    np.testing.assert_allclose(runs, (1 - shares[:, None] / 16) ** times, atol=0.025)


def test_a_product_of_two_numbers_against_its_integrated_flow() -> None:
    frequency, start, times = 0.3, 0.01, np.linspace(0.1, 30, 20)

    def moves(_: float, ab: np.ndarray) -> list[float]:
        a, b = ab
        return [frequency * b * (1 - a * b), frequency * a * (1 - a * b)]

    found = solve_ivp(moves, (0, 30), [start**0.5] * 2, t_eval=times, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        skill_loss(frequency * times, np.array(start)), (1 - found.y.prod(0)) ** 2, rtol=1e-5, atol=1e-9
    )


def test_random_features_against_gradient_descent() -> None:
    tasks = Tasks(subsets=((0, 1), (2, 3, 4)), probabilities=np.array([0.7, 0.3]), num_bits=5)
    times = np.array([0.5, 5.0, 50.0])
    closed = random_feature_loss(tasks, 64, 0.4, times, np.random.default_rng(1))
    random = np.random.default_rng(1)
    strings = every_string(5)
    waves = random.normal(0, np.sqrt(-np.log(0.4) / 2), (5, 64))
    features = np.sqrt(2 / 64) * np.cos(strings @ waves + random.uniform(0, 2 * np.pi, 64))
    weights, step, done = np.zeros((64, 2)), 0.005, 0
    for look, time in enumerate(times):
        for _ in range(round(time / step) - done):
            rest = answers(tasks) - features @ weights
            weights += step * features.T @ rest / len(strings) * tasks.probabilities
        done = round(time / step)
        np.testing.assert_allclose(((answers(tasks) - features @ weights) ** 2).mean(0), closed[:, look], rtol=5e-3)


def test_many_random_features_have_the_kernel_and_the_eigenvalue_stated() -> None:
    kernel = random_kernel(5, 200_000, 1 / 3, np.random.default_rng(0)) * 32
    strings = every_string(5)
    differ = (strings[:, None] != strings[None]).sum(-1)
    np.testing.assert_allclose(kernel, (1 / 3) ** differ, atol=0.02)
    parity = answers(Tasks(subsets=((0, 2, 3),), probabilities=np.array([1.0]), num_bits=5))[:, 0]
    assert parity @ ((1 / 3) ** differ / 32) @ parity / 32 == pytest.approx((1 / 3) ** 3 * (2 / 3) ** 2)


def test_answers_are_the_parities_of_the_engine() -> None:
    tasks = random_tasks(0, 4, 6, 3, zipf(4, 0.5))
    batch = tasks.draw(50, np.random.default_rng(0))
    row = (batch.bits.numpy() < 0) @ 2 ** np.arange(6)
    np.testing.assert_array_equal(answers(tasks)[row, batch.task], 1 - 2 * batch.label.numpy())


def test_a_frozen_network_moves_its_readout_only() -> None:
    tasks = random_tasks(0, 2, 6, 2, zipf(2, 0.5))
    before = ParityMLP(2, 6, 16, generator=generator("frozen", 0))
    networks = Frozen([[before]], torch.device("cpu"))
    train(networks, [online(tasks, 50, "frozen", 0)], steps=5, learning_rate=0.01)
    after = networks.network(0, 0)
    for name, value in before.state_dict().items():
        assert torch.equal(after[name], value) == (name not in ("readout", "offset"))
    free = Together([[before]], torch.device("cpu"))
    train(free, [online(tasks, 50, "frozen", 0)], steps=1, learning_rate=0.01)
    assert not torch.equal(free.network(0, 0)["bits"], before.bits)


def test_a_run_holds_what_it_says(record: xr.Dataset) -> None:
    np.testing.assert_allclose(record.mean_loss, (record.task_loss * record.frequency).sum("task"), rtol=1e-9)
    assert (record.clock.diff("look") > 0).all()
    assert float(record.mean_loss.sel(model="network").isel(look=0).mean()) == pytest.approx(1, abs=0.2)
    assert checks.off_expected(record) < 0.15
    for model in ("memorizer", "random features", "multilinear"):
        assert float(record.task_loss.sel(model=model).diff("look").max()) < 1e-9


def planted(curves: dict[str, object], *, seeds: int = 2) -> xr.Dataset:
    """A record whose tasks have the given loss as a function of frequency times time."""
    shares, clock = zipf(30, 0.5), np.geomspace(0.05, 60, 90)
    losses = np.stack([np.stack([curve(shares[:, None] * clock)] * seeds) for curve in curves.values()])  # type: ignore[operator]
    return xr.Dataset(
        {
            "task_loss": (("model", "seed", "task", "look"), losses),
            "mean_loss": (("model", "seed", "look"), np.einsum("mskt,k->mst", losses, shares)),
            "clock": (("model", "look"), np.stack([clock] * len(curves))),
            "one_time": (("seed", "task"), np.stack([0.7 * 64 / shares] * seeds)),
            "frequency": ("task", shares),
        },
        {"model": list(curves), "seed": range(seeds), "task": range(1, 31)},
        {"alpha": 0.5, "strings": 64},
    )


def exponential(time: np.ndarray) -> np.ndarray:
    return np.exp(-time)


def logistic(time: np.ndarray) -> np.ndarray:
    return skill_loss(3 * time, np.array(0.01))


FINE = {"memorizer": exponential, "random features": exponential, "multilinear": logistic, "network": logistic}


def test_the_width_of_an_exponential_is_the_bound_of_linear_models() -> None:
    look = np.log10(60 / 0.05) / 89
    assert abs(checks.LINEAR - 1.3395) < 1e-3
    assert checks.width(planted(FINE), "random features") == pytest.approx([checks.LINEAR] * 2, abs=2.1 * look)
    assert checks.width(planted(FINE), "network").max() < checks.CONVEX


def test_checks_hold_and_fail_on_planted_records() -> None:
    fine = planted(FINE)
    assert all(check(fine).holds for check in (checks.wide, checks.narrow, checks.alike))
    assert checks.exponents(fine) == pytest.approx([0.45] * 4, abs=0.12)
    assert not checks.narrow(planted(FINE | {"network": exponential})).holds
    assert not checks.wide(planted(FINE | {"random features": logistic})).holds
    assert not checks.wide(checks.one_input(fine)).holds
    xr.testing.assert_identical(checks.one_input(fine).mean_loss, fine.mean_loss)

    def at_once(time: np.ndarray) -> np.ndarray:
        return np.exp(-30 * time)

    assert not checks.straight(planted(FINE | {"network": lambda t: np.exp(-(t * 0 + t[0])) + 0 * t})).holds
    assert not checks.alike(planted(FINE | {"network": lambda t: np.exp(-0.001 * t) * (1 - 0.1 * (t > 0.01))})).holds
    assert checks.all_learn(planted(dict.fromkeys(FINE, at_once))).holds
    assert not checks.all_learn(planted(FINE | {"network": np.ones_like})).holds
    assert checks.network_learns(fine).holds
    assert not checks.network_learns(planted(FINE | {"network": np.ones_like})).holds


def test_extremes_of_a_planted_record() -> None:
    fine = planted(FINE)
    found = checks.extremes(fine, tuple(FINE))
    assert found["exponent_least"] <= found["exponent_most"]
    assert 0.5 < found["window_least"] <= found["window_most"] < 3
    assert found["bend_most"] == max(checks.bends(fine, model).max() for model in FINE)
    assert found["network_end_most"] == pytest.approx(float(fine.task_loss[3, :, 0, -1].max()))
    assert checks.done(fine, "network") == int((fine.task_loss[3, 0, :, -1] <= 0.1).sum())


def test_a_share_of_a_joint_linear_loss_may_fall_faster_than_the_bound() -> None:
    # Two tasks share features: r' = -G r. The joint loss keeps the bound of linear models, the first task's share does not.
    time = np.geomspace(1e-3, 20, 20_000)
    values, vectors = np.linalg.eigh(np.array([[1.5, -0.5], [-0.5, 1.5]]))
    rest = vectors @ (np.exp(-np.outer(values, time)) * (vectors.T @ np.array([1.0, 3.0]))[:, None])
    np.testing.assert_allclose(rest[0], 2 * np.exp(-time) - np.exp(-2 * time), atol=1e-12)

    def decades(loss: np.ndarray) -> float:
        first, last = (time[np.flatnonzero(loss <= level * loss[0])[0]] for level in (0.9, 0.1))
        return float(np.log10(last / first))

    assert decades(rest[0] ** 2) == pytest.approx(0.83, abs=0.01)
    assert decades((rest**2).sum(0)) > checks.LINEAR - 0.01


def test_single_strings_are_seen_at_their_rate(record: xr.Dataset) -> None:
    assert checks.seen_ratio(record) == pytest.approx(1, abs=0.5)
    never = record.copy(deep=True)
    never["one_time"][:] = np.inf
    assert not checks.seen_at_its_rate(never).holds


def test_chance_is_one_for_every_model(record: xr.Dataset) -> None:
    one = checks.single(record, "multilinear")
    assert float(one.mean_loss[0, 0]) == pytest.approx(CHANCE, rel=0.05)


def test_explorables_hold_the_first_seed() -> None:
    assert sum(option.get("correct", False) for option in question()["data"]["options"]) == 1
    data = checked("frames", curves(planted(FINE))["data"])
    assert data["controls"][0]["values"] == list(FINE)
    assert data["lookups"]["width"]["values"][1][0] == pytest.approx(checks.LINEAR, abs=0.08)
    slow = curves(planted(FINE | {"network": np.ones_like}))["data"]["lookups"]["width"]["values"]
    assert slow[3][0] is None
    # The first task of the first model is half learned at log 2 over its frequency.
    one = checks.single(planted(FINE), "memorizer")
    half = CHANCE / zipf(30, 0.5)[0] / checks.half_time(one)
    grid, line = np.array(data["x"]["values"]), np.array(data["series"][0]["values"][0][0])
    assert np.interp(np.log(half), np.log(grid), line) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_tasks", 0), ("num_bits", 2), ("num_bits", 13), ("subset", 0), ("subset", 8), ("alpha", -1.5), ("width", 0),
        ("batch_size", 0), ("learning_rate", 0.0), ("steps", 99), ("held_out", 19), ("num_features", 0), ("kernel", 1.0),
        ("start", 0.0), ("start", 0.03), ("reach", 7), ("looks", 9), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(null_models.SMOKE, **{field: value})
