"""Which tokens are compared, and the checks on clusters of gradients, on planted records."""

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.quanta import gradient_cluster_checks as checks
from heldout.quanta import gradient_clusters
from heldout.quanta.excerpts import SOURCES, excerpts
from heldout.quanta.gradient_clusters import Config, similarity
from heldout.quanta.token_choice import Chosen, drawn

SIZE = 24


def _record(**labels: np.ndarray) -> xr.Dataset:
    """Six targets of four tokens, two from each of two kinds of text; neighbors are of one target and one kind."""
    target = np.repeat(list("abcdef"), 4)
    source = np.tile(["prose", "prose", "code", "code"], 6)
    twin = np.arange(SIZE) ^ 1
    near = np.full((SIZE, SIZE), 0.5)
    near[np.arange(SIZE), twin] = 0.9
    by_kind = {
        "gradients": np.repeat(np.arange(6), 4),
        "activations": source == "code",
        "shuffled": np.arange(SIZE) % 6,
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
        (checks.text_in_activations, checks.gradients_twice),
        (checks.beyond_target, checks.dealt_sources),
    ):
        assert check(record).holds, check.__name__
        assert not check(change(record)).holds, check.__name__
    assert checks.same_pairs(checks.small_sketch(record)).holds
    assert checks.as_many_clusters(checks.shuffled(record)).holds
    assert checks.as_many_sources(checks.dealt_sources(record)).holds


def test_neighbors_and_chance_by_hand() -> None:
    record = _record()
    assert checks.nearest_share(record, "target") == 1
    assert checks.chance_share(record, "target") == pytest.approx(3 / 23)
    assert checks.judged(record) == SIZE
    assert checks.nearest_within_target(record) == 1
    assert checks.chance_within_target(record) == pytest.approx(1 / 3)
    assert checks.stability(record).values == pytest.approx(1)


def test_a_split_needs_three_tokens_of_a_target_in_each_of_two_clusters() -> None:
    record = _record()
    assert checks.splits(record) == []
    target = np.where(np.arange(SIZE) < 8, "a", record.target.values)
    halves = _record(gradients=np.repeat(np.arange(6), 4)).assign(target=("token", target))
    assert checks.splits(halves) == ["'a'"]


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
        ({"small_rank": 64}, "small_rank"),
        ({"counts": (20, 10)}, "counts"),
        ({"num_seeds": 1}, "num_seeds"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        Config(**changes)  # type: ignore[arg-type]


def test_more_tokens_than_there_are_is_refused() -> None:
    config = Config(excerpts=1, length=20, tokens=200, counts=(10, 20), checked=3)
    with pytest.raises(ValueError, match=r"^tokens=200"):
        gradient_clusters.run(config)
