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
from heldout.connecting_dots.world_measures import (
    changed_at_depths,
    exchange,
    geometry,
    half_exchanged,
    on_the_way,
    partners,
    right_by_group,
    word_by_word,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained() -> Pretrained:
    recipe = replace(world.SMOKE, width=16, heads=4, hidden=32, steps=200, batch=64, learning_rate=1e-2)
    return pretrain(recipe, [0, 1], device=CPU, dtype=torch.float64)


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return world.run(world.SMOKE)


def test_rows_at_the_embedding_by_hand(trained: Pretrained) -> None:
    found = geometry(trained)
    for member, language in enumerate(trained.languages):
        table = trained.models.embed.detach()[member]
        shown = {name: f for f in language.seen for name in language.names(f)}
        rows = functional.normalize(table - table[list(shown)].mean(0), dim=1)
        names = {
            "defined": [language.names(f)[0] for f in language.defined],
            "silent": [language.names(f)[1] for f in language.defined],
            "undefined": [name for f in language.undefined for name in language.names(f)],
            "unseen": [name for f in language.unseen for name in language.names(f)],
        }
        for place, (group, own) in enumerate(names.items()):
            among = {name: f for f in language.unseen for name in language.names(f)} if group == "unseen" else shown
            within, between, met = [], [], []
            for name in own:
                cosines = {other: float(rows[name] @ rows[other]) for other in among if other != name}
                within += [value for other, value in cosines.items() if among[other] == among[name]]
                between += [value for other, value in cosines.items() if among[other] != among[name]]
                met.append(among[max(cosines, key=lambda other: cosines[other])] == among[name])
            assert float(found.within[place, 0, member]) == pytest.approx(np.mean(within), abs=1e-10)
            assert float(found.between[place, 0, member]) == pytest.approx(np.mean(between), abs=1e-10)
            assert float(found.nearest[place, 0, member]) == pytest.approx(np.mean(met), abs=1e-10)
        told = names["defined"]
        beside = [
            shown[max(told, key=lambda other: float(rows[name] @ rows[other]))] == shown[name]
            for name in names["silent"]
        ]
        assert float(found.beside_defined[0, member]) == pytest.approx(np.mean(beside))


def test_silent_names_are_those_left_out_of_definitions(trained: Pretrained) -> None:
    found = right_by_group(trained, NAMED)
    for member, language in enumerate(trained.languages):
        model = trained.models.select([member])
        for place, column in enumerate((0, 1)):
            names = torch.tensor([[language.names(f)[column]] for f in language.defined])
            lines = language.lines("define", language.defined, names)
            best = model(lines.tokens[None])[0].argmax(-1)
            right = ((best == lines.targets) | (lines.targets < 0)).all(1)
            assert float(found[place, NAMED.index("define"), member]) == pytest.approx(float(right.double().mean()))


def test_definitions_word_by_word(trained: Pretrained) -> None:
    """With the table itself changed, for each pair on its own."""
    found = word_by_word(trained, exchange(trained, [0, 1], "define"))
    for member, (language, seed) in enumerate(zip(trained.languages, (0, 1), strict=True)):
        counts = {(answer, word): [0.0, 0] for answer in ("own", "other") for word in (0, 1)}
        for f, g in partners(language, seed):
            name = language.names(f)[0]
            changed = trained.models.select([member])
            with torch.no_grad():
                changed.embed[0, name] = changed.embed[0, list(language.names(g))].mean(0)
            lines = language.lines("define", [g], torch.tensor([[name]]))
            written = changed(lines.tokens[None])[0, 0].argmax(-1)[lines.targets[0] >= 0].tolist()
            definitions = {"own": language.definitions[f].tolist(), "other": language.definitions[g].tolist()}
            for answer, word in counts:
                if definitions["own"][word] != definitions["other"][word]:
                    counts[answer, word][0] += written[word] == definitions[answer][word]
                    counts[answer, word][1] += 1
        for (answer, word), (right, count) in counts.items():
            assert float(found[answer][word, 0, member]) == pytest.approx(right / count)


def test_a_half_exchange_moves_half_of_the_row(trained: Pretrained) -> None:
    swap = exchange(trained, [0, 1], "apply")
    found = half_exchanged(trained, swap, [0, 1], draws=2)
    assert found.shape == (2, 2, len(trained.languages[0].defined))
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    same = replace(swap, given=swap.held)
    own = on_the_way(trained, swap, [0.0])
    torch.testing.assert_close(
        half_exchanged(trained, same, [0, 1], draws=1)[0],
        (1 + own["other"][0] - own["own"][0]) / 2,
        rtol=1e-6,
        atol=1e-6,
    )


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
    assert world_checks.chance_unseen(record) == pytest.approx(1 / 3)
    middle = world_checks.turning_points(record).sel(task="apply").isel(seed=1, pair=2)
    way = record.way.sel(task="apply").isel(seed=1, pair=2)
    by_hand = [
        (1 + float(a) - float(b)) / 2 for a, b in zip(way.sel(answer="own"), way.sel(answer="other"), strict=True)
    ]
    assert float(middle) == pytest.approx(np.mean(by_hand))


def planted(
    silent: float = 1.0, undefined: float = 0.0, computed: float = 1.0, beside: float = 1.0, half: float = 1.0,
    operation: float = 1.0, constant: float = 0.2,
) -> xr.Dataset:  # fmt: skip
    """Three equal seeds with two depths; a half exchange makes the other function answer in all tasks, in every second draw."""
    accuracy = np.ones((4, 4, 3))
    accuracy[1, 1], accuracy[2], accuracy[2, 1], accuracy[3] = silent, computed, undefined, 0.1
    words = np.ones((2, 2, 2, 3))  # answer, word, depth, seed
    words[0], words[1, 0, 1], words[1, 1, 1] = 0.0, operation, constant
    halves = np.zeros((4, 8, 3, 2))
    halves[:, ::2] = half
    return xr.Dataset(
        {
            "accuracy": (("group", "task", "seed"), accuracy), "beside_defined": (("depth", "seed"), np.full((2, 3), beside)),
            "words": (("answer", "word", "depth", "seed"), words), "half": (("task", "draw", "seed", "pair"), halves),
        },
        {
            "group": list(world.GROUPS), "task": list(NAMED), "answer": list(world.ANSWERS), "word": list(world.WORDS),
            "depth": [0, 1], "seed": range(3),
        },
    )  # fmt: skip


def test_checks_on_planted_records() -> None:
    fine, apart = planted(), planted(silent=0.1, beside=0.1)
    for claim in world.CLAIMS:
        assert claim.check(fine).holds, claim.id
        changed = claim.control.change(fine) if claim.control.change else apart
        assert not claim.check(changed).holds, claim.id
        assert claim.control.manipulation(changed).holds, claim.id
    for bad, name in (
        (planted(silent=0.9), "one_name_silent"), (planted(beside=0.8), "synonyms_meet"), (planted(computed=0.9), "computes"),
        (planted(undefined=0.5), "function_not_defined"), (planted(computed=0.9), "function_not_defined"),
        (planted(operation=0.8), "two_functions"), (planted(constant=0.6), "two_functions"),
        (planted(operation=0.8), "other_operation"), (planted(half=0.1), "either"),
    ):  # fmt: skip
        assert not getattr(world_checks, name)(bad).holds, name
    assert float(world_checks.apart(fine).max()) == 0
    far = fine.assign(half=fine.half * xr.DataArray([1.0, 1.0, 1.0, 0.0], {"task": list(NAMED)}))
    assert world_checks.apart(far).values == pytest.approx(
        [0.25] * 3
    )  # half of the pairs of tasks, in half of the draws


def test_the_control_has_no_common_task() -> None:
    for claim in world.CLAIMS[:2]:
        language = claim.control.config.language(0)
        told = {task: set(language.told(task)) for task in NAMED}
        assert told["apply"] == told["compose"]
        assert told["invert"] == told["define"]
        assert not told["apply"] & told["define"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("moves", 1),
        ("num_seeds", 0),
        ("draws", 0),
        ("undefined", 1),
        ("unseen", 0),
        ("synonyms", 1),
        ("heads", 3),
        ("left_out", ()),
    ],
)
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(world.SMOKE, **{field: value})
