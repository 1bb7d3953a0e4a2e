"""Architectures at equal divergence: planted records that make each check fail, a run of one piece, and refused configs."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.figures.explorable import Explorable
from heldout.nonidentifiability import architectures as experiment
from heldout.nonidentifiability import architectures_checks as checks
from heldout.nonidentifiability.architectures_beside import numbers as beside
from heldout.nonidentifiability.architectures_runs import decays, scores
from heldout.nonidentifiability.explore.architectures import levels, question
from heldout.nonidentifiability.letter_runs import KINDS, Language
from heldout.nonidentifiability.level_training import Caught
from heldout.nonidentifiability.sequence_families import StateSpaces

PROMPTS = {"inside": (5, 4), "balanced": (69, 0), "rearranged": (26, 8), "other": (156, 231)}
R1 = {
    "transformer": ((1.0, 0.9, 0.4, 0.2), (1.0, np.nan, 0.8, 0.1)),
    "LSTM": ((1.0, 0.8, 0.1, 0.02), (1.0, np.nan, 0.0, 0.01)),
    "state space": ((1.0, 0.5, 0.8, 0.1), (1.0, np.nan, 0.7, 0.2)),
    "linear": ((1.0, 0.4, 0.15, 0.05), (1.0, np.nan, 0.5, 0.02)),
}


def planted() -> xr.Dataset:
    share = np.array([[R1[family][number] for family in experiment.FAMILIES] for number in range(2)])
    r1 = np.broadcast_to(share[:, :, None, None], (2, 4, 5, 2, 4)).copy()
    # Seeds of the transformer differ in turn, so that its own next seed is as often above as below.
    r1[:, 0, :, :, 2:] += 0.02 * np.array([1, -1, 1, -1, 0])[:, None, None]
    divergence = np.broadcast_to([0.49, 0.0295], (2, 4, 5, 2)).copy()
    cells = ("language", "family", "seed")
    return xr.Dataset(
        {
            "r1": ((*cells, "level", "kind"), r1),
            "finished": ((*cells, "level", "kind"), np.where(np.isnan(r1), np.nan, 1.0)),
            "at_once": ((*cells, "level", "kind"), np.where(np.isnan(r1), np.nan, 0.5)),
            "in_order": ((*cells, "level", "kind"), np.where(np.isnan(r1), np.nan, 1.0)),
            "divergence": ((*cells, "level"), divergence),
            "updates": ((*cells, "level"), np.full((2, 4, 5, 2), 200)),
            "r1_stop": ((*cells, "stop", "kind"), r1[:, :, :, :1]),
            "divergence_stop": ((*cells, "stop"), np.broadcast_to(np.array([0.1, 1.0, 0.2, 0.3])[:, None, None], (2, 4, 5, 1))),
            "prompts": (("language", "kind"), np.array(list(PROMPTS.values())).T),
            "decay": ((*cells, "level", "share"), np.broadcast_to([0.01, 0.05, 0.4], (2, 4, 5, 2, 3)).copy()),
        },
        {
            "language": ["a^n b^n", "a^n b^n c^n"], "family": list(experiment.FAMILIES), "seed": list(range(5)),
            "level": [0.5, 0.03], "stop": [100], "kind": list(KINDS), "share": [0.0, 0.5, 1.0],
        },
        {"longest": [10, 7], "prompt_lengths": [8, 5]},
    )  # fmt: skip


def by_name(name: str) -> experiment.Claim:
    return next(claim for claim in experiment.CLAIMS if claim.id.endswith(name))


def test_a_planted_record_holds_every_claim_but_the_order_of_the_paper() -> None:
    for claim in experiment.CLAIMS:
        assert claim.check(planted()).holds, claim.id


def test_each_check_can_fail() -> None:
    apart = planted()
    apart.divergence[1, 2, 0, 1] = 0.0255
    assert not checks.matched(apart).holds
    assert not checks.level_kept(apart).holds
    missing = planted()
    missing.divergence[0, 1, 3, 1] = np.nan
    assert not checks.matched(missing).holds
    assert not checks.level_kept(missing).holds
    able = planted()
    able.r1[:, 1, :, :, 2:] = 0.5
    assert not checks.lstm_last(able).holds
    assert not checks.transformer_first(able).holds
    silent = planted()
    silent.r1[:, 1] = 0.0
    assert not checks.scores_outside(silent).holds
    uncounted = planted()
    uncounted.r1[0, 2, :2, :, 2] = 0.1
    assert not checks.rearranged(uncounted).holds
    late = planted()
    late.divergence[0, 1, 0, 1] = 6.0
    assert not checks.all_learn(late).holds


def test_controls_that_change_the_record_break_their_claims() -> None:
    for name in ("matched", "lstm_last", "rearranged"):
        claim = by_name(name)
        assert claim.control.change is not None
        altered = claim.control.change(planted())
        assert not claim.check(altered).holds, name
        assert claim.control.manipulation(altered).holds, name


def test_shares_are_weighted_by_prompts() -> None:
    record = planted()
    whole = checks.over(checks.last(record), "r1", checks.OUTSIDE)
    expected = (69 * 0.8 + 26 * 0.1 + 156 * 0.02) / 251
    np.testing.assert_allclose(whole.sel(family="LSTM").isel(language=0), expected)
    np.testing.assert_allclose(whole.sel(family="LSTM").isel(language=1), 231 * 0.01 / 239)
    np.testing.assert_allclose(
        checks.unbalanced(record).sel(family="linear").isel(language=0), (26 * 0.15 + 156 * 0.05) / 182
    )
    np.testing.assert_allclose(checks.free_score(record), [69 / 251, 0])
    record["finished"] = record.finished * 0.5
    np.testing.assert_allclose(checks.of_ended(record).sel(family="LSTM").isel(language=0), 2 * expected)


def test_new_labels_move_whole_members_within_a_language() -> None:
    record = planted()
    record["divergence"] = record.divergence.copy(data=np.arange(80.0).reshape(record.divergence.shape))
    record["r1"] = record.r1.copy(data=np.broadcast_to(record.divergence.values[..., None], record.r1.shape))
    drawn = checks.relabeled(record)
    np.testing.assert_array_equal(drawn.r1, np.broadcast_to(drawn.divergence.values[..., None], drawn.r1.shape))
    np.testing.assert_array_equal(drawn.divergence.sel(family="linear"), record.divergence.sel(family="linear"))
    for language in range(2):
        kept, was = (one.divergence[language, :3].values for one in (drawn, record))
        np.testing.assert_array_equal(np.sort(kept.ravel()), np.sort(was.ravel()))
        assert (kept != was).any()


def test_chance_of_being_last_is_high_only_where_the_order_is_left_to_it() -> None:
    assert checks.chance_last(planted()) < 0.01
    one = planted().isel(seed=[0], language=[0])  # of three different numbers the lowest is first in one of three draws
    assert abs(checks.chance_last(one) - 1 / 3) < 0.03


def test_numbers_beside_others_count_the_pairs() -> None:
    twin = planted().sel(family=["state space"])
    twin["r1"] = twin.r1 - 0.05 * xr.DataArray([1, 1, 1, -1, 0], dims="seed")
    found = beside((planted(), twin, planted().isel(language=[0])))
    assert [found["twin_lower_rearranged"], found["twin_lower_other_three"], found["rates_last_in"]] == [3, 3, 5]
    assert found["forgetting_decay_50"] == 0.05
    assert found["gap_rearranged"] == pytest.approx(26 * 0.7 / (26 * 0.7 + 156 * 0.08))


def test_scores_are_of_what_was_written_and_missing_where_nobody_was_caught() -> None:
    class Enders:
        """One member that ends at once always, and one that never does."""

        count, context = 2, 7

        def begin(self, rows: int) -> list:  # type: ignore[type-arg]
            return [torch.zeros(2, rows)]

        def advance(self, tokens, _place, _state):  # type: ignore[no-untyped-def]
            logits = torch.zeros(*tokens.shape, 3)
            logits[0, ..., 2], logits[1, ..., 0] = 1.0, 1.0
            return logits

    language = Language(2, 3, 4)
    both = Caught(models=Enders(), divergence=np.array([0.1, 0.2]), updates=np.array([3, 4]))  # type: ignore[arg-type]
    found = scores(language, both)
    rows = dict(zip(KINDS, found["r1"].T, strict=True))
    assert rows["balanced"].tolist() == [1.0, 0.0]
    assert rows["other"].tolist() == [0.0, 0.0]
    assert found["finished"][:, 1].tolist() == [1.0, 0.0]
    assert found["at_once"][:, 1].tolist() == [1.0, 0.0]
    nobody = dataclasses.replace(both, updates=np.array([-1, 4]))
    assert np.isnan(scores(language, nobody)["r1"][0]).all()


class Counter:
    """One member that knows the data's sequences, reads only counts and the last letter, and ends where it knows nothing."""

    count = 1

    def __init__(self, language: Language) -> None:
        self.language, self.context, self.next = language, language.context, {}  # type: ignore[var-annotated]
        for row in language.rows:
            for place in range(1, len(row)):
                self.next.setdefault(self.seen(row[:place]), []).append(row[place])

    def seen(self, tokens: list[int]) -> tuple[tuple[int, ...], int]:
        return tuple(tokens.count(letter) for letter in range(self.language.letters)), tokens[-1]

    def begin(self, rows: int) -> list[torch.Tensor]:
        self.read: list[list[int]] = [[] for _ in range(rows)]
        return [torch.zeros(1)]

    def advance(self, tokens: torch.Tensor, place: int, _state: list[torch.Tensor]) -> torch.Tensor:
        logits = torch.full((1, len(self.read), self.language.letters + 1), -1e3)
        for number, token in enumerate(tokens[0].tolist()):
            if place > 0:
                self.read[number].append(token)
            known = self.next.get(self.seen(self.read[number]), [self.language.end]) if place else [0]
            for each in known:
                logits[0, number, each] = float(np.log(known.count(each) / len(known)))
        return logits


@pytest.mark.parametrize("language", [Language(2, 10, 8), Language(3, 7, 5)], ids=["two letters", "three letters"])
def test_a_counter_keeps_the_rule_after_every_rearranged_prompt(language: Language) -> None:
    caught = Caught(models=Counter(language), divergence=np.zeros(1), updates=np.ones(1, dtype=int))  # type: ignore[arg-type]
    rows = dict(zip(KINDS, scores(language, caught)["r1"].T, strict=True))
    assert rows["inside"].tolist() == [1.0]
    assert rows["rearranged"].tolist() == [1.0]
    assert rows["other"] < 0.5


def test_explorables_say_what_the_record_holds() -> None:
    data = levels(planted())["data"]
    assert [series["name"] for series in data["series"]] == list(experiment.FAMILIES)
    assert list(data["x"]["values"]) == [0.03, 0.5]
    state_space = np.array(data["series"][2]["values"])  # language, group, level
    np.testing.assert_allclose(state_space[:, 2], [[0.8, 0.8], [0.7, 0.7]])
    np.testing.assert_allclose(state_space[0, 0], (69 * 0.5 + 26 * 0.8 + 156 * 0.1) / 251)
    Explorable("frames", **levels(planted()))
    Explorable("choice", **question(planted()))
    right = [option for option in question(planted())["data"]["options"] if option.get("correct")]
    assert [option["label"] for option in right] == ["Hardly any."]


def test_a_run_is_of_one_piece() -> None:
    result = experiment.run(experiment.SMOKE, device="cpu")
    assert result.r1.dims == ("language", "family", "seed", "level", "kind")
    assert result.prompts.sum("kind").values.tolist() == [16, 27]
    caught = result.updates >= 0
    assert (result.divergence.where(caught) <= result.level).where(caught, True).all()
    np.testing.assert_array_equal(result.r1.sel(kind="inside").notnull(), caught)
    assert "transformer" in experiment.describe(result)
    assert result.decay.notnull().any("share").equals(caught & (result.family == "state space"))


def test_decays_are_those_of_the_weights() -> None:
    models = StateSpaces(
        [torch.Generator(), torch.Generator()], vocabulary=4, outputs=3, context=5, slowest=0.1, fastest=0.4
    )
    found = decays(Caught(models=models, divergence=np.zeros(2), updates=np.array([3, -1])))  # type: ignore[arg-type]
    np.testing.assert_allclose(found[0, [0, 2, 4]], [0.1, 0.2, 0.4], rtol=0.01)
    assert np.isnan(found[1]).all()


def test_a_seed_does_not_depend_on_the_others_beside_it() -> None:
    one = dataclasses.replace(experiment.SMOKE, families=("LSTM",))
    both = experiment.run(one, device="cpu")
    second = experiment.run(dataclasses.replace(one, first_seed=1, num_seeds=1), device="cpu")
    np.testing.assert_allclose(both.divergence.sel(seed=1), second.divergence.sel(seed=1), rtol=1e-4)
    assert (both.updates.sel(seed=1) == second.updates.sel(seed=1)).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("longest", (10,)),
        ("prompt_lengths", (8, 22)),
        ("letters", (2, 5)),
        ("heads", 5),
        ("steps", 0),
        ("families", ("transformer", "transformer")),
        ("families", ("gru",)),
        ("learning_rates", (1e-3,)),
        ("levels", (0.1, 0.2)),
        ("levels", ()),
        ("stops", (700,)),
        ("slowest", 1.0),
        ("warm_up", -1),
    ],
)
def test_configs_are_refused_by_name(field: str, value: object) -> None:
    name = "prompt_length" if field == "prompt_lengths" else field
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(experiment.BOOK, **{field: value})
