"""Whether a grokked network forgets at a smaller weight decay is decided by Adam's epsilon.

Varma et al. 2023 (arXiv 2309.02390) explain ungrokking, forgetting on too few data, by which solution is the cheaper one under
weight decay. We train grokked networks on with two weight decays and learning rate times decay held fixed, so that all have the
same clock: one decay time is 1 / (learning rate x decay) updates. All of it is done twice, with Adam's default epsilon of 1e-8
and with 1e-15. Fresh networks learn the same pairs with the largest decay and the smallest epsilon.

Axes: epsilon, weight_decay, fraction (of all pairs), seed, step (updates).
Deviations from the paper: a quadratic network with one hidden layer and a modulus of 31, not a transformer and 113; rates are
ours; AdamW's moments start anew with the second training.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor, nn

from heldout.claims import Claim, Control
from heldout.ensemble import History, Snapshot, log_spaced_steps
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import ungrokking_decay_checks as checks
from heldout.grokking.grokked import grokked_members, members, splits, stage
from heldout.grokking.modular import Split, require_decay, require_modulus, require_train_fraction
from heldout.grokking.training import ADAMW, train_on_pairs
from heldout.losses import stable_cross_entropy

DEGREE = 3  # of the network, as a function of its weights
_CURVES = {"train_accuracy": "accuracy on the pairs trained on", "test_accuracy": "accuracy on all other pairs"}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the trainings."""

    modulus: int = 31
    hidden_size: int = 48
    first_fraction: float = 0.7  # of all pairs, in the training that groks
    first_steps: int = 400
    first_rate: float = 0.02  # learning rate of that training; its weight decay is 1
    epsilons: tuple[float, float] = (1e-15, 1e-8)  # Adam's, in the second training
    weight_decays: tuple[float, float] = (1.0, 2.0)  # in the second training; fresh networks have the larger
    fractions: tuple[float, ...] = (0.3,)  # of all pairs, in the second training
    decay_rate: float = 0.0625  # learning rate times weight decay, the same for all
    decay_times: float = 160.0  # how long, in units of 1 / decay_rate updates
    num_probes: int = 40
    num_seeds: int = 5
    first_seed: int = 200

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require_train_fraction(self.first_fraction, self.modulus)
        require_decay(self.first_rate, 1.0)
        require(self.first_steps >= 1, "first_steps", self.first_steps, "at least 1")
        for name in ("epsilons", "weight_decays"):
            pair = getattr(self, name)
            require(len(pair) == 2 and 0 < pair[0] < pair[1], name, pair, "two, increasing, above 0")
        fractions, most = self.fractions, self.first_fraction
        inside = bool(fractions) and list(fractions) == sorted(set(fractions)) and fractions[-1] <= most
        require(inside, "fractions", fractions, f"increasing, at most first_fraction={most}")
        for fraction in fractions:
            require_train_fraction(fraction, self.modulus)
        require(0 < self.decay_rate <= 1, "decay_rate", self.decay_rate, "above 0, at most 1")
        least = 2 * checks.BACK * self.decay_rate
        require(self.decay_times >= least, "decay_times", self.decay_times, f"at least {least:g}")
        require(self.num_probes >= 6, "num_probes", self.num_probes, "at least 6")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    modulus=11, hidden_size=16, first_fraction=0.8, first_steps=100, fractions=(0.4, 0.6), decay_times=20.0, num_probes=10,
    num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    modulus=113, hidden_size=128, first_fraction=0.3, first_steps=1500, first_rate=0.01, fractions=(0.05, 0.07, 0.1),
    decay_rate=0.02, decay_times=200.0, num_probes=80, num_seeds=10,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed until it has grokked; then on, one ensemble an epsilon and fraction, with both weight decays in it.

    Returns:
        train_accuracy, test_accuracy (epsilon, weight_decay, fraction, seed, step) on the pairs of the second training and on
        all others; below (epsilon, weight_decay, fraction, seed), share of weights with a last gradient under the larger
        epsilon; itself, as below, agreement on other pairs with the same network some updates before; fresh_train_accuracy,
        fresh_test_accuracy (fraction, seed, step) of fresh networks; starts (fraction, seed), agreement of fresh and grokked
        ones; first_test_accuracy (seed) before the second training.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    steps = round(config.decay_times / config.decay_rate)
    total = config.first_steps + len(config.epsilons) * len(config.fractions) * steps
    start, reached = grokked_members(
        config.modulus, config.hidden_size, seeds, fraction=config.first_fraction, steps=config.first_steps,
        learning_rate=config.first_rate, weight_decay=1.0, device=device, progress=stage(progress, 0, config.first_steps, total),
    )  # fmt: skip
    special = {steps - checks.BACK, round(steps * 2 / 3)}
    probed = sorted({*log_spaced_steps(steps, config.num_probes), *special})
    found: list[dict[str, np.ndarray]] = []
    for epsilon in config.epsilons:
        for fraction in config.fractions:
            before = config.first_steps + len(found) * steps
            found.append(
                _second(config, start, seeds, epsilon, fraction, probed, device, stage(progress, before, steps, total))
            )
    return _dataset(config, seeds, probed, found, reached)


def _second(
    config: Config, start: list[nn.Module], seeds: list[int], epsilon: float, fraction: float, probed: list[int],
    device: torch.device, progress: Progress,
) -> dict[str, np.ndarray]:  # fmt: skip
    """One second training, both weight decays in it and, with the smaller epsilon, the fresh networks."""
    fresh = members(config.modulus, config.hidden_size, seeds) if epsilon == config.epsilons[0] else []
    networks = [*start * 2, *fresh]
    data = splits(config.modulus, fraction, seeds) * (len(networks) // len(seeds))
    decays = [decay for decay in (*config.weight_decays, config.weight_decays[1]) for _ in seeds][: len(networks)]
    history = train_on_pairs(
        networks, data, steps=probed[-1], probe_steps=probed, learning_rate=[config.decay_rate / d for d in decays],
        weight_decay=decays, device=device, optimizer=replace(ADAMW, eps=epsilon), extra=_answers, progress=progress,
    )  # fmt: skip
    count = len(seeds)
    given = history.values["answers"]
    same = (given[-1] == given[probed.index(probed[-1] - checks.BACK)]).mean(-1)
    below = _small_gradients(history, data[: 2 * count], config)
    found = {"itself": same[: 2 * count].reshape(2, count), "below": below.reshape(2, count)}
    for name in _CURVES:
        found[name] = history.values[name].T[: 2 * count].reshape(2, count, -1)
        if fresh:
            found[f"fresh_{name}"] = history.values[name].T[2 * count :]
    if fresh:
        found["starts"] = (given[-1, 2 * count :] == given[-1, count : 2 * count]).mean(-1)
    return found


def _answers(_: Snapshot, __: Tensor, other: Float[Tensor, "members pairs classes"]) -> dict[str, Tensor]:
    return {"answers": other.argmax(-1)}


def _small_gradients(history: History, data: list[Split], config: Config) -> np.ndarray:
    """Per grokked member, the share of weights whose gradient at the end is smaller than the larger epsilon."""
    (model,) = members(config.modulus, config.hidden_size, [0])
    shares = []
    for state, split in zip(history.states, data, strict=False):
        model.load_state_dict(state)
        loss = stable_cross_entropy(model(split.train_pairs), split.train_targets).mean()
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
        shares.append(float((gradient.abs() < config.epsilons[1]).float().mean()))
    return np.array(shares)


def _dataset(
    config: Config, seeds: list[int], probed: list[int], found: list[dict[str, np.ndarray]], reached: list[float]
) -> xr.Dataset:
    count = len(config.fractions)

    def grid(name: str) -> np.ndarray:  # epsilon, weight_decay, fraction, ...
        return np.stack([np.stack([one[name] for one in found[i : i + count]], 1) for i in (0, count)])

    dims = ("epsilon", "weight_decay", "fraction", "seed")
    fresh = {name: np.stack([one[name] for one in found[:count]]) for name in found[0] if name.startswith("fresh")}
    return xr.Dataset(
        {name: variable((*dims, "step"), grid(name), words) for name, words in _CURVES.items()}
        | {
            f"fresh_{name}": variable(("fraction", "seed", "step"), fresh[f"fresh_{name}"], f"{words}, fresh networks")
            for name, words in _CURVES.items()
        }
        | {
            "below": variable(dims, grid("below"), "share of weights with a gradient under the larger epsilon"),
            "itself": variable(dims, grid("itself"), "same answers on other pairs as before"),
            "starts": variable(("fraction", "seed"), np.stack([one["starts"] for one in found[:count]]),
                               "same answers on other pairs from both starts"),
            "first_test_accuracy": variable("seed", reached, "held-out accuracy before the second training"),
        },
        {
            "epsilon": variable("epsilon", list(config.epsilons), "Adam's epsilon"),
            "weight_decay": variable("weight_decay", list(config.weight_decays), "weight decay of the second training"),
            "fraction": variable("fraction", list(config.fractions), "fraction of pairs in the second training"),
            "seed": seeds,
            "step": variable("step", probed, "updates of the second training", "updates"),
        },
        {"pairs": config.modulus**2, "decay_rate": config.decay_rate},
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Accuracy on other pairs along the second training: a color a decay, a line style an epsilon."""
    ax = style.axes(ax)
    shown = (
        checks.judged(result)
        .test_accuracy.isel(step=slice(1, None))
        .transpose("epsilon", "weight_decay", "seed", "step")
    )
    times = shown.step.values * float(result.attrs["decay_rate"])
    for decay, color in zip(result.weight_decay.values, (style.VERMILION, style.BLUE), strict=True):
        for epsilon, line in zip(result.epsilon.values, ((0, (5, 1.5)), "solid"), strict=True):
            label = f"weight decay {decay:g}, epsilon {epsilon:.0e}"
            curves = shown.sel(weight_decay=decay, epsilon=epsilon).values
            style.band(ax, times, curves, color=color, label=label, interval=(0.0, 1.0), linestyle=line)
    ax.set(xscale="log", xlabel="decay times (log scale)", ylabel="accuracy on all other pairs", ylim=(-0.03, 1.05))
    ax.legend(loc="lower left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes, at the middle fraction: medians over seeds, ranges where named low and high."""
    rate, decays, mine = float(result.attrs["decay_rate"]), result.weight_decay.values, checks.judged(result)
    fresh, apart = mine.fresh_test_accuracy.isel(step=-1), checks.apart(result)
    steady = checks.late(mine.fresh_test_accuracy)
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"], "first_least": float(result.first_test_accuracy.min()),
        "train_least": float(checks.fitted(result).low), "times": float(result.step[-1]) * rate,
        "back": checks.BACK, "back_times": checks.BACK * rate,
        "fraction": float(mine.fraction), "pairs": int(float(mine.fraction) * result.attrs["pairs"]),
        "small_decay": float(decays[0]), "large_decay": float(decays[-1]),
        "temperature": float((decays[-1] / decays[0]) ** DEGREE),
        "ahead": float(checks.ahead(result).median()), "ahead_low": float(checks.ahead(result).min()),
        "fresh_low": float(fresh.min()), "fresh_high": float(fresh.max()),
        "fresh_at_fit": float(checks.at_fit(result).max()), "fit_step": float(checks.fit_step(result).median()),
        "fresh_late_low": float(steady.min()), "fresh_late_high": float(steady.max()),
        "apart": float(apart.median()), "apart_high": float(apart.max()),
        "starts_low": float(mine.starts.min()), "starts_high": float(mine.starts.max()),
    }  # fmt: skip
    for epsilon, word in enumerate(("tiny", "usual")):
        for decay, size in enumerate(("small", "large")):
            one, name = mine.isel(epsilon=epsilon, weight_decay=decay), f"{word}_{size}"
            curve = one.test_accuracy
            found |= {
                name: float(curve.isel(step=-1).median()), f"{name}_low": float(curve.isel(step=-1).min()),
                f"{name}_high": float(curve.isel(step=-1).max()), f"{name}_late": float(checks.late(curve).median()),
                f"{name}_least": float(curve.min("step").median()), f"{name}_below": float(one.below.median()),
                f"{name}_itself": float(one.itself.median()),
            }  # fmt: skip
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Accuracy on the other pairs along a second training with a fraction of {n['fraction']:g} of the pairs. After "
        f"{n['times']:.0f} decay times and with epsilon {float(result.epsilon[-1]):.0e} it is {n['usual_small']:.2f} at "
        f"weight decay {n['small_decay']:g} and {n['usual_large']:.2f} at {n['large_decay']:g}; with "
        f"{float(result.epsilon[0]):.0e}, {n['tiny_small']:.2f} and {n['tiny_large']:.2f}."
    )  # fmt: skip


CLAIMS = (
    Claim(
        id="ungrokking_decay.epsilon_decides",
        says="Trained on with three tenths of the pairs and Adam's default epsilon of 1e-8, networks at weight decay 1 end with "
        "a share of right answers on the other pairs more than 0.2 above that at weight decay 2.",
        rows=("S2.1",),
        source="this book; an earlier form compared three decays at the default epsilon after half the time, and its verdict "
        "turned on both; thresholds and seeds are new",
        check=checks.epsilon_decides,
        control=Control(says="an epsilon of 1e-15", change=checks.small_epsilon, manipulation=checks.fitted),
    ),
    Claim(
        id="ungrokking_decay.gradients_vanish",
        says="At the end of the runs at weight decay 1 and the default epsilon, more than a tenth of the weights have a gradient "
        "smaller than that epsilon.",
        rows=("S2.1",),
        source="this book",
        check=checks.gradients_vanish,
        control=Control(says="a weight decay of 2", change=checks.larger_decay, manipulation=checks.fitted),
    ),
    Claim(
        id="ungrokking_decay.goes_on",
        says="At weight decay 1 and an epsilon of 1e-15, a network gives fewer than six tenths of the other pairs the answer "
        "that it gave 100 updates before.",
        rows=("S2.1",),
        source="this book",
        check=checks.goes_on,
        control=Control(says="an epsilon of 1e-8", change=checks.large_epsilon, manipulation=checks.fitted),
    ),
)
