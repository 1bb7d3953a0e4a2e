"""Least squares on Gaussian features: the exact risk, its limit, and the simulation that both are held against.

Belkin, Hsu and Xu 2020 (arXiv 1903.07571) for finite n and p; Hastie, Montanari, Rosset and Tibshirani 2022
(arXiv 1903.08560) for the limit. Risks are expected squared errors on a new noisy target, in squared units of the target.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from heldout.devices import generator

CHUNK = 250  # trials drawn together; a part of what determines the draws


def feature_counts(dim: int, n: int) -> tuple[int, ...]:
    """The values of p that a case is simulated at: spread over 1..d, and close together around n."""
    spread = [1, *(n * part // 8 for part in (1, 2, 3, 4, 6)), *(n + n * part // 4 for part in (1, 2, 3, 4, 6, 8)), dim]
    near = [n + offset for offset in (-10, -7, -5, -3, -1, 0, 1, 3, 5, 7, 10)]
    return tuple(sorted({p for p in spread + near if 1 <= p <= dim}))


def signal(dim: int, decay: float) -> Float[Tensor, " d"]:
    """The target's weights, proportional to j^-decay for the j-th feature, of norm 1 (float64, CPU)."""
    falling: Tensor = torch.arange(1, dim + 1, dtype=torch.float64).pow(-decay)
    unit: Tensor = falling / falling.norm()
    return unit


def split(weights: Float[Tensor, " d"], p: int) -> tuple[float, float]:
    """Squared norm of the weights on the p features in use, and on the features left out."""
    return float(weights[:p].square().sum()), float(weights[p:].square().sum())


def simulate(
    distribution: str,
    n: int,
    counts: tuple[int, ...],
    weights: Float[Tensor, " d"],
    *,
    noise_std: float,
    ridge: float,
    correlation: float,
    trials: int,
    seed: int,
    device: torch.device,
    advance: Callable[[int], None],
) -> Float[np.ndarray, "trial p"]:
    """The risk of every trial at every p in ``counts``; the expectation over new inputs and their noise is taken exactly.

    Args:
        distribution: of a feature, "gaussian" or "sign" (-1 or 1); both have mean 0 and variance 1.
        weights: the target's weights on all d features.
        advance: called with the number of trials after every chunk.
    """
    dim, weights = len(weights), weights.to(device)
    mixing = correlated(dim, correlation).to(device)  # L with features = L z
    chunk = max(1, min(CHUNK, 10**7 // (n * dim)))
    risks = []
    for start in range(0, trials, chunk):
        size = min(chunk, trials - start)
        draw = generator("gaussian_risk", distribution, n, dim, seed, start)
        z_TND = torch.randn(size, n, dim, generator=draw, dtype=torch.float64)
        noise_TN = torch.randn(size, n, generator=draw, dtype=torch.float64).to(device)
        x_TND = (z_TND.sign() if distribution == "sign" else z_TND).to(device)
        if correlation:
            x_TND = x_TND @ mixing.T
        y_TN = x_TND @ weights + noise_std * noise_TN
        found = []
        for p in counts:
            off_TD = -weights.expand(size, dim).clone()
            off_TD[:, :p] += fit(x_TND[..., :p], y_TN, ridge)
            found.append((off_TD @ mixing).square().sum(-1) + noise_std**2)
        risks.append(torch.stack(found, dim=-1).cpu())
        advance(size)
    return torch.cat(risks).numpy()


def correlated(dim: int, correlation: float) -> Float[Tensor, "d d"]:
    """Lower triangular L with L L^T = correlation^|i - j|: unit variances whatever the correlation."""
    index = torch.arange(dim, dtype=torch.float64)
    if correlation == 0:
        return torch.eye(dim, dtype=torch.float64)
    mixing: Tensor = torch.linalg.cholesky(correlation ** (index[:, None] - index).abs())
    return mixing


def fit(x: Float[Tensor, "trial n p"], y: Float[Tensor, "trial n"], ridge: float) -> Float[Tensor, "trial p"]:
    """Least squares for p <= n, the interpolant of minimum norm for p > n, or ridge regression, for all trials at once."""
    n, p = x.shape[-2:]
    target = y[..., None]
    weights: Tensor
    if ridge == 0 and abs(p - n) < 2:
        # Forming the Gram matrix squares the condition number, which next to the threshold has no finite mean.
        if p <= n:
            q, r = torch.linalg.qr(x)
            weights = torch.linalg.solve_triangular(r, q.mT @ target, upper=True)
        else:
            q, r = torch.linalg.qr(x.mT)
            weights = q @ torch.linalg.solve_triangular(r.mT, target, upper=False)
        return weights.squeeze(-1)
    gram = x.mT @ x if p <= n else x @ x.mT
    gram.diagonal(dim1=-2, dim2=-1).add_(ridge)
    factor = torch.linalg.cholesky(gram)
    weights = torch.cholesky_solve(x.mT @ target, factor) if p <= n else x.mT @ torch.cholesky_solve(target, factor)
    return weights.squeeze(-1)


def exact_risk(n: int, p: int, signal_in: float, signal_out: float, noise_std: float) -> float:
    """Expected risk of minimum-norm least squares on p independent standard normal features (Belkin, Hsu, Xu 2020).

    ``signal_in`` and ``signal_out`` are the squared norms of the target's weights on the features in use and left out.
    Infinite for |p - n| <= 1.
    """
    unexplained = signal_out + noise_std**2
    if p <= n - 2:
        return unexplained * (1 + p / (n - p - 1))
    if p >= n + 2:
        return signal_in * (1 - n / p) + unexplained * (1 + n / (p - n - 1))
    return float("inf")


def limit_risk(aspect: float, signal_norm: float, noise_std: float) -> float:
    """Excess risk in the limit n, p to infinity at p / n = ``aspect``, isotropic features, none left out (Hastie et al. 2022)."""
    if aspect < 1:
        return noise_std**2 * aspect / (1 - aspect)
    return signal_norm**2 * (1 - 1 / aspect) + noise_std**2 / (aspect - 1)
