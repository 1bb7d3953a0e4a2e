"""Networks that compute one function fine-tune differently, also after one learning rate is retuned for each of them.

A ReLU network that reads digits is written down again with other weights: one layer multiplied and the next divided, or every
unit rescaled by its own factor, or every unit balanced. Each twin is fine-tuned on renamed labels by SGD and by Adam with every
rate of a wide grid, and by SGD with a rate of its own for the rescaled layers. Reizinger et al. 2024 (arXiv 2405.01964), case
study on fine-tuning: two models with one function need not be equally easy to fine-tune. Dinh et al. 2017 (arXiv 1703.04933):
factors on layers make a minimum as sharp as one likes. Neyshabur et al. 2015 (arXiv 1506.02617): SGD is slow on unbalanced
networks.

Axes: optimizer, twin, rate, seed, step; scaled_rate and rest_rate where layers have rates of their own.
Deviations: the published code puts the factor inside the activation, where it has no effect on training (claim
``fine_tuning.published_factor``), so the rescaled weights are ours, as are task, network and rates.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.ensemble import log_spaced_steps
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.nonidentifiability import fine_tuning_checks as checks
from heldout.nonidentifiability import fine_tuning_measures as measures
from heldout.nonidentifiability import fine_tuning_runs as runs
from heldout.nonidentifiability.fine_tuning_numbers import numbers

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "describe", "numbers", "plot", "run"]

OPTIMIZERS = ("sgd", "adam")
RATES = tuple(round(10 ** (power / 2), 9) for power in range(-13, 1))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of network and data, the twins, and the grid of learning rates."""

    hidden_sizes: tuple[int, ...] = (48, 48)
    num_pretrain: int = 800
    num_tune: int = 400
    num_validation: int = 200
    pretrain_steps: int = 200
    pretrain_rate: float = 0.1
    steps: int = 200  # updates of fine-tuning
    batch_size: int = 32
    rates: tuple[float, ...] = RATES
    layer_scales: tuple[float, ...] = (0.1, 10.0)
    unit_spreads: tuple[float, ...] = (3.0, 10.0)
    # The rate of the two layers that a factor changes, at 0 fixed, and of all else beside them.
    scaled_rates: tuple[float, ...] = (0.0, 1e-6, 1e-5, 1e-4, 1e-3)
    rest_rates: tuple[float, ...] = (0.1, 0.316227766, 1.0)
    undone_rate: float = 0.01
    published_factor: float = 1e5
    num_probes: int = 8
    num_seeds: int = 5
    first_seed: int = 110

    def __post_init__(self) -> None:
        sizes = ("num_pretrain", "num_tune", "num_validation", "pretrain_steps", "steps", "batch_size", "num_seeds")
        for name in sizes:
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        used = self.num_pretrain + self.num_tune + self.num_validation
        require(used < runs.ALL_DIGITS, "num_pretrain + num_tune + num_validation", used, f"below {runs.ALL_DIGITS}")
        require(self.batch_size <= self.num_tune, "batch_size", self.batch_size, "at most num_tune")
        require(
            len(self.hidden_sizes) >= 1 and min(self.hidden_sizes) >= 1, "hidden_sizes", self.hidden_sizes, "positive"
        )
        for name in ("pretrain_rate", "undone_rate", "published_factor"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        for name in ("rates", "layer_scales", "unit_spreads", "rest_rates"):
            values = getattr(self, name)
            ordered = len(values) >= 1 and list(values) == sorted(set(values)) and values[0] > 0
            require(ordered, name, values, "one or more, increasing, above 0")
        fixed = self.scaled_rates[:1] == (0,) and list(self.scaled_rates) == sorted(set(self.scaled_rates))
        require(fixed, "scaled_rates", self.scaled_rates, "0 first, then increasing")
        require(len(self.rates) >= 3, "rates", self.rates, "three or more")
        require(self.unit_spreads[0] > 1, "unit_spreads", self.unit_spreads, "above 1")


SMOKE = Config(
    hidden_sizes=(12, 8), num_pretrain=200, num_tune=60, num_validation=50, pretrain_steps=30, steps=12, batch_size=20,
    rates=(0.001, 0.01, 0.1), scaled_rates=(0.0, 0.001), rest_rates=(0.1,), num_probes=3, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(hidden_sizes=(128, 128), steps=600, num_probes=12)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Pretrain a network a seed, make its twins, and fine-tune all of them with both rules at every rate.

    Returns:
        validation_loss, test_loss, test_error (optimizer, twin, rate, seed, step): mean loss in nats, share missed;
        dead (optimizer, twin, rate, seed), dead_before (seed): share of hidden units that are 0 on all digits tuned on, at the
        end and before; two_validation, two_test (searched, scaled_rate, rest_rate, seed): loss at the end of SGD with rates of
        their own for some layers; balance_least, balance_most (seed): the factors that balance the original; difference,
        single_difference (twin, seed): largest difference of outputs from the original over all digits in double and in single
        precision; trace (twin, seed): of the Hessian of the pretraining loss; undone_difference (twin, seed): of outputs after
        SGD with layer rates that make up for the twin's mean scale; undone_error (twin, seed): share missed then;
        half_difference, half_error (twin, seed): likewise with rates that differ by the scale, not by its square;
        published_gradient, moved_gradient (seed): length of the change of the gradient over its length, for the published
        factor and for weights rescaled by it; moved_difference (seed): of outputs for these weights; pretrain_error (seed).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    data = runs.load(seeds, config.num_pretrain, config.num_tune, config.num_validation)
    networks = runs.pretrain(
        data.pretrain, seeds, config.hidden_sizes, steps=config.pretrain_steps, rate=config.pretrain_rate, device=device,
    )  # fmt: skip
    study = measures.Study.prepare(
        seeds, data, networks, config.layer_scales, config.unit_spreads, steps=config.steps, batch_size=config.batch_size,
        device=device,
    )  # fmt: skip
    steps, parts = log_spaced_steps(config.steps, config.num_probes), len(OPTIMIZERS) + 1
    grids = [
        measures.grid(study, config.rates, kind, steps, partial(_advance, progress, number, parts))
        for number, kind in enumerate(OPTIMIZERS)
    ]
    found = {name: np.stack([one[name] for one in grids]) for name in grids[0]}
    last = partial(_advance, progress, parts - 1, parts)
    found |= measures.two_rates(study, config.scaled_rates, config.rest_rates, last)
    found |= measures.undone(study, config.undone_rate) | measures.gradients(study, config.published_factor)
    found |= measures.same_function(study) | measures.sharpness(study)
    return _dataset(config, study, steps, found)


def _advance(progress: Progress, part: int, parts: int, done: int, total: int) -> None:
    progress(part * total + done, parts * total)


def _dataset(config: Config, study: measures.Study, steps: list[int], found: measures.Values) -> xr.Dataset:
    tuned, by_twin = ("optimizer", "twin", "rate", "seed", "step"), ("twin", "seed")
    apart = ("searched", "scaled_rate", "rest_rate", "seed")
    labels: dict[str, tuple[tuple[str, ...], str, str]] = {
        "validation_loss": (tuned, "loss on validation digits", "nats"), "test_loss": (tuned, "loss on test digits", "nats"),
        "test_error": (tuned, "share of test digits missed", "1"),
        "dead": (tuned[:-1], "share of hidden units zero on all digits tuned on, at the end", "1"),
        "dead_before": (("seed",), "share of hidden units zero on all digits tuned on, before", "1"),
        "two_validation": (apart, "loss on validation digits at the end, layers at rates of their own", "nats"),
        "two_test": (apart, "loss on test digits at the end, layers at rates of their own", "nats"),
        "balance_least": (("seed",), "smallest factor on a unit that balances the original", "1"),
        "balance_most": (("seed",), "largest factor on a unit that balances the original", "1"),
        "difference": (by_twin, "largest difference of outputs from the original, double precision", "1"),
        "single_difference": (by_twin, "largest difference of outputs from the original, single precision", "1"),
        "trace": (by_twin, "trace of the Hessian of the pretraining loss", "nats"),
        "undone_difference": (("factored", "seed"), "largest difference of outputs after layer rates made to suit", "1"),
        "undone_error": (("factored", "seed"), "share of test digits missed after layer rates made to suit", "1"),
        "half_difference": (("factored", "seed"), "largest difference of outputs after layer rates that suit half", "1"),
        "half_error": (("factored", "seed"), "share of test digits missed after layer rates that suit half", "1"),
        "published_gradient": (("seed",), "relative change of the gradient, factor in the activation", "1"),
        "moved_gradient": (("seed",), "relative change of the gradient, factor in the weights", "1"),
        "moved_difference": (("seed",), "largest difference of outputs, factor in the weights", "1"),
        "pretrain_error": (("seed",), "share of test digits missed before fine-tuning, first labels", "1"),
    }  # fmt: skip
    return xr.Dataset(
        {name: variable(dims, found[name], *label) for name, (dims, *label) in labels.items()},
        {
            "optimizer": list(OPTIMIZERS), "twin": study.names, "factored": study.names[:-1], "seed": list(study.seeds),
            "rate": variable("rate", config.rates, "learning rate"), "step": variable("step", steps, "updates", "updates"),
            "searched": list(measures.SEARCHED),
            "scaled_rate": variable("scaled_rate", config.scaled_rates, "learning rate of these layers"),
            "rest_rate": variable("rest_rate", config.rest_rates, "learning rate of all else"),
        },
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None, optimizer: str = "sgd") -> Axes:
    """Test loss after the last update against the learning rate, for the original and three of its twins."""
    ax, layer = style.axes(ax), checks.largest_layer(result)
    ends = result.test_loss.sel(optimizer=optimizer).isel(step=-1).fillna(np.inf).clip(max=checks.MOST)
    for twin, color, label, line in (
        (checks.widest(result), style.VERMILION, "unit scales, widest spread", "solid"),
        (layer, style.GREEN, f"first layer times {checks.factor(layer):g}", "solid"),
        (runs.BALANCED, style.MUTED, "widest spread, then balanced", (0, (5, 1.5))),
        (runs.ORIGINAL, style.BLUE, "original", "solid"),
    ):  # fmt: skip
        style.band(ax, result.rate.values, ends.sel(twin=twin).values.T, color=color, label=label, linestyle=line)
    ax.set(xscale="log", yscale="log", ylim=(0.03, checks.MOST), xlabel="learning rate (log scale)")
    ax.set_ylabel("loss on new labels (nats, log scale)")
    ax.legend(loc="lower left", fontsize=9)
    return ax


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Loss on the new labels after {n['updates']} updates of SGD against the learning rate, both axes logarithmic. At the "
        f"rate that validation chooses it is {n['original_sgd_loss']:.2f} for the original, {n['balanced_sgd_loss']:.2f} for the "
        f"balanced twin, {n['layer_sgd_loss']:.2f} with the first layer times {n['layer_factor']:g}, whose curve lies at smaller "
        f"rates, and {n['wide_sgd_loss']:.2f} with unit scales of spread {n['spread']:g}."
    )


_BALANCED = Control(
    says="the same network with the two lengths of every unit made equal, in the place of the unit scales",
    change=checks.balanced_units,
    manipulation=checks.learned_and_same,
)
_REIZINGER = "Reizinger et al. 2024, arXiv 2405.01964, case study on fine-tuning"

CLAIMS = (
    Claim(
        id="fine_tuning.gap_remains",
        says="With unit scales of spread 10 and outputs equal to 1e-10, SGD with the one rate that validation chooses ends more "
        "than 0.3 nats above the original with its own one rate.",
        rows=("S4.4",),
        source=f"{_REIZINGER}; the weights and the retuning are ours",
        check=checks.gap_remains,
        control=_BALANCED,
        expected_at_paper="in part",
    ),
    Claim(
        id="fine_tuning.layer_rates_undo",
        says="A factor on a whole layer is undone by two learning rates: after fine-tuning the outputs are equal to 1e-8.",
        rows=("S4.4",),
        source="this book, Theorem",
        check=checks.layer_rates_undo,
        control=Control(
            says="the same twins with layer rates that differ by the factor and not by its square",
            change=checks.half_undone,
            manipulation=checks.trained_too,
        ),
    ),
    Claim(
        id="fine_tuning.uniform_is_mostly_rate",
        says="With the first layer times 0.1 or 10, SGD ends more than 0.3 nats above the original at the original's rate, and "
        "less than 0.3 above it when one rate for all layers is retuned, for the worse of the two factors.",
        rows=("S4.4",),
        source="this book",
        check=checks.uniform_is_mostly_rate,
        control=Control(
            says="unit scales of spread 10 in the place of the layer's factor",
            change=checks.units_for_layer,
            manipulation=checks.learns_by_adam,
        ),
        expected_at_paper="not reproduced",
    ),
    Claim(
        id="fine_tuning.two_rates_suffice",
        says="With one rate, 0 among the choices, for the two layers that unit scales of spread 10 change and one for all else, "
        "SGD ends less than 0.1 nats above the original that has two such rates as well.",
        rows=("S4.4",),
        source="this book",
        check=checks.two_rates_suffice,
        control=Control(
            says="as many pairs of rates for the twin, one rate for the first layer alone and the other for all else",
            change=checks.first_layer_alone,
            manipulation=checks.widest_learns_by_adam,
        ),
    ),
    Claim(
        id="fine_tuning.adam_needs_less",
        says="The gap of the unit scales of spread 10 that retuning one rate leaves is more than 0.1 nats larger with SGD than "
        "with Adam.",
        rows=("S4.4",),
        source="this book",
        check=checks.adam_needs_less,
        control=_BALANCED,
    ),
    Claim(
        id="fine_tuning.sharp_and_as_good",
        says="The first layer times 10 makes the trace of the Hessian more than ten times as large, and with Adam this twin ends "
        "within 0.1 nats of the original.",
        rows=("S4.4",),
        source="Dinh et al. 2017, arXiv 1703.04933, for sharpness; the fine-tuning is ours",
        check=checks.sharp_and_as_good,
        control=Control(
            says="unit scales of spread 3 in the place of the layer's factor",
            change=checks.narrow_for_layer,
            manipulation=checks.learns_by_adam,
        ),
    ),
    Claim(
        id="fine_tuning.published_factor",
        says="A factor of 100,000 inside the activation, relu(kz)/k, changes the gradient by less than 1e-10 of its length.",
        rows=("S4.4",),
        source=f"{_REIZINGER}: its published code",
        check=checks.published_factor,
        control=Control(
            says="the same factor in the weights of the first layer, and its inverse in the second",
            change=checks.factor_in_the_weights,
            manipulation=checks.weights_moved_alone,
        ),
    ),
)
