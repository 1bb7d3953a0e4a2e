"""The weights that a memorized table costs grow with its size, those of the rule hardly; the crossing says which one stays.

Varma et al. 2023 (arXiv 2309.02390) explain grokking by efficiency: the logits that a solution gets from a parameter norm. Here
the penalty is the squared norm itself, so that the comparison is the one that the theory makes. A grokked network is trained
on with a fraction of the pairs and their true labels; fresh networks learn as many pairs with random labels, which can only
be memorized. The network is homogeneous of degree three, so that scaling all weights by s scales the logits by s^3: the
cost of a trained network is the squared norm that it has once it is scaled to a given training loss.

Axes: seed, arm (labels and start), penalty (lambda of lambda/2 times the squared norm), fraction (of all pairs), step,
target (training loss in nats at which the cost is read).
Deviations from the paper: a quadratic network with one hidden layer, not a transformer; a penalty in the loss under Adam, not the
decoupled decay of AdamW; costs at equal loss by scaling; the rule's cost is read where the held-out pairs confirm the rule.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from torch import Tensor, nn

from heldout.claims import Claim, Control
from heldout.ensemble import Optimizer, log_spaced_steps
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import circuit_efficiency_checks as checks
from heldout.grokking.grokked import grokked_members, members, splits, stage
from heldout.grokking.modular import Split, require_modulus, require_train_fraction
from heldout.grokking.training import train_on_pairs
from heldout.losses import stable_cross_entropy

ADAM = Optimizer(kind="adam", betas=(0.9, 0.98))
ARMS = {"grokked": "true labels, grokked start", "random": "random labels", "fresh": "true labels, fresh start"}
DEGREE = 3


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the trainings."""

    modulus: int = 59
    hidden_size: int = 64
    first_fraction: float = 0.5  # of all pairs, in the training that groks
    first_steps: int = 300
    arms: tuple[str, ...] = ("grokked", "random")
    penalties: tuple[float, ...] = (3e-5, 1e-4, 3e-4)  # lambda; arms other than grokked are trained with the first only
    fractions: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)  # of all pairs
    targets: tuple[float, ...] = (1e-2, 1e-3, 1e-4)  # nats
    steps: int = 240
    learning_rate: float = 2e-2
    num_probes: int = 14
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require_train_fraction(self.first_fraction, self.modulus)
        require(min(self.first_steps, self.steps) >= 1, "steps", (self.first_steps, self.steps), "at least 1")
        known = set(self.arms) <= set(ARMS) and {"grokked", "random"} <= set(self.arms)
        require(known, "arms", self.arms, f"of {', '.join(ARMS)}, with grokked and random among them")
        rising = list(self.penalties) == sorted(set(self.penalties)) and min(self.penalties or (0.0,)) > 0
        require(rising, "penalties", self.penalties, "positive and increasing")
        grid = list(self.fractions) == sorted(set(self.fractions)) and len(self.fractions) >= 2
        require(grid, "fractions", self.fractions, "two or more, increasing")
        for fraction in self.fractions:
            require_train_fraction(fraction, self.modulus)
        require(min(self.targets or (0.0,)) > 0, "targets", self.targets, "positive")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    modulus=23, hidden_size=48, first_fraction=0.8, first_steps=150, fractions=(0.1, 0.2, 0.7), steps=120, num_probes=6,
    num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    hidden_size=128, first_steps=500, arms=("grokked", "random", "fresh"), penalties=(1e-6, 1e-5, 1e-4),
    fractions=(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4), steps=1500, num_seeds=10,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train each arm with each penalty and fraction, and read what its networks cost.

    Returns:
        train_accuracy, test_accuracy (seed, arm, penalty, fraction, step); cost (seed, arm, penalty, fraction, target), the
        squared norm after scaling to the target loss. NaN for arms and penalties that were not trained.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    cells = [(a, i) for a in config.arms for i in range(len(config.penalties)) if a == "grokked" or i == 0]
    grid = [(arm, i, j) for arm, i in cells for j in range(len(config.fractions))]
    total = config.first_steps + len(grid) * config.steps
    start, _ = grokked_members(
        config.modulus, config.hidden_size, seeds, fraction=config.first_fraction, steps=config.first_steps,
        learning_rate=config.learning_rate, weight_decay=1.0, device=device,
        progress=stage(progress, 0, config.first_steps, total),
    )  # fmt: skip
    probed = log_spaced_steps(config.steps, config.num_probes)
    shape = (len(seeds), len(config.arms), len(config.penalties), len(config.fractions))
    found = {name: np.full((*shape, len(probed)), np.nan) for name in ("train_accuracy", "test_accuracy")}
    costs = np.full((*shape, len(config.targets)), np.nan)
    for number, (arm, i, j) in enumerate(grid):
        data = splits(config.modulus, config.fractions[j], seeds, random=arm == "random")
        networks = start if arm == "grokked" else members(config.modulus, config.hidden_size, seeds)
        history = train_on_pairs(
            networks, data, steps=config.steps, probe_steps=probed, learning_rate=config.learning_rate,
            weight_decay=config.penalties[i], optimizer=ADAM, device=device,
            progress=stage(progress, config.first_steps + number * config.steps, config.steps, total),
        )  # fmt: skip
        where = config.arms.index(arm)
        for name, values in found.items():
            values[:, where, i, j] = history.values[name].T
        for seed, (state, one) in enumerate(zip(history.states, data, strict=True)):
            costs[seed, where, i, j] = _costs(config, state, one)
    return _dataset(config, seeds, probed, found, costs)


def _costs(config: Config, state: dict[str, Tensor], data: Split) -> list[float]:
    (network,) = members(config.modulus, config.hidden_size, [0])
    network.load_state_dict(state)
    return [cost(network, data.train_pairs, data.train_targets, target) for target in config.targets]


@torch.no_grad()
def cost(network: nn.Module, pairs: Int[Tensor, "pairs 2"], targets: Int[Tensor, " pairs"], loss: float) -> float:
    """The squared norm that a homogeneous network has once its weights are scaled to a training loss, by bisection.

    Infinite where a pair is answered wrong, since then no scale brings the loss to zero.
    """
    logits = network(pairs).double()
    if bool((logits.argmax(-1) != targets).any()):
        return float("inf")
    norm = sum(float(weight.double().square().sum()) for weight in network.parameters())
    low, high = -10.0, 10.0  # of log s
    for _ in range(50):
        middle = (low + high) / 2
        if float(stable_cross_entropy(logits * np.exp(DEGREE * middle), targets).mean()) > loss:
            low = middle
        else:
            high = middle
    return float(norm * np.exp(low + high))


def _dataset(
    config: Config,
    seeds: list[int],
    probed: list[int],
    found: dict[str, Float[np.ndarray, "seed arm penalty fraction step"]],
    costs: Float[np.ndarray, "seed arm penalty fraction target"],
) -> xr.Dataset:
    dims = ("seed", "arm", "penalty", "fraction", "step")
    words = {"train_accuracy": "accuracy on training pairs", "test_accuracy": "accuracy on held-out pairs"}
    return xr.Dataset(
        {name: variable(dims, values, words[name]) for name, values in found.items()}
        | {"cost": variable((*dims[:-1], "target"), costs, "squared norm at the target loss")},
        {
            "seed": seeds,
            "arm": list(config.arms),
            "penalty": variable("penalty", list(config.penalties), "lambda of lambda/2 times the squared norm"),
            "fraction": variable("fraction", list(config.fractions), "fraction of pairs trained on"),
            "step": variable("step", probed, "updates", "updates"),
            "target": variable("target", list(config.targets), "training loss at which the cost is read", "nats"),
        },
        {"pairs": config.modulus**2},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Cost at the middle target against the fraction; open marks where the held-out pairs are answered wrong."""
    ax = style.axes(ax)
    costs = checks.costs(result)
    for arm, color in zip(result.arm.values, (style.BLUE, style.VERMILION, style.GREEN), strict=False):
        values = costs.sel(arm=arm).values
        style.band(ax, result.fraction.values, values, color=color, label=ARMS[str(arm)], interval=(0.0, 1.0))
        right = checks.last(result).test_accuracy.sel(arm=arm).median("seed").values
        for x, y, share in zip(result.fraction.values, np.median(values, 0), right, strict=True):
            ax.plot(x, y, "o", color=color, markerfacecolor=color if share >= 0.95 else "none", markersize=6)
            if arm == "grokked":
                ax.annotate(
                    f"{share:.2f}", (x, y), xytext=(0, -15), textcoords="offset points", ha="center", color=color
                )
    x = np.linspace(float(result.fraction[0]), float(result.fraction[-1]), 50)
    laws = np.median([factor * x**power for power, factor in checks.table_law(result)], 0)
    ax.plot(x, laws, color=style.BLUE, linestyle=":", label="true labels, continued")
    ax.axhline(float(checks.rule_cost(result).median()), color=style.MUTED, linewidth=1, label="the rule")
    style.mark_threshold(ax, float(checks.place(result).median()), "half right")
    ax.set(
        xlabel="fraction of pairs trained on", ylabel=f"squared norm at a loss of {checks.target(result):g} nats",
        ylim=(0, None),
    )  # fmt: skip
    ax.legend(loc="upper left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, ranges where named low and high."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "target": checks.target(result),
        "growth": float(checks.growth(result).median()),
        "rule_cost": float(checks.rule_cost(result).median()),
        "penalties": ", ".join(f"{p:g}" for p in result.penalty.values),
        "places": ", ".join(f"{float(checks.place(result, i).median()):.3f}" for i in range(result.sizes["penalty"])),
        "spread": float(checks.spread(result).median()),
    }
    for name, values in (
        ("place", checks.place(result)),
        ("random_crossing", checks.random_crossing(result)),
        ("table_crossing", checks.table_crossing(result)),
        ("agreement", checks.agreement(result)),
        ("random_agreement", checks.random_crossing(result) / checks.place(result)),
    ):
        found |= {name: float(values.median()), f"{name}_low": float(values.min()), f"{name}_high": float(values.max())}
    for number, fraction in enumerate(result.fraction.values):
        ends = checks.last(result).isel(fraction=number)
        found |= {
            f"fraction_{number}": float(fraction),
            f"test_{number}": float(ends.test_accuracy.sel(arm="grokked").median()),
            f"train_{number}": float(ends.train_accuracy.min()),
            f"true_{number}": float(checks.costs(result).isel(fraction=number).sel(arm="grokked").median()),
            f"random_{number}": float(checks.costs(result).isel(fraction=number).sel(arm="random").median()),
        }
        if "fresh" in result.arm:
            found[f"fresh_{number}"] = float(ends.test_accuracy.sel(arm="fresh").median())
            found[f"fresh_cost_{number}"] = float(checks.costs(result).isel(fraction=number).sel(arm="fresh").median())
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n, most = numbers(result), result.sizes["fraction"] - 1
    return (
        f"Squared norm at a training loss of {n['target']:g} nats against the fraction of pairs trained on. With random labels "
        f"it climbs from {n['random_0']:.0f} to {n[f'random_{most}']:.0f}. With true labels it climbs from {n['true_0']:.0f} "
        f"while held-out pairs are answered wrong and flattens at {n[f'true_{most}']:.0f} where they are answered right; half of "
        f"them are right at a fraction of {n['place']:.2f}."
    )  # fmt: skip


CLAIMS = (
    Claim(
        id="circuit_efficiency.table_grows",
        says="At equal training loss the squared norm for random labels grows at least as their number to the power .3.",
        rows=("S2.1",),
        source="Varma et al. 2023, arXiv 2309.02390; measure and thresholds ours",
        check=checks.table_grows,
        control=Control(
            says="networks that hold the rule, on the same numbers of pairs",
            change=checks.rule_as_table,
            manipulation=checks.fitted,
        ),
    ),
    Claim(
        id="circuit_efficiency.same_place",
        says="Ten times the penalty moves the place where half of the held-out pairs are right by less than 10 %.",
        rows=("S2.1",),
        source="Varma et al. 2023, arXiv 2309.02390; this book",
        check=checks.same_place,
        control=Control(
            says="the same runs read early, before they have ended",
            change=checks.read_early,
            manipulation=checks.fitted_from_the_rule,
        ),
    ),
    Claim(
        id="circuit_efficiency.crossing_is_the_place",
        says="Costs of memorized true labels, continued as a power law, meet the rule's within 25 % of the place of half right.",
        rows=("S2.1",),
        source="this book",
        check=checks.crossing_is_the_place,
        control=Control(
            says="unequal losses: the rule's cost read at the largest target, the tables' at the smallest",
            change=checks.unequal_losses,
            manipulation=checks.fitted,
        ),
    ),
)  # fmt: skip
