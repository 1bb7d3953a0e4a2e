"""Explorables of the margins page and of the closing panel: what they draw is what the records hold."""

import numpy as np
import pytest

from heldout.figures.explorable import Explorable
from heldout.interpolation import closing_panel, max_margin
from heldout.interpolation.explore import closing_panel as explore_panel
from heldout.interpolation.explore import margins as explore_margins


def test_questions_have_one_right_answer() -> None:
    for question in (explore_margins.question(), explore_panel.question()):
        Explorable("choice", **question)
        assert [option.get("correct", False) for option in question["data"]["options"]].count(True) == 1


def test_lines_stand_at_right_angles_to_their_directions() -> None:
    result = max_margin.run(max_margin.SMOKE, device="cpu")
    spec = explore_margins.turning_line(result)
    data = Explorable("scrub", **spec).data
    x = np.array(data["x"]["values"])
    for k, rule in enumerate(result.rule.values):
        for t in (0, -1):
            line = np.array(data["bases"][k]["fits"][t], dtype=float)
            across = result.direction.sel(rule=rule).isel(step=t).values
            seen = np.isfinite(line)
            assert seen.any()
            assert across[0] * x[seen] + across[1] * line[seen] == pytest.approx(0, abs=1e-3)
    points = np.stack([data["points"]["x"], data["points"]["y"]], axis=1)
    assert len(points) == 2 * max_margin.SMOKE.num_pairs
    assert abs(points[:, 1]).min() == pytest.approx(
        float(result.largest_margin.sel(task="plane", seed=result.drawn_seed)), abs=1e-3
    )


def test_pairs_show_the_first_seeds_curves_and_distances() -> None:
    result = closing_panel.run(closing_panel.SMOKE, device="cpu")
    data = Explorable("frames", **explore_panel.pairs(result)).data
    first, second, marks = data["series"]
    assert np.shape(first["values"]) == np.shape(second["values"]) == (len(closing_panel.PAIRS), result.sizes["x"])
    spline = result.curve.sel(model="cubic spline").values
    drawn = np.array(second["values"][0], dtype=float)
    assert drawn[np.isfinite(drawn)] == pytest.approx(spline[np.isfinite(drawn)], abs=1e-3)
    assert np.isfinite(np.array(marks["values"], dtype=float)).sum() == closing_panel.SMOKE.num_points
    expected = result.distance.isel(seed=0).sel(set="test").values
    assert data["lookups"]["test"]["values"] == pytest.approx(expected.tolist(), abs=1e-5)
