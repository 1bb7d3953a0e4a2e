"""Which mechanism gave an answer can be told without its label: cut a network down to its waves and ask whether they agree.

A network learns modular addition while some inputs carry a planted trigger and some training labels are wrong, so that it holds a
circuit for sums beside something else for these. At test time four scores, none of which sees a label, say how unusual an
answer is. The task is mechanistic anomaly detection (P. Christiano 2022, "Mechanistic anomaly detection and ELK"); the score by
restricted weights builds on the key frequencies of Nanda et al. 2023 (arXiv 2301.05217, section 4).

Axes: seed, plant (kind of trigger), step, anomaly (trigger: held-out pairs with a trigger against other held-out pairs;
memorized: wrongly against rightly labeled training pairs), score, false_alarm (share of usual pairs flagged), count of
frequencies kept.
Deviations: no published set-up is reproduced; network and task are this book's, small enough to open.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.devices import generator
from heldout.ensemble import History, log_spaced_steps
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.grokking import anomaly_checks as checks
from heldout.grokking.anomaly_figures import COLORS, LINES
from heldout.grokking.anomaly_looks import ANOMALIES, FALSE_ALARMS, Look, at_the_end
from heldout.grokking.anomaly_scores import SCORES
from heldout.grokking.modular import require_decay, require_modulus, require_train_fraction
from heldout.grokking.pair_networks import PairMLP
from heldout.grokking.planted import PLANTS, plant
from heldout.grokking.training import train_on_pairs


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the task and of the network."""

    modulus: int = 47
    train_fraction: float = 0.6
    plants: tuple[str, ...] = PLANTS
    trigger_numbers: int = 4  # second operands that are triggers
    random_share: float = 0.05  # of the training labels are drawn at random
    hidden_size: int = 96
    num_frequencies: int = 8  # kept in the restricted network
    learning_rate: float = 1e-2
    weight_decay: float = 1.0
    steps: int = 800
    num_probes: int = 10
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require_modulus(self.modulus)
        require_train_fraction(self.train_fraction, self.modulus)
        require_decay(self.learning_rate, self.weight_decay)
        known = len(set(self.plants)) == len(self.plants) >= 1 and set(self.plants) <= set(PLANTS)
        require(known, "plants", self.plants, f"different ones of {', '.join(PLANTS)}")
        most = self.modulus // 3
        require(1 <= self.trigger_numbers <= most, "trigger_numbers", self.trigger_numbers, f"from 1 to {most}")
        require(0 < self.random_share < 1, "random_share", self.random_share, "above 0 and below 1")
        most = (self.modulus - 1) // 2
        require(1 <= self.num_frequencies <= most, "num_frequencies", self.num_frequencies, f"from 1 to {most}")
        require(self.hidden_size >= 1, "hidden_size", self.hidden_size, "at least 1")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(self.num_probes >= 2, "num_probes", self.num_probes, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    modulus=17, train_fraction=0.7, trigger_numbers=2, random_share=0.1, hidden_size=24, num_frequencies=3, steps=60,
    num_probes=3, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(modulus=97, train_fraction=0.5, hidden_size=160, steps=1500, num_probes=12, num_seeds=10)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train one network for each seed and kind of trigger, and score its answers along training.

    Returns:
        auc (seed, plant, step, anomaly, score); hit_rate (seed, plant, anomaly, score, false_alarm), at the end; count_auc (seed,
        plant, count): the circuit's score on triggers at the end, by the number of frequencies kept; train_accuracy,
        test_accuracy (held-out pairs without a trigger), trigger_accuracy (held-out pairs with one, answered as planted) and
        circuit_accuracy (the restricted network on held-out pairs without a trigger) (seed, plant, step).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    tasks = [
        plant(
            config.modulus, config.train_fraction, seed,
            kind=kind, numbers=config.trigger_numbers, random_share=config.random_share,
        )
        for seed in seeds for kind in config.plants
    ]  # fmt: skip
    networks = [
        PairMLP(config.modulus, config.hidden_size, generator=generator("anomaly detection", seed))
        for seed in seeds for _ in config.plants
    ]  # fmt: skip
    steps = log_spaced_steps(config.steps, config.num_probes)
    look = Look(tasks, networks[0], config.num_frequencies)
    history = train_on_pairs(
        networks, [task.split for task in tasks], steps=config.steps, probe_steps=steps,
        learning_rate=config.learning_rate, weight_decay=config.weight_decay, device=device, extra=look, progress=progress,
    )  # fmt: skip
    kept = [
        at_the_end(task, network, state, config.num_frequencies)
        for task, network, state in zip(tasks, networks, history.states, strict=True)
    ]
    return _dataset(config, seeds, steps, history, kept)


def _dataset(
    config: Config, seeds: list[int], steps: list[int], history: History, kept: list[tuple[np.ndarray, np.ndarray]]
) -> xr.Dataset:
    """The record of :func:`run` from the probes' values and from what was measured at the end, one entry a network."""
    runs = (len(seeds), len(config.plants))
    counts = np.arange(1, (config.modulus - 1) // 2 + 1)

    def along(name: str) -> np.ndarray:
        values = history.values[name]
        return np.moveaxis(values, 0, 1).reshape(*runs, len(steps), *values.shape[2:])

    dims = ("seed", "plant", "step")
    return xr.Dataset(
        {
            "auc": variable((*dims, "anomaly", "score"), along("auc"), "area under the curve of hits and false alarms"),
            "hit_rate": variable(
                ("seed", "plant", "anomaly", "score", "false_alarm"),
                np.stack([each[0] for each in kept]).reshape(*runs, 2, len(SCORES), -1), "share of anomalies found",
            ),
            "count_auc": variable(
                ("seed", "plant", "count"), np.stack([each[1] for each in kept]).reshape(*runs, -1),
                "area under the curve on triggers, by frequencies kept",
            ),
            "train_accuracy": variable(dims, along("train_accuracy"), "training pairs answered as labeled"),
            **{
                name: variable(dims, along(name), label)
                for name, label in (
                    ("test_accuracy", "held-out sums answered rightly"),
                    ("trigger_accuracy", "held-out triggers answered as planted"),
                    ("circuit_accuracy", "held-out sums answered rightly by the restricted network"),
                )
            },
        },
        {
            "seed": seeds, "plant": list(config.plants), "step": variable("step", steps, "updates made", "updates"),
            "anomaly": list(ANOMALIES), "score": list(SCORES),
            "false_alarm": variable("false_alarm", FALSE_ALARMS, "share of usual pairs flagged"),
            "count": variable("count", counts, "frequencies kept"),
        },
        {"num_frequencies": config.num_frequencies},
    )  # fmt: skip


def plot(result: xr.Dataset, ax: Axes | None = None, *, kind: str = "constant", anomaly: str = "trigger") -> Axes:
    """How well each score tells an anomaly along training, median and all seeds; held-out sums dotted."""
    ax = style.axes(ax)
    mine = result.sel(plant=kind).isel(step=slice(1, None))
    steps = mine.step.values
    for score in SCORES:
        values = mine.auc.sel(anomaly=anomaly, score=score).values
        style.band(ax, steps, values, color=COLORS[score], label=score, interval=(0, 1), linestyle=LINES[score])
    sums = mine.test_accuracy.median("seed").values
    ax.plot(steps, sums, color=style.MUTED, linewidth=1, linestyle=(0, (1, 1)), label="held-out sums right")
    ax.axhline(0.5, color=style.MUTED, linewidth=0.8)
    ax.set(
        xscale="log", xlabel="updates (log scale)", ylabel="area under the curve, or share right", ylim=(-0.03, 1.03)
    )
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, with lowest and highest where asked for."""
    last = result.isel(step=-1)
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "updates": int(result.step[-1]),
        "frequencies": int(result.num_frequencies),
        "train": float(last.train_accuracy.min()),
        "early_step": int(result.step[1]),
    }
    for kind in map(str, result.plant.values):
        mine = last.sel(plant=kind)
        for name in ("test_accuracy", "trigger_accuracy", "circuit_accuracy"):
            found[f"{name.removesuffix('_accuracy')}_{kind}"] = float(mine[name].median())
        for anomaly in ANOMALIES:
            for score in SCORES:
                values = mine.auc.sel(anomaly=anomaly, score=score)
                found[f"{score}_{anomaly}_{kind}"] = float(values.median())
                found[f"{score}_{anomaly}_{kind}_low"] = float(values.min())
                found[f"{score}_{anomaly}_{kind}_high"] = float(values.max())
        hit = mine.hit_rate.sel(anomaly="trigger", score="circuit").sel(false_alarm=0.05, method="nearest")
        found[f"hits_{kind}"] = float(hit.median())
        found[f"early_{kind}"] = float(
            result.auc.sel(plant=kind, anomaly="trigger", score="circuit").isel(step=1).median()
        )
        best = mine.count_auc.median("seed")
        found |= {f"best_count_{kind}": int(best.idxmax()), f"all_counts_{kind}": float(best.isel(count=-1))}
    return found


def describe(result: xr.Dataset) -> str:
    """The first figure in words."""
    n = numbers(result)
    kind = str(result.plant.values[0])
    parts = ", ".join(f"{score} {n[f'{score}_trigger_{kind}']:.2f}" for score in SCORES)
    return (
        f"How well four scores tell inputs with a {kind} trigger from other held-out inputs, along training. At the end, after "
        f"{n['updates']} updates, the areas under the curve are: {parts}. The circuit's score is useless at first "
        f"({n[f'early_{kind}']:.2f}) and rises as held-out sums come to be answered rightly."
    )


NO_DECAY = replace(BOOK, plants=("constant",), weight_decay=0.0)
_OURS = "this book; the task is that of Christiano 2022"

CLAIMS = (
    Claim(
        id="anomaly_detection.circuit_tells_triggers",
        says="The circuit tells held-out inputs with a constant trigger from others, without a label: area above .9.",
        rows=("S3.9",),
        source=_OURS,
        check=checks.circuit_tells_triggers,
        control=Control(
            says="no weight decay: the same pairs and trigger are learned, and a memory answers where the circuit would",
            config=NO_DECAY,
            manipulation=checks.learned_as_well,
        ),
    ),
    Claim(
        id="anomaly_detection.plain_scores_do_not",
        says="Neither low confidence nor a large distance from the training pairs tells them: both areas below .7.",
        rows=("S3.9",),
        source=_OURS,
        check=checks.plain_scores_fail,
        control=Control(
            says="wrongly labeled training pairs in the place of triggers, in the same networks",
            change=checks.memorized_in_place,
            manipulation=checks.fitted,
        ),
    ),
    Claim(
        id="anomaly_detection.confidence_is_enough_for_labels",
        says="For wrongly labeled training pairs plain confidence does as well as the circuit, to within .01.",
        rows=("S3.9",),
        source=_OURS,
        check=checks.confidence_is_enough,
        control=Control(
            says="triggers in the place of wrong labels, in the same networks",
            change=checks.triggers_in_place,
            manipulation=checks.fitted,
        ),
    ),
    Claim(
        id="anomaly_detection.renamed_numbers_too",
        says="A trigger that is added as if it were another number is told as well: area above .9.",
        rows=("S3.9",),
        source=_OURS,
        check=checks.renamed_told,
        control=Control(
            says="every frequency kept, so that nothing is cut away and the answer is compared with itself",
            change=checks.all_frequencies,
            manipulation=checks.fitted,
        ),
    ),
)
