"""The explorables of the other side: their data fit the schema and are the record's own numbers."""

import numpy as np
import pytest

from heldout.double_descent import feature_averaging, final_ascent, triple_descent
from heldout.double_descent.explore import other_side
from heldout.figures.explorable import Explorable


@pytest.mark.parametrize("make", [other_side.which_axis, other_side.which_activation])
def test_choices_have_one_right_answer(make) -> None:  # type: ignore[no-untyped-def]
    shown = make()
    assert Explorable("choice", **shown).html()
    assert sum(option.get("correct", False) for option in shown["data"]["options"]) == 1


def test_frames_show_the_record() -> None:
    for make, module, name in (
        (other_side.averaging, feature_averaging, "test_mse"),
        (other_side.activations, triple_descent, "test_mse"),
        (other_side.ridge_rules, final_ascent, "test_mse"),
    ):
        result = module.run(module.SMOKE, device="cpu")
        shown = make(result)
        assert Explorable("frames", **shown).html()
        values = np.asarray(shown["data"]["series"][0]["values"])
        expected = result[name].sel(combine="mean") if "combine" in result.dims else result[name]
        np.testing.assert_allclose(values, expected.median("seed").values)
