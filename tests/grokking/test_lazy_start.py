"""The network against a plain loop, the kernel against its gradients, the scale against its definition, planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.grokking import lazy_start, lazy_start_checks
from heldout.grokking.lazy_units import VARIANCE, PolynomialUnits, draw, kernel_error


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return lazy_start.run(lazy_start.SMOKE)


def test_a_run_against_a_plain_loop_with_the_scale_in_the_output(record: xr.Dataset) -> None:
    """Output scale (g - g_0), loss divided by scale^2: what the experiment states, in other words than it computes."""
    config, size, scale = lazy_start.SMOKE, lazy_start.SMOKE.train_sizes[1], lazy_start.SMOKE.output_scales[0]
    sample = draw(0, dimension=config.dimension, count=size + config.num_test)
    network = PolynomialUnits(config.dimension, config.units, config.curvature, 0)
    start = network(sample.inputs).detach()
    length = float(network.weight.detach().norm())
    optimizer = torch.optim.SGD(network.parameters(), lr=config.learning_rate * config.units)
    for _ in range(config.steps):
        optimizer.zero_grad()
        output = scale * (network(sample.inputs[:size]) - start[:size])
        ((output - sample.targets[:size]).square().mean() / scale**2).backward()
        optimizer.step()
    with torch.no_grad():
        errors = (scale * (network(sample.inputs) - start) - sample.targets).square() / VARIANCE
    mine = record.sel(num_train=size, output_scale=scale, seed=0).isel(step=-1)
    assert float(mine.test_error) == pytest.approx(float(errors[size:].mean()), rel=0.02)
    assert float(mine.norm) == pytest.approx(float(network.weight.detach().norm()) / length, rel=1e-3)
    cosines = network.weight.detach() @ sample.direction / network.weight.detach().norm(dim=1)
    assert float(mine.alignment) == pytest.approx(float(cosines.abs().mean()), abs=1e-3)


def test_start_of_the_record(record: xr.Dataset) -> None:
    begun = record.isel(step=0)
    np.testing.assert_allclose(begun.norm, 1, rtol=1e-6)
    mean_square = 0.75 / VARIANCE  # E[(z^2 / 2)^2] = 3 / 4
    assert float(begun.test_error.mean()) == pytest.approx(mean_square, rel=0.5)
    same = begun.train_error.isel(output_scale=0).values, begun.train_error.isel(output_scale=1).values
    np.testing.assert_allclose(*same, rtol=1e-4)


def test_target_has_the_stated_variance() -> None:
    sample = draw(3, dimension=10, count=200_000)
    assert float(sample.targets.var()) == pytest.approx(VARIANCE, rel=0.03)
    assert float(sample.inputs.square().sum(1).mean()) == pytest.approx(1.0, rel=0.01)


def test_kernel_error_is_the_minimum_norm_fit_in_the_gradients() -> None:
    sample = draw(0, dimension=4, count=60)
    network = PolynomialUnits(4, 8, 0.3, 0)
    gradients = []
    for x in sample.inputs:
        (gradient,) = torch.autograd.grad(network(x.unsqueeze(0))[0], network.weight)
        gradients.append(gradient.flatten().double())
    features = torch.stack(gradients).numpy()
    weights = np.linalg.pinv(features[:10], rcond=1e-9) @ sample.targets[:10].double().numpy()
    expected = np.mean((features[10:] @ weights - sample.targets[10:].numpy()) ** 2) / VARIANCE
    assert kernel_error(network, sample, 10) == pytest.approx(expected, rel=1e-3)


def test_the_mean_answer_fixes_the_length() -> None:
    """The page's proposition, for weights that compute nothing in particular."""
    dimension, units, scale, curvature = 6, 40, 0.5, 0.1
    network = PolynomialUnits(dimension, units, curvature, 0).double()
    first = network.weight.detach().clone()
    inputs = draw(0, dimension=dimension, count=400_000).inputs.double()
    with torch.no_grad():
        start = network(inputs)
        network.weight.mul_(3).add_(torch.linspace(-2, 2, dimension))
        answers = scale * (network(inputs) - start)
    error = float(answers.std()) / len(answers) ** 0.5
    expected = (
        (network.weight.detach().square().sum() - first.square().sum()) * scale * curvature / (2 * units * dimension)
    )
    assert float(answers.mean()) == pytest.approx(float(expected), abs=4 * error)


def planted(
    fit: int = 10, learn: tuple[float, float, float] = (40, 100, 1e9), shrink: float = 1.0,
    few: float = 1.0, many: int = 15, turn: float = 0.2,
) -> xr.Dataset:  # fmt: skip
    """Five equal seeds: fitted at ``fit``; at the middle size learned at ``learn`` by scale, at the largest at ``many``."""
    steps = np.array([0, 10, 15, 30, 40, 100, 1000])
    train = np.where(steps >= fit, 0.01, 1.0)
    test = np.empty((3, 3, len(steps)))
    test[0], test[2] = few, np.where(steps >= many, 0.01, 1.0)
    for place, at in enumerate(learn):
        test[1, place] = np.where(steps >= at, 0.01, 1.0)
    norm = np.where(steps >= fit, 4.0, 1.0) * np.where(steps >= 40, shrink, 1.0)
    alignment = 0.4 + turn * (steps >= 40)
    dims, shape = ("num_train", "output_scale", "seed", "step"), (3, 3, 5, len(steps))
    return xr.Dataset(
        {
            "train_error": (dims, np.broadcast_to(train, shape)), "norm": (dims, np.broadcast_to(norm, shape)),
            "test_error": (dims, np.broadcast_to(test[:, :, None], shape)),
            "alignment": (dims, np.broadcast_to(alignment, shape)),
            "kernel_error": (("num_train", "seed"), np.full((3, 5), 0.6)),
        },
        {"num_train": [80, 180, 480], "output_scale": [0.25, 1.0, 4.0], "seed": range(5), "step": steps},
        {"curvature": 0.05, "dimension": 40},
    )  # fmt: skip


def test_checks_on_planted_records() -> None:
    fine = planted()
    for claim in lazy_start.CLAIMS:
        assert claim.check(fine).holds, claim.id
        assert claim.control.change is not None
        changed = claim.control.change(fine)
        assert not claim.check(changed).holds, claim.id
        assert claim.control.manipulation(changed).holds
    assert lazy_start_checks.fitted(fine).holds
    for bad, name in (
        (planted(learn=(30, 40, 100)), "late"), (planted(learn=(40, 1e9, 1e9)), "late"),
        (planted(turn=0.05), "units_turn"), (planted(shrink=0.9), "units_turn"), (planted(learn=(1e9,) * 3), "units_turn"),
        (planted(learn=(100, 100, 100)), "scale_delays"), (planted(learn=(40, 1e9, 1e9)), "scale_delays"),
        (planted(few=0.3), "neither_few_nor_many"), (planted(many=30), "neither_few_nor_many"),
    ):  # fmt: skip
        assert not getattr(lazy_start_checks, name)(bad).holds, name
    assert not lazy_start_checks.fitted(planted(fit=10**6)).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dimension", 0), ("units", 0), ("curvature", 0.0), ("train_sizes", ()), ("train_sizes", (40, 20)),
        ("output_scales", (0.0, 1.0)), ("num_test", 0), ("learning_rate", -1.0), ("steps", 0), ("num_probes", 1),
        ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(lazy_start.SMOKE, **{field: value})
