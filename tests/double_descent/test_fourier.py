"""Random Fourier features and the exact path, against NumPy's solvers and against their definitions."""

import math

import numpy as np
import pytest
import torch

from heldout.double_descent import fourier

COUNTS = (1, 2, 7, 20, 38, 39, 40, 41, 42, 44, 60, 120)


@pytest.fixture
def problem() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    design = torch.randn(40, 120, generator=source, dtype=torch.float64)
    return design, torch.randn(40, 3, generator=source, dtype=torch.float64)


def test_path_equals_lstsq(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    design, targets = problem
    counts = []
    for count, weights in fourier.minimum_norm_path(design, targets, COUNTS):
        oracle = np.linalg.lstsq(design[:, :count].numpy(), targets.numpy(), rcond=None)[0]
        assert np.abs(weights.numpy() - oracle).max() < 1e-9 * np.abs(oracle).max()
        counts.append(count)
    assert tuple(counts) == COUNTS


def test_outputs_of_a_path(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    design, targets = problem
    path = list(fourier.minimum_norm_path(design, targets, COUNTS))
    inputs = torch.randn(7, 120, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for (count, weights), outputs in zip(path, fourier.outputs_path(inputs, path), strict=True):
        assert torch.allclose(outputs, inputs[:, :count] @ weights, rtol=1e-10, atol=1e-10)


def test_path_of_real_features_interpolates_from_n_on() -> None:
    x = torch.rand(60, 784, generator=torch.Generator().manual_seed(1))
    design = fourier.features(x, *fourier.draw(200, seed=0))
    targets = torch.randn(60, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for count, weights in fourier.minimum_norm_path(design, targets, (59, 60, 61, 65, 200)):
        residual = float((design[:, :count] @ weights - targets).abs().max())
        assert (residual < 1e-9) == (count >= 60)


def test_ridge_path_equals_the_normal_equations(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    design, targets = problem
    ridges = (0.1, 10.0)
    for count, weights in fourier.ridge_path(design, targets, COUNTS, ridges):
        used = design[:, :count].numpy()
        for ridge, found in zip(ridges, weights, strict=True):
            oracle = np.linalg.solve(used.T @ used + ridge * np.eye(count), used.T @ targets.numpy())
            assert np.allclose(found.numpy(), oracle, rtol=1e-8, atol=1e-10)


def test_a_larger_draw_extends_a_smaller_one() -> None:
    small, large = fourier.draw(100, 5, dimension=7), fourier.draw(1500, 5, dimension=7)
    assert torch.equal(small[0], large[0][:100])
    assert torch.equal(small[1], large[1][:100])
    assert not torch.equal(small[0], fourier.draw(100, 6, dimension=7)[0])


def test_inner_products_approximate_the_gaussian_kernel() -> None:
    x = torch.rand(5, 30, generator=torch.Generator().manual_seed(0))
    phi = fourier.features(x, *fourier.draw(200_000, 0, dimension=30, scale=0.5))
    kernel = torch.exp(-(0.5**2) * torch.cdist(x.double(), x.double()).square() / 2)
    # Each entry averages 200,000 terms of standard deviation at most sqrt(2).
    assert (phi @ phi.T / 200_000 - kernel).abs().max() < 5 * math.sqrt(2 / 200_000)


def test_repeated_samples_have_no_interpolant(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    design, targets = problem
    repeated = torch.cat([design[:20], design[:20]])
    with pytest.raises(ValueError, match="full rank"):
        list(fourier.minimum_norm_path(repeated, targets, (40,)))


@pytest.mark.parametrize("counts", [(), (0, 3), (5, 3), (3, 3), (3, 121)])
def test_bad_counts(problem: tuple[torch.Tensor, torch.Tensor], counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="counts"):
        list(fourier.minimum_norm_path(*problem, counts))


def test_bad_ridge_and_bad_count(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="ridges"):
        list(fourier.ridge_path(*problem, (3,), (0.0,)))
    with pytest.raises(ValueError, match="count"):
        fourier.draw(0, 1)
