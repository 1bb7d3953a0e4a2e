"""Languages of equal runs: two letters are a^n b^n, and three are counted by hand."""

from math import comb

import numpy as np
import pytest

from heldout.nonidentifiability import anbn
from heldout.nonidentifiability.letter_runs import KINDS, Language

TWO, THREE = Language(letters=2, longest=10, prompt_length=8), Language(letters=3, longest=4, prompt_length=5)


def test_two_letters_are_the_language_of_the_other_pages() -> None:
    for mine, theirs in zip(TWO.data(), anbn.sequences(10), strict=True):
        assert mine.tolist() == theirs.tolist()
    rows = anbn.prompts(8)
    np.testing.assert_array_equal(TWO.prompts, rows)
    np.testing.assert_array_equal(TWO.kinds()[0], anbn.in_distribution(rows))
    written = np.random.default_rng(0).integers(0, 3, (2, len(rows), 6))
    np.testing.assert_array_equal(TWO.equal_counts(written), anbn.equal_counts(rows, written))
    np.testing.assert_array_equal(TWO.in_order(written), anbn.a_before_b(written))
    np.testing.assert_array_equal(TWO.finished(written), anbn.finished(written))


def test_kinds_part_the_prompts() -> None:
    for language in (TWO, THREE):
        kinds = language.kinds()
        assert len(kinds) == len(KINDS)
        assert (kinds.sum(0) == 1).all()
    inside, balanced, rearranged, _ = TWO.kinds().sum(1)
    assert (inside, balanced) == (5, comb(8, 4) - 1)
    # More a than b and a b at the end, less the three of the language.
    assert rearranged == sum(comb(7, count) for count in (5, 6, 7)) - 3
    assert THREE.kinds()[1].sum() == 0


def named(language: Language, kind: str) -> set[str]:
    chosen = language.kinds()[KINDS.index(kind)]
    return {"".join("abc"[letter] for letter in row) for row in language.prompts[chosen]}


def test_three_letters() -> None:
    assert THREE.name == "a^n b^n c^n"
    assert [len(row) for row in THREE.rows] == [4, 7, 10, 13]
    assert named(THREE, "inside") == {"aaaab", "aaabb", "aabbc"}
    assert {"ababc", "bbaac", "baaab"} <= named(THREE, "rearranged")
    assert named(THREE, "other") >= {"aabcb", "cccca", "bbbbb"}


def test_rules_on_three_letters() -> None:
    place = {"".join("abc"[letter] for letter in row): number for number, row in enumerate(THREE.prompts)}
    written = np.full((len(place), 4), THREE.end)
    for prompt, completion in {"bbaac": "c", "ababa": "bcc", "cccaa": "bcb", "aabbb": "acc"}.items():
        written[place[prompt], : len(completion)] = ["abc".index(letter) for letter in completion]
    written[place["ccccc"]] = 0
    kept, ordered = THREE.equal_counts(written), THREE.in_order(written)
    told = {name: (bool(kept[place[name]]), bool(ordered[place[name]])) for name in place}
    assert told["bbaac"] == (True, True)
    assert told["ababa"] == (False, True)
    assert told["cccaa"] == (False, False)
    assert told["aabbb"] == (False, True)
    assert told["ccccc"] == (False, False)
    assert not THREE.finished(written)[place["ccccc"]]
    assert THREE.at_once(written).sum() == len(place) - 5


@pytest.mark.parametrize(
    ("sizes", "name"),
    [((5, 3, 3), "letters"), ((2, 0, 1), "longest"), ((2, 3, 7), "prompt_length"), ((2, 3, 0), "prompt_length")],
)
def test_sizes_are_refused_by_name(sizes: tuple[int, int, int], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Language(*sizes)
