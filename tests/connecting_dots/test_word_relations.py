"""Rows in a frozen language model: reading in pieces, training side by side, word lists, records that make checks fail."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout import store
from heldout.connecting_dots import stated_rules, word_pairs, word_relations, word_rows
from heldout.connecting_dots import word_relations_checks as checks
from heldout.connecting_dots.explore.word_relations import question, said_table, scores
from heldout.connecting_dots.frozen_reading import frozen, read, read_tokens, with_names
from heldout.data import smollm2
from heldout.experiment import silent
from heldout.language_model import LanguageModel, Shape, loaded

SMALL = Shape(vocabulary=40, width=16, layers=3, heads=4, key_heads=2, hidden=12)


def small() -> LanguageModel:
    model, draw = LanguageModel(SMALL).double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw, dtype=torch.float64) / 3)
    return model


def tokens(rows: int, length: int) -> torch.Tensor:
    return torch.randint(0, SMALL.vocabulary, (rows, length), generator=torch.Generator().manual_seed(1))


def test_reading_in_pieces_is_reading_at_once() -> None:
    model, rows = small(), tokens(5, 7)
    past = read_tokens(model, rows[:, :3], at_once=2)
    middle, past = read(model, functional.embedding(rows[:, 3:5], model.embed), past)
    last, _ = read(model, functional.embedding(rows[:, 5:], model.embed), past)
    torch.testing.assert_close(middle, model.stream(rows)[:, 4])
    torch.testing.assert_close(last, model.stream(rows)[:, 6])


def test_a_names_gradient_is_that_of_an_entry_of_the_table() -> None:
    """Against autograd through the whole model, in whose table one row stands for the name."""
    model, rows = small(), tokens(3, 6)
    rows[rows == 39] = 0
    rows[:, 4] = 39
    model.stream(rows)[:, -1].square().sum().backward()
    wanted = model.embed.grad
    assert wanted is not None
    with frozen(model):
        row = model.embed[39].detach().clone().requires_grad_()
        after = rows[:1, 5]
        lines = with_names(model, row.expand(3, -1), after)
        rows[:, 5] = after
        # The same after for every line, in both computations.
        last, _ = read(model, lines, read_tokens(model, rows[:, :4]))
        last.square().sum().backward()
        assert model.embed.requires_grad is False
    assert model.embed.requires_grad
    model.embed.grad = None
    model.stream(rows)[:, -1].square().sum().backward()
    torch.testing.assert_close(row.grad, model.embed.grad[39])


def planted() -> tuple[word_rows.Reader, word_rows.Names]:
    """Two names in a small model: four inputs that come around, and as many answers."""
    model = small().requires_grad_(False)
    past = read_tokens(model, torch.tensor([[1, 2, k] for k in range(3, 7)]))
    pairs = torch.arange(word_pairs.COUNT) % 4
    answers = torch.stack([20 + pairs, 30 + (pairs + 1) % 4])
    names = word_rows.Names((0,), ("a",), pairs.expand(2, -1), answers, answers)
    return word_rows.Reader(model, None, ("w", "x", "y", "z"), past), names  # type: ignore[arg-type]


def test_rows_learn_their_pairs_and_do_not_see_each_other() -> None:
    reader, names = planted()
    start = 0.1 * torch.randn(2, 16, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    how, quiet = word_rows.Training(steps=40, lines=4, rate=0.3, shortlist=10), silent
    rows, losses = word_rows.train(reader, names, start, how, quiet)
    assert (losses[:, -4:].mean(1) < losses[:, :4].mean(1)).all()
    one = word_rows.Names((0,), ("a",), names.inputs[:1], names.true[:1], names.shown[:1])
    alone, _ = word_rows.train(reader, one, start[:1], replace(how, shortlist=40), quiet)
    both, _ = word_rows.train(reader, names, start, replace(how, shortlist=40), quiet)
    torch.testing.assert_close(both[:1], alone)
    found = word_rows.answers(reader, rows, names.inputs)
    by_hand = []
    for name in range(2):
        for k in range(4):
            stream, _ = read(reader.model, rows[name][None, None], reader.past[torch.tensor([k])])
            by_hand.append(int((stream @ reader.model.embed.mT).argmax()))
    assert found[:, :4].flatten().tolist() == by_hand


def test_relations_have_their_words() -> None:
    for name, pairs in word_pairs.RELATIONS.items():
        assert len(pairs) == len({first for first, _ in pairs}) == word_pairs.COUNT, name
    order = {name: dict(word_pairs.relation(name)) for name in word_pairs.FAMILIES["order"]}
    assert order["same"] == {word: word for word in order["same"]}
    assert set(order["next"]) == set(order["previous"]) == set(order["same"])
    assert all(order["previous"].get(after, word) == word for word, after in order["next"].items())
    assert set(dict(word_pairs.relation("opposite"))) == set(dict(word_pairs.relation("synonym")))
    with pytest.raises(ValueError, match="relation='sum'"):
        word_pairs.relation("sum")


def test_shuffled_answers_are_the_same_answers_elsewhere() -> None:
    for seed in range(5):
        order = word_rows.shuffled(seed, "capital")
        assert sorted(order) == list(range(word_rows.TRAINED))
        assert order != list(range(word_rows.TRAINED))
    assert word_rows.shuffled(0, "capital") != word_rows.shuffled(1, "capital")


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    if not smollm2.MODEL.present:
        pytest.skip("the language model was not fetched on this machine (heldout data fetch smollm2)")
    return word_relations.run(word_relations.SMOKE, device="cpu")


def test_every_word_is_one_token_and_lines_are_read_as_they_are_written(smoke: xr.Dataset) -> None:
    model, tokenizer = loaded(torch.device("cpu"))
    for pairs in word_pairs.RELATIONS.values():
        assert all(len(tokenizer.encode(f" {word}").ids) == 1 for pair in pairs for word in pair)
    reader = word_rows.Reader.of(model, tokenizer, ("capital",))
    with torch.no_grad():
        line = tokenizer.encode("<|endoftext|>\n France capital").ids
        row = model.embed[line[-1]]
        found, _ = read(model, row[None, None], reader.past[torch.tensor([reader.inputs.index("France")])])
        torch.testing.assert_close(found[0], model.stream(torch.tensor([line]))[0, -1], rtol=1e-3, atol=1e-3)
        told = word_rows.named(reader, row[None], ("\nThe word", " means"), ("capital", "past"))
        text = tokenizer.encode("<|endoftext|>\nThe word capital means").ids
        wanted = model(torch.tensor([text]))[0, -1].log_softmax(-1)[[reader.token("capital"), reader.token("past")]]
        torch.testing.assert_close(told[0], wanted, rtol=1e-3, atol=1e-3)
        assert stated_rules.follows(reader, "\n one: 1\n two: 2\n three: 3", ["\n four:"], [" 4"]).shape == (1,)
    again = word_relations.asked_again(smoke, *word_rows.TEMPLATES["means"])
    recorded = checks.right_label(smoke, "raw", word_pairs.DIFFERENT).sel(
        template="means", arm=again.trained_arm.values
    )
    np.testing.assert_array_equal(again, recorded.mean("relation").transpose("arm", "seed"))
    assert set(smoke.arm.values) == {"real", "shuffled", "untrained"}
    assert (smoke.asked.values != smoke.wanted.values).all()


def fine() -> xr.Dataset:
    """A record made by hand in which every claim holds, and every control breaks its claim."""
    seeds, arms = [0, 1], ["real", "shuffled", "untrained"]
    names, templates = list(word_pairs.RELATIONS), list(word_rows.TEMPLATES)
    by_name = ("seed", "arm", "relation")

    def by_arm(*values: float) -> tuple[tuple[str, ...], np.ndarray]:
        return by_name, np.tile(np.array(values)[None, :, None], (2, 1, len(names)))

    nats = np.full((2, 3, len(names), len(templates), len(names)), -9.0)
    for k, name in enumerate(names):
        nats[:, 0, k, :, k] = -1.0
        nats[:, 1, k, :, names.index(name if name in word_pairs.DIFFERENT[:3] else "past")] = -2.0
    words = np.full((2, len(names), 8), "word", dtype=object)
    return xr.Dataset(
        {
            "own": by_arm(1, 0.1, 0), "true": by_arm(1, 0.2, 0), "held_out": by_arm(0.8, 0.1, 0), "kind": by_arm(0.9, 0.5, 0),
            "label_nats": ((*by_name, "template", "label"), nats),
            "said": ((*by_name, "place"), np.full((2, 3, len(names), 8), "a|b", dtype=object)),
            "wanted": (("seed", "relation", "place"), words), "asked": (("seed", "relation", "place"), words),
            "row": (("seed", "trained_arm", "relation", "entry"), np.zeros((2, 2, len(names), 3))),
            "loss": (("seed", "trained_arm", "relation", "step"), np.zeros((2, 2, len(names), 4))),
            "in_context": (("seed", "relation"), np.full((2, len(names)), 0.9)),
            "stated": (("seed", "rule"), np.array([[1, 0.1, 0, 0.2]] * 2)), "shown": (("seed", "rule"), np.zeros((2, 4))),
        },
        {
            "seed": seeds, "arm": arms, "trained_arm": arms[:2], "relation": names, "label": names, "template": templates,
            "rule": list(stated_rules.RULES),
        },
    )  # fmt: skip


@pytest.mark.parametrize("claim", word_relations.CLAIMS, ids=lambda claim: claim.id)
def test_a_record_in_which_claims_hold_and_controls_break_them(claim: checks.Claim) -> None:
    record = fine()
    assert claim.check(record).holds
    assert claim.control.change is not None
    control = claim.control.change(record)
    assert not claim.check(control).holds
    assert claim.control.manipulation(control).holds


@pytest.mark.parametrize(
    ("name", "where", "value", "check"),
    [
        ("own", {"arm": "real"}, 0.9, checks.carries),
        ("held_out", {"arm": "real"}, 0.7, checks.carries),
        ("stated", {}, 0.5, checks.cannot_add),
        ("label_nats", {"arm": "real"}, -5.0, checks.says),
        ("label_nats", {"arm": "shuffled"}, -5.0, checks.mostly_kind),
        ("label_nats", {"arm": "real"}, -5.0, checks.beyond_kind),
    ],
)
def test_a_planted_seed_breaks_a_claim(name: str, where: dict, value: float, check) -> None:  # type: ignore[no-untyped-def, type-arg]
    record = fine()
    record[name].loc[{"seed": 1} | where] = value
    assert not check(record).holds


def test_unfair_controls_are_noticed() -> None:
    record = fine()
    record["kind"].loc[{"arm": "shuffled", "seed": 1}] = 0.1
    assert not checks.learned_kind(record).holds
    record["stated"].loc[{"rule": 0, "seed": 1}] = 0.5
    assert not checks.format_read(record).holds
    record["held_out"].loc[{"arm": "untrained", "seed": 1}] = 0.5
    assert not checks.same_start(checks.with_untrained(record)).holds


def test_scores_against_counts_by_hand() -> None:
    record = fine()
    assert (checks.said(record).sel(arm="real") == 1).all()
    np.testing.assert_allclose(checks.said(record).sel(arm="shuffled"), 4 / 5)
    np.testing.assert_allclose(checks.said(record).sel(arm="untrained"), 1 / 5)
    assert np.isnan(checks.said(record, "calibrated").sel(arm="untrained")).all()
    assert (checks.family(record, "order").sel(arm="real") == 1).all()
    np.testing.assert_allclose(checks.family(record, "order").sel(arm="shuffled"), 1 / 3)
    assert np.isnan(checks.family(record.sel(relation=["capital", "next"]), "order")).all()
    popular = record.label_nats.sel(label="past", drop=True) + 20
    record["label_nats"].loc[{"label": "past"}] = popular
    assert (checks.said(record).sel(arm="real") <= 0.2).all()
    assert (checks.said(record, "centered").sel(arm="real") == 1).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [("relations", ("capital", "sum")), ("relations", ()), ("lines", 3), ("steps", 0), ("rate", 0.0), ("context", 21)],
)
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(word_relations.BOOK, **{field: value})


def test_numbers_by_hand() -> None:
    record = fine()
    capital, answers = word_pairs.RELATIONS["capital"], record.said.copy()
    answers.loc[{"arm": "shuffled", "relation": "capital", "place": 0}] = capital[0][1]
    answers.loc[{"arm": "shuffled", "relation": "capital", "place": 1}] = capital[1][1]
    wanted = record.wanted.copy()
    wanted.loc[{"relation": "capital", "place": 7}] = capital[1][1]
    found = word_relations.numbers(record.assign(said=answers, wanted=wanted))
    assert found["shuffled_shown"] == 0.5
    assert found["gap"] == found["gap_low"] == found["gap_high"] == pytest.approx(1 / 5)
    assert found["kept"] == found["kept_low"] == pytest.approx(3 / 4)
    assert (found["raw_one_leads"], found["raw_one_trails"]) == (2, 0)
    assert found["real_capital_raw"] == found["shuffled_past_raw"] == 1
    assert (found["real_opposite_said"], found["guess_loss"]) == (0.5, pytest.approx(np.log(20)))
    unequal = record.copy(deep=True)
    unequal["label_nats"].loc[{"arm": "real", "seed": 1}] = record.label_nats.sel(arm="shuffled", seed=1).values
    found = word_relations.numbers(unequal)
    assert found["gap_high"] - found["gap"] == pytest.approx(12.706 * 0.1, rel=1e-3)  # t of one degree of freedom


def test_explorables_show_the_record() -> None:
    record = fine()
    data = scores(record)["data"]
    assert data["lookups"]["real"]["values"][0][0][0] == 1
    assert data["lookups"]["shuffled"]["values"][0][0][0] == pytest.approx(4 / 5)
    assert sum(option.get("correct", False) for option in question(record)["data"]["options"]) == 1
    assert "a\\|b" in said_table(record).text


@pytest.mark.claims
def test_training_in_bfloat16_moves_the_figures_less_than_another_seed_does() -> None:
    book = store.load_or_run(word_relations, word_relations.BOOK, device="cpu")
    rounded = word_relations.run(replace(word_relations.BOOK, num_seeds=1, half=True), device="cpu")
    same = book.isel(seed=[0])
    assert not np.array_equal(same.row, rounded.row)
    for claim in word_relations.CLAIMS:
        seeds, full, half = (claim.check(each) for each in (book, same, rounded))
        assert np.isnan(full.value) == np.isnan(half.value), claim.id
        # Half of what seeds differ by, since the whole would let a training pass that bfloat16 had undone; or two answers of 16.
        assert not abs(half.value - full.value) > max((seeds.high - seeds.low) / 2, 0.15), claim.id
