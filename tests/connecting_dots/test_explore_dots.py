"""The data of the chapter's explorables, compared with the records and with counts made by hand."""

import numpy as np
import pytest
import xarray as xr

from heldout.connecting_dots import one_row, world
from heldout.connecting_dots.explore import dispute
from heldout.connecting_dots.explore import one_row as row_data
from heldout.connecting_dots.explore import world as world_data
from heldout.connecting_dots.named_functions import Language
from heldout.figures.explorable import Explorable


@pytest.fixture(scope="module")
def small_world() -> xr.Dataset:
    return world.run(world.SMOKE, device="cpu")


@pytest.fixture(scope="module")
def small_row() -> xr.Dataset:
    return one_row.run(one_row.SMOKE, device="cpu")


def test_the_way_is_the_record(small_world: xr.Dataset) -> None:
    shown = Explorable("frames", **world_data.between(small_world)).data
    second = np.array(shown["series"][1]["values"])
    own = small_world.way.sel(answer="other", task="define").isel(seed=1, pair=0)
    assert second[1, 1, 1] == pytest.approx(own.values, rel=1e-5)
    middle = small_world.way.sel(answer="other", task="define").isel(seed=1).mean("pair").values
    assert second[1, 1, 0] == pytest.approx(middle, rel=1e-5)
    first = small_world.way.sel(answer="own", task="define").isel(seed=1, pair=0)
    middle = np.array(shown["lookups"]["middle"]["values"])[1, 1, 1]
    assert middle == pytest.approx(float(((1 + first - own) / 2).mean()), rel=1e-5)


def test_the_right_guess_is_the_one_nearest_to_the_record(small_world: xr.Dataset) -> None:
    for share, place in ((0.02, 0), (0.45, 1), (0.98, 2)):
        made = small_world.assign(accuracy=xr.full_like(small_world.accuracy, share))
        options = Explorable("choice", **world_data.question(made)).data["options"]
        assert [bool(option.get("correct")) for option in options] == [place == k for k in range(3)]
        assert f"{share:.0%}" in options[0]["feedback"]


def test_rows_by_what_was_trained(small_row: xr.Dataset) -> None:
    shown = Explorable("frames", **row_data.what_was_trained(small_row)).data
    modes = small_row.mode.values.tolist()
    held = np.array(shown["lookups"]["held_out_pairs"]["values"])[modes.index("hand"), 1]
    assert held == pytest.approx(float(small_row.held_out.sel(mode="hand", group="undefined").median()), rel=1e-5)
    defined = next(series for series in shown["series"] if series["name"] == "definition")
    right = small_row.right.sel(mode="row", group="defined", task="define").values
    drawn = np.array(defined["values"], dtype=float)[modes.index("row"), 0]
    assert drawn[~np.isnan(drawn)] == pytest.approx(right, rel=1e-5)
    assert len(drawn) == len(shown["x"]["values"]) == 2 * len(right) - 1


def test_the_right_option_is_the_one_nearest_to_the_record(small_row: xr.Dataset) -> None:
    always = small_row.assign(right=xr.ones_like(small_row.right))
    options = Explorable("choice", **row_data.question(always)).data["options"]
    assert [bool(option.get("correct")) for option in options] == [False, False, False, True]


def test_one_question_has_one_right_answer() -> None:
    options = Explorable("choice", **dispute.question()).data["options"]
    assert sum(bool(option.get("correct")) for option in options) == 1


def test_functions_left_by_pairs() -> None:
    language = Language(modulus=7)
    shown = Explorable("frames", **dispute.still_possible(language)).data
    left = np.array(shown["lookups"]["left"]["values"])
    names = [str(function) for function in language.functions]
    assert (left[..., 1] == 1).all(), "two pairs determine a function"
    assert left[names.index("plus 2"), 0, 0] == 3  # 1 -> 3: plus 2, times 3, from 4
    assert left[names.index("from 1"), 3, 0] == 1  # 4 -> 4: only from 1
    times = np.array(shown["series"][1]["values"], dtype=float)[names.index("plus 2"), 0, 0]
    assert times[::2].tolist() == [0, 3, 6, 2, 5, 1, 4]
    assert np.isnan(times[1::2]).all()
    assert shown["markers"][1]["values"][1] == [-7, 3]  # the pair after x = 2, and none
