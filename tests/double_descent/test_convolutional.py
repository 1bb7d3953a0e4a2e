"""The sweep against plain training of one network, a convolution written out, the labels, and the claims on planted curves."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout import devices
from heldout.data import Samples, fashion_mnist
from heldout.double_descent import convolutional as conv
from heldout.double_descent import convolutional_checks as checks
from heldout.double_descent.explore import convolutions as explore
from heldout.double_descent.trained_network_checks import at_end, noisy
from heldout.figures.explorable import Explorable


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return conv.run(conv.SMOKE, device="cpu")


def network(side: int, width: int, layers: int, seed: int = 1) -> conv.ConvolutionalNetwork:
    source = devices.generator("convolutional", "weights", seed, width)
    return conv.ConvolutionalNetwork(side, width, layers, generator=source)


def test_one_network_trained_plainly_has_the_recorded_errors(smoke: xr.Dataset) -> None:
    config, seed, width = conv.SMOKE, 1, 3
    inputs, labels = conv.sample(config, [seed])
    x, given = inputs[0], labels[0, -1]
    plain = network(8, width, config.layers, seed)
    optimizer = torch.optim.Adam(plain.parameters(), lr=config.learning_rate)
    n, used = config.num_train, config.num_train + config.num_validation
    per_epoch = n // config.batch_size
    for epoch in range(config.steps // per_epoch):
        order = torch.randperm(n, generator=devices.generator("batches", 0, seed, epoch))
        for batch in order.split(config.batch_size):
            optimizer.zero_grad()
            functional.cross_entropy(plain(x[batch]), given[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        outputs = plain(x)
    wrong = (outputs.argmax(1) != given).float()
    found = noisy(at_end(smoke)).sel(seed=seed, width=width)
    assert float(found.train_error) == pytest.approx(float(wrong[:n].mean()), abs=2.5 / n)
    assert float(found.validation_error) == pytest.approx(float(wrong[n:used].mean()), abs=2.5 / config.num_validation)
    assert float(found.test_error) == pytest.approx(float(wrong[used:].mean()), abs=2.5 / config.num_test)
    assert float(found.train_loss) == pytest.approx(float(functional.cross_entropy(outputs[:n], given[:n])), rel=1e-2)


def test_one_convolution_written_out() -> None:
    net = network(4, 2, 1)
    pixels = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    padded = functional.pad(pixels.view(3, 4, 4), (1, 1, 1, 1))
    weight, bias = net.convolutions[0].weight[:, 0], net.convolutions[0].bias
    places = [
        torch.stack([(padded[:, r : r + 3, c : c + 3] * w).sum((1, 2)) for w in weight], dim=1) + bias
        for r in (0, 2)
        for c in (0, 2)
    ]
    mean = torch.stack(places).relu().mean(0)
    expected = mean @ net.read_out.weight.T + net.read_out.bias
    torch.testing.assert_close(net(pixels), expected)


def test_parameters_of_the_record_follow_the_count_by_hand(smoke: xr.Dataset) -> None:
    w = smoke.width.values
    np.testing.assert_array_equal(smoke.parameters, 10 * w + (9 * w + 1) * 2 * w + 10 * (2 * w + 1))


def test_halving_stops_at_four_pixels_for_pictures_of_clothes() -> None:
    shapes: list[tuple[int, ...]] = []
    net = network(28, 2, 3)
    for layer in net.convolutions:
        layer.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
    assert net(torch.zeros(1, 784)).shape == (1, 10)
    assert shapes == [(2, 14, 14), (4, 7, 7), (8, 4, 4)]


def test_the_stated_share_of_labels_is_wrong_and_never_the_tests() -> None:
    _, labels = conv.sample(conv.BOOK, [3, 4])
    used = conv.BOOK.num_train + conv.BOOK.num_validation
    moved = (labels[:, 0] != labels[:, -1]).double()
    assert moved[:, used:].sum() == 0
    assert moved[:, :used].mean(1).numpy() == pytest.approx([0.2, 0.2], abs=4 * (0.16 / used) ** 0.5)


def test_the_splits_are_disjoint_and_their_sizes_as_asked() -> None:
    inputs, _ = conv.sample(conv.BOOK, [3])
    used, n = conv.BOOK.num_train + conv.BOOK.num_validation, conv.BOOK.num_train
    assert inputs.shape == (1, used + conv.BOOK.num_test, 64)
    assert float(inputs[0, :n].square().mean()) == pytest.approx(1, rel=1e-4)
    assert len(torch.unique(inputs[0], dim=0)) >= inputs.shape[1] - 2


def test_clothes_to_test_on_come_from_the_canonical_test_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> tuple[Samples, Samples]:
        return (
            Samples(torch.zeros(300, 784), torch.arange(300) % 10),
            Samples(torch.ones(100, 784), torch.arange(100) % 10),
        )

    monkeypatch.setattr(fashion_mnist, "full", full)
    found = conv.pictures("fashion-mnist", 0, 150, 60)
    assert found.x[:150].sum() == 0
    assert found.x[150:].mean() == 1
    assert len(found) == 210


def test_whole_epochs_are_looked_at_and_the_end(smoke: xr.Dataset) -> None:
    epochs = smoke.epoch.values
    assert epochs[0] >= 1
    assert epochs[-1] == conv.SMOKE.steps * conv.SMOKE.batch_size / conv.SMOKE.num_train
    assert (epochs == epochs.round()).all()


def planted(test_error: list[float], clean_error: list[float], early: list[float]) -> xr.Dataset:
    """A record with the same curves in every seed: noisy and correct labels at the end, noisy ones after a third."""
    widths, epochs = [1, 2, 4, 8, 16, 32], [0, 60, 180]
    dims = ("seed", "noise", "width", "epoch")
    test, train = np.zeros((5, 2, 6, 3)), np.zeros((5, 2, 6, 3))
    test[:, 0], test[:, 1] = np.array(clean_error)[:, None], np.array(test_error)[:, None]
    test[:, 1, :, 1] = early
    train[:, 1] = np.array([[0.5, 0.5], [0.3, 0.4], [0.01, 0.2], [0, 0.1], [0, 0], [0, 0]])[:, [1, 1, 0]]
    train[:, 0] = np.array([0.4, 0.1, 0.0, 0, 0, 0])[:, None]
    values = {"test_error": test, "train_error": train, "validation_error": test.copy()}
    return xr.Dataset(
        {name: (dims, value) for name, value in values.items()} | {"parameters": ("width", [10 * w for w in widths])},
        {"seed": range(100, 105), "noise": [0.0, 0.2], "width": widths, "epoch": [float(e) for e in epochs]},
        {"num_train": 300},
    )


HUMP = [0.6, 0.3, 0.4, 0.3, 0.25, 0.2]
LATER_HUMP = [0.6, 0.3, 0.25, 0.25, 0.35, 0.3]
FALL = [0.6, 0.3, 0.2, 0.18, 0.16, 0.15]
GOOD = planted(HUMP, FALL, LATER_HUMP)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("peak_where_it_fits", planted(FALL, FALL, LATER_HUMP)),
        ("peak_where_it_fits", planted([0.6, 0.3, 0.25, 0.2, 0.3, 0.1], FALL, LATER_HUMP)),
        ("peak_moves", planted(HUMP, FALL, HUMP)),
        ("peak_moves", planted(HUMP, FALL, FALL)),
        ("equal_training_error", planted([0.6, 0.3, 0.24, 0.3, 0.25, 0.2], FALL, LATER_HUMP)),
        ("no_peak_without_noise", planted(HUMP, HUMP, LATER_HUMP)),
        ("no_peak_stopped_early", planted(HUMP, FALL, HUMP)),
    ],
)
def test_claims_follow_the_record(name: str, broken: xr.Dataset) -> None:
    check = next(claim.check for claim in conv.CLAIMS if claim.id == f"convolutional.{name}")
    good = GOOD
    if name == "no_peak_stopped_early":
        good = planted(HUMP, FALL, FALL)
        good.validation_error.loc[{"epoch": 60}] = 0.0
        broken.validation_error.loc[{"epoch": 60}] = 0.0
    assert check(good).holds
    assert not check(broken).holds


def test_the_gap_of_equal_training_error_is_read_off_the_planted_curve() -> None:
    assert checks.fit_gap(GOOD).values == pytest.approx([0.2] * 5)
    clean = checks.correct_at_the_same_widths(GOOD)
    assert checks.fit_gap(clean).values == pytest.approx([0.05] * 5)
    assert checks.both_fit(clean).holds
    unfair = clean.assign(true_train_error=clean.true_train_error + 0.1)
    assert not checks.both_fit(unfair).holds


def test_without_a_network_that_fits_there_is_no_gap() -> None:
    never = GOOD.assign(train_error=GOOD.train_error + 0.2)
    assert checks.fit_gap(never).isnull().all()
    assert not checks.both_fit(checks.correct_at_the_same_widths(never)).holds


def test_copying_the_label_of_the_nearest_picture_has_a_reach_of_one() -> None:
    draw = np.random.default_rng(0)
    correct, right = draw.integers(0, 10, 200), draw.integers(0, 10, 500)
    nearest = draw.integers(0, 200, 500)
    right[:400] = correct[nearest[:400]]  # the neighbor is right for these, and by chance for some others
    clean = float((correct[nearest] != right).mean())
    reaches = []
    for _ in range(400):
        moved = draw.random(200) < 0.2
        given = np.where(moved, (correct + draw.integers(1, 10, 200)) % 10, correct)
        reaches.append(float(checks.reach(xr.DataArray((given[nearest] != right).mean()), xr.DataArray(clean), 0.2)))
    assert np.mean(reaches) == pytest.approx(1, abs=4 * np.std(reaches) / 20)
    assert checks.reach(xr.DataArray(0.1), xr.DataArray(0.1), 0.2) == 0


def test_the_nearest_neighbor_by_loops() -> None:
    found = explore.nearest_neighbor(conv.SMOKE)
    inputs, labels = conv.sample(conv.SMOKE, [1])
    n, used = conv.SMOKE.num_train, conv.SMOKE.num_train + conv.SMOKE.num_validation
    closest = [int((inputs[0, :n] - one).square().sum(1).argmin()) for one in inputs[0, used:]]
    wrong = (labels[0, -1][closest] != labels[0, -1, used:]).double().mean()
    assert float(found.sel(seed=1).isel(noise=-1)) == pytest.approx(float(wrong), abs=1.5 / conv.SMOKE.num_test)


def test_the_figure_and_the_explorables_are_built(smoke: xr.Dataset) -> None:
    axes = conv.plot(smoke)
    assert "channels" in axes.get_xlabel()
    plt.close(axes.get_figure(root=True))
    assert "channels" in conv.describe(smoke)
    for kind, make in (("predict", explore.prediction), ("frames", explore.epochs)):
        assert len(Explorable(kind, **make(smoke)).html()) < 400_000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", "letters"),
        ("num_train", 10),
        ("num_train", 1000),
        ("num_validation", 10),
        ("num_test", 10),
        ("num_test", 1800),
        ("layers", 0),
        ("layers", 4),
        ("widths", (10, 20)),
        ("widths", (10, 2, 20)),
        ("widths", (0, 2, 20)),
        ("noises", (0.2, 0.6)),
        ("noises", (0, 0.95)),
        ("steps", 1),
        ("probes", 1),
        ("learning_rate", 0.0),
        ("batch_size", 0),
        ("batch_size", 1001),
        ("num_seeds", 0),
    ],
)
def test_degenerate_configs_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(conv.BOOK, **{field: value})
