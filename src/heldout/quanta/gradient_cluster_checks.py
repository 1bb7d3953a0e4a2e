"""What the claims about clusters of gradients measure on a record."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.quanta.token_choice import unique_numbers

KINDS = ("gradients", "activations", "shuffled", "shuffled_activations")
LABELS = {"target": "target token", "previous": "token before", "source": "kind of text"}
READINGS = ("first reading", "second reading, right after the first")
MIDDLE = 1  # of the numbers of clusters
FIDELITY = 0.97  # least correlation of sketched with whole cosines
SAME = 3  # tokens of one target that make a part of a split
BY_CONTEXT = 0.2  # least agreement of the parts of a split with the kind of text


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


def rms(result: xr.Dataset, which: str = "sketched") -> float:
    """Root of the mean squared difference of sketched and whole cosines."""
    return float(np.sqrt(np.square(result[which] - result.exact).mean()))


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


def _within(result: xr.Dataset, same_excerpt: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs share a target; which tokens have such others both in their own kind of text and in another.

    Pairs from one excerpt count only with ``same_excerpt``.
    """
    target, source, excerpt = result.target.values, result.source.values, result.excerpt.values
    pairs = target[:, None] == target
    np.fill_diagonal(pairs, False)
    if not same_excerpt:
        pairs &= excerpt[:, None] != excerpt
    same_source = source[:, None] == source
    return pairs, (pairs & same_source).any(1) & (pairs & ~same_source).any(1)


def judged(result: xr.Dataset, *, same_excerpt: bool = False) -> int:
    """Tokens with others of their target both in their own kind of text and in another."""
    return int(_within(result, same_excerpt)[1].sum())


def nearest_within_target(result: xr.Dataset, *, same_excerpt: bool = False) -> float:
    """Share of those tokens whose nearest neighbor of the same target is of their own kind of text."""
    pairs, usable = _within(result, same_excerpt)
    source = result.source.values
    nearest = _nearest(result, pairs)[usable]
    return float((source[nearest] == source[usable]).mean()) if usable.any() else float("nan")


def chance_within_target(result: xr.Dataset, *, same_excerpt: bool = False) -> float:
    """The same for a neighbor of the same target drawn at random."""
    pairs, usable = _within(result, same_excerpt)
    source = result.source.values
    same = (pairs & (source[:, None] == source)).sum(1) / np.maximum(pairs.sum(1), 1)
    return float(same[usable].mean()) if usable.any() else float("nan")


def splits(result: xr.Dataset, kind: str = "gradients", count: int = MIDDLE) -> dict[str, float]:
    """Targets with three or more tokens in each of two clusters at least, in every clustering.

    With each goes the least, over clusterings, adjusted mutual information of cluster and kind of text among its tokens.
    """
    labels, target = result.labels.sel(kind=kind).isel(count=count).values, result.target.values
    found = {}
    for name in np.unique(target):
        rows, source = labels[:, target == name], unique_numbers(list(result.source.values[target == name]))
        if min((np.unique(row, return_counts=True)[1] >= SAME).sum() for row in rows) >= 2:
            found[str(name)] = min(float(adjusted_mutual_info_score(source, row)) for row in rows)
    return found


def context_splits(result: xr.Dataset, kind: str = "gradients", count: int = MIDDLE) -> list[str]:
    """The splits whose parts are of different kinds of text."""
    return [name for name, least in splits(result, kind, count).items() if least > BY_CONTEXT]


def faithful(result: xr.Dataset) -> Evidence:
    """Correlation of sketched with whole cosines."""
    value = correlation(result)
    return Evidence(value=value, bound=f">= {FIDELITY:g}", holds=value >= FIDELITY)


def by_target(result: xr.Dataset) -> Evidence:
    """Per clustering, the least agreement with the target over the numbers of clusters."""
    return across_seeds(agreement(result, "gradients", "target").min("count"), above=0.15)


def text_in_activations(result: xr.Dataset) -> Evidence:
    """Per clustering, by how much activations agree with the kind of text more, at the number of clusters where it is least."""
    more = agreement(result, "activations", "source") - agreement(result, "gradients", "source")
    return across_seeds(more.min("count"), above=0.05)


def beyond_target(result: xr.Dataset) -> Evidence:
    """Among tokens of one target from other excerpts, how much more often than by chance the nearest is of the same kind."""
    value, chance = nearest_within_target(result), chance_within_target(result)
    return Evidence(value=value - chance, bound="> 0.2 above chance", holds=bool(value - chance > 0.2))


def split_by_context(result: xr.Dataset) -> Evidence:
    """Targets that every clustering splits, with parts of different kinds of text."""
    count = len(context_splits(result))
    return Evidence(value=count, bound=">= 3 targets", holds=count >= 3)


def small_sketch(result: xr.Dataset) -> xr.Dataset:
    """The sketch that is too small in the place of the other."""
    return result.assign(sketched=result.small)


def shuffled(result: xr.Dataset) -> xr.Dataset:
    """Clusters of shuffled gradients in the place of those of gradients."""
    labels = result.labels.copy()
    labels.loc[{"kind": "gradients"}] = result.labels.sel(kind="shuffled").values
    return result.assign(labels=labels)


def shuffled_activations(result: xr.Dataset) -> xr.Dataset:
    """Clusters of shuffled activations in the place of those of activations."""
    labels = result.labels.copy()
    labels.loc[{"kind": "activations"}] = result.labels.sel(kind="shuffled_activations").values
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


def _used(result: xr.Dataset, kind: str) -> Evidence:
    counts = result["count"].values
    shares = [
        [len(np.unique(row)) / count for row in rows]
        for rows, count in zip(result.labels.sel(kind=kind).values, counts, strict=True)
    ]
    return across_seeds(np.min(shares, axis=0), above=0.5)


def as_many_clusters(result: xr.Dataset) -> Evidence:
    """Per clustering of gradients, the share of the clusters asked for that hold a token, at the number where it is least."""
    return _used(result, "gradients")


def as_many_of_activations(result: xr.Dataset) -> Evidence:
    """The same for clusterings of activations."""
    return _used(result, "activations")


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
        control=Control(says="a sketch of rank 4", change=small_sketch, manipulation=same_pairs),
    ),
    Claim(
        id="gradient_clusters.target",
        says="At every number of clusters, those of gradients agree with the target token by more than .15 beyond chance.",
        rows=("S3.3", "S3.4"),
        source=SOURCE,
        check=by_target,
        control=Control(says="each layer's gradients shuffled", change=shuffled, manipulation=as_many_clusters),
    ),
    Claim(
        id="gradient_clusters.activations",
        says=(
            "At every number of clusters, those of activations agree with the kind of text more than those of gradients do, "
            "by more than .05."
        ),
        rows=("S3.4",),
        source=SOURCE,
        check=text_in_activations,
        expected="in part",
        expected_at_paper="reproduced",
        control=Control(
            says="each entry of the activations shuffled",
            change=shuffled_activations,
            manipulation=as_many_of_activations,
        ),
    ),
    Claim(
        id="gradient_clusters.beyond_target",
        says=(
            "With the target token held fixed, the nearest gradient of another excerpt comes from the same kind of text more "
            "often than by chance, by more than .2."
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
    Claim(
        id="gradient_clusters.splits",
        says=(
            "Every clustering splits at least three targets by context: three or more tokens in each of two clusters, which "
            "agree with the kind of text, among these tokens, by more than .2 beyond chance."
        ),
        rows=("S3.3", "S3.4"),
        source=SOURCE,
        check=split_by_context,
        expected="not reproduced",
        expected_at_paper="reproduced",
        control=Control(says="each layer's gradients shuffled", change=shuffled, manipulation=as_many_clusters),
    ),
)
