"""Theory as an oracle: the risk of least squares on Gaussian features, simulated and exact.

Least squares on the first ``p`` of ``d`` features, of minimum norm where p > n. The exact expected risk at finite d, n, p is
that of Belkin, Hsu and Xu 2020 (arXiv 1903.07571); the limit at fixed p / n that of Hastie, Montanari, Rosset and Tibshirani
2022 (arXiv 1903.08560). Both are derived on the page.

Axes: seed (a block of trials), point (a pair of case and p; a case fixes d, n and the signal), distribution and aspect (p / n) of
the limit. Deviations: the features in use are the first p, not a random set; cases 2 and 3 and the features of -1 and 1 are ours.
The mean is infinite where |p - n| <= 1 and its standard error where |p - n| <= 3, so means are judged from |p - n| >= 5 on.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes

from heldout.claims import Claim, Control
from heldout.double_descent import gaussian_checks as checks
from heldout.double_descent.gaussian_theory import exact_risk, feature_counts, limit_risk, signal, simulate, split
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style

DISTRIBUTIONS = ("gaussian", "sign")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the simulation. ``dims``, ``train_counts`` and ``decays`` have one entry a case."""

    dims: tuple[int, ...] = (100, 200, 120)  # d, features that the target depends on
    train_counts: tuple[int, ...] = (40, 100, 60)  # n
    decays: tuple[float, ...] = (0.0, 0.0, 1.0)  # the signal's weight on feature j is proportional to j^-decay
    noise_std: float = 0.2  # standard deviation of the noise; the target's weights have norm 1
    ridge: float = 0.0  # added to the diagonal of the Gram matrix
    correlation: float = 0.0  # of neighboring features
    trials_per_seed: int = 250
    limit_train_count: int = 200  # n of the simulation beside the limit
    limit_noise_std: float = 0.5
    aspects: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9, 1.1, 1.25, 1.5, 2.0, 3.0)  # p / n, every feature used
    limit_trials: int = 60
    num_seeds: int = 8
    first_seed: int = 100

    def __post_init__(self) -> None:
        sizes = {len(self.dims), len(self.train_counts), len(self.decays)}
        require(
            len(sizes) == 1 and 0 not in sizes, "dims", self.dims, "as long as train_counts and decays, and not empty"
        )
        require(min(self.train_counts) >= 4, "train_counts", self.train_counts, "counts of at least 4")
        require(min(self.dims) >= 4, "dims", self.dims, "dimensions of at least 4")
        require(min(self.decays) >= 0, "decays", self.decays, "0 or more")
        require(self.noise_std >= 0, "noise_std", self.noise_std, "0 or more")
        require(self.ridge >= 0, "ridge", self.ridge, "0 or more")
        require(-1 < self.correlation < 1, "correlation", self.correlation, "between -1 and 1")
        require(self.trials_per_seed >= 2, "trials_per_seed", self.trials_per_seed, "at least 2")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")
        require(self.limit_train_count >= 4, "limit_train_count", self.limit_train_count, "at least 4")
        require(self.limit_noise_std >= 0, "limit_noise_std", self.limit_noise_std, "0 or more")
        require(
            min(self.aspects) > 0 and 1.0 not in self.aspects, "aspects", self.aspects, "positive and none equal to 1"
        )
        require(self.limit_trials >= 2, "limit_trials", self.limit_trials, "at least 2")


SMOKE = Config(
    trials_per_seed=100, num_seeds=5, limit_train_count=100, limit_trials=60, aspects=(0.5, 0.75, 1.5), first_seed=0
)
BOOK = Config()
PAPER = Config(num_seeds=400, limit_train_count=1000, limit_trials=200)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Simulate every case at every p, and the isotropic problem at every aspect.

    Returns:
        mean, standard_error, median, low, high (10 and 90 % quantiles over all trials), exact, signal_in
        (squared norm of the target's weights on the features in use) (point) and seed_mean (seed, point); limit_simulated,
        limit_exact (distribution, aspect) and limit_theory (aspect). All are risks: expected squared errors on a new noisy
        target, in squared units of the target; those of the limit are excess risks, without the noise of the new target.
    """
    cases = list(zip(config.dims, config.train_counts, config.decays, strict=True))
    limit_total = len(DISTRIBUTIONS) * len(config.aspects) * config.limit_trials
    advance = _counter(progress, len(cases) * config.num_seeds * config.trials_per_seed + limit_total)
    shared: dict[str, Any] = {"ridge": config.ridge, "correlation": config.correlation, "device": device}
    shared["advance"] = advance
    columns: dict[str, list[Float[np.ndarray, "... point"]]] = {}
    for case, (dim, n, decay) in enumerate(cases):
        for name, values in _case(config, case, dim, n, decay, shared).items():
            columns.setdefault(name, []).append(values)
    joined = {name: np.concatenate(parts, axis=-1) for name, parts in columns.items()}
    return _dataset(config, joined, _limit(config, shared))


def _case(
    config: Config, case: int, dim: int, n: int, decay: float, shared: dict[str, Any]
) -> dict[str, Float[np.ndarray, "... point"]]:
    """Simulation and theory of one case at all its p."""
    counts, weights, seeds = feature_counts(dim, n), signal(dim, decay), _seeds(config)
    options = shared | {"noise_std": config.noise_std, "trials": config.trials_per_seed}
    risks_STK = np.stack([simulate("gaussian", n, counts, weights, seed=seed, **options) for seed in seeds])
    risks_TK = risks_STK.reshape(-1, len(counts))
    low, median, high = np.quantile(risks_TK, [0.1, 0.5, 0.9], axis=0)
    return {
        "case": np.full(len(counts), case),
        "feature_count": np.array(counts),
        "train_count": np.full(len(counts), n),
        "seed_mean": risks_STK.mean(1),
        "mean": risks_TK.mean(0),
        "standard_error": risks_TK.std(0, ddof=1) / np.sqrt(len(risks_TK)),
        "low": low,
        "median": median,
        "high": high,
        "exact": np.array([exact_risk(n, p, *split(weights, p), config.noise_std) for p in counts]),
        "signal_in": np.array([split(weights, p)[0] for p in counts]),
    }


def _seeds(config: Config) -> range:
    return range(config.first_seed, config.first_seed + config.num_seeds)


def _dataset(
    config: Config,
    joined: dict[str, Float[np.ndarray, "... point"]],
    simulated: Float[np.ndarray, "distribution aspect"],
) -> xr.Dataset:
    units = "squared units of the target"
    words = {"case": "case", "feature_count": "features used p", "train_count": "training samples n"}
    theory = [limit_risk(aspect, 1.0, config.limit_noise_std) for aspect in config.aspects]
    return xr.Dataset(
        {
            name: variable(("seed", "point") if values.ndim == 2 else "point", values, f"risk: {name}", units)
            for name, values in joined.items()
            if name not in words
        }
        | {
            "limit_simulated": variable(("distribution", "aspect"), simulated, "excess risk, simulated", units),
            "limit_theory": variable("aspect", theory, "excess risk, limit", units),
        },
        {name: variable("point", joined[name], words[name]) for name in words}
        | {
            "seed": list(_seeds(config)),
            "distribution": list(DISTRIBUTIONS),
            "aspect": variable("aspect", list(config.aspects), "features per sample p / n"),
        },
        {
            "noise_std": config.noise_std,
            "dims": list(config.dims),
            "num_trials": config.num_seeds * config.trials_per_seed,
            "ridge": config.ridge,
        },
    )


def _counter(progress: Progress, total: int) -> Callable[[int], None]:
    """A callback that adds up the trials done."""
    done = 0

    def advance(trials: int) -> None:
        nonlocal done
        done += trials
        progress(done, total)

    return advance


def _limit(config: Config, shared: dict[str, Any]) -> Float[np.ndarray, "distribution aspect"]:
    """Mean excess risk over trials with all p features in use, p = aspect * n."""
    n, found = config.limit_train_count, np.empty((len(DISTRIBUTIONS), len(config.aspects)))
    for i, distribution in enumerate(DISTRIBUTIONS):
        for j, aspect in enumerate(config.aspects):
            p = round(aspect * n)
            weights, noise = signal(p, 0.0), config.limit_noise_std
            risks = simulate(
                distribution,
                n,
                (p,),
                weights,
                noise_std=noise,
                trials=config.limit_trials,
                seed=config.first_seed,
                **shared,
            )
            found[i, j] = risks.mean() - noise**2
    return found


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Exact risk (lines), mean of the simulation (dots) where it is judged, and the medians next to the threshold (crosses)."""
    ax = style.axes(ax)
    for case, color in zip(np.unique(result.case.values), style.COLORS, strict=False):
        part, means = checks.of_case(result, int(case)), checks.judged(checks.of_case(result, int(case)))
        n, dim = int(part.train_count[0]), result.attrs["dims"][int(case)]
        exact = part.exact.where(np.isfinite(part.exact))
        ax.plot(part.feature_count / n, exact, color=color, label=f"case {int(case) + 1}: d = {dim}, n = {n}")
        ax.plot(means.feature_count / n, means["mean"], "o", color=color, markersize=4)
        close = part.isel(point=np.flatnonzero(np.abs(part.feature_count - part.train_count) < checks.JUDGED_FROM))
        ax.plot(close.feature_count / n, close["median"], "x", color=color, markersize=5)
    style.mark_threshold(ax, 1.0, "p = n")
    ax.set(yscale="log", xlabel="features used per training sample, p / n", ylabel="risk (log scale)")
    ax.legend(loc="upper right")
    return ax


def plot_limit(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Simulated excess risk over the limit's, for Gaussian features and for features that are only -1 or 1."""
    ax = style.axes(ax)
    for name, color, shape in zip(DISTRIBUTIONS, (style.BLUE, style.VERMILION), ("o", "s"), strict=True):
        values = result.limit_simulated.sel(distribution=name)
        ax.plot(result.aspect, values, shape, color=color, markersize=5, label=f"simulated, {name} features")
    for side in (result.aspect < 1, result.aspect > 1):
        part = result.isel(aspect=np.flatnonzero(side))
        ax.plot(part.aspect, part.limit_theory, color=style.MUTED, label="limit" if side[0] else None)
    style.mark_threshold(ax, 1.0, "p = n")
    ax.set(yscale="log", xlabel="p / n", ylabel="excess risk (log scale)")
    ax.legend(loc="upper right")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: the largest deviations, the landmarks of each case, and the sample count beside the limit."""
    return checks.numbers(result) | {"limit_n": int(json.loads(result.attrs["config"])["limit_train_count"])}


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Risk against p / n, on a log scale. The simulated means lie on the exact curves of {len(np.unique(result.case))} "
        f"cases, at most {n['largest_z']:.1f} standard errors away. Every curve shoots up at p = n. In case 1 it ends at "
        f"{n['case1_last']:.2g}, below everything before the threshold; in case 3, whose features come in order of "
        f"importance, the lowest risk, {n['case3_best_under']:.2g}, is at p = {n['case3_best_under_p']}, far before it."
        if "case3_last" in n
        else f"Risk against p / n. The simulated means lie at most {n['largest_z']:.1f} standard errors from the exact curves."
    )


QUICK = replace(BOOK, num_seeds=2, limit_trials=2, aspects=(0.5, 1.5))

CLAIMS = (
    Claim(
        id="gaussian_risk.exact",
        says="The simulated mean risk is within 4 standard errors of the exact one at every p with |p - n| >= 5, in all cases.",
        rows=("S0.6", "S2.3"),
        source="Belkin, Hsu and Xu 2020, arXiv 1903.07571, Gaussian features",
        check=checks.agrees,
        control=Control(
            says="the formula without the term for the features left out",
            change=checks.without_omitted_features,
            manipulation=checks.right_where_none_is_left_out,
        ),
    ),
    Claim(
        id="gaussian_risk.peak",
        says="In every case the median risk is largest at p = n, give or take one feature.",
        rows=("S0.6",),
        source="Belkin, Hsu and Xu 2020, arXiv 1903.07571, Gaussian features: infinite mean for |p - n| <= 1",
        check=checks.peak_offset,
        control=Control(
            says="ridge regression with ridge 10 on the same draws",
            config=replace(QUICK, ridge=10.0),
            manipulation=checks.ends_low,
        ),
    ),
    Claim(
        id="gaussian_risk.order",
        says="With all features alike the lowest risk is beyond p = n; with features in order of importance, before it.",
        rows=("S0.6", "S2.3"),
        source="Belkin, Hsu and Xu 2020, arXiv 1903.07571, abstract",
        check=checks.order_decides,
        control=Control(
            says="case 3 with a flat signal",
            config=replace(QUICK, decays=(0.0, 0.0, 0.0)),
            manipulation=checks.agrees,
        ),
    ),
    Claim(
        id="gaussian_risk.limit",
        says="At every p / n at least 0.25 from 1 the excess risk is within 10 % of the limit, for Gaussian features and for "
        "features of -1 and 1.",
        rows=("S0.6",),
        source="Hastie, Montanari, Rosset and Tibshirani 2022, arXiv 1903.08560, isotropic features",
        check=checks.near_limit,
        control=Control(
            says="neighboring features with correlation 0.9, beyond p = n",
            config=replace(BOOK, trials_per_seed=2, limit_trials=40, correlation=0.9),
            manipulation=checks.right_below_one,
        ),
    ),
)
