"""Many separators of the same digits: all of them separate, the random ones are uniform, and the claims can fail."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from heldout.devices import numpy_generator
from heldout.interpolation import separators
from heldout.interpolation.margin_descent import largest_margin

WEDGE = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-0.2, 1.0, 0.0]])  # three inputs that leave the third axis free


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return separators.run(separators.SMOKE, device="cpu")


def test_every_family_separates_and_none_beats_the_largest_margin(smoke: xr.Dataset) -> None:
    assert float(smoke.train_error.max()) == 0
    assert float(smoke.margin.max()) <= 1 + 1e-9
    assert smoke.margin.sel(family=separators.BEST).values == pytest.approx(1, abs=1e-9)


def test_drawn_directions_are_those_of_rejection() -> None:
    """In three dimensions, normal vectors kept when they separate give the same mean direction and the same spread."""
    best = largest_margin(WEDGE @ WEDGE.T).weights @ WEDGE
    ours = separators.drawn(WEDGE, np.tile(best, (4, 1)), 1500, 200, 3, numpy_generator("test", 0))
    assert ((ours @ WEDGE.T) > 0).all()
    normal = numpy_generator("test", 1).standard_normal((60_000, 3))
    kept = normal[((normal @ WEDGE.T) > 0).all(1)]
    ours, kept = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (ours, kept))
    assert ours.mean(0) == pytest.approx(kept.mean(0), abs=0.03)
    assert ours.std(0) == pytest.approx(kept.std(0), abs=0.03)


def test_chains_take_turns_among_the_kept_directions(smoke: xr.Dataset) -> None:
    planted = smoke.copy(deep=True)
    planted.test_error.loc[{"family": separators.GUESSED}] = np.array([0.1, 0.2, 0.3, 0.4] * 2)
    found = separators.numbers(planted)
    assert found["chain_least"] == pytest.approx(0.1)
    assert found["chain_most"] == pytest.approx(0.4)


def test_perceptrons_start_where_they_are_told_and_move_by_inputs() -> None:
    source = numpy_generator("test", 2)
    starts = source.standard_normal((5, 3))
    found = separators.perceptrons(WEDGE, starts, source)
    assert ((found @ WEDGE.T) > 0).all()
    counts = np.linalg.lstsq(
        WEDGE[:2].T, (found - starts).T, rcond=None
    )  # the third input is a combination of the others
    assert (found - starts)[:, 2] == pytest.approx(0)
    assert counts[0].shape == (2, 5)
    right = np.array([[1.0, 1.0, 0.3]])
    assert separators.perceptrons(WEDGE, right, source) == pytest.approx(right)  # nothing wrong, nothing moved


def test_coins_are_separated_and_not_learned() -> None:
    result = separators.run(replace(separators.SMOKE, random_labels=True), device="cpu")
    assert float(result.train_error.max()) == 0
    assert float(abs(result.test_error.mean(("family", "draw")) - 0.5).max()) < 0.1


def test_claims_fail_on_planted_records(smoke: xr.Dataset) -> None:
    guessed, ranked, misled = separators.CLAIMS
    equal = smoke.copy(deep=True)
    equal["test_error"] = 0.1 + 1e-9 * smoke.margin
    assert not guessed.check(equal).holds
    assert not ranked.check(equal).holds
    assert not misled.check(equal).holds
    tied = smoke.copy(deep=True)
    tied["test_error"] = 0.3 - 0.2 * smoke.margin
    assert ranked.check(tied).holds
    worse = equal.copy(deep=True)
    worse.test_error.loc[{"family": separators.SQUARES}] = 0.5
    worse.margin.loc[{"family": separators.SQUARES}] = 0.9
    assert misled.check(worse).holds
    worse.margin.loc[{"family": separators.SQUARES}] = 1e-6
    assert not misled.check(worse).holds  # a smaller margin would mislead nobody
    for claim in separators.CLAIMS:
        assert not claim.control.manipulation(smoke.assign(train_error=smoke.train_error + 0.1)).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [("digits", "none"), ("num_digits", 5), ("draws", 6), ("burn_in", 0), ("thinning", 0), ("num_seeds", 0)],
)
def test_bad_config(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(separators.SMOKE, **{field: value})
