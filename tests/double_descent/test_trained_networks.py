"""The sweep against plain training of one of its networks, the label noise, and the claims on planted curves."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout import devices
from heldout.double_descent import trained_network_checks as checks
from heldout.double_descent import trained_networks as tn
from heldout.networks import MLP


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return tn.run(tn.SMOKE, device="cpu")


def test_one_network_trained_plainly_has_the_recorded_errors(smoke: xr.Dataset) -> None:
    config, seed, width = tn.SMOKE, 1, 8
    inputs, labels = tn.sample(config, [seed])
    x, given = inputs[0], labels[0, -1]
    network = MLP(64, [width], 10, generator=devices.generator("trained_networks", "weights", seed, width))
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    n, used = config.num_train, config.num_train + config.num_validation
    for epoch in range(config.epochs):
        order = torch.randperm(n, generator=devices.generator("batches", 0, seed, epoch))
        for batch in order.split(config.batch_size):
            optimizer.zero_grad()
            functional.cross_entropy(network(x[batch]), given[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        outputs = network(x)
    wrong = (outputs.argmax(1) != given).float()
    found = checks.noisy(checks.at_end(smoke)).sel(seed=seed, width=width)
    assert float(found.train_error) == pytest.approx(float(wrong[:n].mean()), abs=1.5 / n)
    assert float(found.validation_error) == pytest.approx(float(wrong[n:used].mean()), abs=1.5 / config.num_validation)
    assert float(found.test_error) == pytest.approx(float(wrong[used:].mean()), abs=1.5 / (1797 - used))
    assert float(found.train_loss) == pytest.approx(float(functional.cross_entropy(outputs[:n], given[:n])), rel=1e-2)


def test_the_stated_share_of_labels_is_wrong_and_never_the_tests() -> None:
    config = tn.BOOK
    _, labels = tn.sample(config, [3, 4])
    used = config.num_train + config.num_validation
    clean, given = labels[:, 0], labels[:, -1]
    moved = (clean != given).double()
    assert moved[:, used:].sum() == 0
    four_deviations = 4 * (0.2 * 0.8 / used) ** 0.5
    assert moved[:, :used].mean(1).numpy() == pytest.approx([0.2, 0.2], abs=four_deviations)


def test_training_pixels_have_mean_square_one_and_other_splits_other_digits() -> None:
    inputs, _ = tn.sample(tn.BOOK, [3, 4])
    train = inputs[:, : tn.BOOK.num_train]
    assert train.square().mean((1, 2)).numpy() == pytest.approx([1, 1], rel=1e-4)
    assert train.mean((1,)).abs().max() < 1e-4
    assert not torch.equal(inputs[0], inputs[1])


def test_a_width_does_not_depend_on_the_others(smoke: xr.Dataset) -> None:
    fewer = tn.run(dataclasses.replace(tn.SMOKE, widths=(2, 8, 16)), device="cpu")
    for width in (2, 8):
        np.testing.assert_allclose(
            fewer.train_loss.sel(width=width), smoke.train_loss.sel(width=width), rtol=1e-2, atol=1e-3
        )


def planted(test_error: list[float], train_error: list[float] | None = None) -> xr.Dataset:
    """A record in which every seed, noise and epoch has the same curves over width."""
    widths = [2, 4, 8, 16, 32, 64]
    dims = ("seed", "noise", "width", "epoch")
    shape = (5, 2, 6, 3)

    def spread(curve: list[float]) -> np.ndarray:
        return np.broadcast_to(np.array(curve)[None, None, :, None], shape).copy()

    return xr.Dataset(
        {
            "test_error": (dims, spread(test_error)),
            "validation_error": (dims, spread(test_error)),
            "train_error": (dims, spread(train_error or [0.5, 0.3, 0.1, 0.01, 0.0, 0.0])),
            "parameters": ("width", [75 * w + 10 for w in widths]),
        },
        {"seed": range(100, 105), "noise": [0.0, 0.2], "width": widths, "epoch": [0, 20, 120]},
        {"num_train": 160},
    )


HUMP = [0.5, 0.2, 0.3, 0.4, 0.3, 0.15]
FALL = [0.5, 0.3, 0.2, 0.15, 0.12, 0.1]


def test_turning_points_of_a_planted_curve() -> None:
    found = checks.turns(checks.at_end(checks.noisy(planted(HUMP)))).isel(seed=0)
    assert [float(found[k]) for k in ("valley", "valley_width", "peak", "peak_width", "end")] == [0.2, 4, 0.4, 16, 0.15]


@pytest.mark.parametrize(
    ("name", "holds", "fails"),
    [
        ("peak_above_valley", HUMP, FALL),
        ("peak_above_end", HUMP, FALL),
        ("no_peak_without_noise", FALL, HUMP),
        ("no_peak_stopped_early", FALL, HUMP),
        ("peak_where_it_fits", HUMP, FALL),
        ("peak_where_it_fits", HUMP, [0.5, 0.4, 0.3, 0.2, 0.3, 0.6]),
    ],
)
def test_claims_follow_the_record(name: str, holds: list[float], fails: list[float]) -> None:
    check = next(claim.check for claim in tn.CLAIMS if claim.id == f"trained_networks.{name}")
    assert check(planted(holds)).holds
    assert not check(planted(fails)).holds


def test_early_stopping_takes_the_lowest_validation_error() -> None:
    record = planted(HUMP)
    record["validation_error"].loc[{"epoch": 20}] = 0.01
    record["test_error"].loc[{"epoch": 20}] = xr.DataArray(FALL, dims="width")
    assert checks.mean_rise(checks.at_best_epoch(checks.noisy(record))).holds
    assert not checks.mean_rise(checks.at_best_epoch(checks.noisy(checks.never_stopped(record)))).holds


def test_counting_parameters_names_one_width_at_every_epoch() -> None:
    counted = checks.threshold_by_counting(planted(HUMP))
    for epoch in (20, 120):
        at = checks.interpolation_width(checks.noisy(counted.sel(epoch=epoch)))
        assert set(at.values) == {2.0}


def test_the_counting_control_is_unfair_when_the_networks_were_not_trained() -> None:
    fair = next(claim.control.manipulation for claim in tn.CLAIMS if claim.id.endswith("peak_where_it_fits"))
    assert fair(checks.threshold_by_counting(planted(HUMP))).holds
    assert not fair(checks.threshold_by_counting(planted(HUMP, [0.9] * 6))).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_train", 10),
        ("num_train", 1500),
        ("num_validation", 10),
        ("widths", (10, 20)),
        ("widths", (100, 20, 200)),
        ("widths", (0, 20, 200)),
        ("noises", (0.2, 0.6)),
        ("noises", (0, 0.95)),
        ("epochs", 2),
        ("probes", 2),
        ("learning_rate", 0.0),
        ("batch_size", 0),
        ("batch_size", 1001),
        ("num_seeds", 0),
    ],
)
def test_degenerate_configs_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(tn.BOOK, **{field: value})
