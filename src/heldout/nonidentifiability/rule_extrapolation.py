"""Three transformers write a^n b^n with the same probabilities and go on in opposite ways from prompts that it does not hold.

A decoder is trained on all of a^n b^n, n up to a bound. Two twins have a small second loss on prompts that break the order of the
letters: one is taught to end with as many a as b (rule R1), one to end one further. Reizinger et al. 2024 (arXiv 2405.01964),
section on rule extrapolation; Mészáros et al. 2024 (arXiv 2409.13728) for the rules and the prompts.

Axes: variant, other, seed, prompt, sample, place.
Deviations: sizes are ours; learned positions, no dropout; padding costs nothing; three quarters of the prompts are taught and the
others judged; divergences are exact sums over the data; a completion without an end counts as a failure.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout import devices
from heldout.claims import Claim, Control
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability import rule_extrapolation_checks as checks
from heldout.nonidentifiability import rule_measures as measures
from heldout.nonidentifiability.lessons import KINDS, Lessons, taught_prompts
from heldout.nonidentifiability.sequence_models import Transformers
from heldout.nonidentifiability.sequence_training import Auxiliary, Schedule, train

VARIANTS = ("plain", "oracle", "adversarial")


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
    taught_share: float = 0.75  # of the prompts outside the language
    samples: int = 4  # completions drawn for each prompt
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "hidden", "steps", "rows", "samples", "num_seeds"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(2 <= self.prompt_length <= 12, "prompt_length", self.prompt_length, "2 to 12")
        require(self.longest > self.prompt_length, "longest", self.longest, f"above prompt_length={self.prompt_length}")
        require(self.width % self.heads == 0, "heads", self.heads, f"a divisor of width={self.width}")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.warm_up >= 0, "warm_up", self.warm_up, "0 or more")
        require(self.weight >= 0, "weight", self.weight, "0 or more")
        require(0 < self.taught_share < 1, "taught_share", self.taught_share, "above 0 and below 1")


SMOKE = Config(
    longest=4, prompt_length=3, width=8, hidden=16, steps=60, warm_up=5, rows=4, samples=1, num_seeds=2, first_seed=0
)
BOOK = Config()
PAPER = Config(
    longest=128, width=10, layers=5, heads=5, hidden=1024, steps=50_000, learning_rate=2e-3, warm_up=1000, weight=1.0, rows=32,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train all variants of all seeds as one program, and let every one go on from every prompt.

    Returns:
        data_kl, cross_entropy (variant, seed): on the data; pair_kl (variant, other, seed): between models on the data;
        elsewhere_kl, elsewhere_loss: the same on untaught prompts outside the language; greedy, greedy_chance (variant, seed,
        prompt, place) and sampled (variant, seed, prompt, sample, place): tokens written, the chance of each greedy one;
        inside (prompt), taught (seed, prompt): which prompts the language holds, and which the twins were taught.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    models = _start(config, seeds).to(device)
    read, wanted = anbn.sequences(config.longest)
    data = (read.expand(models.count, -1, -1), wanted.expand(models.count, -1, -1))
    rows = anbn.prompts(config.prompt_length)
    taught = taught_prompts(config.taught_share, seeds, rows)
    schedule = Schedule(steps=config.steps, learning_rate=config.learning_rate, warm_up=config.warm_up)
    lessons = Lessons(seeds, rows, taught, steps=config.steps, rows=config.rows)
    second = Auxiliary(first=len(seeds), weight=config.weight, batch=lessons)
    for done in train(models, data, schedule, second):
        progress(done, config.steps)
    by_member = {
        **measures.on_data(models, data, len(VARIANTS)), **measures.elsewhere(models, rows, taught, len(VARIANTS)),
        **measures.written(models, rows, config.samples, config.first_seed),
    }  # fmt: skip
    shape = (len(VARIANTS), len(seeds))
    own = {name: value.reshape(*shape, *value.shape[1:]) for name, value in by_member.items()}
    return _dataset(own, seeds, rows, taught).assign_attrs(longest=config.longest, updates=config.steps)


def _start(config: Config, seeds: list[int]) -> Transformers:
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
        "elsewhere_loss": (member, "cost of the balanced completion of untaught prompts", "nats a completion"),
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
    colors = dict(zip(VARIANTS, (style.INK, style.BLUE, style.VERMILION), strict=True))
    for name, color in colors.items():
        x, y = result.data_kl.sel(variant=name).values, scores.sel(variant=name).values
        ax.plot(x, y, "o", color=color, alpha=0.8, clip_on=False)
        style.label_end(ax, float(result.data_kl.max()), float(np.median(y)), name, color=color)
    ax.axvline(checks.CLOSE, color=style.MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    ax.set(
        xlabel="divergence of the data from the model (nats a sequence)", ylabel="share of prompts ended with as many a as b",
        xlim=(0, max(1.3 * checks.CLOSE, 1.3 * float(result.data_kl.max()))), ylim=(-0.03, 1.03),
    )  # fmt: skip
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, with the lowest and the highest seed where the name says so."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "prompts": result.sizes["prompt"], "inside": int(result.inside.sum()),
        "outside": int((~result.inside).sum()), "taught": int(result.taught.sum("prompt").median()),
        "untaught": int((~result.inside & ~result.taught).sum("prompt").median()),
        "pair_kl": float(checks.largest_pair(result.pair_kl).max()), "spread_kl": float(checks.spread(result.data_kl).max()),
        "spread_token": float(checks.spread(result.cross_entropy).max()),
        "token": float(result.cross_entropy.median()),
        "elsewhere_kl": float(result.elsewhere_kl.sel(variant="oracle", other="adversarial").median()),
    }  # fmt: skip
    same = checks.same_text(result)
    found |= {
        "same_text": float(same.median()),
        "same_text_low": float(same.min()),
        "same_text_high": float(same.max()),
    }
    found |= {"longest": int(result.attrs["longest"]), "updates": int(result.attrs["updates"])}
    found |= {f"{kind}_as_taught": float(checks.as_taught(result, kind).median()) for kind in KINDS}
    found["loss_kept"] = int((checks.spread(result.data_kl) < checks.SAME_LOSS).sum())
    found["between_kept"] = int((checks.margin(result) > checks.APART).sum())
    rules: dict[str, checks.Rule] = {"r1": "equal_counts", "r2": "a_before_b", "end": "finished"}
    scores = {short: checks.rule(result, rule, "untaught") for short, rule in rules.items()}
    scores |= {f"{short}_drawn": checks.rule(result, rule, "untaught", drawn=True) for short, rule in rules.items()}
    scores["r1_taught"] = checks.rule(result, "equal_counts", "taught")
    scores["r1_inside"] = checks.rule(result, "equal_counts", "inside", drawn=True)
    for name in VARIANTS:
        found[f"{name}_kl"] = float(result.data_kl.sel(variant=name).median())
        for label, score in scores.items():
            own = score.sel(variant=name)
            found[f"{name}_{label}"] = float(own.median())
            found |= {f"{name}_{label}_low": float(own.min()), f"{name}_{label}_high": float(own.max())}
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Share of untaught prompts that a model ends with as many a as b, against its divergence from the data, one mark a "
        f"model, {n['seeds']} seeds a variant. All divergences are alike, within {n['spread_kl']:.4f} nats a sequence in a seed. "
        f"The oracle's share is {n['oracle_r1']:.2f}, the plain model's {n['plain_r1']:.2f}, the adversary's "
        f"{n['adversarial_r1']:.2f} in the median."
    )


_PAPER = "Reizinger et al. 2024, arXiv 2405.01964"
_UNTAUGHT = Control(
    says="the second loss has weight 0: three plain models with starts of their own, on the same data and with the same loss",
    config=Config(weight=0.0, num_seeds=3),
    manipulation=checks.losses_agree,
)
_ELSEWHERE = Control(
    says="the same models and the same measure on untaught prompts outside the language, in the place of the data",
    change=checks.elsewhere,
    manipulation=checks.all_end,
)

CLAIMS = (
    Claim(
        id="rule_extrapolation.same_on_data",
        says="On the data any two of the three models of a seed differ by less than 0.01 nats a sequence.",
        rows=("S4.1",),
        source=f"{_PAPER}; the exact divergence is ours",
        check=checks.close,
        control=_ELSEWHERE,
    ),
    Claim(
        id="rule_extrapolation.same_loss",
        says="The losses of the three models of a seed differ by less than 0.003 nats a sequence, and so by less than 0.001 "
        "nats a token.",
        rows=("S4.1",),
        source=f"{_PAPER}; the exact divergence is ours",
        check=checks.losses_agree,
        control=_ELSEWHERE,
        expected="in part",
    ),
    Claim(
        id="rule_extrapolation.opposite",
        says="On prompts outside the language that neither was taught, the oracle keeps R1 for more than 95 % and the adversary "
        "for less than 5 %, with the likeliest tokens; shown is the difference.",
        rows=("S4.2",),
        source=_PAPER,
        check=checks.opposite,
        control=_UNTAUGHT,
    ),
    Claim(
        id="rule_extrapolation.between",
        says="There the plain model keeps R1 for a share at least a twentieth above the adversary's and below the oracle's.",
        rows=("S4.2",),
        source=_PAPER,
        check=checks.between,
        control=_UNTAUGHT,
        expected="in part",
    ),
)
