"""The closing panel of connecting the dots: answers, lessons, planted records, a bound, and configs that cannot be."""

from collections.abc import Callable
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr

from heldout.claims import Evidence
from heldout.connecting_dots import closing_panel
from heldout.connecting_dots import closing_panel_checks as checks
from heldout.connecting_dots import closing_panel_figures as figures
from heldout.connecting_dots.explore.closing_panel import by_task, question
from heldout.connecting_dots.named_functions import NAMED, Language
from heldout.connecting_dots.pretraining import Pretrained, pretrain
from heldout.connecting_dots.told_or_not import Arm, arrive, circle, new_answers, old_answers
from heldout.figures.explorable import Explorable

SMALL = closing_panel.SMOKE
SEEDS = [0, 1]
HOW = {
    "level": 1e-6, "most_updates": 3, "look_every": 1, "start": 0.5, "replay": 12, "replay_weight": 2.0,
    "shares": SMALL.by_task(),
}  # fmt: skip


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return closing_panel.run(SMALL, device="cpu")


@pytest.fixture(scope="module")
def started() -> Pretrained:
    return pretrain(replace(SMALL, steps=5), SEEDS, device=torch.device("cpu"), dtype=torch.float64)


def test_one_arm_comes_out_as_in_company(started: Pretrained) -> None:
    arms = [Arm(row=0.05, rest=0.002), Arm(row=0.05, rest=0.002, lessons="false"), Arm(row=0.01, rest=0.002)]
    _, together = arrive(started, SEEDS, arms, **HOW)
    _, alone = arrive(started, SEEDS, [arms[1]], **HOW)
    for name, value in alone.models.named_parameters():
        torch.testing.assert_close(value, dict(together.models.named_parameters())[name][2:4], msg=name)


def test_lessons_and_pairs_cost_only_those_who_read_them(started: Pretrained) -> None:
    plain, told, words = (
        Arm(row=0.05, rest=0.002),
        Arm(row=0.05, rest=0.002, lessons="true"),
        Arm(row=0.05, rest=0.002, pairs=False),
    )
    how = HOW | {"replay_weight": 0.0, "most_updates": 4}
    _, tuned = arrive(started, SEEDS, [plain, told, words], **how)
    losses = {task: tuned.losses(task).mean((1, 2, 3)) for task in ("apply", "define")}
    assert losses["define"][1] < losses["define"][0]  # who reads definitions knows more of them
    before = started.models.embed.detach()
    after = tuned.models.embed.detach()[4:, : before.shape[1]]  # who reads nothing does not move
    assert torch.equal(after, before)
    assert losses["apply"][0] < losses["apply"][2]


def test_starts_and_lines_are_other_draws(started: Pretrained) -> None:
    arms = [Arm(row=1e-9, rest=0.0), Arm(row=1e-9, rest=0.0, other_start=True)]
    _, tuned = arrive(started, SEEDS, arms, **HOW)
    rows = tuned.models.embed.detach()[:, -len(started.languages[0].functions) :]
    assert not torch.allclose(rows[:2], rows[2:])
    _, lines = arrive(started, SEEDS, [Arm(row=0.0, rest=0.01), Arm(row=0.0, rest=0.01, other_lines=True)], **HOW)
    weights = lines.models.widen0.detach()
    assert not torch.allclose(weights[:2], weights[2:])


def test_the_circle_has_every_function_once_and_none_in_its_place() -> None:
    for seed in range(5):
        other = circle(11, seed)
        assert sorted(other.tolist()) == list(range(11))
        assert (other != torch.arange(11)).all()


def test_a_definition_has_a_probability_as_two_words(started: Pretrained) -> None:
    _, tuned = arrive(started, SEEDS, [Arm(row=0.05, rest=0.002)], **HOW)
    language = tuned.pretrained.languages[0]
    for task in NAMED:
        found = new_answers(tuned, task)
        torch.testing.assert_close(found.sum(-1), torch.ones_like(found.sum(-1)), msg=task)
    own = language.definitions
    place = (own[:, 0] - language.modulus) * language.outputs + own[:, 1]
    chance = new_answers(tuned, "define").gather(-1, place.view(1, -1, 1).expand(2, -1, -1))[..., 0]
    torch.testing.assert_close(-chance.log(), tuned.losses("define")[0, ..., 0].double())
    asked = sum(len(language.lines(task, language.defined)) * (2 if task == "define" else 1) for task in NAMED)
    assert old_answers(tuned).shape == (2, asked, language.outputs)


def test_the_bar_of_the_pairs_keeps_the_bound_of_the_page(record: xr.Dataset) -> None:
    assert record.loss.notnull().all()
    for pair in checks.PAIRS:
        both = record.loss.sel(model=pair.first) + record.loss.sel(model=pair.second)
        assert (record.distance.sel(pair=pair.name, set="train") <= both + 1e-9).all()


def test_elsewhere_is_the_mean_of_three_tasks(record: xr.Dataset) -> None:
    mean = record.apart.sel(task=list(checks.ELSEWHERE)).mean("task")
    np.testing.assert_allclose(record.distance.sel(set="elsewhere"), mean)
    np.testing.assert_allclose(record.distance.sel(set="train"), record.apart.sel(task="apply"))


def planted(record: xr.Dataset) -> xr.Dataset:
    """A record in which every claim holds."""
    far = xr.full_like(record.distance, 0.01)
    far.loc[{"set": "elsewhere"}] = 0.8
    far.loc[{"set": "elsewhere", "pair": checks.LINES}] = 0.2
    one = xr.ones_like(record.as_told)
    pairs, words = one * [0.6, 0.1], one * [0.2, 0.7]
    return record.assign(
        distance=far, as_told=one, follows_pairs=pairs, follows_words=words, loss=xr.full_like(record.loss, 0.01),
        graft_apart=xr.full_like(record.graft_apart, 0.2), graft_right=xr.full_like(record.graft_right, 0.9),
    )  # fmt: skip


def test_planted_claims_hold_and_their_controls_fail(record: xr.Dataset) -> None:
    made = planted(record)
    for claim in closing_panel.CLAIMS:
        assert claim.check(made).holds, claim.id
        changed = claim.control.change(made)
        assert not claim.check(changed).holds, claim.id
        assert claim.control.manipulation(changed).holds, claim.id


@pytest.mark.parametrize(
    ("check", "pair", "place"),
    [
        (checks.ends_part, checks.ENDS, "train"),
        (checks.ends_part, checks.ENDS, "test"),
        (checks.starts_part, checks.STARTS, "train"),
        (checks.starts_part, checks.STARTS, "test"),
    ],
)
def test_models_that_differ_on_the_data_are_no_evidence(
    record: xr.Dataset, check: Callable[[xr.Dataset], Evidence], pair: str, place: str
) -> None:
    made = planted(record)
    made.distance.loc[{"pair": pair, "set": place}] = 0.2
    assert not check(made).holds


def test_what_else_breaks_a_claim_or_a_manipulation_check(record: xr.Dataset) -> None:
    made = planted(record)
    assert not checks.uses_follow_pairs(made.assign(as_told=made.as_told * 0.9)).holds
    assert not checks.uses_follow_pairs(made.assign(loss=made.loss * np.nan)).holds
    assert not checks.words_learned(checks.without_pairs(made.assign(as_told=made.as_told * [1.0, 0.5]))).holds
    made.distance.loc[{"pair": checks.LINES, "set": "test"}] = 0.2
    assert not checks.lines_matched(made).holds


def test_where_two_functions_give_one_number(record: xr.Dataset) -> None:
    language = Language(modulus=5)
    for seed, share in zip(record.seed.values.tolist(), checks.overlap(record).values, strict=True):
        other = circle(len(language.functions), seed)
        same = [
            function.index(y) == language.values[int(other[f])].tolist().index(y)
            for f, function in enumerate(language.values.tolist())
            for y in range(5)
        ]
        assert share == pytest.approx(np.mean(same))


def test_figures_and_numbers(record: xr.Dataset) -> None:
    n = closing_panel.numbers(record)
    assert n["beside_follows_pairs"] == pytest.approx(float(record.follows_pairs.isel(reader=0).median()))
    assert n["ends_elsewhere"] == pytest.approx(float(record.distance.sel(pair=checks.ENDS, set="elsewhere").median()))
    ax = figures.lessons(record)
    assert ax.get_ylabel()
    assert ax.get_xlabel()
    plt.close("all")
    assert "that of the words" in figures.lesson_words(record)


def test_explorables_show_the_record(record: xr.Dataset) -> None:
    shown = Explorable("frames", **by_task(record)).data
    middle = np.array(shown["lookups"]["definitions"]["values"])
    assert middle == pytest.approx(record.apart.sel(task="define").median("seed").values, rel=1e-5, abs=1e-6)
    made = planted(record)
    for changed, place in ((made, 0), (checks.without_pairs(made).sortby("reader"), 1)):
        options = Explorable("choice", **question(changed)).data["options"]
        assert [bool(option.get("correct")) for option in options] == [k == place for k in range(3)]


@pytest.mark.parametrize(
    "bad",
    [
        {"slow": 0.1}, {"fast": 0.0}, {"rest": -1.0}, {"level": 0.0}, {"most_updates": 0}, {"words_updates": 0},
        {"look_every": 0}, {"replay": 0}, {"start": -0.1}, {"num_seeds": 0}, {"unseen": 1}, {"layers": 1},
    ],
)  # fmt: skip
def test_configs_that_cannot_be(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad)).replace("unseen", "undefined")):
        replace(SMALL, **bad)


def test_no_arm_is_refused(started: Pretrained) -> None:
    with pytest.raises(ValueError, match="arms"):
        arrive(started, SEEDS, [], **HOW)
