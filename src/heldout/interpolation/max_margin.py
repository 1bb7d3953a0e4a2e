"""Of all lines that separate two classes, gradient descent goes to the one of largest margin, and takes its time.

On separable data the logistic loss has no minimum; descent drives the weights to infinity in the direction of the hard-margin
support vector machine, with an error of order 1 / log t: Soudry et al. 2018 (arXiv 1710.10345), main theorem. The constant of
that rate, -sum_i p_i log p_i + log max_i p_i for the support vectors' weights p, is derived on the page.

Axes: task (plane: 30 points in two dimensions and their mirror images; digits: threes against eights), seed (of the data), rule
(of descent), step; log_time, the logarithm of the gradient flow's time, in which the steps are carried on beyond any loop;
tail (of the loss, in the flow).
Deviations: no offset, since the plane's classes mirror each other and the digits carry a constant; test points are new.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import bootstrap_interval
from heldout.ensemble import log_spaced_steps
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.interpolation import margin_tasks
from heldout.interpolation.margin_checks import CLAIMS, first, fitted_from, late_step, since_fitted, since_late
from heldout.interpolation.margin_descent import (
    RULES,
    TAILS,
    coordinates,
    descend,
    flow,
    largest_margin,
    margins,
)
from heldout.interpolation.margin_tasks import Task

__all__ = ["BOOK", "CLAIMS", "PAPER", "SMOKE", "Config", "describe", "numbers", "plot", "plot_errors", "run"]
TASKS = ("plane", "digits")
LOG_TIMES = tuple(float(t) for t in np.geomspace(3, 1000, 30))
COLORS = {"gradient descent": style.BLUE, "normalized": style.GREEN, "squared loss": style.VERMILION}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the two tasks, and how long to descend."""

    digits: str = "bundled"  # "bundled": 5,000 digits; "full": all of MNIST, fetched beforehand
    num_digits: int = 400  # threes and eights to train on
    num_pairs: int = 30  # of a point of the plane and its mirror image
    num_plane_test: int = 2000
    half_gap: float = 0.1  # half the width of the strip between the classes, in standard deviations
    steps: int = 5000
    probes: int = 60
    num_seeds: int = 10
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.steps >= 100, "steps", self.steps, "at least 100")
        require(10 <= self.probes <= 1000, "probes", self.probes, "from 10 to 1000")
        require(self.num_pairs >= 2, "num_pairs", self.num_pairs, "at least 2")
        require(self.num_plane_test >= 1, "num_plane_test", self.num_plane_test, "at least 1")
        require(1e-3 <= self.half_gap <= 100, "half_gap", self.half_gap, "from 0.001 to 100")
        require(self.digits in margin_tasks.TEST_DIGITS, "digits", self.digits, "bundled or full")
        require(20 <= self.num_digits <= 400, "num_digits", self.num_digits, "from 20 to 400, below the 785 inputs")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(num_digits=60, num_pairs=10, steps=1000, probes=20, num_seeds=3, first_seed=0)
BOOK = Config()
PAPER = Config(digits="full", steps=50_000, probes=80)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Descend on both tasks by every rule, and follow the flow.

    Returns:
        gap (task, seed, rule, step), the share of the largest margin that is missing, above 1 while inputs are on the wrong
        side; train_error and test_error alike; flow_gap (task, seed, tail, log_time), constant (task, seed), what flow_gap
        times log_time must tend to; tail_alignment and flow_separates (task, seed); largest_margin, duality_gap and
        support (task, seed). Of the plane in which gradient descent
        has farthest to turn (attribute drawn_seed), in axes of which the second points along the
        largest margin: point (sample, axis), signed, and the unit vector direction (rule, step, axis).

    Raises:
        DataError: the full MNIST is asked for and was not fetched.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    probe_steps = [step for step in log_spaced_steps(config.steps, config.probes) if step > 0]
    found: list[list[dict[str, np.ndarray]]] = []
    for k, name in enumerate(TASKS):
        found.append([])
        for s, seed in enumerate(seeds):
            found[-1].append(_one(make_task(config, name, seed), config.steps, probe_steps, device))
            progress(k * len(seeds) + s + 1, len(TASKS) * len(seeds))
    columns = {key: np.array([[one[key] for one in row] for row in found]) for key in found[0][0]}
    drawn = seeds[int(columns["gap"][0, :, 0, 0].argmax())]  # the plane in which gradient descent has farthest to turn
    points, directions = _picture(make_task(config, "plane", drawn), config.steps, probe_steps, device)
    pair, share = ("task", "seed"), "share of the largest margin that is missing"
    along, through = (*pair, "rule", "step"), (*pair, "tail", "log_time")
    return xr.Dataset(
        {
            "gap": variable(along, columns["gap"], share),
            "train_error": variable(along, columns["train_error"], "share of training inputs on the wrong side"),
            "test_error": variable(along, columns["test_error"], "share of test inputs on the wrong side"),
            "flow_gap": variable(through, columns["flow_gap"], f"{share}, gradient flow"),
            "constant": variable(pair, columns["constant"], "predicted limit of gap times log t"),
            "tail_alignment": variable(pair, columns["alignment"], "cosine of the polynomial flow's push with its end"),
            "largest_margin": variable(pair, columns["largest"], "largest margin", "units of the inputs"),
            "duality_gap": variable(pair, columns["duality_gap"], "share by which the best margin may be off"),
            "support": variable(pair, columns["support"], "inputs that carry the largest margin"),
            "point": variable(
                ("sample", "axis"), points, "signed points of the plane that is drawn", "units of the inputs"
            ),
            "direction": variable(("rule", "step", "axis"), directions, "unit vector across the line in that plane"),
        },
        {
            "task": list(TASKS),
            "seed": seeds,
            "rule": list(RULES),
            "step": variable("step", probe_steps, "step t"),
            "tail": list(TAILS),
            "log_time": variable("log_time", LOG_TIMES, "log of the flow's time, in steps"),
        },
        {"drawn_seed": drawn},
    )


def make_task(config: Config, name: str, seed: int) -> Task:
    """The task called ``plane`` or ``digits`` with the configuration's sizes."""
    if name == "plane":
        return margin_tasks.plane(seed, config.num_pairs, config.num_plane_test, config.half_gap)
    return margin_tasks.digits(config.digits, seed, config.num_digits)


def _one(task: Task, steps: int, probe_steps: list[int], device: torch.device) -> dict[str, np.ndarray]:
    train, test = task.train.to(device), task.test.to(device)
    gram, cross = train @ train.T, train @ test.T
    plain = gram.cpu().numpy()
    best = largest_margin(plain)
    per_rule = [_descent(gram, cross, rule, steps, probe_steps) for rule in RULES]
    flows = [flow(plain, LOG_TIMES, tail) for tail in TAILS]
    inputs, end = coordinates(plain), flows[1][1]
    # A minimum of the sum of 1 / (z_i . w) at fixed length pushes along w: there the polynomial flow must end.
    push = (inputs @ end) ** -2.0 @ inputs
    return {
        "gap": np.array([1 - margin / best.margin for margin, _, _ in per_rule]),
        "train_error": np.array([train_error for _, train_error, _ in per_rule]),
        "test_error": np.array([test_error for _, _, test_error in per_rule]),
        "flow_gap": np.array([1 - margin / best.margin for margin, _ in flows]),
        "constant": np.array(best.constant),
        "alignment": np.array(push @ end / np.linalg.norm(push)),
        "largest": np.array(best.margin),
        "duality_gap": np.array(best.duality_gap),
        "support": np.array((best.weights > 1e-10).sum()),
    }


def _picture(task: Task, steps: int, probe_steps: list[int], device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """Points and directions of a plane in axes of which the second points along the largest margin."""
    inputs = task.train.to(device)
    gram = inputs @ inputs.T
    across = torch.from_numpy(largest_margin(gram.cpu().numpy()).weights).to(device) @ inputs
    across = across / across.norm()
    axes = torch.stack([torch.stack([across[1], -across[0]]), across], dim=1)
    found = torch.stack([descend(gram, rule, steps=steps, probe_steps=probe_steps) @ inputs @ axes for rule in RULES])
    return (inputs @ axes).cpu().numpy(), (found / found.norm(dim=-1, keepdim=True)).cpu().numpy()


def _descent(
    gram: Float[Tensor, "n n"], cross: Float[Tensor, "n test"], rule: str, steps: int, probe_steps: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Margin, training error and test error of one rule at every probe step."""
    a = descend(gram, rule, steps=steps, probe_steps=probe_steps)
    margin, outputs = margins(gram, a)
    wrong = [(part <= 0).double().mean(-1).cpu().numpy() for part in (outputs, a @ cross)]
    return margin.cpu().numpy(), wrong[0], wrong[1]


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The digits' gap against the number of steps, gradient descent and normalized descent, with the flow and its limit."""
    ax = style.axes(ax)
    here = result.sel(task="digits")
    for rule in RULES:
        gap = here.gap.sel(rule=rule).where(here.gap.sel(rule=rule) < 1).dropna("step")
        style.band(ax, np.log(gap.step.values), gap.values, color=COLORS[rule])
        style.label_end(ax, float(np.log(gap.step[-1])), float(gap.isel(step=-1).median()), rule, color=COLORS[rule])
    followed = here.flow_gap.sel(tail="exponential")
    followed = followed.where((followed < 1).all("seed"), drop=True)
    times, middle = followed.log_time.values, followed.median("seed").values
    ax.plot(times, middle, color=style.BLUE, linewidth=1.2, linestyle=(0, (4, 2)))
    ax.annotate(
        "its flow,\ncarried on", (times[-9], middle[-9]), xytext=(4, 6), textcoords="offset points", color=style.BLUE
    )
    late = times > 20
    ax.plot(times[late], float(here.constant.median()) / times[late], color=style.INK, linewidth=1, linestyle=":")
    ax.annotate(
        "predicted:\nconstant / log t", (times[-4], float(here.constant.median()) / times[-4]), xytext=(-14, -8),
        textcoords="offset points", ha="right", va="top", color=style.INK,
    )  # fmt: skip
    ax.set(
        xscale="log", yscale="log", xlim=(3, 1200), ylim=(5e-4, 1.2), xlabel="log t, natural logarithm of the steps (log scale)",
        ylabel="share of the largest margin\nthat is missing (log scale)",
    )  # fmt: skip
    return ax


def plot_errors(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The digits' test error against the number of steps, three rules; dots where the last training error goes."""
    ax = style.axes(ax)
    here = result.sel(task="digits")
    for rule in RULES:
        values = here.test_error.sel(rule=rule)
        style.band(ax, here.step.values, 100 * values.values, color=COLORS[rule], label=rule)
        fitted = float(fitted_from(result, rule).sel(task="digits").median())
        if np.isfinite(fitted):
            ax.plot(
                fitted, 100 * float(values.median("seed").sel(step=fitted, method="nearest")), "o", color=COLORS[rule]
            )
    ax.set(xscale="log", xlabel="steps t (log scale)", ylabel="test digits on the wrong side, %")
    ax.set_ylim(bottom=0)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=3)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds, unless the name says otherwise."""
    last = result.isel(step=-1)
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "steps": int(result.step[-1]),
        "late_step": late_step(result),
        "log_steps": float(np.log(result.step[-1])),
        "last_log_time": float(result.log_time[-1]),
        "duality_gap": float(result.duality_gap.max()),
        "support_digits": float(result.support.sel(task="digits").median()),
    }
    for task in TASKS:
        reached = result.flow_gap.sel(task=task, tail="exponential").isel(log_time=-1) * result.log_time[-1]
        found[f"{task}_constant"] = float(result.constant.sel(task=task).median())
        found[f"{task}_reached"] = float(reached.median())
        found[f"{task}_limit_error"] = float(abs(reached - result.constant.sel(task=task)).max())
        for rule, key in zip(RULES, ("plain", "normalized", "squared"), strict=True):
            margin = 1 - last.gap.sel(task=task, rule=rule)
            found[f"{task}_{key}"] = float(margin.median())
            found[f"{task}_{key}_least"] = float(margin.min())
            found[f"{task}_{key}_fitted"] = float(fitted_from(result, rule).sel(task=task).median())
            error = since_fitted(result, "test_error", task, rule)
            start = first(error)
            found[f"{task}_{key}_error_first"] = float(start.median())
            found[f"{task}_{key}_error_last"] = float(error.isel(step=-1).median())
            change = (error.isel(step=-1) - start).dropna("seed").values
            if len(change):
                mean, low, high = bootstrap_interval(100 * change)
                found |= {f"{task}_{key}_change{k}": v for k, v in (("", mean), ("_low", low), ("_high", high))}
        gap = since_fitted(result, "gap", task, RULES[0])
        found[f"{task}_margin_first"] = float((1 - first(gap)).median())
        found[f"{task}_margin_late"] = float(1 - since_late(result, task).isel(step=0).median())
        found[f"{task}_other_tail"] = float(
            1 - result.flow_gap.sel(task=task, tail="polynomial").isel(log_time=-1).median()
        )
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"On the digits the share of the largest margin that is missing, against log t on log scales. After {n['steps']:,} steps "
        f"gradient descent has {float(n['digits_plain']):.0%} of the largest margin, normalized descent "
        f"{float(n['digits_normalized']):.1%}, the squared loss {float(n['digits_squared']):.0%}. The flow, carried on to "
        f"log t = {float(n['last_log_time']):.0f}, runs into a straight line of slope minus one, "
        f"{float(n['digits_constant']):.2f} over log t, as predicted."
    )
