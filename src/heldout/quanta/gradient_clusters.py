"""Tokens of a real language model grouped by the gradients of their losses: in part by what is predicted, in part by why.

Quanta discovery from gradients, Michaud et al. 2023 (arXiv 2303.13506, section 5), on SmolLM2-135M-Instruct, beside what the
paper leaves out: how much of a cluster is its target token, the token before it, the kind of text, or nothing at all.
Axes: token (and other, the same tokens), count (clusters asked for), seed (a clustering with its own start), kind (what is
compared), pair (of checked tokens), text (a kind of text), reading, place and choice (of passages shown token by token).
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
from sklearn.metrics import normalized_mutual_info_score
from torch.nn.functional import cross_entropy

from heldout.devices import numpy_generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.language_model import LanguageModel, loaded
from heldout.quanta import gradient_cluster_checks as checks
from heldout.quanta import gradient_cluster_words as words
from heldout.quanta.excerpts import SOURCES, excerpts
from heldout.quanta.gradient_cluster_checks import CLAIMS, KINDS, LABELS, READINGS
from heldout.quanta.token_choice import Chosen, candidates, context, drawn, encoded
from heldout.quanta.token_gradients import Sketches, cosines, whole_cosines
from heldout.quanta.token_passages import by_kind, passages

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "describe", "numbers", "plot", "run"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which tokens, which gradients, and how they are grouped."""

    excerpts: int = 4  # of each of the five kinds of text
    length: int = 80  # tokens of an excerpt
    tokens: int = 100
    max_loss: float = 0.3  # nats
    last_blocks: int = 6
    rank: int = 96  # a matrix is kept as rank x rank numbers
    checked: int = 20  # tokens whose gradients are compared whole as well
    small_rank: int = 4  # of a sketch that is too small
    passage: int = 24  # tokens of a passage that is kept token by token
    counts: tuple[int, ...] = (10, 20, 40)  # clusters
    num_seeds: int = 5  # clusterings of the same tokens, each from its own start
    first_seed: int = 100  # of the clusterings; the first one also draws the tokens

    def __post_init__(self) -> None:
        require(self.excerpts >= 1, "excerpts", self.excerpts, "at least 1")
        require(20 <= self.length <= 512, "length", self.length, "from 20 to 512")
        require(self.max_loss > 0, "max_loss", self.max_loss, "above 0")
        require(self.tokens >= 12, "tokens", self.tokens, "at least 12")
        require(3 <= self.checked <= self.tokens, "checked", self.checked, f"from 3 to tokens={self.tokens}")
        require(1 <= self.passage < self.length, "passage", self.passage, f"from 1 to below length={self.length}")
        require(1 <= self.last_blocks <= 30, "last_blocks", self.last_blocks, "from 1 to 30")
        require(1 <= self.small_rank < self.rank, "small_rank", self.small_rank, f"from 1 to below rank={self.rank}")
        rising = list(self.counts) == sorted(set(self.counts)) and 2 <= self.counts[0] <= self.counts[-1] < self.tokens
        require(rising, "counts", self.counts, f"increasing, from 2 to below tokens={self.tokens}")
        require(self.num_seeds >= 2, "num_seeds", self.num_seeds, "at least 2")


SMOKE = Config(
    excerpts=1, length=48, tokens=20, last_blocks=1, rank=16, checked=4, counts=(3, 6), num_seeds=2, first_seed=0
)  # fmt: skip
BOOK = Config()
PAPER = Config(excerpts=24, length=128, tokens=600, passage=60, counts=(20, 40, 80))


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Choose tokens, sketch the gradient of each, compare them, and group them.

    Returns:
        similarity (token, other), 1 - angle / pi of two gradients, float16; labels (kind, count, seed, token), the cluster;
        exact, sketched, small (pair), cosines of the checked tokens; loss (nats), source, excerpt, before, previous and target
        of each token; mean_loss (nats) and easy (share below max_loss) of every kind of text; a passage of each, token by
        token: passage_token (text, place), passage_loss, passage_rank (text, reading, place), and passage_best and
        passage_probability (text, reading, place, choice), the model's first choices.
    """
    model, tokenizer = loaded(device)
    texts = excerpts(config.excerpts)
    encodings = [encoded(tokenizer, each, config.length).to(device) for each in texts]
    losses, entering, streams = _read(model, encodings, config.last_blocks)
    found = candidates(losses, encodings, config.max_loss)
    chosen = drawn(found, [each.source for each in texts], config.tokens, config.first_seed)
    require(len(chosen) == config.tokens, "tokens", config.tokens, f"at most {len(found)}, the tokens below max_loss")
    some, exact, small = _checked(model, encodings, entering, chosen, config)  # first, since it needs the most memory
    sketches = _sketches(model, encodings, entering, chosen, config, progress)
    activations = torch.stack([streams[c.excerpt][c.place - 1] for c in chosen])
    cosine = {"gradients": cosines(sketches), "activations": cosines({"stream": activations})}
    numbers_per_token = sum(each.shape[1] for each in sketches.values())
    _shuffle(sketches, config.first_seed)
    cosine["shuffled"] = cosines(sketches)
    del sketches
    entries = {str(i): each for i, each in enumerate(torch.split(activations, 1, dim=1))}
    _shuffle(entries, config.first_seed)
    cosine["shuffled_activations"] = cosines({"stream": torch.cat(list(entries.values()), dim=1)})
    sketched = cosine["gradients"].cpu().numpy()[np.ix_(some, some)][np.triu_indices(len(some), 1)]
    labels = [[_clusterings(similarity(cosine[kind]), count, config) for count in config.counts] for kind in KINDS]
    around = [context(tokenizer, encodings[c.excerpt], c.place, 160) for c in chosen]
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
            "excerpt": variable("token", np.array([c.excerpt for c in chosen], dtype=np.int16), "number of the excerpt"),
            "before": variable("token", [before for before, _, _ in around], "text before the token", "text"),
            "previous": variable("token", [previous for _, previous, _ in around], "token before", "text"),
            "target": variable("token", [target for _, _, target in around], "token that is predicted", "text"),
        }
        | passages(model, tokenizer, encodings[:: config.excerpts], config.passage)
        | by_kind(losses, config.excerpts, config.max_loss),
        {
            "text": list(SOURCES),
            "reading": list(READINGS),
            "kind": list(KINDS),
            "count": variable("count", list(config.counts), "clusters asked for"),
            "seed": list(range(config.first_seed, config.first_seed + config.num_seeds)),
        },
        {"candidates": len(found), "numbers_per_token": numbers_per_token},
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


@torch.no_grad()
def _read(
    model: LanguageModel, encodings: list[torch.Tensor], last_blocks: int
) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    """Of every text: the losses of its tokens but the first, the stream that enters the last blocks, and the last stream."""
    losses, entering, streams = [], [], []
    for tokens in encodings:
        hidden: list[torch.Tensor] = []
        stream = model.stream(tokens[None], hidden=hidden)[0]
        losses.append(cross_entropy(stream[:-1] @ model.embed.T, tokens[1:], reduction="none"))
        entering.append(hidden[-1 - last_blocks][0])
        streams.append(stream)
    return losses, entering, streams


def _sketches(
    model: LanguageModel,
    encodings: list[torch.Tensor],
    entering: list[torch.Tensor],
    chosen: list[Chosen],
    config: Config,
    progress: Progress,
) -> dict[str, torch.Tensor]:
    """Sketched gradients of every chosen token, by layer."""
    machine = Sketches(model, last_blocks=config.last_blocks, rank=config.rank, seed=config.first_seed)
    parts: dict[str, list[torch.Tensor]] = {name: [] for name in machine.layers}
    done = 0
    for number, places in _by_text(chosen).items():
        for name, sketch in machine.of(encodings[number], places, at_once=4, entering=entering[number]).items():
            parts[name].append(sketch)
        done += len(places)
        progress(done, len(chosen))
    # One layer at a time, so that no more than one is held twice.
    return {name: torch.cat(parts.pop(name)) for name in list(parts)}


def _checked(
    model: LanguageModel,
    encodings: list[torch.Tensor],
    entering: list[torch.Tensor],
    chosen: list[Chosen],
    config: Config,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Some tokens, and the cosines of every two of them: from whole gradients, and from a sketch that is too small."""
    random = numpy_generator("checked tokens", config.first_seed)
    some = np.sort(random.choice(len(chosen), config.checked, replace=False))
    small = Sketches(model, last_blocks=config.last_blocks, rank=config.small_rank, seed=config.first_seed)
    factors = [
        small.factors(encodings[c.excerpt], c.place, entering=entering[c.excerpt]) for c in (chosen[i] for i in some)
    ]
    rows = [small.sketched(each) for each in factors]
    of_small = cosines({name: torch.stack([row[name] for row in rows]) for name in small.layers})
    upper = np.triu_indices(config.checked, 1)
    return some, whole_cosines(factors).cpu().numpy()[upper], of_small.cpu().numpy()[upper]


def _shuffle(parts: dict[str, torch.Tensor], seed: int) -> None:
    """Deal every part's rows to other tokens, in place, each part by itself: the same numbers, no token behind them."""
    random = numpy_generator("shuffled gradients", seed)
    for name in parts:
        parts[name] = parts[name][torch.from_numpy(random.permutation(len(parts[name])))]


def _clusterings(affinity: np.ndarray, count: int, config: Config) -> list[np.ndarray]:
    return [
        SpectralClustering(
            n_clusters=count, affinity="precomputed", n_init=5, random_state=config.first_seed + seed
        ).fit_predict(affinity)
        for seed in range(config.num_seeds)
    ]


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Agreement of the clusters with what one can read off a token, over their number; dots are clusterings."""
    ax = style.axes(ax)
    counts, ticks = result["count"].values, []
    for j, (measure, label) in enumerate(LABELS.items()):
        places = j * (len(counts) + 1) + np.arange(len(counts))
        ticks += list(places)
        for kind, color in zip(KINDS[:3], (style.BLUE, style.ORANGE, style.GREEN), strict=True):
            values = checks.agreement(result, kind, measure)
            for row in values.transpose("seed", "count").values:
                ax.plot(places, row, "o", color=color, alpha=0.4, markersize=4)
            ax.plot(places, values.median("seed"), color=color, label=kind if j == 0 else None)
        ax.text(float(places.mean()), 0.95, label, ha="center")
    ax.set_xticks(ticks, [str(count) for count in counts] * len(LABELS))
    ax.set(xlabel="number of clusters", ylabel="adjusted mutual information", ylim=(-0.1, 1.02))
    ax.legend(loc=(0.39, 0.55), title="compared")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes; where nothing else is said, medians over clusterings at the middle number of clusters."""
    found: dict[str, float | int | str] = {
        "tokens": result.sizes["token"],
        "candidates": int(result.attrs["candidates"]),
        "sketch": int(result.attrs["numbers_per_token"]),
        "clusters": int(result["count"][checks.MIDDLE]),
        "counts": words.listed([str(count) for count in result["count"].values]),
        "clusterings": result.sizes["seed"],
        "targets": len(np.unique(result.target.values)),
        "correlation": checks.correlation(result),
        "correlation_small": checks.correlation(result, "small"),
        "rms": checks.rms(result),
        "rms_small": checks.rms(result, "small"),
        "spread": float(result.exact.std()),
        "pairs": result.sizes["pair"],
        "stable": float(checks.stability(result).isel(count=checks.MIDDLE)),
        "stable_least": float(checks.stability(result).min()),
        "nearest": float(checks.nearest_share(result, "target")),
        "chance_nearest": checks.chance_share(result, "target"),
        "text_gap": checks.text_in_activations(result).value,
        "text_gap_low": checks.text_in_activations(result).low,
        "table": words.table(result),
        "losses": words.listed(
            [f"{float(each):.2f} for {name}" for name, each in zip(result.text.values, result.mean_loss, strict=True)]
        ),
        "first_reading": float(result.passage_loss[:, 0].mean()),
        "second_reading": float(result.passage_loss[:, 1].mean()),
        "easy_least": float(result.easy.min()),
        "easy_most": float(result.easy.max()),
    }
    for suffix, whole in (("", False), ("_all", True)):
        found |= {
            f"judged{suffix}": checks.judged(result, same_excerpt=whole),
            f"nearest_source{suffix}": checks.nearest_within_target(result, same_excerpt=whole),
            f"chance_source{suffix}": checks.chance_within_target(result, same_excerpt=whole),
        }
    for kind in KINDS:
        for measure in LABELS:
            found[f"{kind}_{measure}"] = float(checks.agreement(result, kind, measure)[checks.MIDDLE].median())
        found[f"{kind}_target_nmi"] = float(
            checks.agreement(result, kind, "target", normalized_mutual_info_score)[checks.MIDDLE].median()
        )
        found[f"{kind}_led"] = words.led_by_target(result, kind)
    return found | words.largest(result) | words.split_numbers(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    rows = "; ".join(
        f"clusters of {kind} agree with the target by {n[f'{kind}_target']:.2f}, with the token before by "
        f"{n[f'{kind}_previous']:.2f}, with the kind of text by {n[f'{kind}_source']:.2f}"
        for kind in KINDS[:2]
    )
    return (
        f"Agreement of {n['counts']} clusters of {n['tokens']} tokens. At {n['clusters']} clusters: {rows}. For the kind of "
        f"text, activations lie above gradients by at least {n['text_gap']:.2f}; shuffled gradients lie near 0."
    )
