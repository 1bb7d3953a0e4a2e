"""The two margins against small cases, the law of the products of weights, a run against a plain loop, planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.grokking import diagonal, misgrokking, misgrokking_checks
from heldout.grokking.diagonal import DiagonalNetwork, Sample


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return misgrokking.run(misgrokking.SMOKE)


def two_points() -> Sample:
    """(3, 1) in class 1 and its mirror image, so that both margins are known by hand."""
    x, y = torch.tensor([[3.0, 1.0], [-3.0, -1.0]]), torch.tensor([1.0, -1.0])
    return Sample(train_x=x, train_y=y, test_x=x, test_y=y)


def test_margins_by_hand() -> None:
    euclidean, absolute = diagonal.euclidean_margin(two_points()), diagonal.absolute_margin(two_points())
    np.testing.assert_allclose(euclidean / np.linalg.norm(euclidean), np.array([3, 1]) / np.sqrt(10), atol=1e-3)
    np.testing.assert_allclose(absolute / np.abs(absolute).sum(), [1, 0], atol=1e-9)
    assert diagonal.accuracy(two_points(), absolute) == 1
    torn = replace(two_points(), train_y=torch.tensor([1.0, 1.0]))
    with pytest.raises(ValueError, match="separable"):
        diagonal.absolute_margin(torn)


def test_tasks_are_as_described() -> None:
    sizes = {"dimension": 40, "num_train": 20, "num_test": 4000, "shift": 2.0}
    sparse, dense = diagonal.draw("sparse", 0, **sizes), diagonal.draw("dense", 0, **sizes)
    assert set(sparse.train_x.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(sparse.test_y, sparse.test_x[:, :3].sum(1).sign())
    mean = (dense.test_x * dense.test_y.unsqueeze(1)).mean(0)
    assert float(mean.norm()) == pytest.approx(2.0, rel=0.1)
    with pytest.raises(ValueError, match="task"):
        diagonal.draw("both", 0, **sizes)


def test_start_is_zero_and_the_loss_is_stable() -> None:
    network = DiagonalNetwork(5, 3.0)
    assert torch.equal(network(torch.ones(2, 5)), torch.zeros(2))
    outputs, classes = torch.tensor([200.0, -200.0]), torch.tensor([1.0, 1.0])
    torch.testing.assert_close(diagonal.logistic_loss(outputs, classes), torch.tensor([0.0, 200.0]))
    with pytest.raises(ValueError, match="initial"):
        DiagonalNetwork(5, 0.0)


def descend(config: misgrokking.Config, task: str, decay: float) -> tuple[DiagonalNetwork, Sample]:
    """Plain gradient descent of seed 0."""
    count = config.sparse_train if task == "sparse" else config.dense_train
    sample = diagonal.draw(
        task, 0, dimension=config.dimension, num_train=count, num_test=config.num_test, shift=config.shift
    )
    network = DiagonalNetwork(config.dimension, config.initial)
    optimizer = torch.optim.SGD(network.parameters(), lr=config.learning_rate, weight_decay=decay)
    for _ in range(config.steps):
        optimizer.zero_grad()
        functional.softplus(-sample.train_y * network(sample.train_x)).mean().backward()
        optimizer.step()
    return network, sample


@pytest.mark.parametrize("task", ["sparse", "dense"])
def test_a_run_against_a_plain_loop(record: xr.Dataset, task: str) -> None:
    decay = misgrokking.SMOKE.weight_decays[-1]
    network, sample = descend(misgrokking.SMOKE, task, decay)
    with torch.no_grad():
        right = (network(sample.test_x) * sample.test_y > 0).double().mean()
    last = record.sel(task=task, seed=0, weight_decay=decay).isel(step=-1)
    assert float(last.test_accuracy) == pytest.approx(float(right), abs=0.011)
    length = torch.cat([network.positive, network.negative]).detach().norm()
    assert float(last.norm) == pytest.approx(float(length), rel=1e-3)


def test_products_of_weights_decay_whatever_is_learned() -> None:
    """The law on the page: u_i v_i falls like exp(-2 lambda t), to the order of the step size."""
    config = replace(misgrokking.SMOKE, learning_rate=0.002, steps=2000)
    network, _ = descend(config, "sparse", 0.1)
    product = (network.positive * network.negative).detach()
    expected = config.initial**2 * np.exp(-2 * 0.1 * config.learning_rate * config.steps)
    np.testing.assert_allclose(product.numpy(), expected, rtol=0.02)
    assert float((network.positive - network.negative).detach().abs().max()) > 0.1


def planted(fall: float = 0.1, rise_at: tuple[int, int] = (250, 100)) -> xr.Dataset:
    """Six equal seeds: fitted at step 1, the sparse task learned at the given steps, the dense one falling at 100."""
    steps = np.array([0, 1, 2, 50, 99, 100, 249, 250, 500])
    curves = np.zeros((2, 6, 3, len(steps)))
    for place, rise in enumerate((10**6, *rise_at)):
        curves[0, :, place] = np.where(steps >= rise, 1.0, 0.7)
        curves[1, :, place] = np.where(steps >= rise, 0.9 - fall, 0.9)
    train = np.broadcast_to(np.where(steps >= 1, 1.0, 0.5), curves.shape)
    dims = ("task", "seed", "weight_decay", "step")
    margins = np.broadcast_to(np.array([[0.7, 1.0], [0.9, 0.9 - fall]])[:, None], (2, 6, 2))
    return xr.Dataset(
        {
            "test_accuracy": (dims, curves), "train_accuracy": (dims, train),
            "margin_accuracy": (("task", "seed", "margin"), margins),
        },
        {
            "task": ["sparse", "dense"], "weight_decay": [0.0, 0.02, 0.05], "step": steps, "margin": ["euclidean", "absolute"],
            "seed": range(6),
        },
        {"learning_rate": 0.1},
    )  # fmt: skip


def test_checks_and_controls_on_planted_records() -> None:
    fine = planted()
    for claim in misgrokking.CLAIMS:
        assert claim.check(fine).holds, claim.id
        changed = claim.control.change(fine)
        assert not claim.check(changed).holds, claim.id
        assert claim.control.manipulation(changed).holds, claim.id
    assert not misgrokking_checks.sparse_groks(planted(rise_at=(100, 50))).holds
    assert not misgrokking_checks.dense_falls(planted(fall=0.04)).holds
    assert not misgrokking_checks.time_follows_decay(planted(rise_at=(100, 100))).holds
    lost = fine.assign(train_accuracy=fine.train_accuracy.where(fine.step < 500, 0.9))
    assert not misgrokking_checks.dense_falls(lost).holds
    assert not misgrokking_checks.fitted(lost).holds


def test_the_step_of_a_change_is_its_last_crossing() -> None:
    curve = xr.DataArray([[[[0.8, 1.0, 0.8, 1.0]]]], dims=("task", "seed", "weight_decay", "step"))
    record = xr.Dataset({"test_accuracy": curve}, {"task": ["sparse"], "step": [0, 10, 20, 30]})
    assert misgrokking_checks.change_step(record, 0).values.tolist() == [25.0]
    assert np.isnan(misgrokking_checks.change_step(record.isel(step=[0, 2]), 0).values[0])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dimension", 3), ("sparse_train", 61), ("dense_train", 0), ("shift", 0.0), ("initial", -1.0), ("weight_decays", (0.0,)),
        ("weight_decays", (0.1, 0.2)), ("weight_decays", (0.0, 30.0)), ("steps", 0), ("num_probes", 1), ("num_test", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="weight_decay" if field == "weight_decays" else field):
        replace(misgrokking.SMOKE, **{field: value})
