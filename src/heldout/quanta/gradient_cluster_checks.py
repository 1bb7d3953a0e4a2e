"""What the claims about clusters of gradients measure on a record."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.quanta.token_choice import unique_numbers

KINDS = ("gradients", "activations", "shuffled")
LABELS = {"target": "target token", "previous": "token before", "source": "kind of text"}
MIDDLE = 1  # of the numbers of clusters
FIDELITY = 0.97  # least correlation of sketched with whole cosines
SAME = 3  # tokens of one target that make a part of a split


Score = Callable[[Any, Any], float]


def agreement(result: xr.Dataset, kind: str, measure: str, score: Score = adjusted_mutual_info_score) -> xr.DataArray:
    """Mutual information of clusters with one label of the tokens, up to 1 (count, seed); adjusted, it is 0 by chance."""
    truth, labels = unique_numbers(list(result[measure].values)), result.labels.sel(kind=kind)
    values = [[score(truth, row) for row in rows] for rows in labels.values]
    return xr.DataArray(values, dims=("count", "seed"))


def stability(result: xr.Dataset) -> xr.DataArray:
    """Mean adjusted Rand index of every two clusterings of the gradients (count)."""
    rows = result.labels.sel(kind="gradients").values
    return xr.DataArray(
        [np.mean([adjusted_rand_score(a, b) for a, b in combinations(each, 2)]) for each in rows], dims="count"
    )


def correlation(result: xr.Dataset, which: str = "sketched") -> float:
    """Of sketched with whole cosines, over pairs of tokens."""
    return float(np.corrcoef(result.exact.values, result[which].values)[0, 1])


def _nearest(result: xr.Dataset, allowed: np.ndarray) -> np.ndarray:
    """Each token's most similar other token among the allowed ones (token, other); -1 where there is none."""
    values = np.where(allowed & ~np.eye(len(allowed), dtype=bool), result.similarity.values.astype(float), -1.0)
    return np.where(values.max(1) > -1, values.argmax(1), -1)


def nearest_share(result: xr.Dataset, measure: str) -> float:
    """Share of tokens whose nearest neighbor has the same label."""
    label = result[measure].values
    return float((label[_nearest(result, np.ones((len(label), len(label)), dtype=bool))] == label).mean())


def chance_share(result: xr.Dataset, measure: str) -> float:
    """The same for a neighbor drawn at random."""
    label = result[measure].values
    same = label[:, None] == label
    return float((same.sum() - len(label)) / (len(label) * (len(label) - 1)))


def _within(result: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs share a target; which tokens have such others both in their own kind of text and in another."""
    target, source = result.target.values, result.source.values
    same_target = target[:, None] == target
    np.fill_diagonal(same_target, False)
    same_source = source[:, None] == source
    usable = (same_target & same_source).any(1) & (same_target & ~same_source).any(1)
    return same_target, usable


def judged(result: xr.Dataset) -> int:
    """Tokens with others of their target both in their own kind of text and in another."""
    return int(_within(result)[1].sum())


def nearest_within_target(result: xr.Dataset) -> float:
    """Share of those tokens whose nearest neighbor of the same target is of their own kind of text."""
    same_target, usable = _within(result)
    source = result.source.values
    nearest = _nearest(result, same_target)[usable]
    return float((source[nearest] == source[usable]).mean()) if usable.any() else float("nan")


def chance_within_target(result: xr.Dataset) -> float:
    """The same for a neighbor of the same target drawn at random."""
    same_target, usable = _within(result)
    source = result.source.values
    same = (same_target & (source[:, None] == source)).sum(1) / np.maximum(same_target.sum(1), 1)
    return float(same[usable].mean()) if usable.any() else float("nan")


def splits(result: xr.Dataset) -> list[str]:
    """Targets whose tokens lie in at least two clusters with three or more of them each, in every clustering."""
    labels, target = result.labels.sel(kind="gradients").isel(count=MIDDLE).values, result.target.values
    found = []
    for name in np.unique(target):
        parts = [(np.unique(row[target == name], return_counts=True)[1] >= SAME).sum() for row in labels]
        if min(parts) >= 2:
            found.append(repr(str(name)))
    return found


def faithful(result: xr.Dataset) -> Evidence:
    """Correlation of sketched with whole cosines."""
    value = correlation(result)
    return Evidence(value=value, bound=f">= {FIDELITY:g}", holds=value >= FIDELITY)


def by_target(result: xr.Dataset) -> Evidence:
    """Per clustering, agreement with the target beyond chance."""
    return across_seeds(agreement(result, "gradients", "target").isel(count=MIDDLE), above=0.15)


def text_in_activations(result: xr.Dataset) -> Evidence:
    """Per clustering, agreement with the kind of text of clusters of activations less that of gradients."""
    more = agreement(result, "activations", "source") - agreement(result, "gradients", "source")
    return across_seeds(more.isel(count=MIDDLE), above=0.05)


def beyond_target(result: xr.Dataset) -> Evidence:
    """Among tokens of one target, how much more often than by chance the nearest is of the same kind of text."""
    value, chance = nearest_within_target(result), chance_within_target(result)
    return Evidence(value=value - chance, bound="> 0.2 above chance", holds=bool(value - chance > 0.2))


def small_sketch(result: xr.Dataset) -> xr.Dataset:
    """The sketch that is too small in the place of the other."""
    return result.assign(sketched=result.small)


def shuffled(result: xr.Dataset) -> xr.Dataset:
    """Clusters of shuffled gradients in the place of those of gradients."""
    labels = result.labels.copy()
    labels.loc[{"kind": "gradients"}] = result.labels.sel(kind="shuffled").values
    return result.assign(labels=labels)


def gradients_twice(result: xr.Dataset) -> xr.Dataset:
    """Clusters of gradients in the place of those of activations."""
    labels = result.labels.copy()
    labels.loc[{"kind": "activations"}] = result.labels.sel(kind="gradients").values
    return result.assign(labels=labels)


def dealt_sources(result: xr.Dataset) -> xr.Dataset:
    """Kinds of text dealt anew among the tokens of one target."""
    random, source = np.random.default_rng(0), result.source.values.copy()
    for name in np.unique(result.target.values):
        mine = np.flatnonzero(result.target.values == name)
        source[mine] = source[random.permutation(mine)]
    return result.assign(source=("token", source))


def same_pairs(result: xr.Dataset) -> Evidence:
    """The small sketch is of the same tokens: its cosines follow the whole ones, if loosely."""
    value = correlation(result)
    return Evidence(value=value, bound="> 0", holds=value > 0)


def as_many_clusters(result: xr.Dataset) -> Evidence:
    """Per clustering, the share of the clusters asked for that hold a token."""
    labels = result.labels.sel(kind="gradients").isel(count=MIDDLE)
    used = [len(np.unique(row)) / int(result["count"][MIDDLE]) for row in labels.values]
    return across_seeds(np.array(used), above=0.5)


def as_many_sources(result: xr.Dataset) -> Evidence:
    """The gradients, and how many tokens can be judged, are as before: at least ten."""
    count = judged(result)
    return Evidence(value=count, bound=">= 10 tokens judged", holds=count >= 10)


SOURCE = "Michaud et al. 2023, arXiv 2303.13506, section 5; the baselines and thresholds are this book's"
CLAIMS = (
    Claim(
        id="gradient_clusters.sketch",
        says="Cosines of sketched gradients follow those of whole gradients with a correlation of at least .97.",
        rows=("S3.3",),
        source="this book",
        check=faithful,
        expected="not reproduced",
        expected_at_paper="reproduced",
        control=Control(says="a sketch of rank 4", change=small_sketch, manipulation=same_pairs),
    ),
    Claim(
        id="gradient_clusters.target",
        says="Clusters of gradients agree with the target token by more than .15 beyond chance.",
        rows=("S3.3", "S3.4"),
        source=SOURCE,
        check=by_target,
        control=Control(says="each layer's gradients shuffled", change=shuffled, manipulation=as_many_clusters),
    ),
    Claim(
        id="gradient_clusters.activations",
        says="Clusters of activations agree with the kind of text more than clusters of gradients do, by more than .05.",
        rows=("S3.4",),
        source=SOURCE,
        check=text_in_activations,
        control=Control(says="gradients in the place of activations", change=gradients_twice, manipulation=by_target),
    ),
    Claim(
        id="gradient_clusters.beyond_target",
        says=(
            "With the target token held fixed, the nearest gradient comes from the same kind of text more often than "
            "by chance, by more than .2."
        ),
        rows=("S3.3", "S3.4"),
        source=SOURCE,
        check=beyond_target,
        control=Control(
            says="kinds of text dealt anew among the tokens of a target",
            change=dealt_sources,
            manipulation=as_many_sources,
        ),
    ),
)
