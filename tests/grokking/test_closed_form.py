"""Weights from a formula: against the sums written out, and records that must fail the claims."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.grokking import closed_form
from heldout.grokking.modular import all_pairs

P = 7


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return closed_form.run(closed_form.SMOKE)


@pytest.mark.parametrize("phases", closed_form.PHASES)
def test_logits_against_cosines_written_out(phases: str) -> None:
    """The five terms of the proof, with phases read back from the tables."""
    tables = {name: table.double().numpy() for name, table in closed_form.weights(P, 5, phases, 3).items()}
    logits = closed_form.network(P, 5, phases, 3)(all_pairs(P)).detach().view(P, P, P).numpy()
    waves = {name: np.fft.rfft(table, axis=0) for name, table in tables.items()}
    ks = np.abs(waves["left"]).argmax(0)
    first, second, third = (np.angle(waves[name][ks, range(5)]) for name in ("left", "right", "unembed"))
    for a, b, c in itertools.product(range(P), repeat=3):
        x, y, z = (2 * np.pi * ks * n / P + turn for n, turn in ((a, first), (b, second), (c, third)))
        inner = 1 + np.cos(2 * x) / 2 + np.cos(2 * y) / 2 + np.cos(x - y)
        terms = np.cos(x + y - z) / 2 + np.cos(x + y + z) / 2 + inner * np.cos(z)
        assert logits[a, b, c] == pytest.approx(terms.sum(), abs=1e-5)


def test_phases_keep_their_rule_and_narrow_networks_are_part_of_wide_ones() -> None:
    wide, narrow = (closed_form.weights(P, width, "added", 5) for width in (40, 9))
    assert all(torch.equal(wide[name][:, :9], narrow[name]) for name in narrow)
    shared = closed_form.weights(P, 9, "added, shared", 5)
    assert torch.equal(shared["left"], shared["right"])
    assert torch.equal(shared["left"], narrow["left"])
    assert torch.equal(closed_form.weights(P, 9, "all zero", 5)["unembed"][0], torch.ones(9))
    apart = closed_form.weights(P, 9, "drawn apart", 5)
    assert torch.equal(apart["left"], narrow["left"])
    assert not torch.allclose(apart["unembed"], narrow["unembed"])


def test_noise_is_what_is_left_of_the_wave() -> None:
    tables = closed_form.weights(P, 6, "added", 2)
    made = closed_form.network(P, 6, "added", 2)
    ks = torch.fft.rfft(tables["left"], dim=0).abs().argmax(0).double()
    pairs = all_pairs(P)
    apart = pairs.sum(1)[:, None] - torch.arange(P)
    wave = torch.cos(2 * np.pi * apart[..., None] * ks / P).sum(-1) / 2
    with torch.no_grad():
        rest = float((made(pairs) - wave).square().mean().sqrt()) / 6
        accuracy, noise = closed_form._ask(made, P)
    assert noise == pytest.approx(rest, rel=1e-5)
    assert accuracy == float((made(pairs).argmax(1) == pairs.sum(1) % P).double().mean())


def test_mean_logits_over_many_phases_are_the_wave() -> None:
    """The theorem's expectation, by Monte Carlo over 200,000 units."""
    made = closed_form.network(P, 200_000, "added", 0)
    with torch.no_grad():
        logits = made(torch.tensor([[2, 6]]))[0] / 200_000
    wanted = torch.full((P,), -1 / (2 * (P - 1)))
    wanted[1] = 0.5
    torch.testing.assert_close(logits, wanted, atol=0.01, rtol=0)


def test_needed_width_must_last() -> None:
    values = np.array([[[0.5, 1.0, 0.9, 1.0], [1.0, 1.0, 1.0, 1.0], [0.1, 0.2, 0.3, 0.4]]])
    coords = {"seed": [0], "phases": ["a", "b", "c"], "width": [2, 4, 8, 16]}
    planted = xr.Dataset({"accuracy": (("seed", "phases", "width"), values)}, coords)
    assert closed_form.needed_width(planted).values.tolist() == [[16, 2, np.inf]]
    assert closed_form.sufficient_width(59) == pytest.approx(512 * np.log(59**3 * 100))


def test_claims_fail_on_planted_records(record: xr.Dataset) -> None:
    worse = record.copy(deep=True)
    worse.accuracy.loc[{"phases": "added", "width": 128}] = 0.99
    assert not closed_form.everything_right(worse).holds
    louder = record.copy(deep=True)
    louder.noise.loc[{"phases": "added"}] *= 2
    assert not closed_form.noise_as_derived(louder).holds
    mixed = record.copy(deep=True)
    mixed.tuned.loc[{"phases": "added"}] = 0.9
    assert not closed_form.still_waves(mixed).holds
    assert closed_form.everything_right(record).holds
    assert not closed_form.everything_right(closed_form.drawn_apart(record)).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [("modulus", 9), ("widths", (8,)), ("widths", (8, 4)), ("widths", (0, 4)), ("num_seeds", 0)],
)
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(closed_form.SMOKE, **{field: value})
