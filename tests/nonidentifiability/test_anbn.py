"""The language a^n b^n: hand-made cases, and divergences against the enumeration of every sequence."""

import itertools
import math

import numpy as np
import pytest
import torch

from heldout import devices
from heldout.decoders import Transformers
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability.anbn import END, IGNORED, START, A, B


def test_sequences_are_all_of_the_language() -> None:
    read, wanted = anbn.sequences(2)
    assert read.tolist() == [[START, A, B, END, END], [START, A, A, B, B]]
    assert wanted.tolist() == [[A, B, END, IGNORED, IGNORED], [A, A, B, B, END]]
    with pytest.raises(ValueError, match="longest=0"):
        anbn.sequences(0)


def test_five_of_the_256_prompts_begin_a_sequence() -> None:
    rows = anbn.prompts(8)
    assert rows.shape == (256, 8)
    assert len({tuple(row) for row in rows.tolist()}) == 256
    inside = {"".join("ab"[t] for t in row) for row in rows[anbn.in_distribution(rows)]}
    assert inside == {"a" * k + "b" * (8 - k) for k in range(4, 9)}
    with pytest.raises(ValueError, match="length=13"):
        anbn.prompts(13)


@pytest.mark.parametrize(
    ("prompt", "oracle", "adversarial"),
    [("bab", "a.", "aa."), ("aba", "b.", "bb."), ("ba", ".", "b."), ("bb", "aa.", "aaa.")],
)
def test_teachers(prompt: str, oracle: str, adversarial: str) -> None:
    row = np.array(["ab".index(letter) for letter in prompt])
    assert anbn.text(np.array(anbn.completion(row, "oracle"))) == oracle
    written = np.array(anbn.completion(row, "adversarial"))
    assert anbn.text(written) == adversarial
    assert anbn.a_before_b(written)
    assert not anbn.equal_counts(row[None], written[None])[0]


def test_what_is_taught_costs_only_its_completion() -> None:
    read, wanted = anbn.taught(np.array([[B, A], [B, B]]), "oracle")
    assert read.tolist() == [[START, B, A, END, END], [START, B, B, A, A]]
    assert wanted.tolist() == [[IGNORED, IGNORED, END, IGNORED, IGNORED], [IGNORED, IGNORED, A, A, END]]


def test_rules_stop_at_the_end_and_fail_without_one() -> None:
    rows = np.array([[B, A], [B, A], [B, A], [A, A]])
    written = np.array([[END, A, A, A], [A, B, END, A], [B, A, END, END], [B, B, A, B]])
    assert anbn.finished(written).tolist() == [True, True, True, False]
    assert anbn.equal_counts(rows, written).tolist() == [True, True, True, False]
    assert anbn.a_before_b(written).tolist() == [True, True, False, False]
    several = np.stack([written, written[::-1]])
    assert anbn.equal_counts(rows, several)[0].tolist() == [True, True, True, False]
    assert [anbn.text(row) for row in written] == [".", "ab.", "ba.", "bbab…"]


def test_to_end_at_once_keeps_r1_where_nothing_is_lacking() -> None:
    rows = anbn.prompts(4)
    stopped = np.full((len(rows), 5), END)
    assert anbn.at_once(stopped).all()
    assert (anbn.equal_counts(rows, stopped) == anbn.balanced(rows)).all()
    assert anbn.balanced(rows).sum() == math.comb(4, 2)
    assert not anbn.at_once(np.array([[A, END], [B, B]])).any()


def enumerated(models: Transformers, member: int) -> dict[str, float]:
    """Probability of every finished string that fits the context, and of running on, from one conditional at a time."""
    found, open_rows = {}, {"": 0.0}
    for _ in range(models.context):
        longer = {}
        for letters, log in open_rows.items():
            tokens = torch.tensor([START, *("ab".index(letter) for letter in letters)])
            logits = models(tokens.expand(models.count, 1, -1))[member, 0, -1].log_softmax(-1).tolist()
            found[letters + "."] = log + logits[END]
            longer |= {letters + "a": log + logits[A], letters + "b": log + logits[B]}
        open_rows = longer
    return {name: math.exp(log) for name, log in (found | {k + "…": v for k, v in open_rows.items()}).items()}


def test_divergences_equal_enumeration() -> None:
    models = Transformers(
        [devices.generator("enumeration", member) for member in range(3)], vocabulary=anbn.VOCABULARY, outputs=anbn.OUTPUTS,
        context=5, width=8, heads=2, hidden=8, dtype=torch.float64,
    )  # fmt: skip
    read, wanted = anbn.sequences(2)
    with torch.no_grad():
        logs = anbn.log_probabilities(models(read.expand(3, -1, -1)), wanted.expand(3, -1, -1))
        tables = [enumerated(models, member) for member in range(3)]
    data = {"ab.": 0.5, "aabb.": 0.5}
    for member, table in enumerate(tables):
        assert len(table) == sum(2**k for k in range(5)) + 2**5
        assert math.isclose(sum(table.values()), 1, abs_tol=1e-12)
        by_hand = sum(p * math.log(p / table[name]) for name, p in data.items())
        assert abs(by_hand - float(anbn.divergence_from_data(logs)[member])) < 1e-10
    for first, second in itertools.permutations(range(3), 2):
        p, q = tables[first], tables[second]
        grouped = [[table[name] for name in data] for table in (p, q)]
        grouped = [[*row, 1 - sum(row)] for row in grouped]
        by_hand = sum(x * math.log(x / y) for x, y in zip(*grouped, strict=True))
        ours = float(anbn.divergence_on_data(logs[first], logs[second]))
        assert abs(by_hand - ours) < 1e-10
        assert 0 < ours <= sum(p[name] * math.log(p[name] / q[name]) for name in p) + 1e-12


def test_equal_models_do_not_differ_and_a_perfect_one_is_at_zero() -> None:
    logs = torch.full((4,), -math.log(4), dtype=torch.float64)
    assert float(anbn.divergence_from_data(logs)) == 0
    assert abs(float(anbn.divergence_on_data(logs, logs))) < 1e-12
