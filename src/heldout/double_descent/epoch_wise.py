"""Double descent along training time in a linear model whose features are learned at two speeds.

Gradient flow on the mean squared error of linear regression, solved in closed form. Some features are large and learned fast,
others small and learned slowly; both carry half of the signal. While only the large ones are learned, the signal in the small
ones acts as noise. Heckel and Yilmaz 2021 (arXiv 2007.10099) explain epoch-wise double descent so, and cure it by step sizes.

Axes: scale (of the small features), small_dim (their number), seed, time (of gradient flow; one unit is 1 / learning rate steps).
Deviations: sizes, scales and the split of the signal are ours. The reference setting was chosen because it shows the effect; the
sweep around it shows where there is none.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.devices import generator
from heldout.experiment import Progress, recorded, require
from heldout.figures import style

PARTS = ("large", "small")
VISIBLE = 1.05  # a peak counts when it stands this factor above the lowest risk on both sides


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and speeds of the two groups of features."""

    num_train: int = 200
    large_dim: int = 100  # features of standard deviation 1
    small_dims: tuple[int, ...] = (5, 10, 20, 35, 50, 75)
    scales: tuple[float, ...] = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)  # standard deviations of the small features
    reference_dim: int = 50
    reference_scale: float = 0.05
    noise_std: float = 0.5
    first_log_time: float = -2.0
    last_log_time: float = 7.0
    num_times: int = 91
    num_seeds: int = 20
    first_seed: int = 100

    def __post_init__(self) -> None:
        require(self.large_dim >= 1, "large_dim", self.large_dim, "at least 1")
        require(
            bool(self.small_dims) and min(self.small_dims) >= 1, "small_dims", self.small_dims, "counts of at least 1"
        )
        require(bool(self.scales) and min(self.scales) > 0, "scales", self.scales, "positive")
        require(self.reference_dim in self.small_dims, "reference_dim", self.reference_dim, "one of small_dims")
        require(self.reference_scale in self.scales, "reference_scale", self.reference_scale, "one of scales")
        enough = self.large_dim + max(self.small_dims) + 2
        require(
            self.num_train >= enough, "num_train", self.num_train, "at least large_dim + the largest of small_dims + 2"
        )
        require(self.noise_std >= 0, "noise_std", self.noise_std, "0 or more")
        require(self.first_log_time < self.last_log_time, "first_log_time", self.first_log_time, "below last_log_time")
        require(self.num_times >= 3, "num_times", self.num_times, "at least 3")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(small_dims=(10, 50), scales=(1.0, 0.05), num_seeds=5, first_seed=0)
BOOK = Config()
PAPER = Config(num_train=2000, large_dim=1000, small_dims=(50, 200, 500), reference_dim=500, num_seeds=10)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:
    """Follow every seed along time, for every number and every scale of the small features.

    Returns:
        risk and train_mse (small_dim, scale, seed, time), the expected squared error on a new noisy target and the training
        error; part_error (part, seed, time), the share of the risk due to the weights of either group of features at the
        reference setting. Squared units of the target, whose signal has variance 2.
    """
    seeds = range(config.first_seed, config.first_seed + config.num_seeds)
    times = np.logspace(config.first_log_time, config.last_log_time, config.num_times)
    shape = (len(config.small_dims), len(config.scales), len(seeds), len(times))
    risk, train_mse = np.empty(shape, np.float32), np.empty(shape, np.float32)
    part_error = np.empty((len(PARTS), len(seeds), len(times)), np.float32)
    time = torch.from_numpy(times).to(device)
    for i, small_dim in enumerate(config.small_dims):
        for k, seed in enumerate(seeds):
            x, y, weights = (part.to(device) for part in sample(config, small_dim, seed))
            for j, scale in enumerate(config.scales):
                scaling = torch.ones_like(weights)
                scaling[config.large_dim :] = scale
                off_TD, train = flow(x, y, weights, scaling, time)
                split = [off_TD[:, : config.large_dim], off_TD[:, config.large_dim :]]
                errors = torch.stack([part.square().sum(-1) for part in split])
                risk[i, j, k] = (errors.sum(0) + config.noise_std**2).cpu()
                train_mse[i, j, k] = train.cpu()
                if (small_dim, scale) == (config.reference_dim, config.reference_scale):
                    part_error[:, k] = errors.cpu()
            progress(i * len(seeds) + k + 1, len(config.small_dims) * len(seeds))
    units = {"units": "squared units of the target"}
    dims = ("small_dim", "scale", "seed", "time")
    return xr.Dataset(
        {
            "risk": (dims, risk, {"long_name": "risk", **units}),
            "train_mse": (dims, train_mse, {"long_name": "training mean squared error", **units}),
            "part_error": (
                ("part", "seed", "time"),
                part_error,
                {"long_name": "risk due to a group of features", **units},
            ),
        },
        {
            "small_dim": (
                "small_dim",
                list(config.small_dims),
                {"long_name": "number of small features", "units": "1"},
            ),
            "scale": ("scale", list(config.scales), {"long_name": "scale of the small features", "units": "1"}),
            "seed": list(seeds),
            "time": ("time", times, {"long_name": "training time", "units": "steps times learning rate"}),
            "part": list(PARTS),
        },
        {
            "reference_dim": config.reference_dim,
            "reference_scale": config.reference_scale,
            "large_dim": config.large_dim,
            "num_train": config.num_train,
            "final_risk": final_risk(config.num_train, config.large_dim + config.reference_dim, config.noise_std),
        },
    )


def sample(
    config: Config, small_dim: int, seed: int
) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"], Float[Tensor, " d"]]:
    """Standard normal inputs before scaling, targets, and the target's weights on them: half the signal on either group."""
    draw = generator("epoch_wise", config.num_train, config.large_dim, small_dim, seed)
    x = torch.randn(config.num_train, config.large_dim + small_dim, generator=draw, dtype=torch.float64)
    weights = torch.randn(config.large_dim + small_dim, generator=draw, dtype=torch.float64)
    weights[: config.large_dim] /= weights[: config.large_dim].norm()
    weights[config.large_dim :] /= weights[config.large_dim :].norm()
    noise = torch.randn(config.num_train, generator=draw, dtype=torch.float64)
    return x, x @ weights + config.noise_std * noise, weights


def flow(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    weights: Float[Tensor, " d"],
    scaling: Float[Tensor, " d"],
    time: Float[Tensor, " time"],
) -> tuple[Float[Tensor, "time d"], Float[Tensor, " time"]]:
    """Gradient flow from zero on half the mean squared error, with features ``x * scaling``.

    With the eigenvectors v_i and eigenvalues l_i of the features' second-moment matrix, the weight along v_i at time t is the
    least-squares weight times 1 - exp(-l_i t).

    Returns:
        The fitted minus the true weights on the unscaled inputs, and the training mean squared error, at every time.
    """
    features = x * scaling
    values, vectors = torch.linalg.eigh(features.T @ features / len(x))
    moments = vectors.T @ (features.T @ y / len(x))
    learned_TD = -torch.expm1(-values * time[:, None]) / values * moments
    fitted_TD = learned_TD @ vectors.T
    residual_TN = fitted_TD @ features.T - y
    return fitted_TD * scaling - weights, residual_TN.square().mean(-1)


def final_risk(n: int, dim: int, noise_std: float) -> float:
    """Expected risk of least squares with standard normal features, all of them used: where every run must end."""
    return noise_std**2 * (1 + dim / (n - dim - 1))


def prominence(risk: xr.DataArray) -> xr.DataArray:
    """How far the highest inner peak stands above the lowest risk before and after it, as a factor; 1 if there is none."""
    values = risk.transpose(..., "time").values
    before = np.minimum.accumulate(values, axis=-1)
    after = np.minimum.accumulate(values[..., ::-1], axis=-1)[..., ::-1]
    return risk.isel(time=0, drop=True).copy(data=(values / np.maximum(before, after)).max(-1))


# --- reading a record ----------------------------------------------------------------------------------------------------


def reference(result: xr.Dataset) -> xr.Dataset:
    """The record at the reference number and scale of the small features."""
    return result.sel(small_dim=result.attrs["reference_dim"], scale=result.attrs["reference_scale"])


def landmarks(risk: Float[np.ndarray, " time"]) -> tuple[int, int, int]:
    """Indices of the valley before, the peak, and the valley after it, of one curve (all equal where there is no inner peak)."""
    before = np.minimum.accumulate(risk)
    after = np.minimum.accumulate(risk[::-1])[::-1]
    top = int((risk / np.maximum(before, after)).argmax())
    return int(risk[: top + 1].argmin()), top, top + int(risk[top:].argmin())


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Risk at the reference setting along time, and how much of it either group of features causes."""
    ax = style.axes(ax)
    part = reference(result)
    style.band(ax, result.time.values, part.risk.values, color=style.VERMILION, label="risk")
    for name, color in zip(PARTS, (style.BLUE, style.GREEN), strict=True):
        values = part.part_error.sel(part=name).values
        style.band(ax, result.time.values, values, color=color, label=f"due to the {name} features", linestyle="--")
    ax.set(xscale="log", xlabel="training time (log scale)", ylabel="squared error", ylim=(0, None))
    ax.legend(loc="upper right")
    return ax


def plot_sweep(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """How far the peak stands out, against the scale of the small features, one line a number of them."""
    ax = style.axes(ax)
    found = prominence(result.risk).median("seed")
    for small_dim, color in zip(result.small_dim.values, style.COLORS, strict=False):
        values = found.sel(small_dim=small_dim)
        ax.plot(result.scale, values, "o-", color=color, markersize=4, label=f"{small_dim} small features")
    ax.axhline(VISIBLE, color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.set(xscale="log", xlabel="scale of the small features (log scale)", ylabel="peak over the higher valley")
    ax.legend(loc="upper right")
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes: valley, peak and second valley of the reference, and in how many settings a peak is seen."""
    risk = reference(result).risk.median("seed").values
    valley, top, second = landmarks(risk)
    seen = prominence(result.risk).median("seed") > VISIBLE
    return {
        "seeds": result.sizes["seed"],
        "n": int(result.attrs["num_train"]),
        "large_dim": int(result.attrs["large_dim"]),
        "small_dim": int(result.attrs["reference_dim"]),
        "scale": float(result.attrs["reference_scale"]),
        "valley": float(risk[valley]),
        "valley_time": float(result.time[valley]),
        "peak": float(risk[top]),
        "peak_time": float(result.time[top]),
        "second_valley": float(risk[second]),
        "second_valley_time": float(result.time[second]),
        "end": float(risk[-1]),
        "predicted_end": float(result.attrs["final_risk"]),
        "settings": int(seen.size),
        "settings_with_peak": int(seen.sum()),
    }


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Risk along training time, on a log scale: a valley of {n['valley']:.2f} at time {n['valley_time']:.1f}, a peak of "
        f"{n['peak']:.2f} at {n['peak_time']:.0f}, a second valley of {n['second_valley']:.2f} at "
        f"{n['second_valley_time']:.0f}, and {n['end']:.2f} at the end. The error due to the large features falls, rises "
        f"with the peak and falls again; the error due to the small ones begins to fall only after the peak."
    )


def _second_over_first(result: xr.Dataset) -> Float[np.ndarray, " seed"]:
    """Per seed, the second valley over the first; infinite where no peak stands out between them."""
    risk = reference(result).risk
    ratios = []
    for curve, height in zip(risk.values, prominence(risk).values, strict=True):
        valley, _, second = landmarks(curve)
        ratios.append(curve[second] / curve[valley] if height > VISIBLE else np.inf)
    return np.array(ratios)


def _ends_where_least_squares_does(result: xr.Dataset) -> Evidence:
    """The manipulation check: the scale changes the speed only, so the run ends at the risk of least squares."""
    end = float(reference(result).risk.isel(time=-1).median("seed"))
    off = abs(end / float(result.attrs["final_risk"]) - 1)
    return Evidence(value=off, bound="< 0.15 relative to the exact risk of least squares", holds=off < 0.15)


ONE_SPEED = Control(
    says="the same data and targets with all features learned at one speed (scale 1)",
    config=replace(BOOK, scales=(1.0,), reference_scale=1.0, small_dims=(50,)),
    manipulation=_ends_where_least_squares_does,
)

CLAIMS = (
    Claim(
        id="epoch_wise.peak",
        says="With two speeds the risk has a peak along training time, above the valleys on both sides by more than 5 %.",
        rows=("S0.6",),
        source="Heckel and Yilmaz 2021, arXiv 2007.10099, linear regression with differently scaled features",
        check=lambda result: across_seeds(prominence(reference(result).risk), above=VISIBLE, share=0.9),
        control=ONE_SPEED,
    ),
    Claim(
        id="epoch_wise.second_valley",
        says="The second valley is lower than the first: stopping at the first would have been too early.",
        rows=("S0.6",),
        source="Heckel and Yilmaz 2021, arXiv 2007.10099, linear regression with differently scaled features",
        check=lambda result: across_seeds(_second_over_first(result), below=1.0, share=0.9),
        control=ONE_SPEED,
    ),
)
