"""Excess risk against simulated noise, exact identities for isotropic inputs, and the claims on planted records."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.double_descent import benign_spectrum as bs


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return bs.run(bs.SMOKE, device="cpu")


@pytest.mark.parametrize("name", bs.SPECTRA)
def test_risk_is_the_mean_over_resampled_noise(name: str) -> None:
    draw = torch.Generator().manual_seed(0)
    values = bs.spectrum(name, 12)
    x = torch.randn(12, len(values), generator=draw, dtype=torch.float64) * values.sqrt()
    risk, residual = bs.interpolate(x, values, torch.randn(12, generator=draw, dtype=torch.float64))
    noise = torch.randn(12, 40_000, generator=draw, dtype=torch.float64)
    weights = torch.linalg.lstsq(x, noise, driver="gelsd").solution
    simulated = float((values[:, None] * weights.square()).sum(0).mean())
    assert risk == pytest.approx(simulated, rel=0.05)
    assert residual < 1e-12


def test_prediction_is_exact_for_equal_eigenvalues() -> None:
    """Isotropic p > n: the limit is n / (p - n) (Hastie et al. 2022); the finite-sample mean is n / (p - n - 1)."""
    values = torch.full((300,), 0.7, dtype=torch.float64)
    assert bs.predicted_risk(values, 100) == pytest.approx(100 / 200)
    draw = torch.Generator().manual_seed(0)
    risks = [
        bs.interpolate(
            torch.randn(20, 60, generator=draw, dtype=torch.float64),
            torch.ones(60, dtype=torch.float64),
            torch.ones(20, dtype=torch.float64),
        )[0]
        for _ in range(300)
    ]
    assert np.mean(risks) == pytest.approx(20 / 39, abs=4 * np.std(risks) / math.sqrt(300))


def test_power_law_tends_to_its_exponent_minus_one() -> None:
    """sum 1 / (1 + c i^2) and the sum of squares have the ratio 1 - 1 / a, so q / (n - q) tends to a - 1."""
    values = torch.arange(1, 4_000_001, dtype=torch.float64) ** -2.0
    assert bs.predicted_risk(values, 1000) == pytest.approx(1.0, rel=0.01)


def test_effective_ranks_of_a_flat_tail() -> None:
    values = torch.cat([torch.ones(5), torch.full((1000,), 0.01)]).double()
    assert bs.effective_rank(values, 50) == (5.0, pytest.approx(1000))
    assert bs.effective_rank(torch.ones(100).double(), 50) == (0.0, pytest.approx(100))


@pytest.mark.parametrize(
    ("field", "value"),
    [("train_counts", (16,)), ("train_counts", (4, 16)), ("train_counts", (32, 16)), ("num_seeds", 0)],
)
def test_degenerate_configs_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(bs.BOOK, **{field: value})


def test_unknown_spectra_are_refused() -> None:
    with pytest.raises(ValueError, match="one of"):
        bs.spectrum("flat", 10)


def test_claims_follow_the_record(smoke: xr.Dataset) -> None:
    benign, catastrophic = bs.CLAIMS
    assert benign.check(smoke).holds
    assert not catastrophic.check(bs._exchanged(smoke, "exponential", "power")).holds
    worse = smoke.copy(deep=True)
    worse["noise_risk"].loc[{"spectrum": "spiked_long", "num_train": 64, "seed": 0}] = 10.0
    assert not benign.check(worse).holds
