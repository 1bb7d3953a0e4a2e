"""Geometry and exchanges against the same worked out name by name, the run's record, and planted records for the checks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.connecting_dots import world, world_checks
from heldout.connecting_dots.named_functions import NAMED, Lines
from heldout.connecting_dots.pretraining import Pretrained, accuracy, pretrain
from heldout.connecting_dots.world_measures import changed_at_depths, exchange, geometry, on_the_way, partners

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained() -> Pretrained:
    recipe = replace(world.SMOKE, width=16, heads=4, hidden=32, steps=200, batch=64, learning_rate=1e-2)
    return pretrain(recipe, [0, 1], device=CPU, dtype=torch.float64)


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return world.run(world.SMOKE)


def test_rows_at_the_embedding_by_hand(trained: Pretrained) -> None:
    found = geometry(trained, [language.defined for language in trained.languages])
    for member, language in enumerate(trained.languages):
        table = trained.models.embed.detach()[member]
        seen = [name for f in language.seen for name in language.names(f)]
        rows = {
            name: functional.normalize(table[name] - table[seen].mean(0), dim=0)
            for f in language.defined for name in language.names(f)
        }  # fmt: skip
        owner = {name: f for f in language.defined for name in language.names(f)}
        within, between, met = [], [], []
        for name, row in rows.items():
            cosines = {other: float(row @ rows[other]) for other in rows if other != name}
            within += [value for other, value in cosines.items() if owner[other] == owner[name]]
            between += [value for other, value in cosines.items() if owner[other] != owner[name]]
            met.append(owner[max(cosines, key=lambda other: cosines[other])] == owner[name])
        assert float(found.within[0, member]) == pytest.approx(np.mean(within), abs=1e-10)
        assert float(found.between[0, member]) == pytest.approx(np.mean(between), abs=1e-10)
        assert float(found.nearest[0, member]) == pytest.approx(np.mean(met), abs=1e-10)


def test_partners_form_a_cycle(trained: Pretrained) -> None:
    language = trained.languages[0]
    pairs = partners(language, 0)
    assert sorted(f for f, _ in pairs) == sorted(g for _, g in pairs) == sorted(language.defined)
    assert all(f != g for f, g in pairs)


@pytest.mark.parametrize("task", NAMED)
def test_an_exchanged_row_equals_a_changed_table(trained: Pretrained, task: str) -> None:
    """Put the other function's mean row into the table itself, then ask the ordinary decoder."""
    swap = exchange(trained, [0, 1], task)
    found = changed_at_depths(trained, swap)
    for member, (language, seed) in enumerate(zip(trained.languages, (0, 1), strict=True)):
        own, other, count = 0.0, 0.0, 0
        for f, g in partners(language, seed):
            name = language.names(f)[0]
            changed = trained.models.select([member])
            with torch.no_grad():
                changed.embed[0, name] = changed.embed[0, list(language.names(g))].mean(0)
            parts = [language.lines(task, [about], torch.tensor([[name]])) for about in (f, g)]
            differ = (parts[0].targets != parts[1].targets).any(1)
            rights = []
            for lines in parts:
                best = changed(lines.tokens[None])[0].argmax(-1)
                rights.append(((best == lines.targets) | (lines.targets < 0)).all(1))
            own, other, count = (
                own + float(rights[0][differ].sum()),
                other + float(rights[1][differ].sum()),
                count + int(differ.sum()),
            )
        assert float(found["own"][0, member]) == pytest.approx(own / count)
        assert float(found["other"][0, member]) == pytest.approx(other / count)


def test_the_way_begins_and_ends_where_it_should(trained: Pretrained) -> None:
    swap = exchange(trained, [0, 1], "apply")
    way, ends = on_the_way(trained, swap, [0.0, 0.5, 1.0]), changed_at_depths(trained, swap)
    language = trained.languages[0]
    assert way["other"].shape == (3, 2, len(language.defined))
    weight = swap.differ.view(2, len(language.defined), -1).sum(2)
    total = (way["other"][2] * weight).sum(1) / weight.sum(1)
    torch.testing.assert_close(total, ends["other"][0], rtol=1e-6, atol=1e-6)
    counted = Lines.joined(list(swap.own))
    assert len(counted) == 2 * len(language.defined) * language.modulus


def test_the_record(record: xr.Dataset) -> None:
    found = pretrain(world.SMOKE, [0, 1], device=CPU)
    own = accuracy(found.models, found.languages, [language.undefined for language in found.languages])
    mine = record.accuracy.sel(group="undefined", task="invert").values
    np.testing.assert_allclose(mine, own["invert"].mean((1, 2, 3)))
    assert record.way.sizes["share"] == world.SMOKE.moves
    for variable in record.data_vars.values():
        assert variable.attrs["long_name"]
    assert world_checks.chance(record) == pytest.approx(1 / 3)


def planted(
    known: float = 1.0, define: float = 1.0, undefined: float = 0.0, computed: float = 1.0, nearest: float = 1.0,
    other: float = 1.0, later: float = 0.02, stays: float = 0.9,
) -> xr.Dataset:  # fmt: skip
    """Three equal seeds with two depths."""
    accuracy = np.full((3, 4, 3), known)
    accuracy[0, 1], accuracy[1, 1] = define, undefined
    accuracy[1, [0, 2, 3]], accuracy[2] = computed, 0.1
    follows = np.zeros((4, 2, 2, 3))
    follows[:, 1, 0], follows[:, 1, 1], follows[:, 0, 1] = other, later, stays
    near = np.full((3, 2, 3), nearest)
    near[2] = 0.4
    return xr.Dataset(
        {
            "accuracy": (("group", "task", "seed"), accuracy), "nearest": (("group", "depth", "seed"), near),
            "follows": (("task", "answer", "depth", "seed"), follows),
        },
        {"group": list(world.GROUPS), "task": list(NAMED), "answer": list(world.ANSWERS), "depth": [0, 1], "seed": range(3)},
    )  # fmt: skip


def test_checks_on_planted_records() -> None:
    fine, lesson = planted(), planted(define=0.0)
    for claim in world.CLAIMS:
        assert claim.check(fine).holds, claim.id
        changed = claim.control.change(fine) if claim.control.change else lesson
        assert not claim.check(changed).holds, claim.id
        assert claim.control.manipulation(changed).holds, claim.id
    for bad, name in (
        (planted(known=0.97), "learned"), (planted(define=0.97), "learned"), (planted(known=0.9), "applied"),
        (planted(nearest=0.9), "synonyms_meet"), (planted(other=0.9), "row_decides"), (planted(undefined=0.5), "cannot_say"),
        (planted(computed=0.9), "cannot_say"), (planted(computed=0.9), "computes"),
    ):  # fmt: skip
        assert not getattr(world_checks, name)(bad).holds, name
    assert not world_checks.stays_itself(world_checks.one_layer_later(planted(stays=0.4))).holds


@pytest.mark.parametrize(
    ("field", "value"), [("moves", 1), ("num_seeds", 0), ("undefined", 1), ("unseen", 0), ("synonyms", 1), ("heads", 3)]
)
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(world.SMOKE, **{field: value})
