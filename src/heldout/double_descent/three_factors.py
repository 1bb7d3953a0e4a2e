"""Three factors that least squares needs for its peak at n = d, each taken away in turn, on real data.

Linear regression on n training samples with d fixed, of minimum norm where n < d. Taken away: the small singular values of the
training inputs; the residuals of the best linear fit; the share of the test inputs outside the leading directions of the
training inputs. After Schaeffer et al. 2023 (arXiv 2303.14151), who name the factors and run the ablations.

Axes: dataset, arm, seed (the draw of the training set), train_count (n).
Deviations: inputs and targets are standardized over the whole data set; the cutoff is relative to the largest singular value;
training sets of one seed are nested; the error is measured on all samples not trained on.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.double_descent import three_factors_checks as checks
from heldout.double_descent.ablations import errors, load, modes_of, order, problem_of
from heldout.double_descent.three_factors_checks import ARMS, DATASETS, EXACT
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style

NAMES = {
    "unablated": "as it is",
    "cut": "small singular values cut",
    "no_residuals": "no residuals",
    "leading": "tested on leading directions",
}
DATASET_NAMES = {"diabetes": "diabetes", "auto_mpg": "fuel consumption", "synthetic": "synthetic"}
COLORS = (style.VERMILION, style.BLUE, style.GREEN, style.PINK)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which data, and how far each factor is taken away."""

    max_train: int = 60
    cutoff: float = 0.3  # singular values below this share of the largest are dropped; 0 drops none
    residual_share: float = 0.0  # of the residuals left in the targets of the arm without residuals; 1 leaves all
    leading_share: float = 0.25  # of the d directions that the test inputs keep; 1 keeps all
    cutoffs: tuple[float, ...] = (0.0, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5)  # shown one by one
    synthetic_dim: int = 20
    synthetic_samples: int = 1000
    synthetic_noise_std: float = 0.5
    num_seeds: int = 100
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(3 * self.synthetic_dim <= self.max_train, "max_train", self.max_train, "at least 3 * synthetic_dim")
        require(self.max_train <= 300, "max_train", self.max_train, "at most 300, so that samples are left to test on")
        require(0 <= self.cutoff < 1, "cutoff", self.cutoff, "at least 0 and below 1")
        require(0 <= self.residual_share <= 1, "residual_share", self.residual_share, "between 0 and 1")
        require(0 < self.leading_share <= 1, "leading_share", self.leading_share, "above 0 and at most 1")
        require(all(0 <= c < 1 for c in self.cutoffs), "cutoffs", self.cutoffs, "at least 0 and below 1")
        require(self.synthetic_dim >= 4, "synthetic_dim", self.synthetic_dim, "at least 4")
        require(
            self.synthetic_samples >= 2 * self.max_train,
            "synthetic_samples",
            self.synthetic_samples,
            "at least 2 * max_train",
        )
        require(self.synthetic_noise_std >= 0, "synthetic_noise_std", self.synthetic_noise_std, "0 or more")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(num_seeds=20, first_seed=0)
BOOK = Config()
PAPER = Config(num_seeds=400)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Fit every data set, seed and training size, with each factor in turn taken away.

    Returns:
        test_mse (dataset, arm, seed, train_count); smallest_singular_value (dataset, seed, train_count), of the training inputs;
        cutoff_mse (quantile, dataset, cutoff, train_count), quantiles of the test error over seeds at every cutoff. Inputs and
        targets are standardized, so errors are shares of the target's variance.
    """
    seeds = range(config.first_seed, config.first_seed + config.num_seeds)
    counts = range(1, config.max_train + 1)
    arms: dict[str, dict[str, Any]] = {
        "unablated": {},
        "cut": {"cutoff": config.cutoff},
        "no_residuals": {"linear": True},
        "leading": {"leading_share": config.leading_share},
    }
    shape, dims = (len(DATASETS), len(ARMS), len(seeds), len(counts)), []
    test_mse, smallest = np.empty(shape, np.float32), np.empty((shape[0], *shape[2:]), np.float32)
    cut_mse = np.empty((shape[0], len(config.cutoffs), *shape[2:]))
    for d, name in enumerate(DATASETS):
        data = load(
            name,
            dim=config.synthetic_dim,
            samples=config.synthetic_samples,
            noise_std=config.synthetic_noise_std,
            first_seed=config.first_seed,
        )
        dims.append(data.x.shape[1])
        orders = torch.stack([order(name, seed, len(data.y)) for seed in seeds])
        problem = problem_of(data, orders, config.residual_share, device)
        for i, n in enumerate(counts):
            modes = modes_of(problem, n)
            smallest[d, :, i] = modes.values[:, -1].cpu()
            for a, arm in enumerate(ARMS):
                test_mse[d, a, :, i] = errors(problem, modes, n, **arms[arm]).cpu()
            for c, cutoff in enumerate(config.cutoffs):
                cut_mse[d, c, :, i] = errors(problem, modes, n, cutoff=cutoff).cpu()
            progress(d * len(counts) + i + 1, len(DATASETS) * len(counts))
    return _dataset(config, test_mse, smallest, cut_mse, dims)


def _dataset(
    config: Config,
    test_mse: Float[np.ndarray, "dataset arm seed n"],
    smallest: Float[np.ndarray, "dataset seed n"],
    cut_mse: Float[np.ndarray, "dataset cutoff seed n"],
    dims: list[int],
) -> xr.Dataset:
    axes, share, quantiles = (
        ("dataset", "arm", "seed", "train_count"),
        "share of the target's variance",
        [0.1, 0.5, 0.9],
    )
    cut = ("quantile", "dataset", "cutoff", "train_count")
    return xr.Dataset(
        {
            "test_mse": variable(axes, test_mse, "test mean squared error", share),
            "smallest_singular_value": variable(("dataset", *axes[2:]), smallest, "smallest singular value"),
            "cutoff_mse": variable(cut, np.quantile(cut_mse, quantiles, axis=2), "test mean squared error", share),
        },
        {
            "dataset": list(DATASETS),
            "arm": list(ARMS),
            "seed": list(range(config.first_seed, config.first_seed + config.num_seeds)),
            "quantile": quantiles,
            "cutoff": variable("cutoff", list(config.cutoffs), "cutoff, share of the largest singular value"),
            "train_count": variable("train_count", list(range(1, config.max_train + 1)), "training samples n"),
            "dim": variable("dataset", dims, "input dimension d"),
        },
    )


# --- reading a record ----------------------------------------------------------------------------------------------------


def plot(result: xr.Dataset, ax: Axes | None = None, *, dataset: str = "diabetes") -> Axes:
    """Test error of one data set against n, with each factor in turn taken away; the central 80 % of seeds as a band."""
    ax = style.axes(ax)
    dim = int(result.dim.sel(dataset=dataset))
    for arm, color in zip(ARMS, COLORS, strict=True):
        values = result.test_mse.sel(dataset=dataset, arm=arm).clip(EXACT).values
        style.band(ax, result.train_count.values, values, color=color, label=NAMES[arm])
    style.mark_threshold(ax, dim, "n = d")
    top = float(result.test_mse.sel(dataset=dataset).quantile(0.9, "seed").max())
    ax.set(
        yscale="log",
        xlabel="training samples n",
        ylabel="test error (log scale)",
        ylim=(0.03, 3 * top),
        xlim=(0, 3 * dim),
    )
    ax.legend(loc="upper right")
    return ax


def plot_singular_value(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """At n = d, one dot a draw: the test error against the smallest singular value of the training inputs."""
    ax = style.axes(ax)
    for name, color in zip(DATASETS, (style.BLUE, style.VERMILION, style.GREEN), strict=True):
        error, value = checks.at_threshold(result, name)
        ax.plot(value, error, "o", color=color, markersize=4, label=DATASET_NAMES[name])
    ax.set(xscale="log", yscale="log", xlabel="smallest singular value (log scale)", ylabel="test error (log scale)")
    ax.legend(loc="upper right")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: of each data set its d, the errors at n = d and at the end, and how far each ablation lowers it."""
    found: dict[str, float | int | str] = {"seeds": result.sizes["seed"], "last_n": int(result.train_count[-1])}
    for name in DATASETS:
        dim = int(result.dim.sel(dataset=name))
        curves = result.test_mse.sel(dataset=name).median("seed")
        found |= {
            f"{name}_d": dim,
            f"{name}_peak_n": checks.peak(result, name),
            f"{name}_rise": checks.rise(result, name, "unablated"),
            f"{name}_half": float(curves.sel(arm="unablated", train_count=max(1, dim // 2))),
            f"{name}_at_d": float(curves.sel(arm="unablated", train_count=dim)),
            f"{name}_end": float(curves.sel(arm="unablated")[-1]),
            f"{name}_rank_correlation": checks.rank_correlation(result, name),
        }
        for arm in ARMS[1:]:
            found[f"{name}_{arm}_at_d"] = float(curves.sel(arm=arm, train_count=dim))
            found[f"{name}_{arm}_end"] = float(curves.sel(arm=arm)[-1])
            found[f"{name}_{arm}_rise"] = checks.rise(result, name, arm)
            found[f"{name}_{arm}_factor"] = checks.removal(result, name, arm)
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Test error of linear regression on the diabetes data against the number of training samples, on a log scale. As it is, "
        f"the error peaks at {n['diabetes_peak_n']} samples, the number of inputs being {n['diabetes_d']}, at "
        f"{n['diabetes_at_d']:.2g}, and falls to {n['diabetes_end']:.2g}. With small singular values cut it is "
        f"{n['diabetes_cut_at_d']:.2g} there, tested on leading directions {n['diabetes_leading_at_d']:.2g}; without residuals "
        f"it drops out of the picture."
    )


ALL_LEFT_IN = "the same code with the cutoff at 0, all residuals left in, and all directions kept"
UNTOUCHED = replace(BOOK, cutoff=0.0, residual_share=1.0, leading_share=1.0, cutoffs=(0.0,), num_seeds=20)

CLAIMS = (
    Claim(
        id="three_factors.peak",
        says="On two real data sets and a synthetic one, the median test error is largest at n = d, give or take one sample.",
        rows=("S0.6",),
        source="Schaeffer et al. 2023, arXiv 2303.14151, linear regression on real data",
        check=checks.peaks_at_dimension,
        control=Control(
            says="singular values below 0.3 of the largest cut",
            change=checks.cut_shown_as_unablated,
            manipulation=checks.still_a_fair_model,
        ),
    ),
    Claim(
        id="three_factors.each_is_needed",
        says="With any one of the three factors taken away, the median error at n = d is below 1.5 times that at n = d / 2.",
        rows=("S0.6",),
        source="Schaeffer et al. 2023, arXiv 2303.14151, ablations",
        check=checks.no_rise,
        control=Control(says=ALL_LEFT_IN, config=UNTOUCHED, manipulation=checks.nothing_taken_away),
    ),
    Claim(
        id="three_factors.singular_value",
        says="Among draws at n = d, the smaller the smallest singular value the larger the error, on all data.",
        rows=("S0.6",),
        source="this book",
        check=checks.small_value_large_error,
        control=Control(
            says="each draw beside the singular value of another draw",
            change=checks.singular_values_of_other_draws,
            manipulation=checks.same_singular_values,
        ),
    ),
)
