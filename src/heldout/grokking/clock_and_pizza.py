"""At one training loss, networks that add treat their two numbers differently: by even or trained attention, and by seed.

Transformers of one layer learn a + b modulo P with attention that is even, half even or trained, and equally loud: the weights
of both tokens sum to one. At the end every network is brought to one training loss by a factor on its logits, which changes
neither measure: gradient symmetricity and distance irrelevance. Beside them stand networks with even attention twice as loud, and
networks written down by hand, from a pizza to a clock. Zhong et al. 2023 (arXiv 2306.17844): the network, the rate of attention,
both measures, clock and pizza. Two cuts, on their dispute: McCracken et al. 2025 (2505.18266).

Axes: rate, seed, distance; spread (of the rulers' phases).
Deviations: weights that sum to one at every rate (in their code 2 - rate; the loud ones are theirs at rate 0); P = 31 and small
networks (theirs 59 and 128); a learning rate ten times theirs, and fewer steps; symmetricity over all triples in the place of 100
random ones; rulers of ReLU units.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.devices import generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.grokking import clock_and_pizza_checks as checks
from heldout.grokking import clock_and_pizza_figures as figures
from heldout.grokking import clock_pizza_measures as measures
from heldout.grokking.attention_rate import MixedAttention
from heldout.grokking.clock_and_pizza_claims import CLAIMS as CLAIMS
from heldout.grokking.clock_pizza_rulers import WrittenDown
from heldout.grokking.modular import Split, all_pairs, require_decay, require_modulus, require_train_fraction, split
from heldout.grokking.panel_models import inverse_temperature
from heldout.grokking.training import train_on_pairs
from heldout.losses import stable_cross_entropy

Found = dict[str, float | np.ndarray]  # of one network
LOUD = ("symmetricity", "irrelevance", "start_symmetricity", "test_accuracy", "test_loss")  # kept of the loud networks


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the networks, and how they are trained and written down."""

    modulus: int = 31
    model_size: int = 32
    heads: int = 4
    hidden_size: int = 96
    rates: tuple[float, ...] = (0.0, 0.5, 1.0)  # of trained attention; the rest is even
    loud: float = 2.0  # what both weights sum to in the loud networks, at the first rate; in all others, 1
    train_fraction: float = 0.7
    learning_rate: float = 1e-2
    weight_decay: float = 1.0
    steps: int = 600
    matched_loss: float = 1e-3  # nats on training pairs, to which every network is brought
    spreads: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the rulers' phases
    ruler_frequencies: int = 4
    ruler_units: int = 128  # a frequency
    num_seeds: int = 5
    first_seed: int = 110

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require_train_fraction(self.train_fraction, self.modulus)
        require_decay(self.learning_rate, self.weight_decay)
        for name in ("model_size", "heads", "hidden_size", "steps", "ruler_units", "num_seeds"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.model_size % self.heads == 0, "heads", self.heads, f"a divisor of model_size={self.model_size}")
        require(self.matched_loss > 0, "matched_loss", self.matched_loss, "above 0")
        require(self.loud > 1, "loud", self.loud, "above 1")
        for name in ("rates", "spreads"):
            values = getattr(self, name)
            ordered = len(values) >= 2 and list(values) == sorted(set(values)) and values[0] >= 0 and values[-1] <= 1
            require(ordered, name, values, "two or more, increasing, from 0 to 1")
        most = (self.modulus - 1) // 2
        require(1 <= self.ruler_frequencies <= most, "ruler_frequencies", self.ruler_frequencies, f"from 1 to {most}")


SMOKE = Config(
    modulus=13, model_size=16, hidden_size=32, train_fraction=0.8, steps=300, ruler_units=32, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    modulus=59, model_size=128, hidden_size=512, rates=(0.0, 0.25, 0.5, 0.75, 1.0), train_fraction=0.8, learning_rate=1e-3,
    weight_decay=2.0, steps=20_000,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train one network a rate and seed, all together; measure them, and the written-down ones.

    Returns:
        symmetricity, irrelevance, and the same at the start (start_symmetricity, start_irrelevance) (rate, seed);
        train_accuracy, test_accuracy; factor, that on the logits which brings the training loss to ``matched_loss``, and
        test_loss, the loss on held-out pairs with it (NaN where a training pair is wrong); added_in, added_out (share of the
        variance of the hidden units' inputs and outputs that is a function of a plus one of b); whole, without_attention,
        without_layer, without_both (share of all pairs right) (rate, seed); profile (rate, seed, distance), mean right logit
        times factor; some of these for the loud networks, by names that start with loud (seed); ruler_symmetricity,
        ruler_irrelevance, ruler_accuracy (spread, seed).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    kinds = [(rate, 1.0) for rate in config.rates] + [(config.rates[0], config.loud)]
    splits = [split(config.modulus, config.train_fraction, seed) for seed in seeds] * len(kinds)
    networks = [member(config, rate, seed, loudness) for rate, loudness in kinds for seed in seeds]
    starts = [_treatment(network.to(device)) for network in networks]
    history = train_on_pairs(
        networks, splits, steps=config.steps, probe_steps=[config.steps], learning_rate=config.learning_rate,
        weight_decay=config.weight_decay, device=device, progress=progress,
    )  # fmt: skip
    for network, state in zip(networks, history.states, strict=True):
        network.load_state_dict(state)
    found = [
        _treatment(network) | _matched(config, network, one) for network, one in zip(networks, splits, strict=True)
    ]
    for each, start in zip(found, starts, strict=True):
        each |= {f"start_{name}": start[name] for name in ("symmetricity", "irrelevance")}
    for name in ("train_accuracy", "test_accuracy"):
        for each, value in zip(found, history.values[name][-1], strict=True):
            each[name] = float(value)
    rulers = [[_ruler(config, spread, seed, device) for seed in seeds] for spread in config.spreads]
    return _dataset(config, seeds, found, np.array(rulers))


def member(config: Config, rate: float, seed: int, loudness: float = 1.0) -> MixedAttention:
    """The network of a seed before training: the same weights at every rate and loudness."""
    start = generator("clock and pizza", config.modulus, config.model_size, config.hidden_size, seed)
    sizes = {"model_size": config.model_size, "heads": config.heads, "hidden_size": config.hidden_size}
    return MixedAttention(config.modulus, rate=rate, generator=start, loudness=loudness, **sizes)


@torch.no_grad()
def _treatment(network: MixedAttention) -> Found:
    """Both measures, the cuts, and the mean right logit by distance."""
    logits = network(all_pairs(network.modulus).to(network.embed.device))
    slopes = measures.slopes(network.from_vectors, network.embed)
    found: Found = {
        "symmetricity": measures.gradient_symmetricity(slopes),
        "irrelevance": measures.distance_irrelevance(logits),
        "profile": measures.right_logits(logits).mean(1).cpu().numpy(),
    }
    found.update(measures.cuts(network))
    return found


@torch.no_grad()
def _matched(config: Config, network: MixedAttention, one: Split) -> Found:
    """The factor that brings the training loss to the one of the config, and the held-out loss with it."""
    device = network.embed.device
    logits, targets = network(one.train_pairs.to(device)), one.train_targets.to(device)
    factor = inverse_temperature(logits.double(), targets, config.matched_loss)
    others = factor * network(one.test_pairs.to(device)).double()
    test_loss = float(stable_cross_entropy(others, one.test_targets.to(device)).mean())
    return {"factor": factor, "test_loss": test_loss}


def _ruler(config: Config, spread: float, seed: int, device: torch.device) -> tuple[float, float, float]:
    """Both measures of a written-down network, and the share of all pairs that it answers."""
    order = torch.randperm((config.modulus - 1) // 2, generator=generator("ruler frequencies", config.modulus, seed))
    frequencies = (1 + order[: config.ruler_frequencies]).tolist()
    made = WrittenDown(config.modulus, frequencies, config.ruler_units, spread, seed, device)
    pairs = all_pairs(config.modulus).to(device)
    rows = made.embed[pairs[:, 0]], made.embed[pairs[:, 1]]
    logits = made.from_vectors(*rows)
    symmetricity = measures.gradient_symmetricity(made.slopes(*rows))
    return symmetricity, measures.distance_irrelevance(logits), measures.share_right(logits)


def _dataset(config: Config, seeds: list[int], found: list[Found], rulers: np.ndarray) -> xr.Dataset:
    """The record, from one dictionary a network, rates outermost, and (spread, seed, measure) of the rulers."""
    units, pairs = "share of the variance of the hidden units'", "share of all pairs right"
    labels = {
        "symmetricity": "gradient symmetricity", "irrelevance": "distance irrelevance",
        "start_symmetricity": "gradient symmetricity before training",
        "start_irrelevance": "distance irrelevance before training",
        "train_accuracy": "accuracy on training pairs", "test_accuracy": "accuracy on held-out pairs",
        "factor": "factor on the logits", "added_in": f"{units} inputs that is added",
        "added_out": f"{units} outputs that is added", "whole": pairs,
        "without_attention": f"{pairs} without attention's joint part",
        "without_layer": f"{pairs} without the layer's joint part", "without_both": f"{pairs} without either joint part",
    }  # fmt: skip
    shape = (len(config.rates), len(seeds))
    loud = {f"loud_{name}": np.array([each[name] for each in found[-len(seeds) :]]) for name in LOUD}
    stacked = {name: np.array([each[name] for each in found[: -len(seeds)]]) for name in found[0]}
    variables = {
        name: variable(("rate", "seed"), stacked[name].reshape(shape), label) for name, label in labels.items()
    }
    profile = (stacked["profile"] * stacked["factor"][:, None]).reshape(*shape, -1)
    loss = stacked["test_loss"].reshape(shape)
    variables |= {
        "test_loss": variable(("rate", "seed"), loss, "held-out loss at one training loss", "nats"),
        "profile": variable(("rate", "seed", "distance"), profile, "mean right logit at one training loss", "nats"),
    }
    for name in LOUD:
        words, unit = variables[name][2]["long_name"], variables[name][2]["units"]
        variables[f"loud_{name}"] = variable("seed", loud[f"loud_{name}"], f"{words}, loud even attention", unit)
    for number, name in enumerate(("symmetricity", "irrelevance", "accuracy")):
        variables[f"ruler_{name}"] = variable(
            ("spread", "seed"), rulers[..., number], f"{name} of a written-down network"
        )
    return xr.Dataset(
        variables,
        {
            "rate": variable("rate", config.rates, "share of trained attention"),
            "seed": seeds,
            "distance": variable("distance", np.arange(config.modulus), "distance b - a"),
            "spread": variable("spread", config.spreads, "spread of the rulers' phases"),
        },
        {"matched_loss": config.matched_loss, "modulus": config.modulus, "loud": config.loud},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Both measures of every network, and the networks written down by hand from the pizza to the clock."""
    return figures.plane(result, ax)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: over seeds at the lowest, the middle and the highest rate, called even, half and trained."""
    there, off, between = checks.adds(result), checks.off_ruler(result), checks.gap(result)
    jump = checks.widest_gap(result)
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "networks": int(there.size), "adding": int(there.sum()),
        "modulus": int(result.modulus), "matched": float(result.matched_loss), "chance": 1 / float(result.modulus),
        "gap": float(between.median()), "gap_wide": int((between > 0.3).sum()), "pairs": int(between.notnull().sum()),
        "off": float(off.median()), "off_most": float(off.max()), "off_constant": checks.off_constant(result),
        "near": int((off < 0.1).sum()), "gap_from": jump[0], "gap_to": jump[1], "loud": float(result.loud),
        "loud_symmetricity_low": float(result.loud_symmetricity.min()),
        "loud_symmetricity_high": float(result.loud_symmetricity.max()),
        "loud_start_symmetricity": float(result.loud_start_symmetricity.median()),
        "loud_test_accuracy_low": float(result.loud_test_accuracy.min()),
        "ruler_right_least": float(result.ruler_accuracy.min()),
    }  # fmt: skip
    for name, place in (("pizza", 0), ("clock", -1)):
        for measure in ("symmetricity", "irrelevance"):
            found[f"{name}_{measure}"] = float(result[f"ruler_{measure}"].isel(spread=place).median())
    measured = (
        "start_symmetricity", "symmetricity", "irrelevance", "test_loss", "added_in", "added_out", "whole", "without_attention",
        "without_layer", "without_both",
    )  # fmt: skip
    for name, place in (("even", 0), ("half", result.sizes["rate"] // 2), ("trained", -1)):
        mine = result.where(there).isel(rate=place)
        found[f"{name}_adding"] = int(there.isel(rate=place).sum())
        for measure in measured:
            value = mine[measure]
            found |= {
                f"{name}_{measure}": float(value.median()), f"{name}_{measure}_low": float(value.min()),
                f"{name}_{measure}_high": float(value.max()),
            }  # fmt: skip
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        "Distance irrelevance against gradient symmetricity, one dot a network. Networks with even attention have symmetricity "
        f"from {n['even_symmetricity_low']:.2f} to {n['even_symmetricity_high']:.2f}, those with half even attention from "
        f"{n['half_symmetricity_low']:.2f} to {n['half_symmetricity_high']:.2f}, those with trained attention from "
        f"{n['trained_symmetricity_low']:.2f} to {n['trained_symmetricity_high']:.2f}. Irrelevance rises as symmetricity falls, "
        "as it does along the line of the written-down networks, which runs from the pizza at the lower right to the clock at "
        "the upper left."
    )
