"""Order and time: one arm against a plain loop, the measures by hand, planted records that make each check fail."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn.functional import binary_cross_entropy_with_logits

from heldout.devices import generator, numpy_generator
from heldout.quanta import emergence_order, emergence_order_checks
from heldout.quanta.explore.order_and_time import arms, question
from heldout.quanta.parity import online, random_tasks, zipf
from heldout.quanta.parity_networks import ParityMLP

ARMS = ("zipf", "permuted", "equal", "mixed", "small batch")


def test_the_zipf_arm_against_a_plain_loop() -> None:
    config = replace(
        emergence_order.SMOKE, num_seeds=1, steps=120, permuted_steps=20, equal_steps=20, mixed_steps=20, small_steps=20
    )
    record = emergence_order.run(config, device="cpu")
    tasks = random_tasks(0, 6, 8, 3, zipf(6, 0.5))
    network = ParityMLP(6, 8, 48, generator=generator("emergence order", 0))
    source, adam = online(tasks, 200, "emergence order", 0), torch.optim.Adam(network.parameters(), lr=1e-2)
    asked = tasks.balanced(100, numpy_generator("held out", 0))
    looks = {round(10 * 12 ** (i / 39)) for i in range(40)}
    found, sure = np.full(6, np.inf), np.full(6, np.inf)
    for step in range(121):
        if step in looks:
            with torch.no_grad():
                logits = network(asked.task, asked.bits)
            loss = binary_cross_entropy_with_logits(logits, asked.label, reduction="none").view(6, 100).mean(1)
            right = ((logits > 0) == (asked.label > 0.5)).view(6, 100).float().mean(1)
            found = np.where((loss.numpy() <= np.log(2) / 2) & np.isinf(found), step, found)
            sure = np.where((right.numpy() >= 0.95) & np.isinf(sure), step, sure)
        batch = next(source)
        adam.zero_grad()
        binary_cross_entropy_with_logits(network(batch.task, batch.bits), batch.label).backward()
        adam.step()
    assert np.isfinite(found).any()
    np.testing.assert_array_equal(record.time.sel(arm="zipf").values[0], found)
    np.testing.assert_array_equal(record.sure_time.sel(arm="zipf").values[0], sure)


def test_arms_differ_in_one_thing_each() -> None:
    record = emergence_order.run(
        replace(emergence_order.SMOKE, steps=12, permuted_steps=12, equal_steps=12, mixed_steps=12, small_steps=12),
        device="cpu",
    )
    shares = record.frequency
    np.testing.assert_allclose(np.sort(shares.sel(arm="permuted")), np.sort(shares.sel(arm="zipf")))
    assert not np.array_equal(shares.sel(arm="permuted"), shares.sel(arm="zipf"))
    np.testing.assert_allclose(shares.sel(arm="equal")[0], [1 / 3] * 3 + [0] * 3)
    np.testing.assert_allclose(shares.sum("task"), 1)
    assert set(record.bits.sel(arm="mixed").values.ravel()) == {2, 3, 4}
    assert (record.bits.drop_sel(arm="mixed") == 3).all()
    assert record.batch.values.tolist() == [200, 200, 200, 200, 40]


def planted(
    *, slope: float = 1.5, batch: float = 0.5, three: float = 2.0, four: float = 3.0, by: str = "frequency"
) -> xr.Dataset:
    """Three seeds, eight tasks; times as stated, by frequency or by the task's number."""
    rank = np.arange(1, 9)
    falling = zipf(8, 0.5)
    orders = np.array([[3, 1, 4, 0, 6, 2, 7, 5], [6, 7, 0, 5, 4, 3, 2, 1], [1, 5, 2, 7, 0, 3, 6, 4]])
    base = 50.0 * rank**slope
    bits = np.array([[(2, 3, 4)[(task + seed) % 3] for task in range(8)] for seed in range(3)])
    equal = np.where(rank <= 6, 300.0 + 10 * np.array([2, 5, 1, 4, 0, 3, 0, 0]), np.inf)
    equals = np.stack(
        [equal, np.roll(equal[:6], 2).tolist() + [np.inf] * 2, np.roll(equal[:6], 4).tolist() + [np.inf] * 2]
    )
    time = {
        "zipf": np.stack([base] * 3),
        "permuted": base[orders] if by == "frequency" else np.stack([base] * 3),
        "equal": equals,
        "mixed": base * np.select([bits == 2, bits == 3], [1.0, three], three * four),
        "small batch": np.stack([base * 10**batch] * 3),
    }
    frequency = {arm: np.stack([falling] * 3) for arm in ARMS} | {"permuted": falling[orders]}
    frequency["equal"] = np.where(np.isfinite(equals), 1 / 6, 0.0)
    dims = ("arm", "seed", "task")
    all_bits = np.stack([bits if arm == "mixed" else np.full_like(bits, 3) for arm in ARMS])
    return xr.Dataset(
        {
            "time": (dims, np.stack([time[arm] for arm in ARMS])),
            "sure_time": (dims, np.stack([1.2 * time[arm] for arm in ARMS])),
            "frequency": (dims, np.stack([frequency[arm] for arm in ARMS])),
            "bits": (dims, all_bits),
            "budget": ("arm", [2000] * 5),
            "batch": ("arm", [1000, 1000, 1000, 1000, 100]),
        },
        {"arm": list(ARMS), "seed": [0, 1, 2], "task": rank},
        {"alpha": 0.5},
    )


def test_measures_on_a_planted_record() -> None:
    record = planted()
    assert emergence_order_checks.rank_correlation(record, "permuted") == pytest.approx([1, 1, 1])
    assert emergence_order_checks.slopes(record) == pytest.approx([1.5] * 3)
    assert emergence_order_checks.batch_exponents(record) == pytest.approx(np.full((3, 8), 0.5))
    assert emergence_order_checks.factors(record) == pytest.approx(np.array([[2.0, 3.0]] * 8))
    own = emergence_order_checks.own_samples(record)
    assert own == pytest.approx(np.full((3, 8), own[0, 0]))
    for claim in emergence_order.CLAIMS:
        assert claim.check(record).holds, claim.id
        changed = claim.control.change(record)  # type: ignore[misc]
        assert not claim.check(changed).holds, claim.id
        assert claim.control.manipulation(changed).holds, claim.id


def test_each_check_fails_where_it_should() -> None:
    by_number = planted(by="number")
    assert not emergence_order_checks.order_follows_frequency(by_number).holds
    assert emergence_order_checks.against_number(by_number) == pytest.approx([0, 0, 0])
    assert not emergence_order_checks.slope_is_alpha_plus_one(planted(slope=1.7)).holds
    assert not emergence_order_checks.harder_is_later(planted(four=1.0)).holds


def test_what_is_not_learned_counts_as_later_in_pairs_and_ends_the_prefix() -> None:
    record = planted()
    record["time"].loc[{"arm": "zipf", "seed": 1, "task": 5}] = np.inf
    assert emergence_order_checks.prefix(record) == 4
    assert emergence_order_checks.slopes(record) == pytest.approx([1.5] * 3)
    record["time"].loc[{"arm": "permuted"}] = record.time.sel(arm="permuted").where(lambda t: t < 300, np.inf)
    assert emergence_order_checks.against_number(record) == pytest.approx([1, 1, 1])


def test_number_matters_at_fixed_frequency_only_where_it_was_planted() -> None:
    record = planted()
    record["time"].loc[{"arm": "permuted"}] = record.time.sel(arm="permuted") * 10 ** (record.task / 4)
    assert emergence_order_checks.partial_correlation(record) > 0.5


def test_manipulation_checks_can_fail() -> None:
    record = planted()
    record["time"] = xr.full_like(record.time, np.inf)
    for claim in emergence_order.CLAIMS:
        assert not claim.control.manipulation(record).holds, claim.id


def test_explorables_and_figures() -> None:
    record = planted()
    assert len(question(record)["data"]["truth"]["values"]) == 8
    assert arms(record)["data"]["series"][0]["values"].shape == (4, 8)
    plt.close(emergence_order.plot_bits(record).get_figure(root=True))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_tasks", 3), ("num_bits", 3), ("alpha", 0.0), ("subset", 9), ("equal_tasks", 1), ("equal_tasks", 7),
        ("width", 0), ("small_batch", 200), ("learning_rate", 0.0), ("first_look", 0), ("mixed_steps", 10), ("looks", 1),
        ("held_out", 5), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(emergence_order.SMOKE, **{field: value})
