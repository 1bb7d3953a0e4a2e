"""The code paths that only a PAPER preset takes, at the size of a SMOKE run on the CPU.

A preset that differs from SMOKE in sizes and rates alone takes the paths that SMOKE takes. Where it differs in more (another
data set, more arms, a number that is zero in one of the two, an empty list), SMOKE with those fields from PAPER is run.
Bundled digits stand in for the full sets, which tests do not fetch; their loaders have tests of their own.
"""

import dataclasses
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from heldout import experiment
from heldout.data import Samples, fashion_mnist, mnist

NAMES = experiment.names()
STANDING_IN = 4000


def is_size(value: Any) -> bool:
    """Whether a value is a number, and no word or switch, or a place such as "define 5", or a list of such."""
    if isinstance(value, tuple):
        return all(is_size(part) for part in value)
    if isinstance(value, str):
        return all(part.isdigit() for part in value.split()[-1:]) and " " in value
    return isinstance(value, int | float) and not isinstance(value, bool)


def decides(smoke: Any, paper: Any) -> bool:
    """Whether two values of a field may take different paths."""
    return smoke != paper and (not (is_size(smoke) and is_size(paper)) or bool(smoke) != bool(paper))


def deciding(name: str) -> dict[str, Any]:
    """The fields of PAPER that may take another path than SMOKE's, with their values."""
    module = experiment.find(name)
    names = [field.name for field in dataclasses.fields(module.Config) if field.name != "first_seed"]
    pairs = {key: (getattr(module.SMOKE, key), getattr(module.PAPER, key)) for key in names}
    return {key: few(smoke, paper) for key, (smoke, paper) in pairs.items() if decides(smoke, paper)}


def few(smoke: Any, paper: Any) -> Any:
    """PAPER's value; of a long list of words two that SMOKE lacks, after the first where SMOKE has it too."""
    if not isinstance(paper, tuple) or len(paper) <= 3 or is_size(paper):
        return paper
    first = tuple(part for part in paper[:1] if part in smoke)
    return first + tuple(part for part in paper if part not in smoke)[:2]


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> tuple[Samples, Samples]:
        digits = mnist.bundled(0)
        return digits[:STANDING_IN], digits[STANDING_IN:]

    for source in (mnist, fashion_mnist):
        monkeypatch.setattr(source, "full", full)


def test_what_decides_a_path() -> None:
    assert not decides(2, 30)
    assert not decides((1.0, 2.0), (3.0,))
    assert not decides("full", "full")
    assert decides("bundled", "full")
    assert decides(False, True)
    assert decides(0.3, 0.0)
    assert decides((), (1000,))
    assert decides(("shuffled",), ("shuffled", "clothes"))
    assert not decides(("define 1",), ("define 7",))
    assert decides("define 1", "define")
    assert few(("a", "b"), ("b", "c", "d", "e")) == ("b", "c", "d")
    assert few(("e",), ("b", "c", "d", "e")) == ("b", "c")
    assert few(("a",), ("a", "b")) == ("a", "b")
    assert few((1, 2), (1, 2, 3, 4)) == (1, 2, 3, 4)


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("name", NAMES)
def test_a_paper_path_runs_at_the_size_of_a_smoke_run(name: str) -> None:
    changed = deciding(name)
    if not changed:
        pytest.skip("PAPER differs from SMOKE in sizes and rates alone")
    module = experiment.find(name)
    shrunk = dataclasses.replace(module.SMOKE, **changed)
    result = module.run(shrunk, device="cpu")
    assert all(np.isfinite(v.values).any() for v in result.data_vars.values() if v.dtype.kind == "f")
    axes = module.plot(result)
    plt.close(axes.get_figure(root=True))
    assert module.describe(result)
    assert module.numbers(result)
