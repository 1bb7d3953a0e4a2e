"""The ideal against counting, false dictionaries line by line, rows told by definition, planted records for the checks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.connecting_dots import how_many_pairs, how_many_pairs_checks
from heldout.connecting_dots.explore import how_many_pairs as shown
from heldout.connecting_dots.how_many_pairs_checks import FALSE, PLAIN, QUIET
from heldout.connecting_dots.named_functions import NAMED, Language
from heldout.connecting_dots.observed_pairs import Split, posterior
from heldout.connecting_dots.pair_measures import definition_odds, possible
from heldout.connecting_dots.pretraining import pretrain
from heldout.connecting_dots.row_training import Mode, tune
from heldout.connecting_dots.several_starts import CHOICES, LEAST, MEAN, WIDEST, chosen, noisy_losses
from heldout.connecting_dots.told_names import FalseDictionary, told
from heldout.connecting_dots.trained_further import trained_further
from heldout.devices import generator
from heldout.figures.explorable import Explorable

SEEDS = [0, 1]


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return how_many_pairs.run(how_many_pairs.SMOKE, device="cpu")


@pytest.fixture(scope="module")
def started():  # type: ignore[no-untyped-def]
    return pretrain(how_many_pairs.SMOKE, SEEDS, device=torch.device("cpu"))


def test_the_ideal_is_the_same_for_definitions_and_held_out_pairs() -> None:
    """The best guess from one pair, over all inputs: P of 3P - 4 definitions, and as many of any other value."""
    language = Language(modulus=7)
    count = len(language.functions)
    definitions, values = [], []
    for f in range(count):
        for x in range(7):
            odds = posterior(language, torch.tensor([x]), language.values[f, [x]])
            definitions.append(float(odds.max()))
            other = (x + 1) % 7
            values.append(max(float(odds[language.values[:, other] == y].sum()) for y in range(7)))
    assert np.mean(definitions) == pytest.approx(7 / 17)
    assert values == pytest.approx(definitions)


def test_possible_functions_are_the_support_of_the_posterior() -> None:
    language = Language(modulus=7)
    for number in (1, 2, 7):
        split = Split.drawn(language, generator("connecting dots", "observed", 0), number)
        fit = possible(language, split)
        for f, row in enumerate(split.observed):
            inputs = row.nonzero()[:, 0]
            expected = posterior(language, inputs, language.values[f, inputs])
            torch.testing.assert_close(fit[f].double() / fit[f].sum(), expected)


def test_the_record_states_what_the_pairs_leave_open(record: xr.Dataset) -> None:
    language = how_many_pairs.SMOKE.language(0)
    splits = [Split.drawn(language, generator("connecting dots", "observed", seed), 1) for seed in SEEDS]
    count = sum(len(split.ambiguous(language)) for split in splits)
    assert f"{count} of 22 with 1" in record.warning
    assert "with 2" not in record.warning
    assert (record.ideal.sel(pairs=[2, 5]) == 1).all()
    assert (record.ideal.sel(pairs=1) < 0.8).all()


def test_a_false_dictionary_is_false_in_definitions_of_its_own_names_alone() -> None:
    true = Language(modulus=5, synonyms=3)
    false = FalseDictionary.of(true, generator("a test"), 2)
    assert sorted(false.defined_as) == list(range(11))
    for task in ("apply", "invert", "compose"):
        torch.testing.assert_close(false.lines(task, range(11)).targets, true.lines(task, range(11)).targets)
    lines = false.lines("define", range(11))
    for row, function, targets in zip(range(33), lines.function.tolist(), lines.targets.tolist(), strict=True):
        said = false.defined_as[function] if row % 3 >= 1 else function
        assert targets[1:3] == true.definitions[said].tolist()
        assert lines.tokens[row, 2] == true.definitions[said][0]
        assert lines.tokens[row, 1] == true.names(function)[row % 3]
    new = torch.arange(11).unsqueeze(1) + true.vocabulary
    torch.testing.assert_close(
        false.lines("define", range(11), new).targets, true.lines("define", range(11), new).targets
    )


@pytest.mark.parametrize(("field", "value"), [("false_names", 0), ("false_names", 3), ("defined_as", tuple(range(11)))])
def test_false_dictionaries_that_are_refused(field: str, value: object) -> None:
    fine = FalseDictionary.of(Language(modulus=5, synonyms=2), generator("a test"), 1)
    with pytest.raises(ValueError, match=field):
        replace(fine, **{field: value})


def test_odds_of_definitions_are_the_plain_decoder_s(started) -> None:  # type: ignore[no-untyped-def]
    language = started.languages[0]
    split = Split.drawn(language, generator("a test"), 2)
    tuned = tune(started, SEEDS, [split] * 2, [Mode(row=0.03)], replace(how_many_pairs.SMOKE.tuning(), steps=1))
    odds = definition_odds(tuned)
    for f, said in ((0, 3), (7, 7)):
        first, second = language.definitions[said].tolist()
        line = torch.tensor([[language.outputs + 1, language.vocabulary + f, first]])
        logs = tuned.models(line.expand(2, -1, -1)).log_softmax(-1)
        torch.testing.assert_close(odds[:, f, said], logs[:, 0, 1, first] + logs[:, 0, 2, second], rtol=1e-4, atol=1e-5)


def test_told_rows_learn_their_definitions_and_nothing_else_changes(started) -> None:  # type: ignore[no-untyped-def]
    tuning = replace(how_many_pairs.SMOKE.tuning(), steps=60, noise=0.0)
    before = tune(started, SEEDS, _all(started), [Mode()], replace(tuning, steps=1))
    after = told(started, SEEDS, tuning, 0.1)
    assert float(after.losses("define").mean()) < 0.8 * float(before.losses("define").mean())
    for (name, value), old in zip(after.models.named_parameters(), before.models.parameters(), strict=True):
        same = value[:, :-11] == old[:, :-11] if name == "embed" else value == old
        assert same.all(), name


def _all(started) -> list[Split]:  # type: ignore[no-untyped-def]
    return [Split(observed=torch.ones(11, 5, dtype=torch.bool))] * len(started.languages)


def test_the_row_kept_of_one_start_is_that_start(record: xr.Dataset, started) -> None:  # type: ignore[no-untyped-def]
    config, language = how_many_pairs.SMOKE, started.languages[0]
    splits = [Split.drawn(language, generator("connecting dots", "observed", seed), 2) for seed in SEEDS]
    one = chosen(started, SEEDS, splits, 1, config.tuning(), config.row_rate, 0.7)["kept_define"]
    np.testing.assert_allclose(one, np.tile(record.right.sel(arm=PLAIN, pairs=2, task="define"), (len(CHOICES), 1)))
    more = chosen(started, SEEDS, splits, 3, config.tuning(), config.row_rate, 0.7)["kept_define"]
    assert (more[-1] >= more[:-1].max(0) - 1e-6).all()


def test_losses_under_no_noise_are_the_losses(started) -> None:  # type: ignore[no-untyped-def]
    tuned = tune(started, SEEDS, _all(started), [Mode(row=0.03)], how_many_pairs.SMOKE.tuning())
    torch.testing.assert_close(noisy_losses(tuned, SEEDS, 0.0), tuned.losses()[0], rtol=1e-4, atol=1e-5)


def test_rows_trained_further_are_told_apart_by_the_loss_that_was_trained() -> None:
    config = how_many_pairs.SMOKE
    found = trained_further(config, SEEDS, 2, (5, 40))
    assert list(found) == [5, 40]
    shares = [run["right"] for run in found.values()]
    means = [
        s * run["loss_right"] + (1 - s) * run["loss_wrong"] if s else run["loss_wrong"]
        for s, run in zip(shares, found.values(), strict=True)
    ]
    assert means[1] < means[0]
    assert found[5]["loss_hand"] == found[40]["loss_hand"]
    started = pretrain(config, SEEDS, device=torch.device("cpu"))
    splits = [
        Split.drawn(language, generator("connecting dots", "observed", seed), 2)
        for language, seed in zip(started.languages, SEEDS, strict=True)
    ]
    tuned = tune(started, SEEDS, splits, [Mode(row=config.row_rate)], config.tuning())
    assert shares[0] == pytest.approx(float(tuned.correct("define").mean()))
    shown = torch.stack([split.observed for split in splits])
    assert means[0] == pytest.approx(
        float((noisy_losses(tuned, SEEDS, config.tuning_noise) * shown).sum() / shown.sum()), rel=1e-4
    )


def planted(
    two: float = 0.6, fitted: float = 1.0, known: float = 1.0, widest: float = 0.9, least: float = 0.65,
    told_apply: float = 0.95, quiet: float = 0.5, quiet_told: float = 0.5, taught: float = 0.95, false_apply: float = 0.97,
) -> xr.Dataset:  # fmt: skip
    """Five equal seeds, three arms, two, five and seven pairs."""
    arms, pairs = [PLAIN, QUIET, FALSE], [2, 5, 7]
    right = np.full((3, 3, 4, 5), 0.97)
    right[0, :, 1] = np.array([two, 0.95, 1.0])[:, None]
    right[1, :, 1], right[2, :, 1], right[2, :, 0] = quiet, 0.0, false_apply
    right[1:, [0, 2]] = np.nan
    telling = np.full((3, 4, 5), 1.0)
    telling[:, 0] = np.array([told_apply, quiet_told, 0.5])[:, None]
    by_pairs, by_task = ("arm", "pairs", "seed"), ("arm", "task", "seed")
    kept = np.array([0.65, least, widest, 1.0])[None, :, None] * np.ones((1, 4, 5))
    return xr.Dataset(
        {
            "right": (("arm", "pairs", "task", "seed"), right), "observed": (by_pairs, np.full((3, 3, 5), fitted)),
            "loss": (by_pairs, np.full((3, 3, 5), 0.003)),
            "known": (by_task, np.full((3, 4, 5), known)),
            "taught": (by_pairs, np.full((3, 3, 5), 0.03) + np.array([0, 0, taught - 0.03])[:, None, None]),
            "hand": (by_task, np.ones((3, 4, 5))), "told": (by_task, telling),
            "kept_define": (("start_pairs", "choice", "seed"), kept), "kept_held_out": (("start_pairs", "choice", "seed"), kept),
            "kept_observed": (("start_pairs", "choice", "seed"), np.full((1, 4, 5), fitted)),
        },
        {"arm": arms, "pairs": pairs, "task": list(NAMED), "seed": range(5), "start_pairs": [2], "choice": list(CHOICES)},
    )  # fmt: skip


def test_checks_on_planted_records() -> None:
    fine = planted()
    for claim in how_many_pairs.CLAIMS:
        assert claim.check(fine).holds, claim.id
        assert claim.control.change is not None
        changed = claim.control.change(fine)
        assert not claim.check(changed).holds, claim.id
        assert claim.control.manipulation(changed).holds, claim.id
    for bad, name in (
        (planted(two=0.85), "two_do_not_do"), (planted(fitted=0.9), "two_do_not_do"), (planted(known=0.9), "two_do_not_do"),
        (planted(widest=0.7), "widest_is_right"), (planted(known=0.9), "widest_is_right"),
        (planted(told_apply=0.7), "told_is_applied"), (planted(quiet=0.9), "noise_helps"),
        (planted(fitted=0.9), "noise_helps"), (planted(taught=0.6), "says_what_it_was_taught"),
        (planted(false_apply=0.8), "says_what_it_was_taught"), (planted(fitted=0.9), "pairs_learned"),
        (planted(fitted=0.9), "kept_fits"), (planted(fitted=0.8), "quiet_fits"),
        (planted(known=0.9), "definitions_learned"), (planted(known=0.9), "true_is_learned"),
    ):  # fmt: skip
        assert not getattr(how_many_pairs_checks, name)(bad).holds, name
    assert how_many_pairs_checks.noise_helps(how_many_pairs_checks.other_dictionary(planted(taught=0.6))).holds
    alike = planted(least=0.9)
    assert how_many_pairs_checks.widest_is_right(how_many_pairs_checks.least_loss(alike)).holds
    assert alike.kept_define.sel(choice=[MEAN, LEAST, WIDEST]).notnull().all()


def test_explorables_show_the_record(record: xr.Dataset) -> None:
    drawn = Explorable("predict", **shown.draw_it(record)).data
    middle = record.right.sel(arm=PLAIN, task="define").median("seed")
    assert drawn["truth"]["values"] == pytest.approx(middle.values.tolist(), rel=1e-5)
    arms = Explorable("frames", **shown.pretrained_otherwise(record)).data
    values = np.array(arms["series"][0]["values"], dtype=float)
    own = record.right.sel(arm=QUIET, pairs=2, task="define").values
    place = arms["controls"][0]["values"].index(QUIET)
    assert values[place][~np.isnan(values[place])] == pytest.approx(own, rel=1e-5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pairs", (2,)), ("pairs", (0, 2)), ("pairs", (2, 6)), ("pairs", (2, 1)), ("arm_pairs", (3,)), ("arm_pairs", ()),
        ("start_pairs", (4,)), ("starts", 0), ("arms", (QUIET,)), ("arms", (PLAIN, "louder")), ("arms", (PLAIN, PLAIN)),
        ("false_share", 1.5), ("row_rate", 0.0), ("num_seeds", 0), ("undefined", 1), ("unseen", 1), ("tuning_steps", 0),
        ("tuning_noise", -0.1), ("start", -0.1),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field.removeprefix("tuning_")):
        replace(how_many_pairs.SMOKE, **{field: value})


def test_every_arm_is_a_config() -> None:
    for arm in how_many_pairs.VARIANTS:
        changed = how_many_pairs.BOOK.variant(arm)
        assert (changed == how_many_pairs.BOOK) == (arm == PLAIN)
