"""Sweeps over data and decay: one cell against a plain loop, censoring by hand, claims against planted records."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.devices import generator
from heldout.grokking import data_and_decay, data_and_decay_checks
from heldout.grokking.modular import split
from heldout.grokking.pair_networks import PairMLP

TINY = replace(
    data_and_decay.SMOKE,
    modulus=11,
    hidden_size=24,
    learning_rates=(1e-2,),
    decay_times=(20.0, 40.0),
    num_probes=8,
    num_seeds=1,
)


def test_a_run_against_a_plain_loop() -> None:
    config = replace(TINY, base_time=20.0, lifetimes=2.0)
    record = data_and_decay.run(config)
    pairs = split(11, 0.8, 0)
    model = PairMLP(11, 24, generator=generator("data and decay", 0))
    adam = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=5.0, betas=(0.9, 0.98))  # 1 / (0.01 x 20)
    for _ in range(40):
        adam.zero_grad()
        functional.cross_entropy(model(pairs.train_pairs), pairs.train_targets).backward()
        adam.step()
    with torch.no_grad():
        outputs = model(pairs.test_pairs)
    last = record.isel(seed=0, step=-1).sel(fraction=0.8)
    assert float(last.test_loss) == pytest.approx(
        float(functional.cross_entropy(outputs, pairs.test_targets)), rel=1e-3
    )
    # The base cell of the sweep over decay is the same run.
    cell = record.isel(seed=0, learning_rate=0).sel(time=20.0)
    assert float(cell.end_test) == pytest.approx(float(last.test_accuracy))


def test_lengths_follow_the_time_constant_and_no_decay_leaves_them() -> None:
    record = data_and_decay.run(TINY)
    assert record.budget.values.tolist() == [180, 360]
    still = data_and_decay.run(replace(TINY, decay_factor=0.0))
    assert still.budget.values.tolist() == [180, 360]
    assert float(still.train_loss.isel(step=-1).max()) < float(record.train_loss.isel(step=-1).min())


def planted(
    generalized: list[list[float]], *, memorized: float = 50.0, by_fraction: tuple[float, float] = (500.0, 100.0)
) -> xr.Dataset:
    """Three equal seeds: held-out steps by (learning rate, time), and by fraction .5 and .8; NaN never comes."""
    steps = np.array([10.0, 50.0, 100.0, 200.0, 500.0, 1000.0])
    curve = np.array([[(steps >= at).astype(float) for at in by_fraction]] * 3)
    train = np.broadcast_to((steps >= 50).astype(float), curve.shape)
    cells = np.array([generalized] * 3)
    dims = ("seed", "learning_rate", "time")
    return xr.Dataset(
        {
            "train_accuracy": (("seed", "fraction", "step"), train),
            "test_accuracy": (("seed", "fraction", "step"), curve),
            "generalized": (dims, cells),
            "memorized": (dims, np.full_like(cells, memorized)),
            "end_train": (dims, np.ones_like(cells)),
            "end_test": (dims, np.isfinite(cells).astype(float)),
        },
        {
            "seed": [0, 1, 2], "fraction": [0.5, 0.8], "step": steps, "learning_rate": [1e-2, 5e-3][: cells.shape[1]],
            "time": [50.0, 100.0, 200.0],
        },
    )  # fmt: skip


NEVER = float("nan")


def test_less_data_later() -> None:
    check = data_and_decay_checks.less_data_later
    rows = [[200.0, 400.0, 800.0]]
    assert check(planted(rows)).value == 5
    assert check(planted(rows, by_fraction=(NEVER, 100.0))).holds, "not yet is later"
    assert not check(planted(rows, by_fraction=(200.0, 100.0))).holds, "a factor of exactly two is not more"
    assert not check(planted(rows, by_fraction=(NEVER, NEVER))).holds
    late = planted(rows)
    late["train_accuracy"] = late.train_accuracy.where((late.fraction > 0.6) | (late.step >= 500), 0.0)
    assert not check(late).holds, "memorizing must not be what waits"


def test_exponents_by_hand() -> None:
    record = planted([[200.0, 400.0, 800.0], [150.0, 150.0, NEVER]])
    found = data_and_decay_checks.exponents(record.generalized, record.time)
    assert found[1e-2] == pytest.approx((1.0, 1.0, 1.0))
    assert all(np.isnan(found[5e-3])), "a censored run gives no exponent"
    assert data_and_decay_checks.decay_sets_the_time(record).holds
    assert not data_and_decay_checks.decay_sets_the_time(planted([[200.0, 250.0, 300.0]])).holds
    assert not data_and_decay_checks.decay_sets_the_time(planted([[200.0, 400.0, NEVER]])).holds


def test_product_and_its_yardstick() -> None:
    record = planted([[200.0, 400.0, 800.0], [NEVER, 340.0, 460.0]])
    check = data_and_decay_checks.product_is_not_all
    assert check(record).value == pytest.approx(0.575)
    assert not check(planted([[200.0, 400.0, 800.0], [200.0, 400.0, 700.0]])).holds
    assert not check(planted([[200.0, 400.0, 800.0], [200.0, 400.0, NEVER]])).holds
    assert not check(planted([[200.0, 400.0, 800.0]])).holds, "one rate cannot be judged"
    drawn = data_and_decay_checks.another_seed(record)
    assert check(drawn).value == 1
    assert data_and_decay_checks.memorizes(drawn).holds


def test_too_little_data_and_counts() -> None:
    record = planted([[200.0, 400.0, 800.0]], by_fraction=(NEVER, 100.0))
    check = data_and_decay_checks.too_little_data
    assert check(record).holds
    assert not check(data_and_decay_checks.only_the_most(record)).holds
    assert not check(record.assign(train_accuracy=record.train_accuracy * 0.5)).holds, "an unlearned set is no evidence"
    assert data_and_decay_checks.lowest_fraction(record, every=True) == 0.8
    assert np.isnan(
        data_and_decay_checks.lowest_fraction(planted([[1.0, 1.0, 1.0]], by_fraction=(NEVER, NEVER)), every=False)
    )
    some = record.generalized.isel(learning_rate=0, time=0).copy(data=[100.0, NEVER, NEVER])
    assert data_and_decay_checks.median_counting_never(some) == np.inf


def test_manipulations_can_fail() -> None:
    nothing = planted([[NEVER] * 3], by_fraction=(NEVER, NEVER))
    assert data_and_decay_checks.memorizes_and_knows_nothing(nothing).holds
    assert data_and_decay_checks.memorizes_without_generalizing(nothing).holds
    for check in (
        data_and_decay_checks.memorizes_and_knows_nothing, data_and_decay_checks.memorizes_without_generalizing,
    ):  # fmt: skip
        assert not check(planted([[200.0, 400.0, 800.0]])).holds
        assert not check(nothing.assign(end_train=nothing.end_train * 0.9)).holds
    assert not data_and_decay_checks.memorizes(nothing.assign(end_train=nothing.end_train * 0.9)).holds


def test_censored_runs_are_drawn_open_at_the_end_of_training() -> None:
    record = planted([[200.0, 400.0, 800.0]], by_fraction=(NEVER, 100.0))
    record["budget"] = ("time", [450, 900, 1800])
    axes = data_and_decay.plot(record)
    open_marks = [line for line in axes.lines if line.get_marker() == "^" and len(line.get_xdata())]
    assert [line.get_ydata()[0] for line in open_marks] == [1000.0] * 3
    assert [line.get_xdata()[0] for line in open_marks] == pytest.approx([0.494, 0.5, 0.506])
    plt.close(axes.get_figure(root=True))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 12), ("train_fraction", None), ("fractions", (0.5,)), ("fractions", (0.8, 0.5)), ("base_time", 30.0),
        ("learning_rates", (1e-2, 1e-2)), ("learning_rates", (0.0,)), ("decay_factor", -1.0), ("decay_factor", 21.0),
        ("decay_times", (0.5, 40.0)), ("lifetimes", 0.0), ("random_share", 1.5), ("num_probes", 1), ("num_seeds", 0),
        ("hidden_size", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    named = "decay_times" if field == "decay_factor" and value == 21.0 else field
    changed = {"base_fraction": 1.0} if field == "train_fraction" else {field: value}
    with pytest.raises(ValueError, match=named):
        replace(data_and_decay.SMOKE, **changed)  # type: ignore[arg-type]
