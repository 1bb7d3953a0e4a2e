"""Two-layer networks keep pushing points away from their boundary after the last training error; how much that helps.

In homogeneous networks gradient descent on an exponential loss raises a smoothed normalized margin once the loss is small: Lyu
and Li 2020 (arXiv 1906.05890). Beside it the same networks on a loss that is zero as soon as every point is on its right side.

Axes: seed (of the points and the network), loss (exponential, or none once right), step.
Deviations: two moons instead of MNIST and CIFAR-10. Each step descends a growing function of the exponential loss, as Lyu and Li
also schedule their steps by the loss; the path is that of the loss itself, the steps along it are longer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control, Evidence, across_seeds, bootstrap_interval
from heldout.devices import generator
from heldout.ensemble import Optimizer, Snapshot, TrainingData, log_spaced_steps, train
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.interpolation.moons import Homogeneous, content, moons, pushing

PUSHED, CONTENT = "exponential", "none once right"
LOSSES = (PUSHED, CONTENT)
MEASURED = ("margin", "train_error", "test_error")
COLORS = {PUSHED: style.BLUE, CONTENT: style.VERMILION}


@dataclass(frozen=True, kw_only=True)
class Config:
    """The moons, the networks, and how they are trained."""

    num_points: int = 60
    noise_std: float = 0.1  # of the points about their half circles of radius 1
    num_test: int = 2000
    width: int = 50
    steps: int = 3000
    rates: tuple[float, float] = (0.25, 1.0)  # learning rate under each loss
    probes: int = 40
    num_seeds: int = 10
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.num_points >= 4, "num_points", self.num_points, "at least 4")
        require(0 <= self.noise_std <= 100, "noise_std", self.noise_std, "from 0 to 100")
        require(self.num_test >= 1, "num_test", self.num_test, "at least 1")
        require(self.width >= 1, "width", self.width, "at least 1")
        require(self.steps >= 100, "steps", self.steps, "at least 100")
        usable = len(self.rates) == 2 and all(0 < rate <= 100 for rate in self.rates)
        require(usable, "rates", self.rates, "two numbers above 0, at most 100")
        require(10 <= self.probes <= 1000, "probes", self.probes, "from 10 to 1000")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(num_points=20, num_test=200, width=20, steps=300, probes=15, num_seeds=3, first_seed=0)
BOOK = Config()
PAPER = Config(num_test=5000, width=100, steps=6000, num_seeds=20)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed's network under both losses, from the same start on the same points.

    Returns:
        margin, the smallest signed output over the squared norm of all weights, train_error and test_error
        (seed, loss, step).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    train_x, train_y = moons(seeds, "train", config.num_points, config.noise_std)
    test_x, test_y = moons(seeds, "test", config.num_test, config.noise_std)
    data = TrainingData(inputs=train_x, targets=train_y, streams=list(range(len(seeds))), keys=seeds)
    probe_steps = log_spaced_steps(config.steps, config.probes)

    def probe(now: Snapshot) -> dict[str, Tensor]:
        signed = (now.predict(train_x, per_stream=True).cpu() * train_y).double()
        wrong = now.predict(test_x, per_stream=True).cpu() * test_y <= 0
        norms = torch.stack(
            [torch.stack([p.square().sum() for p in state.values()]).sum() for _, state in now.named_states()]
        )
        return {
            "margin": signed.amin(1) / norms.cpu(),
            "train_error": (signed <= 0).double().mean(1),
            "test_error": wrong.double().mean(1),
        }

    found: dict[str, list[np.ndarray]] = {name: [] for name in MEASURED}
    for k, (loss, rate) in enumerate(zip((pushing, content), config.rates, strict=True)):
        networks = [Homogeneous(3, config.width, generator("network margin", seed)) for seed in seeds]
        history = train(
            networks, data, steps=config.steps, learning_rate=rate, optimizer=Optimizer(kind="sgd"), loss=loss,
            probe=probe, probe_steps=probe_steps, device=device,
            progress=partial(_advance, progress, k),
        )  # fmt: skip
        for name, values in found.items():
            values.append(history.values[name].T)
    dims = ("seed", "loss", "step")
    names = {
        "margin": "normalized margin",
        "train_error": "share of training points on the wrong side",
        "test_error": "share of test points on the wrong side",
    }
    return xr.Dataset(
        {name: variable(dims, np.stack(values, axis=1), names[name]) for name, values in found.items()},
        {"seed": seeds, "loss": list(LOSSES), "step": variable("step", probe_steps, "step t")},
        {"num_points": config.num_points},
    )


def _advance(progress: Progress, part: int, done: int, total: int) -> None:
    progress(part * total + done, len(LOSSES) * total)


def squared_norm(state: dict[str, Tensor]) -> Tensor:
    """Squared Euclidean norm of all parameters of one network."""
    return torch.stack([parameter.square().sum() for parameter in state.values()]).sum()


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error of both losses against the steps; a dot where the last training error goes."""
    ax = style.axes(ax)
    steps = result.step.values + 1
    for loss in LOSSES:
        error = 100 * result.test_error.sel(loss=loss)
        style.band(ax, steps, error.values, color=COLORS[loss], label=loss)
        at = float(fitted_from(result).sel(loss=loss).median())
        if np.isfinite(at):
            ax.plot(at + 1, float(error.median("seed").sel(step=at, method="nearest")), "o", color=COLORS[loss])
    ax.set(xscale="log", ylim=(0, 16), xlabel="steps t + 1 (log scale)", ylabel="test points on the wrong side, %")
    ax.legend(title="loss", loc="upper right")
    return ax


def plot_margin(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Normalized margin of both losses against the steps."""
    ax = style.axes(ax)
    for loss in LOSSES:
        margin = result.margin.sel(loss=loss)
        style.band(ax, result.step.values + 1, margin.values, color=COLORS[loss], label=loss)
    ax.axhline(0, color=style.MUTED, linewidth=1)
    ax.set(xscale="log", xlabel="steps t + 1 (log scale)", ylabel="normalized margin", ylim=(-0.03, None))
    ax.legend(title="loss", loc="upper left")
    return ax


def fitted_from(result: xr.Dataset) -> xr.DataArray:
    """Per seed and loss, the first probed step from which on no training point is wrong; NaN if there is none."""
    last_wrong = result.step.where(result.train_error > 0).max("step").fillna(-1)
    found: xr.DataArray = result.step.where(result.step > last_wrong).min("step")
    return found


def at_fit(result: xr.Dataset, name: str) -> xr.DataArray:
    """A variable at the step at which the last training error has gone; NaN if it never goes."""
    value: xr.DataArray = result[name].where(result.step == fitted_from(result)).max("step")
    return value


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds unless the name says otherwise."""
    last, middle = result.isel(step=-1), result.sel(step=_tenth(result))
    found: dict[str, float | int | str] = {
        "n": int(result.num_points), "seeds": result.sizes["seed"], "steps": int(result.step[-1]), "tenth": int(_tenth(result)),
    }  # fmt: skip
    for loss, key in ((PUSHED, "pushed"), (CONTENT, "content")):
        found |= {
            f"{key}_fitted": float(fitted_from(result).sel(loss=loss).median()),
            f"{key}_first": float(at_fit(result, "test_error").sel(loss=loss).median()),
            f"{key}_last": float(last.test_error.sel(loss=loss).median()),
            f"{key}_margin_first": float(at_fit(result, "margin").sel(loss=loss).median()),
            f"{key}_margin_last": float(last.margin.sel(loss=loss).median()),
        }
    late = last.sel(loss=PUSHED), middle.sel(loss=PUSHED)
    found |= {"late_rise": float(_rise(result).median()) - 1, "tenth_margin": float(late[1].margin.median())}
    early = last.test_error.sel(loss=CONTENT) - at_fit(result, "test_error").sel(loss=PUSHED)
    between = at_fit(result, "test_error").sel(loss=PUSHED) - late[1].test_error
    changes = {
        "late": late[0].test_error - late[1].test_error,
        "help": _help(result),
        "early": early,
        "between": between,
    }
    for name, change in changes.items():
        mean, low, high = bootstrap_interval(100 * change.dropna("seed").values)
        found |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Test error of networks on two moons against training steps. Under the loss that stops at the last training error "
        f"it stays at {float(n['content_last']):.1%}; under the exponential loss it is {float(n['pushed_first']):.1%} at that "
        f"point, falls to {float(n['pushed_last']):.1%}, and hardly moves over the last nine tenths of the steps, while the "
        f"margin still grows."
    )


def _tenth(result: xr.Dataset) -> int:
    """The probed step nearest to a tenth of the last."""
    return int(result.step.sel(step=float(result.step[-1]) / 10, method="nearest"))


def _rise(result: xr.Dataset) -> xr.DataArray:
    """Normalized margin at the end over that at a tenth of the steps, exponential loss; NaN if a point was wrong then."""
    last, middle = (result.sel(step=step, loss=PUSHED) for step in (int(result.step[-1]), _tenth(result)))
    ratio: xr.DataArray = (last.margin / middle.margin).where(middle.train_error == 0)
    return ratio


def _help(result: xr.Dataset) -> xr.DataArray:
    """Test error without the push less test error with it, at the end; NaN where a training point is wrong."""
    last = result.isel(step=-1)
    fits = last.train_error.max("loss") == 0
    gained: xr.DataArray = (last.test_error.sel(loss=CONTENT) - last.test_error.sel(loss=PUSHED)).where(fits)
    return gained


def _idle(result: xr.Dataset) -> Evidence:
    """Move of the test error over the last nine tenths of the steps; NaN where the margin does not grow meanwhile."""
    last, middle = (result.sel(step=step, loss=PUSHED) for step in (int(result.step[-1]), _tenth(result)))
    return across_seeds(
        abs(last.test_error - middle.test_error).where(last.margin > middle.margin), below=0.015, share=0.9
    )


def _fits(result: xr.Dataset) -> Evidence:
    return across_seeds(result.train_error.isel(step=-1).max("loss"), below=1e-9)


def _stopped(loss: str) -> Callable[[xr.Dataset], xr.Dataset]:
    """The record with the exponential loss's columns replaced: by the other loss's, or its own as at the first fit."""

    def change(result: xr.Dataset) -> xr.Dataset:
        if loss == CONTENT:
            return result.sel(loss=[CONTENT, CONTENT]).assign_coords(loss=list(LOSSES))
        return result.assign(
            {name: result[name].where(result.loss != PUSHED, at_fit(result, name)) for name in MEASURED}
        )

    return change


def _from_fit(result: xr.Dataset) -> xr.Dataset:
    """The record with the first fit in the place of the tenth of the steps."""
    here = result.step == _tenth(result)
    return result.assign({name: result[name].where(~here, at_fit(result, name)) for name in MEASURED})


CLAIMS = (
    Claim(
        id="network_margin.rises",
        says="Over the last nine tenths of the steps, with no point wrong, the margin grows by over 5 %, in nine seeds of ten.",
        rows=("S0.10",),
        source="Lyu and Li 2020, arXiv 1906.05890",
        check=lambda result: across_seeds(_rise(result), above=1.05, share=0.9),
        control=Control(
            says="a loss that is zero once every point is right; by construction nothing moves then",
            change=_stopped(CONTENT),
            manipulation=_fits,
        ),
    ),
    Claim(
        id="network_margin.push_helps",
        says="Networks pushed on after the last training error err on over 2 % fewer test points, in four seeds of five.",
        rows=("S0.10",),
        source="this book",
        expected="in part",
        check=lambda result: across_seeds(_help(result), above=0.02, share=0.8),
        control=Control(
            says="the pushed networks as they were at their own last training error",
            change=_stopped(PUSHED),
            manipulation=_fits,
        ),
    ),
    Claim(
        id="network_margin.late_growth_is_idle",
        says="Over the last nine tenths of the steps the margin grows and the test error moves by less than 1.5 points.",
        rows=("S0.10",),
        source="this book",
        check=_idle,
        control=Control(
            says="the same networks compared with themselves at their last training error",
            change=_from_fit,
            manipulation=_fits,
        ),
    ),
)
