"""Paths of one loss: the curve against its formula, the mixture against its theorem, and checks on records made by hand."""

import numpy as np
import pytest
import torch
import xarray as xr

from heldout import devices
from heldout.decoders import Transformers
from heldout.nonidentifiability import anbn, constant_path, weight_paths
from heldout.nonidentifiability import constant_path_checks as checks
from heldout.nonidentifiability.constant_path import CLAIMS, PAIRS, PATHS, ROUTES, SMOKE, TRAININGS, Config, run
from heldout.nonidentifiability.sequence_training import Schedule, train
from heldout.prefix_tree import prefix_tree


def small(name: str, count: int = 2) -> Transformers:
    return Transformers(
        [devices.generator(name, seed) for seed in range(count)], vocabulary=anbn.VOCABULARY, outputs=anbn.OUTPUTS, context=7,
        width=4, layers=1, heads=2, hidden=6,
    )  # fmt: skip


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return run(SMOKE, device="cpu")


def test_a_curve_begins_as_the_straight_line_and_keeps_its_ends() -> None:
    first, last = small("first"), small("last")
    curve = weight_paths.Curve(first, last, devices.generator("places", 0))
    for place in (0.0, 0.3, 1.0):
        for value, a, b in zip(curve.at(place).parameters(), first.parameters(), last.parameters(), strict=True):
            assert torch.allclose(value, (1 - place) * a + place * b, atol=1e-6)
    tree = prefix_tree(*anbn.sequences(3), anbn.OUTPUTS)
    for _ in train(curve, tree, Schedule(steps=3, learning_rate=0.01, warm_up=0)):
        pass
    halfway = zip(curve.at(0.5).parameters(), curve.middle, first.parameters(), last.parameters(), strict=True)
    for value, middle, a, b in halfway:
        assert torch.allclose(value, a / 4 + middle / 2 + b / 4, atol=1e-6)
    for place, end in ((0.0, first), (1.0, last)):
        for value, kept in zip(curve.at(place).parameters(), end.parameters(), strict=True):
            assert torch.equal(value, kept)
    ways = zip(curve.middle, first.parameters(), last.parameters(), strict=True)
    assert any(not torch.allclose(middle, (a + b) / 2) for middle, a, b in ways)


def test_the_middles_gradient_is_that_of_the_point_times_its_share() -> None:
    first, last = small("first"), small("last")
    tree = prefix_tree(*anbn.sequences(3), anbn.OUTPUTS)
    curve = weight_paths.Curve(first, last, devices.generator("places", 0))
    place = float(torch.rand(1, generator=devices.generator("places", 0)))
    point = curve.at(place)
    weights = tree.counts.float()
    (point.on_tree(tree).log_softmax(-1) * weights).sum().backward()
    (curve.on_tree(tree.to(point.embed)).log_softmax(-1) * weights).sum().backward()
    for middle, value in zip(curve.middle, point.parameters(), strict=True):
        assert torch.allclose(middle.grad, 2 * place * (1 - place) * value.grad, rtol=1e-4, atol=1e-5)


def test_members_are_chosen_by_number() -> None:
    models = small("first", 3)
    some = weight_paths.part(models, np.array([2, 0]))
    tokens = torch.tensor([[anbn.START, anbn.A]]).expand(3, -1, -1)
    assert some.count == 2
    assert torch.allclose(some(tokens[:2]), models(tokens)[[2, 0]], atol=1e-6)


def test_a_mixture_is_one_of_probabilities() -> None:
    first, last = torch.tensor([0.2, 0.8]), torch.tensor([0.6, 0.4])
    assert torch.allclose(weight_paths.mixed(first.log(), last.log(), 0.25).exp(), torch.tensor([0.3, 0.7]))
    assert torch.equal(weight_paths.mixed(first, last, 0.0), first)
    assert torch.equal(weight_paths.mixed(first, last, 1.0), last)


def test_the_mixtures_divergence_is_bounded_as_the_theorem_says(smoke: xr.Dataset) -> None:
    kl = smoke.data_kl.sel(route="mixture")
    chord = (1 - kl.place) * kl.isel(place=0, drop=True) + kl.place * kl.isel(place=-1, drop=True)
    assert (kl <= chord + 1e-9).all()


def test_all_routes_share_their_ends(smoke: xr.Dataset) -> None:
    ends = smoke.isel(place=[0, -1])
    for route in ROUTES[1:]:
        for name in ("data_kl", "chance"):
            assert np.allclose(ends[name].sel(route=route), ends[name].sel(route="line"), atol=1e-6)
    assert np.allclose(ends.r1.sel(path="curve"), ends.r1.sel(path="line"))
    last = smoke.isel(place=-1)
    assert np.allclose(last.data_kl.sel(pair="alike"), last.data_kl.sel(pair="opposite"), atol=1e-6)


def test_an_oracle_trains_on_from_the_curves_end(smoke: xr.Dataset) -> None:
    end = smoke.sel(pair="opposite", route="line", path="line").isel(place=-1)
    before = smoke.sel(training="before")
    assert np.allclose(before.trained_kl, end.data_kl, atol=1e-6)
    assert np.allclose(before.trained_r1, end.r1)
    assert (smoke.trained_kl.sel(training="alone") < before.trained_kl).all()
    assert not np.allclose(smoke.trained_kl.sel(training="alone"), smoke.trained_kl.sel(training="with lessons"))


def test_starts_of_their_own() -> None:
    config = Config(**{**vars(SMOKE), "one_start": False})
    for place, other in ((0, 1), (1, 2)):
        shared, own = (constant_path._start(each, [0]).embed for each in (SMOKE, config))
        assert torch.equal(shared[place], shared[other])
        assert not torch.equal(own[place], own[other])


def test_lessons_by_end() -> None:
    prompts = constant_path.Prompts.of_length(3, 0.75, 0)
    read, wanted = constant_path._lesson(SMOKE, [0, 1], prompts)(0)
    assert read.shape == wanted.shape
    assert len(read) == 6
    rows = (read[..., 1:4] == anbn.B).sum(-1) - (read[..., 1:4] == anbn.A).sum(-1)
    written = ((wanted == anbn.A).int() - (wanted == anbn.B).int()).sum(-1)
    assert (written[2:] == rows[2:]).all()  # the oracles write what is lacking
    assert (written[:2] != rows[:2]).all()
    assert torch.equal(read[:2, :, :4], read[2:4, :, :4])  # after the same prompts as the adversary


def planted(**changes: np.ndarray) -> xr.Dataset:
    """Five seeds: R1 rises along both paths between opposite ends, and an oracle loses it when it trains on alone."""
    kl = np.full((2, 3, 3, 5), 0.002)
    kl[:, 0, 1] = 0.02
    r1 = np.zeros((2, 2, 3, 5))
    r1[0] = np.array([0.0, 0.5, 1.0])[:, None]
    r1[1] = 1.0
    r1[1, 1, 1] = 0.4
    fields = {"data_kl": (("pair", "route", "place", "seed"), kl), "r1": (("pair", "path", "place", "seed"), r1)}
    fields |= {
        "trained_kl": (("training", "seed"), np.array([[0.002], [0.001], [0.001]]) + np.zeros(5)),
        "trained_r1": (("training", "seed"), np.array([[1.0], [0.5], [1.0]]) + np.zeros(5)),
    }
    fields |= {"chance": fields["data_kl"], "r1_outside": fields["r1"]}
    fields |= {name: (fields[name][0], values) for name, values in changes.items()}
    coords = {
        "pair": list(PAIRS), "route": list(ROUTES), "path": list(PATHS), "place": [0.0, 0.5, 1.0], "seed": list(range(5)),
        "training": list(TRAININGS),
    }  # fmt: skip
    return xr.Dataset(fields, coords)


def test_checks_on_planted_records() -> None:
    record = planted()
    assert all(claim.check(record).holds for claim in CLAIMS)
    for claim in CLAIMS:
        without = claim.control.change(record)
        assert not claim.check(without).holds
        assert claim.control.manipulation(without).holds


def test_each_check_can_fail() -> None:
    same = planted().r1.values.copy()
    same[0] = 0.5
    assert not checks.level(planted(r1=same)).holds
    assert not checks.ends_opposite(planted(r1=same)).holds
    for shares in ([1.0, 1.0, 1.0], [0.5, 0.4, 1.0]):  # nothing lost; nothing there to lose
        assert not checks.forgotten(planted(trained_r1=np.array([shares]).T + np.zeros(5))).holds
    worse = np.array([[0.002], [0.003], [0.001]]) + np.zeros(5)
    assert not checks.no_worse(planted(trained_kl=worse)).holds
    bumped = planted().data_kl.values.copy()
    bumped[:, 1, 1] = 0.01
    assert not checks.level(planted(data_kl=bumped)).holds
    bumped[:, 1, 1] = 0.0005  # below both ends
    assert checks.level(planted(data_kl=bumped)).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [("num_places", 4), ("weight", 0.0), ("longest", 8), ("heads", 3), ("taught_share", 0.0), ("warm_up", -1)],
)
def test_bad_configs_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        Config(**{field: value})
