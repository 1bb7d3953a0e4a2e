"""One trained row in a frozen language model carries a word relation to new words; shuffled pairs name it too.

SmolLM2-135M-Instruct. A new name stands in lines ``France NAME Paris``; its row of the embedding, and nothing else, is trained
on 20 pairs of a relation of common words. Then the name is given words it has not met, and sentences are to go on with the word
for the relation. Beside it stand a row trained on the same pairs with the answers shuffled, and the row as it was drawn.
Treutlein et al. 2024 (arXiv 2406.14546) for the experiment with large models, on functions of numbers.

Axes: relation, arm (real, shuffled, untrained), template (of the sentence), label (the word for a relation), seed.
Deviations: words in place of numbers, since this model cannot add (measured here); one row in place of fine-tuning; relations are
chosen among words and not written as code; in training the answer competes with the most frequent tokens alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.connecting_dots import word_relations_checks as checks
from heldout.connecting_dots.frozen_reading import frozen
from heldout.connecting_dots.stated_rules import RULES, relations_in_context, sums
from heldout.connecting_dots.word_pairs import DIFFERENT, RELATIONS
from heldout.connecting_dots.word_relations_checks import CLAIMS
from heldout.connecting_dots.word_relations_numbers import numbers
from heldout.connecting_dots.word_rows import (
    ARMS,
    TEMPLATES,
    TRAINED,
    Names,
    Reader,
    Training,
    answers,
    is_answer,
    named,
    started,
    train,
)  # fmt: skip
from heldout.devices import resolve_device
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.language_model import loaded

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "asked_again", "describe", "numbers", "plot", "run"]

LABELS = tuple(RELATIONS)
NAMES = {"real": "real pairs", "shuffled": "shuffled pairs", "untrained": "untrained"}
COLORS = {"real": style.BLUE, "shuffled": style.VERMILION, "untrained": style.MUTED}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which relations, and how their rows are trained and judged."""

    relations: tuple[str, ...] = LABELS
    steps: int = 80
    lines: int = 5  # of each name an update
    rate: float = 0.04
    spread: float = 0.3  # of the first rows about the mean row, in standard deviations of the table
    half: bool = False  # training in bfloat16
    context: int = 16  # pairs written out in the context, for comparison
    sums: int = 8  # sums of each rule
    shown_sums: int = 16  # examples in the context, where the rule is not stated; 0: not run
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        unknown = set(self.relations) - set(LABELS) or len(set(self.relations)) != len(self.relations)
        require(
            bool(self.relations) and not unknown, "relations", self.relations, f"some of {', '.join(LABELS)}, each once"
        )
        for name in ("steps", "sums", "num_seeds"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(TRAINED % max(self.lines, 1) == 0 and self.lines >= 1, "lines", self.lines, f"a divisor of {TRAINED}")
        require(0 <= self.context <= TRAINED, "context", self.context, f"0 to {TRAINED}")
        require(
            0 <= self.shown_sums <= 50 - self.sums, "shown_sums", self.shown_sums, "0 or more, at most 50 with sums"
        )
        for name in ("rate", "spread"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")


SMOKE = Config(
    relations=("plural",), lines=2, steps=1, context=1, sums=1, shown_sums=0, num_seeds=1, first_seed=0
)  # fmt: skip
BOOK = Config(relations=("capital", "past"), steps=35, sums=4, shown_sums=0, context=8)
PAPER = Config(steps=120, half=True)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train the rows of all names side by side, then let trained and untrained rows answer.

    Returns:
        own, true (arm, relation, seed): share of the 20 trained inputs answered as shown in training, and as is true; held_out,
        kind (arm, relation, seed): share of the 8 other inputs answered right, and with some answer of the relation; loss
        (arm, relation, seed, step): nats a trained pair along the way; label_nats (arm, relation, template, label, seed):
        log-probability of each label after a sentence about the name; row (arm, relation, seed, entry): the trained rows;
        asked, wanted, said (relation, place, seed; said also arm): held-out inputs, their answers and the first choices;
        in_context (relation, seed): held-out pairs right with pairs written out; stated, shown (rule, seed): sums right with the
        rule stated and after examples.
    """
    model, tokenizer = loaded(device)
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    how = Training(steps=config.steps, lines=config.lines, rate=config.rate, half=config.half)
    with frozen(model):
        reader = Reader.of(model, tokenizer, config.relations)
        names = Names.drawn(reader, seeds, config.relations)
        first = started(model, names, config.spread)
        rows, losses = train(reader, names, first, how, progress)
        found = judged(reader, names, rows, first)
        nothing = torch.full((len(seeds), len(RULES)), torch.nan)
        plain = {
            "in_context": relations_in_context(reader, names, config.context),
            "stated": sums(reader, seeds, config.sums, 0),
            "shown": sums(reader, seeds, config.sums, config.shown_sums) if config.shown_sums else nothing,
        }
    return _dataset(names, found | plain | {"row": names.shaped(rows), "loss": names.shaped(losses)})


def judged(reader: Reader, names: Names, rows: torch.Tensor, first: torch.Tensor) -> dict[str, Any]:
    """What trained rows answer, and as a third arm the rows before training, by seed, arm and relation."""
    untrained = names.of_arm(0)
    start = names.shaped(first)[:, 0].flatten(0, 1)  # the same in both arms
    both = torch.cat([rows, start])
    nats = torch.stack([named(reader, both, template, LABELS) for template in TEMPLATES.values()], 1)
    found: dict[str, Any] = {}
    for each, asked, told in ((rows, names, nats[: len(rows)]), (start, untrained, nats[len(rows) :])):
        chosen = answers(reader, each, asked.inputs)
        part = {
            "own": (chosen == asked.shown)[:, :TRAINED].float().mean(1),
            "true": (chosen == asked.true)[:, :TRAINED].float().mean(1),
            "held_out": (chosen == asked.true)[:, TRAINED:].float().mean(1),
            "kind": is_answer(chosen, asked.true)[:, TRAINED:].float().mean(1),
            "label_nats": told,
            "said": chosen[:, TRAINED:],
        }
        for name, values in part.items():
            shaped = asked.shaped(values)
            found[name] = torch.cat([found[name], shaped], 1) if name in found else shaped
    words = np.vectorize(lambda token: reader.tokenizer.decode([int(token)]).strip(" "), otypes=[str])
    found["said"] = words(found["said"].cpu().numpy())
    found["wanted"] = words(names.shaped(names.true)[:, 0, :, TRAINED:].cpu().numpy())
    found["asked"] = np.array(reader.inputs)[names.shaped(names.inputs)[:, 0, :, TRAINED:].cpu().numpy()]
    return found


def _dataset(names: Names, found: dict[str, Any]) -> xr.Dataset:
    by_name, by_relation = ("seed", "arm", "relation"), ("seed", "relation")
    trained = ("seed", "trained_arm", "relation")
    labels: dict[str, tuple[Any, ...]] = {
        "own": (by_name, "share of trained inputs answered as shown"),
        "true": (by_name, "share of trained inputs answered truly"),
        "held_out": (by_name, "share of held-out inputs answered right"),
        "kind": (by_name, "share of held-out inputs answered with an answer of the relation"),
        "label_nats": ((*by_name, "template", "label"), "log-probability of the label", "nats"),
        "said": ((*by_name, "place"), "first choice after a held-out input", "text"),
        "wanted": ((*by_relation, "place"), "right answer", "text"),
        "asked": ((*by_relation, "place"), "held-out input", "text"),
        "row": ((*trained, "entry"), "trained row"),
        "loss": ((*trained, "step"), "loss of the pairs shown at a step", "nats a pair"),
        "in_context": (by_relation, "share of held-out pairs right after pairs in the context"),
        "stated": (("seed", "rule"), "share of sums right with the rule stated"),
        "shown": (("seed", "rule"), "share of sums right after examples"),
    }
    coordinates = {
        "seed": list(names.seeds), "arm": [*ARMS, "untrained"], "trained_arm": list(ARMS), "relation": list(names.relations),
        "template": list(TEMPLATES), "label": list(LABELS), "rule": list(RULES),
    }  # fmt: skip
    data = {name: variable(dims, found[name], *label) for name, (dims, *label) in labels.items()}
    return xr.Dataset(data, coordinates)


def asked_again(result: xr.Dataset, before: str, after: str, *, device: str = "auto") -> xr.DataArray:
    """Share of relations named right by the rows of a record in another sentence, (trained_arm, seed): nothing is trained.

    Raises:
        DataError: the language model was not fetched.
    """
    model, tokenizer = loaded(resolve_device(device))
    own = checks.different(result)
    stored = own.row.transpose("seed", "trained_arm", "relation", "entry")
    rows = torch.tensor(stored.values, device=model.embed.device)
    with frozen(model):
        nats = named(Reader.of(model, tokenizer, ()), rows.flatten(0, 2), (before, after), DIFFERENT)
    best = np.array(DIFFERENT)[nats.argmax(1).cpu().numpy()].reshape(rows.shape[:3])
    right: xr.DataArray = stored.isel(entry=0, drop=True).copy(data=best == own.relation.values).mean("relation")
    return right.transpose("trained_arm", "seed")


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """What rows do and say: held-out pairs, answers of the right kind, and relations named, for three kinds of rows."""
    ax = style.axes(ax)
    measures = checks.by_seed(result)
    for number, (arm, color) in enumerate(COLORS.items()):
        for place, values in enumerate(measures.values()):
            x, points = place + 0.24 * (number - 1), values.sel(arm=arm).dropna("seed").values
            if not points.size:  # untrained rows have no calibrated score
                continue
            ax.plot(np.full(len(points), x), points, "o", color=color, alpha=0.55, markersize=5)
            ax.plot([x - 0.08, x + 0.08], [points.mean()] * 2, color=color, label=None if place else NAMES[arm])
    where = [place for place, name in enumerate(measures) if name.startswith("named")]
    chance = 1 / len(DIFFERENT)
    ax.plot([where[0] - 0.45, where[-1] + 0.45], [chance, chance], color=style.MUTED, ls="--", lw=1)
    ax.text(where[-1] + 0.47, chance, "chance", color=style.MUTED, fontsize=8, va="center")
    ax.set_xticks(range(len(measures)), ["\n".join(name.rsplit(" ", 1)) for name in measures])
    ax.set(xlabel="what is asked of a new name", ylabel="share right, mean over relations", ylim=(-0.03, 1.03))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=3)
    return ax


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    parts = [
        f"{name}: " + ", ".join(f"{arm} {float(values.sel(arm=arm).mean()):.2f}" for arm in COLORS)
        for name, values in checks.by_seed(result).items()
    ]
    told = "; ".join(parts)
    return (
        f"Share right over different relations, by what a name's row was trained on, every seed a point; means: {told}."
    )
