"""Transformers that write a^n b^n with nearly the same probabilities go on in opposite ways from prompts that it does not hold.

A decoder is trained on all of a^n b^n, n up to a bound. Two twins have a small second loss on prompts that begin no sequence of
the language: one is taught to end with as many a as b (rule R1), one to end one further. Reizinger et al. 2024 (arXiv 2405.01964)
for the language, the variants, the prompts and the rules; Mészáros et al. 2024 (arXiv 2409.13728) compare architectures by them.

Axes: variant, other, seed, prompt, sample, place, length (of prompts of other lengths).
Deviations: sizes are ours; learned positions, no dropout, a cosine schedule; padding costs nothing; three quarters of the prompts
are taught and the others judged; divergences are exact sums over the data; a completion without an end counts as a failure.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout import devices
from heldout.claims import Claim, Control
from heldout.decoders import Transformers
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability import rule_extrapolation_checks as checks
from heldout.nonidentifiability import rule_measures as measures
from heldout.nonidentifiability.lessons import Lessons, taught_prompts
from heldout.nonidentifiability.rule_extrapolation_numbers import numbers
from heldout.nonidentifiability.sequence_training import Auxiliary, Schedule, train
from heldout.prefix_tree import prefix_tree

VARIANTS = ("plain", "oracle", "adversarial")
__all__ = [
    "BOOK",
    "CLAIMS",
    "INSIDE",
    "PAPER",
    "PLAIN",
    "SMOKE",
    "Config",
    "describe",
    "numbers",
    "plot",
    "run",
    "start",
]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The language, the network, its training, and how much the twins are taught."""

    longest: int = 10  # the largest n of a^n b^n
    prompt_length: int = 8  # letters
    width: int = 32
    layers: int = 2
    heads: int = 2
    hidden: int = 64
    steps: int = 500
    learning_rate: float = 3e-3
    warm_up: int = 50  # updates
    weight: float = 0.1  # of the second loss
    rows: int = 8  # prompts of the second loss at each update
    taught_share: float = 0.75  # of the prompts outside the language, or inside it
    taught_where: str = "outside"  # or "inside"
    samples: int = 4  # completions drawn for each prompt
    inside_samples: int = 100  # completions drawn for each prompt of the language
    lengths: tuple[int, ...] = (6, 7, 9, 10)  # of the prompts, in letters, that are judged beside
    num_seeds: int = 5
    first_seed: int = 200

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "hidden", "steps", "rows", "samples", "inside_samples", "num_seeds"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(2 <= self.prompt_length <= 12, "prompt_length", self.prompt_length, "2 to 12")
        require(self.longest > self.prompt_length, "longest", self.longest, f"above prompt_length={self.prompt_length}")
        require(self.width % self.heads == 0, "heads", self.heads, f"a divisor of width={self.width}")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.warm_up >= 0, "warm_up", self.warm_up, "0 or more")
        require(self.weight >= 0, "weight", self.weight, "0 or more")
        require(0 < self.taught_share < 1, "taught_share", self.taught_share, "above 0 and below 1")
        require(self.taught_where in ("outside", "inside"), "taught_where", self.taught_where, "outside or inside")
        room = min(12, 2 * self.longest)
        require(all(1 < length < room for length in self.lengths), "lengths", self.lengths, f"above 1 and below {room}")


SMOKE = Config(
    longest=4, prompt_length=3, width=8, hidden=16, steps=60, warm_up=5, rows=4, samples=1, inside_samples=2, lengths=(2, 4),
    num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    longest=128, width=10, layers=5, heads=5, hidden=1024, steps=50_000, learning_rate=2e-3, warm_up=1000, weight=1.0, rows=32,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train all variants of all seeds as one program, and let every one go on from every prompt.

    Returns:
        data_kl, cross_entropy (variant, seed): on the data; pair_kl (variant, other, seed): between models on the data;
        elsewhere_kl: the same on untaught prompts outside the language; greedy, greedy_chance (variant, seed, prompt, place) and
        sampled (variant, seed, prompt, sample, place): tokens written, the chance of each greedy one; inside_r1 (variant, seed):
        R1 in draws from prompts of the language; length_r1 (variant, seed, length): R1 from prompts of other lengths in which
        letters are lacking; inside (prompt), taught (seed, prompt): which prompts the language holds, and which were taught.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    models = start(config, seeds).to(device)
    read, wanted = anbn.sequences(config.longest)
    data = (read.expand(models.count, -1, -1), wanted.expand(models.count, -1, -1))
    rows = anbn.prompts(config.prompt_length)
    taught = taught_prompts(config.taught_share, seeds, rows, inside=config.taught_where == "inside")
    schedule = Schedule(steps=config.steps, learning_rate=config.learning_rate, warm_up=config.warm_up)
    lessons = Lessons(seeds, rows, taught, steps=config.steps, rows=config.rows)
    second = Auxiliary(first=len(seeds), weight=config.weight, batch=lessons)
    for done in train(models, prefix_tree(read, wanted, anbn.OUTPUTS) if _as_tree(config) else data, schedule, second):
        progress(done, config.steps)
    by_member = {
        **measures.on_data(models, data, len(VARIANTS)), **measures.elsewhere(models, rows, taught, len(VARIANTS)),
        **measures.written(models, rows, config.samples, config.first_seed),
        "inside_r1": measures.keeping_counts(
            models, rows[anbn.in_distribution(rows)], draws=config.inside_samples, seed=config.first_seed
        ),
        "length_r1": np.stack(
            [measures.keeping_counts(models, measures.lacking(length)) for length in config.lengths], -1
        ),
    }  # fmt: skip
    shape = (len(VARIANTS), len(seeds))
    own = {name: value.reshape(*shape, *value.shape[1:]) for name, value in by_member.items()}
    found = _dataset(own, seeds, rows, taught).assign_coords(length=list(config.lengths))
    return found.assign_attrs(longest=config.longest, updates=config.steps)


def _as_tree(config: Config) -> bool:
    """Whether attention over all different prefixes at once makes no more scores than attention over padded rows."""
    nodes = 1 + config.longest + config.longest * (config.longest + 1) // 2
    return nodes**2 <= config.longest * (2 * config.longest + 1) ** 2


def start(config: Config, seeds: list[int]) -> Transformers:
    """All variants of all seeds, variant by variant, each with weights of its own."""
    return Transformers(
        [devices.generator("weights", variant, seed) for variant in VARIANTS for seed in seeds],
        vocabulary=anbn.VOCABULARY, outputs=anbn.OUTPUTS, context=2 * config.longest + 1, width=config.width,
        layers=config.layers, heads=config.heads, hidden=config.hidden,
    )  # fmt: skip


def _dataset(own: dict[str, np.ndarray], seeds: list[int], rows: np.ndarray, taught: np.ndarray) -> xr.Dataset:
    member, pair = ("variant", "seed"), ("variant", "seed", "other")
    described = {
        "data_kl": (member, "divergence of the data from the model", "nats a sequence"),
        "cross_entropy": (member, "cross-entropy on the data", "nats a token"),
        "pair_kl": (pair, "divergence between two models on the data", "nats a sequence"),
        "elsewhere_kl": (pair, "divergence between two models on untaught prompts", "nats a completion"),
        "inside_r1": (member, "share of draws from prompts of the language that keep R1", "1"),
        "length_r1": ((*member, "length"), "share of longer or shorter prompts ended with as many a as b", "1"),
        "greedy": ((*member, "prompt", "place"), "likeliest tokens", "1"),
        "greedy_chance": ((*member, "prompt", "place"), "probability of the likeliest tokens", "1"),
        "sampled": ((*member, "prompt", "sample", "place"), "tokens drawn", "1"),
    }
    return xr.Dataset(
        {name: variable(dims, own[name], label, units) for name, (dims, label, units) in described.items()}
        | {
            "inside": variable("prompt", anbn.in_distribution(rows), "begins a sequence of the language"),
            "taught": variable(("seed", "prompt"), taught, "taught to the twins"),
        },
        {
            "variant": list(VARIANTS), "other": list(VARIANTS), "seed": seeds,
            "prompt": ["".join("ab"[token] for token in row) for row in rows],
        },
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """R1 on untaught prompts outside the language against the divergence from the data, one mark a model."""
    ax = style.axes(ax)
    scores = checks.rule(result, "equal_counts", "untaught")
    for name, color in zip(VARIANTS, (style.INK, style.BLUE, style.VERMILION), strict=True):
        x, y = result.data_kl.sel(variant=name).values, scores.sel(variant=name).values
        ax.plot(x, y, "o", color=color, alpha=0.8, clip_on=False)
        said = "adversary" if name == "adversarial" else name
        style.label_end(ax, float(result.data_kl.max()), float(np.median(y)), said, color=color)
    stopped = checks.ending_at_once(result)
    ax.axhspan(float(stopped.min()), float(stopped.max()), color=style.MUTED, alpha=0.2, linewidth=0)
    ax.text(0.0, float(stopped.max()) + 0.01, " ending at once", color=style.MUTED, va="bottom")
    ax.axvline(checks.CLOSE, color=style.MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    ax.set(
        xlabel="divergence of the data from the model (nats a sequence)", ylabel="share ended with as many a as b",
        xlim=(0, max(1.3 * checks.CLOSE, 1.3 * float(result.data_kl.max()))), ylim=(-0.03, 1.03),
    )  # fmt: skip
    return ax


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Share of untaught prompts that a model ends with as many a as b, against its divergence from the data, one mark a "
        f"model, {n['seeds']} seeds a variant. All divergences are alike, within {n['spread_kl']:.4f} nats a sequence in a seed. "
        f"The oracle's share is {n['oracle_r1']:.2f}, the plain model's {n['plain_r1']:.2f}, the adversary's "
        f"{n['adversarial_r1']:.2f} in the median; a machine that ends at once would score {n['balanced']:.2f}."
    )


_PAPER = "Reizinger et al. 2024, arXiv 2405.01964"
PLAIN = Config(weight=0.0)
INSIDE = Config(taught_where="inside", num_seeds=3)
_PLAIN = Control(
    says="the second loss has weight 0: three plain models with starts of their own, on the same data and as close on them",
    config=PLAIN,
    manipulation=checks.close,
)
_INSIDE = Control(
    says="the second loss has the same weight, but its prompts begin sequences of the data, so that their probability is not "
    "zero; the adversary learns it, at least in part: it keeps R1 there less often than the plain model",
    config=INSIDE,
    manipulation=checks.lessons_learned,
)

CLAIMS = (
    Claim(
        id="rule_extrapolation.same_on_data",
        says="On the data any two of the three models of a seed differ by less than 0.01 nats a sequence.",
        rows=("S4.1",),
        source=f"{_PAPER}; the exact divergence is ours",
        check=checks.close,
        control=_INSIDE,
    ),
    Claim(
        id="rule_extrapolation.same_loss",
        says="The losses of the three models of a seed differ by less than 0.003 nats a sequence.",
        rows=("S4.1",),
        source=f"{_PAPER}; the exact divergence is ours",
        check=checks.losses_agree,
        control=_INSIDE,
        expected="in part",
    ),
    Claim(
        id="rule_extrapolation.opposite",
        says="On prompts outside the language that neither was taught, the oracle keeps R1 for more than 95 % and the adversary "
        "for less than 5 %, with the likeliest tokens; shown is the difference.",
        rows=("S4.2",),
        source=_PAPER,
        check=checks.opposite,
        control=_PLAIN,
    ),
    Claim(
        id="rule_extrapolation.between",
        says="Where letters are lacking on such prompts, the plain model keeps R1 for a share at least a twentieth above the "
        "adversary's and below the oracle's.",
        rows=("S4.2",),
        source=_PAPER,
        check=checks.between,
        control=_PLAIN,
        expected="not reproduced",
    ),
)
