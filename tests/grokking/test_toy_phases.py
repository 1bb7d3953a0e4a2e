"""The toy's geometry by hand, one run against a plain loop, and the four phases on planted curves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.ensemble import log_spaced_steps
from heldout.grokking import addition_toy, toy_phases, toy_phases_checks
from heldout.grokking.addition_toy import (
    counts,
    equations,
    ideal_accuracy,
    pairs,
    parallelograms,
    quadratic_form,
    rqi,
    task,
    toy,
)


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return toy_phases.run(toy_phases.SMOKE)


def test_pairs_and_parallelograms_of_four_numbers() -> None:
    assert pairs(4).tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 1], [1, 2], [1, 3], [2, 2], [2, 3], [3, 3]]
    assert counts(4)[4].tolist() == [0, 2, 0, 0]
    found = {tuple(map(tuple, pairs(4)[both].tolist())) for both in parallelograms(4)}
    assert found == {((0, 2), (1, 1)), ((0, 3), (1, 2)), ((1, 3), (2, 2))}
    assert sorted(map(tuple, equations(4).tolist())) == [(0, 1, -2, 1), (1, -2, 1, 0), (1, -1, -1, 1)]


def test_ten_numbers_have_as_many_parallelograms_as_the_reference_loop() -> None:
    """Every i < j <= k < l with i + l = j + k, counted in four loops."""
    loops = [
        (i, j, k, n)
        for i in range(10)
        for j in range(i + 1, 10)
        for k in range(j, 10)
        for n in range(k + 1, 10)
        if i + n == j + k
    ]
    assert len(parallelograms(10)) == len(loops)


def test_rqi_of_a_line_a_curve_and_a_shifted_line() -> None:
    line = torch.arange(10.0).unsqueeze(1)
    assert float(rqi(line)) == float(rqi(5 - 0.01 * line)) == 1
    assert float(rqi(line**3)) < 0.3
    assert rqi(torch.stack([line, line**3])).shape == (2,)


def test_ideal_accuracy_by_hand() -> None:
    """Of four numbers; held out are (0, 3), (1, 3) and (3, 3)."""
    held = [[0, 3], [1, 3], [3, 3]]
    chosen = torch.tensor([n for n, pair in enumerate(pairs(4).tolist()) if pair not in held])
    # Sum 3 has (1, 2), sum 4 has (2, 2), sum 6 has nothing else.
    assert ideal_accuracy(4, chosen, implied=False) == pytest.approx(2 / 3)
    # The training set's one parallelogram, (0, 2) and (1, 1), ties 0, 1 and 2 but never 3.
    assert ideal_accuracy(4, chosen) == 0
    form = quadratic_form(4, chosen)
    torch.testing.assert_close(form, torch.outer(*2 * [torch.tensor([1.0, -2, 1, 0], dtype=torch.float64)]))


def test_task_passes_over_splits_and_counts_them() -> None:
    refused = next(
        seed for seed in range(100) if task(10, 45, seed).passed_over != task(10, 45, seed, least_ideal=0.9).passed_over
    )
    kept = task(10, 45, refused, least_ideal=0.9)
    assert kept.passed_over > 0
    assert ideal_accuracy(10, kept.train) >= 0.9 > ideal_accuracy(10, task(10, 45, refused).train)
    assert sorted(task(10, 45, 3, shuffled=True).classes.tolist()) == sorted(task(10, 45, 3).classes.tolist())
    with pytest.raises(ValueError, match="least_ideal"):
        task(10, 1, 0, least_ideal=1.0)


def test_training_against_a_plain_loop_with_two_optimizers() -> None:
    """Two training sets of different sizes go in one ensemble; each ends as it does alone."""
    tasks, nets = [task(10, 20, 0), task(10, 45, 1)], [toy(10, 1, 8, 0), toy(10, 1, 8, 1)]
    rates, decay, steps = [(0.03, 0.002), (0.01, 0.005)], 0.5, 60
    history = addition_toy.train_toys(
        10, nets, tasks, steps=steps, probe_steps=[0, steps], embedding_rate=[a for a, _ in rates],
        decoder_rate=[b for _, b in rates], decoder_decay=decay, device=torch.device("cpu"),
    )  # fmt: skip
    for member, (net, one, (slow, fast)) in enumerate(zip(nets, tasks, rates, strict=True)):
        rules = [
            torch.optim.AdamW([net.embed], lr=slow, weight_decay=0.0),
            torch.optim.AdamW(net.decoder.parameters(), lr=fast, weight_decay=decay),
        ]
        for _ in range(steps):
            for rule in rules:
                rule.zero_grad()
            functional.mse_loss(net(counts(10)[one.train]), one.vectors[one.classes[one.train]]).backward()
            for rule in rules:
                rule.step()
        torch.testing.assert_close(history.states[member]["embed"], net.embed.detach(), atol=2e-5, rtol=1e-4)
        distances = (net(counts(10)).detach()[:, None] - one.vectors).square().sum(-1)
        right = distances.argmin(1) == one.classes
        assert history.values["train_accuracy"][-1, member] == pytest.approx(float(right[one.train].double().mean()))


def test_a_seed_starts_alike_in_every_cell(record: xr.Dataset) -> None:
    start = record.embedding.isel(step=0)
    assert float((start - start.isel(embedding_rate=0, decoder_rate=0)).max()) == 0
    assert record.step.values.tolist() == log_spaced_steps(toy_phases.SMOKE.steps, toy_phases.SMOKE.num_probes)


def planted(train_at: float, test_at: float) -> xr.Dataset:
    """One cell whose accuracies jump to 1 at the given updates; 0 stands for never."""
    steps = np.arange(0, 2001, 100)
    curves = {
        name: (("embedding_rate", "decoder_rate", "seed", "step"), (at > 0) * 1.0 * (steps >= at)[None, None, None])
        for name, at in (("train_accuracy", train_at), ("test_accuracy", test_at))
    }
    coordinates = {"embedding_rate": [0.01], "decoder_rate": [0.001], "seed": [0], "step": steps}
    return xr.Dataset(curves, coordinates, {"gap_steps": 400, "gap_ratio": 2.0})


@pytest.mark.parametrize(
    ("train_at", "test_at", "by_steps", "by_ratio"),
    [
        (100, 200, "comprehension", "comprehension"),
        (100, 300, "comprehension", "grokking"),
        (1000, 1500, "grokking", "comprehension"),
        (100, 1900, "grokking", "grokking"),
        (500, 0, "memorization", "memorization"),
        (0, 0, "confusion", "confusion"),
        (0, 500, "confusion", "confusion"),
    ],
)
def test_phases_of_planted_curves(train_at: float, test_at: float, by_steps: str, by_ratio: str) -> None:
    found = [
        toy_phases_checks.NAMES[toy_phases_checks.phases(planted(train_at, test_at), rule).item()]
        for rule in ("steps", "ratio")
    ]
    assert found == [by_steps, by_ratio]
    with pytest.raises(ValueError, match="rule"):
        toy_phases_checks.phases(planted(1, 1), "both")


def test_majority_needs_more_than_half() -> None:
    phase = xr.DataArray([[[0, 0, 1], [1, 2, 3]]], dims=("embedding_rate", "decoder_rate", "seed"))
    assert toy_phases_checks.majority(phase).tolist() == [[0, -1]]
    np.testing.assert_allclose(toy_phases_checks.agreement(phase), [[2 / 3, 1 / 3]])


def grid(rows: list[list[tuple[float, float]]]) -> xr.Dataset:
    """A record of one seed from the two updates of each cell; RQI ends at 1 where the held-out pairs are learned, else at 0.2."""
    cells = [[planted(*times) for times in row] for row in rows]
    joined = xr.concat(
        [
            xr.concat(
                [cell.assign_coords(decoder_rate=[0.001 * (n + 1)]) for n, cell in enumerate(row)], "decoder_rate"
            ).assign_coords(embedding_rate=[0.01 * (k + 1)])
            for k, row in enumerate(cells)
        ],
        "embedding_rate",
    )
    return joined.assign(rqi=joined.test_accuracy * 0.8 + 0.2)


def test_checks_on_planted_grids() -> None:
    never = 0
    good = grid([[(never, never), (500, never)], [(1000, 1500), (100, 100)]])
    assert toy_phases_checks.four_phases(good).holds
    assert toy_phases_checks.race(good).value == 1
    assert toy_phases_checks.embedding_first(good).holds
    assert toy_phases_checks.all_occur(good).value == 1
    assert not toy_phases_checks.all_occur(good).holds
    assert toy_phases_checks.all_occur(xr.concat([good.assign_coords(seed=[n]) for n in range(5)], "seed")).holds
    assert toy_phases_checks.seeds_with_all(toy_phases_checks.phases(good, "steps")) == 1
    assert toy_phases_checks.race(good).holds
    assert toy_phases_checks.short_delays(good).holds
    assert toy_phases_checks.structure(good).holds
    assert not toy_phases_checks.structure(toy_phases_checks.confused_for_general(good)).holds
    orderly = good.assign(
        rqi=good.rqi.where(toy_phases_checks.phases(good, "steps") != toy_phases_checks.CONFUSION, 1.0)
    )
    assert toy_phases_checks.structure(toy_phases_checks.confused_for_general(orderly)).holds
    without = grid([[(500, never), (500, never)], [(100, 300), (500, never)]])
    assert not toy_phases_checks.four_phases(without).holds
    assert not toy_phases_checks.race(without).holds
    assert not toy_phases_checks.short_delays(without).holds
    assert not toy_phases_checks.structure(without.assign(rqi=without.rqi * 0)).holds
    slow_ones_too = grid([[(100, 100), (500, never)], [(100, 100), (100, 100)]])
    assert not toy_phases_checks.race(slow_ones_too).holds
    assert not toy_phases_checks.embedding_first(grid([[(100, 100), (100, 300)]] * 2)).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("p", 3), ("num_train", 55), ("num_train", 0), ("embedding_dimension", 0), ("width", 0), ("embedding_rates", (0.1, 0.01)),
        ("decoder_rates", ()), ("decoder_decay", 1e4), ("least_ideal", 1.5), ("steps", 0), ("gap_steps", -1), ("gap_ratio", 0.5),
        ("num_probes", 1), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(toy_phases.SMOKE, **{field: value})
