"""Gradients in closed form against autograd, clusters of a hand-made matrix, planted records, bad sizes."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.quanta import known_quanta, known_quanta_checks, sample_gradients
from heldout.quanta.parity import Batch, random_tasks, zipf
from heldout.quanta.parity_networks import ParityMLP


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return known_quanta.run(known_quanta.SMOKE)


def by_autograd(network: ParityMLP, batch, *, loss: bool, rows: bool) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """One gradient a sample, in float64."""
    parts = [network.bits, network.bias, network.readout, *([network.embed] if rows else [])]
    gradients = []
    for task, bits, label in zip(*batch, strict=True):
        logit = network(task[None], bits[None].double())
        value = functional.binary_cross_entropy_with_logits(logit, label[None].double()) if loss else logit.sum()
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(value, parts)]))
    return torch.stack(gradients)


@pytest.mark.parametrize(
    ("name", "loss", "rows", "absolute"),
    [
        ("published", True, False, False), ("published_rows", True, True, False), ("logit", False, False, False),
        ("absolute", True, False, True), ("absolute_rows", True, True, True),
    ],
)  # fmt: skip
def test_cosines_against_autograd(name: str, loss: bool, rows: bool, absolute: bool) -> None:
    tasks = random_tasks(3, 4, 6, 2, zipf(4, -1.0))
    batch = tasks.balanced(3, np.random.default_rng(0))
    network = ParityMLP(4, 6, 10, generator=torch.Generator().manual_seed(1)).double()
    gradients = by_autograd(network, batch, loss=loss, rows=rows)
    expected = functional.normalize(gradients.abs() if absolute else gradients, dim=1)
    parameters = {key: value.detach() for key, value in network.named_parameters()}
    torch.testing.assert_close(sample_gradients.cosines(parameters, batch)[name], expected @ expected.T)


def test_signs_are_those_of_the_labels() -> None:
    batch = random_tasks(3, 4, 6, 2, zipf(4, -1.0)).balanced(5, np.random.default_rng(0))
    network = ParityMLP(4, 6, 10, generator=torch.Generator().manual_seed(1))
    found = sample_gradients.cosines({key: value.detach() for key, value in network.named_parameters()}, batch)
    sign = (1 - 2 * batch.label).double()
    torch.testing.assert_close(found["published"], torch.outer(sign, sign) * found["logit"])
    torch.testing.assert_close(found["unsigned"], found["published"].abs())


def test_mean_cosine_is_the_distance_of_the_two_mean_directions() -> None:
    """The page's proposition, over all strings of bits of one task."""
    bits = torch.tensor(list(product([-1.0, 1.0], repeat=6)))
    batch = Batch(torch.zeros(64, dtype=torch.int64), bits, (bits[:, 0] * bits[:, 2] < 0).float())
    network = ParityMLP(1, 6, 20, generator=torch.Generator().manual_seed(2)).double()
    directions = functional.normalize(by_autograd(network, batch, loss=False, rows=False), dim=1)
    odd, even = directions[batch.label > 0].mean(0), directions[batch.label == 0].mean(0)
    found = sample_gradients.cosines({key: value.detach() for key, value in network.named_parameters()}, batch)
    torch.testing.assert_close(found["published"].mean(), (odd - even).square().sum() / 4)
    torch.testing.assert_close(found["logit"].mean(), (odd + even).square().sum() / 4)


def test_errors_turn_cosines_of_different_labels(record: xr.Dataset) -> None:
    of = {name: record.sel(similarity=name) for name in ("published", "logit")}
    np.testing.assert_allclose(of["published"].agree, of["logit"].agree)
    np.testing.assert_allclose(of["published"].oppose, -of["logit"].oppose)


def test_angles_and_clusters_by_hand() -> None:
    cosine = torch.tensor([[1.0, 0.0, -1.0], [0.0, 1.0, 0.5], [-1.0, 0.5, 1.0]], dtype=torch.float64)
    np.testing.assert_allclose(sample_gradients.angular(cosine), [[1, 0.5, 0], [0.5, 1, 2 / 3], [0, 2 / 3, 1]])
    blocks = np.kron(np.eye(3), np.ones((4, 4))) * 0.6 + 0.3
    found = sample_gradients.clusters(blocks, 3, 5).reshape(3, 4)
    assert (found == found[:, :1]).all()
    assert len(set(found[:, 0])) == 3


def test_closed_units_stay_closed_and_sharing_is_nested(record: xr.Dataset) -> None:
    opened = [known_quanta._network(known_quanta.SMOKE, 0, share).embed > -1 for share in (0.0, 0.3, 1.0)]
    assert (opened[0].sum(0) == 1).all()
    assert not (opened[0] & ~opened[1]).any()
    assert opened[2].all()
    private = record.sel(sharing=0.0)
    assert float(abs(private.between.sel(similarity="absolute")).max()) == 0
    assert float(private.within.sel(similarity="absolute").min()) > 0.2


def test_what_smoke_finds(record: xr.Dataset) -> None:
    assert float(record.accuracy.sel(stage="before").mean()) == pytest.approx(0.5, abs=0.1)
    assert float(record.accuracy.sel(stage="after").mean()) > 0.95
    assert float(abs(record.shuffled).mean()) < 0.05
    np.testing.assert_allclose(record.ari.sel(similarity="rows", stage="before", sharing=1.0), 1.0)


def planted(published: float, absolute: float, shared: float, accuracy: float = 1.0) -> xr.Dataset:
    names = list(sample_gradients.SIMILARITIES)
    ari = np.full((3, 2, 2, len(names)), absolute)
    ari[:, :, :, names.index("published")] = published
    ari[:, 1, :, :-1] = shared
    within = np.full_like(ari, 0.4)
    within[..., names.index("published")] = published / 10
    dims = ("seed", "sharing", "stage", "similarity")
    return xr.Dataset(
        {
            "ari": (dims, ari), "within": (dims, within),
            "accuracy": (("stage", "seed", "sharing", "task"), np.full((2, 3, 2, 4), accuracy)),
        },
        {"sharing": [0.0, 1.0], "stage": ["before", "after"], "similarity": names},
    )  # fmt: skip


def test_checks_fail_on_planted_records() -> None:
    checks = known_quanta_checks
    fine = planted(0.1, 1.0, 0.02)
    judged = (
        checks.passes_disjoint, checks.published_fails, checks.signs_cancel, checks.none_in_shared,
        checks.untrained_passes, checks.rows_give_away,
    )  # fmt: skip
    assert all(check(fine).holds for check in judged)
    assert not checks.passes_disjoint(planted(0.1, 0.5, 0.02)).holds
    assert not checks.untrained_passes(planted(0.1, 0.5, 0.02)).holds
    assert not checks.rows_give_away(planted(0.1, 0.9, 0.02)).holds
    assert not checks.published_fails(planted(0.8, 1.0, 0.02)).holds
    assert not checks.signs_cancel(planted(0.8, 1.0, 0.02)).holds
    assert not checks.none_in_shared(planted(0.1, 1.0, 0.3)).holds
    unlearned = planted(0.1, 1.0, 0.02, accuracy=0.6)
    assert not any(check(unlearned).holds for check in (judged[0], judged[1], judged[3], checks.all_learned))
    fine.accuracy.loc[{"stage": "after", "seed": 0}] = 0.9
    one_out = checks.published_fails(fine)
    assert not one_out.holds
    assert (one_out.low, one_out.high) == (0.1, 0.1)
    assert not checks.nothing_learned(fine).holds


def test_expected_overlap_by_counting() -> None:
    """Against a direct count of open units, many of them."""
    random, tasks, units, share = np.random.default_rng(0), 5, 200_000, 0.3
    own = np.arange(units) % tasks == np.arange(tasks)[:, None]
    opened = own | (random.random(own.shape) < share)
    counted = (opened[0] & opened[1]).sum() / opened[0].sum()
    assert float(known_quanta_checks.expected_overlap(xr.DataArray(share), tasks)) == pytest.approx(counted, rel=0.02)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_tasks", 1), ("subset_size", 13), ("units_per_task", 0), ("sharing", (0.5, 0.1)), ("sharing", ()),
        ("sharing", (0.0, 1.5)), ("batch_size", 0), ("steps", 0), ("learning_rate", 0.0), ("samples_per_task", 1),
        ("clusters_per_task", 20), ("restarts", 0), ("held_out_per_task", 0), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(known_quanta.SMOKE, **{field: value})
