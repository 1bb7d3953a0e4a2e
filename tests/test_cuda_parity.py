"""Every experiment on a GPU against the same run on the CPU, at SMOKE size, to a stated tolerance.

Draws are made on the CPU, so both have the same data and the same first weights; sums are ordered differently, and training
amplifies that. Of each variable at least ``SHARE`` of the entries must agree to ``CLOSE`` of their own size plus ``CLOSE`` of
the variable's typical size, and its median to ``CLOSE_MEDIAN``; what is not a number must be so on both.
"""

import numpy as np
import pytest
import torch
import xarray as xr

from heldout import experiment

NAMES = experiment.names()
SHARE, CLOSE, CLOSE_MEDIAN = 0.9, 0.01, 0.02


def typical(values: np.ndarray) -> float:
    """A variable's size: the median magnitude of its finite entries that are not zero."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    return float(np.median(sizes)) if sizes.size else 0.0


def agreement(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The share of entries that agree, and the difference of the medians in units of the variable's typical size."""
    if first.dtype.kind not in "fiu":
        return float(np.mean(first == second)), 0.0
    first, second = first.astype(float), second.astype(float)
    scale = max(typical(first), 1e-12)
    same = np.isclose(second, first, rtol=CLOSE, atol=CLOSE * scale + 1e-12, equal_nan=True)
    both = np.isfinite(first) & np.isfinite(second)
    apart = abs(np.median(first[both]) - np.median(second[both])) / scale if both.any() else 0.0
    return float(same.mean()), float(apart)


def disagreements(first: xr.Dataset, second: xr.Dataset) -> list[str]:
    """The variables that do not agree, with how far they are apart."""
    assert set(first.data_vars) == set(second.data_vars)
    found = []
    for name, variable in first.data_vars.items():
        assert variable.shape == second[name].shape, f"{name} has another shape"
        share, apart = agreement(np.asarray(variable.values), np.asarray(second[name].values))
        if share < SHARE or apart > CLOSE_MEDIAN:
            found.append(f"{name}: {share:.0%} of the entries agree, medians differ by {apart:.2g} of the typical size")
    return found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is present here")
@pytest.mark.parametrize("name", NAMES)
def test_cuda_gives_what_the_cpu_gives(name: str) -> None:
    module = experiment.find(name)
    cpu, cuda = (module.run(module.SMOKE, device=device) for device in ("cpu", "cuda"))
    assert cuda.attrs["device"] != "cpu"
    assert disagreements(cpu, cuda) == []
    for claim in module.CLAIMS:  # checks read a record made on a GPU
        assert claim.check(cuda).verdict in ("reproduced", "in part", "not reproduced")


def test_every_chapter_is_covered() -> None:
    assert {name.split(".")[0] for name in NAMES} == set(experiment.chapters())


def planted(noise: float, *, share: float = 1.0) -> tuple[xr.Dataset, xr.Dataset]:
    draw = np.random.default_rng(0)
    values = draw.lognormal(size=(4, 50))
    moved = values * (1 + noise * (draw.random(values.shape) < share) * draw.choice([-1, 1], values.shape))
    values[0, 0] = moved[0, 0] = np.nan
    return tuple(xr.Dataset({"loss": (("seed", "step"), part)}) for part in (values, moved))  # type: ignore[return-value]


def test_rounding_agrees_and_another_run_does_not() -> None:
    assert disagreements(*planted(1e-5)) == []
    assert disagreements(*planted(0.5, share=0.05)) == []
    assert disagreements(*planted(0.5, share=0.5)) != []
    first, second = planted(0.0)
    assert disagreements(first, second + 0.1) != []
    assert disagreements(first, second.fillna(1.0) * np.nan) != []
    words = xr.Dataset({"word": ("seed", ["a", "b"])})
    assert disagreements(words, words) == []
    assert disagreements(words, words[{"seed": [1, 0]}]) != []
