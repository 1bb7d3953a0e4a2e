"""The two languages by hand, training against plain PyTorch, the record against counting, and planted records for the checks."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.connecting_dots import two_languages, two_languages_checks
from heldout.connecting_dots import two_languages_world as world
from heldout.connecting_dots.explore import two_languages as explore
from heldout.connecting_dots.two_languages_measures import by_cell, problems_in, story_losses
from heldout.connecting_dots.two_languages_training import (
    CONDITIONS,
    UNTRAINED,
    batch_of,
    later,
    meanings,
    noisy_loss,
    pretrain,
    taught_cells,
    told,
)  # fmt: skip
from heldout.connecting_dots.two_languages_world import A, B
from heldout.devices import generator
from heldout.figures.explorable import Explorable

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return two_languages.run(two_languages.SMOKE)


def one(**fields: int) -> world.Events:
    """One event: person 0 has 5 of noun 1, and loses 2 to person 3, by the last of the verbs."""
    given = {"who": 0, "other": 3, "has": 2, "x": 5, "noun": 1, "operation": 4, "synonym": 3, "kind": 0} | fields
    return world.Events(**{name: torch.tensor(value) for name, value in given.items()})


def test_lines_by_hand() -> None:
    assert world.VOCABULARY == 110
    opening = [0, world.has(B, 2), world.numeral(5), world.noun(B, 1), world.verb(B, 4, 3), 3]
    story = [*opening, world.WHAT_HAPPENED, 3, world.kind(B, 1, 0), world.noun(B, 1)]
    assert one().stories(B).tolist() == story
    assert one().sums(B).tolist()[6:9] == [world.HOW_MANY, world.numeral(3), world.noun(B, 1)]
    assert one(operation=1).stories(A).tolist()[7] == 0, "who gains keeps it"
    assert one(operation=1).sums(A).tolist()[7] == world.numeral(7)
    words = [
        word
        for language in (A, B)
        for word in (
            *(world.noun(language, n) for n in range(4)), *(world.kind(language, s, k) for s in range(3) for k in range(4)),
            *(world.has(language, n) for n in range(3)), *(world.verb(language, o, s) for o in range(6) for s in range(4)),
        )
    ]  # fmt: skip
    assert sorted(words) == (world.own_words(A) | world.own_words(B)).nonzero()[:, 0].tolist()
    assert len(set(words)) == len(words) == 86


def test_no_story_tells_how_many_are_left() -> None:
    lines = world.drawn_events(generator("test", 0), 500).stories(A)
    numerals = (lines >= world.PEOPLE) & (lines < world.PEOPLE + world.NUMERALS)
    assert (numerals.sum(1) == 1).all()
    assert numerals[:, world.X_PLACE].all()


def test_words_in_common_and_exchanged() -> None:
    quarter = world.shared_words(0.25)
    assert quarter[world.noun(B, 0)] == world.noun(A, 0)
    assert quarter[world.noun(B, 1)] == world.noun(B, 1)
    assert (quarter != torch.arange(world.VOCABULARY)).sum() == 4
    assert (world.shared_words(0.0) == torch.arange(world.VOCABULARY)).all()
    meaning = torch.tensor([1, 2, 3, 4, 5, 0])
    table = world.exchanged_verbs(meaning)
    assert table[world.verb(B, 1, 2)] == world.verb(B, 0, 2), "verbs of operation 0 are used for operation 1"
    for seed in range(20):
        assert (meanings(seed) != torch.arange(6)).all()
    events = one(operation=int(meanings(0)[2]))
    assert told(events, "verbs exchanged", 0)[world.VERB_PLACE] == world.verb(B, 2, 3)
    assert told(events, "half shared", 0)[world.VERB_PLACE] == world.verb(B, int(meanings(0)[2]), 3)


def test_taught_and_held_out_cells() -> None:
    taught, hidden = taught_cells(two_languages.BOOK, 7)
    assert len(taught) == 54
    assert hidden[:, 0].tolist() == list(range(6))
    assert by_cell(torch.cat([taught, hidden])).all()


def test_the_loss_against_plain_cross_entropy() -> None:
    models, _ = pretrain(two_languages.SMOKE, [0, 1], device=CPU)
    events = world.drawn_events(generator("test", 1), 2, 5)
    batch = batch_of(events.sums(A), events.stories(A))
    found = noisy_loss(models, batch, [], None)
    for member in range(2):
        lines = torch.cat([events.sums(A)[member], events.stories(A)[member]])
        logits = models(lines[:, :9].expand(2, -1, -1))[member]
        wanted = [
            functional.cross_entropy(logits[row, place], lines[row, place + 1])
            for row in range(10)
            for place in range(6, 8 if row < 5 else 9)
        ]
        assert found[member].item() == pytest.approx(torch.stack(wanted).mean().item(), rel=1e-5)


def test_only_words_of_b_change() -> None:
    config = two_languages.SMOKE
    models, _ = pretrain(config, [0, 1], device=CPU)
    students = later(models, config, [0, 1], ["quarter shared", UNTRAINED])
    mine = world.own_words(B)
    for name, before in models.named_parameters():
        after = dict(students.named_parameters())[name]
        if name == "embed":
            torch.testing.assert_close(after[:2, ~mine], before[:, ~mine], rtol=0, atol=0)
            assert (after[:2, world.verb(B, 0, 0)] != after[2:, world.verb(B, 0, 0)]).any()
        elif name.startswith("unembed"):
            kept = ~mine[: world.ANSWERABLE]
            torch.testing.assert_close(after[:2, ..., kept], before[..., kept], rtol=0, atol=0)
        else:
            torch.testing.assert_close(after, before.repeat(2, *[1] * (before.ndim - 1)), rtol=0, atol=0)
    alone = later(models.select([1]), config, [1], ["quarter shared"])
    torch.testing.assert_close(alone.embed[0], students.embed[1], rtol=1e-3, atol=1e-5)


def test_the_record_against_counting(record: xr.Dataset) -> None:
    """Answer every sum of one member token by token, and count."""
    config, seeds = two_languages.SMOKE, [0, 1]
    models, _ = pretrain(config, seeds, device=CPU)
    students = later(models, config, seeds, config.conditions)
    member = 1 * 2 + 1  # quarter shared, the second seed
    lines = problems_in(B, seeds, config.conditions)[member]
    assert (lines[:, world.NOUN_PLACE] >= world.noun(B, 2)).all()
    taught = by_cell(taught_cells(config, 1)[0])
    right, exact = [], []
    for line in lines.tolist():
        first = students(torch.tensor(line[:7]).expand(len(record.condition) * 2, 1, -1))[member, 0, -1].argmax()
        second = students(torch.tensor([*line[:7], int(first)]).expand(len(record.condition) * 2, 1, -1))[member, 0, -1]
        place = len(right)
        operation, x = divmod(place // world.SYNONYMS, world.INPUTS)
        good = int(first) == line[2] + world.CHANGES[operation]
        right.append(good and bool(taught[operation, x]))
        exact.append(right[-1] and int(second.argmax()) == line[3])
    own = record.isel(condition=1, seed=1)
    assert float(own.number) == pytest.approx(sum(right) / (54 * 4))
    assert float(own.exact) == pytest.approx(sum(exact) / (54 * 4))
    np.testing.assert_allclose(record.applied.sum("given"), 1, rtol=1e-5)
    np.testing.assert_allclose(record.loss.isel(condition=0), story_losses(students, B, seeds, config.conditions)[:2])


def planted(
    exact: float = 0.95, exchanged: float = 0.9, kept: float = 0.0, direction: float = 0.99, size: float = 0.33,
    valid: float = 0.95, known: float = 1.0, loss: float = 0.5, size_kept: float = 0.9, quarter: float = 0.99,
) -> xr.Dataset:  # fmt: skip
    """As many seeds of all conditions as the mean over seeds asks for, equal but for sizes with nothing shared."""
    seeds = two_languages_checks.MANY
    by = ("condition", "seed")
    names = list(CONDITIONS)
    values = {
        "exact": {"half shared": exact, "quarter shared": exact, "who at random": 0.5, "verbs at random": 0.2},
        "exchanged": {"verbs exchanged": exchanged}, "kept": {"verbs exchanged": kept, "half shared": exact},
        "direction": {"nothing shared": direction, "who at random": 0.5, "quarter shared": quarter},
        "size": {"nothing shared": size, "quarter shared": 0.95, "who at random": size_kept},
        "valid": {"verbs at random": valid}, "noun": {"verbs at random": 1.0},
    }  # fmt: skip
    data = {name: (by, [[part.get(each, 0.0)] * seeds for each in names]) for name, part in values.items()}
    data["size"][1][names.index("nothing shared")] = (size + np.where(np.arange(seeds) % 2, 0.2, -0.2)).tolist()
    losses = np.full((len(names), seeds, 3), 0.5)
    losses[names.index("verbs exchanged")] = loss
    coordinates = {"condition": names, "verbs": ["in sums", "in stories only"]}
    data["known"] = (("verbs", "seed"), np.full((2, seeds), known))
    return xr.Dataset(data | {"loss": ((*by, "answer"), losses)}, coordinates)


def test_checks_on_planted_records() -> None:
    fine = planted()
    for claim in two_languages.CLAIMS:
        assert claim.check(fine).holds, claim.id
        assert not claim.check(planted(known=0.9)).holds, claim.id
        assert claim.control.change is not None
        changed = claim.control.change(fine)
        assert not claim.check(changed).holds, claim.id
        assert claim.control.manipulation(changed).holds, claim.id
    size_left_open = next(c for c in two_languages.CLAIMS if c.id.endswith("size_left_open"))
    assert not size_left_open.check(fine.isel(seed=slice(1, None))).holds, "too few seeds"
    for bad, claim in (
        (planted(exact=0.7), "stories_suffice"), (planted(exchanged=0.7), "wrong_operation"),
        (planted(kept=0.1), "wrong_operation"),
        (planted(direction=0.8), "direction"), (planted(size=0.7), "size_left_open"), (planted(size=0.42), "size_left_open"),
    ):  # fmt: skip
        assert not next(c for c in two_languages.CLAIMS if c.id.endswith(claim)).check(bad).holds, claim
    for bad, claim in (
        (planted(valid=0.5), "stories_suffice"), (planted(loss=0.52), "wrong_operation"), (planted(size_kept=0.4), "direction"),
        (planted(quarter=0.8), "size_left_open"),
    ):  # fmt: skip
        control = next(c for c in two_languages.CLAIMS if c.id.endswith(claim)).control
        assert control.change is not None
        assert not control.manipulation(control.change(bad)).holds, claim


def test_assignments_by_hand() -> None:
    changes = np.array(world.CHANGES)
    swapped, uneven = changes[[2, 1, 0, 5, 4, 3]], changes[[0, 1, 2, 4, 3, 5]]
    collapsed = changes[[0, 0, 1, 3, 4, 5]]
    favorite = np.repeat(np.stack([changes, swapped, uneven, collapsed])[None, :, :, None], 4, 3)
    own = xr.Dataset(
        {"favorite": (("condition", "seed", "operation", "synonym"), favorite)}, {"condition": ["nothing shared"]}
    )
    found = two_languages_checks.assignments(own)
    assert (found["one_to_one"], found["assigned_alike"], found["assigned_right"]) == (3, 2, 1)


def test_the_explorable_shows_the_record(record: xr.Dataset) -> None:
    shown = Explorable("frames", **explore.verbs(record)).data
    means = next(series for series in shown["series"] if series["name"] == "applies")
    drawn = np.array(means["values"], dtype=float)[1, 0]
    own = record.favorite.isel(condition=1, seed=0).values
    assert sorted(drawn[~np.isnan(drawn)]) == sorted(own.ravel().tolist())
    right = np.array(shown["lookups"]["right"]["values"])[1, 0]
    assert right == pytest.approx(float(record.number.isel(condition=1, seed=0)), rel=1e-5)


def test_the_matrices_are_the_record(record: xr.Dataset) -> None:
    axes = explore.matrices(record)
    squares = [np.asarray(image.get_array()) for image in axes.get_images()]
    assert len(squares) == len(explore.SHOWN)
    sizes = record["size"].sel(condition="nothing shared").values
    place = explore.typical(record)
    assert abs(sizes[place] - np.median(sizes)) == np.abs(sizes - np.median(sizes)).min()
    own = record.applied.sel(condition="verbs exchanged").isel(seed=place)
    for row, change in enumerate(sorted(world.CHANGES)):
        wanted = own.isel(operation=world.CHANGES.index(change), given=world.CHANGES.index(-1))
        assert squares[1][row, 2] == pytest.approx(float(wanted))
    plt.close(axes.get_figure(root=True))
    assert explore.in_words(record).count("diagonal") == 3


def test_the_question_asks_for_what_was_found(record: xr.Dataset) -> None:
    followed = record.assign(exchanged=xr.ones_like(record.exchanged))
    options = Explorable("choice", **explore.question(followed)).data["options"]
    assert [bool(option.get("correct")) for option in options] == [False, True, False]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_seeds", 0), ("heads", 3), ("steps", 0), ("noise", -0.1), ("held_out", 10), ("later_rate", 0.0), ("reread", -1),
        ("conditions", ()), ("conditions", ("stories",)), ("conditions", ("half shared", "half shared")),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(two_languages.SMOKE, **{field: value})


def test_bad_worlds_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="share"):
        world.shared_words(0.3)
    with pytest.raises(ValueError, match="meaning"):
        world.exchanged_verbs(torch.zeros(6, dtype=torch.long))
    for field, bad in (("cells", torch.zeros(0, 2)), ("synonyms", 5), ("first_noun", 4)):
        with pytest.raises(ValueError, match=field):
            world.drawn_events(generator("test", 2), 3, **{field: bad})  # type: ignore[arg-type]
