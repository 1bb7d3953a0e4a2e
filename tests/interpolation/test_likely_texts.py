"""Likely texts: the passages, the measures against plain loops, and checks that fail on planted records."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from tokenizers import Tokenizer

from heldout.data import bible, smollm2
from heldout.data.bible import Verse
from heldout.devices import numpy_generator
from heldout.interpolation import likely_passages, likely_texts
from heldout.interpolation.explore import likely_texts as explore
from heldout.interpolation.likely_passages import FAMOUS, Reading
from heldout.interpolation.likely_texts import CLAIMS, SMOKE, TEXTS, Config, measured, run
from heldout.language_model import LanguageModel, token_losses

needs_the_bible = pytest.mark.skipif(not bible.BOTH.present, reason="heldout data fetch bible")
needs_both = pytest.mark.skipif(
    not (bible.BOTH.present and smollm2.MODEL.present), reason="heldout data fetch bible; heldout data fetch smollm2"
)


@pytest.fixture(scope="module")
def model() -> tuple[LanguageModel, Tokenizer]:
    return likely_texts.loaded(torch.device("cpu"))


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return run(SMOKE, device="cpu")


@needs_the_bible
def test_passages_stay_in_their_chapter_on_their_side_and_apart() -> None:
    verses = bible.verses()
    for book in FAMOUS:
        for famous in (True, False):
            places = likely_passages.starts(book, 4, famous=famous)
            assert (np.diff(places) >= 4).all()
            chapters = {verses[place].chapter for place in places}
            assert (chapters == set(FAMOUS[book])) if famous else not chapters & set(FAMOUS[book])
            for place in places:
                passage = verses[place : place + 4]
                assert {(verse.book, verse.chapter) for verse in passage} == {(book, verses[place].chapter)}
                assert [verse.number for verse in passage] == list(range(passage[0].number, passage[0].number + 4))
    psalm = likely_passages.starts("Psalms", 3, famous=True)
    assert [verses[place].name for place in psalm] == ["Psalms 23:1", "Psalms 23:4"]


@needs_the_bible
def test_famous_chapters_are_as_long_as_stated() -> None:
    found = Counter((verse.book, verse.chapter) for verse in bible.verses())
    for book, chapters in FAMOUS.items():
        assert chapters == {chapter: found[book, chapter] for chapter in chapters}
    for length in (2, 3, 5):
        places = [place for book in FAMOUS for place in likely_passages.starts(book, length, famous=True)]
        assert len(places) == likely_passages.available(tuple(FAMOUS), length)


@needs_the_bible
def test_pairs_are_of_one_book_and_no_verse_comes_twice() -> None:
    pairs = likely_passages.drawn(("Psalms", "John"), 3, numpy_generator("test", 0))
    assert len(pairs) == likely_passages.available(("Psalms", "John"), 3) == 2 + 17 + 12
    assert all(famous[0].book == ordinary[0].book for famous, ordinary in pairs)
    names = [verse.name for pair in pairs for passage in pair for verse in passage]
    assert len(names) == len(set(names)) == 2 * 3 * len(pairs)
    assert likely_passages.drawn(("Psalms", "John"), 3, numpy_generator("test", 0)) == pairs


@needs_the_bible
def test_no_verse_is_in_two_samples_and_paper_reads_what_book_reads() -> None:
    total = likely_passages.available(tuple(FAMOUS), 3)

    def places(config: Config) -> list[int]:
        seeds = range(config.first_seed, config.first_seed + config.num_seeds)
        return [place for seed in seeds for place in likely_texts.sampled(config, seed, total)]

    for config in (likely_texts.BOOK, likely_texts.PAPER):
        assert len(set(places(config))) == config.num_seeds * config.passages
    assert set(places(likely_texts.BOOK)) <= set(places(likely_texts.PAPER))


@needs_both
def test_wordings_are_aligned(model: tuple[LanguageModel, Tokenizer]) -> None:
    _, tokenizer = model
    first, second = likely_passages.differing(tokenizer, "The LORD is my shepherd", "Our LORD is my good shepherd")
    assert first.tolist() == [True, False, False, False, False, False][: len(first)]
    assert [
        tokenizer.decode([token])
        for token in np.array(likely_passages.encode(tokenizer, "Our LORD is my good shepherd"))[second]
    ] == [" Our", " good"]
    assert not any(mask.any() for mask in likely_passages.differing(tokenizer, "Jesus wept.", "Jesus wept."))


@needs_both
def test_a_printed_page_is_scored_on_the_words_of_its_verses(model: tuple[LanguageModel, Tokenizer]) -> None:
    network, tokenizer = model
    verses = [Verse("John", 11, 34, "Come and see.", ""), Verse("John", 11, 35, "Jesus wept.", "")]
    found = likely_passages.read_as_printed(network, tokenizer, verses)
    tokens = [0, *tokenizer.encode("John 11 (KJV)\n34 Come and see.\n35 Jesus wept.").ids]
    with torch.no_grad():
        losses = token_losses(network, torch.tensor([tokens]))[0].numpy()
    assert len(found.loss) == 1
    np.testing.assert_allclose(found.loss[0], losses[-4:], atol=2e-4)


@needs_both
def test_verses_encoded_one_by_one_are_the_text_encoded_at_once(model: tuple[LanguageModel, Tokenizer]) -> None:
    _, tokenizer = model
    texts = [verse.kjv for verse in bible.verses()[:5]] + ["Jesus wept.", "John 3:16, and 'so' on;"]
    pieces = [token for text in texts for token in likely_passages.encode(tokenizer, text)]
    assert pieces == tokenizer.encode("".join(f" {text}" for text in texts)).ids


@needs_both
def test_a_reading_is_scored_as_a_plain_loop_scores_it(model: tuple[LanguageModel, Tokenizer]) -> None:
    network, tokenizer = model
    texts = ["And God said,", "Let there be light:", "and there was light."]
    first, second = likely_passages.read(network, tokenizer, texts, times=2, context=1)
    alone = likely_passages.read(network, tokenizer, texts, times=1, context=1)[0]
    for one, other in zip(first.loss, alone.loss, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)
    pieces = [tokenizer.encode(f" {text}").ids for text in texts]
    assert [len(verse) for verse in first.loss] == [len(piece) for piece in pieces[1:]]
    tokens = [0, *(token for piece in pieces * 2 for token in piece)]
    with torch.no_grad():
        logits = network(torch.tensor([tokens]))[0].double()
    place, length = 1 + sum(map(len, pieces)) + len(pieces[0]), len(pieces[1])  # the second verse, read again
    for offset in range(length):
        row, target = logits[place + offset - 1], tokens[place + offset]
        assert second.loss[0][offset] == pytest.approx(float(row.logsumexp(0) - row[target]), abs=2e-4)
        assert second.rank[0][offset] == int((row > row[target]).sum())


def test_measures_by_hand() -> None:
    one = Reading([np.array([0.01, 2.0]), np.array([0.04])], [np.array([0, 3]), np.array([0])])
    two = Reading([np.array([1.0, 0.95])], [np.array([0, 1])])
    found = measured([one, two])
    assert float(found["loss"]) == pytest.approx(0.8)
    assert np.isnan(found["differing_loss"])
    apart = measured([one, two], [np.array([False, True]), np.array([False]), np.array([True, False])])
    assert float(apart["differing_loss"]) == pytest.approx(1.5)
    assert int(apart["differing_tokens"]) == 2
    assert float(found["hit"]) == pytest.approx(2 / 5)
    assert float(found["first_choice"]) == pytest.approx(3 / 5)
    assert float(found["reproduced"]) == pytest.approx(1 / 3)
    assert int(found["tokens"]) == 5
    np.testing.assert_allclose(found["verse_loss"], [1.005, 0.04, 0.975])
    assert found["cumulative"][0] == 0
    assert found["cumulative"][-1] == 1
    assert np.all(np.diff(found["cumulative"]) >= 0)


@needs_both
def test_the_record_hangs_together(smoke: xr.Dataset) -> None:
    assert smoke.attrs["parameters"] == 134_515_008
    assert list(smoke.text.values) == list(TEXTS)
    for name in ("famous", "ordinary"):
        assert (smoke.tokens.sel(text=name) == smoke.tokens.sel(text=f"{name}, again")).all()
    assert (smoke.loss.sel(text="famous, again") < smoke.loss.sel(text="famous")).all()
    below = smoke["cumulative"].interp(threshold=likely_texts.HIT)
    assert (abs(below - smoke.hit_share) < 0.1).all()
    kept = smoke.sel(example="John 11:35")
    assert "".join(kept.example_token.values) == " Jesus wept."
    kept = kept.isel(place=slice(0, 4))
    assert "".join(smoke.example_token.sel(example="Moby-Dick").values) == f" {likely_passages.QUOTATIONS['Moby-Dick']}"
    assert float(kept.example_best_probability.sum("choice").max()) <= 1 + 1e-6
    rank, probability = kept.example_rank.values, kept.example_probability.values
    first = kept.example_best_probability.isel(choice=0).values
    np.testing.assert_allclose(probability[rank == 0], first[rank == 0], rtol=1e-4)
    token = np.broadcast_to(kept.example_token.values, rank.shape)
    assert (kept.example_best.isel(choice=0).values[rank == 0] == token[rank == 0]).all()


@needs_both
def test_a_seed_is_the_same_in_any_company(smoke: xr.Dataset) -> None:
    alone = run(dataclasses.replace(SMOKE, first_seed=1, num_seeds=1), device="cpu")
    np.testing.assert_array_equal(alone.loss.values[0], smoke.loss.values[1])


@needs_both
def test_what_the_page_shows_is_in_the_record(smoke: xr.Dataset) -> None:
    data = explore.verses(smoke)["data"]
    text = data["texts"][0]
    assert text["tokens"] == [" Jesus", " we", "pt", "."]
    given = smoke.example_probability.values[0, 0, :4]
    np.testing.assert_allclose(np.exp(-np.array(text["readings"][0]["loss"])), given, rtol=1e-2)
    question = explore.question(smoke)["data"]
    assert sum(option.get("correct", False) for option in question["options"]) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"books": ("Judith",)}, r"books=\('Judith',\)"),
        ({"books": ()}, r"books=\(\)"),
        ({"context": 0}, "context=0"),
        ({"context": 3}, "context=3"),
        ({"verses": 7}, "verses=7"),
        ({"passages": 16}, "passages=16: must be from 1 to 15"),
        ({"passages": 0}, "passages=0"),
        ({"books": ("John", "John")}, "named once each"),
        ({"num_seeds": 77}, "num_seeds=77: must be at most 76"),
        ({"first_seed": -1}, "first_seed=-1"),
        ({"examples": ()}, r"examples=\(\)"),
        ({"num_seeds": 0}, "num_seeds=0"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Config(**change)


@needs_both
def test_a_verse_that_is_none_is_refused(model: tuple[LanguageModel, Tokenizer]) -> None:
    with pytest.raises(ValueError, match=r"examples='Judith 1:1'"):
        likely_passages.example(*model, "Judith 1:1", 1)


def planted(**changes: list[float]) -> xr.Dataset:
    """A record of three seeds in which every claim holds, but for what is changed."""
    values = {
        "loss": [[2.5, 3.0, 2.6, 0.2, 0.2, 0.9, 2.2]] * 3,
        "differing_loss": [[3.0, np.nan, 3.4, 0.3, np.nan, 4.0, np.nan]] * 3,
        "hit_share": [[0.1, 0.1, 0.1, 0.6, 0.6, 0.4, 0.1]] * 3,
        "reproduced_share": [[0.0, 0.0, 0.0, 0.5, 0.5, 0.1, 0.0]] * 3,
        "tokens": [[90.0, 80.0, 95.0, 90.0, 80.0, 95.0, 90.0]] * 3,
    } | {name: [row] * 3 for name, row in changes.items()}
    return xr.Dataset(
        {name: (("seed", "text"), np.array(rows)) for name, rows in values.items()},
        {"seed": [0, 1, 2], "text": list(TEXTS)},
    )


def claim(name: str) -> Any:
    return next(each for each in CLAIMS if each.id == f"likely_texts.{name}")


def test_every_claim_holds_on_the_planted_record_and_fails_in_its_control() -> None:
    for each in CLAIMS:
        assert each.check(planted()).holds, each.id
        control: Callable[[xr.Dataset], xr.Dataset] = each.control.change
        assert not each.check(control(planted())).holds, each.id
        assert each.control.manipulation(control(planted())).holds, each.id
        assert not each.control.manipulation(planted()).holds, each.id


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("far_above_zero", {"loss": [1.0, 3.0, 1.1, 0.2, 0.2, 0.9, 2.2]}),
        ("few_tokens_hit", {"hit_share": [0.3, 0.1, 0.1, 0.6, 0.6, 0.4, 0.1]}),
        ("no_verse_reproduced", {"reproduced_share": [0.2, 0.0, 0.0, 0.5, 0.5, 0.1, 0.0]}),
        ("famous_nearer", {"loss": [2.5, 2.5, 2.6, 0.2, 0.2, 0.9, 2.2]}),
        ("wording_unknown", {"differing_loss": [3.0, np.nan, 4.6, 0.3, np.nan, 4.0, np.nan]}),
    ],
)
def test_a_claim_fails_where_it_should(name: str, change: dict[str, list[float]]) -> None:
    assert not claim(name).check(planted(**change)).holds


def test_a_control_that_scores_other_tokens_is_no_control() -> None:
    each = claim("far_above_zero")
    other = planted(tokens=[90.0, 80.0, 95.0, 89.0, 80.0, 95.0, 90.0])
    assert not each.control.manipulation(each.control.change(other)).holds
