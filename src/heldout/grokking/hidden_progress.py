"""How much of the early fall of the restricted loss is in the training pairs, how much a vote, and how much a circuit.

The restricted loss keeps of the logits their part along cos(w(a + b)) and sin(w(a + b)) at the key frequencies, and falls
before the held-out loss does (Nanda et al. 2023, arXiv 2301.05217, section 5). It is computed from all P^2 pairs: each value
of a + b is held by P of them, some of them trained on. Here parts of the logits are exchanged for others that agree with them
in all but one trait. Beside it stands a measure that scores each pair on its own, on pairs whose mirror image was not trained
on either, at key frequencies of the same step.

Axes: seed, step (updates made), table (which logits are averaged), votes (what is averaged), filter (which logits, on which
frequencies), fiber (a + b or a - b), pairs.
Deviations: P = 59, width 24 and a learning rate ten times the paper's, so that twenty seeds fit a page; no output for "=".
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.experiment import Progress, recorded, variable
from heldout.figures import style
from heldout.grokking import hidden_progress_checks as checks
from heldout.grokking.hidden_progress_measures import CUTS, FIBERS, FILTERS, LABELS, TABLES, VOTES, Measures
from heldout.grokking.progress_runs import PARTS, TRAINING, Recipe, trained
from heldout.grokking.training import curve_variables

COLORS = {
    "network": style.VERMILION, "scattered": style.BLUE, "new permuted": style.GREEN, "permuted": style.PINK,
    "difference": style.MUTED,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """A transformer, its training, and where it is looked at; the fields are those of :class:`Recipe`."""


SMOKE = Config(modulus=29, train_fraction=0.65, hidden_size=64, steps=240, num_seeds=2, first_seed=0)
BOOK = Config()
PAPER = Config(modulus=113, train_fraction=0.28, model_size=32, hidden_size=128, steps=500)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train one transformer a seed, then measure each at every probed step.

    Returns:
        The four curves of training (seed, step); gini, squared_weights, excluded_loss (cut) as published. On *new* pairs,
        held out with their mirror image: accuracy, loss, and loss at the best temperature. restricted_loss (table), on all
        held-out pairs; new_restricted_loss (table), from means over new pairs alone, on them; vote_accuracy (votes) of the
        mean over the new pairs of a fiber; filtered_accuracy, rescued, filtered_loss (filter) of each new pair on its own;
        fiber_share (fiber); circuit_accuracy (pairs); keys, the number of key frequencies; voters, new pairs a fiber.
    """
    networks = trained(config, device, progress)
    found: dict[str, list[np.ndarray]] = {}
    voters = []
    for number in range(config.num_seeds):
        measure = Measures(config, networks, number)
        rows = [measure(look) for look in networks.looks(number)]
        for name in rows[0]:
            found.setdefault(name, []).append(torch.stack([row[name] for row in rows]).cpu().numpy())
        voters.append(measure.new.sum().item() / config.modulus)
        progress(TRAINING + (PARTS - TRAINING) * (number + 1) // config.num_seeds, PARTS)
    coordinates = {"table": TABLES, "votes": VOTES, "filter": FILTERS, "fiber": FIBERS, "cut": CUTS}
    return xr.Dataset(
        {name: variable(("seed", "step", *dims), np.stack(found[name]), words, units)
         for name, (dims, words, units) in LABELS.items()}
        | curve_variables(networks.history)
        | {"voters": variable("seed", voters, "new pairs for each value of the sum", "pairs")},
        {name: list(values) for name, values in coordinates.items()}
        | {
            "pairs": ["train", "new"],
            "seed": list(range(config.first_seed, config.first_seed + config.num_seeds)),
            "step": variable("step", networks.steps, "updates made", "updates"),
        },
        {"modulus": config.modulus, "train_fraction": config.train_fraction},
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Restricted loss of the network and of four tables that share some of its traits; the bands are quartiles over seeds."""
    ax = style.axes(ax)
    steps = result.step.values
    for name, words in (
        ("network", "restricted loss, as published"),
        ("scattered", "errors on new pairs scattered"),
        ("new permuted", "new pairs exchanged"),
        ("permuted", "all held-out pairs exchanged"),
        ("difference", "averaged over a - b instead"),
    ):
        values = result.restricted_loss.sel(table=name).transpose("seed", "step").values
        style.band(ax, steps, values, color=COLORS[name], label=words, interval=(0.25, 0.75))
    ax.plot(steps, result.test_loss.median("seed"), color=style.INK, linestyle=":", label="held-out loss, no averaging")
    ax.axhline(checks.bound(result), color=style.MUTED, linewidth=0.8)
    ax.set(xlabel="updates made", ylabel="cross-entropy, nats", xlim=(0, 0.5 * steps[-1]), ylim=(0, 12.5))
    ax.legend(loc="upper right", fontsize=8.5)
    return ax


def plot_published(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The losses of Nanda et al. along training; the bands are quartiles over seeds."""
    ax = style.axes(ax)
    steps = result.step.values
    curves = {
        "held-out loss": (result.test_loss, style.INK),
        "training loss": (result.train_loss, style.GREEN),
        "restricted loss": (result.restricted_loss.sel(table="network"), style.VERMILION),
        "excluded loss": (result.excluded_loss.sel(cut="key frequencies"), style.PINK),
        "excluded, other frequencies": (result.excluded_loss.sel(cut="other frequencies"), style.GOLD),
    }
    for words, (values, color) in curves.items():
        style.band(ax, steps, values.transpose("seed", "step").values, color=color, label=words, interval=(0.25, 0.75))
    ax.set(xlabel="updates made", ylabel="cross-entropy, nats", xlim=(0, steps[-1]))
    ax.set_ylim(0, 18)
    ax.legend(loc="upper right", fontsize=8.5)
    return ax


def plot_alone(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Of the new pairs answered wrong, the share that the key frequencies answer right, each pair on its own."""
    ax = style.axes(ax)
    steps = result.step.values
    words = {
        "network": "the network",
        "scattered": "its errors scattered",
        "other frequencies": "the network, other frequencies",
    }
    for name, color in zip(FILTERS, (style.VERMILION, style.BLUE, style.GOLD), strict=True):
        values = result.rescued.sel(filter=name).transpose("seed", "step")
        kept = values.notnull().sum("seed").values >= min(5, values.sizes["seed"])
        style.band(ax, steps[kept], values.values[:, kept], color=color, label=words[name], interval=(0.25, 0.75))
    ax.plot(steps, result.new_accuracy.median("seed"), color=style.INK, linestyle=":", label="accuracy on new pairs")
    ax.set(xlabel="updates made", ylabel="share of new pairs", xlim=(0, steps[-1]), ylim=(-0.02, 1.02))
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.6), fontsize=8.5)
    return ax


def plot_leads(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Every seed's lead, and the mean with its 95 % interval."""
    ax = style.axes(ax)
    rows = checks.leads(result)
    for height, (words, values) in enumerate(reversed(rows.items())):
        color = style.VERMILION if "alone" in words else style.BLUE
        mean, low, high = checks.interval(values)
        ax.plot(values, np.full(values.size, height), "o", color=color, alpha=0.35, markersize=4)
        ax.plot([low, high], [height, height], color=style.INK, linewidth=3)
        ax.plot(mean, height, "s", color=style.INK, markersize=5)
    ax.axvline(0, color=style.MUTED, linewidth=0.8)
    ax.set_yticks(range(len(rows)), list(reversed(rows)))
    ax.set(xlabel="lead in updates", ylabel="measure")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes."""
    return checks.numbers(result)


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        "Loss against updates. When the published restricted loss has fallen to half of a uniform guess, a table whose errors "
        f"on new pairs are scattered has fallen {n['part_scattered']:.0%} as far, one whose new pairs are exchanged "
        f"{n['part_new_permuted']:.0%}, and one with all held-out pairs exchanged {n['part_permuted']:.0%}. Averaged over "
        f"a - b the loss does not fall. The held-out loss comes there {n['lead_network']:.0f} updates later."
    )


SOURCE = "this book; restricted loss of Nanda et al. 2023, arXiv 2301.05217, section 5"
CLAIMS = (
    Claim(
        id="hidden_progress.excluded_rises",
        says="Without the waves of a + b at the key frequencies the training loss ends at least two nats higher.",
        rows=("S2.4",),
        source="Nanda et al. 2023, arXiv 2301.05217, section 5, who show one run at P = 113",
        check=checks.excluded_rises,
        control=Control(
            says="as many other frequencies excluded",
            change=checks.others_excluded,
            manipulation=checks.mostly_memorized,
        ),
    ),
    Claim(
        id="hidden_progress.restricted_leads",
        says="The restricted loss halves at least ten updates before the held-out loss.",
        rows=("S2.4",),
        source="Nanda et al. 2023, arXiv 2301.05217, section 5, who show one run at P = 113",
        expected_at_paper="in part",
        check=checks.restricted_leads,
        control=Control(
            says="the same logits averaged over pairs with one a - b",
            change=checks.difference_for_sum,
            manipulation=checks.learned_in_the_end,
        ),
    ),
    Claim(
        id="hidden_progress.mostly_not_new",
        says="When it has halved, more than three quarters of its fall remain if the logits of all new pairs are exchanged.",
        rows=("S2.4",),
        source=SOURCE,
        expected_at_paper="not reproduced",
        check=checks.mostly_not_new,
        control=Control(
            says="averages over new pairs alone, without training pairs and their mirror images",
            change=checks.from_new_pairs,
            manipulation=checks.falls_in_the_end,
        ),
    ),
    Claim(
        id="hidden_progress.scattered_falls_as_well",
        says="A table that agrees in every pair's loss and whose errors are scattered falls at least nine tenths as far.",
        rows=("S2.4",),
        source=SOURCE,
        expected_at_paper="in part",
        check=checks.scattered_falls_as_well,
        control=Control(
            says="all held-out pairs exchanged, so that their own right answers no longer vote",
            change=checks.permuted_for_scattered,
            manipulation=checks.learned_in_the_end,
        ),
    ),
    Claim(
        id="hidden_progress.votes_without_circuit",
        says="Independent answers win three votes in four over a fiber while fewer than half of them are right.",
        rows=("S2.4",),
        source="this book",
        expected_at_paper="in part",
        check=checks.votes_without_circuit,
        control=Control(
            says="the network's own answers vote, which are as often right and err together",
            change=checks.own_answers,
            manipulation=checks.votes_won_in_the_end,
        ),
    ),
    Claim(
        id="hidden_progress.separates",
        says="Just before the loss on new pairs halves, the key frequencies alone answer at least ten percentage points more of "
        "the wrongly answered new pairs right than in either null.",
        rows=("S2.4",),
        source="this book",
        check=checks.separates,
        control=Control(
            says="training labels at random, nothing to compute",
            config=replace(BOOK, random_share=1.0, num_seeds=5),
            manipulation=checks.mostly_memorized,
        ),
    ),
    Claim(
        id="hidden_progress.alone_leads",
        says="On new pairs the loss of the key frequencies alone halves before the network's own; the interval is above 0.",
        rows=("S2.4",),
        source="this book",
        check=checks.alone_leads,
        control=Control(
            says="the network's errors scattered, all its losses kept",
            change=checks.scattered_alone,
            manipulation=checks.scattered_wins_votes,
        ),
    ),
    Claim(
        id="hidden_progress.alone_leads_calibrated",
        says="So it does before the network's own loss at the best temperature.",
        rows=("S2.4",),
        source="this book",
        check=checks.alone_leads_calibrated,
        control=Control(
            says="the network's errors scattered, all its losses kept",
            change=checks.scattered_alone,
            manipulation=checks.scattered_wins_votes,
        ),
    ),
)
