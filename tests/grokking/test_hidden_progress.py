"""Projections by hand, what each null keeps and loses, the vote's formula against simulation, claims against planted records."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.experiment import silent
from heldout.grokking import hidden_progress, progress_tables
from heldout.grokking import hidden_progress_checks as checks
from heldout.grokking.hidden_progress_measures import CUTS, FILTERS, TABLES, VOTES
from heldout.grokking.modular import all_pairs
from heldout.grokking.progress_runs import trained

P = 11
PAIRS = all_pairs(P)
SUMS = PAIRS.sum(1) % P


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clock(frequency: int, phase: torch.Tensor) -> torch.Tensor:
    """Logits cos(w (phase - c))."""
    return torch.cos(2 * math.pi * frequency / P * (phase.unsqueeze(1) - torch.arange(P)))


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return hidden_progress.run(hidden_progress.SMOKE)


def test_restricted_is_the_projection_on_two_waves_of_the_pairs() -> None:
    table = torch.randn(P * P, P, generator=drawn())
    kept = progress_tables.restricted(table, SUMS, torch.tensor([2, 5]))
    waves = [torch.ones(P * P)]
    for k in (2, 5):
        angle = 2 * math.pi * k / P * SUMS
        waves += [angle.cos(), angle.sin()]
    basis = torch.stack([wave / wave.norm() for wave in waves])
    torch.testing.assert_close(kept, basis.T @ (basis @ table), atol=1e-5, rtol=1e-5)


def test_a_clock_is_kept_whole_and_a_clock_of_another_key_or_frequency_is_not() -> None:
    table = clock(3, SUMS)
    torch.testing.assert_close(progress_tables.restricted(table, SUMS, torch.tensor([3])), table, atol=1e-5, rtol=0)
    torch.testing.assert_close(progress_tables.filtered(table, torch.tensor([3])), table, atol=1e-5, rtol=0)
    differences = (PAIRS[:, 0] - PAIRS[:, 1]) % P
    assert progress_tables.restricted(table, differences, torch.tensor([3])).abs().max() < 1e-5
    assert progress_tables.filtered(table, torch.tensor([2])).abs().max() < 1e-5


def test_a_row_is_filtered_without_the_others() -> None:
    table = torch.randn(P * P, P, generator=drawn())
    keys = torch.tensor([1, 4])
    torch.testing.assert_close(progress_tables.filtered(table, keys)[7:8], progress_tables.filtered(table[7:8], keys))


def test_scattering_keeps_every_loss_and_loses_the_clock() -> None:
    table = clock(3, SUMS) + 0.1 * torch.randn(P * P, P, generator=drawn())
    order = progress_tables.scattering(SUMS, P, drawn(1))
    null = progress_tables.scattered(table, order)
    assert torch.equal(order.sort(1).values, torch.arange(P).expand(P * P, P))
    torch.testing.assert_close(null.sort(1).values, table.sort(1).values)
    for temperature in (0.3, 1.0, 4.0):
        losses = [functional.cross_entropy(rows / temperature, SUMS, reduction="none") for rows in (null, table)]
        torch.testing.assert_close(*losses)
    explained = [progress_tables.filtered(rows, torch.tensor([3])).square().sum() for rows in (null, table)]
    assert explained[0] < 0.5 * explained[1]


def test_calibrated_loss_against_a_fine_grid() -> None:
    for scale, answered in ((0.1, 0.2), (1.0, 0.5), (30.0, 0.9)):
        told = torch.where(torch.rand(P * P, generator=drawn(2)) < answered, SUMS, (SUMS + 3) % P)
        table = scale * (functional.one_hot(told, P) + 0.3 * torch.randn(P * P, P, generator=drawn(3)))
        grid = min(float(functional.cross_entropy(table * s, SUMS)) for s in np.geomspace(1e-3, 1e3, 2000))
        assert float(progress_tables.calibrated_loss(table, SUMS)) == pytest.approx(grid, abs=2e-3)
    against = -functional.one_hot(SUMS, P).float()
    assert float(progress_tables.calibrated_loss(against, SUMS)) == pytest.approx(math.log(P), abs=1e-3)


def test_strong_frequencies_by_hand() -> None:
    assert progress_tables.strong_frequencies(torch.tensor([1.0, 9.0, 1.0, 1.0]), 2.0).tolist() == [2]
    assert progress_tables.strong_frequencies(torch.tensor([1.0, 1.1, 1.0]), 2.0).tolist() == [2]


def test_independent_answers_keep_the_accuracy() -> None:
    answers = torch.where(torch.rand(P * P, generator=drawn()) < 0.4, SUMS, (SUMS + 1) % P)
    given, independent = progress_tables.one_answer(answers, SUMS, P, drawn(1))
    assert torch.equal(given.argmax(1), answers)
    assert torch.equal(independent.argmax(1) == SUMS, answers == SUMS)
    assert len(set(((independent.argmax(1) - SUMS) % P).tolist())) == P


@pytest.mark.parametrize(("accuracy", "voters", "modulus"), [(0.3, 12, 7), (0.15, 20, 59), (1.0, 3, 5), (0.0, 4, 5)])
def test_the_formula_of_the_vote_against_simulation(accuracy: float, voters: int, modulus: int) -> None:
    random = np.random.default_rng(0)
    right = random.random((20_000, voters)) < accuracy
    votes = np.where(right, 0, random.integers(1, modulus, right.shape))
    counts = np.stack([(votes == answer).sum(1) for answer in range(modulus)], 1)
    wins = (counts[:, :1] > counts[:, 1:]).all(1).mean()
    assert checks.vote_win(accuracy, voters, modulus) == pytest.approx(wins, abs=0.012)


def test_new_pairs_are_held_out_with_their_mirror_image(record: xr.Dataset) -> None:
    config = replace(hidden_progress.SMOKE, steps=10, probe_every=10)
    networks = trained(config, torch.device("cpu"), silent)
    held = networks.held_out[0].view(config.modulus, config.modulus)
    assert int((~held).sum()) == int(config.train_fraction * config.modulus**2)
    assert float(record.voters[0]) == pytest.approx(float((held & held.T).sum()) / config.modulus)


def test_the_kept_weights_give_the_curves_of_training(record: xr.Dataset) -> None:
    config = replace(hidden_progress.SMOKE, steps=40, num_seeds=1)
    networks = trained(config, torch.device("cpu"), silent)
    *_, last = networks.looks(0)
    held = networks.held_out[0]
    for rows, which in ((held, "test"), (~held, "train")):
        mine = functional.cross_entropy(last.logits[rows], networks.sums[rows])
        assert float(mine) == pytest.approx(float(record[f"{which}_loss"].sel(seed=0, step=40)), rel=1e-3)


def test_the_record_is_consistent(record: xr.Dataset) -> None:
    assert ((record.calibrated_loss <= record.new_loss + 1e-4) & (record.calibrated_loss <= math.log(29) + 1e-4)).all()
    overall = record.new_accuracy * record.voters * 29
    held = 29**2 - int(0.65 * 29**2)
    assert (overall <= record.test_accuracy * held + 0.5).all()


def planted(**changed: list[float]) -> xr.Dataset:
    """Two seeds whose curves fall from log P to 0 around steps that can be moved; every claim holds."""
    steps = np.arange(0, 100, 10)

    def falls(at: float) -> np.ndarray:
        return math.log(59) * np.clip((at + 10 - steps) / 20, 0, 1)

    at = {
        "test_loss": [60], "new_loss": [70], "calibrated_loss": [65], "restricted_loss": [35, 35, 36, 60, 900],
        "new_restricted_loss": [50, 48, 900, 900, 900], "filtered_loss": [50, 900, 900],
    } | changed  # fmt: skip
    share = np.linspace(0, 1, len(steps))
    dims = {"restricted_loss": "table", "new_restricted_loss": "table", "filtered_loss": "filter"}
    data: dict[str, object] = {}
    for name, when in at.items():
        values = np.stack([falls(moment) for moment in when], -1)
        values = values if name in dims else values[:, 0]
        data[name] = (("seed", "step", *([dims[name]] if name in dims else [])), np.stack([values] * 2))
    data["new_accuracy"] = data["train_accuracy"] = (("seed", "step"), np.stack([share] * 2))
    votes = np.stack([share, np.clip(5 * share, 0, 1), share, np.clip(3 * share, 0, 1)], -1)
    data["vote_accuracy"] = (("seed", "step", "votes"), np.stack([votes] * 2))
    data["rescued"] = (("seed", "step", "filter"), np.broadcast_to([0.4, 0.05, 0.02], (2, len(steps), 3)))
    data["excluded_loss"] = (("seed", "step", "cut"), np.broadcast_to([5.0, 0.1], (2, len(steps), 2)))
    data["train_loss"] = (("seed", "step"), np.zeros((2, len(steps))))
    coordinates = {
        "cut": list(CUTS),
        "step": steps,
        "table": list(TABLES),
        "votes": list(VOTES),
        "filter": list(FILTERS),
    }
    return xr.Dataset(data, coordinates, {"modulus": 59})


def test_crossing_by_hand() -> None:
    np.testing.assert_allclose(checks.crossing(planted(), planted().test_loss), 60)
    np.testing.assert_allclose(checks.lead(planted(), "network"), 25)
    np.testing.assert_allclose(checks.lead(planted(), "permuted"), 0)
    np.testing.assert_allclose(checks.alone_lead(planted(), "calibrated_loss"), 15)
    assert float(checks.crossing(planted(), planted(test_loss=[900]).test_loss)[0]) == 90, "never is the last step"
    np.testing.assert_allclose(checks.judged(planted()), 70)


def test_each_check_fails_on_a_record_made_to_fail_it() -> None:
    fine = planted()
    assert all(claim.check(fine).holds for claim in hidden_progress.CLAIMS)
    assert not checks.excluded_rises(fine.assign(excluded_loss=fine.excluded_loss * 0.3)).holds
    assert not checks.restricted_leads(planted(test_loss=[40])).holds
    assert not checks.mostly_not_new(planted(restricted_loss=[35, 35, 50, 60, 900])).holds
    assert not checks.scattered_falls_as_well(planted(restricted_loss=[35, 45, 50, 60, 900])).holds
    assert not checks.votes_without_circuit(checks.own_answers(fine)).holds
    assert not checks.separates(fine.assign(rescued=fine.rescued * 0 + 0.4)).holds
    assert not checks.separates(fine.assign(rescued=fine.rescued * 0.2)).holds
    assert not checks.alone_leads(planted(filtered_loss=[75, 900, 900])).holds
    assert not checks.alone_leads_calibrated(planted(filtered_loss=[66, 900, 900])).holds


def test_controls_that_change_the_record_break_the_planted_claims() -> None:
    for claim in hidden_progress.CLAIMS:
        if claim.control.change is not None:
            assert not claim.check(claim.control.change(planted())).holds, claim.id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 58), ("modulus", 57), ("train_fraction", 0.0), ("train_fraction", 1.0), ("weight_decay", 101.0),
        ("random_share", 1.5), ("model_size", 10), ("hidden_size", 0), ("steps", 0), ("probe_every", 7), ("key_power", 0.5),
        ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        replace(hidden_progress.BOOK, **{field: value})
