"""The explorables of the first page take any record of their experiments, and quote what it holds."""

import numpy as np
import pytest

from heldout.figures.explorable import Explorable
from heldout.interpolation import random_labels, reused_text, two_meanings
from heldout.interpolation.explore import two_meanings as explore


def test_question_has_one_right_answer() -> None:
    options = Explorable("choice", **explore.question()).data["options"]
    assert [bool(option.get("correct")) for option in options] == [False, False, True]


def test_turning_shows_both_records() -> None:
    upright = two_meanings.run(two_meanings.SMOKE)
    data = Explorable("frames", **explore.turning(upright, upright.assign(test_error=1 - upright.test_error))).data
    first, second = (np.array(series["values"], dtype=float) for series in data["series"])
    assert first.shape == (3, 2)
    np.testing.assert_allclose(first, 1 - second, atol=1e-12)
    expected = upright.test_error.sel(model="exact", angle=90.0).median("seed")
    assert first[1, 1] == pytest.approx(float(expected))


def test_curves_leave_out_the_start_and_name_every_choice() -> None:
    labels, text = random_labels.run(random_labels.SMOKE), reused_text.run(reused_text.SMOKE)
    data = Explorable("frames", **explore.randomized(labels)).data
    assert min(data["x"]["values"]) >= 1, "a log axis has no zero"
    assert data["controls"][0]["values"] == [
        "true labels", "50 % random labels", "pixels shuffled, labels true", "noise in the place of digits",
    ]  # fmt: skip
    data = Explorable("frames", **explore.rereading(text)).data
    assert data["controls"][0]["values"] == [
        "248 characters, each read 39 times", "992 characters, each read 10 times", "9,600 characters, each read once",
    ]  # fmt: skip
    assert np.array(data["series"][1]["values"], dtype=float)[-1, -1] == pytest.approx(
        float(text.train_loss.isel(distinct=-1, step=-1).median("seed"))
    )
