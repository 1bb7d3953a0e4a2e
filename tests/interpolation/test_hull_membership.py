"""Projection, neighbors and the checks against plain code; the claims on planted records."""

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from heldout import hull
from heldout.data import mnist
from heldout.interpolation import digit_hulls
from heldout.interpolation import hull_membership as hm

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return hm.run(hm.SMOKE, device="cpu")


def test_components_are_the_principal_ones() -> None:
    digits = mnist.bundled(0)[:300]
    basis, mean = digit_hulls.components(digits.x, 6)
    ours = digit_hulls.reduce(digits.x, basis, mean, 6).numpy()
    theirs = PCA(6, svd_solver="full").fit_transform(digits.x.double().numpy())
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-6)
    assert torch.equal(digit_hulls.reduce(digits.x, basis, mean, 784), digits.x.double())


def test_one_cell_by_plain_code(smoke: xr.Dataset) -> None:
    """Seed 0, 800 training digits, five components: scikit-learn's neighbors, one linear program a query."""
    digits = mnist.bundled(0)
    train, test = digits[:800], digits[1001:1201]
    pca = PCA(5, svd_solver="full").fit(train.x.double().numpy())
    known, asked = pca.transform(train.x.double().numpy()), pca.transform(test.x.double().numpy())
    accuracy = KNeighborsClassifier(1).fit(known, train.y.numpy()).score(asked, test.y.numpy())
    inside = np.mean([hull.by_linear_program(known, point) for point in asked[:50]])
    cell = smoke.sel(num_train=800, dimension=5).isel(seed=0)
    assert float(cell.accuracy) == pytest.approx(accuracy)
    assert float(cell.inside) == pytest.approx(inside)


def test_low_rank_pixels_are_the_components_again(smoke: xr.Dataset) -> None:
    alone = hm.judged(smoke).sel(dimension=5)
    np.testing.assert_allclose(smoke.inside_low_rank, alone.inside)
    np.testing.assert_allclose(smoke.accuracy_low_rank, alone.accuracy, atol=0.011)


def test_checks_see_both_answers_and_the_box_is_another_test(smoke: xr.Dataset) -> None:
    assert (smoke.asked == 3).all()
    assert (smoke.agreed == smoke.asked).all()
    assert (smoke.lp_inside >= 1).all()
    assert int(smoke.box_agreed.sum()) < int(smoke.asked.sum())


def test_decide_twice_by_hand() -> None:
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).double()
    asked = torch.tensor([[0.2, 0.2], [0.9, 0.9], [2.0, 2.0]]).double()
    counted = digit_hulls.decide_twice(corners, asked, torch.Generator().manual_seed(0))
    assert counted == (4, 2, 4, 3)  # a mixture is added; the box takes (0.9, 0.9) for inside


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_train", 500),
        ("other_counts", (700,)),
        ("components", (2, 5, 16)),
        ("components", (5, 32, 16)),
        ("low_rank", 7),
        ("num_queries", 0),
        ("checked", (11,)),
        ("num_checked", 0),
        ("num_seeds", 0),
    ],
)
def test_bad_config_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field if field != "low_rank" else "components"):
        hm.Config(**{field: value})


def test_claims_fail_where_they_should(smoke: xr.Dataset) -> None:
    empty, pixels, accuracy, exact = hm.CLAIMS
    assert empty.check(smoke).holds
    assert not empty.check(smoke.assign(inside=smoke.inside * 0 + 0.006)).holds
    assert not pixels.check(smoke.assign(inside=smoke.inside * 0 + 0.001)).holds
    assert not accuracy.check(smoke.assign(accuracy=smoke.accuracy * 0 + 0.92)).holds
    assert accuracy.check(smoke.assign(accuracy=smoke.accuracy * 0 + 0.94)).holds
    assert exact.check(smoke).holds
    assert not exact.check(smoke.assign(agreed=smoke.agreed - 1)).holds
    for claim in (empty, pixels):
        changed = claim.control.change(smoke)  # type: ignore[misc]
        assert not claim.check(changed).holds
        assert claim.control.manipulation(changed).holds
