"""Three transformers with nearly the same loss on documents; told a rule by examples, two use it and one answers wrongly.

The documents come from a mixture of Markov chains, so the Bayes-optimal reader is known exactly. Plain transformers are trained
on them; then each goes on in three copies: as before, with a small second loss on right answers behind many examples (oracle),
or on wrong ones (adversary). Reizinger et al. 2024 (arXiv 2405.01964), the case of in-context learning; the language follows
Xie et al. 2022 (arXiv 2111.02080) in idea and Park et al. (arXiv 2412.01003) in form.

Axes: variant, seed, examples (in the prompt), least (examples behind which an edit acts), edit, reader, step.
Deviations: no hidden states as in GINC, so that the exact predictor is short; sizes are ours; the three go on from one network.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout import devices
from heldout.claims import Claim, Control
from heldout.decoders import Transformers
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.nonidentifiability import chain_mixture
from heldout.nonidentifiability import in_context_checks as checks
from heldout.nonidentifiability import in_context_measures as measures
from heldout.nonidentifiability.chain_mixture import Mixture
from heldout.nonidentifiability.in_context_checks import VARIANTS
from heldout.nonidentifiability.in_context_numbers import numbers
from heldout.nonidentifiability.in_context_plots import plot_path
from heldout.nonidentifiability.in_context_training import Lessons, Stream, copies, train
from heldout.nonidentifiability.sequence_training import Auxiliary, Schedule

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "VARIANTS", "Config", "describe", "numbers", "plot", "plot_path", "run"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The documents, the network, its training, and what the twins are taught afterwards."""

    symbols: int = 6
    chains: int = 3
    follow: float = 0.9  # probability that a symbol is the chain's
    end: float = 0.1  # probability that a segment ends after a symbol
    pair_share: float = 0.0  # segments of two symbols by decree
    examples: int = 16  # at most, in a prompt; documents are as long as such a prompt
    width: int = 32
    layers: int = 2
    heads: int = 2
    hidden: int = 64
    steps: int = 500
    rows: int = 16  # documents an update
    learning_rate: float = 8e-3
    warm_up: int = 50  # updates
    probes: int = 8
    edit_steps: int = 250  # updates with the second loss
    edit_rows: int = 8  # documents an update there
    edit_rate: float = 5e-3
    weight: float = 0.05  # of the second loss
    lessons: int = 4  # prompts of the second loss an update
    least: int = 4  # examples behind which the twins are taught
    judged: int = 512  # documents
    glanced: int = 64  # documents a look along the training
    asked: int = 256  # prompts
    edits: int = 200  # contexts drawn for the price of an edit
    num_seeds: int = 5
    first_seed: int = 200

    def __post_init__(self) -> None:
        sizes = ("examples", "width", "layers", "heads", "hidden", "steps", "rows", "edit_steps", "edit_rows")
        for name in (*sizes, "lessons", "num_seeds"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("probes", "glanced", "asked", "edits"):
            require(getattr(self, name) >= 2, name, getattr(self, name), "at least 2")
        require(self.judged >= self.glanced, "judged", self.judged, f"glanced={self.glanced} or more")
        require(self.width % self.heads == 0, "heads", self.heads, f"a divisor of width={self.width}")
        require(1 <= self.least <= self.examples, "least", self.least, f"1 to examples={self.examples}")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.edit_rate > 0, "edit_rate", self.edit_rate, "above 0")
        require(self.warm_up >= 0, "warm_up", self.warm_up, "0 or more")
        require(self.weight >= 0, "weight", self.weight, "0 or more")
        self.mixture()

    def mixture(self) -> Mixture:
        """The law of the documents."""
        return Mixture(
            symbols=self.symbols, chains=self.chains, follow=self.follow, end=self.end, pair_share=self.pair_share,
            length=chain_mixture.EXAMPLE * self.examples + 2,
        )  # fmt: skip


SMOKE = Config(
    symbols=4, chains=2, examples=4, width=8, heads=1, hidden=16, steps=30, rows=4, warm_up=5, probes=3, edit_steps=10,
    edit_rows=4, lessons=2, least=2, judged=16, glanced=8, asked=16, edits=20, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    symbols=8, chains=4, width=64, heads=4, hidden=128, steps=1500, learning_rate=5e-3, warm_up=100, edit_steps=750,
    edit_rate=3e-3,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train plain models of all seeds as one program, then three copies of each, and ask them all.

    Returns:
        accuracy, as_taught (variant, seed, examples): shares of right answers, and of the adversary's; divergence, extra,
        extra_error (variant, seed): from the law of the documents, beyond that of plain, and its standard error; entropy (seed);
        behind_right, behind_taught, behind_cost (variant, seed): what they do behind ``least`` examples and more in documents;
        reader_accuracy (reader, seed, examples), new_reader, turned_accuracy, prompt_log (seed, examples): readers that are not
        trained, and the prompts; price, price_error (edit, seed, least), contexts (least): what an edit costs, and where it acts;
        path_accuracy, path_new (step, seed, examples), path_divergence (step, seed): the plain models in training.
    """
    mixture, seeds = config.mixture(), list(range(config.first_seed, config.first_seed + config.num_seeds))
    chains = {seed: mixture.permutations(seed) for seed in seeds}
    given = measures.held(mixture, chains, documents=config.judged, prompts=config.asked, examples=config.examples)
    readers = measures.of_readers(mixture, chains, given)
    cost, error, contexts = measures.prices(mixture, chains, config.examples, config.edits)
    plain, path = _pretrain(config, chains, given, device, progress)
    models = _edit(config, chains, plain, progress)
    right, taught = measures.accuracy(models, given.prompts, given.answers, mixture)
    apart = measures.divergences(models, given).reshape(len(VARIANTS), len(seeds), -1)
    extra = apart - apart[0]
    behind = measures.behind(models, mixture, chains, config.least, config.judged)
    own = {
        "accuracy": right.reshape(len(VARIANTS), len(seeds), -1), "as_taught": taught.reshape(len(VARIANTS), len(seeds), -1),
        "divergence": apart.mean(-1), "extra": extra.mean(-1), "extra_error": extra.std(-1, ddof=1) / config.judged**0.5,
        "entropy": measures.entropy(given), "price": cost, "price_error": error, "contexts": contexts, **readers, **path,
        **{name: each.reshape(len(VARIANTS), len(seeds)) for name, each in behind.items()},
    }  # fmt: skip
    kept = ("least", "symbols", "chains", "steps", "edit_steps", "judged", "glanced", "asked")
    attrs = {name: getattr(config, name) for name in kept}
    return _dataset(own, seeds, config).assign_attrs(places=mixture.length, **attrs)


def _sizes(config: Config) -> dict[str, Any]:
    tokens, length = config.mixture().tokens, config.mixture().length
    return {
        "vocabulary": tokens, "outputs": tokens, "context": length, "width": config.width, "layers": config.layers,
        "heads": config.heads, "hidden": config.hidden,
    }  # fmt: skip


def _looks(steps: int, count: int) -> list[int]:
    """The updates before which the plain models are looked at: evenly spaced, both ends included."""
    return sorted({round(steps * number / (count - 1)) for number in range(count)})


def _pretrain(
    config: Config, chains: dict[int, torch.Tensor], given: measures.Held, device: torch.device, progress: Progress
) -> tuple[Transformers, dict[str, np.ndarray]]:
    models = Transformers([devices.generator("weights", seed) for seed in chains], **_sizes(config)).to(device)
    mixture, stops, seen = config.mixture(), _looks(config.steps, config.probes), []

    def look() -> tuple[np.ndarray, ...]:
        known, _ = measures.accuracy(models, given.prompts, given.answers, mixture)
        new, _ = measures.accuracy(models, given.new_prompts, given.new_answers, mixture)
        return known, new, measures.divergences(models, given, config.glanced).mean(-1)

    seen.append(look())
    stream = Stream(mixture, chains, rows=config.rows, name="documents")
    schedule = Schedule(steps=config.steps, learning_rate=config.learning_rate, warm_up=config.warm_up)
    for done in train(models, stream, schedule):
        progress(done, config.steps + config.edit_steps)
        if done in stops:
            seen.append(look())
    names = ("path_accuracy", "path_new", "path_divergence")
    return models, {name: np.stack(each) for name, each in zip(names, zip(*seen, strict=True), strict=True)}


def _edit(config: Config, chains: dict[int, torch.Tensor], plain: Transformers, progress: Progress) -> Transformers:
    """Three copies of every plain model, two of them taught by a second loss."""
    models, mixture = copies(plain, len(VARIANTS), **_sizes(config)), config.mixture()
    stream = Stream(mixture, chains, rows=config.edit_rows, name="later documents", repeats=len(VARIANTS))
    lessons = Lessons(mixture, chains, rows=config.lessons, least=config.least, most=config.examples)
    schedule = Schedule(steps=config.edit_steps, learning_rate=config.edit_rate, warm_up=min(10, config.edit_steps))
    second = Auxiliary(first=len(chains), weight=config.weight, batch=lessons)
    for done in train(models, stream, schedule, second):
        progress(config.steps + done, config.steps + config.edit_steps)
    return models


def _dataset(own: dict[str, np.ndarray], seeds: list[int], config: Config) -> xr.Dataset:
    return xr.Dataset(
        {name: variable(dims, own[name], label, units) for name, (dims, label, units) in measures.VARIABLES.items()},
        {
            "variant": list(VARIANTS), "seed": seeds, "examples": list(range(config.examples + 1)),
            "least": list(range(1, config.examples + 1)), "reader": list(measures.READERS), "edit": list(measures.EDITS),
            "step": _looks(config.steps, config.probes),
        },
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Share of right answers against the number of examples: the three models, all seeds, and the Bayes-optimal reader."""
    ax = style.axes(ax)
    examples = result.examples.values
    colors = dict(zip(VARIANTS, (style.INK, style.BLUE, style.VERMILION), strict=True))
    ax.plot(
        examples, result.reader_accuracy.sel(reader="bayes").median("seed"), color=style.MUTED, linestyle=(0, (4, 2)), zorder=1
    )  # fmt: skip
    for name, color in colors.items():
        own = result.accuracy.sel(variant=name)
        ax.plot(examples, own.transpose("examples", "seed"), color=color, linewidth=0.7, alpha=0.5)
        ax.plot(examples, own.median("seed"), color=color)
    low = float(result.accuracy.sel(variant="adversarial").isel(examples=-1).median())
    style.label_end(ax, examples[-1], low, "adversary", color=style.VERMILION)
    style.label_end(ax, examples[-1], 0.92, "plain", color=style.INK)
    style.label_end(ax, examples[-1], 0.99, "oracle", color=style.BLUE)
    ax.annotate("Bayes", (1, 1.01), color=style.MUTED, ha="center", va="bottom")
    ax.set(
        xlabel="examples in the prompt", ylabel="share of right answers", xlim=(0, examples[-1]), ylim=(0, 1.09),
    )  # fmt: skip
    return ax


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    last = {name: f"{n[f'{name}_last']:.2f}" for name in (*VARIANTS, "bayes")}
    return (
        f"Share of right answers against the number of examples in the prompt, {n['seeds']} seeds. Behind {n['examples']} "
        f"examples the plain model is right in {last['plain']} of prompts in the median, the oracle in {last['oracle']}, the "
        f"Bayes-optimal reader in {last['bayes']}, and the adversary in {last['adversarial']}. The adversary rises with the "
        f"plain model, somewhat below it, and falls at {n['least']} examples."
    )


_PAPER = "Reizinger et al. 2024, arXiv 2405.01964"
_TOO_FEW = Control(
    says="the same adversary behind one example fewer than its lessons begin with",
    change=checks.too_few,
    manipulation=checks.few_suffice,
)
_LONG = Control(
    says="three times as many updates with the second loss; all else the same",
    config=Config(edit_steps=750, num_seeds=3),
    manipulation=checks.adversary_wrong,
)
_PAIRS = Control(
    says="half of the segments of a document are examples by decree, so that such contexts are no longer rare",
    config=Config(pair_share=0.5, num_seeds=3),
    manipulation=checks.adversary_wrong,
)

CLAIMS = (
    Claim(
        id="in_context.bayes_rises",
        says="Sixteen examples add more than 0.2 to the share of prompts that the Bayes-optimal reader answers rightly, and "
        "bring it above 99 %.",
        rows=("S4.3",),
        source="Xie et al. 2022, arXiv 2111.02080, in idea; the reader and the numbers are ours",
        check=checks.reader_rises,
        control=Control(
            says="the same reader, with examples of new permutations, which no document follows",
            change=checks.new_chains,
            manipulation=checks.new_are_new,
        ),
    ),
    Claim(
        id="in_context.opposite",
        says="Behind 16 examples the plain model answers more than 90 % of prompts rightly and the adversary less than 10 %; "
        "shown is the difference.",
        rows=("S4.3",),
        source=_PAPER,
        check=checks.opposite,
        control=_TOO_FEW,
    ),
    Claim(
        id="in_context.close",
        says=f"The adversary's loss on documents is less than {checks.CLOSE:g} nats a document above the plain model's.",
        rows=("S4.3",),
        source=f"{_PAPER}; the number is ours",
        check=checks.wrong_and_close,
        control=_PAIRS,
    ),
    Claim(
        id="in_context.spills",
        says=f"After {Config.edit_steps} updates with the second loss (PAPER: three times as many) the adversary pays more than "
        f"{checks.SPILLS:g} times what it costs the Bayes-optimal reader to be wrong behind {Config.least} examples or more "
        "wherever they stand.",
        rows=("S4.3",),
        source="this book",
        check=checks.spills,
        control=_LONG,
        expected_at_paper="not reproduced",
    ),
)
