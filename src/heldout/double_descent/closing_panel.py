"""Equal loss, different function: pairs of interpolants of the same digits, and how far apart they are.

All models fit the same n training digits exactly with random Fourier features. They differ in the number of features, in a
random null-space part, or in what else they were made to fit. Distances are shares of digits on which two models name
different classes; see :mod:`heldout.distances`.

Axes: seed, pair (of models), set (train, test, elsewhere). Elsewhere is the test digits turned by 90 degrees: as much ink as
before, no such image in training, and no right answer needed, since only the models are compared with each other. Beside them:
model (those of set norm) and control (models that the claims' controls compare with the 8n fit).
Deviations: none from a paper; the panel is this book's. PAPER has 3,000 test digits, since the controls need a direction that
neither they nor the same digits turned see.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from heldout import distances
from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.data import mnist
from heldout.data.digit_task import CLASSES, check_sizes, split
from heldout.devices import generator
from heldout.distances import Pair
from heldout.double_descent import fourier
from heldout.double_descent import interpolant_fits as fits
from heldout.double_descent.random_feature_fits import inflate
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import panel

NEAR, MIDDLE, FAR, OTHER_DRAW = "1.1n", "2n", "8n", "8n, other features"
LARGE, HIDDEN, ADVERSARIAL = "8n large norm", "8n hidden norm", "8n adversarial"
REORDERED, EVERYWHERE = "8n reordered", "8n norm hidden everywhere"
CONTROLS = (REORDERED, EVERYWHERE)  # models that the claims' controls compare with the 8n fit; in no pair of the panel
PAIRS = (
    Pair(first=FAR, second=MIDDLE, kind="natural"),
    Pair(first=FAR, second=NEAR, kind="natural"),
    Pair(first=FAR, second=LARGE, kind="constructed"),
    Pair(first=FAR, second=ADVERSARIAL, kind="constructed"),
    Pair(first=FAR, second=HIDDEN, kind="constructed"),
)
HIDDEN_PAIR = PAIRS[-1].name
OTHER_FEATURES = 1_000_000  # added to a seed for a second draw of features


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the panel."""

    digits: str = "bundled"  # "bundled": 5,000 digits; "full": all of MNIST, fetched beforehand
    num_train: int = 300
    num_extra: int = 600  # digits to whose wrong labels the adversarial model is fitted
    num_test: int = 1000
    norm_factor: float = 4.0  # norm of the models with an added null-space part, over the smallest
    num_seeds: int = 10
    first_seed: int = 100

    def __post_init__(self) -> None:
        check_sizes(self.digits, self.num_train, self.num_extra, self.num_test)
        room = 7 * self.num_train
        require(self.num_extra < room, "num_extra", self.num_extra, f"below 7 num_train = {room}")
        # Training, test and turned digits together must leave a direction of weight space that none of them sees.
        require(2 * self.num_test < room, "num_test", self.num_test, f"below 3.5 num_train = {room / 2:g}")
        require(self.norm_factor > 1, "norm_factor", self.norm_factor, "above 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(num_train=60, num_extra=120, num_test=200, num_seeds=5, first_seed=0)
BOOK = Config()
PAPER = Config(digits="full", num_train=1000, num_extra=2000, num_test=3000, num_seeds=20)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Build the models on every seed and compare them.

    Returns:
        distance (seed, pair, set), loss_difference (seed, pair), yardstick (seed, set), natural (pair), the largest training
        residual of any model (seed), norm (seed, model) over the smallest, and control_distance (seed, control, set), the
        distances of the controls' models from the 8n fit.

    Raises:
        DataError: the full MNIST is asked for and was not fetched.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    measured, yardstick, residuals, norms, controlled = [], [], [], [], []
    ruler = Pair(first=FAR, second=OTHER_DRAW, kind="natural")
    controls = [Pair(first=FAR, second=name, kind="constructed") for name in CONTROLS]
    for done, seed in enumerate(seeds):
        outputs, targets, norm = evaluate(config, seed, device)
        labels = {name: {where: f.argmax(1) for where, f in by_set.items()} for name, by_set in outputs.items()}
        losses = {name: float((by_set["train"] - targets).square().mean()) for name, by_set in outputs.items()}
        measured.append(distances.measure(PAIRS, labels, losses, distances.disagreement))
        yardstick.append(distances.measure([ruler], labels, losses, distances.disagreement)["distance"][0])
        controlled.append(distances.measure(controls, labels, losses, distances.disagreement)["distance"])
        norms.append([norm[name] / norm[FAR] for name in (LARGE, HIDDEN, *CONTROLS)])
        residuals.append(max(float((by_set["train"] - targets).abs().max()) for by_set in outputs.values()))
        progress(done + 1, len(seeds))
    record = distances.panel_dataset(PAIRS, seeds, measured, np.array(yardstick), "training mean squared error")
    added = {
        "residual": variable("seed", residuals, "largest training residual of any model"),
        "norm": variable(("seed", "model"), norms, "norm of the weights over the smallest with 8n features"),
        "control_distance": variable(("seed", "control", "set"), controlled, "distance from the 8n fit"),
    }
    record = record.assign_coords(model=[LARGE, HIDDEN, *CONTROLS], control=list(CONTROLS)).assign(added)
    return record.assign_attrs(num_train=config.num_train, norm_factor=config.norm_factor)


def evaluate(
    config: Config, seed: int, device: torch.device
) -> tuple[dict[str, dict[str, Float[Tensor, "samples classes"]]], Float[Tensor, "train classes"], dict[str, float]]:
    """Outputs of every model on every set, the training targets, and the norms of the models' weights."""
    sizes = (config.num_train, config.num_extra, config.num_test)
    width = 8 * config.num_train
    problem = fits.prepare(config.digits, sizes, width, seed, device)
    train, _, test = split(config.digits, seed, *sizes)
    turned = mnist.rotated(test).x.to(device)
    frequencies, phases = fourier.draw(width, seed)
    sets = {"train": problem.design, "test": problem.test, "elsewhere": fourier.features(turned, frequencies, phases)}
    found = models(config, problem)
    found |= controls(config, problem, sets["elsewhere"], found[FAR])
    norms = {name: float(weights.norm()) for name, weights in found.items()}
    outputs = {
        name: {where: phi[:, : len(weights)] @ weights for where, phi in sets.items()}
        for name, weights in found.items()
    }
    # The yardstick: the same digits, fitted by the same recipe with features of another draw.
    other = fourier.draw(width, OTHER_FEATURES + seed)
    inputs = {"train": train.x.to(device), "test": test.x.to(device), "elsewhere": turned}
    others = {where: fourier.features(x, *other) for where, x in inputs.items()}
    weights = fits.smallest(others["train"], problem.targets)
    outputs[OTHER_DRAW] = {where: phi @ weights for where, phi in others.items()}
    return outputs, problem.targets, norms


def models(config: Config, problem: fits.Problem) -> dict[str, Float[Tensor, "features classes"]]:
    """Weights of the models that share one draw of features; each uses the first features, as many as it has rows."""
    n, targets = config.num_train, problem.targets
    far = fits.smallest(problem.design, targets)
    free = fits.unseen_directions(problem.design, CLASSES, problem.seed)
    held = torch.cat([problem.design, problem.test])
    hidden = fits.unseen_directions(held, CLASSES, problem.seed)
    both = torch.cat([problem.design, problem.extra])
    return {
        NEAR: fits.smallest(problem.design[:, : round(1.1 * n)], targets),
        MIDDLE: fits.smallest(problem.design[:, : 2 * n], targets),
        FAR: far,
        LARGE: inflate(far, free, config.norm_factor),
        HIDDEN: inflate(far, hidden, config.norm_factor),
        ADVERSARIAL: fits.smallest(both, torch.cat([targets, problem.wrong_targets])),
    }


def controls(
    config: Config,
    problem: fits.Problem,
    turned: Float[Tensor, "test features"],
    far: Float[Tensor, "features classes"],
) -> dict[str, Float[Tensor, "features classes"]]:
    """Weights of the models from which the claims' causes are removed; they belong to the same features as ``far``.

    REORDERED is the smallest fit once more, found with the features in another order. EVERYWHERE has the norm of HIDDEN, in
    the same random direction less the part that the turned digits see.
    """
    order = torch.randperm(len(far), generator=generator("reordered features", problem.seed)).to(far.device)
    reordered = torch.empty_like(far)
    reordered[order] = fits.smallest(problem.design[:, order], problem.targets)
    unseen = fits.unseen_directions(torch.cat([problem.design, problem.test, turned]), CLASSES, problem.seed)
    return {REORDERED: reordered, EVERYWHERE: inflate(far, unseen, config.norm_factor)}


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The closing panel; see :func:`heldout.figures.panel.plot`."""
    return panel.plot(result, ax)


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: median distances, by pair and set."""
    middle = result.median("seed")
    keys = ("middle", "near", "large", "adversarial", "hidden")
    found: dict[str, float | int | str] = {
        f"{key}_{where}": float(middle.distance.sel(pair=pair.name, set=where))
        for key, pair in zip(keys, PAIRS, strict=True)
        for where in distances.SETS
    }
    found |= {f"yardstick_{where}": float(middle.yardstick.sel(set=where)) for where in distances.SETS}
    return found | {
        "n": int(result.num_train),
        "norm_factor": float(result.norm_factor),
        "seeds": result.sizes["seed"],
        "residual": float(result.residual.max()),
        "loss_difference": float(result.loss_difference.max()),
    }


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    return panel.describe(result)


def _disagree_on_test(result: xr.Dataset) -> Evidence:
    """Smallest test distance of any pair but the hidden one, in seeds where no training digit is in dispute."""
    visible = result.distance.where(result.pair != HIDDEN_PAIR, drop=True)
    agreed = result.distance.sel(set="train").max("pair") == 0
    return across_seeds(visible.sel(set="test").min("pair").where(agreed), above=distances.RISEN)


def _differ_elsewhere_alone(result: xr.Dataset) -> Evidence:
    """Elsewhere distance of the hidden pair, in seeds where it agrees on all training and test digits."""
    hidden = result.distance.sel(pair=HIDDEN_PAIR)
    agreed = hidden.sel(set=["train", "test"]).max("set") == 0
    return across_seeds(hidden.sel(set="elsewhere").where(agreed), above=distances.RISEN)


def _interpolates(result: xr.Dataset) -> Evidence:
    return across_seeds(result.residual, below=1e-8)


def _as_long_as_hidden(result: xr.Dataset) -> Evidence:
    """Training residual of the worst model; NaN, which fails, where EVERYWHERE's norm is not HIDDEN's to within 1 in 1,000."""
    ratio = result.norm.sel(model=EVERYWHERE) / result.norm.sel(model=HIDDEN)
    return across_seeds(result.residual.where(abs(ratio - 1) < 1e-3), below=1e-8)


def _every_pair(control: str) -> Callable[[xr.Dataset], xr.Dataset]:
    """The record with every pair exchanged for the 8n fit and a control's model, as measured."""

    def change(result: xr.Dataset) -> xr.Dataset:
        measured = result.control_distance.sel(control=control, drop=True).expand_dims(pair=result.pair)
        return result.assign(distance=measured.transpose(*result.distance.dims))

    return change


CLAIMS = (
    Claim(
        id="closing_panel.test_rises_first",
        says="Models that fit every training digit exactly, and so agree on all of them, disagree on over 5 % of test digits.",
        rows=("S0.7",),
        source="this book",
        check=_disagree_on_test,
        control=Control(
            says="the 8n fit and the same fit found again with the features in another order: nothing is left to choose",
            change=_every_pair(REORDERED),
            manipulation=_interpolates,
        ),
    ),
    Claim(
        id="closing_panel.elsewhere_alone",
        says="A pair built to agree on every training and every test digit disagrees on over 5 % of the turned digits.",
        rows=("S0.7",),
        source="this book",
        check=_differ_elsewhere_alone,
        control=Control(
            says="a partner as long as the hidden one, in a direction that the turned digits do not see either",
            change=_every_pair(EVERYWHERE),
            manipulation=_as_long_as_hidden,
        ),
    ),
)
