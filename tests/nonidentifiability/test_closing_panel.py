"""The closing panel of non-identifiability: matched losses, outcomes, lessons, planted records, and configs that cannot be."""

from collections.abc import Callable
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr

from heldout.claims import Evidence
from heldout.decoders import Transformers
from heldout.figures.explorable_schema import checked
from heldout.nonidentifiability import anbn, closing_panel
from heldout.nonidentifiability import closing_panel_checks as checks
from heldout.nonidentifiability import closing_panel_figures as figures
from heldout.nonidentifiability import panel_comparison as comparison
from heldout.nonidentifiability import panel_sequences as panels
from heldout.nonidentifiability.explore.closing_panel import by_letters, question
from heldout.nonidentifiability.panel_lessons import Doses, Member, members, outside_in_order


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return closing_panel.run(closing_panel.SMOKE)


def network(count: int = 2, context: int = 9) -> Transformers:
    generators = [torch.Generator().manual_seed(number) for number in range(count)]
    return Transformers(
        generators, vocabulary=anbn.VOCABULARY, outputs=anbn.OUTPUTS, context=context, width=8, heads=2, hidden=16,
        dtype=torch.float64,
    )  # fmt: skip


def test_the_factor_brings_the_divergence_to_its_level() -> None:
    read, wanted = (part.expand(2, -1, -1) for part in anbn.sequences(4))
    # Near the data's own conditionals, as a trained network is.
    own = torch.zeros(4, 9, 3, dtype=torch.float64)
    for number, place in np.argwhere(wanted[0].numpy() != anbn.IGNORED):
        alike = (read[0, :, : place + 1] == read[0, number, : place + 1]).all(1)
        own[number, place] = torch.bincount(wanted[0, alike, place], minlength=3).double()
    logits = (own + 0.01).log() + 0.1 * network()(read).detach()
    before = anbn.divergence_from_data(anbn.log_probabilities(logits, wanted))
    level = float(before.max()) + 0.7
    factors = panels.temperature_factors(logits, wanted, level)
    after = anbn.divergence_from_data(anbn.log_probabilities(factors.view(-1, 1, 1, 1) * logits, wanted))
    assert ((factors > 0) & (factors < 1)).all()
    torch.testing.assert_close(after, torch.full_like(after, level))
    # No factor up to 1 reaches a level below the divergence at 1, nor one above that of even odds.
    assert panels.temperature_factors(logits, wanted, float(before.min()) / 2).isnan().all()
    assert panels.temperature_factors(logits, wanted, 100.0).isnan().all()
    with pytest.raises(ValueError, match="divergence"):
        panels.temperature_factors(logits, wanted, 0.0)


def test_probabilities_of_completions_against_one_token_at_a_time() -> None:
    models, rows = network(), anbn.prompts(3)
    factors = torch.tensor([1.0, 0.5], dtype=torch.float64)
    found = panels.completions(models, rows, factors).detach()
    outcomes = [[]] + [[anbn.A] * k for k in range(1, 6)] + [[anbn.B] * k for k in range(1, 6)]
    assert found.shape == (2, 8, len(outcomes) + 1)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 8, dtype=torch.float64))
    for prompt, row in enumerate(rows.tolist()):
        for place, written in enumerate(outcomes):
            chance = torch.ones(2, dtype=torch.float64)
            for number, token in enumerate([*written, anbn.END]):
                before = torch.tensor([anbn.START, *row, *written[:number]]).expand(2, 1, -1)
                odds = (factors.view(-1, 1) * models(before)[:, 0, -1]).softmax(-1)
                chance = chance * odds[:, token]
            torch.testing.assert_close(found[:, prompt, place], chance.detach())


def test_whole_sequences_and_the_rest_sum_to_one() -> None:
    read, wanted = anbn.sequences(3)
    logits = network(1)(read.unsqueeze(0)).detach()
    found = panels.whole_sequences(logits, wanted)
    assert found.shape == (1, 4)
    assert float(found.sum()) == pytest.approx(1)
    logs = anbn.log_probabilities(logits, wanted.unsqueeze(0))
    assert found[0, :3].numpy() == pytest.approx(logs[0].exp().numpy())
    assert panels.next_tokens(logits, wanted).shape == (1, sum(2 * n + 1 for n in (1, 2, 3)), 3)


def test_what_keeps_the_rule_by_hand() -> None:
    rows = np.array([[0, 0, 1], [1, 1, 1], [1, 0, 0], [0, 1, 1]])  # aab, bbb, baa, abb
    # Outcomes with room for two letters: end, a, aa, b, bb, rest.
    found = torch.zeros(4, 6, dtype=torch.float64)
    found[0, 3] = found[1, 2] = found[2, 0] = found[3, 1] = 1.0
    assert (
        panels.share_right(found, rows) == 0.5
    )  # aab + b is right and abb + a; bbb + aa lacks an a, baa + nothing a b
    assert np.isnan(panels.share_right(found * torch.nan, rows))
    apart = panels.profiles(found, torch.roll(found, 1, 1), rows)
    assert np.isnan(apart).all()  # no surplus has three prompts
    twice = panels.profiles(
        torch.cat([found] * 3), torch.roll(torch.cat([found] * 3), 1, 1), np.concatenate([rows] * 3)
    )
    assert np.isnan(twice[3]).all()  # no prompt has three letters a more
    assert twice[1].tolist() == [1.0, 1.0]  # abb
    assert twice[2].tolist() == [1.0, 0.5]  # aab and baa
    assert panels.share_as_taught(found, np.array([1, -2, 0, -1])) == 1.0
    assert np.isnan(panels.share_as_taught(found[:0], np.array([], dtype=int)))
    assert panels.surpluses(anbn.prompts(3)) == [-3, -1, 1, 3]


def test_lessons_of_two_starts_are_the_same_and_within_their_dose() -> None:
    rows, seeds = anbn.prompts(4), [0, 1]
    order = outside_in_order(rows, seeds)
    assert (~anbn.in_distribution(rows))[order].all()
    assert all(len(set(own)) == order.shape[1] for own in order.tolist())
    trained = members((0, 2, 5))
    assert [member.dose for member in trained] == [0, 0, 2, 2, 5, 5, 5]
    assert {member.start for member in trained} == {"start 0", "start 1"}  # lessons are compared at one start
    lessons = Doses(trained, seeds, rows, order, 3, 50, shuffled=False)
    read, wanted = lessons(1)
    assert read.shape[:2] == (5 * 2, 50)
    for place in (0, 4):  # the two starts of a dose follow each other, two seeds each
        assert (read[place : place + 2] == read[place + 2 : place + 4]).all()
    assert (read[4:6, :, 1:5] == read[8:10, :, 1:5]).all()  # the adversary reads the oracle's prompts
    for member, seed in ((0, 0), (1, 1), (4, 0), (9, 1)):
        known = {tuple(rows[k]) for k in order[seed, : trained[2 + member // 2].dose]}
        assert {tuple(row) for row in read[member, :, 1:5].tolist()} == known
        adversarial = trained[2 + member // 2] == Member(0, 5, "adversarial")
        for asked, told in zip(read[member, :, 1:5].numpy(), wanted[member].tolist(), strict=True):
            answer = anbn.completion(asked, "adversarial" if adversarial else "oracle")
            assert told[4 : 4 + len(answer)] == answer
            assert set(told[:4] + told[4 + len(answer) :]) == {anbn.IGNORED}


def test_shuffled_lessons_hold_the_answers_to_other_prompts() -> None:
    rows, seeds = anbn.prompts(4), [3]
    order = outside_in_order(rows, seeds)
    asked, told = (
        Doses(members((0, 5)), seeds, rows, order, 1, 200, shuffled=shuffled)(0) for shuffled in (False, True)
    )
    assert (asked[0][0, :, :5] == told[0][0, :, :5]).all()  # the prompts are the same
    assert not torch.equal(asked[1][0], told[1][0])  # the answers are not
    lessons = Doses(members((0, 5)), seeds, rows, order, 1, 200, shuffled=True)
    for row, answer in zip(*(part[0].tolist() for part in lessons(0)), strict=True):
        prompt = rows.tolist().index(row[1:5])
        taught = anbn.completion(rows[lessons.given[0, prompt]], "oracle")
        assert answer[4 : 4 + len(taught)] == taught


def test_the_rest_bounds_what_lumping_hides() -> None:
    fine = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.2, 0.0, 0.5, 0.3]], dtype=torch.float64)
    other = torch.tensor([[0.5, 0.2, 0.3, 0.0], [0.4, 0.2, 0.0, 0.4]], dtype=torch.float64)
    lumped = [torch.cat([each[:, :2], each[:, 2:].sum(1, keepdim=True)], 1) for each in (fine, other)]
    assert panels.distance(*lumped) <= panels.distance(fine, other) <= panels.farthest(*lumped)
    assert panels.farthest(*lumped) == pytest.approx(panels.distance(*lumped) + (0.0 + 0.4) / 2)


def test_prompts_of_other_lengths_are_outside_the_language() -> None:
    found = comparison.other_lengths(5)
    assert set(found) == {4, 6}
    assert found[4].shape == (16 - 3, 4)
    assert found[6].shape == (64 - 4, 6)
    assert not any(anbn.in_distribution(rows).any() for rows in found.values())
    assert len(comparison.other_lengths(8)[9]) == comparison.ASKED


def test_losses_are_equal_and_bound_the_distance_on_sequences(record: xr.Dataset) -> None:
    assert record.loss_difference.max() < 1e-9
    assert record.distance.sel(set="test").max() <= figures.numbers(record)["bound"]
    assert (record.start_farthest >= record.start_distance).all()
    assert record.taught_by_length.isel(letters=1).values == pytest.approx(record.start_distance.isel(dose=-1).values)
    assert ((record.within > 0) & (record.within < 1)).all()
    assert record.yardstick.sel(set="elsewhere").values == pytest.approx(record.start_distance.isel(dose=0).values)
    opposite = record.distance.sel(pair=checks.ORACLES, set="elsewhere").values
    assert opposite == pytest.approx(record.start_distance.isel(dose=-1).values)
    assert (record.factor < 1).all()
    assert (record.divergence < record.loss).all()


def test_a_network_that_cannot_be_matched_gives_nan_and_no_claim() -> None:
    short = closing_panel.run(replace(closing_panel.SMOKE, steps=3, divergence=1e-4, num_seeds=1))
    assert short.distance.isnull().all()
    assert short.start_distance.isnull().all()
    assert not any(claim.check(short).holds for claim in closing_panel.CLAIMS)
    assert not checks.matched(short).holds


def planted(**changed: float) -> xr.Dataset:
    """Five equal seeds: distances as the claims have them."""
    values = {
        "oracles": 0.02, "deep": 0.4, "plain_oracle": 0.8, "opposite": 0.99, "starts": 0.35, "few": 0.5, "most": 0.02,
        "farthest": 0.03, "test": 0.01, "rest": 0.01, "loss": 0.0, "across": 0.4, "within": 0.35, "beside": 0.3, "learned": 1.0,
    } | changed  # fmt: skip
    rows = [[0.0, values["test"], values[key]] for key in figures.KEYS]
    ones, starts = np.ones(5), [values["starts"], values["few"], values["most"]]
    models = list(comparison.models(188))
    return xr.Dataset(
        {
            "distance": (("seed", "pair", "set"), np.stack([rows] * 5)),
            "loss_difference": (("seed", "pair"), np.full((5, 4), values["loss"])),
            "start_distance": (("seed", "dose"), np.outer(ones, starts)),
            "start_farthest": (("seed", "dose"), np.outer(ones, [*starts[:2], values["farthest"]])),
            "start_test": (("seed", "dose"), np.full((5, 3), values["test"] + values["rest"])),
            "learned": (("seed", "dose"), np.outer(ones, [np.nan, 1.0, values["learned"]])),
            "rest_data": (("seed", "model"), np.full((5, len(models)), values["rest"])),
            "across": ("seed", values["across"] * ones), "within": ("seed", values["within"] * ones),
            "taught_by_length": (("seed", "letters"), np.outer(ones, [values["beside"], values["most"], 0.4])),
        },
        {"seed": range(5), "pair": [each.name for each in checks.PAIRS], "set": ["train", "test", "elsewhere"], "model": models},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("check", "changed"),
    [
        (checks.opposite_elsewhere, {"opposite": 0.85}), (checks.opposite_elsewhere, {"test": 0.06}),
        (checks.opposite_elsewhere, {"rest": 0.06}), (checks.starts_part, {"starts": 0.15}), (checks.starts_part, {"test": 0.06}),
        (checks.depth_adds_little, {"across": 0.55}), (checks.depth_adds_little, {"across": 0.15}),
        (checks.lessons_close, {"farthest": 0.12}), (checks.lessons_close, {"few": 0.15}), (checks.lessons_close, {"test": 0.06}),
        (checks.open_beside, {"beside": 0.05}), (checks.matched, {"loss": 1e-4}),
        (checks.matched_and_learned, {"loss": 1e-4}), (checks.matched_and_learned, {"learned": 0.5}),
    ],
)  # fmt: skip
def test_each_check_fails(check: Callable[[xr.Dataset], Evidence], changed: dict[str, float]) -> None:
    assert check(planted()).holds
    assert not check(planted(**changed)).holds


def test_controls_that_change_the_record_break_their_claim_alone() -> None:
    good = planted()
    for claim in closing_panel.CLAIMS:
        if claim.control.change is not None:
            changed = claim.control.change(good)
            assert not claim.check(changed).holds, claim.id
            assert claim.control.manipulation(changed).holds, claim.id


def test_figures_and_explorables(record: xr.Dataset) -> None:
    for draw in (closing_panel.plot, figures.doses):
        axes = draw(record)
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        plt.close(axes.get_figure(root=True))
    assert "taught" in figures.dose_words(record)
    assert sum(option.get("correct", False) for option in question()["data"]["options"]) == 1
    data = checked("frames", by_letters(record)["data"])
    assert data["controls"][0]["values"] == [0, 1, 3]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("longest", 3), ("prompt_length", 1), ("width", 7), ("layers", 0), ("more_layers", 0), ("heads", 3), ("hidden", 0),
        ("steps", 0), ("learning_rate", 0.0), ("warm_up", -1), ("weight", -1.0), ("rows", 0), ("doses", (0,)), ("doses", (1, 2)),
        ("doses", (0, 3, 2)), ("doses", (0, 6)), ("divergence", 0.0), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    name = "heads" if field == "width" else field
    with pytest.raises(ValueError, match=name):
        replace(closing_panel.SMOKE, **{field: value})
