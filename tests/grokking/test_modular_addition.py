"""One run against a plain loop, planted records that make each check fail, and bad configs refused by name."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.grokking import delay, delay_checks, modular_addition, one_layer_transformer
from heldout.grokking.training import delay_ratio


def test_a_run_against_a_plain_loop() -> None:
    config = replace(modular_addition.SMOKE, steps=30, probe_every=10, num_seeds=1)
    record = modular_addition.run(config)
    net, pairs = modular_addition.member(config, 0), modular_addition.split_of(config, 0)
    rates = {"lr": config.learning_rate, "weight_decay": config.weight_decay, "betas": (0.9, 0.98)}
    adamw = torch.optim.AdamW(net.parameters(), **rates)
    for _ in range(config.steps):
        adamw.zero_grad()
        functional.cross_entropy(net(pairs.train_pairs), pairs.train_targets).backward()
        adamw.step()
    with torch.no_grad():
        logits = net(pairs.test_pairs)
    last = record.isel(seed=0, step=-1)
    assert float(last.test_loss) == pytest.approx(float(functional.cross_entropy(logits, pairs.test_targets)), rel=1e-4)
    norm = sum(float(p.detach().square().sum()) for p in net.parameters())
    assert float(last.squared_norm) == pytest.approx(norm, rel=1e-4)
    first, second = pairs.test_pairs.T.tolist()
    trained = set(map(tuple, pairs.train_pairs.tolist()))
    seen = torch.tensor([(b, a) in trained for a, b in zip(first, second, strict=True)])
    right = (logits.argmax(1) == pairs.test_targets).float()
    assert float(last.mirrored_accuracy) == pytest.approx(float(right[seen].mean()))
    assert float(last.unmirrored_accuracy) == pytest.approx(float(right[~seen].mean()))


def test_probes_are_dense_at_first() -> None:
    assert delay.probe_steps(300, 20) == [*range(0, 200, 2), *range(200, 301, 20)]
    assert delay.probe_steps(50, 4) == [*range(0, 40), 40, 44, 48, 50]
    assert delay.probe_steps(3, 100)[-1] == 3


STEPS = [0, 10, 20, 400]


def planted(train: list[float], test: list[float], *, mirrored: float = 0.6, loss: float = 0.01) -> xr.Dataset:
    """Two equal seeds with the given accuracies at four steps."""
    dims = ("seed", "step")
    two = xr.Dataset(
        {
            "train_accuracy": (dims, [train] * 2),
            "test_accuracy": (dims, [test] * 2),
            "test_loss": (dims, [[4.0, 7.0, 7.0, loss]] * 2),
            "mirrored_accuracy": (dims, [[0.0, mirrored, mirrored, 1.0]] * 2),
            "unmirrored_accuracy": (dims, [[0.0, 0.05, 0.05, 1.0]] * 2),
            "final": (("set", "seed"), [[train[-1]] * 2, [test[-1]] * 2]),
        },
        {"step": STEPS, "set": ["train", "test"]},
    )
    steps = [next((s for s, a in zip(STEPS, curve, strict=True) if a >= 0.99), np.nan) for curve in (train, test)]
    two["learned"] = (("set", "seed"), [[step] * 2 for step in steps])
    return two


FINE = planted([0.1, 1.0, 1.0, 1.0], [0.0, 0.05, 0.5, 1.0])


def test_checks_hold_on_a_planted_record() -> None:
    assert delay_ratio(FINE).values.tolist() == [40, 40]
    assert delay_checks.generalizes_late(FINE, times=10, share=0.9).holds
    assert delay_checks.ends_right(FINE, share=0.9).holds
    assert delay_checks.ends_sure(FINE, share=0.9).holds
    assert delay_checks.not_yet(FINE, below=0.1).holds
    assert delay_checks.mirror_first(FINE, above=0.3).holds
    assert delay_checks.memorizes(FINE).holds
    assert delay_checks.memorizes_soon(FINE).holds
    assert delay_checks.learns_both(FINE).holds


def test_checks_fail_on_planted_records() -> None:
    never = planted([0.1, 1.0, 1.0, 1.0], [0.0, 0.05, 0.5, 0.9], loss=2.0)
    soon = planted([0.1, 1.0, 1.0, 1.0], [0.0, 0.2, 1.0, 1.0])
    lost = planted([0.1, 1.0, 1.0, 1.0], [0.0, 0.05, 0.995, 0.9])
    for record in (never, soon, lost):
        assert not delay_checks.generalizes_late(record, times=10, share=0.9).holds
    assert not delay_checks.generalizes_late(lost, times=1.5, share=0.9).holds, "reached, and not kept"
    assert not delay_checks.ends_right(never, share=0.9).holds
    assert not delay_checks.ends_sure(never, share=0.9).holds
    assert not delay_checks.not_yet(soon, below=0.1).holds
    alike = planted([0.1, 1.0, 1.0, 1.0], [0.0, 0.05, 0.5, 1.0], mirrored=0.1)
    assert not delay_checks.mirror_first(alike, above=0.3).holds
    unfitted = planted([0.1, 0.5, 0.9, 0.9], [0.0, 0.05, 0.5, 1.0])
    assert not delay_checks.memorizes(unfitted).holds
    assert not delay_checks.memorizes_soon(unfitted).holds
    assert not delay_checks.memorizes_soon(planted([0.1, 0.5, 0.9, 1.0], [0.0, 0.05, 0.5, 1.0])).holds
    assert not delay_checks.learns_both(unfitted).holds
    assert not delay_checks.not_yet(unfitted, below=0.1).holds, "a seed that never memorizes does not count as kept"


def test_numbers_of_a_run_that_never_generalizes() -> None:
    record = modular_addition.run(replace(modular_addition.SMOKE, steps=60))
    numbers = delay.numbers(record)
    assert numbers["generalized"] == 0
    assert numbers["ratio"] == np.inf


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 58), ("modulus", 57), ("train_fraction", 0.0), ("train_fraction", 1.0), ("weight_decay", 101.0),
        ("learning_rate", 0.0), ("hidden_size", 0), ("activation", "cube"), ("operation", "divide"), ("random_share", 2.0),
        ("steps", 0), ("probe_every", 0), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(modular_addition.SMOKE, **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modulus", 4), ("train_fraction", 1.0), ("weight_decay", 101.0), ("heads", 5), ("hidden_size", 0), ("steps", 0),
        ("operation", "divide"), ("random_share", -1.0), ("probe_every", 0), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_transformer_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(one_layer_transformer.SMOKE, **{field: value})


def test_the_transformer_record_reads_the_embedding_of_numbers_alone() -> None:
    config = replace(one_layer_transformer.SMOKE, steps=2, num_seeds=1)
    record = one_layer_transformer.run(config)
    table = one_layer_transformer.member(config, 0).embed.detach()[:-1]
    spectrum = np.abs(np.fft.rfft(table.numpy(), axis=0))[1:] ** 2
    values = np.sort(spectrum.sum(1))
    count = len(values)
    gini = 2 * (np.arange(1, count + 1) * values).sum() / (count * values.sum()) - (count + 1) / count
    assert float(record.gini[0, 0]) == pytest.approx(gini, rel=1e-4)
