"""Separators of two classes: the one of largest margin, what gradient descent finds, and where its flow ends.

A separator is a direction w; its margin on signed inputs z_1, ..., z_n is min_i z_i . w / |w|. Descent from zero stays in the
span of the inputs, w = sum_i a_i z_i, so a step needs the Gram matrix z_i . z_j only and costs n^2 whatever the dimension.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.integrate import solve_ivp
from scipy.optimize import nnls
from torch import Tensor
from torch.nn import functional

from heldout.experiment import require

RULES = ("gradient descent", "normalized", "squared loss")
TAILS = ("exponential", "polynomial")
EARLIEST = -5.0  # log of the time at which the flow starts, at zero


@dataclass(frozen=True, kw_only=True)
class Best:
    """The largest margin, the weights p of the inputs that carry it (p >= 0, sum 1), and the certificate.

    ``margin`` is the distance of the inputs' hull from the origin, an upper bound for every separator; ``duality_gap`` is
    the share of it by which the margin actually reached by w = sum_i p_i z_i falls short.
    """

    margin: float
    weights: Float[np.ndarray, " n"]
    duality_gap: float

    @property
    def constant(self) -> float:
        """What gap times log t tends to under gradient descent: their Shannon entropy plus log max_i p_i."""
        carried = self.weights[self.weights > 1e-10]
        return float(-(carried * np.log(carried)).sum() + np.log(carried.max()))


def coordinates(gram: Float[np.ndarray, "n n"], cutoff: float = 1e-12) -> Float[np.ndarray, "n rank"]:
    """Inputs of the same Gram matrix in as few dimensions as it needs."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > cutoff * values[-1]
    inputs: np.ndarray = vectors[:, kept] * np.sqrt(values[kept])
    return inputs


def largest_margin(gram: Float[np.ndarray, "n n"]) -> Best:
    """The hard-margin separator through the origin: the point of the inputs' convex hull that is nearest to it.

    Non-negative least squares on (z_i, 1) against (0, 1) finds that point, exactly up to rounding.

    Raises:
        ValueError: no direction separates the inputs.
    """
    inputs = coordinates(gram)
    scale = np.sqrt(np.trace(gram) / len(gram))
    system = np.vstack([inputs.T / scale, np.ones(len(inputs))])
    found, _ = nnls(system, np.append(np.zeros(inputs.shape[1]), 1.0), maxiter=100 * len(inputs))
    weights = found / found.sum()
    norm = float(np.sqrt(weights @ gram @ weights))
    require(norm > 1e-7 * scale, "gram", f"hull at distance {norm:.1e} from 0", "of inputs that a direction separates")
    reached = float((gram @ weights).min()) / norm
    return Best(margin=norm, weights=weights, duality_gap=1 - reached / norm)


def descend(
    gram: Float[Tensor, "n n"], rule: str, *, steps: int, probe_steps: Sequence[int]
) -> Float[Tensor, "probe n"]:
    """Full-batch descent from zero; the coefficients a (w = sum_i a_i z_i) at each probe step, all steps of one size.

    ``gradient descent`` takes the mean logistic loss and a constant step, one over the loss's largest curvature;
    ``normalized`` moves by 1 / max_i |z_i| in the direction of the same gradient, whatever its length; ``squared loss`` is
    gradient descent on the mean of (1 - z_i . w)^2 / 2 with one over its curvature, summed up in closed form.

    Raises:
        ValueError: the rule is unknown, there are no steps, or a probe lies outside them.
    """
    require(rule in RULES, "rule", rule, f"one of {', '.join(RULES)}")
    require(steps >= 1, "steps", steps, "at least 1")
    require(min(probe_steps) >= 0 and max(probe_steps) <= steps, "probe_steps", probe_steps, f"from 0 to {steps}")
    values, vectors = torch.linalg.eigh(gram)
    if rule == "squared loss":
        return torch.stack([_squared(values, vectors, step) for step in probe_steps])
    longest, rate = gram.diagonal().amax().sqrt(), 4 / values[-1]
    a, outputs = torch.zeros_like(values), torch.zeros_like(values)
    kept, wanted = [], set(probe_steps)
    for step in range(steps + 1):
        if step in wanted:
            kept.append(a.clone())
        if rule == "gradient descent":
            slope = torch.sigmoid(-outputs)
            pushed, size = torch.mv(gram, slope), rate
        else:  # the slopes over the largest of them: the loss itself may be far below any float
            slope = functional.logsigmoid(-outputs)
            slope = (slope - slope.amax()).exp()
            pushed = torch.mv(gram, slope)
            size = 1 / (longest * torch.dot(slope, pushed).sqrt())
        a += size * slope
        outputs += size * pushed
    return torch.stack(kept)


def _squared(values: Float[Tensor, " n"], vectors: Float[Tensor, "n n"], step: int) -> Float[Tensor, " n"]:
    """After ``step`` steps each eigenvector is fitted to 1 - (1 - value / largest)^step."""
    share = (values / values[-1]).clamp(0, 1)
    fitted = torch.where(share > 1e-12, -torch.expm1(step * torch.log1p(-share)) / share, float(step))
    summed: Tensor = vectors @ (fitted * vectors.sum(0)) / values[-1]
    return summed


def margins(
    gram: Float[Tensor, "n n"], a: Float[Tensor, "probe n"]
) -> tuple[Float[Tensor, " probe"], Float[Tensor, "probe n"]]:
    """Margin of w = sum_i a_i z_i, and its outputs z_i . w; the margin of w = 0 is NaN."""
    outputs = a @ gram
    return outputs.amin(-1) / (a * outputs).sum(-1).sqrt(), outputs


def log_slope(outputs: Float[np.ndarray, " n"], tail: str) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of minus the loss's derivative at each output, and the derivative of that logarithm.

    ``exponential`` is the logistic loss. ``polynomial`` has minus the derivative (1 + softplus(u))^-2, so its loss falls as 1/u.
    """
    soft = np.logaddexp(0, outputs)
    rising = np.exp(np.minimum(outputs, 0) - np.logaddexp(0, -abs(outputs)))  # the logistic function
    if tail == "exponential":
        return -soft, -rising
    return -2 * np.log1p(soft), -2 * rising / (1 + soft)


def flow(
    gram: Float[np.ndarray, "n n"], log_times: Sequence[float], tail: str
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " rank"]]:
    """Gradient flow in the logarithm of time: its margin at each time, and its last direction in :func:`coordinates`.

    One unit of time is one step of :func:`descend`. In log time the flow has no stiff part that an implicit method cannot
    follow, so it can be carried on to times that no loop of steps will reach.

    Raises:
        ValueError: the tail is unknown.
    """
    require(tail in TAILS, "tail", tail, f"one of {', '.join(TAILS)}")
    inputs = coordinates(gram)
    rate = 4 / np.linalg.eigvalsh(gram)[-1]

    growth = {"exponential": 0.0, "polynomial": 1 / 3}[tail]  # |w| grows as this power of time, which is divided out

    def velocity(log_time: float, v: np.ndarray) -> np.ndarray:
        slope, _ = log_slope(inputs @ v * np.exp(growth * log_time), tail)
        moved: np.ndarray = rate * (np.exp((1 - growth) * log_time + slope) @ inputs) - growth * v
        return moved

    def jacobian(log_time: float, v: np.ndarray) -> np.ndarray:
        slope, change = log_slope(inputs @ v * np.exp(growth * log_time), tail)
        matrix: np.ndarray = rate * (inputs.T * (np.exp(log_time + slope) * change)) @ inputs
        return matrix - growth * np.eye(len(v))

    found = solve_ivp(
        velocity, (EARLIEST, max(log_times)), np.zeros(inputs.shape[1]), method="BDF", jac=jacobian,
        t_eval=log_times, rtol=1e-5, atol=1e-7,
    )  # fmt: skip
    directions = found.y / np.linalg.norm(found.y, axis=0)
    return (inputs @ directions).min(axis=0), directions[:, -1]
