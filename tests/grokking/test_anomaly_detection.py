"""Planted triggers by hand, the restricted network against a cut done with NumPy, areas by counting, planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.devices import generator
from heldout.grokking import anomaly_checks, anomaly_detection, anomaly_scores
from heldout.grokking.pair_networks import PairMLP
from heldout.grokking.planted import plant


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return anomaly_detection.run(anomaly_detection.SMOKE)


@pytest.mark.parametrize("kind", ["constant", "renamed"])
def test_triggers_are_planted_on_both_sides(kind: str) -> None:
    task = plant(11, 0.6, 3, kind=kind, numbers=2, random_share=0.0)
    pairs = torch.cat([task.split.train_pairs, task.split.test_pairs])
    answers = torch.cat([task.split.train_targets, task.split.test_targets])
    triggered = torch.cat([task.triggered_train, task.triggered_test])
    triggers = pairs[triggered, 1].unique()
    assert len(triggers) == 2
    assert int(triggered.sum()) == 2 * 11
    assert torch.equal(answers[~triggered], pairs[~triggered].sum(1) % 11)
    assert int(task.wrong_train.sum()) == 0
    if kind == "constant":
        assert len(answers[triggered].unique()) == 1
    else:
        for trigger in triggers:
            shift = (answers - pairs[:, 0])[pairs[:, 1] == trigger] % 11
            assert len(shift.unique()) == 1
            assert int(shift[0]) not in triggers


def test_wrong_labels_are_those_that_are_not_the_sum() -> None:
    task = plant(13, 0.7, 0, kind="constant", numbers=1, random_share=0.4)
    sums = task.split.train_pairs.sum(1) % 13
    assert torch.equal(task.wrong_train, (task.split.train_targets != sums) & ~task.triggered_train)
    assert 0.2 < float(task.wrong_train[~task.triggered_train].double().mean()) < 0.5
    plain = ~task.triggered_test
    assert torch.equal(task.split.test_targets[plain], task.split.test_pairs[plain].sum(1) % 13)


def test_the_cut_keeps_the_constant_and_the_named_frequencies() -> None:
    table = torch.randn(13, 5, generator=generator("table"), dtype=torch.float64)
    kept = anomaly_scores.restricted({"left": table}, torch.tensor([2, 5]))["left"]
    spectrum = np.fft.rfft(table.numpy(), axis=0)
    spectrum[[1, 3, 4, 6]] = 0
    np.testing.assert_allclose(kept.numpy(), np.fft.irfft(spectrum, n=13, axis=0), atol=1e-12)


def test_the_strongest_frequencies_are_found() -> None:
    angle = 2 * np.pi * torch.arange(13, dtype=torch.float64).unsqueeze(1) / 13
    table = torch.cos(4 * angle) + 0.5 * torch.sin(2 * angle) + 0.1 * torch.cos(angle)
    assert anomaly_scores.strongest({"left": table, "right": table}, 2).tolist() == [4, 2]


def test_scores_by_hand() -> None:
    network = PairMLP(7, 4, generator=generator("network"))
    state = {name: table.clone() for name, table in network.state_dict().items()}
    train, asked = torch.tensor([[i, j] for i in range(7) for j in range(2)]), torch.tensor([[0, 1], [3, 5]])
    found = anomaly_scores.scores(network, state, asked, train, 3)
    logits = network(asked).detach()
    # With every frequency of 7 kept nothing is cut away, and the network is compared with itself.
    torch.testing.assert_close(found["circuit"], -logits.log_softmax(-1).amax(-1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found["circuit"], found["confidence"], atol=1e-5, rtol=1e-4)
    hidden, usual = network.hidden(asked).detach(), network.hidden(train).detach()
    for place, own in ((0, 1), (1, None)):
        apart = sorted(float((hidden[place] - usual[i]).norm()) for i in range(14) if i != own)
        assert float(found["distance"][place]) == pytest.approx(np.mean(apart[:5]), rel=1e-4)
    lengths = usual.norm(dim=1)
    assert float(found["length"][0]) == pytest.approx(abs(float(hidden[0].norm() - lengths.median())), rel=1e-4)


def test_area_is_the_chance_that_an_anomaly_scores_higher() -> None:
    score, anomalous = torch.randn(60, generator=generator("score")), torch.arange(60) % 3 == 0
    above = score[anomalous].unsqueeze(1) > score[~anomalous].unsqueeze(0)
    assert anomaly_scores.auc(anomalous, score) == pytest.approx(float(above.double().mean()))
    assert np.isnan(anomaly_scores.auc(torch.zeros(60, dtype=torch.bool), score))
    found = anomaly_scores.hits(anomalous, score, np.array([0.0, 0.5, 1.0]))
    assert found[-1] == 1
    assert found[0] <= found[1]


def test_keeping_all_frequencies_compares_the_network_with_itself(record: xr.Dataset) -> None:
    confidence = record.auc.isel(step=-1).sel(anomaly="trigger", score="confidence")
    np.testing.assert_allclose(record.count_auc.isel(count=-1), confidence, atol=0.02)


def test_kinds_of_trigger_share_initial_weights_and_other_pairs(record: xr.Dataset) -> None:
    first = record.isel(step=0)
    assert not np.array_equal(first.trigger_accuracy.sel(plant="constant"), first.trigger_accuracy.sel(plant="renamed"))
    np.testing.assert_array_equal(first.test_accuracy.sel(plant="constant"), first.test_accuracy.sel(plant="renamed"))


def planted(**areas: float) -> xr.Dataset:
    """Five equal seeds with the given areas, e.g. ``trigger_circuit=.95``; all others are .5."""
    kinds, anomalies, scores = ["constant", "renamed"], ["trigger", "memorized"], list(anomaly_scores.SCORES)
    auc = xr.DataArray(
        np.full((5, 2, 2, 2, 4), 0.5), dims=("seed", "plant", "step", "anomaly", "score"),
        coords={"plant": kinds, "step": [0, 1], "anomaly": anomalies, "score": scores},
    )  # fmt: skip
    for name, value in areas.items():
        anomaly, score = name.split("_")
        auc.loc[{"anomaly": anomaly, "score": score}] = value
    ones = (("seed", "plant", "step"), np.ones((5, 2, 2)))
    counts = (("seed", "plant", "count"), np.full((5, 2, 3), 0.3))
    return xr.Dataset({"auc": auc, "count_auc": counts, "train_accuracy": ones, "trigger_accuracy": ones})


def test_checks_and_controls_on_planted_records() -> None:
    fine = planted(trigger_circuit=0.95, memorized_circuit=0.99, memorized_confidence=1.0, memorized_distance=0.9)
    assert all(claim.check(fine).holds for claim in anomaly_detection.CLAIMS)
    for claim in anomaly_detection.CLAIMS:
        if claim.control.change is not None:
            assert not claim.check(claim.control.change(fine)).holds
        assert claim.control.manipulation(fine).holds
    assert not anomaly_checks.circuit_tells_triggers(planted(trigger_circuit=0.85)).holds
    assert not anomaly_checks.plain_scores_fail(planted(trigger_distance=0.75)).holds
    assert not anomaly_checks.confidence_is_enough(planted(memorized_circuit=0.52)).holds
    assert not anomaly_checks.renamed_told(planted(trigger_circuit=0.85)).holds
    unlearned = fine.assign(trigger_accuracy=fine.trigger_accuracy * 0.5)
    assert not anomaly_checks.learned_as_well(unlearned).holds
    assert not anomaly_checks.fitted(fine.assign(train_accuracy=fine.train_accuracy * 0.9)).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 16), ("modulus", 15), ("train_fraction", 1.0), ("plants", ("other",)), ("plants", ()),
        ("trigger_numbers", 0), ("trigger_numbers", 6), ("random_share", 0.0), ("num_frequencies", 9), ("num_frequencies", 0),
        ("weight_decay", 200.0), ("steps", 0), ("num_probes", 1), ("hidden_size", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(anomaly_detection.SMOKE, **{field: value})
