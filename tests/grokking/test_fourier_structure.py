"""What was learned: measures and cuts against hand-made networks, and records that must fail the claims."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.devices import generator
from heldout.grokking import closed_form, fourier_structure, surgery
from heldout.grokking import fourier_structure_checks as checks
from heldout.grokking.modular import all_pairs
from heldout.grokking.pair_networks import PairMLP, PairTransformer

P = 11


def transformer(seed: int = 0) -> PairTransformer:
    start = generator("test", seed)
    return PairTransformer(P, generator=start, model_size=8, hidden_size=6, dtype=torch.float64)


def test_tuning_against_least_squares() -> None:
    inputs = torch.randn(P, P, 3, generator=generator("inputs"), dtype=torch.float64)
    angle = 2 * np.pi * np.arange(P) / P
    found = surgery.tuning(inputs)
    for k in range(1, (P - 1) // 2 + 1):
        waves = [np.ones(P), np.cos(k * angle), np.sin(k * angle)]
        design = np.stack([np.outer(x, y).ravel() for x in waves for y in waves], 1)
        for unit in range(3):
            values = inputs[..., unit].numpy().ravel()
            fit = design @ np.linalg.lstsq(design, values, rcond=None)[0]
            assert float(found[k - 1, unit]) == pytest.approx(1 - (values - fit).var() / values.var())
    assert float(found.sum(0).max()) < 1


def test_unit_inputs_are_what_the_activation_gets() -> None:
    mlp = PairMLP(P, 6, generator=generator("mlp"), dtype=torch.float64)
    pairs = all_pairs(P)
    torch.testing.assert_close(surgery.unit_inputs(mlp, P).square().flatten(0, 1), mlp.hidden(pairs))
    net = transformer()
    torch.testing.assert_close(surgery.unit_inputs(net, P).relu().flatten(0, 1), net.hidden(pairs))


def test_a_cut_takes_away_the_named_frequencies_and_nothing_else() -> None:
    angle = 2 * np.pi * torch.arange(P, dtype=torch.float64) / P
    mlp = PairMLP(P, 2, generator=generator("mlp"), dtype=torch.float64)
    first, second = 3 + 2 * torch.cos(angle + 0.3) + torch.sin(4 * angle), torch.cos(5 * angle)
    with torch.no_grad():
        for name in surgery.TABLES[PairMLP]:
            getattr(mlp, name).copy_(torch.stack([first, second], 1))
    keys = surgery.strongest(surgery.spectra(mlp, P), 1)
    assert keys.nonzero().tolist() == [[0, 0], [4, 1]]
    only, without = surgery.cut(mlp, P, keys), surgery.cut(mlp, P, ~keys)
    torch.testing.assert_close(only["left"], torch.stack([3 + 2 * torch.cos(angle + 0.3), second], 1))
    torch.testing.assert_close(without["unembed"], torch.stack([3 + torch.sin(4 * angle), 0 * angle], 1))
    assert float(surgery.tuning(surgery.unit_inputs(mlp, P))[0, 0]) == pytest.approx(0.8)


def test_a_cut_spares_the_last_token_and_keeping_all_changes_nothing() -> None:
    net = transformer()
    everything = torch.ones((P - 1) // 2, 1, dtype=torch.bool)
    torch.testing.assert_close(surgery.cut(net, P, everything)["embed"], net.embed.detach())
    nothing = surgery.cut(net, P, ~everything)["embed"]
    torch.testing.assert_close(nothing[-1], net.embed.detach()[-1])
    torch.testing.assert_close(nothing[:-1], net.embed.detach()[:-1].mean(0).expand(P, -1))


def test_operate_leaves_the_network_whole_and_reads_waves() -> None:
    made = closed_form.network(P, 200, "added", seed=0)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    pairs = all_pairs(P)
    found = surgery.operate(made, P, 1, [(pairs, pairs.sum(1) % P)])
    assert found[:, 0].tolist() == pytest.approx([1, 1, found[2, 0], 1])
    assert found[2, 0] < 0.3
    assert all(torch.equal(before[name], value) for name, value in made.state_dict().items())


def test_alignment_of_networks_written_down() -> None:
    assert surgery.alignment(closed_form.network(P, 50, "added", 0), P) == pytest.approx(1, abs=1e-5)
    assert abs(surgery.alignment(closed_form.network(P, 800, "drawn apart", 0), P)) < 0.1


def test_look_against_plain_sums() -> None:
    mlp = PairMLP(P, 6, generator=generator("mlp"), dtype=torch.float64)
    found = surgery.look(mlp, P)
    tables = torch.cat([mlp.left, mlp.right], 1).detach().numpy()
    seen = (np.abs(np.fft.rfft(tables, axis=0)) ** 2).sum(1)[1:]
    np.testing.assert_allclose(found["power"], seen / seen.sum())
    spread = np.abs(np.subtract.outer(seen, seen)).mean() / (2 * seen.mean())
    assert found["gini"] == pytest.approx(spread)
    assert np.isnan(surgery.look(transformer(), P)["aligned"])


def test_run_is_ordered_and_its_arms_start_alike() -> None:
    result = fourier_structure.run(fourier_structure.SMOKE)
    before = result.sel(when="before")
    np.testing.assert_array_equal(before.gini.sel(arm="MLP"), before.gini.sel(arm="MLP, no decay"))
    np.testing.assert_allclose(result.power.sum("frequency"), 1)
    assert float(result.accuracy.min()) >= 0
    assert float(result.accuracy.max()) <= 1


def test_frequencies_holding_counts_the_strongest() -> None:
    power = xr.DataArray([[0.5, 0.1, 0.4], [0.3, 0.3, 0.4]], dims=("seed", "frequency"))
    assert checks.frequencies_holding(power, 0.85).values.tolist() == [2, 3]


def planted() -> xr.Dataset:
    """Two equal seeds in which every claim holds."""
    accuracy = np.array(
        [
            [[1, 1], [1, 0.99], [0.1, 0.02], [1, 1]],
            [[1, 0.02], [0.98, 0.97], [0.6, 0.01], [1, 0.03]],
            [[1, 1], [1, 0.98], [0.1, 0.05], [1, 0.99]],
            [[1, 0.2], [0.2, 0.1], [0.2, 0.05], [0.5, 0.1]],
        ]
    )
    tuned, gini = np.array([0.9, 0.2, 0.95, 0.2]), np.array([0.1, 0.1, 0.85, 0.2])
    aligned = np.array([0.99, 0.95, np.nan, np.nan])
    both = {name: np.stack([np.zeros(4), values], -1)[None].repeat(2, 0) for name, values in
            (("tuned", tuned), ("gini", gini), ("aligned", aligned))}  # fmt: skip
    return xr.Dataset(
        {name: (("seed", "arm", "when"), values) for name, values in both.items()}
        | {"accuracy": (("seed", "arm", "cut", "pairs"), accuracy[None].repeat(2, 0))},
        {
            "seed": [0, 1],
            "arm": list(fourier_structure.ARMS),
            "when": ["before", "after"],
            "cut": list(fourier_structure.CUTS),
            "pairs": ["training", "held-out"],
        },
    )


def test_checks_hold_on_a_planted_record_and_their_controls_fail() -> None:
    for claim in fourier_structure.CLAIMS:
        assert claim.check(planted()).holds, claim.id
        if claim.control.change:
            changed = claim.control.change(planted())
            assert not claim.check(changed).holds, claim.id
            assert claim.control.manipulation(changed).holds, claim.id


@pytest.mark.parametrize(
    ("check", "name", "where", "value"),
    [
        (checks.units_are_tuned, "tuned", {"arm": "transformer", "when": "after"}, 0.7),
        (checks.few_frequencies, "gini", {"arm": "transformer", "when": "after"}, 0.5),
        (checks.phases_add, "aligned", {"arm": "MLP, no decay", "when": "after"}, 0.3),
        (checks.keys_carry_it, "accuracy", {"arm": "MLP", "cut": "without keys"}, 0.4),
        (checks.keys_carry_it, "accuracy", {"arm": "transformer", "cut": "without others"}, 0.5),
        (checks.keys_suffice, "accuracy", {"arm": "MLP", "cut": "only keys"}, 0.9),
        (checks.memorizer_holds_it, "accuracy", {"arm": "MLP, no decay", "cut": "only keys"}, 0.5),
        (checks.memorizer_holds_it, "accuracy", {"arm": "MLP, no decay", "cut": "whole"}, 0.95),
    ],
)
def test_checks_fail_on_planted_records(check, name, where, value) -> None:  # type: ignore[no-untyped-def]
    record = planted()
    record[name].loc[where] = value
    assert not check(record).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 22), ("train_fraction", 1.0), ("arms", ()), ("arms", ("MLP", "LSTM")), ("random_share", 2.0),
        ("mlp_decay", 1000.0), ("num_keys", 0), ("num_keys", 6), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="weight_decay" if field == "mlp_decay" else field):
        replace(fourier_structure.SMOKE, **{field: value})
