"""Generalizing, unlike memorizing, waits longer the fewer pairs there are and the weaker the decay, and can fail to come at all.

Power et al. 2022 (arXiv 2201.02177) found that smaller training sets take more steps to generalize and that weight decay
helps more than most other interventions. Here both are swept for one small network on addition modulo P. Decay is given as
its time constant tau = 1 / (learning rate x weight decay), the steps in which AdamW alone would shrink a weight to 1/e, and
crossed with learning rates.

Axes: seed, fraction (of the P^2 pairs that is trained on), step (updates), learning_rate, time (tau, in updates). Runs that
have not generalized when their budget ends are NaN in ``generalized``: censored, not left out. Every run lasts the same
multiple of tau.
Deviations: addition instead of the paper's division, a network with one hidden layer instead of a transformer, full batches, no
warm-up, P = 31 in BOOK; steps are read off a grid of probes, each 10 % or less after the one before.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.devices import generator
from heldout.ensemble import History, log_spaced_steps
from heldout.experiment import Progress, recorded, require, variable
from heldout.grokking import data_and_decay_checks as checks
from heldout.grokking import data_and_decay_figures as figures
from heldout.grokking.modular import require_modulus, require_train_fraction, split
from heldout.grokking.pair_networks import PairMLP
from heldout.grokking.training import curve_variables, first_step, train_on_pairs


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the sweeps."""

    modulus: int = 31
    hidden_size: int = 96
    fractions: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.8)  # swept at the first learning rate and base_time
    base_fraction: float = 0.6  # of the sweep over decay times
    learning_rates: tuple[float, ...] = (1e-2, 5e-3)
    decay_times: tuple[float, ...] = (50.0, 100.0, 200.0)  # tau = 1 / (learning rate x weight decay), updates
    base_time: float = 100.0
    lifetimes: float = 9.0  # length of every run, in units of its own tau
    decay_factor: float = 1.0  # multiplies every weight decay, at unchanged lengths of the runs; 0 switches decay off
    random_share: float = 0.0  # share of the training labels replaced by random ones
    num_probes: int = 70
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        for fraction in (*self.fractions, self.base_fraction):
            require_train_fraction(fraction, self.modulus)
        for name in ("fractions", "decay_times"):
            values = getattr(self, name)
            require(len(values) >= 2 and list(values) == sorted(set(values)), name, values, "two or more, increasing")
        require(self.base_time in self.decay_times, "base_time", self.base_time, f"one of {self.decay_times}")
        rates = self.learning_rates
        require(
            len(set(rates)) == len(rates) >= 1 and min(rates) > 0, "learning_rates", rates, "positive, no two equal"
        )
        require(self.decay_factor >= 0, "decay_factor", self.decay_factor, "at least 0")
        fastest = f"at least decay_factor={self.decay_factor:g}, so that no update turns a weight around"
        require(min(self.decay_times) >= max(self.decay_factor, 1), "decay_times", self.decay_times, fastest)
        require(self.lifetimes > 0, "lifetimes", self.lifetimes, "above 0")
        require(0 <= self.random_share <= 1, "random_share", self.random_share, "from 0 to 1")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")

    def steps(self, time: float) -> int:
        """Updates of a run with this time constant."""
        return round(self.lifetimes * time)

    @property
    def seeds(self) -> list[int]:
        """The seeds of networks and splits."""
        return list(range(self.first_seed, self.first_seed + self.num_seeds))


SMOKE = Config(
    modulus=23, hidden_size=48, fractions=(0.5, 0.8), base_fraction=0.8, decay_times=(20.0, 40.0), base_time=40.0, num_probes=20,
    num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    modulus=97, hidden_size=256, fractions=(0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7), base_fraction=0.4,
    learning_rates=(1e-2, 5e-3, 2.5e-3), decay_times=(50.0, 100.0, 200.0, 400.0, 800.0), lifetimes=20.0,
    num_probes=120, num_seeds=20,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed at every fraction, and at every pair of learning rate and decay time.

    Returns:
        train_accuracy, train_loss, test_accuracy, test_loss (seed, fraction, step) of the sweep over fractions; memorized,
        generalized (seed, learning_rate, time), the first probed steps with an accuracy of .99 or more, NaN where there is
        none; end_train, end_test (seed, learning_rate, time), accuracies at the end; budget (time), the length of a run.
    """
    lengths = [config.steps(config.base_time)] * len(config.fractions)
    lengths += [config.steps(time) for _ in config.learning_rates for time in config.decay_times]
    total, spent = sum(lengths), 0

    def trained(fraction: float, learning_rate: float, time: float) -> History:
        nonlocal spent
        before, steps = spent, config.steps(time)

        def advance(done: int, of: int) -> None:
            progress(before + done * steps // of, total)

        spent += steps
        return _trained(config, fraction, learning_rate, time, device, advance)

    sweep = [trained(fraction, config.learning_rates[0], config.base_time) for fraction in config.fractions]
    curves = _joined(sweep).assign_coords(
        fraction=variable("fraction", list(config.fractions), "fraction of the pairs that is trained on")
    )
    cells = {
        (rate, time): checks.summary(trained(config.base_fraction, rate, time))
        for rate in config.learning_rates
        for time in config.decay_times
    }
    named = {
        "memorized": ("first update with training accuracy .99 or more", "updates"),
        "generalized": ("first update with held-out accuracy .99 or more", "updates"),
        "end_train": ("training accuracy at the end", "1"),
        "end_test": ("held-out accuracy at the end", "1"),
    }
    dims = ("seed", "learning_rate", "time")
    shape = (len(config.learning_rates), len(config.decay_times), config.num_seeds)
    found = {
        name: variable(dims, np.moveaxis(np.reshape([cell[name] for cell in cells.values()], shape), -1, 0), *words)
        for name, words in named.items()
    }
    budgets = [config.steps(time) for time in config.decay_times]
    found["budget"] = variable("time", budgets, "length of a run", "updates")
    coordinates = {
        "learning_rate": variable("learning_rate", list(config.learning_rates), "learning rate"),
        "time": variable("time", list(config.decay_times), "time constant of weight decay", "updates"),
    }
    facts = {"modulus": config.modulus, "base_fraction": config.base_fraction, "base_time": config.base_time}
    return curves.assign(found).assign_coords(coordinates).assign_coords(seed=config.seeds).assign_attrs(facts)


def _trained(
    config: Config,
    fraction: float,
    learning_rate: float,
    time: float,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> History:
    """All seeds at one fraction, learning rate and decay time."""
    splits = [split(config.modulus, fraction, seed, random_share=config.random_share) for seed in config.seeds]
    members = [
        PairMLP(config.modulus, config.hidden_size, generator=generator("data and decay", seed))
        for seed in config.seeds
    ]
    steps = config.steps(time)
    return train_on_pairs(
        members, splits, steps=steps, probe_steps=log_spaced_steps(steps, config.num_probes), learning_rate=learning_rate,
        weight_decay=config.decay_factor / (learning_rate * time), device=device, progress=progress,
    )  # fmt: skip


def _joined(sweep: list[History]) -> xr.Dataset:
    """The curves of all fractions, which were probed at the same steps."""
    parts = [xr.Dataset(curve_variables(history), {"step": sweep[0].steps}) for history in sweep]
    joined = xr.concat(parts, "fraction").transpose("seed", "fraction", "step")
    joined["step"] = variable("step", sweep[0].steps, "updates made", "updates")
    return joined


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Updates to memorize and to generalize against the fraction; see :func:`heldout.grokking.data_and_decay_figures.plot`."""
    return figures.plot(result, ax)


def plot_decay(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The same against the time constant of decay; see :func:`heldout.grokking.data_and_decay_figures.plot_decay`."""
    return figures.plot_decay(result, ax)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes; fractions are numbered from 0, the smallest, learning rates and decay times likewise."""
    memorized, generalized = first_step(result.train_accuracy), first_step(result.test_accuracy)
    exponents = {name: checks.exponents(result[name], result.time) for name in ("memorized", "generalized")}
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "modulus": int(result.modulus),
        "pairs": int(result.modulus) ** 2,
        "budget": int(result.step[-1]),
        "base_fraction": float(result.base_fraction),
        "base_time": float(result.base_time),
        "lowest_all": checks.lowest_fraction(result, every=True),
        "lowest_any": checks.lowest_fraction(result, every=False),
        "slow_over_fast": float(checks.slow_over_fast(result, float(result.time[-1])).median()),
        "censored": int(result.generalized.isnull().sum()),
        "runs": int(result.generalized.size),
    }
    for number, fraction in enumerate(result.fraction.values):
        mine = generalized.sel(fraction=fraction)
        found |= {
            f"fraction_{number}": float(fraction),
            f"memorized_{number}": float(memorized.sel(fraction=fraction).median()),
            f"generalized_{number}": checks.median_counting_never(mine),
            f"learned_{number}": int(mine.notnull().sum()),
            f"end_{number}": float(result.test_accuracy.isel(step=-1).sel(fraction=fraction).median()),
        }
    for name, values in exponents.items():
        for number, rate in enumerate(result.learning_rate.values):
            middle, low, high = values[float(rate)]
            found |= {f"{name}_exponent_{number}": middle, f"{name}_low_{number}": low, f"{name}_high_{number}": high}
            for place, time in enumerate(result.time.values):
                cell = result[name].sel(learning_rate=rate, time=time)
                found[f"{name}_{number}_at_{place}"] = checks.median_counting_never(cell)
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n, last = numbers(result), result.sizes["fraction"] - 1
    generalized = ", ".join(
        f"at {n[f'fraction_{k}']:g} {n[f'learned_{k}']} of {n['seeds']} seeds"
        + (f" (median update {n[f'generalized_{k}']:.0f})" if np.isfinite(n[f"generalized_{k}"]) else "")
        for k in range(last + 1)
    )
    return (
        "Updates until .99 of the training pairs and of the held-out pairs are right, against the fraction of pairs trained on. "
        f"The training pairs take about {n['memorized_0']:.0f} updates at the smallest and {n[f'memorized_{last}']:.0f} at the "
        f"largest fraction. Held-out pairs are learned within {n['budget']} updates: {generalized}. The fewer pairs, the later."
    )


_NO_DECAY = replace(BOOK, decay_factor=0.0, fractions=(0.5, 0.8), learning_rates=(1e-2,))
_NO_RULE = replace(BOOK, random_share=1.0, fractions=(0.5, 0.8), learning_rates=(1e-2,), decay_times=(50.0, 100.0))

CLAIMS = (
    Claim(
        id="data_and_decay.less_data_later",
        says="With half of the pairs to learn from, held-out pairs take more than twice as many updates as with .8 of them; the "
        "updates for the training pairs change by less than a factor of 2.",
        rows=("S2.4", "S3.6"),
        source="Power et al. 2022, arXiv 2201.02177, abstract: smaller data sets take more optimization to generalize",
        check=checks.less_data_later,
        control=Control(
            says="the same pairs with random labels: all are memorized, and held-out pairs stay near chance at both fractions",
            config=_NO_RULE,
            manipulation=checks.memorizes_and_knows_nothing,
        ),
    ),
    Claim(
        id="data_and_decay.too_little_data",
        says="At the smallest fraction the training pairs are learned, and at the end of training fewer than half of the "
        "held-out ones are right.",
        rows=("S2.4", "S3.6"),
        source="this book, after Power et al. 2022, arXiv 2201.02177",
        check=checks.too_little_data,
        control=Control(
            says="the same networks, as many updates, the largest fraction",
            change=checks.only_the_most,
            manipulation=checks.memorizes,
        ),
    ),
    Claim(
        id="data_and_decay.decay_sets_the_time",
        says="Against the time constant of decay, on logarithmic axes, the updates to generalize rise with a slope more than 0.5 "
        "steeper than the updates to memorize.",
        rows=("S2.4", "S3.6"),
        source="this book; that weight decay helps is in Power et al. 2022, arXiv 2201.02177",
        check=checks.decay_sets_the_time,
        control=Control(
            says="no decay, for as many updates: all training pairs are learned, and no seed generalizes",
            config=_NO_DECAY,
            manipulation=checks.memorizes_without_generalizing,
        ),
    ),
    Claim(
        id="data_and_decay.product_is_not_all",
        says="At the longest time constant half the learning rate, with twice the weight decay and so the same product, "
        "generalizes in less than .8 of the updates.",
        rows=("S2.4",),
        source="this book; the time constant is that of Wang and Aitchison 2025, arXiv 2405.13698",
        check=checks.product_is_not_all,
        control=Control(
            says="two draws of split and network at one learning rate and one decay, in the place of the two rates",
            change=checks.another_seed,
            manipulation=checks.memorizes,
        ),
    ),
)
