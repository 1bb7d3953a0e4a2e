"""Many separators of the same digits, all without a training error: what their margins say about new digits, and what not.

The direction of largest margin, least squares, perceptrons from small and large random starts, and directions visited by random
walks among all that separate, in place of drawing networks at random until one fits (Chiang et al. 2023,
openreview QC10RmRbZy9). This book's experiment.

Axes: seed (of the digits and draws), family (of separators), draw.
Deviations: Chiang et al. draw small networks until one fits; here four Markov chains of slices walk through the cone of
directions that do, since one direction in very many would. Their limit is uniform; they have not reached it, and the kept
directions are not independent of each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from scipy.stats import spearmanr

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.devices import numpy_generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.interpolation import margin_tasks
from heldout.interpolation.margin_descent import largest_margin

STARTS = (0.0, 10.0, 30.0)  # standard deviation of each entry of a perceptron's first weights
BEST, SQUARES, GUESSED = "largest margin", "least squares", "drawn at random"
PERCEPTRONS = tuple(f"perceptron, start {start:g}" for start in STARTS)
FAMILIES = (BEST, SQUARES, *PERCEPTRONS, GUESSED)
COLORS = dict(zip(FAMILIES, (style.INK, style.VERMILION, style.BLUE, style.SKY, style.GREEN, style.PINK), strict=True))
CHAINS, BLOCK = 4, 100  # Markov chains; moves whose normal vectors are drawn at once


@dataclass(frozen=True, kw_only=True)
class Config:
    """The digits and how many separators are drawn."""

    digits: str = "bundled"  # "bundled": 5,000 digits; "full": all of MNIST, fetched beforehand
    num_digits: int = 400  # threes and eights to train on
    random_labels: bool = False  # give every digit, training and test, the label of a fair coin
    draws: int = 40  # of every family that is drawn
    burn_in: int = 3000  # moves of a chain before its first draw
    thinning: int = 150  # moves between draws
    num_seeds: int = 10
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.digits in margin_tasks.TEST_DIGITS, "digits", self.digits, "bundled or full")
        require(20 <= self.num_digits <= 400, "num_digits", self.num_digits, "from 20 to 400, below the 785 inputs")
        require(self.draws >= CHAINS and self.draws % CHAINS == 0, "draws", self.draws, f"a multiple of {CHAINS}")
        require(self.burn_in >= 1, "burn_in", self.burn_in, "at least 1")
        require(self.thinning >= 1, "thinning", self.thinning, "at least 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(num_digits=60, draws=8, burn_in=200, thinning=20, num_seeds=3, first_seed=0)
BOOK = Config()
PAPER = Config(digits="full", draws=200, burn_in=10_000, thinning=300, num_seeds=20)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:  # noqa: ARG001  # small, on the CPU
    """Find the separators of every seed's digits; computed on the CPU whatever the device.

    Returns:
        margin, as a share of the largest, train_error and test_error (seed, family, draw); families that are one separator
        repeat it.

    Raises:
        DataError: the full MNIST is asked for and was not fetched.
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    shape = (len(seeds), len(FAMILIES), config.draws)
    margin, train_error, test_error = np.empty(shape), np.empty(shape), np.empty(shape)
    for s, seed in enumerate(seeds):
        task = margin_tasks.digits(config.digits, seed, config.num_digits, random_labels=config.random_labels)
        train, test = task.train.numpy(), task.test.numpy()
        best = largest_margin(train @ train.T)
        for f, directions in enumerate(separators(config, train, best.weights @ train, seed)):
            outputs = directions @ train.T
            margin[s, f] = outputs.min(1) / np.linalg.norm(directions, axis=1) / best.margin
            train_error[s, f] = (outputs <= 0).mean(1)
            test_error[s, f] = (directions @ test.T <= 0).mean(1)
        progress(s + 1, len(seeds))
    dims = ("seed", "family", "draw")
    return xr.Dataset(
        {
            "margin": variable(dims, margin, "margin as a share of the largest"),
            "train_error": variable(dims, train_error, "share of training digits on the wrong side"),
            "test_error": variable(dims, test_error, "share of test digits on the wrong side"),
        },
        {"seed": seeds, "family": list(FAMILIES), "draw": np.arange(config.draws)},
        {"num_digits": config.num_digits},
    )


def separators(
    config: Config, inputs: Float[np.ndarray, "n d"], best: Float[np.ndarray, " d"], seed: int
) -> list[Float[np.ndarray, "draw d"]]:
    """Directions of every family, in the order of FAMILIES; ``best`` is the one of largest margin."""
    n, d = inputs.shape
    squares = np.linalg.lstsq(inputs, np.ones(n), rcond=1e-12)[0]
    found = [np.tile(one, (config.draws, 1)) for one in (best, squares)]
    for start in STARTS:
        source = numpy_generator("perceptron", seed, start)
        found.append(perceptrons(inputs, start * source.standard_normal((config.draws, d)), source))
    starts = np.stack([best, best, *found[-1][:2]])
    source = numpy_generator("drawn separators", seed)
    found.append(drawn(inputs, starts, config.draws // CHAINS, config.burn_in, config.thinning, source))
    return found


def perceptrons(
    inputs: Float[np.ndarray, "n d"], starts: Float[np.ndarray, "draw d"], source: np.random.Generator
) -> Float[np.ndarray, "draw d"]:
    """Add an input wherever it is on the wrong side, in random order, until none is; one run for each start."""
    gram, outputs = inputs @ inputs.T, starts @ inputs.T
    counts, rows = np.zeros(outputs.shape), np.arange(len(starts))
    while (outputs <= 0).any():
        order = np.argsort(source.random(outputs.shape), axis=1)
        for which in order.T:
            wrong = np.flatnonzero(outputs[rows, which] <= 0)
            counts[wrong, which[wrong]] += 1
            outputs[wrong] += gram[which[wrong]]
    directions: np.ndarray = starts + counts @ inputs
    return directions


def drawn(
    inputs: Float[np.ndarray, "n d"],
    starts: Float[np.ndarray, "chain d"],
    draws: int,
    burn_in: int,
    thinning: int,
    source: np.random.Generator,
) -> Float[np.ndarray, "draw d"]:
    """Directions among those that separate, from one Markov chain for each start; uniform in the limit of many moves.

    Elliptical slices of a normal vector restricted to the cone: on the ellipse through the vector and a fresh normal one, each
    input allows an arc of half a turn; the next vector is uniform on the arc that all allow. The chain runs in the inputs'
    span; what is orthogonal to them is free, and drawn afresh for every kept direction.
    """
    left, values, right = np.linalg.svd(inputs, full_matrices=False)
    solid = values > 1e-9 * values[0]
    seen, axes = left[:, solid] * values[solid], right[solid]
    w = starts @ axes.T
    w *= np.sqrt(len(axes)) / np.linalg.norm(w, axis=1, keepdims=True)
    kept, moves = [], burn_in + draws * thinning
    for block in range(0, moves, BLOCK):
        outputs = w @ seen.T  # anew, so that no rounding builds up
        fresh = source.standard_normal((min(BLOCK, moves - block), *w.shape))
        pushed = fresh @ seen.T
        for move in range(len(fresh)):
            angle = np.arctan2(pushed[move], outputs)
            low, high = (angle - np.pi / 2).max(1), (angle + np.pi / 2).min(1)
            turn = (low + (high - low) * source.random(len(w)))[:, None]
            w = w * np.cos(turn) + fresh[move] * np.sin(turn)
            outputs = outputs * np.cos(turn) + pushed[move] * np.sin(turn)
            if block + move >= burn_in and (block + move - burn_in) % thinning == 0:
                kept.append(w)
    inside = np.concatenate(kept)
    free = source.standard_normal((len(inside), inputs.shape[1]))
    directions: np.ndarray = inside @ axes + free - free @ axes.T @ axes
    return directions


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error against margin, one dot a separator of the first seed, one shape and color a family."""
    ax = style.axes(ax)
    shapes: Sequence[str] = ("*", "s", "o", "^", "v", "x")
    for family, shape in zip(FAMILIES, shapes, strict=True):
        here = result.isel(seed=0).sel(family=family)
        once = family in (BEST, SQUARES)
        x, y = (here[name].values[: 1 if once else None] for name in ("margin", "test_error"))
        size, label = 110 if once else 14, "random walk" if family == GUESSED else family
        ax.scatter(x, 100 * y, marker=shape, color=COLORS[family], s=size, alpha=1 if once else 0.6, label=label)
    ax.set(xscale="log", xlabel="margin over the largest margin (log scale)", ylabel="test digits on the wrong side, %")
    ax.set_ylim(bottom=0)
    ax.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=2, fontsize=9)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: medians over seeds of each family's mean over draws."""
    found: dict[str, float | int | str] = {
        "n": int(result.num_digits), "seeds": result.sizes["seed"], "draws": result.sizes["draw"],
        "train_error": float(result.train_error.max()), "rank": float(_rank(result).median()),
        "rank_within": float(_rank(result.sel(family=[PERCEPTRONS[0]]), (PERCEPTRONS[0],)).median()),
    }  # fmt: skip
    for family, key in zip(FAMILIES, ("best", "squares", "small", "middle", "large", "guessed"), strict=True):
        here = result.sel(family=family).mean("draw").median("seed")
        found |= {f"{key}_margin": float(here.margin), f"{key}_error": float(here.test_error)}
    chains = _chain_errors(result)
    found |= {
        "chain_least": float(chains.min("chain").median()),
        "chain_most": float(chains.max("chain").median()),
    }
    ratio = result.margin.sel(family=SQUARES).mean("draw") / result.margin.sel(family=PERCEPTRONS[0]).mean("draw")
    return found | {"squares_over_small": float(ratio.median())}


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Test error against margin for separators of {n['n']} digits, all without a training error. The largest margin "
        f"errs on {float(n['best_error']):.1%} of new digits, perceptrons from zero, with {float(n['small_margin']):.0%} of that "
        f"margin, on {float(n['small_error']):.1%}, separators of a random walk on {float(n['guessed_error']):.1%}, and least "
        f"squares, with a larger margin than the perceptrons, on {float(n['squares_error']):.0%}."
    )


def _chain_errors(result: xr.Dataset) -> xr.DataArray:
    """Mean test error of each Markov chain; the kept directions of the chains take turns."""
    guessed = result.test_error.sel(family=GUESSED)
    chain = xr.DataArray(np.arange(guessed.sizes["draw"]) % CHAINS, dims="draw", name="chain")
    means: xr.DataArray = guessed.groupby(chain).mean()
    return means


def _guessed_are_worse(result: xr.Dataset) -> Evidence:
    """Mean test error of the separators that the random walks visit, less that of the largest margin."""
    error = result.test_error.mean("draw")
    return across_seeds(error.sel(family=GUESSED) - error.sel(family=BEST), above=0.005)


def _margin_misleads(result: xr.Dataset) -> Evidence:
    """Test error of least squares over the perceptrons', in seeds where its margin is the larger one; NaN elsewhere."""
    mean = result.sel(family=[SQUARES, PERCEPTRONS[0]]).mean("draw")
    margin, error = (
        mean[name].sel(family=SQUARES) / mean[name].sel(family=PERCEPTRONS[0]) for name in ("margin", "test_error")
    )
    return across_seeds(error.where(margin > 1), above=2, share=0.8)


def _rank(result: xr.Dataset, families: Sequence[str] = PERCEPTRONS) -> xr.DataArray:
    """Rank correlation of margin and test error over the draws of some families, for each seed."""
    chosen = result.sel(family=list(families)).stack(one=("family", "draw")).transpose("seed", "one")
    pairs = zip(chosen.margin.values, chosen.test_error.values, strict=True)
    return xr.DataArray([spearmanr(m, e).statistic for m, e in pairs], dims="seed", coords={"seed": result.seed})


def _all_fit(result: xr.Dataset) -> Evidence:
    return across_seeds(result.train_error.max(("family", "draw")), below=1e-9)


def _fit_by_chance(result: xr.Dataset) -> Evidence:
    """How far from one half the mean test error is; NaN, which fails, where a training digit is on the wrong side."""
    fits = result.train_error.max(("family", "draw")) == 0
    return across_seeds(abs(result.test_error.mean(("family", "draw")) - 0.5).where(fits), below=0.1)


def _few_fit(result: xr.Dataset) -> Evidence:
    """Margin of least squares over the perceptrons'; NaN, which fails, where a training digit is on the wrong side."""
    margin = result.margin.mean("draw")
    ratio = margin.sel(family=SQUARES) / margin.sel(family=PERCEPTRONS[0])
    return across_seeds(ratio.where(result.train_error.max(("family", "draw")) == 0), above=1)


_COINS = Control(
    says="the same digits with the labels of a fair coin, separated as well",
    config=replace(BOOK, random_labels=True, draws=20, num_seeds=5),
    manipulation=_fit_by_chance,
)

CLAIMS = (
    Claim(
        id="separators.guessed_are_worse",
        says="Separators on random walks among all that fit err on over 0.5 % more of the new digits than the widest one.",
        rows=("S0.10",),
        source="this book, after Chiang et al. 2023",
        check=_guessed_are_worse,
        control=_COINS,
    ),
    Claim(
        id="separators.small_starts_win",
        says="Among perceptrons, started small to large, a larger margin goes with fewer errors: rank correlation below -0.3.",
        rows=("S0.10",),
        source="this book",
        check=lambda result: across_seeds(_rank(result), below=-0.3),
        control=_COINS,
    ),
    Claim(
        id="separators.margin_misleads",
        says="Least squares has a larger margin than the perceptron and more than twice its test error, in four seeds of five.",
        rows=("S0.10",),
        source="this book",
        check=_margin_misleads,
        control=Control(
            says="40 training digits instead of 400, so that least squares is far from its interpolation threshold",
            config=replace(BOOK, num_digits=40, draws=20),
            manipulation=_few_fit,
        ),
    ),
)
