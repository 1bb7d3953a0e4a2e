"""Tokens of a real language model grouped by the gradients of their losses: in part by what is predicted, in part by why.

Quanta discovery from gradients, Michaud et al. 2023 (arXiv 2303.13506, section 5), on SmolLM2-135M-Instruct, beside what the
paper leaves out: how much of a cluster is its target token, the token before it, the kind of text, or nothing at all.
Axes: token (and other, the same tokens), count (clusters asked for), seed (a clustering with its own start), kind (what is
compared), pair (of checked tokens).
Deviations from the paper: a model of 135 million weights in four bits, tuned to follow instructions; gradients of the last
blocks only, as random sketches; hundreds of tokens, not ten thousand; a loss below 0.3 nats, not 0.1. One model and one draw of
tokens: the band is over clusterings, not over seeds of training.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

from heldout.devices import numpy_generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.language_model import LanguageModel, loaded
from heldout.quanta import gradient_cluster_checks as checks
from heldout.quanta.excerpts import excerpts
from heldout.quanta.gradient_cluster_checks import CLAIMS, KINDS, LABELS
from heldout.quanta.token_choice import Chosen, candidates, context, drawn, encoded
from heldout.quanta.token_gradients import Sketches, cosines, whole_cosines

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "describe", "numbers", "plot", "run"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which tokens, which gradients, and how they are grouped."""

    excerpts: int = 4  # of each of the five kinds of text
    length: int = 80  # tokens of an excerpt
    tokens: int = 100
    max_loss: float = 0.3  # nats
    last_blocks: int = 6
    rank: int = 64  # of the sketch of a matrix, on either side
    checked: int = 12  # tokens whose gradients are compared whole as well
    small_rank: int = 4  # of a sketch that is too small
    counts: tuple[int, ...] = (10, 20, 40)  # clusters
    num_seeds: int = 5  # clusterings of the same tokens, each from its own start
    first_seed: int = 100  # of the clusterings; the first one also draws the tokens

    def __post_init__(self) -> None:
        require(self.excerpts >= 1, "excerpts", self.excerpts, "at least 1")
        require(20 <= self.length <= 512, "length", self.length, "from 20 to 512")
        require(self.max_loss > 0, "max_loss", self.max_loss, "above 0")
        require(self.tokens >= 12, "tokens", self.tokens, "at least 12")
        require(3 <= self.checked <= self.tokens, "checked", self.checked, f"from 3 to tokens={self.tokens}")
        require(1 <= self.last_blocks <= 30, "last_blocks", self.last_blocks, "from 1 to 30")
        require(1 <= self.small_rank < self.rank, "small_rank", self.small_rank, f"from 1 to below rank={self.rank}")
        rising = list(self.counts) == sorted(set(self.counts)) and 2 <= self.counts[0] <= self.counts[-1] < self.tokens
        require(rising, "counts", self.counts, f"increasing, from 2 to below tokens={self.tokens}")
        require(self.num_seeds >= 2, "num_seeds", self.num_seeds, "at least 2")


SMOKE = Config(
    excerpts=1, length=48, tokens=20, last_blocks=1, rank=16, checked=4, counts=(3, 6), num_seeds=2, first_seed=0
)  # fmt: skip
BOOK = Config()
PAPER = Config(excerpts=24, length=128, tokens=600, checked=20, counts=(20, 40, 80))


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Choose tokens, sketch the gradient of each, compare them, and group them.

    Returns:
        similarity (token, other), 1 - angle / pi of two gradients, float16; labels (kind, count, seed, token), the cluster;
        exact, sketched, small (pair), cosines of the checked tokens; loss (nats), source, before, previous and target of each
        token.
    """
    model, tokenizer = loaded(device)
    texts = excerpts(config.excerpts)
    encodings = [encoded(tokenizer, each, config.length).to(device) for each in texts]
    found = candidates(model, encodings, config.max_loss)
    chosen = drawn(found, [each.source for each in texts], config.tokens, config.first_seed)
    require(len(chosen) == config.tokens, "tokens", config.tokens, f"at most {len(found)}, the tokens below max_loss")
    sketches, activations = _compared(model, encodings, chosen, config, progress)
    cosine = {
        "gradients": cosines(sketches),
        "activations": cosines({"stream": activations}),
        "shuffled": cosines(_shuffled(sketches, config.first_seed)),
    }
    exact, sketched, small = _checked(model, encodings, chosen, config)
    labels = [[_clusterings(similarity(cosine[kind]), count, config) for count in config.counts] for kind in KINDS]
    words = [context(tokenizer, encodings[c.excerpt], c.place, 160) for c in chosen]
    pair = "cosine of two gradients"
    return xr.Dataset(
        {
            "similarity": variable(
                ("token", "other"), similarity(cosine["gradients"]).astype(np.float16), "1 - angle / pi of two gradients"
            ),
            "labels": variable(("kind", "count", "seed", "token"), np.array(labels, dtype=np.int16), "cluster"),
            "exact": variable("pair", exact, pair),
            "sketched": variable("pair", sketched, f"{pair}, sketched"),
            "small": variable("pair", small, f"{pair}, in a sketch that is too small"),
            "loss": variable("token", [c.loss for c in chosen], "loss of the token", "nats"),
            "source": variable("token", [texts[c.excerpt].source for c in chosen], "kind of text", "text"),
            "before": variable("token", [before for before, _, _ in words], "text before the token", "text"),
            "previous": variable("token", [previous for _, previous, _ in words], "token before", "text"),
            "target": variable("token", [target for _, _, target in words], "token that is predicted", "text"),
        },
        {
            "kind": list(KINDS),
            "count": variable("count", list(config.counts), "clusters asked for"),
            "seed": list(range(config.first_seed, config.first_seed + config.num_seeds)),
        },
        {"candidates": len(found), "numbers_per_token": sum(each.shape[1] for each in sketches.values())},
    )  # fmt: skip


def similarity(cosine: torch.Tensor) -> np.ndarray:
    """1 - arccos(C) / pi, the paper's similarity: 1 for equal directions, one half for orthogonal ones."""
    result: np.ndarray = 1 - np.arccos(np.clip(cosine.cpu().numpy().astype(np.float64), -1, 1)) / math.pi
    return result


def _by_text(chosen: list[Chosen]) -> dict[int, list[int]]:
    places: dict[int, list[int]] = {}
    for each in chosen:
        places.setdefault(each.excerpt, []).append(each.place)
    return places


def _compared(
    model: LanguageModel, encodings: list[torch.Tensor], chosen: list[Chosen], config: Config, progress: Progress
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Sketched gradients by layer, and the stream from which the token is read, of every chosen token."""
    machine = Sketches(model, last_blocks=config.last_blocks, rank=config.rank, seed=config.first_seed)
    parts: dict[str, list[torch.Tensor]] = {name: [] for name in machine.layers}
    streams, done = [], 0
    for number, places in _by_text(chosen).items():
        for name, sketch in machine.of(encodings[number], places, at_once=8).items():
            parts[name].append(sketch)
        with torch.no_grad():
            streams.append(model.stream(encodings[number][None])[0, torch.tensor(places) - 1])
        done += len(places)
        progress(done, len(chosen))
    return {name: torch.cat(each) for name, each in parts.items()}, torch.cat(streams)


def _checked(
    model: LanguageModel, encodings: list[torch.Tensor], chosen: list[Chosen], config: Config
) -> tuple[np.ndarray, ...]:
    """Cosines of every two of some tokens: from whole gradients, from the sketch, and from a small one."""
    random = numpy_generator("checked tokens", config.first_seed)
    some = [chosen[i] for i in sorted(random.choice(len(chosen), config.checked, replace=False))]
    whole = Sketches(model, last_blocks=config.last_blocks, rank=1)
    found = [whole_cosines([whole.factors(encodings[c.excerpt], c.place) for c in some])]
    for rank in (config.rank, config.small_rank):
        machine = Sketches(model, last_blocks=config.last_blocks, rank=rank, seed=config.first_seed)
        rows = [machine.of(encodings[number], places, at_once=4) for number, places in _by_text(some).items()]
        found.append(cosines({name: torch.cat([row[name] for row in rows]) for name in machine.layers}))
    upper = np.triu_indices(config.checked, 1)
    return tuple(each.cpu().numpy()[upper] for each in found)


def _shuffled(sketches: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """Every layer's sketches dealt to other tokens, each layer by itself: the same numbers, no token behind them."""
    random = numpy_generator("shuffled gradients", seed)
    return {name: each[torch.from_numpy(random.permutation(len(each)))] for name, each in sketches.items()}


def _clusterings(affinity: np.ndarray, count: int, config: Config) -> list[np.ndarray]:
    return [
        SpectralClustering(
            n_clusters=count, affinity="precomputed", n_init=5, random_state=config.first_seed + seed
        ).fit_predict(affinity)
        for seed in range(config.num_seeds)
    ]


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Agreement of the clusters with what one can read off a token, by what was compared; dots are clusterings."""
    ax = style.axes(ax)
    colors = (style.BLUE, style.ORANGE, style.GREEN)
    measures = list(LABELS)
    for i, (kind, color) in enumerate(zip(KINDS, colors, strict=True)):
        for j, measure in enumerate(measures):
            values = checks.agreement(result, kind, measure).isel(count=checks.MIDDLE).values
            x = j + (i - 1) * 0.22
            ax.plot(np.full(len(values), x), values, "o", color=color, alpha=0.6, markersize=5)
            ax.plot([x - 0.09, x + 0.09], [np.median(values)] * 2, color=color, label=kind if j == 0 else None)
    ax.set_xticks(range(len(measures)), [LABELS[m].replace(" ", "\n", 1) for m in measures])
    ax.set(xlabel="what clusters are held against", ylabel="adjusted mutual information", ylim=(-0.1, 1))
    ax.legend(loc="upper right", title="compared")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes; medians over clusterings at the middle number of clusters."""
    found: dict[str, float | int | str] = {
        "tokens": result.sizes["token"],
        "candidates": int(result.attrs["candidates"]),
        "sketch": int(result.attrs["numbers_per_token"]),
        "clusters": int(result["count"][checks.MIDDLE]),
        "clusterings": result.sizes["seed"],
        "targets": len(np.unique(result.target.values)),
        "correlation": checks.correlation(result),
        "correlation_small": checks.correlation(result, "small"),
        "pairs": result.sizes["pair"],
        "stable": float(checks.stability(result).isel(count=checks.MIDDLE)),
        "nearest": float(checks.nearest_share(result, "target")),
        "chance_nearest": checks.chance_share(result, "target"),
        "nearest_source": float(checks.nearest_within_target(result)),
        "chance_source": checks.chance_within_target(result),
        "judged": checks.judged(result),
    }
    for kind in KINDS:
        for measure in LABELS:
            for short, score in (
                ("", adjusted_mutual_info_score),
                ("_nmi", normalized_mutual_info_score),
            ):
                values = checks.agreement(result, kind, measure, score).isel(count=checks.MIDDLE)
                found[f"{kind}_{measure}{short}"] = float(values.median())
    sizes = np.bincount(result.labels.sel(kind="gradients").isel(count=checks.MIDDLE, seed=0).values)
    found["largest"] = int(sizes.max())
    split = checks.splits(result)
    found |= {"split_targets": len(split), "splits": ", ".join(split)}
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    rows = "; ".join(
        f"clusters of {kind} agree with the target by {n[f'{kind}_target']:.2f}, with the token before by "
        f"{n[f'{kind}_previous']:.2f}, with the kind of text by {n[f'{kind}_source']:.2f}"
        for kind in KINDS[:2]
    )
    return f"Agreement of {n['clusters']} clusters of {n['tokens']} tokens: {rows}; those of shuffled gradients lie near 0."
