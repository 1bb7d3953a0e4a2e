"""Test digits leave the convex hull of the training digits as dimensions are added, while the nearest neighbor gets better.

MNIST digits on their first d principal components and as all 784 pixels: the share of test digits inside the hull of the training
digits (:mod:`heldout.hull`), beside the accuracy of the label of the nearest training digit at the same d. After Balestriero,
Pesenti and LeCun 2021 (arXiv 2110.09485), who find no interpolation in any high-dimensional data set.

Axes: seed, num_train (n), dimension (d; 784 stands for the pixels themselves).
Deviations: principal components of the training digits; the paper also grows patches from the image's corner or center, and
uses trained embeddings. Some queries are decided a second time, one linear program each.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from torch import Tensor

from heldout import hull
from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.data import Samples
from heldout.data.digit_task import check_sizes, split
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.interpolation.digit_hulls import PIXELS, components, decide_twice, nearest_rows, reduce

FIRST_EMPTY, JUDGED = 16, 32  # dimensions that the claims are about


@dataclass(frozen=True, kw_only=True)
class Config:
    """Digits, dimensions, and how much is checked by linear programs."""

    digits: str = "bundled"
    num_train: int = 3000
    other_counts: tuple[int, ...] = ()  # further numbers of training digits
    components: tuple[int, ...] = (2, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64)
    low_rank: int = 5  # the control's digits are rebuilt from so many principal components, in all 784 pixels
    num_queries: int = 1000  # test digits asked about
    num_test: int = 1900  # test digits classified
    checked: tuple[int, ...] = (16, 784)  # dimensions in which linear programs decide again, on the first seed
    num_checked: int = 2  # test digits a dimension, and a tenth as many (at least one) mixtures of training digits
    num_seeds: int = 5
    first_seed: int = 200  # 100 to 104 were judged first, with more dimensions, which took too long

    def __post_init__(self) -> None:
        check_sizes(self.digits, self.num_train, 1, self.num_test)
        components = self.components
        require(components == tuple(sorted(set(components))), "components", components, "increasing")
        require(components[0] >= 1 and components[-1] < PIXELS, "components", components, "from 1 to 783")
        require({self.low_rank, FIRST_EMPTY, JUDGED} <= set(components), "components", components, "with 5, 16 and 32")
        require(
            self.num_train > PIXELS, "num_train", self.num_train, f"at least {PIXELS + 1}, for a hull in pixel space"
        )
        pool = 60_000 if self.digits == "full" else self.num_train
        fine = all(PIXELS < n <= pool and n != self.num_train for n in self.other_counts)
        require(fine, "other_counts", self.other_counts, f"other numbers from {PIXELS + 1} to {pool}")
        require(1 <= self.num_queries <= self.num_test, "num_queries", self.num_queries, "from 1 to num_test")
        require(set(self.checked) <= {*components, PIXELS}, "checked", self.checked, "among components, or 784")
        require(1 <= self.num_checked <= self.num_queries, "num_checked", self.num_checked, "from 1 to num_queries")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    num_train=1000, other_counts=(800,), components=(5, 16, 32), num_queries=50, num_test=200, checked=(5, 784),
    num_checked=2, num_seeds=2, first_seed=0,
)  # fmt: skip
BOOK = Config()
PAPER = Config(
    digits="full", other_counts=(10_000,), components=(2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 32, 64),
    num_test=10_000, checked=(784,), num_checked=1000, first_seed=100,
)  # fmt: skip


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Ask for every seed, number of training digits and dimension.

    Returns:
        inside (seed, num_train, dimension), share of test digits in the hull; accuracy, of the nearest training digit's label;
        accuracy_permuted, the same with the training labels permuted; inside_low_rank, accuracy_low_rank (seed), in pixel space
        with all digits rebuilt from ``low_rank`` principal components; and, of the first seed (checked): asked, lp_inside,
        agreed (the linear program and the hull test say the same), box_agreed (the program and the bounding box do).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    counts = sorted({config.num_train, *config.other_counts})
    dimensions = [*config.components, PIXELS]
    inside, accuracy, permuted = (np.empty((len(seeds), len(counts), len(dimensions))) for _ in range(3))
    low_rank, checks = np.empty((len(seeds), 2)), np.zeros((len(config.checked), 4), dtype=int)
    for s, seed in enumerate(seeds):
        pool, _, test = split(config.digits, seed, counts[-1], 1, config.num_test)
        for i, n in enumerate(counts):
            shuffled = pool.y[:n][torch.randperm(n, generator=generator("hull_membership", seed))]
            basis, mean = components(pool.x[:n], config.components[-1])
            for j, d in enumerate(dimensions):
                known, asked = (reduce(x, basis, mean, d) for x in (pool.x[:n], test.x))
                found = hull.membership(known, asked[: config.num_queries], device=device)
                inside[s, i, j] = found.inside.double().mean()
                nearest = nearest_rows(known, asked, device)
                accuracy[s, i, j] = (pool.y[:n][nearest] == test.y).double().mean()
                permuted[s, i, j] = (shuffled[nearest] == test.y).double().mean()
                if s == 0 and n == config.num_train and d in config.checked:
                    checks[config.checked.index(d)] = decide_twice(
                        known, asked[: config.num_checked], generator("mixtures", seed)
                    )
                progress((s * len(counts) + i) * len(dimensions) + j + 1, inside.size)
            if n == config.num_train:
                low_rank[s] = flattened(config, pool[:n], test, basis, mean, device)
    return _record(config, seeds, counts, dimensions, (inside, accuracy, permuted), low_rank, checks)


def _record(
    config: Config, seeds: list[int], counts: list[int], dimensions: list[int],
    shares: tuple[Float[np.ndarray, "seed n d"], ...], low_rank: Float[np.ndarray, "seed 2"],
    checks: Int[np.ndarray, "checked 4"],
) -> xr.Dataset:  # fmt: skip
    inside, accuracy, permuted = shares
    dims = ("seed", "num_train", "dimension")
    return xr.Dataset(
        {
            "inside": variable(dims, inside, "share of test digits inside the hull"),
            "accuracy": variable(dims, accuracy, "accuracy of the nearest training digit"),
            "accuracy_permuted": variable(dims, permuted, "the same, training labels permuted"),
            "inside_low_rank": variable("seed", low_rank[:, 0], "share inside, digits of low rank in pixel space"),
            "accuracy_low_rank": variable("seed", low_rank[:, 1], "accuracy, digits of low rank in pixel space"),
            "asked": variable("checked", checks[:, 0], "points decided twice, first seed"),
            "lp_inside": variable("checked", checks[:, 1], "inside by the linear program, first seed"),
            "agreed": variable("checked", checks[:, 2], "linear program and hull test agree, first seed"),
            "box_agreed": variable("checked", checks[:, 3], "linear program and bounding box agree, first seed"),
        },
        {
            "seed": seeds,
            "num_train": variable("num_train", counts, "training digits n"),
            "dimension": variable("dimension", dimensions, "dimension d"),
            "checked": variable("checked", list(config.checked), "dimension d"),
        },
        {"judged_count": config.num_train, "low_rank": config.low_rank},
    )


def flattened(
    config: Config, train: Samples, test: Samples, basis: Float[Tensor, "d count"], mean: Float[Tensor, " d"],
    device: torch.device,
) -> tuple[float, float]:  # fmt: skip
    """Share inside and accuracy in pixel space when every digit is rebuilt from a few components."""
    few = basis[:, : config.low_rank]
    known, asked = (mean + (x.double() - mean) @ few @ few.T for x in (train.x, test.x))
    found = hull.membership(known, asked[: config.num_queries], device=device)
    right = train.y[nearest_rows(known, asked, device)] == test.y
    return float(found.inside.double().mean()), float(right.double().mean())


def judged(result: xr.Dataset) -> xr.Dataset:
    """The record at the number of training digits that the claims are about."""
    return result.sel(num_train=int(result.judged_count))


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Share of test digits inside the hull, and accuracy of the nearest neighbor, against dimension (log scale)."""
    ax = style.axes(ax)
    one, d = judged(result), result.dimension.values
    style.band(ax, d, one.accuracy.values, color=style.BLUE, marker=".")
    style.band(ax, d, one.inside.values, color=style.VERMILION, marker=".")
    ax.annotate("nearest neighbor right", (64, 0.90), color=style.BLUE, ha="center", va="top")
    ax.annotate("inside the hull", (15, 0.06), color=style.VERMILION, ha="left")
    ax.set(xscale="log", ylim=(-0.02, 1.02), xlabel="dimension d (log scale)", ylabel="share of test digits")
    ticks = [tick for tick in (2, 4, 8, 16, 32, 64, PIXELS) if tick in d]
    ax.set_xticks(ticks, [str(tick) if tick != PIXELS else "784\npixels" for tick in ticks])
    ax.minorticks_off()
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes, as medians over seeds."""
    one = judged(result).median("seed")
    beyond = judged(result).inside.where(result.dimension >= FIRST_EMPTY, drop=True)
    found: dict[str, float | int | str] = {
        "seeds": result.sizes["seed"],
        "n": int(result.judged_count),
        "low_rank": int(result.low_rank),
        "inside_low_rank": float(result.inside_low_rank.median()),
        "accuracy_low_rank": float(result.accuracy_low_rank.median()),
        "most_inside_beyond": float(beyond.max()),
        "permuted": float(judged(result).accuracy_permuted.sel(dimension=JUDGED).median()),
        "asked": int(result.asked.sum()),
        "agreed": int(result.agreed.sum()),
        "lp_inside": int(result.lp_inside.sum()),
        "box_agreed": int(result.box_agreed.sum()),
        "most_n": int(result.num_train[-1]),
    }
    for d in (5, 8, FIRST_EMPTY, JUDGED, PIXELS):
        at = one.sel(dimension=d, method="nearest")
        most = result.sel(dimension=d, method="nearest").isel(num_train=-1).median("seed")
        found |= {f"inside_{d}": float(at.inside), f"accuracy_{d}": float(at.accuracy)}
        found |= {f"most_inside_{d}": float(most.inside), f"most_accuracy_{d}": float(most.accuracy)}
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    m = numbers(result)
    return (
        f"Two curves over the dimension, 2 to 784. The share of test digits inside the hull of {m['n']:,} training digits falls "
        f"from nearly 1 through {m['inside_8']:.2f} in 8 dimensions to {m['inside_16']:.3f} in 16 and is about 0 from there to "
        f"all 784 pixels. The nearest training digit's accuracy rises meanwhile, to {m['accuracy_32']:.2f} in 32 dimensions."
    )


def _low_rank(result: xr.Dataset) -> xr.Dataset:
    """The record with the digits of low rank in the place of the pixels: as many dimensions, a hull of five."""
    here = result.dimension == PIXELS
    return result.assign(inside=result.inside.where(~here, result.inside_low_rank))


def _as_on_the_components(result: xr.Dataset) -> Evidence:
    """Predicted: as many are inside as on the same five components by themselves."""
    alone = judged(result).inside.sel(dimension=int(result.low_rank))
    return across_seeds(abs(result.inside_low_rank - alone), below=0.01)


_FLAT = Control(
    says="784 pixels, but every digit rebuilt from five principal components",
    change=_low_rank,
    manipulation=_as_on_the_components,
)


def _agreement(result: xr.Dataset, ours: str) -> Evidence:
    """The share of points on which the linear program and another test agree."""
    asked, agreed = int(result.asked.sum()), int(result[ours].sum())
    return Evidence(value=agreed / asked, bound=f"= 1 on {asked} points", holds=agreed == asked)


def _both_answers(result: xr.Dataset) -> Evidence:
    """Among the points are some that the linear program finds inside, and some outside."""
    share = float(result.lp_inside.sum() / result.asked.sum())
    return Evidence(value=share, bound="above 0 and below 1", holds=0 < share < 1)


CLAIMS = (
    Claim(
        id="hull_membership.empty",
        says="At 3,000 training digits no more than .005 of the test digits are inside on 16 or more principal components.",
        rows=("S0.9", "S0.11"),
        source="Balestriero et al. 2021, arXiv 2110.09485",
        check=lambda result: across_seeds(
            judged(result).inside.where(result.dimension >= FIRST_EMPTY).max("dimension"), below=0.005 + 1e-9
        ),
        control=_FLAT,
    ),
    Claim(
        id="hull_membership.pixels",
        says="In pixel space none of the test digits asked about is inside.",
        rows=("S0.9", "S0.11"),
        source="Balestriero et al. 2021, arXiv 2110.09485; Yousefzadeh 2021, arXiv 2101.09849",
        check=lambda result: across_seeds(judged(result).inside.sel(dimension=PIXELS), below=0.0005),
        control=_FLAT,
    ),
    Claim(
        id="hull_membership.accuracy",
        says="On 32 components, where hardly any test digit is inside, the nearest training digit is right on more than .93.",
        rows=("S0.9",),
        source="this book",
        check=lambda result: across_seeds(judged(result).accuracy.sel(dimension=JUDGED), above=0.93),
        control=Control(
            says="the training labels permuted: the hull is the same, and accuracy is chance",
            change=lambda result: result.assign(accuracy=result.accuracy_permuted),
            manipulation=lambda result: across_seeds(
                abs(judged(result).accuracy_permuted.sel(dimension=JUDGED) - 0.1), below=0.05
            ),
        ),
    ),
    Claim(
        id="hull_membership.exact",
        says="On every point decided twice, the hull test and a linear program say the same.",
        rows=("S0.9",),
        source="this book",
        check=lambda result: _agreement(result, "agreed"),
        control=Control(
            says="the bounding box of the training digits in the place of their hull",
            change=lambda result: result.assign(agreed=result.box_agreed),
            manipulation=_both_answers,
        ),
    ),
)
