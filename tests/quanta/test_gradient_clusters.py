"""Which tokens are compared, and the checks on clusters of gradients, on planted records."""

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.quanta import gradient_cluster_checks as checks
from heldout.quanta import gradient_cluster_words as words
from heldout.quanta import gradient_clusters
from heldout.quanta.excerpts import SOURCES, excerpts
from heldout.quanta.gradient_clusters import Config, similarity
from heldout.quanta.token_choice import Chosen, candidates, drawn

SIZE = 24


def _record(**labels: np.ndarray) -> xr.Dataset:
    """Six targets of four tokens, two from each of two kinds of text; neighbors are of one target and one kind.

    Every token is from an excerpt of its own.
    """
    target = np.repeat(list("abcdef"), 4)
    source = np.tile(["prose", "prose", "code", "code"], 6)
    twin = np.arange(SIZE) ^ 1
    near = np.full((SIZE, SIZE), 0.5)
    near[np.arange(SIZE), twin] = 0.9
    by_kind = {
        "gradients": np.repeat(np.arange(6), 4),
        "activations": source == "code",
        "shuffled": np.arange(SIZE) % 6,
        "shuffled_activations": np.repeat(np.arange(6), 4),
    }
    rows = [np.tile(np.asarray(labels.get(kind, by_kind[kind])), (3, 2, 1)) for kind in checks.KINDS]
    exact = np.linspace(-0.2, 0.8, 40)
    noise = np.random.default_rng(0).standard_normal(40)
    return xr.Dataset(
        {
            "similarity": (("token", "other"), near.astype(np.float16)),
            "labels": (("kind", "count", "seed", "token"), np.array(rows).astype(int)),
            "exact": ("pair", exact),
            "sketched": ("pair", exact + 0.02 * noise),
            "small": ("pair", exact + 0.5 * noise),
            "source": ("token", source),
            "excerpt": ("token", np.arange(SIZE)),
            "before": ("token", np.where(np.arange(SIZE) < 4, "an", "an ")),
            "target": ("token", target),
            "previous": ("token", np.tile(list("uvwx"), 6)),
        },
        {"kind": list(checks.KINDS), "count": [3, 6, 9]},
    )


def test_every_check_holds_on_what_it_claims_and_fails_without_it() -> None:
    record = _record()
    for check, change in (
        (checks.faithful, checks.small_sketch),
        (checks.by_target, checks.shuffled),
        (checks.text_in_activations, checks.shuffled_activations),
        (checks.beyond_target, checks.dealt_sources),
    ):
        assert check(record).holds, check.__name__
        assert not check(change(record)).holds, check.__name__
    assert checks.same_pairs(checks.small_sketch(record)).holds
    assert checks.as_many_clusters(checks.shuffled(record)).holds
    one = _record(shuffled_activations=np.zeros(SIZE, dtype=int))
    assert not checks.as_many_of_activations(checks.shuffled_activations(one)).holds
    assert checks.as_many_sources(checks.dealt_sources(record)).holds


def test_neighbors_and_chance_by_hand() -> None:
    record = _record()
    assert checks.nearest_share(record, "target") == 1
    assert checks.chance_share(record, "target") == pytest.approx(3 / 23)
    assert checks.judged(record) == SIZE
    assert checks.nearest_within_target(record) == 1
    assert checks.chance_within_target(record) == pytest.approx(1 / 3)
    assert checks.stability(record).values == pytest.approx(1)


def test_neighbors_of_the_same_excerpt_do_not_count_unless_asked_for() -> None:
    # Twins, the nearest of one another, share an excerpt: without them no token of a target is of the same kind of text.
    twins = _record().assign(excerpt=("token", np.arange(SIZE) // 2))
    assert checks.judged(twins, same_excerpt=True) == SIZE
    assert checks.nearest_within_target(twins, same_excerpt=True) == 1
    assert checks.judged(twins) == 0
    assert np.isnan(checks.nearest_within_target(twins))
    assert not checks.beyond_target(twins).holds
    # With one more of each kind, from another excerpt and no nearer than any, the twin is passed over for it or for the rest.
    threes = twins.assign(target=("token", np.repeat(list("abc"), 8)))
    assert checks.judged(threes) == SIZE
    assert checks.chance_within_target(threes) == pytest.approx(2 / 6)
    assert checks.chance_within_target(threes, same_excerpt=True) == pytest.approx(3 / 7)


def test_a_split_needs_three_tokens_of_a_target_in_each_of_two_clusters() -> None:
    record = _record()
    assert checks.splits(record) == {}
    target = np.where(np.arange(SIZE) < 8, "a", record.target.values)
    halves = _record(gradients=np.repeat(np.arange(6), 4)).assign(target=("token", target))
    # Either half holds two tokens of each kind of text, so the split is none by context.
    assert list(checks.splits(halves)) == ["a"]
    assert checks.context_splits(halves) == []
    by_kind = _record(gradients=np.where(record.source.values == "code", 1, 0)).assign(target=("token", target))
    assert checks.splits(by_kind) == {"a": pytest.approx(1)}
    assert checks.context_splits(by_kind) == ["a"]


def test_three_splits_by_context_are_asked_for() -> None:
    by_kind = _record(gradients=np.where(_record().source.values == "code", 1, 0))
    three = by_kind.assign(target=("token", np.repeat(list("abc"), 8)))
    assert checks.split_by_context(three).holds
    assert not checks.split_by_context(checks.shuffled(three)).holds
    assert not checks.split_by_context(by_kind).holds
    n = words.split_numbers(three)
    assert (n["splits"], n["splits_by_count"], n["shuffled_context_splits"]) == ("`a`, `b` and `c`", "3, 3 and 3", 0)


def test_what_the_page_quotes_by_hand() -> None:
    record = _record()
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.led_by_target(record, "gradients") == "3, 6 and 9"
    assert words.led_by_target(record, "activations") == "none"
    assert words.largest(record) == {"largest": 4, "inside": 1.0, "inside_rest": 0.0}
    rows = words.table(record).splitlines()
    assert len(rows) == 2 + 3 * 3
    assert rows[2].startswith("| 3 of gradients | 1.00 (1.00) |")
    assert checks.rms(record) == pytest.approx(
        0.02 * np.sqrt(np.square(np.random.default_rng(0).standard_normal(40)).mean())
    )


def test_shuffled_parts_keep_their_numbers() -> None:
    parts = {name: torch.arange(12.0).view(6, 2) + i for i, name in enumerate("ab")}
    before = {name: each.clone() for name, each in parts.items()}
    gradient_clusters._shuffle(parts, 0)
    orders = [parts[name][:, 0].argsort().tolist() for name in "ab"]
    assert orders[0] != orders[1]
    assert all(torch.equal(parts[name].sort(0).values, before[name]) for name in "ab")


def test_similarity_is_the_angle() -> None:
    found = similarity(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
    assert found == pytest.approx(np.array([[1, 0.5], [0.5, 0]]))


def test_tokens_are_drawn_evenly_and_none_twice() -> None:
    sources = list(SOURCES)
    found = [Chosen(i, place, 0.1) for i in range(len(sources)) for place in range(3 if i == 0 else 20)]
    picked = drawn(found, sources, 40, 0)
    counts = np.bincount([c.excerpt for c in picked], minlength=len(sources))
    assert len(set(picked)) == 40
    assert counts[0] == 3
    assert counts[1:].max() - counts[1:].min() <= 1


def test_candidates_are_sure_and_cannot_be_copied() -> None:
    tokens = torch.tensor([0, *range(1, 18), 5, 6, 7, 20])
    losses = torch.full((len(tokens) - 1,), 0.1)
    losses[15] = 2.0  # of place 16
    found = candidates([losses], [tokens], 0.3)
    assert [each.place for each in found] == [17, 18, 19, 21]  # place 20 ends 5, 6, 7 once more


def test_excerpts_are_of_every_source_and_hold_what_they_should() -> None:
    found = excerpts(2)
    assert [each.source for each in found] == [source for source in SOURCES for _ in range(2)]
    assert all(len(each.text) > 150 for each in found)
    assert len({each.text for each in found}) == len(found)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"excerpts": 0}, "excerpts"),
        ({"length": 5}, "length"),
        ({"max_loss": 0.0}, "max_loss"),
        ({"tokens": 3}, "tokens"),
        ({"checked": 2}, "checked"),
        ({"last_blocks": 31}, "last_blocks"),
        ({"small_rank": 96}, "small_rank"),
        ({"passage": 80}, "passage"),
        ({"counts": (20, 10)}, "counts"),
        ({"num_seeds": 1}, "num_seeds"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        Config(**changes)  # type: ignore[arg-type]


def test_more_tokens_than_there_are_is_refused() -> None:
    config = Config(excerpts=1, length=20, passage=10, tokens=200, counts=(10, 20), checked=3)
    with pytest.raises(ValueError, match=r"^tokens=200"):
        gradient_clusters.run(config)
