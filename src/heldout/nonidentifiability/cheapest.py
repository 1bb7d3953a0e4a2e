"""The least Kullback-Leibler divergence that a change of behavior costs: in closed form, and by search over whole tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from heldout.nonidentifiability.tables import Tree, rule_probability

Array = Float[np.ndarray, "..."]
HALVINGS = 60


def binary_divergence(r: Array | float, s: Array | float) -> Array:
    """kl(r || s) = r log(r/s) + (1-r) log((1-r)/(1-s)) in nats."""
    r, s = np.broadcast_arrays(np.asarray(r, dtype=float), np.asarray(s, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore"):
        yes = np.where(r > 0, r * np.log(r / s), 0.0)
        no = np.where(r < 1, (1 - r) * np.log((1 - r) / (1 - s)), 0.0)
    return np.asarray(yes + no)


def lowered(mass: Array, honest: Array, price: Array) -> Float[np.ndarray, "price prompt"]:
    """Probabilities s_j that minimize sum_j m_j kl(r_j || s_j) + price * sum_j s_j: the smaller root of a quadratic for each.

    It is at most r_j. Rounding must not lift it above, since s_j = 1 costs infinitely much where r_j is a hair below 1.
    """
    price = np.asarray(price)[:, None]
    root = np.sqrt(np.maximum((price + mass) ** 2 - 4 * price * mass * honest, 0))
    return np.asarray(np.minimum(2 * mass * honest / (price + mass + root), honest))


def cost(mass: Array, honest: Array, scores: Float[np.ndarray, "... prompt"]) -> Float[np.ndarray, "..."]:
    """sum_j m_j kl(r_j || s_j) over the prompts that are written at all, in nats a sequence."""
    written = mass > 0
    return np.asarray((mass[written] * binary_divergence(honest[written], scores[..., written])).sum(-1))


def cheapest_scores(mass: Array, honest: Array, mean: float) -> Float[np.ndarray, " prompt"]:
    """Probabilities of the rule on the prompts, with the given mean, at the least divergence."""
    found: Float[np.ndarray, " prompt"] = _at_price(mass, honest, 1, lambda scores: scores.mean(-1) <= mean)[0]
    return found


def lowest_scores(mass: Array, honest: Array, allowed: Float[np.ndarray, " case"]) -> Float[np.ndarray, "case prompt"]:
    """Probabilities of the rule on the prompts, with the smallest mean, at each ``allowed`` divergence."""
    return _at_price(mass, honest, len(allowed), lambda scores: cost(mass, honest, scores) >= allowed)


def _at_price(mass: Array, honest: Array, cases: int, high_enough: Callable[[Array], Array]) -> Array:
    """Bisection for the price at which ``high_enough`` turns true."""
    low, high = np.full(cases, -40.0), np.full(cases, 10.0)  # natural logarithms of the price
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        enough = high_enough(lowered(mass, honest, np.exp(middle)))
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return lowered(mass, honest, np.exp(high))


@dataclass(frozen=True)
class Problem:
    """What one table is fitted to.

    Attributes:
        weights: probability in the data of using a row and going on from it with a, b or the end.
        prompts: weight of each prompt in the score that is fixed; all zero if none is.
        target: what the weighted sum of the rule's probabilities must be.
        scale: size of the divergence against the condition in the search; the solution does not depend on it.
    """

    weights: Float[Tensor, "row 3"]
    prompts: Float[np.ndarray, " prompt"]
    target: float
    scale: float


def search(
    tree: Tree,
    sharing: Int[np.ndarray, " row"],
    problems: Sequence[Problem],
    start: Float[Tensor, "problem group 3"],
    *,
    steps: int,
    learning_rate: float,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> Float[Tensor, "problem row 3"]:
    """Fit a table to each problem, all at once, by Adam on all logits and an augmented Lagrangian. Knows no closed form.

    Returns:
        log probabilities of all rows, on the CPU.
    """
    weights = torch.stack([problem.weights for problem in problems]).to(device)
    prompts = torch.as_tensor(np.stack([problem.prompts for problem in problems]), device=device)
    targets, scale = torch.tensor([(each.target, each.scale) for each in problems], dtype=prompts.dtype).to(device).T
    groups = torch.as_tensor(sharing, device=device)
    logits = start.to(device).clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=learning_rate, betas=(0.9, 0.95), eps=1e-30)
    multiplier = torch.zeros_like(targets)
    bound = prompts.sum(-1) > 0
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = learning_rate * (1 + np.cos(np.pi * step / steps)) / 2
        logs = logits.log_softmax(-1)[:, groups]
        score = (rule_probability(tree, logs) * prompts).sum(-1)
        off = torch.where(bound, torch.where(bound, score, 1).log() - targets.log(), 0)
        loss = -(weights * logs).sum((1, 2)) / scale + multiplier * off + 4 * off.square()
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        if step % 25 == 24:
            multiplier = (multiplier + 8 * off.detach()).clamp(-50, 50)
        progress(step + 1, steps)
    return logits.detach().log_softmax(-1)[:, groups].cpu()
