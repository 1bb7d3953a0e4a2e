"""Beyond its data a trained ReLU network is a straight line in every direction; inside it bends where its target does.

Two-layer networks learn four functions on a ball of radius 1, and are followed along rays from the center and on outward: how
much of the variation along the ray a straight line explains, how far the network is from the function, and where it bends. After
Xu et al. 2021 (arXiv 2009.11848, section 3 and Theorem 1).

Axes: seed, target, model (trained ReLU, trained tanh, ReLU as it started), segment (part of the ray), ray, radius.
Deviations: inputs fill the ball, targets are standardized, and two learning rates replace 500 epochs of one; tanh networks start
with weights four times as large, without which they do not fit.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control, across_seeds
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.interpolation.ray_checks import CURVED, exchange, far_error, fits, moved_in, outside
from heldout.interpolation.ray_fits import TARGETS, along, ball, bend_beyond, fit_all, sphere

NAMES = {"linear": "linear", "l1": "sum of |x|", "square": "sum of x²", "cosine": "sum of cos 3x"}
MODELS = ("relu", "tanh", "untrained")
MODEL_NAMES = {"relu": "ReLU, trained", "tanh": "tanh, trained", "untrained": "ReLU, untrained"}
COLORS = {"relu": style.BLUE, "tanh": style.VERMILION, "untrained": style.MUTED}
SEGMENTS = {"inside": (0.0, 1.0), "near": (1.0, 2.0), "far": (2.0, 5.0)}  # in radii of the training ball
ENDS = (1.0, 2.0, 5.0)
SHOWN = np.linspace(-5, 5, 201)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Network, data and training."""

    dimension: int = 8
    width: int = 128
    num_train: int = 10_000
    steps: int = 1000  # at each learning rate
    learning_rates: tuple[float, ...] = (1e-2, 1e-3)
    batch_size: int = 64
    num_rays: int = 200
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.dimension >= 1, "dimension", self.dimension, "at least 1")
        require(self.width >= 1, "width", self.width, "at least 1")
        require(1 <= self.batch_size <= self.num_train, "batch_size", self.batch_size, "from 1 to num_train")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        rates = self.learning_rates or (0.0,)
        require(min(rates) > 0 and math.isfinite(sum(rates)), "learning_rates", rates, "positive and finite")
        require(self.num_rays >= 1, "num_rays", self.num_rays, "at least 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(width=32, num_train=500, steps=60, num_rays=20, num_seeds=2, first_seed=0)
BOOK = Config()
PAPER = Config(num_train=20_000, steps=5000, learning_rates=(5e-3, 1e-3, 2e-4), num_rays=1000, num_seeds=10)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train every seed's networks together and follow them along the seed's rays.

    Returns:
        line_r2 (seed, target, model, segment), median over rays of the share of the network's variation along the segment that
        a straight line explains; error, likewise, mean |network - target| over mean |target|; fit (seed, target, model), share
        of the target's variance explained on fresh points of the ball; bend (seed, target, model, segment_end), ReLU only,
        median share of the total change of slope along a ray outward from the center that happens beyond a radius; and, along
        the first ray of the first seed, profile (target, model, radius) beside truth (target, radius).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    sizes = (config.num_train, config.dimension)
    fitted = fit_all(
        torch.stack([ball(*sizes, generator("rays", "train", seed)) for seed in seeds]), seeds, width=config.width,
        steps=config.steps, learning_rates=config.learning_rates, batch_size=config.batch_size, device=device,
        progress=progress,
    )  # fmt: skip
    shape = (len(seeds), len(TARGETS), len(MODELS))
    r2, error = np.empty((*shape, len(SEGMENTS))), np.empty((*shape, len(SEGMENTS)))
    fit, bend = np.empty(shape), np.full((*shape, len(ENDS)), np.nan)
    profile, truth = np.empty((*shape[1:], len(SHOWN))), np.empty((len(TARGETS), len(SHOWN)))
    for (seed, name, model), network in fitted.items():
        draw = generator("rays", "test", seed)
        fresh, directions = ball(2000, config.dimension, draw), sphere(config.num_rays, config.dimension, draw)
        s, t, m = seeds.index(seed), list(TARGETS).index(name), MODELS.index(model)
        wanted = TARGETS[name](fresh)
        fit[s, t, m] = 1 - (network(fresh) - wanted).square().mean() / wanted.var()
        for k, (low, high) in enumerate(SEGMENTS.values()):
            r2[s, t, m, k], error[s, t, m, k] = along(network, name, directions, low, high)
        if model != "tanh":
            bend[s, t, m] = [bend_beyond(network.network, directions, end) for end in ENDS]
        if s == 0:
            places = directions[0] * torch.from_numpy(SHOWN)[:, None]
            profile[t, m], truth[t] = network(places), TARGETS[name](places)
    dims = ("seed", "target", "model")
    return xr.Dataset(
        {
            "line_r2": variable((*dims, "segment"), r2, "share of variation that a line explains, median over rays"),
            "error": variable((*dims, "segment"), error, "mean absolute error over mean absolute target"),
            "fit": variable(dims, fit, "share of the target's variance explained inside the ball"),
            "bend": variable(
                (*dims, "segment_end"), bend, "share of the change of slope beyond a radius, median over rays"
            ),
            "profile": variable(
                (*dims[1:], "radius"), profile, "network along a ray, first seed", "units of the target"
            ),
            "truth": variable(("target", "radius"), truth, "target along a ray, first seed", "units of the target"),
        },
        {
            "seed": seeds,
            "target": list(TARGETS),
            "model": list(MODELS),
            "segment": list(SEGMENTS),
            "segment_end": variable("segment_end", ENDS, "radius", "radii of the ball"),
            "radius": variable("radius", SHOWN, "place on the ray", "radii of the ball"),
        },
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """What a straight line leaves unexplained from radius 2 to 5, one row of dots a target, a color a model, a dot a seed."""
    ax = style.axes(ax)
    left = 1 - result.line_r2.sel(segment="far")
    for m, model in enumerate(MODELS):
        for t, name in enumerate(TARGETS):
            values = left.sel(model=model, target=name).values
            height = np.full(len(values), t + 0.18 * (m - 1))
            ax.plot(
                values,
                height,
                "o",
                color=COLORS[model],
                alpha=0.7,
                markersize=5,
                label=MODEL_NAMES[model] if t == 0 else None,
            )
    inside = 1 - result.line_r2.sel(segment="inside", model="relu")
    for t, name in enumerate(TARGETS):
        values = inside.sel(target=name).values
        ax.plot(values, np.full(len(values), t), "D", color=style.BLUE, fillstyle="none", markersize=5,
                label="ReLU, trained, inside the ball" if t == 0 else None)  # fmt: skip
    ax.set_yticks(range(len(TARGETS)), [NAMES[name] for name in TARGETS])
    ax.set(
        xscale="log", xlabel="1 − R² of a straight line (log scale)", ylabel="target", ylim=(-0.5, len(TARGETS) + 0.5)
    )
    ax.legend(loc="upper center", ncols=2, fontsize=8.5)
    return ax


def plot_profiles(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The first seed's networks for the sum of squares and of absolute values along one line through the center."""
    ax = style.axes(ax)
    x = result.radius.values
    for name, color in (("square", style.VERMILION), ("l1", style.BLUE)):
        ax.plot(x, result.truth.sel(target=name), color=color, linestyle=(0, (1, 2)))
        ax.plot(x, result.profile.sel(target=name, model="relu"), color=color, label=NAMES[name])
    ax.axvspan(-1, 1, color=style.MUTED, alpha=0.15, linewidth=0)
    ax.annotate(
        "training data", (0, 0.97), xycoords=("data", "axes fraction"), ha="center", va="top", color=style.MUTED
    )
    ax.set(xlabel="place on a line through the center / radius of the ball", ylabel="function", xlim=(-5, 5))
    ax.legend(loc="upper left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes, as medians over seeds."""
    middle = result.median("seed")
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "bent_kept": int((_bent(result) > 0.01).sum()),
    }
    outside = result.line_r2.sel(target=list(CURVED), segment=["near", "far"])
    for model in MODELS:
        found[f"{model}_least_r2"] = float(outside.sel(model=model).median("seed").min())
        found[f"{model}_most_r2"] = float(outside.sel(model=model).median("seed").max())
        for name in TARGETS:
            one = middle.sel(target=name, model=model)
            found |= {
                f"{model}_{name}_fit": float(one.fit),
                f"{model}_{name}_error": float(one.error.sel(segment="far")),
            }
            found[f"{model}_{name}_near_r2"] = float(one.line_r2.sel(segment="near"))
            found[f"{model}_{name}_inside"] = 1 - float(one.line_r2.sel(segment="inside"))
            if model != "tanh":
                found[f"{model}_{name}_bend"] = float(one.bend.sel(segment_end=1.0))
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    m = numbers(result)
    return (
        f"What a straight line leaves unexplained of a network along rays, on a log scale, for four targets. Beyond the ball, "
        f"trained ReLU networks are straightest: on the three curved targets a line explains at least "
        f"{m['relu_least_r2']:.5f}. Of tanh networks it explains at most {m['tanh_most_r2']:.3f}, and untrained ReLU networks "
        f"lie between. Inside the ball, from the center to the surface, a line leaves {m['relu_square_inside']:.2f} of what "
        f"learned squares and {m['relu_cosine_inside']:.2f} of what learned cosines."
    )


def _bent(result: xr.Dataset) -> xr.DataArray:
    """Per seed, the less of what a line leaves unexplained inside the ball of the networks for squares and for cosines."""
    left = 1 - result.line_r2.sel(model="relu", segment="inside", target=["square", "cosine"])
    return xr.DataArray(left.min("target"))


_XU = "Xu et al. 2021, arXiv 2009.11848"
_TANH = Control(says="tanh networks", change=exchange("model", relu="tanh"), manipulation=fits)
_LINEAR = Control(
    says="the linear target, as well learned",
    change=exchange("target", **dict.fromkeys(CURVED, "linear")),
    manipulation=fits,
)

CLAIMS = (
    Claim(
        id="rays.straight_outside",
        says="Beyond the ball a line leaves less than .0001 of a ReLU network unexplained (R² > .9999), on all curved targets.",
        rows=("S0.8",),
        source=f"{_XU}, Theorem 1",
        check=lambda result: across_seeds(outside(result, "relu").max(["target", "segment"]), below=1e-4),
        control=_TANH,
    ),
    Claim(
        id="rays.tanh_bends",
        says="Of a trained tanh network it leaves more than .005 unexplained (R² below .995).",
        rows=("S0.8",),
        source="this book",
        check=lambda result: across_seeds(outside(result, "tanh").min(["target", "segment"]), above=0.005),
        control=Control(says="ReLU networks", change=exchange("model", tanh="relu"), manipulation=fits),
    ),
    Claim(
        id="rays.untrained_between",
        says="Between radius 2 and 5 it leaves more than .0001 of a ReLU network unexplained before training.",
        rows=("S0.8",),
        source="this book",
        check=lambda result: across_seeds(
            1 - result.line_r2.sel(model="untrained", segment="far", target="square"), above=1e-4
        ),
        control=Control(
            says="the same networks, trained", change=exchange("model", untrained="relu"), manipulation=fits
        ),
    ),
    Claim(
        id="rays.bent_inside",
        says="Inside the ball it leaves more than .01 of a ReLU network that learned a target which bends along rays.",
        rows=("S0.8",),
        source="this book",
        check=lambda result: across_seeds(
            (1 - result.line_r2.sel(model="relu", segment="inside", target=["square", "cosine"])).min("target"),
            above=0.01,
        ),
        expected_at_paper="in part",
        control=Control(
            says="the sum of |x|, a straight line along every ray, as well learned",
            change=exchange("target", square="l1", cosine="l1"),
            manipulation=fits,
        ),
    ),
    Claim(
        id="rays.bends_move_in",
        says="Learning a curved target at least halves the share of a ray's bending that lies beyond the ball.",
        rows=("S0.8",),
        source="this book",
        check=moved_in,
        control=_LINEAR,
    ),
    Claim(
        id="rays.l1_extrapolates",
        says="From radius 2 to 5 the ReLU network's error on the sum of |x| is below .05 of the target.",
        rows=("S0.8",),
        source=f"{_XU}: extrapolation succeeds where the target is linear along rays",
        check=lambda result: across_seeds(far_error("l1")(result), below=0.05),
        control=_TANH,
    ),
    Claim(
        id="rays.square_does_not",
        says="There its error on the sum of squares is above .4 of the target.",
        rows=("S0.8",),
        source=f"{_XU}: and fails where it is not",
        check=lambda result: across_seeds(far_error("square")(result), above=0.4),
        control=Control(
            says="the sum of |x|, a straight line along every ray, as well learned",
            change=exchange("target", square="l1"),
            manipulation=fits,
        ),
    ),
)
