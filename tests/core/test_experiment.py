"""Finding experiments, changing configs from text, devices and seeds."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from heldout import devices, experiment
from heldout.double_descent import polynomials


def test_every_listed_experiment_is_found() -> None:
    for name in experiment.names():
        assert experiment.short_name(experiment.find(name)) == name


def test_unknown_names_give_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"double_descent\.polynomials"):
        experiment.find("double_descent.polynomial")
    with pytest.raises(ValueError, match="double_descent"):
        experiment.names("double_decent")
    with pytest.raises(ValueError, match="book"):
        experiment.preset(polynomials, "bok")


def test_change_parses_by_the_fields_type() -> None:
    changed = experiment.change(polynomials.SMOKE, {"num_train": "9", "feature_counts": "2,9,20", "noise_std": "0.5"})
    assert (changed.num_train, changed.feature_counts, changed.noise_std) == (9, (2, 9, 20), 0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_trian": "9"}, "key='num_trian'.*num_train"),
        ({"num_train": "many"}, "num_train='many'.*int"),
        ({"num_train": "1"}, "num_train=1: must be at least 2"),
        ({"target": "cosine"}, "target='cosine'.*sine"),
        ({"feature_counts": ""}, "feature_counts"),
    ],
)
def test_bad_settings_name_field_value_and_what_is_allowed(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        experiment.change(polynomials.SMOKE, settings)


def test_unknown_or_absent_device() -> None:
    with pytest.raises(ValueError, match="did you mean cuda"):
        devices.resolve_device("cudda")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            devices.resolve_device("cuda")


def test_seeds_depend_on_every_coordinate_and_nothing_else() -> None:
    base = devices.derive_seed("features", 3, 0.5)
    assert base == devices.derive_seed("features", np.int64(3), np.float64(0.5))
    others = {
        devices.derive_seed(*c)
        for c in (("features", 4, 0.5), ("feature", 3, 0.5), ("features", 0.5, 3), ("features", "3", 0.5))
    }
    assert base not in others
    assert len(others) == 4
    assert 0 <= base < 2**63


def test_drawing_touches_no_global_state() -> None:
    before = torch.random.get_rng_state()
    torch.randn(3, generator=devices.generator("x", 1))
    polynomials.run(polynomials.SMOKE)
    assert torch.equal(before, torch.random.get_rng_state())


def test_peak_memory_sees_what_the_block_took() -> None:
    # A process of its own: in this one, memory that earlier tests gave back may serve the block without growing it.
    code = (
        "import numpy as np, torch; from heldout import devices\n"
        "with devices.peak_memory(torch.device('cpu'), interval=0.001) as small: pass\n"
        "with devices.peak_memory(torch.device('cpu'), interval=0.001) as peak: block = np.ones(30_000_000)\n"
        "print(peak.resident - small.resident, block.nbytes)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    grown, taken = map(int, output.split())
    assert 0.5 * taken < grown < 2 * taken
