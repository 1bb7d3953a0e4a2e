"""The language against tables written by hand and closed forms, and what its parts refuse."""

import itertools

import pytest
import torch

from heldout import devices
from heldout.connecting_dots.named_functions import IGNORED, NAMED, TASKS, Function, Language, all_functions
from heldout.connecting_dots.observed_pairs import Split, agreeing, posterior


def test_functions_are_different_lines_that_meet_at_most_once() -> None:
    for modulus in (5, 7, 11, 17):
        language = Language(modulus=modulus)
        assert len(language.functions) == (modulus - 1) + (modulus - 3) + modulus
        for first, second in itertools.combinations(language.values, 2):
            assert int((first == second).sum()) <= 1
        for function, table, inverse in zip(language.functions, language.values, language.inverses, strict=True):
            assert [function(x, modulus) for x in range(modulus)] == table.tolist()
            assert table[inverse].tolist() == list(range(modulus))


def test_values_by_hand() -> None:
    assert [Function("plus", 3)(x, 5) for x in range(5)] == [3, 4, 0, 1, 2]
    assert [Function("times", 3)(x, 5) for x in range(5)] == [0, 3, 1, 4, 2]
    assert [Function("from", 3)(x, 5) for x in range(5)] == [3, 2, 1, 0, 4]
    assert Function("times", 4) not in all_functions(5)


def test_lines_say_what_is_true() -> None:
    language = Language(modulus=7, synonyms=2)
    for task in TASKS:
        lines = language.lines(task, range(len(language.functions)))
        names = language.synonyms if task in NAMED else 1
        assert len(lines) == len(language.functions) * names * (1 if task == "define" else 7)
        for tokens, targets, about, number in zip(
            lines.tokens.tolist(), lines.targets.tolist(), lines.function.tolist(), lines.number.tolist(), strict=True
        ):
            asked = [place for place, target in enumerate(targets) if target != IGNORED]
            said = language.written([*tokens[: asked[0] + 1], *(targets[place] for place in asked)]).split()
            function = language.functions[about]
            head = [said[1]] if task in NAMED else said[1:3]
            expected_head = str(function).split()
            assert head == expected_head or (task in NAMED and language.read(said[1])[0] in language.names(about))
            value = function(number, 7)
            tail: list[object] = [number, value]
            if "define" in task:
                tail = expected_head
            elif "compose" in task:
                tail = [number, (value + 1) % 7]
            elif "invert" in task:
                tail = [number, next(x for x in range(7) if function(x, 7) == number)]
            assert said == [task.split()[0], *head, *map(str, tail)]
            assert len(asked) == (2 if task == "define" else 1)


def test_words_can_be_read_back() -> None:
    language = Language(modulus=11, synonyms=8)
    assert len(set(language.words)) == language.vocabulary == language.first_name + 29 * 8
    line = language.written([language.outputs, language.first_name + 3, 5])
    assert language.read(line).tolist() == [language.outputs, language.first_name + 3, 5]
    with pytest.raises(ValueError, match=r"token='plsu'.*nearest: .*plus"):
        language.read("apply plsu 3 4")
    with pytest.raises(ValueError, match="token=9999"):
        language.written([9999])


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("modulus", {"modulus": 9}), ("modulus", {"modulus": 3}), ("synonyms", {"synonyms": 0}),
        ("undefined", {"undefined": (0, 0)}), ("unseen", {"unseen": (99,)}), ("unseen", {"undefined": (1,), "unseen": (1,)}),
        ("unseen", {"modulus": 5, "unseen": tuple(range(11))}),
    ],
)  # fmt: skip
def test_bad_languages_are_refused_by_name(field: str, settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=field):
        Language(**settings)


def test_roles_are_drawn_apart() -> None:
    language = Language.drawn(devices.generator(0), modulus=7, synonyms=2, undefined=3, unseen=2)
    assert sorted([*language.defined, *language.undefined, *language.unseen]) == list(range(17))
    assert set(language.seen) == set(language.defined) | set(language.undefined)
    with pytest.raises(ValueError, match="undefined=15"):
        Language.drawn(devices.generator(0), modulus=7, undefined=15, unseen=2)
    with pytest.raises(ValueError, match="task='multiply'"):
        language.lines("multiply", [0])
    with pytest.raises(ValueError, match="functions"):
        language.lines("apply", [])


def test_posterior_against_the_closed_form() -> None:
    """Through one pair (x, y) goes one sum unless x = y, one difference, and one product unless y/x is 0, 1, -1 or none."""
    modulus = 11
    language = Language(modulus=modulus)
    for x, y in itertools.product(range(modulus), repeat=2):
        quotient = y * pow(x, -1, modulus) % modulus if x else -1
        count = (x != y) + 1 + (quotient in range(2, modulus - 1))
        count += (language.values[:, 0] == 0)[modulus - 1 : 2 * modulus - 4].sum().item() if x == y == 0 else 0
        fits = agreeing(language, torch.tensor([x]), torch.tensor([y]))
        assert int(fits.sum()) == count
        odds = posterior(language, torch.tensor([x]), torch.tensor([y]))
        assert float(odds.sum()) == pytest.approx(1)
        assert float(odds.max()) == pytest.approx(1 / count)
    twice = posterior(language, torch.tensor([[0, 1], [2, 5]]), language.values[4, torch.tensor([[0, 1], [2, 5]])])
    assert twice[:, 4].tolist() == [1, 1]
    with pytest.raises(ValueError, match="outputs"):
        posterior(language, torch.tensor([0, 0]), torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="inputs"):
        agreeing(language, torch.tensor([11]), torch.tensor([1]))


def test_splits() -> None:
    language = Language(modulus=7)
    split = Split.drawn(language, devices.generator(0), 5)
    assert split.observed.sum(1).tolist() == [5] * 17
    assert (split.held_out() == ~split.observed).all()
    assert split.ambiguous(language) == []
    split.require_determined(language)
    alone = Split.drawn(language, devices.generator(0), 1)
    with pytest.raises(ValueError, match=r"observed=\['plus"):
        alone.require_determined(language)
    with pytest.raises(ValueError, match="held-out set is empty"):
        Split.drawn(language, devices.generator(0), 7).held_out()
    with pytest.raises(ValueError, match="observed=0"):
        Split.drawn(language, devices.generator(0), 0)


def test_names_left_out_of_a_task() -> None:
    drawn = devices.generator("roles", 0)
    language = Language.drawn(drawn, modulus=5, synonyms=3, undefined=1, unseen=1, left_out=("define 2", "apply 0"))
    assert [language.told(task) for task in NAMED] == [[1, 2], [0, 1], [0, 1, 2], [0, 1, 2]]
    same = Language.drawn(devices.generator("roles", 0), modulus=5, synonyms=3, undefined=1, unseen=1)
    assert (same.undefined, same.unseen) == (language.undefined, language.unseen)
    for left_out in (("define 3",), ("apply words 0",), ("define",), ("invert 0", "invert 1", "invert 2")):
        with pytest.raises(ValueError, match="left_out"):
            Language(modulus=5, synonyms=3, left_out=left_out)
