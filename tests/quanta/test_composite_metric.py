"""A composite's score: hand-made chances, an exact flow, hand-made records, and configs that cannot be."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.special import expit

from heldout.figures.explorable_schema import checked
from heldout.quanta import composite_metric
from heldout.quanta import composite_metric_checks as checks
from heldout.quanta.composite_metric import flow, scores
from heldout.quanta.explore.null_models import exact_match
from heldout.quanta.parity import CHANCE
from heldout.quanta.solvable import every_string


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return composite_metric.run(composite_metric.SMOKE)


def test_scores_of_a_case_by_hand() -> None:
    chances = torch.tensor([[0.5, 1.0, 0.8], [0.5, 0.2, 0.6]])
    found = scores(torch.logit(chances, eps=1e-7), (1, 2, 3))
    pairs = [(0.5 + 0.1) / 2, (0.8 + 0.12) / 2, (0.4 + 0.3) / 2]
    apart = [0.5 * 0.6, 0.6 * 0.7, 0.7 * 0.5]
    assert found["exact"].tolist() == pytest.approx([0.6, np.mean(pairs), (0.4 + 0.06) / 2], abs=1e-5)
    assert found["product"].tolist() == pytest.approx([0.6, np.mean(apart), 0.5 * 0.6 * 0.7], abs=1e-5)
    assert found["likelier"].tolist() == pytest.approx([3 / 6, 1 / 6, 0])
    assert float(found["task_loss"][0]) == pytest.approx(CHANCE, rel=1e-5)


def test_the_flow_on_an_eigenfunction_is_exact() -> None:
    # With the kernel's own eigenfunction as answers, outputs are c x answers with c + exp(c) = 1 + eigenvalue x time.
    strings = every_string(4)
    kernel = 0.25 ** (strings[:, None] != strings[None]).sum(-1) / 16
    parity = strings[:, [0, 2]].prod(1)
    value = float(parity @ kernel @ parity / 16)
    c = np.array([0.05, 0.5, 2.0, 4.0])
    found = flow(torch.tensor(kernel), torch.tensor(parity)[:, None], (c + np.exp(c) - 1) / value, (1,), growth=0.05)
    np.testing.assert_allclose(found["task_loss"][0], np.log1p(np.exp(-c)), rtol=2e-3)
    np.testing.assert_allclose(found["exact"][0], expit(c), rtol=1e-3)


def test_a_run_starts_at_chance_and_exact_match_of_one_is_the_mean_chance(record: xr.Dataset) -> None:
    first = record.isel(look=0)
    np.testing.assert_allclose(first.task_loss, CHANCE, rtol=0.1)
    np.testing.assert_allclose(first.exact.mean(("model", "seed")), 0.5**record.asked, rtol=0.1)
    np.testing.assert_allclose(record.exact.isel(asked=0), record["product"].isel(asked=0), atol=1e-6)
    assert (record.exact.diff("asked") <= 1e-6).all()


def planted(speed: float, *, seeds: int = 2) -> xr.Dataset:
    """Random features as in the limit of many, and a network whose log-odds are that curve's at the power ``speed`` of time."""
    clock, asked = np.geomspace(0.05, 200, 200), np.array([1, 2, 4, 8])
    odds = np.geomspace(1e-3, 8, 4000)
    nets = [np.interp(t, odds + np.exp(odds) - 1, odds) for t in (clock, (clock / 3) ** speed)]
    loss = np.stack([np.broadcast_to(np.log1p(np.exp(-c)), (seeds, 8, 200)) for c in nets])
    exact = np.stack([np.broadcast_to(expit(c) ** asked[:, None], (seeds, 4, 200)) for c in nets])
    return xr.Dataset(
        {
            "task_loss": (("model", "seed", "task", "look"), loss),
            "exact": (("model", "seed", "asked", "look"), exact),
            "product": (("model", "seed", "asked", "look"), exact),
            "likelier": (("model", "seed", "asked", "look"), np.broadcast_to(clock / 200, exact.shape).copy()),
            "clock": (("model", "look"), np.stack([clock, clock])),
        },
        {"model": list(composite_metric.MODELS), "seed": range(seeds), "task": range(8), "asked": asked},
    )


def test_measures_on_planted_records() -> None:
    fine, slow = planted(3.0), planted(1.0)
    # For log-odds c the loss is at .9 of chance for exp(-c) = 2^.9 - 1; eight answers are at .1 near sigmoid(c)^8 = .1035.
    begin, score = -np.log(2**0.9 - 1), 0.1 * (1 - 0.5**8) + 0.5**8
    end = -np.log(score ** (-1 / 8) - 1)
    expected = np.log10((end + np.exp(end) - 1) / (begin + np.exp(begin) - 1))
    assert checks.lead(fine, "random features") == pytest.approx([expected] * 2, abs=0.02)
    assert checks.lead_ratio(fine) == pytest.approx([3.0] * 2, abs=0.1)
    assert checks.lead_ratio(slow) == pytest.approx([1.0] * 2, abs=0.1)
    assert checks.hidden(fine, "network") == pytest.approx([1 + np.log(score ** (1 / 8)) / CHANCE] * 2, abs=0.01)
    assert checks.off(fine, "network") == 0
    assert checks.rise(fine, "random features", -1)[0] == pytest.approx(
        3 * checks.rise(fine, "network", -1)[0], rel=0.1
    )
    assert checks.early(fine, "random features") * 200 == pytest.approx([begin + np.exp(begin) - 1] * 2, rel=0.05)
    assert checks.put_off(fine, "network").min() > 1
    assert checks.loss_width(fine, "random features")[0] == pytest.approx(1.72, abs=0.05)


def test_the_arithmetic_of_equal_chances() -> None:
    assert checks.chance_at_first(8) ** 8 == pytest.approx(0.1 + 0.9 / 256)
    assert (checks.chance_at_first(8), checks.arithmetic(8)) == pytest.approx((0.753, 0.591), abs=1e-3)
    assert (checks.chance_at_first(1), checks.arithmetic(1)) == pytest.approx((0.55, 0.1375), abs=1e-3)


def test_checks_hold_and_fail_on_planted_records() -> None:
    fine, slow = planted(3.0), planted(1.0)
    assert checks.as_arithmetic(fine).holds
    assert not checks.as_arithmetic(checks.as_table(fine)).holds
    assert checks.both_learn(checks.as_table(fine)).holds
    assert checks.warned(fine).holds
    assert not checks.warned(slow).holds
    assert checks.both_learn(fine).holds
    assert not checks.both_learn(fine.isel(look=slice(0, 100))).holds


def test_a_level_that_is_never_reached() -> None:
    times = np.array([1.0, 10.0, 100.0])
    assert checks.crossing(times, np.array([0.0, 0.2, 0.3]), 0.5) == np.inf
    assert checks.crossing(times, np.array([0.6, 0.7, 0.8]), 0.5) == 1.0
    assert checks.crossing(times, np.array([0.0, 0.4, 0.6]), 0.5) == pytest.approx(10**1.5)


def test_the_explorable_moves_exact_match_alone() -> None:
    data = checked("frames", exact_match(planted(3.0))["data"])
    later = data["lookups"]["random"]["values"]
    assert later == sorted(later)
    assert later[-1] == pytest.approx(10 ** checks.lead(planted(3.0), "random features")[0])
    assert [bool(series["by"]) for series in data["series"]] == [False, True] * 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_tasks", 1), ("num_bits", 2), ("num_bits", 13), ("subset", 0), ("width", 0), ("batch_size", 0),
        ("learning_rate", 0.0), ("steps", 99), ("num_features", 0), ("kernel", 0.0), ("flow_end", 1.0), ("asked", (2, 4)),
        ("asked", (1, 8)), ("asked", ()), ("looks", 9), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(composite_metric.SMOKE, **{field: value})
