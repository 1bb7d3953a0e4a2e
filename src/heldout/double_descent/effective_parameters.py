"""Double descent replotted: test error of random Fourier features against the parameters they use on unseen inputs.

A least-squares fit is a smoother: its prediction at x is s(x)^T y, a weighted sum of the training targets. Noise of variance
sigma^2 in them gives the prediction the variance sigma^2 ||s(x)||^2. For ordinary least squares with p features its mean over
the *training* inputs is sigma^2 p / n, so n times the mean of ||s||^2 counts parameters; taken over *test* inputs it is the
effective number of parameters on unseen data. After Curth, Jeffares and van der Schaar 2023 (arXiv 2310.18988).

They also split the feature count N in two: the directions that are fitted (principal components of the design, at most n) and
the features in excess of them. ``switch`` is the share of n at which our models stop adding directions; 1 is plain least squares.

Axes: seed, switch, num_features (N).
Deviations: 300 digits (PAPER: 2,000) instead of 10,000; no intercept; float64. The count n * mean ||s||^2 is derived above; the
paper's code averages the same ||s||^2 over the test inputs.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.data import mnist
from heldout.data.digit_task import one_hot
from heldout.double_descent import fourier
from heldout.experiment import Progress, recorded, require
from heldout.figures import style

BUNDLED_DIGITS = 5000
UNFITTED = 1e-3  # a training error (squared) above this is no interpolation; predicting zero has 1
RATIOS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 1, 1.03, 1.1, 1.25, 1.5, 2, 3, 5, 8)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the sweep; ``feature_ratios`` are values of N / n and must include 1 and every switch."""

    num_train: int = 300
    num_test: int = 1000
    feature_ratios: tuple[float, ...] = RATIOS
    switches: tuple[float, ...] = (0.6, 0.8, 1)  # shares of n; the last must be 1, plain least squares
    frequency_std: float = fourier.SCALE  # standard deviation of the random frequencies, for pixels in [0, 1]
    num_seeds: int = 8
    first_seed: int = 100

    def __post_init__(self) -> None:
        ratios = self.feature_ratios
        require(self.num_train >= 20, "num_train", self.num_train, "at least 20")
        require(self.num_test >= 2, "num_test", self.num_test, "at least 2")
        require(bool(self.switches) and self.switches[-1] == 1, "switches", self.switches, "a tuple that ends with 1")
        require(all(0 < s <= 1 for s in self.switches), "switches", self.switches, "shares above 0 and at most 1")
        require(set(self.switches) <= set(ratios), "feature_ratios", ratios, f"a tuple that includes {self.switches}")
        require(ratios == tuple(sorted(set(ratios))), "feature_ratios", ratios, "strictly increasing")
        require(ratios[0] * self.num_train >= 1, "feature_ratios", ratios, "at least 1 / num_train")
        require(self.frequency_std > 0, "frequency_std", self.frequency_std, "above 0")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(
    num_train=100, num_test=200, feature_ratios=(0.2, 0.4, 0.6, 0.8, 1, 1.25, 2, 5), num_seeds=3, first_seed=0
)
BOOK = Config()
PAPER = Config(num_train=2000, num_test=3000, num_seeds=5)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Fit every feature count and switch on every seed.

    Returns:
        test_mse, train_mse (mean over samples of the squared distance to the one-hot label), test_error (share of digits
        misclassified), test_parameters and train_parameters (n * mean ||s||^2), all (seed, switch, num_features).
    """
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    counts = [round(ratio * config.num_train) for ratio in config.feature_ratios]
    names = ("test_mse", "train_mse", "test_error", "test_parameters", "train_parameters")
    found = {name: np.empty((len(seeds), len(config.switches), len(counts))) for name in names}
    for s, seed in enumerate(seeds):
        x, labels, test_x, test_labels = (
            part.to(device) for part in split(config.num_train, config.num_test, "effective", seed)
        )
        frequencies, phases = fourier.draw(counts[-1], seed, dimension=x.shape[1], scale=config.frequency_std)
        train, test = (fourier.features(part, frequencies, phases) for part in (x, test_x))
        for k, count in enumerate(counts):
            left, values, right = torch.linalg.svd(train[:, :count], full_matrices=False)
            test_part = test[:, :count] @ right.T / values  # the smoother at x is left @ test_part[x]
            for w, switch in enumerate(config.switches):
                rank = min(count, round(switch * config.num_train))
                one = measure(left[:, :rank], test_part[:, :rank], labels, test_labels)
                for name in names:
                    found[name][s, w, k] = one[name]
        progress(s + 1, len(seeds))
    return _dataset(config, seeds, counts, found)


def measure(
    left: Float[Tensor, "n rank"],
    test_part: Float[Tensor, "test rank"],
    labels: Int[Tensor, " n"],
    test_labels: Int[Tensor, " test"],
) -> dict[str, float]:
    """Errors and effective parameters of the fit on the first ``rank`` principal components."""
    targets, test_targets = one_hot(labels), one_hot(test_labels)
    scores = left.T @ targets
    predicted = test_part @ scores
    return {
        "test_mse": float((predicted - test_targets).square().sum(1).mean()),
        "train_mse": float((left @ scores - targets).square().sum(1).mean()),
        "test_error": float((predicted.argmax(1) != test_labels).double().mean()),
        "test_parameters": len(left) * float(test_part.square().sum(1).mean()),
        "train_parameters": float(left.square().sum()),
    }


def split(num_train: int, num_test: int, *coordinates: int | str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training digits, labels, test digits, labels: of the bundled 5,000 where these suffice, else of the full MNIST.

    Raises:
        DataError: the full set is needed and was not fetched.
    """
    if num_train + num_test <= BUNDLED_DIGITS:
        both = mnist.bundled(0).shuffled(*coordinates)
        train, test = both[:num_train], both[num_train : num_train + num_test]
    else:
        train, test = mnist.full()
        train, test = train.shuffled(*coordinates)[:num_train], test[:num_test]
    return train.x, train.y, test.x, test.y


def _dataset(config: Config, seeds: list[int], counts: list[int], found: dict[str, np.ndarray]) -> xr.Dataset:
    words = {
        "test_mse": "test error (squared)",
        "train_mse": "training error (squared)",
        "test_error": "share of test digits misclassified",
        "test_parameters": "effective parameters at test inputs",
        "train_parameters": "effective parameters at training inputs",
    }
    dims = ("seed", "switch", "num_features")
    return xr.Dataset(
        {name: (dims, found[name], {"long_name": words[name], "units": "1"}) for name in found},
        {
            "seed": seeds,
            "switch": ("switch", list(config.switches), {"long_name": "fitted directions at most, / n", "units": "1"}),
            "num_features": ("num_features", counts, {"long_name": "random features N", "units": "1"}),
        },
        {"num_train": config.num_train},
    )


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error against effective parameters at test inputs (medians over seeds), joined in the order of N: it folds."""
    ax = style.axes(ax)
    middle, n = result.sel(switch=1).median("seed"), int(result.num_train)
    parts = ((slice(None, n), style.VERMILION, "N ≤ n"), (slice(n, None), style.BLUE, "N ≥ n"))
    for part, color, label in parts:
        piece = middle.sel(num_features=part)
        ax.plot(piece.test_parameters, piece.test_mse, "o-", markersize=4, color=color, label=label)
    for point in (middle.isel(num_features=0), middle.isel(num_features=-1)):
        name, x, y = f"N = {int(point.num_features):,}", float(point.test_parameters), float(point.test_mse)
        ax.annotate(name, (x, y), xytext=(-4, -14), textcoords="offset points", color=style.MUTED)
    style.mark_threshold(ax, n, "n")
    ax.margins(y=0.12)
    ax.set(xscale="log", yscale="log", xlabel="effective parameters at test inputs (log scale)")
    ax.set_ylabel("test error, squared (log scale)")
    ax.legend(loc="upper left")
    return ax


def plot_counts(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Effective parameters against the features N: at test inputs they come down again, at training inputs they stop at n."""
    ax = style.axes(ax)
    plain, x = result.sel(switch=1), result.num_features.values
    style.band(ax, x, plain.test_parameters.values, color=style.BLUE, label="at test inputs")
    style.band(ax, x, plain.train_parameters.values, color=style.GREEN, label="at training inputs")
    style.mark_threshold(ax, int(result.num_train), "N = n")
    ax.set(xscale="log", yscale="log", xlabel="random features N (log scale)")
    ax.set_ylabel("effective parameters (log scale)")
    ax.legend(loc="upper left")
    return ax


def plot_switches(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Test error against N, one line for each switch: the peak is where the model stops adding fitted directions."""
    ax = style.axes(ax)
    colors = (style.GREEN, style.ORANGE, style.BLUE, style.PINK, style.SKY)
    for switch, color in zip(result.switch.values, colors, strict=False):
        values = result.test_mse.sel(switch=switch).values
        label = f"directions added up to {round(float(switch) * int(result.num_train)):,}"
        style.band(ax, result.num_features.values, values, color=color, label=label)
    style.mark_threshold(ax, int(result.num_train), "N = n")
    ax.set(xscale="log", yscale="log", xlabel="random features N (log scale)", ylabel="test error, squared (log scale)")
    ax.legend(loc="upper left")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes (medians over seeds)."""
    n, middle = int(result.num_train), result.median("seed")
    plain = middle.sel(switch=1)
    last, before = plain.isel(num_features=-1), plain.sel(num_features=slice(None, n))
    rising = before.isel(num_features=slice(int(before.test_mse.argmin("num_features")), None))
    found: dict[str, float | int | str] = {
        "n": n,
        "seeds": result.sizes["seed"],
        "last_N": int(last.num_features),
        "peak_N": int(plain.test_mse.idxmax()),
        "parameters_peak_N": int(plain.test_parameters.idxmax()),
        "parameters_at_n": float(plain.test_parameters.sel(num_features=n)),
        "parameters_end": float(last.test_parameters),
        "train_parameters_end": float(last.train_parameters),
        "mse_valley": float(before.test_mse.min()),
        "mse_valley_N": int(before.test_mse.idxmin()),
        "mse_valley_parameters": float(rising.test_parameters[0]),
        "mse_at_n": float(plain.test_mse.sel(num_features=n)),
        "mse_end": float(last.test_mse),
        "error_end": float(last.test_error),
        "mse_left_at_same_parameters": float(np.interp(last.test_parameters, before.test_parameters, before.test_mse)),
    }
    for switch in result.switch.values:
        curve = middle.test_mse.sel(switch=switch)
        beyond = curve.where(curve.num_features >= 0.5 * switch * n, drop=True)
        found[f"switch_{100 * switch:.0f}_peak_N"] = int(beyond.idxmax())
        found[f"switch_{100 * switch:.0f}_peak"] = float(beyond.max())
    return found


def describe(result: xr.Dataset) -> str:
    """The main figure in words."""
    m = numbers(result)
    return (
        f"Test error against effective parameters at test inputs, both on log scales, joined in the order of the feature count. "
        f"Up to N = {m['n']} the path runs right and up to {m['parameters_at_n']:.2g} effective parameters; beyond, it turns "
        f"back left and down, and ends at {m['parameters_end']:.3g} effective parameters with error {m['mse_end']:.2g}."
    )


def _folds(result: xr.Dataset) -> Evidence:
    """Per seed: effective parameters of the largest model over those at N = n, which must be their maximum over N."""
    values, n = result.test_parameters.sel(switch=1), int(result.num_train)
    at_threshold = values.sel(num_features=slice(0.97 * n, 1.03 * n)).max("num_features")
    is_peak = at_threshold >= 0.999 * values.max("num_features")
    return across_seeds((values.isel(num_features=-1) / at_threshold).where(is_peak), below=0.5)


def _interpolates(result: xr.Dataset) -> Evidence:
    return across_seeds(result.train_mse.sel(switch=1).isel(num_features=-1), below=1e-10)


def _train_inputs(result: xr.Dataset) -> xr.Dataset:
    """The same models, with the smoother's weights read at the training inputs instead."""
    return result.assign(test_parameters=result.train_parameters)


def _distance(result: xr.Dataset, share: float) -> xr.DataArray:
    """Per seed: how far from N = share * n the error of the switch at 0.8 n is largest (from N = n / 2 on), relative."""
    n = int(result.num_train)
    curve = result.test_mse.sel(switch=0.8, num_features=slice(0.5 * n, None))
    return xr.DataArray(abs(curve.idxmax("num_features") / (share * n) - 1))


def _moved_peak(result: xr.Dataset) -> Evidence:
    """Per seed: distance of the peak from N = 0.8 n; infinite where the model with that many features interpolates."""
    there = result.train_mse.sel(switch=0.8).sel(num_features=0.8 * int(result.num_train), method="nearest")
    return across_seeds(_distance(result, 0.8).where(there > UNFITTED, np.inf), below=0.03)


def _peak_at_n(result: xr.Dataset) -> Evidence:
    """The manipulation check: the control does have a peak, at N = n."""
    return across_seeds(_distance(result, 1.0), below=0.03)


def _no_early_switch(result: xr.Dataset) -> xr.Dataset:
    """The same features, with directions added up to n as in plain least squares."""
    return result.sel(switch=[1.0] * result.sizes["switch"]).assign_coords(switch=result.switch)


CLAIMS = (
    Claim(
        id="effective_parameters.fold",
        says="Effective parameters at test inputs are most at N = n and fall below half of that again: the curve folds back.",
        rows=("S0.6",),
        source="Curth, Jeffares & van der Schaar 2023, arXiv 2310.18988",
        check=_folds,
        control=Control(
            says="effective parameters at training inputs", change=_train_inputs, manipulation=_interpolates
        ),
    ),
    Claim(
        id="effective_parameters.moved_peak",
        says="When models stop adding fitted directions at 0.8 n, the peak is at N = 0.8 n, where nothing interpolates.",
        rows=("S0.6",),
        source="Curth, Jeffares & van der Schaar 2023, arXiv 2310.18988, abstract",
        check=_moved_peak,
        control=Control(says="directions added up to n", change=_no_early_switch, manipulation=_peak_at_n),
    ),
)
