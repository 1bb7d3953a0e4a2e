"""Digits from large weights: scaled networks by hand, one run against a plain loop, claims against planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout import devices
from heldout.grokking import digit_networks, digit_norms
from heldout.grokking import digit_norms_checks as checks
from heldout.grokking.explore.norms import digits


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return digit_norms.run(digit_norms.SMOKE, device="cpu")


def test_scaled_weights_and_divided_outputs() -> None:
    (usual,) = digit_networks.members([3], 49, 8, 1.0, divide=False)
    (large,) = digit_networks.members([3], 49, 8, 4.0, divide=True)
    for one, other in zip(usual.parameters(), large.parameters(), strict=True):
        torch.testing.assert_close(4 * one, other)
    x = torch.rand(5, 49, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for network in (usual, large):
            for layer in network.layers:
                layer.bias.zero_()
        torch.testing.assert_close(usual(x), large(x))


def test_shrunk_digits_are_means_over_squares() -> None:
    data = digit_networks.load("bundled", [0, 1], 20, 30, 14)
    whole = digit_networks.load("bundled", [0, 1], 20, 30, 1)
    assert data.x.shape == (2, 20, 4)
    picture = whole.x[1, 7].view(28, 28)
    assert float(data.x[1, 7, 1]) == pytest.approx(float(picture[:14, 14:].mean()), abs=1e-6)
    assert not torch.equal(data.y[0], data.y[1])
    with pytest.raises(ValueError, match="shrink"):
        digit_networks.load("bundled", [0], 20, 30, 3)


def test_a_run_against_a_plain_loop(record: xr.Dataset) -> None:
    config = digit_norms.SMOKE
    data = digit_networks.load("bundled", [0], config.num_train, config.num_test, config.shrink)
    (network,) = digit_networks.members([0], 49, config.hidden_size, 4.0, divide=False)
    adam = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.1)
    wanted = functional.one_hot(data.y[0], 10).float()
    per_epoch = config.num_train // config.batch_size
    for step in range(config.steps):
        if step % per_epoch == 0:
            draw = devices.generator("batches", 0, 0, step // per_epoch)
            order = torch.randperm(config.num_train, generator=draw)
        rows = order[step % per_epoch * config.batch_size :][: config.batch_size]
        adam.zero_grad()
        functional.mse_loss(network(data.x[0, rows]), wanted[rows]).backward()
        adam.step()
    with torch.no_grad():
        loss = float(functional.mse_loss(network(data.test_x[0]), functional.one_hot(data.test_y[0], 10).float()))
        norm = float(torch.nn.utils.parameters_to_vector(network.parameters()).norm())
    mine = record.sel(seed=0, scale=4.0, decay=0.1).isel(step=-1)
    assert float(mine.norm) == pytest.approx(norm, rel=1e-4)
    assert float(mine.test_loss) == pytest.approx(loss, rel=2e-2)


def planted(train: list[float], test: list[float], norm: list[float]) -> xr.Dataset:
    """Two equal seeds whose large, decayed runs are as given; from the usual weights all is learned at once."""
    zeros = np.zeros((2, 2, 2, 4))
    found = {"train_accuracy": zeros + 1.0, "test_accuracy": zeros + 0.8, "norm": zeros + 10.0}
    for name in ("train_accuracy", "test_accuracy"):
        found[name][..., 0] = 0.1
    for name, values in (("train_accuracy", train), ("test_accuracy", test), ("norm", norm)):
        found[name][:, 1, 1] = values
    found["test_accuracy"][:, 1, 0] = 0.2
    dims = ("seed", "scale", "decay", "step")
    coords = {"scale": [1.0, 8.0], "decay": [0.0, 0.1], "step": [0, 10, 20, 50]}
    return xr.Dataset({name: (dims, values) for name, values in found.items()}, coords, {"read": 0.7})


FINE = ([0.1, 1.0, 1.0, 1.0], [0.1, 0.2, 0.3, 0.8], [90.0, 80.0, 60.0, 30.0])


def test_delay_by_hand() -> None:
    fine = planted(*FINE)
    assert checks.delay(checks.large(fine)).values.tolist() == [5.0, 5.0]
    assert checks.norm_share_when_read(checks.large(fine)).values == pytest.approx([1 / 3, 1 / 3])
    never = planted(FINE[0], [0.1, 0.2, 0.3, 0.4], FINE[2])
    assert np.isinf(checks.delay(checks.large(never))).all()


def test_checks_fail_on_planted_records() -> None:
    fine = planted(*FINE)
    held = (checks.reads_later, checks.reads_in_time, checks.never_reads, checks.norm_has_fallen)
    assert all(check(fine).holds for check in held)
    assert not checks.reads_later(planted(FINE[0], [0.1, 0.6, 0.6, 0.8], FINE[2])).holds  # most read when fitted
    assert not checks.reads_later(planted(FINE[0], [0.1, 0.2, 0.8, 0.8], FINE[2])).holds  # only twice as late
    assert not checks.reads_later(planted(FINE[0], [0.1, 0.2, 0.3, 0.4], FINE[2])).holds  # never
    assert not checks.norm_has_fallen(planted(*FINE[:2], [90.0, 80.0, 70.0, 60.0])).holds
    slow = fine.copy(deep=True)
    slow.test_accuracy[:, 0, 1, 1] = 0.1
    assert not checks.reads_in_time(slow).holds
    unfitted = fine.copy(deep=True)
    unfitted.train_accuracy[:, 1, 0] = 0.5
    assert not checks.never_reads(unfitted).holds
    assert not checks.never_reads(checks.decay_in_its_place(fine)).holds


def test_explorable_holds_the_records_medians(record: xr.Dataset) -> None:
    shown = digits(record, record)["data"]
    step = record.step.values[1:]
    assert list(shown["x"]["values"]) == list(step)
    held_out = shown["series"][0]
    middle = record.test_accuracy.isel(scale=-1, decay=-1).median("seed").values[1:]
    np.testing.assert_allclose(held_out["values"][1][1], middle)
    assert len(shown["controls"][0]["values"]) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scales", (8.0, 1.0)), ("scales", (0.0, 1.0)), ("decays", (-0.1,)), ("decays", ()), ("shrink", 3), ("read", 0.05),
        ("steps", 0), ("batch_size", 41), ("num_train", 5), ("num_probes", 1), ("num_seeds", 0), ("weight_decay", None),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    changed = {"decays": (0.0, 200.0)} if field == "weight_decay" else {field: value}
    with pytest.raises(ValueError, match=field):
        replace(digit_norms.SMOKE, **changed)
