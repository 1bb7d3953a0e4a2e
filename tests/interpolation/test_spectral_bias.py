"""The spectral-bias experiment against a plain training loop, the discrete Fourier transform, and planted records."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.figures.explorable import Explorable
from heldout.interpolation import spectral_bias
from heldout.interpolation.explore.coarse_to_fine import sines
from heldout.interpolation.spectral_checks import times


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return spectral_bias.run(spectral_bias.SMOKE, device="cpu")


def test_targets_have_the_amplitudes_asked_for() -> None:
    config = spectral_bias.BOOK
    spectrum = np.abs(np.fft.rfft(spectral_bias.targets(config, [0, 1]).numpy(), axis=-1)) * 2 / config.num_train
    wanted = np.zeros((2, spectrum.shape[-1]))
    wanted[0, list(config.frequencies)] = 1
    wanted[1, list(config.frequencies)] = np.arange(1, 6) / 5
    np.testing.assert_allclose(spectrum, np.broadcast_to(wanted, spectrum.shape), atol=1e-6)


def test_shares_are_those_of_the_fourier_transform() -> None:
    config = spectral_bias.SMOKE
    wanted = spectral_bias.targets(config, [0])[0, :1]
    kept = np.fft.rfft(wanted.numpy(), axis=-1)
    kept[:, 2] *= 0.25
    kept[:, 3] = 0
    outputs = torch.tensor(np.fft.irfft(kept, n=config.num_train, axis=-1))
    np.testing.assert_allclose(spectral_bias.shares(config, outputs, wanted)[0], [1, 0.25, 0], atol=1e-6)


@pytest.mark.parametrize("inputs", spectral_bias.INPUTS)
def test_training_is_that_of_a_plain_loop(smoke: xr.Dataset, inputs: str) -> None:
    config, x = spectral_bias.SMOKE, torch.arange(24, dtype=torch.float64) / 24
    features = spectral_bias.encoded(config, x, inputs)
    member = spectral_bias.network(config, 0, features.shape[1])
    target = spectral_bias.targets(config, [0])[0, 1].float()[:, None]
    optimizer = torch.optim.Adam(member.parameters(), lr=config.learning_rate)
    for _ in range(config.steps):
        optimizer.zero_grad()
        (member(features) - target).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        residual = float((member(features) - target).square().mean() / target.square().mean())
    found = smoke.residual.sel(inputs=inputs, amplitudes="increasing", seed=0).isel(step=-1)
    assert float(found) == pytest.approx(residual, rel=1e-2)


def test_stretching_the_inputs_stretches_nothing_else() -> None:
    config = dataclasses.replace(spectral_bias.SMOKE, stretch=2.0)
    x = torch.tensor([0.0, 0.25, 0.5], dtype=torch.float64)
    torch.testing.assert_close(spectral_bias.encoded(config, x, "position")[:, 0], torch.tensor([-2.0, -1.0, 0.0]))
    torch.testing.assert_close(spectral_bias.targets(config, [0]), spectral_bias.targets(spectral_bias.SMOKE, [0]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frequencies", (3, 2, 1)), ("frequencies", (1, 2)), ("num_train", 20), ("stretch", 0.0), ("hidden_layers", 0),
        ("width", 0), ("steps", 0), ("learning_rate", 0.0), ("probes", 1), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_settings_are_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        spectral_bias.Config(**{field: value})


def planted(first: tuple[int, ...], fourier: tuple[int, ...]) -> xr.Dataset:
    """Two seeds; each sine is there from the given step on, with the position and with Fourier features."""
    steps = np.array([0, 1, 3, 7, 15, 31, 63])
    learned = np.stack([np.array([steps >= step for step in kind], dtype=float) for kind in (first, fourier)])
    dims = ("seed", "inputs", "amplitudes", "frequency", "step")
    return xr.Dataset(
        {
            "learned": (dims, np.broadcast_to(learned[None, :, None], (2, 2, 2, len(first), len(steps)))),
            "residual": (("seed", "inputs", "amplitudes", "step"), np.zeros((2, 2, 2, len(steps)))),
        },
        {"seed": [0, 1], "inputs": ["position", "fourier"], "amplitudes": ["equal", "increasing"],
         "frequency": list(range(1, len(first) + 1)), "step": steps},
    )  # fmt: skip


def test_times_by_hand() -> None:
    record = planted((1, 7, 100), (0, 0, 0))
    np.testing.assert_array_equal(times(record).isel(seed=0, inputs=0, amplitudes=0), [2, 8, 65])
    np.testing.assert_array_equal(times(record).isel(seed=0, inputs=1, amplitudes=0), [1, 1, 1])
    relapsed = record.copy(deep=True)
    relapsed["learned"] = relapsed.learned.where(relapsed.step != 31, 0.0)
    np.testing.assert_array_equal(times(relapsed).isel(seed=0, inputs=0, amplitudes=0), [64, 64, 65])


def test_claims_hold_and_fail_on_planted_records() -> None:
    good = planted((1, 3, 15, 31), (3, 3, 3, 3))
    for claim in spectral_bias.CLAIMS:
        assert claim.check(good).holds, claim.id
        assert claim.control.change is not None
        altered = claim.control.change(good)
        assert not claim.check(altered).holds, claim.id
        assert claim.control.manipulation(altered).holds
    backward = planted((31, 15, 3, 1), (3, 3, 3, 3))
    assert not any(claim.check(backward).holds for claim in spectral_bias.CLAIMS)


def test_the_explorable_draws_what_was_recorded(smoke: xr.Dataset) -> None:
    data = Explorable("frames", **sines(smoke)).data
    target, network = data["series"]
    np.testing.assert_allclose(target["values"], smoke.target.sel(amplitudes="equal"), atol=1e-4)
    fourier = smoke.output.sel(inputs="fourier", amplitudes="equal").isel(step=-1)
    np.testing.assert_allclose(network["values"][1][-1], fourier, atol=1e-3)
