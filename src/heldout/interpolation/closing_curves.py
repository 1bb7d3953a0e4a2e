"""The curves of the chapter's closing panel: points at random heights, and what different recipes pass through them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import BarycentricInterpolator, CubicSpline
from torch import Tensor

from heldout.devices import generator
from heldout.experiment import Progress, require
from heldout.interpolation.relu_fits import fit_curves, relu_curve
from heldout.networks import MLP

SMALL, LAZY, SPLINE, POLYNOMIAL = "small start", "lazy", "cubic spline", "polynomial"
BENT, REDRAWN = "bent beyond", "small start, other draw"
REFITTED, FARTHER = "small start, permuted", "bent farther out"
NETWORKS = (SMALL, LAZY, REDRAWN, REFITTED)
ATTEMPTS = 3
EXACT = 1e-8  # training mean squared error that counts as none, in squared units of the target


@dataclass(frozen=True, kw_only=True)
class Config:
    """The points, the networks, and how they are fitted."""

    num_points: int = 7
    width: int = 300
    small_start: float = 0.3  # standard deviation of the slopes
    lazy_start: float = 4.0
    steps: int = 2500  # at each learning rate
    learning_rates: tuple[float, ...] = (1e-2, 3e-3, 1e-3, 1e-4)  # one after the other
    bend: float = 2.0  # change of slope of the built curve at the ends, in target ranges over radii
    grid: int = 400  # inputs in the test set, and elsewhere
    num_seeds: int = 10
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(4 <= self.num_points <= 20, "num_points", self.num_points, "from 4 to 20")
        require(
            self.width >= 2 and self.width % 2 == 0, "width", self.width, "even, since the lazy units come in pairs"
        )
        require(1e-3 <= self.small_start <= 100, "small_start", self.small_start, "from 0.001 to 100")
        require(1e-3 <= self.lazy_start <= 100, "lazy_start", self.lazy_start, "from 0.001 to 100")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        usable = bool(self.learning_rates) and all(0 < rate <= 1 for rate in self.learning_rates)
        require(usable, "learning_rates", self.learning_rates, "one rate or more, above 0 and at most 1")
        require(0 < self.bend <= 1000, "bend", self.bend, "above 0, at most 1000")
        require(self.grid >= 10, "grid", self.grid, "at least 10")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


Curve = Callable[[Float[Tensor, " places"]], Float[Tensor, " places"]]


def sample(config: Config, seed: int) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Inputs near an even grid that ends at -1 and 1, and standard normal targets."""
    draw = generator("closing curves", seed)
    x = torch.linspace(-1, 1, config.num_points, dtype=torch.float64)
    moved = (torch.rand(config.num_points, generator=draw, dtype=torch.float64) * 2 - 1) * 0.3 * (x[1] - x[0])
    moved[0] = moved[-1] = 0
    return x + moved, torch.randn(config.num_points, generator=draw, dtype=torch.float64)


def inputs_of(config: Config, x: Float[Tensor, " n"]) -> dict[str, Float[Tensor, " places"]]:
    """The inputs of each set: the points, the interval, and both sides beyond it."""
    inside = torch.linspace(-1, 1, config.grid, dtype=torch.float64)
    right = torch.linspace(1, 1.5, config.grid // 2 + 1, dtype=torch.float64)[1:]
    return {"train": x, "test": inside, "elsewhere": torch.cat([-right.flip(0), right])}


def networks(
    config: Config,
    seeds: Sequence[int],
    points: Sequence[tuple[Float[Tensor, " n"], Float[Tensor, " n"]]],
    device: torch.device,
    progress: Progress,
) -> list[dict[str, MLP]]:
    """For every seed four trained networks: small start, lazy, small start again, and small start with its units permuted.

    Where one of them misses the points, because too few of its units are alive there, all four are drawn and trained anew.
    """
    x_SN, y_SN = (torch.stack(column) for column in zip(*points, strict=True))
    found: list[dict[str, MLP]] = [{} for _ in seeds]
    left = list(range(len(seeds)))
    for attempt in range(ATTEMPTS):
        members = [network for s in left for network in _untrained(config, seeds[s], attempt)]
        losses = fit_curves(
            members, x_SN[left], y_SN[left], [s for s in range(len(left)) for _ in NETWORKS], seeds=[seeds[s] for s in left],
            steps=config.steps, learning_rates=config.learning_rates, device=device,
            progress=partial(_advance, progress, attempt),
        ).reshape(len(left), len(NETWORKS))  # fmt: skip
        for row, s in enumerate(left):
            found[s] = dict(zip(NETWORKS, members[len(NETWORKS) * row :], strict=False))
        left = [s for s, loss in zip(left, losses.amax(1).tolist(), strict=True) if loss > EXACT]
        if not left:
            break
    updates = ATTEMPTS * config.steps * len(config.learning_rates)
    progress(updates, updates)
    return found


def _advance(progress: Progress, attempt: int, done: int, total: int) -> None:
    progress(attempt * total + done, ATTEMPTS * total)


def _untrained(config: Config, seed: int, attempt: int) -> list[MLP]:
    """The four networks of one seed as they start, in the order of NETWORKS."""

    def draw(name: str, scale: float, *, antisymmetric: bool = False) -> MLP:
        source = generator(name, seed, attempt)
        return relu_curve(config.width, generator=source, init_scale=scale, antisymmetric=antisymmetric)

    small = draw(SMALL, config.small_start)
    lazy = draw(LAZY, config.lazy_start, antisymmetric=True)
    return [small, lazy, draw(REDRAWN, config.small_start), permuted(small, seed)]


def permuted(network: MLP, seed: int) -> MLP:
    """The same network with its units in another order: the same function, found by other sums."""
    width = network.sizes[1]
    order = torch.randperm(width, generator=generator("permuted units", seed))
    other = MLP(1, (width,), 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kept = network.state_dict()
    state = {name: kept[name] for name in kept} | {
        f"layers.0.{p}": kept[f"layers.0.{p}"][order] for p in ("weight", "bias")
    }
    other.load_state_dict(state | {"layers.1.weight": kept["layers.1.weight"][:, order]})
    return other


def all_curves(
    config: Config, x: Float[Tensor, " n"], y: Float[Tensor, " n"], trained: dict[str, MLP]
) -> dict[str, Curve]:
    """Every curve of one seed as a function of its inputs, by name."""
    places, values = x.numpy(), y.numpy()
    small = _network(trained[SMALL])
    slope = config.bend * float(y.max() - y.min())
    curves = {name: _network(network) for name, network in trained.items()}
    return curves | {
        SPLINE: _tabled(CubicSpline(places, values, bc_type="natural")),
        POLYNOMIAL: _tabled(BarycentricInterpolator(places, values, rng=0)),
        BENT: lambda z: small(z) + slope * torch.relu(z.abs() - 1),
        FARTHER: lambda z: small(z) + slope * torch.relu(z.abs() - 1.5),
    }


def _network(network: MLP) -> Curve:
    def curve(inputs: Float[Tensor, " places"]) -> Float[Tensor, " places"]:
        with torch.no_grad():
            outputs: Tensor = network(inputs[:, None]).squeeze(1)
        return outputs

    return curve


def _tabled(function: Callable[[np.ndarray], np.ndarray]) -> Curve:
    return lambda inputs: torch.from_numpy(np.asarray(function(inputs.numpy())))
