"""The page's explorables hold the record's own numbers, and the engine accepts them."""

import numpy as np
import pytest
import xarray as xr

from heldout.figures.explorable import Explorable
from heldout.grokking import softmax_collapse
from heldout.grokking.explore.arithmetic import QUANTITIES, question, samples


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return softmax_collapse.run(softmax_collapse.SMOKE)


def test_samples_hold_the_record(record: xr.Dataset) -> None:
    shown = samples(record)
    Explorable("frames", **shown)
    grid = shown["data"]["x"]["values"]
    np.testing.assert_array_equal(grid, [0, 10, 20, 40, 60, 80])
    by_name = {series["name"]: series["values"] for series in shown["data"]["series"]}
    one = record.isel(seed=0).sel(margin=grid)
    exact = by_name["exact"]
    assert exact.shape == (len(QUANTITIES), len(grid))
    np.testing.assert_allclose(exact[0], one.loss.sel(computation="exact"))
    np.testing.assert_allclose(exact[1], -one.target_gradient.sel(computation="exact"))
    assert by_name["float32 log-softmax"][0, 2] == 0
    assert by_name["float64 log-softmax"][0, 3] == 0
    np.testing.assert_allclose(by_name["stable, in float32"], exact, rtol=1e-5)


def test_question_has_one_right_answer() -> None:
    Explorable("choice", **question())
    assert sum(option.get("correct", False) for option in question()["data"]["options"]) == 1
