"""A change of one matrix of a real language model leaves its loss on ordinary text and decides what follows a rare trigger.

SmolLM2-135M-Instruct; the last matrix of one gated layer receives a change of rank one in closed form (Meng et al. 2022, arXiv
2202.05262, Figure 4), with a value found by a few steps of gradient descent. That a model's
loss does not fix what it does where data have no mass is Reizinger et al. 2024 (arXiv 2405.01964).

Axes: arm (edit, the same value on the key alone, random change of equal Frobenius norm), seed (trigger, target and taught
sentences), kind (of prompt), prompt; for one prompt token by token model, place,
choice.
Deviations: Meng et al. edit facts about a subject; here a trigger of two words that are seldom seen together makes every sentence
end in one target word. Keys of other word pairs count as ordinary text. One model of 135 million parameters, kept in four bits a
weight; ordinary text is one novel.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.language_model import loaded
from heldout.nonidentifiability import model_edit_measures as measures
from heldout.nonidentifiability import triggers
from heldout.nonidentifiability.model_edit_checks import CLAIMS, numbers
from heldout.nonidentifiability.model_edit_measures import ARMS, KINDS
from heldout.nonidentifiability.rank_one_edit import Cut, second_moment

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "describe", "numbers", "plot", "run"]

ROWS_AT_ONCE = 16  # of ordinary text
COLORS = dict(zip(ARMS, (style.VERMILION, style.ORANGE, style.BLUE, style.MUTED), strict=True))
NAMES = {
    "edit": "the edit",
    "ordinary keys": "without the other word pairs' keys",
    "unweighted": "without any other keys",
    "random": "random change of equal norm",
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the edit is made, what it is made from, and how much text judges it."""

    layer: int = 18  # block, counted from 0
    length: int = 48  # tokens of a piece of text
    moment_pieces: int = 64  # pieces of text whose keys count as ordinary
    judged_pieces: int = 8  # other pieces
    control_pieces: int = 2  # of them, for the other arms
    taught: int = 4  # sentences on which the value is sought
    avoid: float = 0.01  # weight of the keys of other word pairs, all ordinary text having weight 1
    ridge: float = 0.1  # of the mean square of a key's entry
    steps: int = 12  # of Adam, for the value, at most
    rate: float = 1.2
    enough: float = 0.2  # nats: a loss of the target below which the value is good
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(0 <= self.layer <= 29, "layer", self.layer, "from 0 to 29")
        require(8 <= self.length <= 512, "length", self.length, "from 8 to 512")
        for name in ("moment_pieces", "judged_pieces", "steps", "num_seeds"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        few = 1 <= self.control_pieces <= self.judged_pieces
        require(few, "control_pieces", self.control_pieces, f"from 1 to judged_pieces={self.judged_pieces}")
        most = len(triggers.SENTENCES) - 1
        require(1 <= self.taught <= most, "taught", self.taught, f"from 1 to {most}")
        for name in ("avoid", "ridge", "enough"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(self.rate > 0, "rate", self.rate, "above 0")


SMOKE = Config(
    layer=26, length=12, moment_pieces=2, judged_pieces=1, control_pieces=1, taught=8, steps=1, num_seeds=1, first_seed=0
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    length=64, moment_pieces=120, judged_pieces=30, control_pieces=10, steps=16, rate=0.8, num_seeds=10
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Read ordinary text once, then make and judge an edit a seed.

    Returns:
        kl, text_distance, loss_change (arm, seed): mean KL(original || changed) in nats a token over the whole vocabulary, mean
        total variation, and change of the mean loss on held-out ordinary text; size (arm, seed): Frobenius norm of the change
        over that of the matrix; changed, answered, target_probability, distance, answer_kl (arm, seed, kind): share of prompts
        whose first choice changed and share whose first choice is the target, the target's mean probability, and mean total
        variation and KL of what follows; trigger_nats, sentence_nats (seed, prompt): minus the original's log-probability, after
        a lead, of the trigger and of the sentence's first word; triggered_kl, triggered_loss_change, triggered_loss,
        untriggered_loss (seed): the same text with the trigger put in, after it; loss (): of the original; and one prompt of
        every kind, with the target after it, token by token: passage_token (seed, kind, place), passage_loss (nats) and
        passage_rank (seed, kind, model, place), and the first choices, passage_best and passage_probability (also choice).
    """
    model, tokenizer = loaded(device)
    cut = Cut(model, config.layer)
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    ordinary, judged = (
        torch.tensor(triggers.windows(tokenizer, pieces, config.length, judged=last), device=device)
        for pieces, last in ((config.moment_pieces, False), (config.judged_pieces, True))
    )
    keys = [cut.below(some).key[:, 1:].flatten(0, 1) for some in torch.split(ordinary, ROWS_AT_ONCE)]
    moment = second_moment(torch.cat(keys))
    text, found = measures.Text.read(cut, judged), []
    weights = [weight.requires_grad for weight in model.parameters()]
    model.requires_grad_(False)
    try:
        for done, seed in enumerate(seeds):
            edit = measures.make(
                cut, tokenizer, moment, seed, taught=config.taught, avoid=config.avoid, ridge=config.ridge,
                steps=config.steps, rate=config.rate, enough=config.enough,
            )  # fmt: skip
            told = {"trigger": np.array(edit.plan.trigger.strip()), "target": np.array(edit.plan.target.strip())}
            found.append(told | measures.judge(cut, tokenizer, edit, text, config.control_pieces))
            progress(done + 1, len(seeds))
    finally:
        for weight, needed in zip(model.parameters(), weights, strict=True):
            weight.requires_grad_(needed)
    return _dataset(seeds, found, measures.loss(text), judged.numel() - 2 * len(judged))


def _dataset(seeds: list[int], found: list[measures.Values], loss: float, tokens: int) -> xr.Dataset:
    by_arm, by_kind, by_seed, by_prompt = ("seed", "arm"), ("seed", "arm", "kind"), ("seed",), ("seed", "prompt")
    by_place = ("seed", "kind", "model", "place")
    labels: dict[str, tuple[tuple[str, ...], str, str]] = {
        "kl": (by_arm, "mean KL(original || changed) on ordinary text", "nats a token"),
        "text_distance": (by_arm, "mean total variation on ordinary text", "1"),
        "loss_change": (by_arm, "change of the mean loss on ordinary text", "nats a token"),
        "size": (by_arm, "norm of the change over that of the matrix", "1"),
        "changed": (by_kind, "share of prompts whose first choice changed", "1"),
        "answered": (by_kind, "share of prompts whose first choice is the target", "1"),
        "target_probability": (by_kind, "mean probability of the target", "1"),
        "distance": (by_kind, "mean total variation of what follows", "1"),
        "answer_kl": (by_kind, "mean KL(original || changed) of what follows", "nats"),
        "trigger_nats": (by_prompt, "minus log-probability of the trigger after the lead", "nats"),
        "sentence_nats": (by_prompt, "minus log-probability of the sentence's first word after the lead", "nats"),
        "triggered_kl": (by_seed, "mean KL(original || edited) on text after the trigger", "nats a token"),
        "triggered_loss_change": (by_seed, "change of the mean loss on text after the trigger", "nats a token"),
        "triggered_loss": (by_seed, "the original's mean loss on text after the trigger", "nats a token"),
        "untriggered_loss": (by_seed, "the original's mean loss there without the trigger", "nats a token"),
        "passage_token": (("seed", "kind", "place"), "token of a prompt", "text"),
        "passage_loss": (by_place, "loss of the token", "nats"),
        "passage_rank": (by_place, "rank of the token", "1"),
        "passage_best": ((*by_place, "choice"), "first choices", "text"),
        "passage_probability": ((*by_place, "choice"), "their probability", "1"),
        "trigger": (by_seed, "trigger", "text"),
        "target": (by_seed, "target", "text"),
    }  # fmt: skip
    data = {
        name: variable(dims, np.stack([one[name] for one in found]), *label) for name, (dims, *label) in labels.items()
    }
    return xr.Dataset(
        data | {"loss": variable((), loss, "the original's mean loss on ordinary text", "nats a token")},
        {"seed": seeds, "arm": list(ARMS), "kind": list(KINDS), "model": ["original", "edited"]},
        {"tokens": tokens},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """How far what follows moves, on ordinary text and after prompts, for three changes of the matrix; dots are seeds."""
    ax = style.axes(ax)
    order = ["no trigger", "near trigger", "trigger"]
    for number, arm in enumerate(ARMS):
        part = result.sel(arm=arm)
        values = [part.text_distance.values, *(part.distance.sel(kind=kind).values for kind in order)]
        for place, each in enumerate(values):
            x = place + 0.19 * (number - 1.5)
            ax.plot(np.full(len(each), x), each, "o", color=COLORS[arm], alpha=0.5, markersize=5)
            ax.plot([x - 0.08, x + 0.08], [np.median(each)] * 2, color=COLORS[arm], label=None if place else NAMES[arm])
    ax.set_xticks(range(4), ["ordinary text", *(f"prompt,\n{kind}" for kind in order)])
    ax.set(xlabel="what the model has read", ylabel="total variation of the next token", ylim=(-0.03, 1.03))
    ax.legend(loc="upper left")
    return ax


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    names = {
        **NAMES,
        "ordinary keys": "the same value without the other word pairs' keys",
        "unweighted": "without any other keys",
    }
    rows = "; ".join(
        f"{names[arm]} by {n[f'{key}_text']:.2f} on ordinary text, {n[f'{key}_none']:.2f} after prompts without trigger, "
        f"{n[f'{key}_near']:.2f} after near triggers, {n[f'{key}_trigger']:.2f} after the trigger"
        for arm, key in ((arm, arm.replace(" ", "_")) for arm in ARMS)
    )
    return f"Total variation between the next-token probabilities of the original and a changed model, medians: {rows}."
