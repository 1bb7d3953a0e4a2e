"""A network that has grokked modular addition is built of waves and works by them; one that memorized looks like noise.

Two networks, Gromov 2023's (arXiv 2301.02679, equation 1) and Nanda et al. 2023's (arXiv 2301.05217), are trained with
weight decay until they generalize, and without until they have memorized. Each is then measured and operated on: all but its
strongest frequencies are cut out of the weights, or these alone, or as many of the next strongest. In the MLP a hidden unit's
strongest frequency is judged for each unit, in its three tables together; in the transformer ``num_keys`` frequencies are judged
for the embedding as a whole, which is how Nanda et al. speak of key frequencies.

Axes: seed, arm (network and decay), when (before and after training), frequency, cut (what is left of the weights), pairs.
Deviations: P = 59 and small networks; frequencies are cut out of the weights, not out of the logits as in Nanda et al.; the
learning rate is ten times theirs, without warm-up; arms without decay take fewer steps, enough to memorize.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import fourier_structure_checks as checks
from heldout.grokking import surgery
from heldout.grokking.fourier_structure_figures import ARMS, COLORS, CUTS
from heldout.grokking.modular import Split, require_decay, require_modulus, require_train_fraction, split
from heldout.grokking.pair_networks import PairMLP, PairTransformer
from heldout.grokking.training import train_on_pairs


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the runs on what was learned."""

    modulus: int = 59
    train_fraction: float = 0.4
    random_share: float = 0.0  # share of training labels replaced by random ones
    arms: tuple[str, ...] = ARMS
    hidden_size: int = 128  # of the MLP
    model_size: int = 48
    transformer_hidden_size: int = 192
    learning_rate: float = 1e-2
    mlp_decay: float = 1.0
    transformer_decay: float = 1.5
    mlp_steps: int = 700
    transformer_steps: int = 800
    no_decay_steps: int = 300
    num_keys: int = 5  # frequencies called key in the transformer; in the MLP it is one a unit
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require_train_fraction(self.train_fraction, self.modulus)
        require(0 <= self.random_share <= 1, "random_share", self.random_share, "from 0 to 1")
        known = len(set(self.arms)) == len(self.arms) >= 1 and set(self.arms) <= set(ARMS)
        require(known, "arms", self.arms, f"different ones of {', '.join(ARMS)}")
        require(min(self.mlp_steps, self.transformer_steps, self.no_decay_steps) >= 1, "steps", 0, "at least 1 each")
        for decay in (self.mlp_decay, self.transformer_decay):
            require_decay(self.learning_rate, decay)
        most = (self.modulus - 1) // 4
        require(1 <= self.num_keys <= most, "num_keys", self.num_keys, f"from 1 to {most}, half of the frequencies")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    modulus=23, train_fraction=0.5, hidden_size=24, model_size=12, transformer_hidden_size=16, mlp_steps=60,
    transformer_steps=60, no_decay_steps=40, num_keys=2, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    modulus=113, train_fraction=0.3, hidden_size=512, model_size=128, transformer_hidden_size=512, learning_rate=1e-3,
    transformer_decay=1.0, mlp_steps=25_000, transformer_steps=25_000, no_decay_steps=5000,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every arm, then measure spectra and tuning, and what is left of the accuracy after each cut.

    Returns:
        power (seed, arm, when, frequency): share of the power of the tables that read the numbers; gini (seed, arm, when), its
        Gini coefficient; tuned (seed, arm, when): the share of a hidden unit's input variance that its best frequency explains,
        median over units; aligned (seed, arm, when), mean over the MLP's units of cos(phi1 + phi2 - phi3), NaN in a transformer;
        accuracy (seed, arm, cut, pairs); train_loss (seed, arm) in nats.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    splits = [split(config.modulus, config.train_fraction, seed, random_share=config.random_share) for seed in seeds]
    steps = [_steps(config, arm) for arm in config.arms]
    found: list[dict[str, np.ndarray]] = []
    for number, arm in enumerate(config.arms):

        def advance(done: int, _total: int, before: int = sum(steps[:number])) -> None:
            progress(before + done, sum(steps))

        found.append(_arm(config, arm, seeds, splits, device, advance))
    stacked = {name: np.stack([each[name] for each in found], 1) for name in found[0]}
    by_unit = "share of a unit's input variance explained by one frequency, median over units"
    return xr.Dataset(
        {
            "power": variable(("seed", "arm", "when", "frequency"), stacked["power"], "share of the power of the weights"),
            "gini": variable(("seed", "arm", "when"), stacked["gini"], "Gini coefficient of the spectrum"),
            "tuned": variable(("seed", "arm", "when"), stacked["tuned"], by_unit),
            "aligned": variable(("seed", "arm", "when"), stacked["aligned"], "mean cosine of phi1 + phi2 - phi3 over units"),
            "accuracy": variable(("seed", "arm", "cut", "pairs"), stacked["accuracy"], "share of pairs answered correctly"),
            "train_loss": variable(("seed", "arm"), stacked["train_loss"], "cross-entropy on training pairs", "nats"),
        },
        {
            "seed": seeds,
            "arm": list(config.arms),
            "when": ["before", "after"],
            "frequency": np.arange(1, (config.modulus - 1) // 2 + 1),
            "cut": list(CUTS),
            "pairs": ["training", "held-out"],
        },
        {"num_keys": config.num_keys},
    )  # fmt: skip


def _steps(config: Config, arm: str) -> int:
    if arm.endswith("no decay"):
        return config.no_decay_steps
    return config.mlp_steps if arm == "MLP" else config.transformer_steps


def _network(config: Config, arm: str, seed: int) -> surgery.PairNetwork:
    start = generator("what was learned", arm.split(",")[0], config.modulus, seed)
    if arm.startswith("MLP"):
        return PairMLP(config.modulus, config.hidden_size, generator=start)
    return PairTransformer(
        config.modulus, generator=start, model_size=config.model_size, hidden_size=config.transformer_hidden_size
    )


def _arm(
    config: Config, arm: str, seeds: list[int], splits: list[Split], device: torch.device, progress: Progress
) -> dict[str, np.ndarray]:
    """Every measure of one arm, seed outermost."""
    networks = [_network(config, arm, seed) for seed in seeds]
    decay = 0.0 if arm.endswith("no decay") else config.mlp_decay if arm == "MLP" else config.transformer_decay
    steps = _steps(config, arm)
    history = train_on_pairs(
        networks, splits, steps=steps, probe_steps=[steps], learning_rate=config.learning_rate, weight_decay=decay,
        device=device, progress=progress,
    )  # fmt: skip
    measured = []
    for network, state, pairs in zip(networks, history.states, splits, strict=True):
        looks = []
        for load in (network.state_dict(), state):
            network.load_state_dict(load)
            looks.append(surgery.look(network.to(device), config.modulus))
        both = {name: np.stack([look[name] for look in looks]) for name in looks[0]}
        sets = ((pairs.train_pairs, pairs.train_targets), (pairs.test_pairs, pairs.test_targets))
        there = [(asked.to(device), told.to(device)) for asked, told in sets]
        keys = 1 if isinstance(network, PairMLP) else config.num_keys
        measured.append(both | {"accuracy": surgery.operate(network, config.modulus, keys, there)})
    result = {name: np.stack([each[name] for each in measured]) for name in measured[0]}
    return result | {"train_loss": history.values["train_loss"][-1]}


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Share of power by rank of the frequency after training, one line an arm; the band is all seeds."""
    ax = style.axes(ax)
    after = result.power.sel(when="after")
    for arm in map(str, after.arm.values):
        ordered = np.sort(after.sel(arm=arm).values, axis=1)[:, ::-1]
        dash = "--" if arm.endswith("no decay") else "-"
        rank = np.arange(1, ordered.shape[1] + 1)
        style.band(ax, rank, ordered, color=COLORS[arm], label=arm, interval=(0.0, 1.0), linestyle=dash)
    ax.axhline(1 / after.sizes["frequency"], color=style.MUTED, linewidth=1, linestyle=":", label="all equal")
    ax.set(
        xlabel="frequencies, the strongest first", ylabel="share of the power of the weights that read", yscale="log"
    )
    ax.set_ylabel("share of the weights' power (log scale)")
    ax.legend()
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, an arm's name shortened to its letters (mlp, mlp_no_decay, ...)."""
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "frequencies": result.sizes["frequency"],
        "keys": int(result.num_keys),
        "cut_keys": 2 * int(result.num_keys),
    }
    for arm in map(str, result.arm.values):
        found |= checks.arm_numbers(result.sel(arm=arm), arm.lower().replace(", ", "_").replace(" ", "_"))
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    held = checks.frequencies_holding(result.power.sel(when="after"))
    said = [
        f"{arm}: {int(held[:, place].min())} to {int(held[:, place].max())} frequencies hold nine tenths of the power, Gini "
        f"coefficient {float(result.gini.sel(arm=arm, when='after').median()):.2f}"
        for place, arm in enumerate(map(str, result.arm.values))
    ]
    return (
        f"Share of the power of the weights against the rank of the frequency, out of {result.sizes['frequency']}, after "
        f"training, on a log scale. {'. '.join(said)}."
    )


RANDOM = replace(BOOK, arms=("MLP, no decay",), random_share=1.0)
CLAIMS = (
    Claim(
        id="fourier_structure.units_are_tuned",
        says="In four of five seeds, in both grokked networks, one frequency explains more than three quarters of what the "
        "median hidden unit is given.",
        rows=("S3.6",),
        source="Nanda et al. 2023, arXiv 2301.05217; Gromov 2023, arXiv 2301.02679",
        check=checks.units_are_tuned,
        control=Control(
            says="the same networks trained without weight decay, which memorize",
            change=checks.without_decay,
            manipulation=checks.memorized,
        ),
    ),
    Claim(
        id="fourier_structure.few_frequencies",
        says="In four of five seeds the grokked transformer's embedding has a Gini coefficient above 0.7 over the frequencies.",
        rows=("S3.6",),
        source="Nanda et al. 2023, arXiv 2301.05217, where it is a measure of progress",
        check=checks.few_frequencies,
        control=Control(
            says="the transformer trained without weight decay",
            change=checks.without_decay,
            manipulation=checks.memorized,
        ),
    ),
    Claim(
        id="fourier_structure.keys_carry_it",
        says="In four of five seeds, in both networks, cutting the strongest frequencies out of the weights costs at least 0.8 "
        "of held-out accuracy more than cutting as many others.",
        rows=("S3.6",),
        source="this book; Nanda et al. 2023, arXiv 2301.05217, cut them out of the logits",
        check=checks.keys_carry_it,
        control=Control(
            says="the same cuts in the networks that memorized",
            change=checks.without_decay,
            manipulation=checks.memorized,
        ),
    ),
    Claim(
        id="fourier_structure.keys_suffice",
        says="In four of five seeds, in both networks, the strongest frequencies alone answer more than 0.95 of the held-out "
        "pairs.",
        rows=("S3.6",),
        source="this book",
        check=checks.keys_suffice,
        control=Control(
            says="the same cuts in the networks that memorized",
            change=checks.without_decay,
            manipulation=checks.memorized,
        ),
    ),
    Claim(
        id="fourier_structure.phases_add",
        says="In the MLP that memorized, the phases of a hidden unit add up: the mean cosine of phi1 + phi2 - phi3 is above 0.8.",
        rows=("S3.6",),
        source="this book; the rule is Gromov's, 2023, arXiv 2301.02679",
        check=checks.phases_add,
        control=Control(
            says="the same network trained on random labels",
            config=RANDOM,
            manipulation=checks.memorized,
        ),
    ),
    Claim(
        id="fourier_structure.memorizer_holds_it",
        says="An MLP that has memorized and answers fewer than 0.1 of the held-out pairs answers more than 0.9 of them once "
        "only the strongest frequency of each hidden unit is left.",
        rows=("S3.6", "S3.9"),
        source="this book",
        check=checks.memorizer_holds_it,
        control=Control(
            says="the same network trained on random labels, and the same cut",
            config=RANDOM,
            manipulation=checks.memorized,
        ),
    ),
)
