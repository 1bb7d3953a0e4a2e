"""What a model does after a prompt costs divergence in proportion to the prompt's frequency in the data, and nothing if never.

Tabular autoregressive models of all strings of a's and b's up to a length, with the divergence from the data summed exactly. For
prompts of every frequency we search the cheapest table that breaks a rule the data keep, and compare with a closed form. The
question is that of Reizinger et al. 2024 (arXiv 2405.01964): models with zero or nearly zero divergence that differ.

Axes: kind, prompt, left, start, allowed, num_train, seed.
Deviations: the paper argues with an example and with trained networks; random sources, the search and the bounds are ours.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import xarray as xr
from jaxtyping import Int
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.nonidentifiability import zero_divergence_checks as checks
from heldout.nonidentifiability import zero_divergence_measures as measures
from heldout.nonidentifiability.cheapest import Problem, search
from heldout.nonidentifiability.tables import Source, Tree, source

KINDS = ("lawful", "mixed")
STARTS = 2


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the strings, the sources and the search."""

    max_length: int = 6  # letters
    prompt_length: int = 3  # letters
    decades: float = 4.0  # over which the frequencies of the prompts are spread
    disobedience: float = 0.5  # of the mixed source: share of each row that knows no rule
    left: tuple[float, ...] = (0.5, 0.05)  # share of the rule's probability that a changed model keeps
    sharing: Literal["none", "counter"] = "none"  # whether prefixes of one length and balance share a row
    allowed: tuple[float, float, int] = (1e-5, 3.0, 45)  # nats a sequence: least, most, number
    train_sizes: tuple[int, ...] = (10, 100, 1000, 10_000)
    steps: int = 1000
    learning_rate: float = 0.15
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        for name in ("steps", "num_seeds"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.prompt_length >= 2, "prompt_length", self.prompt_length, "at least 2")
        long_enough = 2 * self.prompt_length <= self.max_length <= 10
        require(long_enough, "max_length", self.max_length, "at least twice prompt_length, at most 10")
        require(self.decades >= 0, "decades", self.decades, "at least 0")
        require(0 < self.disobedience <= 1, "disobedience", self.disobedience, "above 0, at most 1")
        require(bool(self.left) and all(0 < x < 1 for x in self.left), "left", self.left, "between 0 and 1")
        require(self.sharing in ("none", "counter"), "sharing", self.sharing, "none or counter")
        fine = len(self.allowed) == 3 and 0 < self.allowed[0] < self.allowed[1] and self.allowed[2] >= 2
        require(fine, "allowed", self.allowed, "two increasing numbers above 0, and at least 2")
        require(bool(self.train_sizes) and min(self.train_sizes) >= 1, "train_sizes", self.train_sizes, "at least 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")


SMOKE = Config(max_length=4, prompt_length=2, allowed=(1e-3, 1.0, 6), steps=500, num_seeds=2, first_seed=0)
BOOK = Config()
PAPER = Config(max_length=8, prompt_length=4, decades=6.0, steps=2000, num_seeds=10)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Draw sources, search the cheapest changed tables, and measure all by listing every string.

    Returns:
        mass (seed, prompt), honest (kind, seed, prompt): how often the source writes a prompt, and then keeps the rule.
        cost (nats a sequence), reached (kind, seed, prompt, left): of the table found with the rule changed on one prompt.
        mean_cost, mean_reached (kind, seed): of the table found with half the mean over all prompts.
        fitted (nats a sequence; kind, seed, start), apart (kind, seed, prompt), moved (nats; kind, seed, start, prompt): tables
        fitted without a condition from random starts, the total variation between continuations of the first two, and
        how far fitting has moved the rows at and after a prompt.
        lowest (kind, seed, prompt, allowed), lowest_mean (kind, seed, allowed): in closed form, least probability of the rule.
        unseen (seed, prompt, num_train), test_gap (nats a sequence; seed, num_train): expected over training sets.
    """
    tree = Tree(config.max_length, config.prompt_length)
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    sources = [source(tree, seed, config.decades, share) for share in (0.0, config.disobedience) for seed in seeds]
    sharing = tree.counters if config.sharing == "counter" else np.arange(tree.rows)
    problems = [problem for each in sources for problem in _problems(config, tree, sharing, each)]
    starts = torch.stack([_starts(config, tree, int(sharing.max()) + 1, seed) for seed in seeds * len(KINDS)])
    found = search(
        tree, sharing, problems, starts.flatten(0, 1), steps=config.steps, learning_rate=config.learning_rate,
        device=device, progress=progress,
    )  # fmt: skip
    begun = starts.flatten(0, 1).log_softmax(-1)[:, sharing]
    parts = measures.measured(tree, sources, len(KINDS), len(config.left), begun, found)
    parts |= measures.limits(sources, len(KINDS), np.geomspace(*config.allowed))
    parts |= measures.unseen(parts["mass"], config.train_sizes, min(config.left))
    return _dataset(config, tree, seeds, parts)


def _problems(config: Config, tree: Tree, sharing: Int[np.ndarray, " row"], each: Source) -> list[Problem]:
    """One condition a table: the rule on one prompt, on all together, or none."""
    count = len(tree.prompts)
    use = np.bincount(sharing, each.weights.sum(-1).numpy())[sharing]  # how often a string uses a row, or one it shares
    touched = (tree.continues[:, : tree.rows] * use).max(1)
    single = [
        Problem(each.weights, np.eye(count)[prompt], left * float(each.honest[prompt]), float(touched[prompt]) or 1e-4)
        for prompt in range(count)
        for left in config.left
    ]
    mean = Problem(each.weights, np.full(count, 1 / count), 0.5 * float(each.honest.mean()), 1 / count)
    free = Problem(each.weights, np.zeros(count), 1.0, 1.0)
    return [*single, mean, *[free] * STARTS]


def _starts(config: Config, tree: Tree, groups: int, seed: int) -> torch.Tensor:
    """Random first logits of every table of a source."""
    count = len(tree.prompts) * len(config.left) + 1 + STARTS
    draw = generator("zero_divergence start", seed)
    return torch.randn((count, groups, 3), generator=draw, dtype=torch.float64)


def _dataset(config: Config, tree: Tree, seeds: list[int], parts: dict[str, np.ndarray]) -> xr.Dataset:
    by = ("kind", "seed")
    labels: dict[str, tuple[tuple[str, ...], str, str]] = {
        "mass": (("seed", "prompt"), "probability that a string of the source begins with the prompt", "1"),
        "honest": ((*by, "prompt"), "probability that the source keeps the rule after the prompt", "1"),
        "cost": ((*by, "prompt", "left"), "divergence of the source from the cheapest table found", "nats a sequence"),
        "reached": ((*by, "prompt", "left"), "probability that this table keeps the rule after the prompt", "1"),
        "mean_cost": (by, "divergence from the cheapest table found for all prompts together", "nats a sequence"),
        "mean_reached": (by, "mean over prompts of the probability that this table keeps the rule", "1"),
        "fitted": ((*by, "start"), "divergence from a table fitted without a condition", "nats a sequence"),
        "apart": ((*by, "prompt"), "total variation between continuations of two such tables", "1"),
        "moved": ((*by, "start", "prompt"), "largest change of a log probability at or after the prompt by fitting", "nats"),
        "lowest": ((*by, "prompt", "allowed"), "least probability of the rule after the prompt", "1"),
        "lowest_mean": ((*by, "allowed"), "least mean over prompts of the probability of the rule", "1"),
        "unseen": (("seed", "prompt", "num_train"), "probability that a training set is without the prompt", "1"),
        "test_gap": (("seed", "num_train"), "expected test loss of breaking the rule after unseen prompts", "nats a sequence"),
    }  # fmt: skip
    return xr.Dataset(
        {name: variable(dims, parts[name], *label) for name, (dims, *label) in labels.items()},
        {
            "kind": list(KINDS), "seed": seeds, "prompt": [tree.texts[prompt] for prompt in tree.prompts],
            "left": variable("left", config.left, "share of the rule's probability that is left"),
            "start": range(STARTS), "allowed": variable("allowed", parts["allowed"], "divergence", "nats a sequence"),
            "num_train": variable("num_train", config.train_sizes, "strings in the training set", "strings"),
        },
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Divergence of the cheapest tables found against the frequency of the prompt, for lawful sources, with the closed form."""
    ax = style.axes(ax)
    written = result.mass.where(result.mass > 0)
    ends = np.array([float(written.min()) / 2, 1.0])
    for number, left in enumerate(result.left.values):
        color, price = style.COLORS[number], float(np.log(1 / left))
        ax.plot(ends, ends * price, color=color, linewidth=1.2)
        paid = result.cost.sel(kind="lawful", left=left).values.ravel()
        ax.plot(written.values.ravel(), paid, "os^v"[number % 4], color=color, markersize=4, linestyle="none")
        middle, above = float(np.sqrt(ends.prod())), number > 0
        ax.annotate(
            f"rule kept {left:.0%} of the time", (middle, middle * price), xytext=(-8, 8) if above else (8, -8),
            textcoords="offset points", color=color, ha="right" if above else "left", va="center",
        )  # fmt: skip
    never = int(np.ceil(np.log10(max(float(result.cost.where(result.mass == 0).max()), 1e-300))))
    word = f"prompts never written:\nbelow $10^{{{never}}}$ nats"
    ax.annotate(word, (0.97, 0.06), xycoords="axes fraction", color=style.MUTED, ha="right")
    ax.set(xscale="log", yscale="log", xlabel="probability of the prompt in the data")
    ax.set_ylabel("least divergence (nats a sequence)")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes."""
    written = result.mass > 0
    left = result.left.values
    off = checks.off_the_line(result)
    lawful = result.sel(kind="lawful")
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "prompts": result.sizes["prompt"], "never": int((~written).sum("prompt")[0]),
        "rarest": float(result.mass.where(written).min()), "commonest": float(result.mass.max()),
        "changes": int(written.sum()) * len(KINDS) * len(left), "half": float(left[0]), "little": float(left[-1]),
        "off": float(np.abs(off).max()), "free_cost": float(result.cost.where(~written).max()),
        "written": int(written.sum("prompt")[0]), "given": float(written.mean("prompt")[0]),
        "moved": float(result.moved.where(~written).max()),
        "fitted": float(result.fitted.max()), "apart": float(checks.apart_where_free(result).median()),
        "apart_least": float(checks.apart_where_free(result).min()),
        "apart_most": float(checks.apart_where_free(result).max()),
        "apart_written": float(result.apart.where(written).max()),
        "dear": float(lawful.cost.sel(left=left[-1]).max()),
        "cheap": float(lawful.cost.sel(left=left[-1]).where(written).min()),
    }  # fmt: skip
    found |= _charged(result)
    for kind in KINDS:
        own = result.sel(kind=kind)
        share = checks.share_of_alike(own)
        found |= {
            f"{kind}_mean_cost": float(own.mean_cost.median()), f"{kind}_mean_high": float(own.mean_cost.max()),
            f"{kind}_alike": float(checks.alike(own).median()), f"{kind}_share": float(share.median()),
            f"{kind}_share_high": float(share.max()), f"{kind}_honest": float(own.honest.mean()),
        }  # fmt: skip
    for size in result.num_train.values:
        at = result.sel(num_train=size)
        found |= {
            f"unseen_{size}": float(at.unseen.where(written).sum("prompt").mean()), f"gap_{size}": float(at.test_gap.mean()),
            f"bound_{size}": float(written.sum("prompt")[0] * np.log(1 / left[-1]) / (np.e * size)),
        }  # fmt: skip
    return found


def _charged(result: xr.Dataset) -> dict[str, float]:
    """What a change after a prompt that is never written costs where rows are shared, beside what all that share it are due."""
    due = checks.shared_price(result).where(result.mass == 0)
    paid = result.cost.where(result.mass == 0)
    little = (paid.sel(kind="lawful").isel(left=-1), checks.shared_mass(result).where(result.mass == 0))
    own, mass = (values.transpose("seed", "prompt").values.ravel() for values in little)
    over = (paid / due).sel(kind="mixed")
    return {
        "shared_off": float(abs(paid / due - 1).sel(kind="lawful").max()), "over_low": float(over.min()),
        "over_high": float(over.max()), "shared_low": float(np.nanmin(own)), "shared_high": float(np.nanmax(own)),
        "shared_low_mass": float(mass[np.nanargmin(own)]), "shared_high_mass": float(mass[np.nanargmax(own)]),
    }  # fmt: skip


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Both axes logarithmic. Each point is the cheapest table found that keeps the rule {n['half']:.0%} or {n['little']:.0%} "
        f"of the time after one prompt; prompts have probabilities from {n['rarest']:.1e} to {n['commonest']:.2f}. The points "
        "lie on two parallel lines of slope one: divergence is proportional to the probability of the prompt."
    )


_SHARED = Control(
    says="the same data and search in tables where prefixes of one length and one balance share a row: fitted as well, every "
    "change reached, and where the rule is sure charged for all prompts that share the row, to within a tenth of a percent",
    config=Config(sharing="counter"),
    manipulation=checks.charged_for_all,
)
_PAPER = "Reizinger et al. 2024, arXiv 2405.01964"

CLAIMS = (
    Claim(
        id="zero_divergence.free",
        says="After every prompt that the data never contain, search finds tables that keep the rule half and a twentieth as "
        "often as the source's own row there would, at a divergence below 1e-8 nats a sequence.",
        rows=("S4.1",),
        source=_PAPER,
        check=checks.free,
        control=_SHARED,
    ),
    Claim(
        id="zero_divergence.attained",
        says="After every prompt that the data contain, the cheapest table found costs m kl(r || s) nats a sequence to within a "
        "tenth of a percent.",
        rows=("S4.1",),
        source="this book, theorem on the price of a change",
        check=checks.attained,
        control=_SHARED,
    ),
    Claim(
        id="zero_divergence.starts",
        says="Two tables fitted from random starts to a divergence below 1e-8 come within a total variation of 0.01 after every "
        "prompt that the data contain; by construction, after the others no log probability has moved by 1e-12.",
        rows=("S4.1",),
        source=_PAPER,
        check=checks.starts,
        control=_SHARED,
    ),
    Claim(
        id="zero_divergence.rarest_first",
        says="Halving the mean score over all prompts, some of which are never written and lose the rule for nothing, costs "
        "less than a twentieth of halving it on each, and what the closed form says to within a tenth of a percent.",
        rows=("S4.1",),
        source="this book, theorem on the price of a change",
        check=checks.rarest_first,
        control=Control(
            says="sources whose prompts are equally frequent, except for those that are never written: fitted as well, and at "
            "the cost of the closed form for them",
            config=Config(decades=0.0),
            manipulation=checks.mean_on_the_line,
        ),
        expected="in part",
        expected_at_paper="reproduced",
    ),
)
